//! Products of 16-bit floats: widened to `f32` as they are packed, multiplied, and rounded once.

use super::half_row;
use super::plan::Plan;
use super::real::Job;
use super::types::Real;
use super::{Activation, Form, FusedEpilogue, Product};
use crate::dtype::Element;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain, Scratch};

/// Elements that one task converts.
const CHUNK: usize = 1 << 16;

multiversion! {
    pub(crate) unsafe fn widen_slice[S, T: Half](from: &[T], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.to_acc();
        }
    }
    pub(crate) unsafe fn narrow_slice[S, T: Half](from: &[f32], to: &mut [T]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = T::from_acc(*from);
        }
    }
}

/// 16-bit float.
pub(crate) trait Half: Element<Acc = f32> + Plain {}
impl Half for half::f16 {}
impl Half for half::bf16 {}

/// Widens to `f32` in parallel.
pub(crate) fn widen<T: Half>(pool: &ThreadPool, from: &[T], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    let convert = widen_slice::<T>();
    pool.run_chunks(to, CHUNK, &|i, to| {
        let start = i * CHUNK;
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { convert(&from[start..start + to.len()], to) }
    });
}

/// Rounds to a 16-bit float in parallel.
pub(crate) fn narrow<T: Half>(pool: &ThreadPool, from: &[f32], to: &mut [T]) {
    assert_eq!(from.len(), to.len());
    let convert = narrow_slice::<T>();
    pool.run_chunks(to, CHUNK, &|i, to| {
        let start = i * CHUNK;
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { convert(&from[start..start + to.len()], to) }
    });
}

/// Epilogue that rounds final sums into `c` and passes them to `fused`. The sums need no memory beyond their block.
pub(super) fn rounding<'a, T: Half>(
    c: &'a mut [T],
    fused: Option<&'a dyn FusedEpilogue<T>>,
) -> impl Fn(usize, &mut [f32]) + Sync + 'a {
    let (convert, c) = (narrow_slice::<T>(), SharedMut::new(c));
    move |start, sums| {
        // SAFETY: the kernel is compiled for this machine; each element is written once.
        unsafe {
            let c = c.range(start..start + sums.len());
            convert(sums, c);
            if let Some(fused) = fused {
                fused.apply(start, c);
            }
        }
    }
}

pub(super) fn product<T: Half>(pool: &ThreadPool, mut product: Product<'_, T>, scratch: &mut Scratch) {
    if !half_row::product(pool, &mut product, scratch) {
        wide_product(pool, product, scratch);
    }
}

/// Computes the product in `f32`, into which blocks of the operands are widened as they are packed.
pub(super) fn wide_product<T: Half>(pool: &ThreadPool, product: Product<'_, T>, scratch: &mut Scratch) {
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
            relu: epilogue.activation == Activation::Relu,
            accumulate: epilogue.accumulate,
            fused: Some(&round),
            skip_zeros: false,
        };
        job.run(pool, batch, sums, scratch);
    });
}
