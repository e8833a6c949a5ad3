//! Products of `bfloat16` on CPUs that multiply pairs of them (AVX512-BF16), summed in `f32` and rounded once.
//!
//! The instruction takes two neighbouring steps of k in the space of one float, so that a product over k is a product
//! of floats over half of k, with the blocks, tasks and tiles of [`super::real`]. An operand whose steps of k are
//! contiguous in memory is read in place; others are first interleaved into pairs. Subnormal numbers count as zero.

use std::ops::Range;

use super::rounding::rounding;
use super::types::Kernels;
use super::{half, half_row, has_native_bfloat16, real, tile, Epilogue, Form, Mat, Product};
use crate::dtype::bf16;
use crate::dtype::half::{widen, widen_slice};
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};

/// Elements that one task interleaves.
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

/// Batch of matrices with `lines` lines of `k` steps each: rows of A, columns of B.
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
    fn lhs(data: &'a [bf16], mat: Mat, [batch, m, k]: [usize; 3]) -> Self {
        Self { data, batch, lines: m, k, offset: mat.offset, strides: [mat.batch, mat.rows, mat.cols] }
    }

    fn rhs(data: &'a [bf16], mat: Mat, [batch, k, n]: [usize; 3]) -> Self {
        Self { data, batch, lines: n, k, offset: mat.offset, strides: [mat.batch, mat.cols, mat.rows] }
    }

    /// Returns true if every pair of steps is an aligned float in memory.
    fn is_paired(&self) -> bool {
        let [batch, line, step] = self.strides;
        let address = self.data.as_ptr().wrapping_add(self.offset) as usize;
        step == 1 && (self.k | batch as usize | line as usize).is_multiple_of(2) && address.is_multiple_of(4)
    }

    /// Number of distinct matrices.
    fn count(&self) -> usize {
        if self.strides[0] == 0 {
            1
        } else {
            self.batch
        }
    }

    /// Number of floats of the interleaved operand, 0 if it is read in place.
    fn len(&self) -> usize {
        if self.is_paired() {
            0
        } else {
            self.count() * self.lines * self.k.div_ceil(2)
        }
    }

    /// Returns the operand in pairs: its data and the strides of batch, line and step.
    fn in_pairs<'b>(&self, pool: &ThreadPool, to: &'b mut [f32]) -> (&'b [f32], [isize; 3])
    where
        'a: 'b,
    {
        let [batch, line, _] = self.strides;
        if self.is_paired() {
            let data = &self.data[self.offset..];
            // SAFETY: aligned as checked, within the slice, and any bit pattern is a float.
            let floats = unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), data.len() / 2) };
            return (floats, [batch / 2, line / 2, 1]);
        }
        let (lines, steps) = (self.lines, self.k.div_ceil(2));
        let repeated = if batch == 0 { 0 } else { (lines * steps) as isize };
        if self.strides[1] == 1 {
            self.interleave_rows(pool, steps, lines, to, &|l, p, to| self.interleave_lines(l, p, to));
            (to, [repeated, 1, lines as isize])
        } else {
            self.interleave_rows(pool, lines, steps, to, &|l, i, to| self.interleave_line(l, i, to));
            (to, [repeated, steps as isize, 1])
        }
    }

    /// Fills `[count, outer, inner]` in parallel with `fill(l, i, row)`.
    fn interleave_rows(
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

    fn index(&self, l: usize, line: usize, step: usize) -> usize {
        let [batch, line_stride, step_stride] = self.strides;
        (self.offset as isize + l as isize * batch + line as isize * line_stride + step as isize * step_stride) as usize
    }

    /// Interleaves steps `2p` and `2p + 1` of contiguous lines.
    fn interleave_lines(&self, l: usize, p: usize, to: &mut [f32]) {
        let first = &self.data[self.index(l, 0, 2 * p)..][..self.lines];
        if 2 * p + 1 < self.k {
            let second = &self.data[self.index(l, 0, 2 * p + 1)..][..self.lines];
            // SAFETY: the kernel is compiled for this machine and has no other precondition.
            unsafe { interleave()(first, second, to) };
        } else {
            to.iter_mut().zip(first).for_each(|(to, first)| *to = pair(*first, bf16::ZERO));
        }
    }

    /// Interleaves the steps of one line.
    fn interleave_line(&self, l: usize, line: usize, to: &mut [f32]) {
        for (p, to) in to.iter_mut().enumerate() {
            let second = if 2 * p + 1 < self.k { self.data[self.index(l, line, 2 * p + 1)] } else { bf16::ZERO };
            *to = pair(self.data[self.index(l, line, 2 * p)], second);
        }
    }
}

/// Pairs the elements of rows of `size`, the last of a row with zero if their number is odd.
pub(crate) fn pair_rows(pool: &ThreadPool, size: usize, from: &[bf16], to: &mut [f32]) {
    let half = size.div_ceil(2);
    let rows = CHUNK.div_ceil(size);
    pool.run_chunks(to, rows * half, &|chunk, to| {
        let from = &from[chunk * rows * size..][..to.len() / half * size];
        match size {
            // The colors of pixels.
            3 => from.as_chunks::<3>().0.iter().zip(to.as_chunks_mut::<2>().0).for_each(|(row, to)| {
                *to = [pair(row[0], row[1]), pair(row[2], bf16::ZERO)];
            }),
            _ => from.chunks_exact(size).zip(to.chunks_exact_mut(half)).for_each(|(row, to)| {
                for (to, two) in to.iter_mut().zip(row.chunks(2)) {
                    *to = pair(two[0], *two.get(1).unwrap_or(&bf16::ZERO));
                }
            }),
        }
    });
}

/// Kernels of pairs, `None` if `f32` is faster.
pub(crate) fn kernels() -> Option<&'static Kernels<f32>> {
    tile::pairs().filter(|_| has_native_bfloat16())
}

/// Interleaves pieces `2p` and `2p + 1` of some pieces of `size` elements, the last with zeros if their number is odd.
pub(crate) fn interleave_neighbors(pool: &ThreadPool, size: usize, from: &[bf16], to: &mut [f32]) {
    assert_eq!(from.len().div_ceil(size.max(1)).div_ceil(2) * size, to.len());
    let (interleave, chunks) = (interleave(), size.div_ceil(CHUNK));
    let to = SharedMut::new(to);
    pool.run_ranges(to.len().div_ceil(size.max(1)) * chunks, CHUNK.div_ceil(size.max(1)), &|range: Range<usize>| {
        for index in range {
            let (p, chunk) = (index / chunks, index % chunks);
            let part = chunk * CHUNK..((chunk + 1) * CHUNK).min(size);
            let (first, second) = from[2 * p * size..].split_at(size);
            // SAFETY: each part is in one range; the kernel is compiled for this machine.
            unsafe {
                let to = to.range(p * size + part.start..p * size + part.end);
                match second.get(part.clone()) {
                    Some(second) => interleave(&first[part], second, to),
                    None => to.iter_mut().zip(&first[part]).for_each(|(to, first)| *to = pair(*first, bf16::ZERO)),
                }
            }
        }
    });
}

pub(super) fn product(pool: &ThreadPool, mut product: Product<'_, bf16>, scratch: &mut Scratch) {
    if half_row::product(pool, &mut product, scratch) {
        return;
    }
    match kernels() {
        Some(kernels) => product_of_pairs(kernels, pool, product, scratch),
        None => half::wide_product(pool, product, scratch),
    }
}

fn product_of_pairs(
    kernels: &'static Kernels<f32>,
    pool: &ThreadPool,
    product: Product<'_, bf16>,
    scratch: &mut Scratch,
) {
    let Product { batch, m, n, k, a, am, b, bm, c, epilogue, fused, .. } = product;
    let lhs = Operand::lhs(a, am, [batch, m, k]);
    let rhs = Operand::rhs(b, bm, [batch, k, n]);
    with_local(|local| {
        let (a_len, bias_len) = (lhs.len(), epilogue.bias.map_or(0, <[bf16]>::len));
        let (operands, sums, bias) = local.take3::<f32, f32, f32>(a_len + rhs.len(), batch * m * n, bias_len);
        let (a_pairs, b_pairs) = operands.split_at_mut(a_len);
        let (a, [a_batch, a_line, a_step]) = lhs.in_pairs(pool, a_pairs);
        let (b, [b_batch, b_line, b_step]) = rhs.in_pairs(pool, b_pairs);
        if epilogue.accumulate {
            widen(pool, c, sums);
        }
        if let Some(values) = epilogue.bias {
            // SAFETY: the kernel is compiled for this machine and has no other precondition.
            unsafe { widen_slice::<bf16>()(values, bias) };
        }
        let round = rounding(c, fused);
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
            form: Form::Plain,
        };
        real::product_by(kernels, pool, pairs, scratch);
    });
}
