//! Transforms between pixels and points, for a row of tiles at a time.
//!
//! A two-dimensional transform consists of a pass along each axis, with channels as vector lanes. A small buffer in the
//! L1 cache holds the values between the passes. Neighbouring patches overlap by two pixels; the pass along the height
//! processes each column of a row of tiles once. Pixels outside the image are zeros that are never stored.

mod gradients;
mod outputs;
mod patches;

#[cfg(target_arch = "x86_64")]
use super::bf16_pairs::{pairs, Both, Channels, Tiles};
use super::layouts::Floats;
use super::points::{points_to_taps, taps_to_points, Taps};
use super::traits::{CarriedRows, Image, Layout, OutputEpilogue, Points, Sink, Source, Transforms};
use crate::dtype::bf16;
use crate::simd::by_isa;

macro_rules! transforms {
    ($name:ident, $vector:ty, $element:ty, [$channels:ty, $tiles:ty, $gradients_both:ty], $pairs:expr, $(#[$feature:meta])?) => {
        mod $name {
            use super::*;

            $(#[$feature])?
            unsafe fn patches<L: Layout<$vector>>(image: &Image<*const $element>, t: &Points) {
                // SAFETY: the caller's contract is passed on, and this function is compiled for the ISA.
                unsafe { patches::patches::<$vector, L, $element>(image, t) }
            }

            $(#[$feature])?
            unsafe fn gradients<L: Layout<$vector>>(image: &Image<Source<$element>>, sums: *mut f32, t: &Points) {
                // SAFETY: as above.
                unsafe { gradients::gradients::<$vector, L, $element>(image, sums, t) }
            }

            $(#[$feature])?
            unsafe fn pixels(image: &Image<*mut $element>, rows: CarriedRows, t: &Points) {
                // SAFETY: as above.
                unsafe { patches::pixels::<$vector, $element>(image, rows, t) }
            }

            $(#[$feature])?
            unsafe fn outputs(image: &Image<Sink<$element>>, finish: OutputEpilogue, t: &Points) {
                // SAFETY: as above.
                unsafe { outputs::outputs::<$vector, $element>(image, finish, t) }
            }

            $(#[$feature])?
            unsafe fn kernel(t: &Taps) {
                // SAFETY: as above.
                unsafe { taps_to_points::<$vector>(t) }
            }

            $(#[$feature])?
            unsafe fn kernel_gradient(t: &Taps) {
                // SAFETY: as above.
                unsafe { points_to_taps::<$vector>(t) }
            }

            pub(super) static TRANSFORMS: Transforms<$element> = Transforms {
                patches: [patches::<$channels>, patches::<$tiles>],
                gradients: [gradients::<$channels>, gradients::<$tiles>],
                gradients_both: gradients::<$gradients_both>,
                pixels,
                outputs,
                kernel,
                kernel_gradient,
                pairs: $pairs,
            };
        }
    };
}

#[cfg(target_arch = "x86_64")]
transforms!(avx512, crate::gemm::vector::F32x16, f32, [Floats, Floats, Floats], no_pairs,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
transforms!(avx512_rounded, crate::gemm::vector::F32x16, bf16, [Channels, Tiles, Both], pairs,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
transforms!(avx2, crate::gemm::vector::F32x8, f32, [Floats, Floats, Floats], no_pairs,
    #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "aarch64")]
transforms!(neon, crate::gemm::vector::F32x4, f32, [Floats, Floats, Floats], no_pairs,);
transforms!(portable, crate::gemm::vector::Lanes<f32, 4>, f32, [Floats, Floats, Floats], no_pairs,);

unsafe fn no_pairs(_: &[f32], _: &[f32], _: *mut f32) {
    unreachable!("floats are not paired")
}

impl Transforms<bf16> {
    /// Transforms of `bfloat16`, if [`crate::gemm::tile::pairs`] has micro-kernels.
    pub fn rounded() -> Option<&'static Self> {
        #[cfg(target_arch = "x86_64")]
        if crate::gemm::tile::pairs().is_some() {
            return Some(&avx512_rounded::TRANSFORMS);
        }
        None
    }
}

impl Transforms<f32> {
    /// Transforms for the instruction set of the calling thread.
    pub fn get() -> &'static Self {
        by_isa!(&avx512::TRANSFORMS, &avx2::TRANSFORMS, &neon::TRANSFORMS, &portable::TRANSFORMS)
    }
}
