//! Pixel types: floats, and `bfloat16`.

use super::lanes::Lanes;
use super::traits::{LoadAs, Pixel, Transforms};
use crate::dtype::bf16;
use crate::gemm::tile;
use crate::gemm::types::{Kernels, Real};

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

impl<V: Lanes> LoadAs<V> for f32 {
    #[inline(always)]
    unsafe fn load<const FULL: bool>(p: *const f32, n: usize) -> V {
        // SAFETY: the caller's contract.
        unsafe { V::load_if::<FULL>(p, n) }
    }

    #[inline(always)]
    unsafe fn store<const FULL: bool>(value: V, p: *mut f32, n: usize) {
        // SAFETY: the caller's contract.
        unsafe { value.store_if::<FULL>(p, n) }
    }
}
