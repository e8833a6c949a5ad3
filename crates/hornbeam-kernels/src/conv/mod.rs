//! Convolutions over channels-last tensors: forward, input gradient, kernel gradient.
//!
//! `x` is `[batch, D, H, W, C]`, `w` is `[KD, KH, KW, C / groups, O]`, `y` is `[batch, D', H', W', O]`; one- and
//! two-dimensional convolutions have leading extents of 1. There is no im2col: the micro-kernels of [`crate::gemm`] read
//! pixels in place, from the tensor itself or from a zero-padded copy of a few rows. Results with few channels are sums of
//! the columns of a few rows (col2im).

mod backward;
mod bf16_winograd;
mod columns;
mod depthwise;
mod direct;
mod dpbf16;
mod fused;
mod half;
mod integer;
mod kernel_grad;
mod output_grad;
mod patch;
mod patches;
mod pooled;
mod prepared;
mod quantized;
mod tap_grad;
mod tune;
mod winograd;

use crate::dtype::{bf16, f16, DType};
use crate::gemm::{gemm, gemm_product, Epilogue, Form, FusedEpilogue, GemmElement, Mat, Product};
use crate::pool::ThreadPool;
use crate::scratch::{Plain, Scratch};
use crate::window::PoolElement;
use std::any::TypeId;

pub use fused::{conv_backward, conv_pool_forward};
pub use output_grad::{OutputGrad, MASKED};
pub use prepared::{conv_forward_prepared, conv_pool_forward_prepared, prepare, prepared_len};
pub use quantized::{conv_int8, has_int8, pack_int8, packed_int8_len, Int8Kernel, Int8Result, Rounding, ScaleAndClamp};
pub use tune::{autotune, candidate_algorithms, set_algorithm};

/// Shape of a convolution; spatial extents are (depth, height, width).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    pub batch: usize,
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub kernel: [usize; 3],
    pub strides: [usize; 3],
    pub dilation: [usize; 3],
    /// Zero padding before the first element; the padding after the last follows from `output`.
    pub pad: [usize; 3],
    pub in_channels: usize,
    pub out_channels: usize,
    pub groups: usize,
}

impl ConvShape {
    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        self.batch * self.input.iter().product::<usize>() * self.in_channels
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.batch * self.output.iter().product::<usize>() * self.out_channels
    }

    /// Elements of the kernel.
    pub fn kernel_len(&self) -> usize {
        self.taps() * self.group_in() * self.out_channels
    }

    /// Multiply-adds of the direct algorithm.
    pub fn work(&self) -> usize {
        self.output_len() * self.taps() * self.group_in()
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    fn group_in(&self) -> usize {
        self.in_channels / self.groups
    }

    fn group_out(&self) -> usize {
        self.out_channels / self.groups
    }

    fn check(&self, x: usize, w: usize, y: usize) {
        assert!(
            self.groups > 0
                && self.in_channels.is_multiple_of(self.groups)
                && self.out_channels.is_multiple_of(self.groups),
            "channels must be divisible by groups: {self:?}"
        );
        assert!(
            self.strides.iter().chain(&self.dilation).all(|&s| s > 0),
            "strides and dilation must be positive: {self:?}"
        );
        assert_eq!(x, self.input_len(), "the length of x does not fit {self:?}");
        assert_eq!(w, self.kernel_len(), "the length of w does not fit {self:?}");
        assert_eq!(y, self.output_len(), "the length of y does not fit {self:?}");
    }

    /// Returns true for a 1x1 kernel without stride or padding: a matrix product over pixels.
    pub fn is_pointwise(&self) -> bool {
        self.groups == 1
            && self.kernel == [1; 3]
            && self.strides == [1; 3]
            && self.pad == [0; 3]
            && self.input == self.output
    }

    /// Returns true for a kernel as large as the image: a matrix product over images.
    fn is_dense(&self) -> bool {
        self.groups == 1
            && self.kernel == self.input
            && self.output == [1; 3]
            && self.pad == [0; 3]
            && (0..3).all(|d| self.dilation[d] == 1 || self.kernel[d] == 1)
    }
}

/// Threads, shape and memory of a pass of a convolution.
#[doc(hidden)]
pub struct Context<'a> {
    pub pool: &'a ThreadPool,
    pub shape: &'a ConvShape,
    pub scratch: &'a mut Scratch,
}

/// Algorithm of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Matrix product with a row per pixel (or per image).
    Product { rows: usize, inner: usize },
    /// Groups of one or few channels, with channels as vector lanes.
    Depthwise,
    /// Winograd F(4x4, 3x3): a quarter of the multiplications, `f32` only.
    Winograd,
    /// Implicit GEMM with register tiles over pixels and output channels; where the channels are few, over columns and
    /// pixels, and where the pixels are, over a matrix of patches.
    Direct,
}

/// Selects the algorithm for a shape and dtype: the autotuned one if available, otherwise by the cost model. Forward and
/// backward passes use the same algorithm.
pub fn select_algorithm(shape: &ConvShape, dtype: DType) -> Algorithm {
    tune::tuned_algorithm(shape, dtype).unwrap_or_else(|| cost_model(shape, dtype))
}

fn cost_model(shape: &ConvShape, dtype: DType) -> Algorithm {
    if shape.is_pointwise() {
        let rows = shape.batch * shape.input.iter().product::<usize>();
        Algorithm::Product { rows, inner: shape.in_channels }
    } else if shape.is_dense() {
        Algorithm::Product { rows: shape.batch, inner: shape.taps() * shape.in_channels }
    } else if depthwise::supports(shape) {
        Algorithm::Depthwise
    } else if dtype == DType::F32 && winograd::is_preferred(shape) {
        Algorithm::Winograd
    } else {
        Algorithm::Direct
    }
}

/// Number for which convolutions are implemented: floats and integers (which wrap).
pub trait ConvElement: GemmElement + PoolElement<Acc: Plain> {
    #[doc(hidden)]
    fn forward(context: Context, x: &[Self], w: &[Self], y: &mut [Self], epilogue: Epilogue<Self>);

    #[doc(hidden)]
    fn input_grad(context: Context, dy: &[Self], w: &[Self], dx: &mut [Self]);

    #[doc(hidden)]
    fn kernel_grad(context: Context, x: &[Self], dy: &[Self], dw: &mut [Self]);
}

macro_rules! conv_element {
    ($module:ident: $($t:ty)*) => {$(
        impl ConvElement for $t {
            fn forward(context: Context, x: &[$t], w: &[$t], y: &mut [$t], epilogue: Epilogue<$t>) {
                $module::forward(context, x, w, y, epilogue)
            }
            fn input_grad(context: Context, dy: &[$t], w: &[$t], dx: &mut [$t]) {
                $module::input_grad(context, dy, w, dx)
            }
            fn kernel_grad(context: Context, x: &[$t], dy: &[$t], dw: &mut [$t]) {
                $module::kernel_grad(context, x, dy, dw)
            }
        }
    )*};
}

conv_element!(real: f32 f64);
conv_element!(half: f16 bf16);
conv_element!(integer: i8 i16 i32 i64 u8 u16 u32 u64);

/// Computes `y = activation(conv(x, w) + bias (+ y))` (a cross-correlation).
///
/// # Panics
/// If the length of a slice does not fit the shape.
pub fn conv_forward<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    w: &[T],
    y: &mut [T],
    epilogue: Epilogue<T>,
    scratch: &mut Scratch,
) {
    shape.check(x.len(), w.len(), y.len());
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == shape.out_channels), "expected one bias per output channel");
    if !y.is_empty() {
        T::forward(Context { pool, shape, scratch }, x, w, y, epilogue);
    }
}

/// Returns true if [`conv_forward_fused`] is implemented for a shape: 1x1 convolutions, and depthwise ones of `f32`.
pub fn can_fuse(shape: &ConvShape, dtype: DType) -> bool {
    shape.is_pointwise() || dtype == DType::F32 && depthwise::can_fuse::<f32>(shape)
}

/// Computes like [`conv_forward`] with an elementwise program fused into it, part by part. `y` is then scratch memory.
///
/// # Panics
/// As [`conv_forward`], and if [`can_fuse`] is false.
pub fn conv_forward_fused<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    w: &[T],
    y: &mut [T],
    epilogue: Epilogue<T>,
    fused: &dyn FusedEpilogue<T>,
    scratch: &mut Scratch,
) {
    shape.check(x.len(), w.len(), y.len());
    assert!(can_fuse(shape, T::DTYPE), "nothing can be fused into {shape:?}");
    if shape.is_pointwise() {
        let m = shape.batch * shape.input.iter().product::<usize>();
        let (k, n, batch, form) = (shape.in_channels, shape.out_channels, 1, Form::Plain);
        let (am, bm) = (Mat::row_major(m, k), Mat::row_major(k, n));
        let product = Product { batch, m, n, k, a: x, am, b: w, bm, c: y, epilogue, fused: Some(fused), form };
        return gemm_product(pool, product, scratch);
    }
    let apply = |start: usize, part: &mut [f32]| fused.apply(start, cast_mut(part));
    depthwise::forward_fused::<f32>(pool, shape, cast(x), cast(w), cast_mut(y), cast_epilogue(epilogue), &apply);
}

/// Computes `dx[i] = sum of dy[o] w[i - o]`: the gradient of [`conv_forward`] with respect to its input.
///
/// # Panics
/// If the length of a slice does not fit the shape.
pub fn conv_input_grad<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    dy: &[T],
    w: &[T],
    dx: &mut [T],
    scratch: &mut Scratch,
) {
    shape.check(dx.len(), w.len(), dy.len());
    if !dx.is_empty() {
        T::input_grad(Context { pool, shape, scratch }, dy, w, dx);
    }
}

/// Computes `dw[t] = sum over images and pixels of x[o + t] dy[o]`: the gradient of [`conv_forward`] with respect to its
/// kernel.
///
/// # Panics
/// If the length of a slice does not fit the shape.
pub fn conv_kernel_grad<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    dy: &[T],
    dw: &mut [T],
    scratch: &mut Scratch,
) {
    shape.check(x.len(), dw.len(), dy.len());
    if !dw.is_empty() {
        T::kernel_grad(Context { pool, shape, scratch }, x, dy, dw);
    }
}

/// Converts a slice of generic elements to their concrete type.
///
/// # Panics
/// If the types differ.
fn cast<E: Plain, F: Plain>(slice: &[E]) -> &[F] {
    assert_eq!(TypeId::of::<E>(), TypeId::of::<F>());
    // SAFETY: the types are equal.
    unsafe { std::slice::from_raw_parts(slice.as_ptr().cast(), slice.len()) }
}

/// Converts a mutable slice like [`cast`].
fn cast_mut<E: Plain, F: Plain>(slice: &mut [E]) -> &mut [F] {
    assert_eq!(TypeId::of::<E>(), TypeId::of::<F>());
    // SAFETY: the types are equal.
    unsafe { std::slice::from_raw_parts_mut(slice.as_mut_ptr().cast(), slice.len()) }
}

/// Converts an epilogue like [`cast`].
fn cast_epilogue<E: Plain, F: Plain>(epilogue: Epilogue<E>) -> Epilogue<F> {
    Epilogue { bias: epilogue.bias.map(cast), activation: epilogue.activation, accumulate: epilogue.accumulate }
}

/// Dispatch of `f32` and `f64` to the algorithms.
mod real {
    use super::depthwise::Storage;
    use super::*;
    use crate::gemm::types::Real;

    pub(super) fn forward<E: Real + GemmElement>(
        context: Context,
        x: &[E],
        w: &[E],
        y: &mut [E],
        epilogue: Epilogue<E>,
    ) {
        let Context { pool, shape, .. } = context;
        let n = shape.out_channels;
        let product = |rows: usize, inner: usize, x: &[E], y: &mut [E], scratch: &mut Scratch| {
            let (am, bm) = (Mat::row_major(rows, inner), Mat::row_major(inner, n));
            gemm(pool, 1, rows, n, inner, x, am, w, bm, y, epilogue, scratch);
        };
        match select_algorithm(shape, E::DTYPE) {
            Algorithm::Product { rows, inner } => product(rows, inner, x, y, context.scratch),
            Algorithm::Depthwise => depthwise::forward(pool, shape, x, w, y, epilogue, &Storage::Same),
            Algorithm::Winograd => {
                let w = winograd::Kernel::Taps(cast(w));
                winograd::forward::<f32>(context, cast(x), w, cast_mut(y), cast_epilogue(epilogue))
            }
            Algorithm::Direct if columns::is_preferred_for_forward(shape) => {
                columns::forward(context, x, w, y, epilogue)
            }
            Algorithm::Direct if patches::is_preferred(shape) => {
                let (rows, inner) = (patches::rows(shape), patches::inner(shape));
                patches::with_matrix(pool, shape, x, |matrix| product(rows, inner, matrix, y, context.scratch));
            }
            Algorithm::Direct => direct::forward(context, x, direct::Kernel::Taps(w), y, epilogue),
        }
    }

    pub(super) fn input_grad<E: Real + GemmElement>(context: Context, dy: &[E], w: &[E], dx: &mut [E]) {
        let Context { pool, shape, .. } = context;
        match select_algorithm(shape, E::DTYPE) {
            Algorithm::Product { rows, inner } => {
                let n = shape.out_channels;
                let (am, bm) = (Mat::row_major(rows, n), Mat::transposed(n, n));
                gemm(pool, 1, rows, inner, n, dy, am, w, bm, dx, Epilogue::default(), context.scratch);
            }
            Algorithm::Depthwise => depthwise::input_grad(context, dy, w, dx, &Storage::Same),
            Algorithm::Winograd => {
                let (grad, dx) = (OutputGrad::Plain(cast(dy)), Some(cast_mut(dx)));
                winograd::backward::<f32>(context, &[], cast(w), grad, dx, None, None)
            }
            Algorithm::Direct if columns::is_preferred_for_input_grad(shape) => columns::input_grad(context, dy, w, dx),
            Algorithm::Direct => direct::input_grad(context, E::kernels(), dy, w, dx),
        }
    }

    pub(super) fn kernel_grad<E: Real + GemmElement + PoolElement>(context: Context, x: &[E], dy: &[E], dw: &mut [E]) {
        let Context { pool, shape, .. } = context;
        match select_algorithm(shape, E::DTYPE) {
            Algorithm::Product { rows, inner } => {
                let n = shape.out_channels;
                let (am, bm) = (Mat::transposed(inner, inner), Mat::row_major(rows, n));
                gemm(pool, 1, inner, n, rows, x, am, dy, bm, dw, Epilogue::default(), context.scratch);
            }
            Algorithm::Depthwise => depthwise::kernel_grad(context, x, dy, dw, &Storage::Same),
            Algorithm::Winograd => {
                let (grad, dw) = (OutputGrad::Plain(cast(dy)), Some(cast_mut(dw)));
                winograd::backward::<f32>(context, cast(x), &[], grad, None, dw, None)
            }
            Algorithm::Direct if columns::is_preferred_for_kernel_grad(shape) => {
                columns::kernel_grad(context, x, dy, dw)
            }
            Algorithm::Direct => kernel_grad::kernel_grad(context, E::kernels(), x, OutputGrad::Plain(dy), dw, None),
        }
    }
}

#[cfg(test)]
mod tests;
