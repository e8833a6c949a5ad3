//! Products of 16-bit floats: widened to `f32` as they are packed, multiplied, and rounded once.

use super::plan::TASK_WORK;
use super::rounding::rounding;
use super::types::{Job, Plan, Real};
use super::{half_row, real, Epilogue, Form, Mat, Product};
use crate::dtype::half::{widen, widen_slice, Half};
use crate::pool::ThreadPool;
use crate::scratch::{with_local, Scratch};

pub(super) fn product<T: Half>(pool: &ThreadPool, mut product: Product<'_, T>, scratch: &mut Scratch) {
    if !half_row::product(pool, &mut product, scratch) {
        wide_product(pool, product, scratch);
    }
}

/// Elements of tiny matrices and of their product.
const TINY: usize = 512;
/// Elements of tiny matrices and of their products that are in `f32` at a time: they stay in the L1 cache.
const TOGETHER: usize = 1 << 13;

/// Computes a batch of contiguous tiny matrices in `f32`, many at a time: to pack them one by one would take longer than
/// their sums. Returns false for others.
fn tiny_products<T: Half>(pool: &ThreadPool, product: &mut Product<'_, T>) -> bool {
    let Product { batch, m, n, k, a, am, b, bm, epilogue, fused, .. } = *product;
    let [a_len, b_len, c_len] = [m * k, k * n, m * n];
    let all = a_len + b_len + c_len;
    if batch < 2 || k == 0 || all > TINY || epilogue.accumulate {
        return false;
    }
    if !am.is_contiguous(m, k) || !bm.is_contiguous(k, n) {
        return false;
    }
    let round = rounding(product.c, fused);
    let convert = widen_slice::<T>();
    let group = TOGETHER / all;
    let matrices = (TASK_WORK / (c_len * k)).next_multiple_of(group);
    pool.run_ranges(batch, matrices, &|range| {
        with_local(|local| {
            let bias = epilogue.bias.unwrap_or_default();
            let (wide, wide_bias, sums) =
                local.take3::<f32, f32, f32>(group * (a_len + b_len), bias.len(), group * c_len);
            // SAFETY: the kernel is compiled for this machine and has no other precondition.
            let widen = |from: &[T], to: &mut [f32]| unsafe { convert(from, to) };
            widen(bias, wide_bias);
            for first in range.clone().step_by(group) {
                let count = group.min(range.end - first);
                let (wide_a, wide_b) = wide[..count * (a_len + b_len)].split_at_mut(count * a_len);
                widen(&a[am.offset + first * a_len..][..count * a_len], wide_a);
                widen(&b[bm.offset + first * b_len..][..count * b_len], wide_b);
                let c = &mut sums[..count * c_len];
                let group = Product {
                    batch: count,
                    m,
                    n,
                    k,
                    a: wide_a,
                    am: Mat { offset: 0, ..am },
                    b: wide_b,
                    bm: Mat { offset: 0, ..bm },
                    c,
                    epilogue: Epilogue {
                        bias: epilogue.bias.map(|_| &*wide_bias),
                        activation: epilogue.activation,
                        accumulate: false,
                    },
                    fused: None,
                    form: Form::Plain,
                };
                with_local(|scratch| real::product(pool, group, scratch));
                round(first * c_len, &mut sums[..count * c_len]);
            }
        });
    });
    true
}

/// Computes the product in `f32`, into which blocks of the operands are widened as they are packed.
pub(super) fn wide_product<T: Half>(pool: &ThreadPool, mut product: Product<'_, T>, scratch: &mut Scratch) {
    if tiny_products(pool, &mut product) {
        return;
    }
    let Product { batch, m, n, k, a, am, b, bm, c, epilogue, fused, .. } = product;
    let kernels = f32::kernels();
    let plan = Plan::new(kernels, [batch, m, n, k], am, bm, Form::Plain, true, Some(0), pool.threads());
    with_local(|local| {
        let bias_len = epilogue.bias.map_or(0, <[T]>::len);
        let (sums, bias) = local.take2::<f32, f32>(batch * m * n, bias_len);
        if epilogue.accumulate {
            widen(pool, c, sums);
        }
        if let Some(values) = epilogue.bias {
            widen(pool, values, bias);
        }
        let round = rounding(c, fused);
        let job = Job {
            kernels,
            plan,
            m,
            n,
            k,
            a,
            am,
            b,
            bm,
            bias: epilogue.bias.map(|_| &*bias),
            relu: epilogue.activation.relu(),
            accumulate: epilogue.accumulate,
            fused: Some(&round),
            skip_zeros: false,
        };
        job.run(pool, batch, sums, scratch);
    });
}
