//! What images consist of: floats, or `bfloat16` whose points are rounded to that type again, so that one instruction
//! multiplies two of them; sums are floats in both.

use super::lanes::Lanes;
use super::transforms::Transforms;
use crate::dtype::bf16;
use crate::gemm::tile::{self, Kernels, Real};
use crate::scratch::Plain;

/// An element of an image.
pub(crate) trait Pixel: Plain {
    /// Whether two points lie in the place of a float.
    const PAIRED: bool;
    /// # Panics
    /// Where the machine has none: for `bfloat16`, unless [`tile::pairs`] answers.
    fn transforms() -> &'static Transforms<Self>;
    fn kernels() -> &'static Kernels<f32>;
}

impl Pixel for f32 {
    const PAIRED: bool = false;

    fn transforms() -> &'static Transforms<f32> {
        Transforms::get()
    }

    fn kernels() -> &'static Kernels<f32> {
        <f32 as Real>::kernels()
    }
}

impl Pixel for bf16 {
    const PAIRED: bool = true;

    fn transforms() -> &'static Transforms<bf16> {
        Transforms::rounded().expect("a CPU that multiplies bfloat16")
    }

    fn kernels() -> &'static Kernels<f32> {
        tile::pairs().expect("a CPU that multiplies bfloat16")
    }
}

/// An element that registers of floats are filled with.
pub(super) trait Fills<V>: Pixel {
    /// The first `n` values; with `FULL`, all.
    unsafe fn load<const FULL: bool>(p: *const Self, n: usize) -> V;
    unsafe fn store<const FULL: bool>(value: V, p: *mut Self, n: usize);
}

impl<V: Lanes> Fills<V> for f32 {
    #[inline(always)]
    unsafe fn load<const FULL: bool>(p: *const f32, n: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_if::<FULL>(p, n) }
    }

    #[inline(always)]
    unsafe fn store<const FULL: bool>(value: V, p: *mut f32, n: usize) {
        // SAFETY: the caller's promise.
        unsafe { value.store_if::<FULL>(p, n) }
    }
}
