//! The kernel and the passes over the tiles.

use super::products::Panels;
use super::traits::{Pixel, Sink, Transforms};
use super::Tiling;
use crate::conv::{ConvShape, OutputGrad};
use crate::pool::SharedMut;

/// Kernel of a convolution, in its original form or packed by [`super::pack`].
#[derive(Clone, Copy)]
pub(crate) enum Kernel<'a> {
    Taps(&'a [f32]),
    Points(&'a [f32]),
}

/// Forward pass over blocks of rows of tiles.
pub(super) struct ForwardPass<'a, E: Pixel> {
    pub shape: &'a ConvShape,
    pub tiling: Tiling,
    pub transforms: &'static Transforms<E>,
    pub panels: Panels,
    pub x: &'a [E],
    pub packed: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub relu: Option<f32>,
    /// Destination of the outputs of an image.
    pub sink: &'a (dyn Fn(usize) -> Sink<E> + Sync),
}

/// Backward pass over the tiles.
pub(super) struct BackwardPass<'a, E: Pixel> {
    pub shape: &'a ConvShape,
    pub tiling: Tiling,
    pub transforms: &'static Transforms<E>,
    /// Product from output channels to input channels.
    pub panels: Panels,
    /// Output channels, padded to full vectors.
    pub gradient_row: usize,
    pub x: &'a [E],
    pub grad: OutputGrad<'a, E>,
    /// Points of the kernel, and the input gradient, if requested.
    pub input: Option<(&'a [f32], SharedMut<'a, E>)>,
}
