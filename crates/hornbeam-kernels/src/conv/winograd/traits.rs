//! Types and traits of the transforms.

use super::points::Taps;
use super::{IN, OUT, POINTS};
use crate::gemm::types::Kernels;
use crate::scratch::Plain;

/// Points of a row of `tiles` tiles: point `p` of tile `t`, channel `c` at `base + p * stride + t * step + c`. Rows hold full
/// vectors.
#[derive(Clone, Copy)]
pub(crate) struct Points {
    pub base: *mut f32,
    pub stride: usize,
    pub step: usize,
    pub tiles: usize,
    /// Buffer between the passes, of [`intermediate_len`] floats.
    pub intermediate: *mut f32,
    /// Destination of the second part of a layout with two parts.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // no layout has two parts there
    pub second: SecondLayout,
}

/// Second destination, like `base`, `stride` and `step` of [`Points`].
#[derive(Clone, Copy)]
pub(crate) struct SecondLayout {
    pub base: *mut f32,
    pub stride: usize,
    pub step: usize,
}

impl SecondLayout {
    /// Placeholder of layouts with one part.
    pub const NONE: Self = Self { base: std::ptr::null_mut(), stride: 0, step: 0 };
}

/// Floats of the buffer between the passes for a row of `tiles` tiles with vectors of at most `lanes`.
pub(super) fn intermediate_len(tiles: usize, lanes: usize) -> usize {
    ((tiles * OUT + 2) * IN).max(2 * POINTS) * lanes
}

/// Image, and the origin of a row of tiles in it: tile `t` starts at column `column + t * OUT`.
#[derive(Clone, Copy)]
pub(crate) struct Image<P> {
    pub pixels: P,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub row: isize,
    pub column: isize,
}

impl<P> Image<P> {
    /// Returns the part of `0..count` that lies inside the image, relative to `start`.
    #[inline(always)]
    pub(super) fn inside(start: isize, count: usize, extent: usize) -> [usize; 2] {
        let first = (-start).clamp(0, count as isize);
        let end = (extent as isize - start).clamp(first, count as isize);
        [first as usize, end as usize]
    }
}

/// Handling of the six rows of pixels of a tile. The last two overlap with the next row of tiles of the image and are
/// carried to it in two rows of floats.
#[derive(Clone, Copy)]
pub(crate) struct CarriedRows {
    /// Number of rows written to the image.
    pub written: usize,
    /// Adds the carry to the first two rows.
    pub add_carry: bool,
    /// Stores the last two rows to the carry.
    pub store_carry: bool,
    pub carry: *mut f32,
}

/// Destination of the outputs: the image, or the maxima of 2x2 windows and their codes.
#[derive(Clone, Copy)]
pub(crate) enum Sink<E> {
    Full { y: *mut E, accumulate: bool },
    Pooled { y: *mut E, codes: *mut u8 },
}

/// Epilogue of the outputs.
#[derive(Clone, Copy)]
pub(crate) struct OutputEpilogue {
    /// One value per channel, or null.
    pub bias: *const f32,
    /// Limit of a relu, which is infinite before pooling.
    pub relu: Option<f32>,
}

/// Source of the output gradients of an image, like [`crate::conv::OutputGrad`].
#[derive(Clone, Copy)]
pub(crate) enum Source<E> {
    Plain(*const E),
    Relu { dy: *const E, y: *const E },
    Pooled { dy: *const E, codes: *const u8 },
}

/// Layout of points in memory, which stores a row of six points of one tile or of two interleaved tiles.
pub(super) trait Layout<V> {
    /// Number of interleaved tiles.
    const TILES: usize;

    /// Stores row `i` of the points of `tile` and, if tiles are interleaved, of the next tile.
    unsafe fn put(t: &Points, tile: usize, c: usize, i: usize, rows: [[V; IN]; 2]);
}

/// Element of an image: float, or `bfloat16` with points rounded to pairs of `bfloat16`. Sums are floats for both.
pub(crate) trait Pixel: Plain {
    /// True if a float holds a pair of points.
    const PAIRED: bool;
    /// Transforms for the ISA of the calling thread.
    ///
    /// # Panics
    /// For `bfloat16` on CPUs that do not multiply pairs of it.
    fn transforms() -> &'static Transforms<Self>;
    /// Micro-kernels for the products of points.
    fn kernels() -> &'static Kernels<f32>;
}

/// Pixel that is loaded into and stored from registers of floats.
pub(super) trait LoadAs<V>: Pixel {
    /// Loads all values if `FULL`, otherwise the first `n`.
    unsafe fn load<const FULL: bool>(p: *const Self, n: usize) -> V;
    /// Stores all values if `FULL`, otherwise the first `n`.
    unsafe fn store<const FULL: bool>(value: V, p: *mut Self, n: usize);
}

/// Transform of gradients to points, with sums over pixels.
pub(super) type Gradients<E> = unsafe fn(&Image<Source<E>>, *mut f32, &Points);

/// Transforms for one ISA and pixel type.
pub(crate) struct Transforms<E> {
    /// Patches to points, in the layouts for sums over channels and over tiles.
    pub patches: [unsafe fn(&Image<*const E>, &Points); 2],
    /// Output gradients to points, in the same layouts.
    pub gradients: [Gradients<E>; 2],
    /// Output gradients to points in both layouts: over tiles, and in the second destination over channels, unless one layout
    /// serves both.
    pub gradients_both: Gradients<E>,
    /// Gradients of patches to gradients of pixels.
    pub pixels: unsafe fn(&Image<*mut E>, CarriedRows, &Points),
    /// Points to outputs.
    pub outputs: unsafe fn(&Image<Sink<E>>, OutputEpilogue, &Points),
    /// Kernel taps to points.
    pub kernel: unsafe fn(&Taps),
    /// Points to gradients of kernel taps.
    pub kernel_gradient: unsafe fn(&Taps),
    /// Pairs of two rows of floats, of full vectors.
    pub pairs: unsafe fn(&[f32], &[f32], *mut f32),
}
