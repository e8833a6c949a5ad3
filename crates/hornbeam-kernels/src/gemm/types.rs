//! Types that products share: arguments and tables of the micro-kernels, partitions, products in progress.

use super::vector::Registers;
use super::{FusedEpilogue, Mat};
use crate::dtype::bf16;

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Arguments of a micro-kernel, which computes `c = act(sum + bias (+ c))`.
#[derive(Clone, Copy)]
pub(crate) struct Tile<E> {
    pub a: *const E,
    /// Distance between rows (`CONTIGUOUS` false) or between steps of k (true).
    pub a_stride: usize,
    /// Start of each tap relative to `a`.
    pub taps: *const usize,
    pub tap_count: usize,
    pub run: usize,
    pub b: *const E,
    /// Start of each tap relative to `b`, or null: taps follow each other.
    pub b_taps: *const usize,
    /// Distance between steps of k in B.
    pub b_stride: usize,
    /// Memory that later tiles read, prefetched into the L2 cache: one line at each step of k, and their distance. Need not
    /// be valid; `b` with distance 0 if there is none.
    pub ahead: *const E,
    pub ahead_stride: usize,
    pub c: *mut E,
    /// Distance between rows of C.
    pub c_stride: usize,
    /// Valid columns of the last vector (1 ..= LANES); B must be readable to the full width.
    pub last: usize,
    /// One value for each column, or null.
    pub bias: *const E,
    /// Limit of a relu.
    pub relu: Option<E>,
    pub accumulate: bool,
}

pub(crate) type TileFn<E> = unsafe fn(&Tile<E>);

/// Arguments of a tile of pixels of a depthwise convolution,
/// `y[p, c] = act(sum over taps of x[p * pixel_stride + taps[t][0] + c] * w[taps[t][1] + c] + bias[c] (+ y))` for one or
/// more blocks of `LANES` channels.
pub(crate) struct DepthwiseTile<E> {
    pub x: *const E,
    pub pixel_stride: usize,
    /// Offsets of each tap in `x` (wrapping) and in `w`.
    pub taps: *const [usize; 2],
    pub tap_count: usize,
    pub w: *const E,
    pub y: *mut E,
    /// Distance between pixels of `y`.
    pub y_stride: usize,
    /// Valid channels of the last block of `y` and `bias` (1 ..= LANES).
    pub n: usize,
    pub bias: *const E,
    /// Limit of a relu.
    pub relu: Option<E>,
    pub accumulate: bool,
}

/// Line of the input that one or two neighbouring rows of outputs read: offsets in `x` (wrapping), and in `w` of the taps of
/// each row, or [`UNREAD`].
#[derive(Clone, Copy)]
pub(crate) struct SlidingRow {
    pub x: usize,
    pub w: [usize; 2],
}

/// Taps of a row of outputs that does not read a line.
pub(crate) const UNREAD: usize = usize::MAX;

/// Arguments of a tile of `PIXELS` outputs of neighbouring rows of a depthwise convolution, for `LANES` channels. A pixel is
/// read once for all taps along the width of all rows.
pub(crate) struct SlidingTile<E> {
    /// Pixel of the first tap of the first output (wrapping).
    pub x: *const E,
    /// Distance between pixels of `x`.
    pub pixel_stride: usize,
    /// Pixels inside the image, counted from `x`; the others contribute nothing.
    pub inside: [usize; 2],
    /// Lines in the order of the taps.
    pub lines: *const SlidingRow,
    pub line_count: usize,
    pub w: *const E,
    /// Distance between taps of a row in `w`.
    pub w_stride: usize,
    pub y: *mut E,
    /// Distance between pixels of `y`.
    pub y_stride: usize,
    /// Distance between rows of `y`, and their number (1 ..= `SlidingKernels::rows`).
    pub y_row: usize,
    pub rows: usize,
    /// Outputs of each row (1 ..= PIXELS).
    pub count: usize,
    /// Valid channels (1 ..= LANES).
    pub n: usize,
    pub bias: *const E,
    /// Limit of a relu.
    pub relu: Option<E>,
    pub accumulate: bool,
}

/// Arguments of some taps of a depthwise kernel gradient,
/// `dw[t, c] += sum over pixels of x[p * pixel_stride + taps[t] + c] * dy[p * dy_stride + c]` for `LANES` channels.
pub(crate) struct DepthwiseGrad<E> {
    pub x: *const E,
    pub pixel_stride: usize,
    pub taps: *const usize,
    pub dy: *const E,
    pub dy_stride: usize,
    /// Valid channels (1 ..= LANES).
    pub n: usize,
    pub dw: *mut E,
    /// Distance between taps of `dw`.
    pub dw_stride: usize,
    pub pixels: usize,
}

/// Arguments of a copy of one row of pixels, `LANES` channels of each, into a patch: `before` zeros, `inside` pixels, and
/// zeros up to `pixels`.
///
/// In groups of `group` channels, there is a copy for each channel of a group, `plane` apart: lane `c` of copy `q` holds
/// channel `q` of the group of `c`.
pub(crate) struct PatchRow<E> {
    pub from: *const E,
    /// Distance between pixels of `from`.
    pub pixel_stride: usize,
    pub before: usize,
    pub inside: usize,
    pub pixels: usize,
    /// Write the zeros: an earlier block has not.
    pub border: bool,
    /// Valid channels of `from` (1 ..= LANES).
    pub n: usize,
    pub group: usize,
    /// Lane of `from` for each lane of each copy, if a group has fewer channels than a vector lanes.
    pub order: *const u32,
    pub to: *mut E,
    pub plane: usize,
}

/// Arguments of a tile of pixels of a depthwise convolution of bfloat16 tensors, for `2 * LANES` channels: as [`DepthwiseTile`],
/// with the weights and the bias of the lower numbers of all pairs before those of the upper.
pub(crate) struct DepthwiseHalves {
    pub x: *const bf16,
    pub pixel_stride: usize,
    pub taps: *const [usize; 2],
    pub tap_count: usize,
    pub w: *const f32,
    pub y: *mut bf16,
    pub y_stride: usize,
    pub bias: *const f32,
    pub relu: Option<f32>,
}

pub(crate) type DepthwiseHalvesFn = unsafe fn(&DepthwiseHalves);
pub(crate) type DepthwiseFn<E> = unsafe fn(&DepthwiseTile<E>);
pub(crate) type SlidingFn<E> = unsafe fn(&SlidingTile<E>);
pub(crate) type DepthwiseGradFn<E> = unsafe fn(&DepthwiseGrad<E>);

/// Kernels for some taps along the width that read a pixel once.
pub(crate) struct SlidingKernels<E: 'static> {
    /// Taps along the width, and their stride.
    pub taps: [usize; 2],
    /// Rows of outputs of a tile (1 or 2).
    pub rows: usize,
    /// Kernels for full blocks of channels and for others.
    pub kernels: [SlidingFn<E>; 2],
}

/// Kernels of depthwise convolutions for one ISA and type.
pub(crate) struct Depthwise<E: 'static> {
    /// Channels of a block.
    pub lanes: usize,
    /// Numbers of blocks, falling to 1, each with kernels of `i + 1` pixels by these blocks; more pixels for fewer blocks.
    pub tiles: &'static [(usize, &'static [DepthwiseFn<E>])],
    /// Kernels of `i + 1` pixels by a block that is not full.
    pub partial: &'static [DepthwiseFn<E>],
    /// Other taps and strides are left to `tiles`.
    pub sliding: &'static [SlidingKernels<E>],
    /// Kernels of `i + 1` pixels of bfloat16, if there are any.
    pub halves: &'static [DepthwiseHalvesFn],
    /// Kernels of `i + 1` taps, for full blocks and for others.
    pub grads: [&'static [DepthwiseGradFn<E>]; 2],
    pub copy: unsafe fn(&PatchRow<E>),
}

/// Outputs of a tile of [`Depthwise::sliding`]: extents of images are multiples of it in many networks.
pub(crate) const PIXELS: usize = 7;

/// Maximum tile width in vectors.
pub(crate) const MAX_VECTORS: usize = 4;

/// Micro-kernels for one ISA and type.
pub(crate) struct Kernels<E: 'static> {
    /// Floats in a vector.
    pub lanes: usize,
    /// Maximum rows of a tile `i + 1` vectors wide: registers remain for B and the broadcast.
    pub rows: [usize; MAX_VECTORS],
    pub wide: RowFn<E>,
    pub dots: RowFn<E>,
    pub(super) strided: [&'static [TileFn<E>]; MAX_VECTORS],
    /// Contiguous rows occur in tiles of one or two vectors only.
    pub(super) contiguous: [&'static [TileFn<E>]; 2],
}

impl<E> Kernels<E> {
    /// Micro-kernel for a tile of `rows` by `vectors`.
    #[inline]
    pub fn tile(&self, contiguous: bool, rows: usize, vectors: usize) -> TileFn<E> {
        let tables: &[&[TileFn<E>]] = if contiguous { &self.contiguous } else { &self.strided };
        tables[vectors - 1][rows - 1]
    }
}

/// Arguments of a row kernel, which computes `c[j] += sum over p of a[p] * b[rows[p], j]`.
pub(crate) struct Row<E> {
    pub a: *const E,
    /// Rows of B for contiguous columns, with `PREFETCH` entries after the first `k`; `dots` ignores them.
    pub rows: *const u32,
    pub b: *const E,
    /// Distance between steps of k in B for contiguous columns, otherwise between columns.
    pub b_stride: usize,
    pub k: usize,
    pub n: usize,
    pub c: *mut E,
}

pub(crate) type RowFn<E> = unsafe fn(&Row<E>);

/// Float with micro-kernels: `f32` and `f64`.
pub(crate) trait Real:
    Registers + crate::dtype::Element<Acc = Self> + crate::scratch::Plain + From<f32>
{
    /// Micro-kernels for the ISA of the calling thread. Tasks receive this reference from the submitting thread.
    fn kernels() -> &'static Kernels<Self>;
    /// Depthwise kernels for the ISA of the calling thread.
    fn depthwise() -> &'static Depthwise<Self>;
    /// Adds two elements in generic code outside the micro-kernels.
    fn plus(self, other: Self) -> Self;
}

/// Source of B for the micro-kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PackB {
    /// Read in place.
    Direct,
    /// Each task packs its own block.
    Local,
    /// Packed once, before the tasks start.
    Shared,
}

/// Partition of a product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Width of a tile in vectors.
    pub vectors: usize,
    /// Maximum rows of a tile.
    pub rows: usize,
    pub m_block: usize,
    pub n_block: usize,
    /// Most steps of k in a block.
    pub k_block: usize,
    /// Steps of k in a split.
    pub k_split: usize,
    pub splits: usize,
    pub pack_a: bool,
    pub pack_b: PackB,
}

/// Product in progress: operands validated by `gemm`, of the sums' type or narrower.
pub(super) struct Job<'a, E: Real, T = E> {
    pub kernels: &'static Kernels<E>,
    pub plan: Plan,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: &'a [T],
    pub am: Mat,
    pub b: &'a [T],
    pub bm: Mat,
    pub bias: Option<&'a [E]>,
    /// Limit of a relu.
    pub relu: Option<E>,
    pub accumulate: bool,
    pub fused: Option<&'a dyn FusedEpilogue<E>>,
    /// B is finite, so that a factor of 0 contributes nothing.
    pub skip_zeros: bool,
}
