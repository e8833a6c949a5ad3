//! Matrix-vector products: a single row (or column) of results. Every element of the matrix is read once, so they are
//! bound by memory bandwidth, and nothing is packed.

use super::types::{Job, Real, Row, RowFn};
use super::vector::{prefetch, Vector};
use super::Mat;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
#[cfg(target_arch = "x86_64")]
use crate::simd::{isa, Isa};
#[cfg(target_arch = "x86_64")]
use std::any::TypeId;
use std::ops::Range;

/// Rows of B that are read concurrently, each as a stream.
const STREAMS: usize = 8;
/// Columns that are summed concurrently, in two vectors of AVX-512 each.
const DOTS: usize = 4;
/// Vectors of the narrowest kind (16 bytes) in one of AVX-512.
const HALVES: usize = 4;
/// Vectors of sums kept in registers.
const SUMS: usize = 8;
/// Prefetch distance in rows of B.
const PREFETCH: usize = 8;
/// Multiply-adds of a task: half a megabyte of the matrix.
const WORK: usize = 1 << 17;
/// Maximum number of tasks.
const TASKS: usize = 16;
/// Minimum columns of a task, if columns are split.
const COLUMNS: usize = 128;
/// Maximum lanes of a vector: spare room at the end of the lists of [`nonzero`].
const LANES: usize = 16;
/// Columns up to which k is split instead: full rows are read sequentially, and their sums stay in cache.
const SHORT: usize = 4096;

/// Sums rows of B, a few at a time, for contiguous columns.
#[inline(always)]
pub(crate) unsafe fn wide<V: Vector>(t: &Row<V::Element>) {
    // SAFETY: the caller guarantees the ISA and the validity of every pointer over the extents in `t`.
    unsafe {
        if t.n <= SUMS * V::LANES {
            return narrow::<V>(t);
        }
        let mut p = 0;
        while p + STREAMS <= t.k {
            add_rows::<V, STREAMS>(t, p);
            p += STREAMS;
        }
        while p < t.k {
            add_rows::<V, 1>(t, p);
            p += 1;
        }
    }
}

/// Sums rows of B for few columns, with the sums in registers.
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
        let (b, c) = (t.b.add(j), t.c.add(j));
        let mut sums = [V::zero(); N];
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = load(c.add(i * V::LANES));
        }
        for p in 0..t.k {
            let next = b.wrapping_add(*t.rows.add(p + PREFETCH) as usize * t.b_stride);
            for i in 0..N {
                prefetch(next.wrapping_add(i * V::LANES));
            }
            let a = V::splat(*t.a.add(p));
            let row = b.add(*t.rows.add(p) as usize * t.b_stride);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = a.mul_add(load(row.add(i * V::LANES)), *sum);
            }
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
unsafe fn add_rows<V: Vector, const R: usize>(t: &Row<V::Element>, p: usize) {
    // SAFETY: as in `wide`.
    unsafe {
        let mut scale = [V::zero(); R];
        let mut b = [t.b; R];
        for i in 0..R {
            scale[i] = V::splat(*t.a.add(p + i));
            b[i] = t.b.add(*t.rows.add(p + i) as usize * t.b_stride);
        }
        let mut j = 0;
        while j + V::LANES <= t.n {
            let mut sum = V::load(t.c.add(j));
            for i in 0..R {
                sum = scale[i].mul_add(V::load(b[i].add(j)), sum);
            }
            sum.store(t.c.add(j));
            j += V::LANES;
        }
        if j < t.n {
            let left = t.n - j;
            let mut sum = V::load_first(t.c.add(j), left);
            for i in 0..R {
                sum = scale[i].mul_add(V::load_first(b[i].add(j), left), sum);
            }
            sum.store_first(t.c.add(j), left);
        }
    }
}

/// Computes a dot product for each column, for contiguous steps of k.
#[inline(always)]
pub(crate) unsafe fn dots<V: Vector>(t: &Row<V::Element>, plus: fn(V::Element, V::Element) -> V::Element) {
    // SAFETY: as in `wide`.
    unsafe {
        let mut j = 0;
        if halves::<V>() == 1 {
            while j + DOTS <= t.n {
                columns::<V, DOTS>(t, j, plus);
                j += DOTS;
            }
        }
        while j + 2 <= t.n {
            columns::<V, 2>(t, j, plus);
            j += 2;
        }
        while j < t.n {
            columns::<V, 1>(t, j, plus);
            j += 1;
        }
    }
}

/// Vectors in as many bytes as one of AVX-512 has.
const fn halves<V: Vector>() -> usize {
    64 / size_of::<V::Element>() / V::LANES
}

/// Computes `N` dot products. On every instruction set each has the partial sums of two vectors of AVX-512, which gives
/// the same bits.
#[inline(always)]
unsafe fn columns<V: Vector, const N: usize>(
    t: &Row<V::Element>,
    j: usize,
    plus: fn(V::Element, V::Element) -> V::Element,
) {
    let half = halves::<V>();
    let width = half * V::LANES;
    // SAFETY: as in `wide`; a vector has at most sixteen lanes.
    unsafe {
        let b = t.b.add(j * t.b_stride);
        let mut sums = [[V::zero(); 2 * HALVES]; N];
        let mut p = 0;
        while p + 2 * width <= t.k {
            for part in 0..2 * half {
                let at = p + part * V::LANES;
                let a = V::load(t.a.add(at));
                for (i, sum) in sums.iter_mut().enumerate() {
                    sum[part] = a.mul_add(V::load(b.add(i * t.b_stride + at)), sum[part]);
                }
            }
            p += 2 * width;
        }
        let mut part = 0;
        while p < t.k {
            let left = (t.k - p).min(V::LANES);
            let a = V::load_first(t.a.add(p), left);
            for (i, sum) in sums.iter_mut().enumerate() {
                sum[part] = a.mul_add(V::load_first(b.add(i * t.b_stride + p), left), sum[part]);
            }
            p += left;
            part = (part + 1) % half;
        }
        for (i, sum) in sums.iter().enumerate() {
            let mut lanes = [*t.c; LANES];
            for part in 0..half {
                sum[part].add(sum[half + part]).store(lanes.as_mut_ptr().add(part * V::LANES));
            }
            let mut count = width;
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

/// Operands of a matrix-vector product: the vector along k, and the matrix.
struct Operands<'a, E> {
    n: usize,
    a: &'a [E],
    am: Mat,
    b: &'a [E],
    bm: Mat,
    kernel: RowFn<E>,
    b_stride: usize,
    /// True if columns are contiguous.
    wide: bool,
}

impl<'a, E: Real> Job<'a, E> {
    /// Computes the product if it has a single row or column and its matrix can be read in place; returns false otherwise.
    pub(super) fn row(&self, pool: &ThreadPool, batch: usize, c: &mut [E], scratch: &mut Scratch) -> bool {
        let Some(operands) = self.row_operands() else { return false };
        let n = operands.n;
        let wanted = (n * self.k / WORK).clamp(1, TASKS);
        // Split columns or steps of k.
        let (blocks, splits) = if operands.wide && n <= SHORT { (1, wanted) } else { (wanted, 1) };
        let blocks = blocks.min(n.div_ceil(COLUMNS));
        let width = n.div_ceil(blocks).next_multiple_of(COLUMNS);
        let blocks = n.div_ceil(width);
        let partial = scratch.take::<E>(if splits > 1 { batch * splits * n } else { 0 });
        let out = SharedMut::new(if splits > 1 { &mut *partial } else { &mut *c });
        pool.run(batch * blocks * splits, &|task| {
            let (rest, split) = (task / splits, task % splits);
            let (l, first) = (rest / blocks, rest % blocks * width);
            let count = width.min(n - first);
            let start = (l * splits + split) * n + first;
            // SAFETY: tasks write disjoint parts of C or of the partial sums.
            let c = unsafe { out.range(start..start + count) };
            if splits > 1 || !self.accumulate {
                c.fill(E::ZERO);
            }
            let steps = split * self.k / splits..(split + 1) * self.k / splits;
            // SAFETY: `gemm` checked the operands' extents.
            unsafe { self.row_part(&operands, l, first, steps, c) };
            if splits == 1 {
                self.apply_epilogue(c, self.row_bias(first, count), start);
            }
        });
        if splits > 1 {
            for (l, c) in c.chunks_exact_mut(n).enumerate() {
                if !self.accumulate {
                    c.fill(E::ZERO);
                }
                for part in partial[l * splits * n..(l + 1) * splits * n].chunks_exact(n) {
                    for (c, part) in c.iter_mut().zip(part) {
                        *c = E::plus(*c, *part);
                    }
                }
                self.apply_epilogue(c, self.row_bias(0, n), l * n);
            }
        }
        true
    }

    fn row_operands(&self) -> Option<Operands<'a, E>> {
        // A product of one column is the transpose of a product of one row.
        let (n, a, am, b, bm) = if self.m == 1 {
            (self.n, self.a, self.am, self.b, self.bm)
        } else if self.n == 1 {
            (self.m, self.b, self.bm.turned(), self.a, self.am.turned())
        } else {
            return None;
        };
        let wide = bm.cols == 1 && bm.rows >= 0;
        let (kernel, step) = if wide { (self.kernels.wide, bm.rows) } else { (self.kernels.dots, bm.cols) };
        let fits = (wide || (bm.rows == 1 && bm.cols >= 0)) && u32::try_from(self.k).is_ok();
        fits.then_some(Operands { n, a, am, b, bm, kernel, b_stride: step as usize, wide })
    }

    fn row_bias(&self, first: usize, count: usize) -> Option<&'a [E]> {
        self.bias.map(|bias| if self.n == 1 { bias } else { &bias[first..first + count] })
    }

    /// Adds the contribution of a range of k to the columns from `first` on.
    ///
    /// # Safety
    /// The operands must hold these elements of matrix `l`.
    unsafe fn row_part(&self, x: &Operands<'a, E>, l: usize, first: usize, steps: Range<usize>, c: &mut [E]) {
        let skip = self.skip_zeros && x.wide;
        with_local(|local| {
            let (values, at) = local.take2::<E, u32>(steps.len() + LANES, steps.len() + LANES);
            let from = x.am.offset as isize + l as isize * x.am.batch + steps.start as isize * x.am.cols;
            let count = match skip && x.am.cols == 1 {
                true => nonzero(&x.a[from as usize..][..steps.len()], values, at),
                false => {
                    for (p, (value, at)) in values.iter_mut().zip(at.iter_mut()).enumerate().take(steps.len()) {
                        (*value, *at) = (x.a[(from + p as isize * x.am.cols) as usize], p as u32);
                    }
                    steps.len()
                }
            };
            at[count..count + PREFETCH].fill(0);
            let start = x.bm.offset as isize
                + l as isize * x.bm.batch
                + first as isize * x.bm.cols
                + steps.start as isize * x.bm.rows;
            let b = x.b.as_ptr().wrapping_offset(start);
            let (a, at, k, n) = (values.as_ptr(), at.as_ptr(), count, c.len());
            // SAFETY: the caller's contract; prefetched rows need not exist.
            unsafe { (x.kernel)(&Row { a, rows: at, b, b_stride: x.b_stride, k, n, c: c.as_mut_ptr() }) };
        });
    }
}

/// Lists the nonzero elements of `a` and their indices; returns their count.
fn nonzero<E: Real>(a: &[E], values: &mut [E], at: &mut [u32]) -> usize {
    assert!(values.len() >= a.len() + LANES && at.len() >= a.len() + LANES);
    let (start, mut count) = nonzero_vectors(a, values, at);
    for (p, &value) in a.iter().enumerate().skip(start) {
        (values[count], at[count]) = (value, p as u32);
        count += usize::from(value != E::ZERO);
    }
    count
}

/// Lists the nonzero elements of the full vectors of `a`; returns the number of elements scanned and listed.
#[allow(unused_variables)] // Elsewhere than on x86.
fn nonzero_vectors<E: Real>(a: &[E], values: &mut [E], at: &mut [u32]) -> (usize, usize) {
    #[cfg(target_arch = "x86_64")]
    if TypeId::of::<E>() == TypeId::of::<f32>() && isa() == Isa::Avx512 {
        let len = a.len() / LANES * LANES;
        let (a, values, at) = (a.as_ptr().cast(), values.as_mut_ptr().cast(), at.as_mut_ptr());
        // SAFETY: the elements are `f32`, `nonzero` checked the lists, and the machine has the instructions.
        return (len, unsafe { nonzero_avx512(a, len, values, at) });
    }
    (0, 0)
}

/// Lists the nonzero elements with AVX-512 compression.
///
/// # Safety
/// `a` holds `len` elements, a multiple of sixteen, and the lists have room for sixteen more.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn nonzero_avx512(a: *const f32, len: usize, values: *mut f32, at: *mut u32) -> usize {
    use std::arch::x86_64::*;
    let mut indices = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut count = 0;
    for p in (0..len).step_by(LANES) {
        // SAFETY: the caller's contract; at most `p` elements are listed so far.
        unsafe {
            let x = _mm512_loadu_ps(a.add(p));
            let mask = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(x, _mm512_setzero_ps());
            // Compressed in a register: compressing stores are slow on some machines.
            _mm512_storeu_ps(values.add(count), _mm512_maskz_compress_ps(mask, x));
            _mm512_storeu_epi32(at.add(count).cast(), _mm512_maskz_compress_epi32(mask, indices));
            count += mask.count_ones() as usize;
        }
        indices = _mm512_add_epi32(indices, _mm512_set1_epi32(LANES as i32));
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonzero_elements_are_listed_in_order() {
        for len in [0, 1, 15, 16, 17, 100] {
            let a: Vec<f32> = (0..len).map(|p| if p % 3 == 0 { f32::NAN } else { (p % 2) as f32 * -0.5 }).collect();
            let (mut values, mut at) = (vec![0.0; len + LANES], vec![0; len + LANES]);
            let count = nonzero(&a, &mut values, &mut at);
            let expected: Vec<u32> = (0..len as u32).filter(|p| p % 3 == 0 || p % 2 == 1).collect();
            assert_eq!(&at[..count], expected);
            assert!(at[..count].iter().zip(&values).all(|(&p, v)| v.to_bits() == a[p as usize].to_bits()));
        }
    }
}
