//! Matrix-vector products of 16-bit floats: a single row (or column) of results. Every element of the matrix is read once,
//! so they are bound by memory bandwidth, and elements are widened in registers.

use super::rounding::rounding;
use super::stream::{dots, wide};
use super::vector::clamp;
use super::Product;
use crate::dtype::half::{widen_slice, Half};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::Scratch;

/// Columns whose sums stay in the L1 cache.
const COLUMNS: usize = 4096;
/// Multiply-adds of a task: a quarter of a megabyte of the matrix.
const WORK: usize = 1 << 17;
/// Maximum number of tasks.
const TASKS: usize = 16;

/// Computes the product if it has a single row or column and its matrix can be read in place; returns false otherwise.
pub(super) fn product<T: Half>(pool: &ThreadPool, product: &mut Product<'_, T>, scratch: &mut Scratch) -> bool {
    let Product { batch, m, n, k, .. } = *product;
    // A product of one column is the transpose of a product of one row.
    let (count, a, am, b, bm) = match (m, n) {
        (1, _) => (n, product.a, product.am, product.b, product.bm),
        (_, 1) => (m, product.b, product.bm.turned(), product.a, product.am.turned()),
        _ => return false,
    };
    let is_wide = bm.cols == 1 && bm.rows >= 0;
    let is_tall = bm.rows == 1 && bm.cols >= 0;
    if !(is_wide || is_tall) {
        return false;
    }
    let (kernel, widen) = (if is_wide { wide::<T>() } else { dots::<T>() }, widen_slice::<T>());
    let stride = if is_wide { bm.rows } else { bm.cols } as usize;
    let wanted = (count * k / WORK).clamp(1, TASKS);
    // Rows are read to their end, but for very long ones.
    let blocks = if is_wide { count.div_ceil(COLUMNS) } else { wanted.min(count) };
    let splits = if is_wide { wanted.div_ceil(blocks) } else { 1 };

    let bias = product.epilogue.bias.unwrap_or_default();
    let (factors, partial) = scratch.take2::<f32, f32>(batch * k + bias.len(), batch * splits * count);
    let (factors, wide_bias) = factors.split_at_mut(batch * k);
    // SAFETY: the kernel is compiled for this machine and has no other precondition.
    unsafe { widen(bias, wide_bias) };
    for (index, factor) in factors.iter_mut().enumerate() {
        let (l, p) = ((index / k) as isize, (index % k) as isize);
        *factor = a[(am.offset as isize + l * am.batch + p * am.cols) as usize].to_acc();
    }
    let (factors, out) = (&*factors, SharedMut::new(partial));
    pool.run(batch * splits * blocks, &|task| {
        let (rest, block) = (task / blocks, task % blocks);
        let (l, split) = (rest / splits, rest % splits);
        let [first, end] = [block, block + 1].map(|block| block * count / blocks);
        let [step, last] = [split, split + 1].map(|split| split * k / splits);
        let at = [(l, bm.batch), (step, bm.rows), (first, bm.cols)];
        let at = bm.offset as isize + at.iter().map(|&(index, stride)| index as isize * stride).sum::<isize>();
        // SAFETY: tasks write disjoint sums; `gemm` checked the extents of B.
        unsafe {
            let sums = out.range(rest * count + first..rest * count + end);
            sums.fill(0.0);
            kernel(&factors[l * k + step..l * k + last], b.as_ptr().wrapping_offset(at), stride, sums);
        }
    });

    let accumulated = product.epilogue.accumulate.then(|| product.c.to_vec());
    let round = rounding(product.c, product.fused);
    for (l, parts) in partial.chunks_exact_mut(splits * count).enumerate() {
        let (sums, parts) = parts.split_at_mut(count);
        for part in parts.chunks_exact(count) {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        if let Some(c) = &accumulated {
            sums.iter_mut().zip(&c[l * count..]).for_each(|(sum, c)| *sum += c.to_acc());
        }
        if !wide_bias.is_empty() {
            sums.iter_mut().zip(wide_bias.iter().cycle()).for_each(|(sum, bias)| *sum += bias);
        }
        if let Some(limit) = product.epilogue.activation.relu() {
            sums.iter_mut().for_each(|sum| *sum = clamp(*sum, limit));
        }
        round(l * count, sums);
    }
    true
}
