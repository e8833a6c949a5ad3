//! Gradients of the output of a convolution, through a following relu or pooling, and their row kernels.

use super::{cast, ConvShape};
use crate::dtype::{bf16, f16, Element};
use crate::multiversion;
use crate::scratch::Plain;
use crate::window::PoolElement;
use std::any::TypeId;
use std::ops::Range;

/// Code of a pooled value without a gradient, because the relu is inactive.
pub const MASKED: u8 = 4;

/// Gradient of the output of a convolution, possibly through a following relu or pooling.
#[derive(Clone, Copy)]
pub enum OutputGrad<'a, T> {
    /// Gradient of the output itself.
    Plain(&'a [T]),
    /// Gradient through a relu with result `y`: `dy` where `y > 0`, else 0.
    Relu { dy: &'a [T], y: &'a [T] },
    /// Gradient through 2x2 max pooling with stride 2: the gradients of the pooled values, and for each the argmax in its
    /// window (0..=3 in row-major order), or [`MASKED`].
    Pooled { dy: &'a [T], codes: &'a [u8] },
}

impl<'a, T: Plain> OutputGrad<'a, T> {
    /// Converts to the concrete element type.
    pub(super) fn cast<U: Plain>(self) -> OutputGrad<'a, U> {
        match self {
            OutputGrad::Plain(dy) => OutputGrad::Plain(cast(dy)),
            OutputGrad::Relu { dy, y } => OutputGrad::Relu { dy: cast(dy), y: cast(y) },
            OutputGrad::Pooled { dy, codes } => OutputGrad::Pooled { dy: cast(dy), codes },
        }
    }
}

impl<'a, T> OutputGrad<'a, T> {
    /// Gradients, and the results of a relu (otherwise empty).
    pub(super) fn values(self) -> (&'a [T], &'a [T]) {
        match self {
            OutputGrad::Plain(dy) | OutputGrad::Pooled { dy, .. } => (dy, &[]),
            OutputGrad::Relu { dy, y } => (dy, y),
        }
    }

    /// Replaces the [`values`](Self::values).
    pub(super) fn with_values<U>(self, dy: &'a [U], y: &'a [U]) -> OutputGrad<'a, U> {
        match self {
            OutputGrad::Plain(_) => OutputGrad::Plain(dy),
            OutputGrad::Relu { .. } => OutputGrad::Relu { dy, y },
            OutputGrad::Pooled { codes, .. } => OutputGrad::Pooled { dy, codes },
        }
    }
}

impl<T> OutputGrad<'_, T> {
    /// Checks the lengths of the gradient against the shape of the convolution.
    ///
    /// # Panics
    /// If a length does not fit.
    pub(super) fn check(&self, shape: &ConvShape) {
        match self {
            OutputGrad::Plain(dy) => {
                assert_eq!(dy.len(), shape.output_len(), "the length of dy does not fit {shape:?}");
            }
            OutputGrad::Relu { dy, y } => {
                assert_eq!(dy.len(), shape.output_len(), "the length of dy does not fit {shape:?}");
                assert_eq!(y.len(), dy.len(), "expected one result per gradient");
            }
            OutputGrad::Pooled { dy, codes } => {
                assert_eq!(dy.len(), shape.pooled_len(), "the length of dy does not fit {shape:?} pooled");
                assert_eq!(codes.len(), dy.len(), "expected one code per gradient");
            }
        }
    }
}

/// Rows of an [`OutputGrad`], expanded to gradients of the output itself.
pub(super) struct GradRows<'a, E, G> {
    shape: &'a ConvShape,
    grad: OutputGrad<'a, G>,
    // Kernels for the instruction set of the submitting thread.
    mask: unsafe fn(&[G], &[G], &mut [E]),
    expand: unsafe fn(&ConvShape, usize, &[G], &[u8], &mut [E]),
    sum: unsafe fn(&[E], &mut [E]),
}

impl<'a, E: PoolElement<Acc = E> + Plain, G: WidenTo<E> + Plain> GradRows<'a, E, G> {
    pub fn new(shape: &'a ConvShape, grad: OutputGrad<'a, G>) -> Self {
        Self { shape, grad, mask: mask_rows::<E, G>(), expand: expand_row::<E, G>(), sum: sum_rows::<E>() }
    }

    /// Returns true if nothing is to be expanded.
    pub fn in_place(&self) -> bool {
        TypeId::of::<G>() == TypeId::of::<E>() && matches!(self.grad, OutputGrad::Plain(_))
    }

    /// Returns true if rows are expanded one by one, not in parts.
    pub fn by_row(&self) -> bool {
        matches!(self.grad, OutputGrad::Pooled { .. })
    }

    /// Returns the gradients of a range of output pixels, numbered over all images, expanded if needed; full rows if they
    /// are expanded [`by_row`](Self::by_row).
    pub fn read<'b>(&'b self, pixels: Range<usize>, expanded: &'b mut [E]) -> &'b [E] {
        let channels = self.shape.out_channels;
        let range = pixels.start * channels..pixels.end * channels;
        match self.grad {
            OutputGrad::Plain(dy) if TypeId::of::<G>() == TypeId::of::<E>() => cast(&dy[range]),
            OutputGrad::Plain(dy) => {
                let expanded = &mut expanded[..range.len()];
                expanded.iter_mut().zip(&dy[range]).for_each(|(to, dy)| *to = dy.widen());
                expanded
            }
            OutputGrad::Relu { dy, y } => {
                let expanded = &mut expanded[..range.len()];
                // SAFETY: the kernel is compiled for this machine and has no other precondition.
                unsafe { (self.mask)(&dy[range.clone()], &y[range], expanded) };
                expanded
            }
            OutputGrad::Pooled { dy, codes } => {
                let expanded = &mut expanded[..range.len()];
                let width = self.shape.output[2];
                for (row, to) in (pixels.start / width..).zip(expanded.chunks_exact_mut(width * channels)) {
                    // SAFETY: as above.
                    unsafe { (self.expand)(self.shape, row, dy, codes, to) };
                }
                expanded
            }
        }
    }

    /// Adds rows of gradients to sums over pixels.
    pub fn add(&self, dy: &[E], sums: &mut [E]) {
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { (self.sum)(dy, sums) };
    }
}

impl ConvShape {
    /// Height and width after 2x2 pooling.
    pub(super) fn pooled(&self) -> [usize; 2] {
        [self.output[1] / 2, self.output[2] / 2]
    }

    /// Elements after 2x2 pooling.
    pub fn pooled_len(&self) -> usize {
        self.batch * self.output[0] * self.pooled().iter().product::<usize>() * self.out_channels
    }
}

/// Lossless conversion to a type that represents all values.
pub(super) trait WidenTo<O>: Element {
    fn widen(self) -> O;
}

impl<T: Element> WidenTo<T> for T {
    #[inline(always)]
    fn widen(self) -> T {
        self
    }
}

impl WidenTo<f32> for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_acc()
    }
}

impl WidenTo<f32> for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_acc()
    }
}

multiversion! {
    /// Computes `to = dy` where `y > 0`, else 0.
    pub(super) unsafe fn mask_rows[S, O: Element, T: WidenTo<O>; T::DTYPE.copies()](dy: &[T], y: &[T], to: &mut [O]) {
        for ((to, dy), y) in to.iter_mut().zip(dy).zip(y) {
            *to = if y.to_acc() > <T::Acc as Element>::ZERO { dy.widen() } else { O::ZERO };
        }
    }

    /// Expands one row of the output gradient from pooled gradients and their codes.
    pub(super) unsafe fn expand_row[S, O: Element, T: WidenTo<O>; T::DTYPE.copies()](
        shape: &ConvShape, row: usize, dy: &[T], codes: &[u8], to: &mut [O],
    ) {
        let [height, width] = [shape.output[1] / 2, shape.output[2] / 2];
        let c = shape.out_channels;
        let (image, h) = (row / shape.output[1], row % shape.output[1]);
        if h / 2 >= height {
            to.fill(O::ZERO);
            return;
        }
        let line = (image * height + h / 2) * width * c;
        for (w, to) in to.chunks_exact_mut(c).enumerate() {
            if w / 2 >= width {
                to.fill(O::ZERO);
                continue;
            }
            let code_of_tap = (h % 2 * 2 + w % 2) as u8;
            let from = line + w / 2 * c;
            for ((to, dy), code) in to.iter_mut().zip(&dy[from..from + c]).zip(&codes[from..from + c]) {
                *to = if *code == code_of_tap { dy.widen() } else { O::ZERO };
            }
        }
    }

    /// Adds rows to `sums`.
    pub(super) unsafe fn sum_rows[S, T: PoolElement; T::DTYPE.copies()](x: &[T], sums: &mut [T::Acc]) {
        for x in x.chunks_exact(sums.len()) {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = T::plus(*sum, x.to_acc());
            }
        }
    }
}
