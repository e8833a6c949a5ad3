//! Forward pass of a convolution and the pooling after it, in the type of the tensors.

use super::output_grad::MASKED;
use super::{
    cast, cast_epilogue, cast_mut, conv_forward, select_algorithm, winograd, Algorithm, Context, ConvElement, ConvShape,
};
use crate::dtype::Element;
use crate::gemm::{Activation, Epilogue};
use crate::multiversion;
use crate::pool::SharedMut;
use crate::scratch::with_local;
use std::ops::Range;

/// Approximate elements of a task.
const TASK: usize = 1 << 14;

/// Checks the arguments that only pooled convolutions have.
pub(super) fn check_pooled<T>(shape: &ConvShape, epilogue: &Epilogue<T>, y: &[T], codes: &[u8]) {
    assert!(!epilogue.accumulate, "a pooled convolution cannot accumulate");
    // Equal limits would tie, where the codes name the first maximum.
    assert!(matches!(epilogue.activation, Activation::None | Activation::RELU), "a relu before pooling has no limit");
    assert_eq!(y.len(), shape.pooled_len(), "the length of y does not fit {shape:?} pooled");
    assert_eq!(codes.len(), y.len(), "expected one code per pooled value");
}

/// Computes [`super::conv_pool_forward`] of checked arguments.
pub(super) fn forward<T: ConvElement>(
    context: Context,
    x: &[T],
    w: &[T],
    epilogue: Epilogue<T>,
    y: &mut [T],
    codes: &mut [u8],
) {
    let Context { pool, shape, scratch } = context;
    if select_algorithm(shape, T::DTYPE) == Algorithm::Winograd {
        let (x, w, y) = (cast(x), winograd::Kernel::Taps(cast(w)), cast_mut(y));
        return winograd::pool_forward::<f32>(
            Context { pool, shape, scratch },
            x,
            w,
            cast_epilogue(epilogue),
            y,
            codes,
        );
    }
    with_local(|local| {
        let unpooled = local.take::<T>(shape.output_len());
        conv_forward(pool, shape, x, w, unpooled, epilogue, scratch);
        let [height, width] = shape.pooled();
        let line = width * shape.out_channels;
        let (unpooled, relu) = (&*unpooled, epilogue.activation == Activation::RELU);
        let kernel = pool_rows::<T>();
        let (y, codes) = (SharedMut::new(y), SharedMut::new(codes));
        if line > 0 {
            pool.run_ranges(shape.batch * shape.output[0] * height, TASK.div_ceil(line), &|rows| {
                let range = rows.start * line..rows.end * line;
                // SAFETY: ranges of rows are disjoint; the kernel is compiled for this machine.
                unsafe { kernel(shape, rows, unpooled, relu, y.range(range.clone()), codes.range(range)) };
            });
        }
    });
}

multiversion! {
    unsafe fn pool_rows[S, T: Element; T::DTYPE.copies()](
        shape: &ConvShape, rows: Range<usize>, x: &[T], relu: bool, y: &mut [T], codes: &mut [u8],
    ) {
        let [height, width] = [shape.output[1] / 2, shape.output[2] / 2];
        let c = shape.out_channels;
        let line = shape.output[2] * c;
        let pixels = y.chunks_exact_mut(c).zip(codes.chunks_exact_mut(c));
        for (index, (y, codes)) in pixels.enumerate() {
            let (row, w) = (rows.start + index / width, index % width);
            let first = (row / height * shape.output[1] + row % height * 2) * line + w * 2 * c;
            y.copy_from_slice(&x[first..first + c]);
            codes.fill(0);
            for (code_of_tap, from) in [(1, first + c), (2, first + line), (3, first + line + c)] {
                for ((y, code), x) in y.iter_mut().zip(&mut *codes).zip(&x[from..from + c]) {
                    let (new, old) = (x.to_acc(), y.to_acc());
                    let wins = (new > old) | (new.is_nan() & !old.is_nan());
                    *y = if wins { *x } else { *y };
                    *code = if wins { code_of_tap } else { *code };
                }
            }
            if relu {
                for (y, code) in y.iter().zip(codes) {
                    *code = if y.to_acc() > <T::Acc as Element>::ZERO { *code } else { MASKED };
                }
            }
        }
    }
}
