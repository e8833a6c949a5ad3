//! Matrix products: blocked, packed where it pays, with register tiles by instruction set.
//!
//! The cut into tasks, the blocks of k and the order in which partial sums are added depend on the shape alone, so that
//! any number of threads gives the same bits.

pub(crate) mod half;
pub(crate) mod integer;
pub(crate) mod pack;
mod pairs;
mod real;
mod row;
pub(crate) mod tile;
pub(crate) mod vector;

use crate::dtype::{bf16, f16, Element};
use crate::pool::ThreadPool;
use crate::scratch::{Plain, Scratch};
pub(crate) use real::even;
use std::ops::Range;

/// Where an operand lies in its slice: element `(i, j)` of matrix `l` at `offset + l * batch + i * rows + j * cols`.
#[derive(Clone, Copy, Debug)]
pub struct Mat {
    pub offset: usize,
    /// Distance between rows.
    pub rows: isize,
    /// Distance between columns.
    pub cols: isize,
    /// Distance between matrices of the batch; 0 repeats one.
    pub batch: isize,
}

impl Mat {
    /// A batch of matrices with `columns` columns, one after the other in row order.
    pub fn row_major(rows: usize, columns: usize) -> Self {
        Self { offset: 0, rows: columns as isize, cols: 1, batch: (rows * columns) as isize }
    }

    /// The transposes of matrices that lie in row order with `columns` columns.
    pub fn transposed(rows: usize, columns: usize) -> Self {
        Self { offset: 0, rows: 1, cols: columns as isize, batch: (rows * columns) as isize }
    }

    /// Whether every element of `batch` matrices `rows x cols` lies within `len`.
    fn fits(&self, batch: usize, rows: usize, cols: usize, len: usize) -> bool {
        if batch * rows * cols == 0 {
            return true;
        }
        let reach = |stride: isize, n: usize| {
            let far = stride * (n as isize - 1);
            (far.min(0), far.max(0))
        };
        let spans = [reach(self.batch, batch), reach(self.rows, rows), reach(self.cols, cols)];
        let low: isize = self.offset as isize + spans.iter().map(|s| s.0).sum::<isize>();
        let high: isize = self.offset as isize + spans.iter().map(|s| s.1).sum::<isize>();
        low >= 0 && (high as usize) < len
    }
}

/// What is applied to a result before it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    #[default]
    None,
    Relu,
}

/// `c = activation(product + bias (+ c))`.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// One value for each column (channel).
    pub bias: Option<&'a [T]>,
    pub activation: Activation,
    /// Add to what the output holds.
    pub accumulate: bool,
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Self { bias: None, activation: Activation::None, accumulate: false }
    }
}

/// An elementwise program that ends a product while its results are still in a cache. What it makes of them is its own
/// affair: the output of such a product is working memory, of which only what `apply` was given can be relied on.
pub trait FusedEpilogue<T>: Sync {
    /// Takes consecutive elements of the result that are done, bias and activation included; the first has index `start`.
    /// Each element is in one call, made by the thread that computed it; a call covers whole rows, or a part of one row
    /// where rows are long.
    fn apply(&self, start: usize, part: &mut [T]);

    /// Hears what it will be given before long, while the arithmetic units are busy and memory is idle: the time to ask for
    /// what goes with it.
    fn prefetch(&self, _elements: Range<usize>) {}

    /// What an element takes, in multiply-adds.
    fn cost(&self) -> usize {
        0
    }
}

impl<T, F: Fn(usize, &mut [T]) + Sync> FusedEpilogue<T> for F {
    fn apply(&self, start: usize, part: &mut [T]) {
        self(start, part)
    }
}

/// One product, its operands not yet checked.
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
    /// Whether nothing of B is infinite or NaN.
    pub finite: bool,
}

/// A number that matrix products and convolutions exist for.
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
gemm_element!(pairs: bf16);
gemm_element!(integer: i8 i16 i32 i64 u8 u16 u32 u64);

/// Whether the CPU multiplies `bfloat16` itself; elsewhere they are widened, which costs more than `f32` would.
pub fn has_native_bfloat16() -> bool {
    tile::pairs().is_some()
}

/// `c[l] = activation(a[l] @ b[l] + bias (+ c[l]))` for each matrix `l` of the batch.
///
/// `a` is `m x k` and `b` is `k x n`, laid out as `am` and `bm` say; `c` is `[batch, m, n]` in row order. 16-bit
/// floats are summed in `f32` and rounded once; integers wrap.
///
/// # Panics
/// When a slice is shorter than its matrices.
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
    gemm_fused(pool, batch, m, n, k, a, am, b, bm, c, epilogue, None, scratch);
}

/// [`gemm`], with an elementwise program fused into it, block by block. With one, `c` is working memory.
///
/// # Panics
/// When a slice is shorter than its matrices.
pub fn gemm_fused<T: GemmElement>(
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
    fused: Option<&dyn FusedEpilogue<T>>,
    scratch: &mut Scratch,
) {
    checked(pool, Product { batch, m, n, k, a, am, b, bm, c, epilogue, fused, finite: false }, scratch);
}

/// [`gemm`] with a `b` in which nothing is infinite or NaN. Products of a single row may then leave out the rows of `b`
/// whose factor is 0, which behind a relu are many: they are not even read.
///
/// # Panics
/// When a slice is shorter than its matrices.
pub fn gemm_finite<T: GemmElement>(
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
    checked(pool, Product { batch, m, n, k, a, am, b, bm, c, epilogue, fused: None, finite: true }, scratch);
}

fn checked<T: GemmElement>(pool: &ThreadPool, product: Product<T>, scratch: &mut Scratch) {
    let Product { batch, m, n, k, a, am, b, bm, ref c, ref epilogue, .. } = product;
    assert!(am.fits(batch, m, k, a.len()), "a: {am:?} of {} elements is no {batch} x {m} x {k}", a.len());
    assert!(bm.fits(batch, k, n, b.len()), "b: {bm:?} of {} elements is no {batch} x {k} x {n}", b.len());
    assert_eq!(c.len(), batch * m * n, "c is not {batch} x {m} x {n}");
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == n), "bias is not {n} long");
    if c.is_empty() {
        return;
    }
    // One right operand for the whole batch: a taller matrix.
    let (batch, m, am) = if batch > 1 && bm.batch == 0 && (m == 1 || am.batch == am.rows * m as isize) {
        (1, batch * m, Mat { rows: if m == 1 { am.batch } else { am.rows }, ..am })
    } else {
        (batch, m, am)
    };
    T::product(pool, Product { batch, m, am, ..product }, scratch);
}

#[cfg(test)]
mod tests;
