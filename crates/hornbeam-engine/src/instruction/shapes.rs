//! Static parameters of instructions: extents and strides, decided at compile time.

use hornbeam_kernels::conv::ConvShape;
use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::gemm::Mat;

/// A matrix in memory: strides in elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MatrixStrides {
    pub rows: isize,
    pub cols: isize,
    pub batch: isize,
}

impl From<MatrixStrides> for Mat {
    fn from(strides: MatrixStrides) -> Mat {
        Mat { offset: 0, rows: strides.rows, cols: strides.cols, batch: strides.batch }
    }
}

/// A batched matrix product, `[m, k] @ [k, n]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GemmShape {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: MatrixStrides,
    pub b: MatrixStrides,
}

impl GemmShape {
    /// The product as a convolution of rows of one pixel each, if the matrices are contiguous.
    pub fn as_pixels(&self) -> Option<ConvShape> {
        let GemmShape { batch, m, n, k, a, b } = *self;
        let plain = (a.rows == k as isize || m == 1) && (a.cols, b.rows, b.cols) == (1, n as isize, 1);
        (plain && batch == 1 && m > 0 && k > 0).then_some(ConvShape {
            batch: m,
            input: [1; 3],
            output: [1; 3],
            kernel: [1; 3],
            strides: [1; 3],
            dilation: [1; 3],
            pad: [0; 3],
            in_channels: k,
            out_channels: n,
            groups: 1,
        })
    }
}

/// An array seen along one axis: `outer` blocks of `n` lines of `inner` elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AxisLayout {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
}

impl AxisLayout {
    pub fn new(shape: &[usize], axis: usize) -> Self {
        AxisLayout { outer: shape[..axis].iter().product(), n: shape[axis], inner: shape[axis + 1..].iter().product() }
    }

    /// The array as three axes, of which the middle one is the operation's.
    pub fn shape(&self) -> [usize; 3] {
        [self.outer, self.n, self.inner]
    }
}

/// The shapes of a gather or a scatter.
#[derive(Clone, Debug)]
pub struct IndexShape {
    pub shape: Vec<usize>,
    pub batch_dims: usize,
    pub indices: Vec<usize>,
    pub index_dtype: DType,
    /// The operand holds the indices of one batch, which all batches share.
    pub shared: bool,
}

#[derive(Clone, Debug)]
pub struct ScanShape {
    pub carries: usize,
    pub sequences: usize,
    pub length: usize,
    pub reverse: bool,
    /// Bytes of one slice of every sequence.
    pub slices: Vec<usize>,
    /// Bytes of one row of every stacked result.
    pub rows: Vec<usize>,
    /// Per carry: the carries of all steps are a result.
    pub saved: Vec<bool>,
    pub carry_bytes: Vec<usize>,
}
