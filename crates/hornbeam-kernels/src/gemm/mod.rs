//! Matrix products: blocked, packed where it pays off, with register tiles for each instruction set.
//!
//! The splits and blocks of k and the order in which partial sums are added depend on the shape alone, so that any number
//! of threads gives the same bits. The partition of rows and columns into tasks depends on the number of threads. The crate's README shows the loop levels.

mod block;
mod byte_row;
mod depthwise;
#[cfg(target_arch = "x86_64")]
mod depthwise_bf16;
pub(crate) mod dpbf16;
mod half;
mod half_row;
pub(crate) mod int8_dot;
pub(crate) mod integer;
pub(crate) mod pack;
mod packed;
mod plan;
mod real;
mod rounding;
mod row;
mod small;
pub(crate) mod stream;
pub(crate) mod tile;
pub(crate) mod types;
mod unroll;
pub(crate) mod vector;

pub use byte_row::Bytes;
pub use int8_dot::{gemm_int8, MAX_STEPS};
pub use packed::{gemm_packed, pack, packed_len};

use crate::dtype::{bf16, f16, Element};
use crate::pool::ThreadPool;
use crate::scratch::{with_local, Plain, Scratch};
use crate::simd;
use std::ops::Range;

/// Strided layout of an operand: element `(i, j)` of matrix `l` is at `offset + l * batch + i * rows + j * cols`.
#[derive(Clone, Copy, Debug)]
pub struct Mat {
    pub offset: usize,
    /// Row stride.
    pub rows: isize,
    /// Column stride.
    pub cols: isize,
    /// Stride between matrices of the batch; 0 repeats one matrix.
    pub batch: isize,
}

impl Mat {
    /// Layout of a contiguous batch of row-major `rows x columns` matrices.
    pub fn row_major(rows: usize, columns: usize) -> Self {
        Self { offset: 0, rows: columns as isize, cols: 1, batch: (rows * columns) as isize }
    }

    /// Layout of the transposes of row-major matrices with `columns` columns.
    pub fn transposed(rows: usize, columns: usize) -> Self {
        Self { offset: 0, rows: 1, cols: columns as isize, batch: (rows * columns) as isize }
    }

    /// Layout of the transposes.
    fn turned(self) -> Self {
        Self { rows: self.cols, cols: self.rows, ..self }
    }

    /// Returns true if the matrices are contiguous, by rows or by columns, and follow each other.
    fn is_contiguous(&self, rows: usize, columns: usize) -> bool {
        let [m, n] = [rows, columns].map(|len| len as isize);
        self.batch == m * n && ([self.rows, self.cols] == [n, 1] || [self.rows, self.cols] == [1, m])
    }

    /// Returns true if every element of `batch` matrices `rows x cols` lies within `len`.
    fn fits(&self, batch: usize, rows: usize, cols: usize, len: usize) -> bool {
        if batch * rows * cols == 0 {
            return true;
        }
        let span = |stride: isize, n: usize| {
            let last = stride * (n as isize - 1);
            (last.min(0), last.max(0))
        };
        let spans = [span(self.batch, batch), span(self.rows, rows), span(self.cols, cols)];
        let low: isize = self.offset as isize + spans.iter().map(|s| s.0).sum::<isize>();
        let high: isize = self.offset as isize + spans.iter().map(|s| s.1).sum::<isize>();
        low >= 0 && (high as usize) < len
    }
}

/// Activation applied to a result before it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    #[default]
    None,
    /// `min(max(x, 0), limit)`. The limit is positive, and representable in the type of the result.
    Relu { limit: f32 },
}

impl Activation {
    /// `max(x, 0)`.
    pub const RELU: Self = Self::Relu { limit: f32::INFINITY };

    /// Limit of a relu.
    pub(crate) fn relu<E: From<f32>>(self) -> Option<E> {
        match self {
            Activation::None => None,
            Activation::Relu { limit } => Some(limit.into()),
        }
    }

    /// The activation of one number, for tests.
    #[cfg(test)]
    pub(crate) fn of(self, x: f64) -> f64 {
        self.relu().map_or(x, |limit| vector::clamp(x, limit))
    }
}

/// Epilogue of a product: `c = activation(product + bias (+ c))`.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// One value per column (channel).
    pub bias: Option<&'a [T]>,
    pub activation: Activation,
    /// Adds to the contents of the output.
    pub accumulate: bool,
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Self { bias: None, activation: Activation::None, accumulate: false }
    }
}

/// Elementwise program fused into a product, which consumes its results while they are in cache.
///
/// The output of such a product is scratch memory: only the elements passed to `apply` are defined.
pub trait FusedEpilogue<T>: Sync {
    /// Consumes consecutive final elements of the result, bias and activation included; the first has index `start`.
    ///
    /// Each element is passed once, by the thread that computed it; a call covers full rows, or a part of a long row.
    fn apply(&self, start: usize, part: &mut [T]);

    /// Prefetches the operands of elements that will be passed to `apply` soon, while memory is idle.
    fn prefetch(&self, _elements: Range<usize>) {}

    /// Cost of one element in multiply-adds.
    fn cost(&self) -> usize {
        0
    }
}

impl<T, F: Fn(usize, &mut [T]) + Sync> FusedEpilogue<T> for F {
    fn apply(&self, start: usize, part: &mut [T]) {
        self(start, part)
    }
}

/// Form of the second operand of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Plain,
    /// It contains no infinity and no NaN.
    Finite,
    /// The slice has all panels, packed; the layout is unused.
    Packed,
}

/// Arguments of a product, before validation.
pub struct Product<'a, T> {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: &'a [T],
    pub am: Mat,
    pub b: &'a [T],
    pub bm: Mat,
    pub c: &'a mut [T],
    pub epilogue: Epilogue<'a, T>,
    pub fused: Option<&'a dyn FusedEpilogue<T>>,
    pub form: Form,
}

/// Number for which matrix products and convolutions are implemented.
pub trait GemmElement: Element + Plain {
    #[doc(hidden)]
    fn product(pool: &ThreadPool, product: Product<'_, Self>, scratch: &mut Scratch);
}

macro_rules! gemm_element {
    ($module:ident: $($t:ty)*) => {$(
        impl GemmElement for $t {
            fn product(pool: &ThreadPool, product: Product<'_, Self>, scratch: &mut Scratch) {
                $module::product(pool, product, scratch)
            }
        }
    )*};
}
gemm_element!(real: f32 f64);
gemm_element!(half: f16);
gemm_element!(dpbf16: bf16);
gemm_element!(integer: i8 i16 i32 i64 u8 u16 u32 u64);

/// Returns true if the CPU multiplies `bfloat16` faster than `f32`. Otherwise operands are widened.
///
/// AMD's CPUs multiply pairs of `bfloat16` at twice the rate of `f32` (Zen 4), Intel's at half of it (Emerald Rapids,
/// without AMX). Unit tests run the kernels of pairs wherever there is the instruction.
pub fn has_native_bfloat16() -> bool {
    tile::pairs().is_some() && (cfg!(test) || simd::is_amd())
}

/// Computes `c[l] = activation(a[l] @ b[l] + bias (+ c[l]))` for each matrix `l` of the batch.
///
/// `a` is `m x k` with layout `am`, `b` is `k x n` with layout `bm`, and `c` is row-major `[batch, m, n]`. 16-bit floats
/// are summed in `f32` and rounded once; integers wrap.
///
/// # Panics
/// If a slice is shorter than its matrices.
pub fn gemm<T: GemmElement>(
    pool: &ThreadPool,
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    a: &[T],
    am: Mat,
    b: &[T],
    bm: Mat,
    c: &mut [T],
    epilogue: Epilogue<T>,
    scratch: &mut Scratch,
) {
    let product = Product { batch, m, n, k, a, am, b, bm, c, epilogue, fused: None, form: Form::Plain };
    gemm_product(pool, product, scratch);
}

/// Computes like [`gemm`], with an elementwise program fused into it block by block if there is one; `c` is then scratch
/// memory. Products of a single row of the form `Finite` skip the rows of `b` whose factor is 0, which are many after a relu.
///
/// # Panics
/// If a slice is shorter than its matrices.
pub fn gemm_product<T: GemmElement>(pool: &ThreadPool, product: Product<T>, scratch: &mut Scratch) {
    let Product { batch, m, n, k, a, am, b, bm, ref c, ref epilogue, .. } = product;
    assert!(am.fits(batch, m, k, a.len()), "a: {am:?} of {} elements do not hold {batch} x {m} x {k}", a.len());
    assert!(bm.fits(batch, k, n, b.len()), "b: {bm:?} of {} elements do not hold {batch} x {k} x {n}", b.len());
    assert_eq!(c.len(), batch * m * n, "c does not hold {batch} x {m} x {n}");
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == n), "the bias does not have {n} elements");
    if c.is_empty() {
        return;
    }
    // One B for the whole batch: fold the batch into the rows.
    let (batch, m, am) = if batch > 1 && bm.batch == 0 && (m == 1 || am.batch == am.rows * m as isize) {
        (1, batch * m, Mat { rows: if m == 1 { am.batch } else { am.rows }, ..am })
    } else {
        (batch, m, am)
    };
    let product = Product { batch, m, am, ..product };
    if product.is_narrow() {
        return turned_product(pool, product, scratch);
    }
    T::product(pool, product, scratch);
}

/// Elements of a product that is computed as its transpose: the copy takes little of the time.
const TURNED: usize = 1 << 12;

impl<T: GemmElement> Product<'_, T> {
    /// Returns true if rows of C, such as those of the kernel gradient of a narrow layer, would leave half of the vectors
    /// empty that its columns fill, at the same number of steps.
    fn is_narrow(&self) -> bool {
        let lanes = 64 / size_of::<T::Acc>();
        let vectors = |m: usize, n: usize| m * n.div_ceil(lanes);
        let plain = self.batch == 1
            && self.form == Form::Plain
            && self.epilogue.bias.is_none()
            && self.epilogue.activation == Activation::None
            && !self.epilogue.accumulate;
        plain
            && (self.am.rows, self.bm.cols) == (1, 1)
            && self.n > 1
            && self.m * self.n <= TURNED
            && self.k >= self.m
            && vectors(self.m, self.n) >= 2 * vectors(self.n, self.m)
    }
}

/// Computes the transpose of C and copies it.
fn turned_product<T: GemmElement>(pool: &ThreadPool, product: Product<T>, scratch: &mut Scratch) {
    let Product { m, n, am, bm, fused, .. } = product;
    with_local(|local| {
        let columns = local.take::<T>(m * n);
        let (a, am, b, bm) = (product.b, bm.turned(), product.a, am.turned());
        T::product(pool, Product { m: n, n: m, a, am, b, bm, c: columns, fused: None, ..product }, scratch);
        for (i, row) in product.c.chunks_exact_mut(n).enumerate() {
            row.iter_mut().zip(columns[i..].iter().step_by(m)).for_each(|(c, sum)| *c = *sum);
        }
        if let Some(fused) = fused {
            fused.apply(0, product.c);
        }
    });
}

/// Splits `start..end` into the fewest parts of at most `size`, as evenly as possible.
pub(crate) fn even(start: usize, end: usize, size: usize) -> impl Iterator<Item = [usize; 2]> + Clone {
    let n = end - start;
    let parts = n.div_ceil(size);
    (0..parts).map(move |i| [start + i * n / parts, start + (i + 1) * n / parts])
}

#[cfg(test)]
mod tests;
