//! Kernels of depthwise convolutions and of narrow groups: channels are the vector lanes.
//!
//! Tensors are read in place: with few taps, the order in which memory is accessed counts; with many, a pixel stays in a
//! register for all taps of a row. Narrow groups read patches in which the pixels of a block of `LANES` channels are
//! contiguous: in a tensor, they are a power of two apart in many networks, and few of them fit the L1 cache at once.

#[cfg(target_arch = "x86_64")]
use super::depthwise_bf16;
use super::types::{
    Depthwise, DepthwiseGrad, DepthwiseTile, PatchRow, SlidingKernels, SlidingRow, SlidingTile, PIXELS, UNREAD,
};
use super::unroll::{columns, pixels, rows};
use super::vector::*;

#[inline(always)]
unsafe fn convolve<V: Vector, const M: usize, const N: usize, const FULL: bool>(t: &DepthwiseTile<V::Element>) {
    // SAFETY: the caller guarantees the ISA and the validity of every pointer over the extents in `t`; of the last block,
    // only the first `t.n` lanes of `y` and `bias` are accessed, and of `x` and `w` unless `FULL`.
    unsafe {
        // The destination is prefetched during the accumulation.
        rows!(I < M, {
            columns!(J < N, {
                prefetch(t.y.wrapping_add(I * t.y_stride + J * V::LANES));
            });
        });
        let mut acc = [[V::zero(); N]; M];
        for tap in 0..t.tap_count {
            let [x, w] = *t.taps.add(tap);
            let (x, w) = (t.x.wrapping_add(x), t.w.add(w));
            columns!(J < N, {
                let load = |p: *const V::Element| if FULL { V::load(p) } else { V::load_first(p, t.n) };
                let w = load(w.add(J * V::LANES));
                rows!(I < M, {
                    acc[I][J] = load(x.add(I * t.pixel_stride + J * V::LANES)).mul_add(w, acc[I][J]);
                });
            });
        }
        columns!(J < N, {
            let full = const { J + 1 < N } || t.n == V::LANES;
            let load = |p: *const V::Element| if full { V::load(p) } else { V::load_first(p, t.n) };
            rows!(I < M, {
                let y = t.y.add(I * t.y_stride + J * V::LANES);
                let mut value = acc[I][J];
                if t.accumulate {
                    value = value.add(load(y));
                }
                if !t.bias.is_null() {
                    value = value.add(load(t.bias.add(J * V::LANES)));
                }
                if let Some(limit) = t.relu {
                    value = value.relu(V::splat(limit));
                }
                if full {
                    value.store(y);
                } else {
                    value.store_first(y, t.n);
                }
            });
        });
    }
}

/// Output of a tile that reads a pixel by a tap, or `usize::MAX`.
const fn output_of(pixel: usize, tap: usize, stride: usize) -> usize {
    match pixel.checked_sub(tap) {
        Some(first) if first.is_multiple_of(stride) => first / stride,
        _ => usize::MAX,
    }
}

/// Adds the taps of a line to the sums of `N` rows of outputs from `FIRST` on.
#[inline(always)]
unsafe fn add_row<
    V: Vector,
    const R: usize,
    const M: usize,
    const K: usize,
    const S: usize,
    const FULL: bool,
    const FIRST: usize,
    const N: usize,
>(
    t: &SlidingTile<V::Element>,
    line: &SlidingRow,
    acc: &mut [[V; M]; R],
) {
    // SAFETY: as in `sliding_tile`.
    unsafe {
        let load = |p: *const V::Element| if FULL { V::load(p) } else { V::load_first(p, t.n) };
        let x = t.x.wrapping_add(line.x);
        let mut taps = [[V::zero(); K]; N];
        columns!(J < N, {
            rows!(T < K, {
                taps[J][T] = load(t.w.add(line.w[FIRST + J] + T * t.w_stride));
            });
        });
        pixels!(P < (M - 1) * S + K, {
            if (t.inside[0]..t.inside[1]).contains(&P) {
                let x = load(x.wrapping_add(P * t.pixel_stride));
                rows!(T < K, {
                    if const { output_of(P, T, S) < M } {
                        let output = const { output_of(P, T, S) % M };
                        columns!(J < N, {
                            acc[FIRST + J][output] = x.mul_add(taps[J][T], acc[FIRST + J][output]);
                        });
                    }
                });
            }
        });
    }
}

/// Computes a tile of `R` rows of `M` outputs whose `K` taps along the width overlap, `S` pixels apart.
#[inline(always)]
unsafe fn sliding_tile<V: Vector, const R: usize, const M: usize, const K: usize, const S: usize, const FULL: bool>(
    t: &SlidingTile<V::Element>,
) {
    // SAFETY: the caller guarantees the ISA and the validity of every pointer over the extents in `t`; only the first `t.n`
    // lanes are accessed unless `FULL`.
    unsafe {
        // The destination is prefetched during the accumulation.
        columns!(J < R, {
            rows!(I < M, {
                prefetch(t.y.wrapping_add(J * t.y_row + I * t.y_stride));
            });
        });
        let mut acc = [[V::zero(); M]; R];
        for line in 0..t.line_count {
            let line = &*t.lines.add(line);
            if const { R == 1 } || line.w[1] == UNREAD {
                add_row::<V, R, M, K, S, FULL, 0, 1>(t, line, &mut acc);
            } else if const { R == 2 } {
                if line.w[0] == UNREAD {
                    add_row::<V, R, M, K, S, FULL, 1, 1>(t, line, &mut acc);
                } else {
                    add_row::<V, R, M, K, S, FULL, 0, 2>(t, line, &mut acc);
                }
            }
        }
        let load = |p: *const V::Element| if FULL { V::load(p) } else { V::load_first(p, t.n) };
        columns!(J < R, {
            if J < t.rows {
                rows!(I < M, {
                    if I < t.count {
                        let y = t.y.add(J * t.y_row + I * t.y_stride);
                        let mut value = acc[J][I];
                        if t.accumulate {
                            value = value.add(load(y));
                        }
                        if !t.bias.is_null() {
                            value = value.add(load(t.bias));
                        }
                        if let Some(limit) = t.relu {
                            value = value.relu(V::splat(limit));
                        }
                        if FULL {
                            value.store(y);
                        } else {
                            value.store_first(y, t.n);
                        }
                    }
                });
            }
        });
    }
}

#[inline(always)]
unsafe fn accumulate<V: Vector, const M: usize, const FULL: bool>(t: &DepthwiseGrad<V::Element>) {
    // SAFETY: as in `convolve`; only the first `t.n` lanes are accessed unless `FULL`.
    unsafe {
        let load = |p: *const V::Element| if FULL { V::load(p) } else { V::load_first(p, t.n) };
        let mut acc = [V::zero(); M];
        for p in 0..t.pixels {
            let (dy, x) = (load(t.dy.add(p * t.dy_stride)), t.x.add(p * t.pixel_stride));
            rows!(I < M, {
                acc[I] = load(x.add(*t.taps.add(I))).mul_add(dy, acc[I]);
            });
        }
        rows!(I < M, {
            let dw = t.dw.add(I * t.dw_stride);
            let sum = acc[I].add(load(dw));
            if FULL {
                sum.store(dw);
            } else {
                sum.store_first(dw, t.n);
            }
        });
    }
}

#[inline(always)]
unsafe fn copy_row<V: Vector>(t: &PatchRow<V::Element>) {
    // SAFETY: as in `convolve`; of a pixel, only the first `t.n` channels are read.
    unsafe {
        for p in 0..t.inside {
            let (from, to) = (t.from.add(p * t.pixel_stride), t.to.add((t.before + p) * V::LANES));
            // The next block of the pixel, which is copied when this one is computed.
            prefetch_far(from.wrapping_add(V::LANES));
            if t.group >= V::LANES {
                for q in 0..t.group {
                    V::splat(*from.add(q)).store(to.add(q * t.plane));
                }
                continue;
            }
            let x = if t.n == V::LANES { V::load(from) } else { V::load_first(from, t.n) };
            if t.group == 1 {
                x.store(to);
                continue;
            }
            for q in 0..t.group {
                x.permute(t.order.add(q * V::LANES)).store(to.add(q * t.plane));
            }
        }
        for q in 0..if t.border { t.group } else { 0 } {
            let to = t.to.add(q * t.plane);
            for p in (0..t.before).chain(t.before + t.inside..t.pixels) {
                V::zero().store(to.add(p * V::LANES));
            }
        }
    }
}

macro_rules! kernels {
    ($module:ident, $vector:ty, $element:ty, $lanes:literal, $halves:expr, $(#[$feature:meta])?,
        [$($p:literal)*] $r:literal * [$($k:literal / $s:literal)*] $($n:literal: [$($m:literal)*])*) => {
        pub(super) mod $module {
            use super::*;

            $(#[$feature])?
            unsafe fn tile<const M: usize, const N: usize, const FULL: bool>(t: &DepthwiseTile<$element>) {
                // SAFETY: the caller's contract is passed on, and this function is compiled for the ISA.
                unsafe { super::convolve::<$vector, M, N, FULL>(t) }
            }

            #[allow(dead_code)] // Not for every type.
            $(#[$feature])?
            unsafe fn sliding_tile<const K: usize, const S: usize, const FULL: bool>(t: &SlidingTile<$element>) {
                // SAFETY: as above.
                unsafe { super::sliding_tile::<$vector, $r, PIXELS, K, S, FULL>(t) }
            }

            $(#[$feature])?
            unsafe fn grad<const M: usize, const FULL: bool>(t: &DepthwiseGrad<$element>) {
                // SAFETY: as above.
                unsafe { super::accumulate::<$vector, M, FULL>(t) }
            }

            $(#[$feature])?
            unsafe fn copy(t: &PatchRow<$element>) {
                // SAFETY: as above.
                unsafe { super::copy_row::<$vector>(t) }
            }

            pub(in crate::gemm) static KERNELS: Depthwise<$element> = Depthwise {
                lanes: $lanes,
                tiles: &[$(($n, &[$(tile::<$m, $n, true>),*])),*],
                partial: &[$(tile::<$p, 1, false>),*],
                sliding: &[$(SlidingKernels {
                    taps: [$k, $s],
                    rows: $r,
                    kernels: [sliding_tile::<$k, $s, true>, sliding_tile::<$k, $s, false>],
                }),*],
                halves: $halves,
                grads: [&[$(grad::<$p, true>),*], &[$(grad::<$p, false>),*]],
                copy,
            };
        }
    };
}

// Floats of the wider instruction sets slide over pixels; others are rare, or the size of their module counts.
// Three taps with stride 2 share one pixel, which does not pay for leaving the order of memory.
// Registers hold the sums of a tile, pixels by blocks, and one more operand; the other is read from memory. A tile that slides
// has two rows where 32 registers hold the sums and the taps of both.
#[cfg(target_arch = "x86_64")]
kernels!(avx512_f32, F32x16, f32, 16, depthwise_bf16::AVX512, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] 2 * [3/1 5/1 7/1 5/2 7/2] 4: [1 2 3 4] 2: [1 2 3 4 5 6 7] 1: [1 2 3 4 5 6 7 8 9 10 11 12 13 14]);
#[cfg(target_arch = "x86_64")]
kernels!(avx512_f64, F64x8, f64, 8, &[], #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")],
    [1 2 3 4 5 6 7 8] 1 * [] 2: [1 2 3 4] 1: [1 2 3 4 5 6 7 8]);
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f32, F32x8, f32, 8, depthwise_bf16::AVX2, #[target_feature(enable = "avx2,fma")],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] 1 * [3/1 5/1 7/1 5/2 7/2] 2: [1 2 3 4 5 6] 1: [1 2 3 4 5 6 7 8 9 10 11 12 13 14]);
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f64, F64x4, f64, 4, &[], #[target_feature(enable = "avx2,fma")],
    [1 2 3 4 5 6 7 8] 1 * [] 2: [1 2 3 4] 1: [1 2 3 4 5 6 7 8]);
#[cfg(target_arch = "aarch64")]
kernels!(neon_f32, F32x4, f32, 4, &[], ,
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] 2 * [3/1 5/1 7/1 5/2 7/2] 4: [1 2 3 4] 2: [1 2 3 4 5 6 7] 1: [1 2 3 4 5 6 7 8 9 10 11 12 13 14]);
#[cfg(target_arch = "aarch64")]
kernels!(neon_f64, F64x2, f64, 2, &[], ,
    [1 2 3 4 5 6 7 8] 1 * [] 2: [1 2 3 4] 1: [1 2 3 4 5 6 7 8]);
kernels!(portable_f32, Lanes<f32, 4>, f32, 4, &[], ,
    [1 2 3 4 5 6 7 8] 1 * [] 2: [1 2 3 4] 1: [1 2 3 4 5 6 7 8]);
kernels!(portable_f64, Lanes<f64, 2>, f64, 2, &[], ,
    [1 2 3 4] 1 * [] 1: [1 2 3 4]);
