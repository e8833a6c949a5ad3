//! Kernels of depthwise convolutions that read and write bfloat16 numbers as they are.

use super::types::DepthwiseHalves;
use super::unroll::rows;
use super::vector::*;

#[inline(always)]
unsafe fn convolve<V: Halves, const M: usize>(t: &DepthwiseHalves) {
    // SAFETY: the caller guarantees the ISA and the validity of every pointer over the extents in `t`.
    unsafe {
        let mut acc = [[V::zero(); 2]; M];
        for tap in 0..t.tap_count {
            let [x, w] = *t.taps.add(tap);
            let (x, w) = (t.x.wrapping_add(x), t.w.add(w));
            let w = [V::load(w), V::load(w.add(V::LANES))];
            rows!(I < M, {
                let [lower, upper] = V::load_halves(x.add(I * t.pixel_stride));
                acc[I] = [lower.mul_add(w[0], acc[I][0]), upper.mul_add(w[1], acc[I][1])];
            });
        }
        rows!(I < M, {
            let [mut lower, mut upper] = acc[I];
            if !t.bias.is_null() {
                lower = lower.add(V::load(t.bias));
                upper = upper.add(V::load(t.bias.add(V::LANES)));
            }
            if let Some(limit) = t.relu {
                let limit = V::splat(limit);
                lower = lower.relu(limit);
                upper = upper.relu(limit);
            }
            V::store_halves([lower, upper], t.y.add(I * t.y_stride));
        });
    }
}

macro_rules! kernels {
    ($name:ident, $vector:ty, #[$feature:meta], [$($m:literal)*]) => {
        pub(super) static $name: &[super::types::DepthwiseHalvesFn] = {
            #[$feature]
            unsafe fn tile<const M: usize>(t: &DepthwiseHalves) {
                // SAFETY: the caller's contract is passed on, and this function is compiled for the ISA.
                unsafe { convolve::<$vector, M>(t) }
            }
            &[$(tile::<$m>),*]
        };
    };
}

// Registers hold two sums for each pixel, two weights, and two operands.
kernels!(AVX512, F32x16, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")], [1 2 3 4 5 6 7 8]);
kernels!(AVX2, F32x8, #[target_feature(enable = "avx2,fma")], [1 2 3 4]);
