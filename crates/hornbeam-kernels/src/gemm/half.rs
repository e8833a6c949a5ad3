//! Products of 16-bit floats: widened to `f32`, multiplied, and rounded once.

use super::half_row;
use super::{Epilogue, Form, FusedEpilogue, GemmElement, Mat, Product};
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

/// Widens `batch` strided matrices into row-major order.
fn widen_matrices<T: Half>(
    pool: &ThreadPool,
    from: &[T],
    mat: Mat,
    [batch, rows, cols]: [usize; 3],
    to: &mut [f32],
) -> Mat {
    let convert = widen_slice::<T>();
    let packed = Mat::row_major(rows, cols);
    let transpose = mat.rows == 1 && mat.cols != 1;
    let (outer, inner, outer_stride, inner_stride) =
        if transpose { (cols, rows, mat.cols, mat.rows) } else { (rows, cols, mat.rows, mat.cols) };
    let shared = SharedMut::new(to);
    pool.run_ranges(batch * outer, CHUNK / inner.max(1), &|lines| {
        for line in lines {
            let (l, i) = (line / outer, line % outer);
            let start = mat.offset as isize + l as isize * mat.batch + i as isize * outer_stride;
            // SAFETY: one task writes one row (or column, which is then stored as a row).
            let to = unsafe { shared.range(line * inner..(line + 1) * inner) };
            if inner_stride == 1 {
                let start = start as usize;
                // SAFETY: the kernel is compiled for this machine and has no other precondition.
                unsafe { convert(&from[start..start + inner], to) }
            } else {
                for (j, to) in to.iter_mut().enumerate() {
                    *to = from[(start + j as isize * inner_stride) as usize].to_acc();
                }
            }
        }
    });
    if transpose {
        Mat { rows: 1, cols: rows as isize, ..packed }
    } else {
        packed
    }
}

pub(super) fn product<T: Half>(pool: &ThreadPool, mut product: Product<'_, T>, scratch: &mut Scratch) {
    if !half_row::product(pool, &mut product, scratch) {
        wide_product(pool, product, scratch);
    }
}

/// Computes the product of operands widened to `f32`.
pub(super) fn wide_product<T: Half>(pool: &ThreadPool, product: Product<'_, T>, scratch: &mut Scratch) {
    let Product { batch, m, n, k, a, am, b, bm, c, epilogue, fused, .. } = product;
    // A repeated operand is widened once.
    let a_count = if am.batch == 0 { 1 } else { batch };
    let b_count = if bm.batch == 0 { 1 } else { batch };
    with_local(|local| {
        let bias_len = epilogue.bias.map_or(0, <[T]>::len);
        let (wide, sums, bias) =
            local.take3::<f32, f32, f32>(a_count * m * k + b_count * k * n, batch * m * n, bias_len);
        let (wide_a, wide_b) = wide.split_at_mut(a_count * m * k);
        let mut a_mat = widen_matrices(pool, a, am, [a_count, m, k], wide_a);
        let mut b_mat = widen_matrices(pool, b, bm, [b_count, k, n], wide_b);
        if am.batch == 0 {
            a_mat.batch = 0;
        }
        if bm.batch == 0 {
            b_mat.batch = 0;
        }
        if epilogue.accumulate {
            widen(pool, c, sums);
        }
        if let Some(values) = epilogue.bias {
            widen(pool, values, bias);
        }
        let wide_epilogue = Epilogue {
            bias: epilogue.bias.map(|_| &*bias),
            activation: epilogue.activation,
            accumulate: epilogue.accumulate,
        };
        let round = rounding(c, fused);
        f32::product(
            pool,
            Product {
                batch,
                m,
                n,
                k,
                a: wide_a,
                am: a_mat,
                b: wide_b,
                bm: b_mat,
                c: sums,
                epilogue: wide_epilogue,
                fused: Some(&round),
                form: Form::Plain,
            },
            scratch,
        );
    });
}
