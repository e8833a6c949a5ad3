//! Products of `bfloat16` where the CPU multiplies pairs of them (AVX512-BF16), summed in `f32` and rounded once.
//!
//! The instruction takes two neighbouring steps of k in the place of one float, so that a product over k is a product
//! of floats over half of k: the blocks, tasks and tiles are those of [`super::real`]. An operand whose steps of k are
//! neighbours in memory is read where it lies; others are first laid out in pairs. Subnormal numbers count as zero.

use std::ops::Range;

use super::half::{self, narrow_slice, widen, widen_slice};
use super::real;
use super::tile::{self, Kernels};
use super::{Epilogue, Mat, Product};
use crate::dtype::bf16;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};

/// Elements that one task lays out.
const CHUNK: usize = 1 << 15;

multiversion! {
    unsafe fn interleave[S](first: &[bf16], second: &[bf16], to: &mut [f32]) {
        for ((to, first), second) in to.iter_mut().zip(first).zip(second) {
            *to = pair(*first, *second);
        }
    }
}

#[inline(always)]
fn pair(first: bf16, second: bf16) -> f32 {
    f32::from_bits(u32::from(first.to_bits()) | u32::from(second.to_bits()) << 16)
}

/// A stack of matrices with `lines` lines of `k` steps each: rows of A, columns of B.
struct Operand<'a> {
    data: &'a [bf16],
    batch: usize,
    lines: usize,
    k: usize,
    offset: usize,
    /// Distances between matrices, lines and steps.
    strides: [isize; 3],
}

impl<'a> Operand<'a> {
    fn left(data: &'a [bf16], mat: Mat, [batch, m, k]: [usize; 3]) -> Self {
        Self { data, batch, lines: m, k, offset: mat.offset, strides: [mat.batch, mat.rows, mat.cols] }
    }

    fn right(data: &'a [bf16], mat: Mat, [batch, k, n]: [usize; 3]) -> Self {
        Self { data, batch, lines: n, k, offset: mat.offset, strides: [mat.batch, mat.cols, mat.rows] }
    }

    /// Whether every pair of steps is a float in memory.
    fn lies_in_pairs(&self) -> bool {
        let [batch, line, step] = self.strides;
        let address = self.data.as_ptr().wrapping_add(self.offset) as usize;
        step == 1 && (self.k | batch as usize | line as usize).is_multiple_of(2) && address.is_multiple_of(4)
    }

    /// The matrices that are different.
    fn count(&self) -> usize {
        if self.strides[0] == 0 {
            1
        } else {
            self.batch
        }
    }

    /// Floats that the operand takes when laid out.
    fn len(&self) -> usize {
        if self.lies_in_pairs() {
            0
        } else {
            self.count() * self.lines * self.k.div_ceil(2)
        }
    }

    /// The operand in pairs: the data and its strides, as of `[batch, line, step]`.
    fn in_pairs<'b>(&self, pool: &ThreadPool, to: &'b mut [f32]) -> (&'b [f32], [isize; 3])
    where
        'a: 'b,
    {
        let [batch, line, _] = self.strides;
        if self.lies_in_pairs() {
            let data = &self.data[self.offset..];
            // SAFETY: aligned as checked, within the slice, and any bits are a float.
            let floats = unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), data.len() / 2) };
            return (floats, [batch / 2, line / 2, 1]);
        }
        let (lines, steps) = (self.lines, self.k.div_ceil(2));
        let repeated = if batch == 0 { 0 } else { (lines * steps) as isize };
        if self.strides[1] == 1 {
            self.lay_out(pool, steps, lines, to, &|l, p, to| self.two_steps(l, p, to));
            (to, [repeated, 1, lines as isize])
        } else {
            self.lay_out(pool, lines, steps, to, &|l, i, to| self.one_line(l, i, to));
            (to, [repeated, steps as isize, 1])
        }
    }

    /// Fills `[count, outer, inner]` in parallel: `fill(l, i, row)`.
    fn lay_out(
        &self,
        pool: &ThreadPool,
        outer: usize,
        inner: usize,
        to: &mut [f32],
        fill: &(dyn Fn(usize, usize, &mut [f32]) + Sync),
    ) {
        let to = SharedMut::new(to);
        let rows = (CHUNK / inner.max(1)).max(1);
        pool.run_ranges(self.count() * outer, rows, &|range: Range<usize>| {
            for i in range {
                // SAFETY: each row is in one range.
                fill(i / outer, i % outer, unsafe { to.range(i * inner..(i + 1) * inner) });
            }
        });
    }

    fn at(&self, l: usize, line: usize, step: usize) -> usize {
        let [batch, across, along] = self.strides;
        (self.offset as isize + l as isize * batch + line as isize * across + step as isize * along) as usize
    }

    /// Steps `2p` and `2p + 1` of lines that are neighbours.
    fn two_steps(&self, l: usize, p: usize, to: &mut [f32]) {
        let first = &self.data[self.at(l, 0, 2 * p)..][..self.lines];
        if 2 * p + 1 < self.k {
            let second = &self.data[self.at(l, 0, 2 * p + 1)..][..self.lines];
            // SAFETY: compiled for this machine; the body asks nothing else.
            unsafe { interleave()(first, second, to) };
        } else {
            to.iter_mut().zip(first).for_each(|(to, first)| *to = pair(*first, bf16::ZERO));
        }
    }

    fn one_line(&self, l: usize, line: usize, to: &mut [f32]) {
        for (p, to) in to.iter_mut().enumerate() {
            let second = if 2 * p + 1 < self.k { self.data[self.at(l, line, 2 * p + 1)] } else { bf16::ZERO };
            *to = pair(self.data[self.at(l, line, 2 * p)], second);
        }
    }
}

pub(super) fn product(pool: &ThreadPool, product: Product<'_, bf16>, scratch: &mut Scratch) {
    match tile::pairs() {
        Some(kernels) => by_pairs(kernels, pool, product, scratch),
        None => half::product(pool, product, scratch),
    }
}

fn by_pairs(kernels: &'static Kernels<f32>, pool: &ThreadPool, product: Product<'_, bf16>, scratch: &mut Scratch) {
    let Product { batch, m, n, k, a, am, b, bm, c, epilogue, fused, .. } = product;
    let left = Operand::left(a, am, [batch, m, k]);
    let right = Operand::right(b, bm, [batch, k, n]);
    with_local(|local| {
        let (a_len, bias_len) = (left.len(), epilogue.bias.map_or(0, <[bf16]>::len));
        let (operands, sums, bias) = local.take3::<f32, f32, f32>(a_len + right.len(), batch * m * n, bias_len);
        let (a_pairs, b_pairs) = operands.split_at_mut(a_len);
        let (a, [a_batch, a_line, a_step]) = left.in_pairs(pool, a_pairs);
        let (b, [b_batch, b_line, b_step]) = right.in_pairs(pool, b_pairs);
        if epilogue.accumulate {
            widen(pool, c, sums);
        }
        if let Some(values) = epilogue.bias {
            // SAFETY: compiled for this machine; the body asks nothing else.
            unsafe { widen_slice::<bf16>()(values, bias) };
        }
        let (convert, c) = (narrow_slice::<bf16>(), SharedMut::new(c));
        let round = |start: usize, sums: &mut [f32]| {
            // SAFETY: compiled for this machine; each element is handed on once.
            unsafe {
                let c = c.range(start..start + sums.len());
                convert(sums, c);
                if let Some(fused) = fused {
                    fused.apply(start, c);
                }
            }
        };
        let pairs = Product {
            batch,
            m,
            n,
            k: k.div_ceil(2),
            a,
            am: Mat { offset: 0, rows: a_line, cols: a_step, batch: a_batch },
            b,
            bm: Mat { offset: 0, rows: b_step, cols: b_line, batch: b_batch },
            c: sums,
            epilogue: Epilogue {
                bias: epilogue.bias.map(|_| &*bias),
                activation: epilogue.activation,
                accumulate: epilogue.accumulate,
            },
            fused: Some(&round),
            finite: false,
        };
        real::product_by(kernels, pool, pairs, scratch);
    });
}
