//! Kernels of depthwise convolutions: channels are the vector lanes.

use super::types::{Depthwise, DepthwiseGrad, DepthwiseRow};
use super::unroll::rows;
use super::vector::*;

#[inline(always)]
unsafe fn convolve_row<V: Vector>(t: &DepthwiseRow<V::Element>) {
    // SAFETY: the caller guarantees the ISA and the validity of every pointer over the extents in `t`.
    unsafe {
        for c in (0..t.channels).step_by(V::LANES) {
            let n = V::LANES.min(t.channels - c);
            let mut p = 0;
            while p < t.pixels {
                if n == V::LANES && t.pixels - p >= 6 {
                    convolve_pixels::<V, 6, true>(t, c, n, p);
                    p += 6;
                } else if n == V::LANES {
                    convolve_pixels::<V, 1, true>(t, c, n, p);
                    p += 1;
                } else {
                    convolve_pixels::<V, 1, false>(t, c, n, p);
                    p += 1;
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn convolve_pixels<V: Vector, const M: usize, const FULL: bool>(
    t: &DepthwiseRow<V::Element>,
    c: usize,
    n: usize,
    p: usize,
) {
    // SAFETY: as in `convolve_row`; only the first `n` lanes are accessed unless `FULL`.
    unsafe {
        let mut acc = [V::zero(); M];
        for tap in 0..t.tap_count {
            let w = load::<V, FULL>(t.w.add(tap * t.channels + c), n);
            let x = t.x.add(*t.taps.add(tap) + p * t.pixel_stride + c);
            rows!(I < M, {
                acc[I] = load::<V, FULL>(x.add(I * t.pixel_stride), n).mul_add(w, acc[I]);
            });
        }
        rows!(I < M, {
            let y = t.y.add((p + I) * t.y_stride + c);
            let mut value = acc[I];
            if t.accumulate {
                value = value.add(load::<V, FULL>(y, n));
            }
            if !t.bias.is_null() {
                value = value.add(load::<V, FULL>(t.bias.add(c), n));
            }
            if t.relu {
                value = value.relu();
            }
            store::<V, FULL>(value, y, n);
        });
    }
}

#[inline(always)]
unsafe fn load<V: Vector, const FULL: bool>(p: *const V::Element, n: usize) -> V {
    // SAFETY: the caller's contract.
    unsafe {
        if FULL {
            V::load(p)
        } else {
            V::load_first(p, n)
        }
    }
}

#[inline(always)]
unsafe fn store<V: Vector, const FULL: bool>(value: V, p: *mut V::Element, n: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        if FULL {
            value.store(p)
        } else {
            value.store_first(p, n)
        }
    }
}

#[inline(always)]
unsafe fn accumulate_row<V: Vector>(t: &DepthwiseGrad<V::Element>) {
    // SAFETY: the caller guarantees the ISA and the validity of every pointer over the extents in `t`.
    unsafe {
        for c in (0..t.channels).step_by(V::LANES) {
            let n = V::LANES.min(t.channels - c);
            let mut tap = 0;
            while tap < t.tap_count {
                let remaining = t.tap_count - tap;
                match (remaining, n == V::LANES) {
                    (6.., true) => accumulate_taps::<V, 6, true>(t, c, n, tap),
                    (3.., true) => accumulate_taps::<V, 3, true>(t, c, n, tap),
                    (_, true) => accumulate_taps::<V, 1, true>(t, c, n, tap),
                    (_, false) => accumulate_taps::<V, 1, false>(t, c, n, tap),
                }
                tap += match (remaining, n == V::LANES) {
                    (6.., true) => 6,
                    (3.., true) => 3,
                    _ => 1,
                };
            }
        }
    }
}

#[inline(always)]
unsafe fn accumulate_taps<V: Vector, const M: usize, const FULL: bool>(
    t: &DepthwiseGrad<V::Element>,
    c: usize,
    n: usize,
    tap: usize,
) {
    // SAFETY: as in `accumulate_row`; only the first `n` lanes are accessed unless `FULL`.
    unsafe {
        let mut acc = [V::zero(); M];
        for p in 0..t.pixels {
            let dy = load::<V, FULL>(t.dy.add(p * t.channels + c), n);
            let x = t.x.add(p * t.pixel_stride + c);
            rows!(I < M, {
                acc[I] = load::<V, FULL>(x.add(*t.taps.add(tap + I)), n).mul_add(dy, acc[I]);
            });
        }
        rows!(I < M, {
            let dw = t.dw.add((tap + I) * t.channels + c);
            store::<V, FULL>(acc[I].add(load::<V, FULL>(dw, n)), dw, n);
        });
    }
}

macro_rules! kernels {
    ($module:ident, $vector:ty, $element:ty, $(#[$feature:meta])?) => {
        pub(super) mod $module {
            use super::*;

            $(#[$feature])?
            unsafe fn row(t: &DepthwiseRow<$element>) {
                // SAFETY: the caller's contract is passed on, and this function is compiled for the ISA.
                unsafe { super::convolve_row::<$vector>(t) }
            }

            $(#[$feature])?
            unsafe fn grad(t: &DepthwiseGrad<$element>) {
                // SAFETY: as above.
                unsafe { super::accumulate_row::<$vector>(t) }
            }

            pub(in crate::gemm) static KERNELS: Depthwise<$element> = Depthwise { row, grad };
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(avx512_f32, F32x16, f32, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
kernels!(avx512_f64, F64x8, f64, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f32, F32x8, f32, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f64, F64x4, f64, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "aarch64")]
kernels!(neon_f32, F32x4, f32,);
#[cfg(target_arch = "aarch64")]
kernels!(neon_f64, F64x2, f64,);
kernels!(portable_f32, Lanes<f32, 4>, f32, );
kernels!(portable_f64, Lanes<f64, 2>, f64, );
