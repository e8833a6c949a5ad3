//! Convolutions with a prepared kernel: it is transformed (Winograd) or packed (1x1, direct) once for many calls.

use super::bf16_winograd::{self, Weights};
use super::pooled::check_pooled;
use super::winograd::{self, Kernel};
use super::{
    cast, cast_epilogue, cast_mut, columns, cost_model, direct, patches, select_algorithm, Algorithm, Context,
    ConvElement, ConvShape,
};
use crate::dtype::DType;
use crate::gemm::{self, Epilogue, FusedEpilogue, Mat};
use crate::pool::ThreadPool;
use crate::scratch::Scratch;

/// Tiles beyond which the cost of the kernel transform is negligible.
const TILES: usize = 1024;
/// Maximum floats of a prepared kernel, which takes four times the memory of the kernel.
const FLOATS: usize = 1 << 20;
/// Pixels of the result beyond which packing the kernel takes little of the time.
const PIXELS: usize = 4096;

/// Form of a prepared kernel. A property of the shape, for the algorithm of the cost model: the algorithm may be tuned after
/// preparation.
enum Form {
    /// Columns of a matrix product, packed. Its rows are those of the input, or `patches` of it.
    Product { rows: usize, inner: usize, patches: bool },
    /// Points of Winograd's algorithm.
    Points,
    /// Points rounded to bfloat16.
    RoundedPoints,
    /// Panels of the direct algorithm.
    Panels,
}

impl Form {
    fn of(shape: &ConvShape, dtype: DType) -> Option<Form> {
        match (cost_model(shape, DType::F32), dtype) {
            (Algorithm::Product { rows, inner }, DType::F32) => Some(Form::Product { rows, inner, patches: false }),
            (Algorithm::Winograd, DType::F32) => Some(Form::Points),
            (Algorithm::Winograd, DType::BF16) if gemm::has_native_bfloat16() => Some(Form::RoundedPoints),
            (Algorithm::Direct, DType::F32) if columns::is_preferred_for_forward(shape) => None,
            (Algorithm::Direct, DType::F32) if patches::is_preferred(shape) => {
                let (rows, inner) = (patches::rows(shape), patches::inner(shape));
                Some(Form::Product { rows, inner, patches: true })
            }
            (Algorithm::Direct, DType::F32) => Some(Form::Panels),
            _ => None,
        }
    }

    /// Number of floats of the kernel.
    fn len(&self, shape: &ConvShape) -> usize {
        match self {
            Form::Product { rows, inner, .. } => gemm::packed_len(*rows, shape.out_channels, *inner).unwrap_or(0),
            Form::Points => winograd::packed_len::<f32>(shape),
            Form::RoundedPoints => bf16_winograd::prepared_len(shape),
            Form::Panels => direct::packed_len::<f32>(shape),
        }
    }
}

/// Number of floats of a kernel prepared by [`prepare`], or `None` if preparation does not pay off or, for a convolution
/// that is pooled, is not implemented.
pub fn prepared_len(shape: &ConvShape, pooled: bool, dtype: DType) -> Option<usize> {
    let form = Form::of(shape, dtype)?;
    let (floats, pixels) = (form.len(shape), shape.batch * shape.output.iter().product::<usize>());
    let pays = match form {
        Form::Product { .. } => !pooled && floats > 0,
        Form::Points | Form::RoundedPoints => pixels <= TILES * 16 && floats <= FLOATS,
        Form::Panels => !pooled && pixels <= PIXELS,
    };
    let is_tuned = select_algorithm(shape, DType::F32) != cost_model(shape, DType::F32);
    (pays && !is_tuned).then_some(floats)
}

/// Transforms the kernel `w` for the `_prepared` functions.
///
/// # Panics
/// If a slice does not have its length, or kernels of the shape and dtype cannot be prepared.
pub fn prepare<T: ConvElement>(pool: &ThreadPool, shape: &ConvShape, w: &[T], prepared: &mut [f32]) {
    assert_eq!(w.len(), shape.kernel_len(), "the length of w does not fit {shape:?}");
    let form = form_of::<T>(shape, prepared);
    match form {
        Form::Product { inner, .. } => {
            let n = shape.out_channels;
            gemm::pack(pool, n, inner, cast(w), Mat::row_major(inner, n), prepared);
        }
        Form::Points => winograd::pack::<f32>(pool, shape, cast(w), prepared),
        Form::RoundedPoints => bf16_winograd::prepare(pool, shape, cast(w), prepared),
        Form::Panels => direct::pack_kernel(pool, shape, cast(w), prepared),
    }
}

/// Computes [`super::conv_forward`] with a kernel from [`prepare`], with identical bits; and with an elementwise program, if
/// [`super::can_fuse`].
///
/// # Panics
/// As [`super::conv_forward`], and if the kernel was prepared for other channels.
pub fn conv_forward_prepared<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    kernel: &[f32],
    y: &mut [T],
    epilogue: Epilogue<T>,
    fused: Option<&dyn FusedEpilogue<T>>,
    scratch: &mut Scratch,
) {
    let form = check(shape, x, kernel, &epilogue);
    assert_eq!(y.len(), shape.output_len(), "the length of y does not fit {shape:?}");
    assert!(fused.is_none() || matches!(form, Form::Product { .. }), "nothing can be fused into a prepared {shape:?}");
    if y.is_empty() {
        return;
    }
    let context = Context { pool, shape, scratch };
    match form {
        Form::Product { rows, inner, patches } => {
            let (n, am, end) = (shape.out_channels, Mat::row_major(rows, inner), cast_epilogue(epilogue));
            let apply = fused.map(|fused| move |start: usize, part: &mut [f32]| fused.apply(start, cast_mut(part)));
            let fused = apply.as_ref().map(|apply| apply as &dyn FusedEpilogue<f32>);
            let mut product = |a: &[f32]| {
                gemm::gemm_packed(pool, rows, n, inner, a, am, kernel, cast_mut(y), end, fused, context.scratch)
            };
            if patches {
                patches::with_matrix(pool, shape, cast(x), product);
            } else {
                product(cast(x));
            }
        }
        Form::Points => {
            let (w, end) = (Kernel::Points(kernel), cast_epilogue(epilogue));
            winograd::forward::<f32>(context, cast(x), w, cast_mut(y), end);
        }
        Form::RoundedPoints => {
            let (w, end) = (Weights::Prepared(kernel), cast_epilogue(epilogue));
            bf16_winograd::forward(context, cast(x), w, cast_mut(y), end);
        }
        Form::Panels => {
            let (w, end) = (direct::Kernel::Packed(kernel), cast_epilogue(epilogue));
            direct::forward(context, cast(x), w, cast_mut(y), end);
        }
    }
}

/// Computes [`super::conv_pool_forward`] with a kernel from [`prepare`], with identical bits.
///
/// # Panics
/// As [`super::conv_pool_forward`], and if the kernel was prepared for other channels.
pub fn conv_pool_forward_prepared<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    kernel: &[f32],
    epilogue: Epilogue<T>,
    y: &mut [T],
    codes: &mut [u8],
    scratch: &mut Scratch,
) {
    let form = check(shape, x, kernel, &epilogue);
    check_pooled(shape, &epilogue, y, codes);
    let context = Context { pool, shape, scratch };
    match form {
        Form::RoundedPoints => {
            let (w, end) = (Weights::Prepared(kernel), cast_epilogue(epilogue));
            bf16_winograd::pool_forward(context, cast(x), w, end, cast_mut(y), codes);
        }
        Form::Points => {
            let (w, end) = (Kernel::Points(kernel), cast_epilogue(epilogue));
            winograd::pool_forward::<f32>(context, cast(x), w, end, cast_mut(y), codes);
        }
        _ => panic!("kernels of {shape:?} cannot be prepared for pooling"),
    }
}

fn check<T: ConvElement>(shape: &ConvShape, x: &[T], kernel: &[f32], epilogue: &Epilogue<T>) -> Form {
    shape.check(x.len(), shape.kernel_len(), shape.output_len());
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == shape.out_channels), "expected one bias per output channel");
    form_of::<T>(shape, kernel)
}

/// Returns the form of a prepared kernel, and checks its length.
fn form_of<T: ConvElement>(shape: &ConvShape, prepared: &[f32]) -> Form {
    let Some(form) = Form::of(shape, T::DTYPE) else {
        panic!("prepared kernels do not support {shape:?} of {}", T::DTYPE)
    };
    assert_eq!(prepared.len(), form.len(shape), "the length of the prepared kernel does not fit {shape:?}");
    form
}
