//! Products with a single row (or column) of results: every element of the matrix is read once, so that they run at the
//! speed at which it can be read. Nothing is packed.

use super::real::Job;
use super::vector::Vector;
use super::Mat;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;

/// `c[j] += sum over p of a[p] * b[p, j]`.
pub(crate) struct Row<E> {
    pub a: *const E,
    pub b: *const E,
    /// Distance between steps of k in B where columns lie next to each other, and else between columns.
    pub b_step: usize,
    pub k: usize,
    pub n: usize,
    pub c: *mut E,
}

pub(crate) type RowFn<E> = unsafe fn(&Row<E>);

/// Rows of B that are read side by side: each a stream of its own.
const STREAMS: usize = 8;
/// Columns whose sums run side by side, in two vectors each.
const DOTS: usize = 4;
/// Vectors of sums that registers hold.
const SUMS: usize = 8;
/// Least columns of a task.
const COLUMNS: usize = 128;

/// Columns next to each other: rows of B are added up from left to right, a few at a time.
#[inline(always)]
pub(crate) unsafe fn wide<V: Vector>(t: &Row<V::Element>) {
    // SAFETY: the caller vouches for the ISA and for every pointer over the extents that `t` describes.
    unsafe {
        if t.n <= SUMS * V::LANES {
            return narrow::<V>(t);
        }
        let mut p = 0;
        while p + STREAMS <= t.k {
            rows::<V, STREAMS>(t, p);
            p += STREAMS;
        }
        while p < t.k {
            rows::<V, 1>(t, p);
            p += 1;
        }
    }
}

/// Few columns: their sums stay in registers.
#[inline(always)]
unsafe fn narrow<V: Vector>(t: &Row<V::Element>) {
    // SAFETY: as in `wide`.
    unsafe {
        let mut j = 0;
        while j < t.n {
            let vectors = (t.n - j) / V::LANES;
            let count = match vectors {
                SUMS => sums::<V, SUMS, true>(t, j),
                4.. => sums::<V, 4, true>(t, j),
                2.. => sums::<V, 2, true>(t, j),
                1 => sums::<V, 1, true>(t, j),
                _ => sums::<V, 1, false>(t, j),
            };
            j += count;
        }
    }
}

#[inline(always)]
unsafe fn sums<V: Vector, const N: usize, const FULL: bool>(t: &Row<V::Element>, j: usize) -> usize {
    // SAFETY: as in `wide`.
    unsafe {
        let left = (t.n - j).min(V::LANES);
        let load = |p: *const V::Element| if FULL { V::load(p) } else { V::load_first(p, left) };
        let c = t.c.add(j);
        let mut sums = [V::zero(); N];
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = load(c.add(i * V::LANES));
        }
        let mut b = t.b.add(j);
        for p in 0..t.k {
            let a = V::splat(*t.a.add(p));
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = a.mul_add(load(b.add(i * V::LANES)), *sum);
            }
            b = b.wrapping_add(t.b_step);
        }
        for (i, sum) in sums.iter().enumerate() {
            if FULL {
                sum.store(c.add(i * V::LANES));
            } else {
                sum.store_first(c, left);
            }
        }
        if FULL {
            N * V::LANES
        } else {
            left
        }
    }
}

#[inline(always)]
unsafe fn rows<V: Vector, const R: usize>(t: &Row<V::Element>, p: usize) {
    // SAFETY: as in `wide`.
    unsafe {
        let mut scale = [V::zero(); R];
        for (i, scale) in scale.iter_mut().enumerate() {
            *scale = V::splat(*t.a.add(p + i));
        }
        let b = t.b.add(p * t.b_step);
        let mut j = 0;
        while j + V::LANES <= t.n {
            let mut sum = V::load(t.c.add(j));
            for (i, scale) in scale.iter().enumerate() {
                sum = scale.mul_add(V::load(b.add(i * t.b_step + j)), sum);
            }
            sum.store(t.c.add(j));
            j += V::LANES;
        }
        if j < t.n {
            let left = t.n - j;
            let mut sum = V::load_first(t.c.add(j), left);
            for (i, scale) in scale.iter().enumerate() {
                sum = scale.mul_add(V::load_first(b.add(i * t.b_step + j), left), sum);
            }
            sum.store_first(t.c.add(j), left);
        }
    }
}

/// Steps of k next to each other: a dot product for each column.
#[inline(always)]
pub(crate) unsafe fn dots<V: Vector>(t: &Row<V::Element>, plus: fn(V::Element, V::Element) -> V::Element) {
    // SAFETY: as in `wide`.
    unsafe {
        let mut j = 0;
        while j + DOTS <= t.n {
            columns::<V, DOTS>(t, j, plus);
            j += DOTS;
        }
        while j < t.n {
            columns::<V, 1>(t, j, plus);
            j += 1;
        }
    }
}

#[inline(always)]
unsafe fn columns<V: Vector, const N: usize>(
    t: &Row<V::Element>,
    j: usize,
    plus: fn(V::Element, V::Element) -> V::Element,
) {
    // SAFETY: as in `wide`; a vector has at most sixteen lanes.
    unsafe {
        let b = t.b.add(j * t.b_step);
        let mut sums = [[V::zero(); 2]; N];
        let mut p = 0;
        while p + 2 * V::LANES <= t.k {
            let a = [V::load(t.a.add(p)), V::load(t.a.add(p + V::LANES))];
            for (i, sum) in sums.iter_mut().enumerate() {
                let b = b.add(i * t.b_step + p);
                sum[0] = a[0].mul_add(V::load(b), sum[0]);
                sum[1] = a[1].mul_add(V::load(b.add(V::LANES)), sum[1]);
            }
            p += 2 * V::LANES;
        }
        while p < t.k {
            let left = (t.k - p).min(V::LANES);
            let a = V::load_first(t.a.add(p), left);
            for (i, sum) in sums.iter_mut().enumerate() {
                sum[0] = a.mul_add(V::load_first(b.add(i * t.b_step + p), left), sum[0]);
            }
            p += left;
        }
        for (i, sum) in sums.iter().enumerate() {
            let mut lanes = [*t.c; 16];
            sum[0].add(sum[1]).store(lanes.as_mut_ptr());
            let mut count = V::LANES;
            while count > 1 {
                count /= 2;
                for lane in 0..count {
                    lanes[lane] = plus(lanes[lane], lanes[lane + count]);
                }
            }
            let c = t.c.add(j + i);
            *c = plus(*c, lanes[0]);
        }
    }
}

impl<'a, E: super::tile::Real> Job<'a, E> {
    /// Computes a product of one row, if this is one and its matrix can be read in place.
    pub(super) fn row(&self, pool: &ThreadPool, batch: usize, c: &mut [E]) -> bool {
        // A product of one column is the transposed one of one row.
        let (n, a, am, b, bm) = if self.m == 1 {
            (self.n, self.a, self.am, self.b, self.bm)
        } else if self.n == 1 {
            let turned = |mat: Mat| Mat { rows: mat.cols, cols: mat.rows, ..mat };
            (self.m, self.b, turned(self.bm), self.a, turned(self.am))
        } else {
            return false;
        };
        let (kernel, b_step) = if bm.cols == 1 && bm.rows >= 0 {
            (self.kernels.wide, bm.rows as usize)
        } else if bm.rows == 1 && bm.cols >= 0 {
            (self.kernels.dots, bm.cols as usize)
        } else {
            return false;
        };
        let pieces = (n * self.k / super::real::TASK_WORK).clamp(1, n.div_ceil(COLUMNS));
        let width = n.div_ceil(pieces).next_multiple_of(COLUMNS);
        let pieces = n.div_ceil(width);
        let out = SharedMut::new(c);
        pool.run(batch * pieces, &|task| {
            let (l, first) = (task / pieces, task % pieces * width);
            let count = width.min(n - first);
            let start = l * n + first;
            // SAFETY: tasks write disjoint parts of C; `gemm` checked the operands' extents.
            let c = unsafe { out.range(start..start + count) };
            if !self.accumulate {
                c.fill(E::ZERO);
            }
            with_local(|local| {
                let packed = local.take::<E>(self.k);
                for (p, to) in packed.iter_mut().enumerate() {
                    *to = a[(am.offset as isize + l as isize * am.batch + p as isize * am.cols) as usize];
                }
                let at = bm.offset as isize + l as isize * bm.batch + first as isize * bm.cols;
                let b = b.as_ptr().wrapping_offset(at);
                let row = Row { a: packed.as_ptr(), b, b_step, k: self.k, n: count, c: c.as_mut_ptr() };
                // SAFETY: as above.
                unsafe { kernel(&row) };
            });
            let bias = self.bias.map(|bias| if self.n == 1 { bias } else { &bias[first..first + count] });
            self.end(c, bias, start);
        });
        true
    }
}
