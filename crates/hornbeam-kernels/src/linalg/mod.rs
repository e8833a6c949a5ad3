//! Dense linear algebra on batches of small matrices: factorisations and triangular solves, in `f32` and `f64`.
//!
//! Matrices are row-major and contiguous; every matrix is one task. Matrices that cannot be factorised (not positive
//! definite, or containing NaN) give NaN, because an error inside a compiled graph could not be caught.

mod eigen;
mod factor;
mod general;
#[cfg(test)]
mod tests;

pub use eigen::{eigh, svd};
pub use factor::{cholesky, lu, qr, triangular_solve};
pub use general::eig;

use crate::dtype::Element;
use crate::math::Real;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::Plain;

/// Float of linear algebra: `f32` or `f64`.
pub trait Scalar:
    Real + Plain + std::ops::AddAssign + std::ops::SubAssign + std::ops::MulAssign + std::ops::DivAssign + std::iter::Sum
{
    const EPSILON: Self;
    const NAN: Self;
    fn hypot(self, other: Self) -> Self;
    fn copysign(self, sign: Self) -> Self;
}

macro_rules! scalar {
    ($($t:ident),*) => {$(
        impl Scalar for $t {
            const EPSILON: $t = $t::EPSILON;
            const NAN: $t = $t::NAN;
            fn hypot(self, other: $t) -> $t {
                self.hypot(other)
            }
            fn copysign(self, sign: $t) -> $t {
                self.copysign(sign)
            }
        }
    )*};
}

scalar!(f32, f64);

/// Calls `task(i, matrix i of every output)` for a batch; `sizes` are the elements of one matrix.
fn for_each_matrix<T: Element, const N: usize>(
    pool: &ThreadPool,
    outputs: [&mut [T]; N],
    sizes: [usize; N],
    task: &(dyn Fn(usize, [&mut [T]; N]) + Sync),
) {
    let batch = outputs.iter().zip(sizes).find(|(_, size)| *size > 0).map_or(0, |(out, size)| out.len() / size);
    for (out, size) in outputs.iter().zip(sizes) {
        assert_eq!(out.len(), batch * size, "an output does not hold {batch} matrices of {size} elements");
    }
    let shared = outputs.map(SharedMut::new);
    pool.run(batch, &|i| {
        // SAFETY: matrices of different tasks are disjoint.
        task(i, std::array::from_fn(|k| unsafe { shared[k].range(i * sizes[k]..(i + 1) * sizes[k]) }));
    });
}

/// Dot product.
#[inline(always)]
fn dot<T: Scalar>(a: &[T], b: &[T]) -> T {
    // Partial sums, because a sequential sum does not vectorise.
    let mut lanes = [T::ZERO; 16];
    let (x, y) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (x, y) in x.0.iter().zip(y.0) {
        for j in 0..16 {
            lanes[j] += x[j] * y[j];
        }
    }
    let tail: T = x.1.iter().zip(y.1).map(|(x, y)| *x * *y).sum();
    lanes.into_iter().sum::<T>() + tail
}

/// Computes `y += a x`.
#[inline(always)]
fn axpy<T: Scalar>(a: T, x: &[T], y: &mut [T]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * *x;
    }
}
