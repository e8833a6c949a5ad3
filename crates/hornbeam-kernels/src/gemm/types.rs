//! Arguments and tables of the micro-kernels.

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
    /// Distance between steps of k in B.
    pub b_stride: usize,
    pub c: *mut E,
    /// Distance between rows of C.
    pub c_stride: usize,
    /// Valid columns of the last vector (1 ..= LANES); B must be readable to the full width.
    pub last: usize,
    /// One value for each column, or null.
    pub bias: *const E,
    pub relu: bool,
    pub accumulate: bool,
}

pub(crate) type TileFn<E> = unsafe fn(&Tile<E>);

/// Arguments of one row of a depthwise convolution,
/// `y[p, c] = act(sum over taps of x[p * pixel_stride + tap + c] * w[tap, c] + bias (+ y))`.
pub(crate) struct DepthwiseRow<E> {
    pub x: *const E,
    pub pixel_stride: usize,
    pub taps: *const usize,
    pub tap_count: usize,
    pub w: *const E,
    pub channels: usize,
    pub y: *mut E,
    /// Distance between pixels of `y`.
    pub y_stride: usize,
    pub pixels: usize,
    pub bias: *const E,
    pub relu: bool,
    pub accumulate: bool,
}

/// Arguments of one row of a depthwise kernel gradient,
/// `dw[tap, c] += sum over pixels of x[p * pixel_stride + tap + c] * dy[p, c]`.
pub(crate) struct DepthwiseGrad<E> {
    pub x: *const E,
    pub pixel_stride: usize,
    pub taps: *const usize,
    pub tap_count: usize,
    pub dy: *const E,
    pub channels: usize,
    pub dw: *mut E,
    pub pixels: usize,
}

/// Kernels of depthwise convolutions for one ISA and type.
pub(crate) struct Depthwise<E: 'static> {
    pub row: unsafe fn(&DepthwiseRow<E>),
    pub grad: unsafe fn(&DepthwiseGrad<E>),
}

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
pub(crate) trait Real: crate::dtype::Element<Acc = Self> + crate::scratch::Plain {
    /// Micro-kernels for the ISA of the calling thread. Tasks receive this reference from the submitting thread.
    fn kernels() -> &'static Kernels<Self>;
    /// Depthwise kernels for the ISA of the calling thread.
    fn depthwise() -> &'static Depthwise<Self>;
    /// Adds two elements in generic code outside the micro-kernels.
    fn plus(self, other: Self) -> Self;
}
