//! Micro-kernels: a tile of C stays in registers during one pass over k.
//!
//! One body serves matrices and convolutions. The pass over k is `taps x run`: for each tap the pointer into A starts
//! at `a + tap` and makes `run` steps, while B (packed in the same order) is read sequentially. A matrix has one tap,
//! a convolution one tap per kernel row or kernel position, a kernel gradient one tap per output row.
//!
//! Rows of A are either contiguous (`CONTIGUOUS`: packed panels, transposed matrices, the channels of one pixel in a
//! kernel gradient), and a step of k moves by `a_stride`; or strided by `a_stride` (row-major matrices, neighbouring
//! output pixels), and a step of k moves by one. Both are read in place by broadcasting loads, so that A is packed
//! only where cache conflicts require it.

use super::depthwise;
use super::row;
use super::types::{Depthwise, Kernels, Real, Row, Tile};
use super::unroll::{columns, rows};
use super::vector::*;
use crate::simd::by_isa;
#[cfg(target_arch = "x86_64")]
use crate::simd::{isa, Isa, AVX512};

/// One step of k: `acc[i] += a[i] * b`, where `$row` is the address of row `$i`.
macro_rules! step {
    ($b:expr, $acc:ident, $i:ident => $row:expr) => {{
        let b = $b;
        let mut bv = [V::zero(); N];
        columns!(J < N, {
            bv[J] = V::load(b.add(J * V::LANES));
        });
        rows!($i < M, {
            let av = V::splat(*$row);
            columns!(J < N, {
                $acc[$i][J] = av.mul_add(bv[J], $acc[$i][J]);
            });
        });
    }};
}

/// Returns `pointer` without what LLVM knows of it: it would compute the address of each row from that of the row before,
/// one instruction for each row and step of k.
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block)] // nothing is accessed
fn opaque<E>(pointer: *const E) -> *const E {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let mut pointer = pointer;
        // SAFETY: there is no instruction.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags)) };
        pointer
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pointer
}

/// Moves pointers to rows by `steps`. Written out, because `map` is not unrolled where code is optimized for size.
#[inline(always)]
fn advance<E>([p, q, r, s, t]: [*const E; 5], steps: usize) -> [*const E; 5] {
    let next = |row: *const E| opaque(row.wrapping_add(steps));
    [next(p), next(q), next(r), next(s), next(t)]
}

/// Steps of k that share the addresses of rows: one in web pages, whose code has to be small.
const STEPS: usize = if cfg!(target_arch = "wasm32") { 1 } else { 4 };
/// Steps of k for which a tile prefetches a row of C at each step: enough for most rows, and few enough to need it.
const LEAST_SPREAD: usize = 8;
const MOST_SPREAD: usize = 64;

/// Prefetches the first and the last vector of a row of C.
#[inline(always)]
fn prefetch_row<V: Vector, const N: usize>(c: *const V::Element) {
    prefetch(c);
    if const { N > 1 } {
        prefetch(c.wrapping_add((N - 1) * V::LANES));
    }
}

#[inline(always)]
unsafe fn micro_kernel<V: Vector, const M: usize, const N: usize, const CONTIGUOUS: bool>(t: &Tile<V::Element>) {
    // SAFETY: the caller guarantees the ISA and the validity of every pointer over the extents in `t`.
    unsafe {
        // The destination is prefetched during the accumulation: a row at each of a few steps, which would wait for all rows,
        // or at once.
        let steps = t.run * t.tap_count;
        let spread = const { N > 1 && !CONTIGUOUS } && (LEAST_SPREAD..=MOST_SPREAD).contains(&steps);
        let mut row = if spread { 0 } else { M };
        if !spread {
            for i in 0..M {
                prefetch_row::<V, N>(t.c.wrapping_add(i * t.c_stride));
            }
        }
        let mut acc = [[V::zero(); N]; M];
        let mut b = t.b;
        let (a_stride, b_stride, run) = (t.a_stride, t.b_stride, t.run);
        let (mut ahead, ahead_stride) = (t.ahead, t.ahead_stride);
        for tap in 0..t.tap_count {
            let mut a = t.a.add(*t.taps.add(tap));
            if !t.b_taps.is_null() {
                b = t.b.add(*t.b_taps.add(tap));
            }
            let mut remaining = run;
            if CONTIGUOUS {
                while remaining > 0 {
                    prefetch_far(ahead);
                    ahead = ahead.wrapping_add(ahead_stride);
                    step!(b, acc, I => a.add(I));
                    a = a.add(a_stride);
                    b = b.add(b_stride);
                    remaining -= 1;
                }
                continue;
            }
            // One pointer for three rows, since the address modes cover two more strides: fourteen pointers would not
            // fit the registers.
            let mut a = [
                a,
                a.wrapping_add(3 * a_stride),
                a.wrapping_add(6 * a_stride),
                a.wrapping_add(9 * a_stride),
                a.wrapping_add(12 * a_stride),
            ];
            while remaining > 0 {
                let prefetches = const { N > 1 } && row < M;
                if prefetches || remaining < STEPS {
                    if prefetches {
                        prefetch_row::<V, N>(t.c.wrapping_add(row * t.c_stride));
                        row += 1;
                    }
                    prefetch_far(ahead);
                    ahead = ahead.wrapping_add(ahead_stride);
                    step!(b, acc, I => a[I / 3].add(I % 3 * a_stride));
                    a = advance(a, 1);
                    b = b.add(b_stride);
                    remaining -= 1;
                    continue;
                }
                // Several steps share the addresses.
                rows!(S < STEPS, {
                    prefetch_far(ahead.wrapping_add(S * ahead_stride));
                    step!(b.add(S * b_stride), acc, I => a[I / 3].add(I % 3 * a_stride + S));
                });
                ahead = ahead.wrapping_add(STEPS * ahead_stride);
                a = advance(a, STEPS);
                b = b.add(STEPS * b_stride);
                remaining -= STEPS;
            }
        }
        store_tile::<V, M, N>(t, &mut acc);
    }
}

/// Applies `$update` to the sums of every row in the last column (`last`) or in those before it; `$c` is their address.
macro_rules! update_columns {
    ($t:ident, $acc:ident, $last:literal, |$c:ident, $sum:ident| $update:expr) => {
        columns!(J < N, {
            if const { (J + 1 == N) == $last } {
                rows!(I < M, {
                    let $c = $t.c.add(I * $t.c_stride + J * V::LANES);
                    let $sum = &mut $acc[I][J];
                    $update;
                });
            }
        });
    };
}

/// Stores the sums with the epilogue. Each part of the epilogue is a pass over all registers, and so one branch.
#[inline(always)]
unsafe fn store_tile<V: Vector, const M: usize, const N: usize>(t: &Tile<V::Element>, acc: &mut [[V; N]; M]) {
    let full = t.last == V::LANES;
    // SAFETY: as in `micro_kernel`; of the last column, `t.last` elements are accessed.
    unsafe {
        if t.accumulate {
            update_columns!(t, acc, false, |c, sum| *sum = sum.add(V::load(c)));
            if full {
                update_columns!(t, acc, true, |c, sum| *sum = sum.add(V::load(c)));
            } else {
                update_columns!(t, acc, true, |c, sum| *sum = sum.add(V::load_first(c, t.last)));
            }
        }
        if !t.bias.is_null() {
            columns!(J < N, {
                let bias = t.bias.add(J * V::LANES);
                let bias = if full || const { J + 1 < N } { V::load(bias) } else { V::load_first(bias, t.last) };
                rows!(I < M, {
                    acc[I][J] = acc[I][J].add(bias);
                });
            });
        }
        if let Some(limit) = t.relu {
            let limit = V::splat(limit);
            columns!(J < N, {
                rows!(I < M, {
                    acc[I][J] = acc[I][J].relu(limit);
                });
            });
        }
        update_columns!(t, acc, false, |c, sum| sum.store(c));
        if full {
            update_columns!(t, acc, true, |c, sum| sum.store(c));
        } else {
            update_columns!(t, acc, true, |c, sum| sum.store_first(c, t.last));
        }
    }
}

/// Number of tile heights in a list.
const fn count(heights: &[usize]) -> usize {
    heights.len()
}

macro_rules! kernels {
    ($module:ident, $vector:ty, $element:ty, $lanes:literal, $(#[$feature:meta])?,
     [$($one:literal)*] [$($two:literal)*] [$($three:literal)*] [$($four:literal)*]) => {
        mod $module {
            use super::*;

            $(#[$feature])?
            unsafe fn tile<const M: usize, const N: usize, const CONTIGUOUS: bool>(t: &Tile<$element>) {
                // SAFETY: the caller's contract is passed on, and this function is compiled for the ISA.
                unsafe { micro_kernel::<$vector, M, N, CONTIGUOUS>(t) }
            }

            $(#[$feature])?
            unsafe fn wide(t: &Row<$element>) {
                // SAFETY: as above.
                unsafe { row::wide::<$vector>(t) }
            }

            $(#[$feature])?
            unsafe fn dots(t: &Row<$element>) {
                // SAFETY: as above.
                unsafe { row::dots::<$vector>(t, Real::plus) }
            }

            pub(super) static KERNELS: Kernels<$element> = Kernels {
                lanes: $lanes,
                wide,
                dots,
                rows: [count(&[$($one),*]), count(&[$($two),*]), count(&[$($three),*]), count(&[$($four),*])],
                strided: [
                    &[$(tile::<$one, 1, false>),*],
                    &[$(tile::<$two, 2, false>),*],
                    &[$(tile::<$three, 3, false>),*],
                    &[$(tile::<$four, 4, false>),*],
                ],
                contiguous: [
                    &[$(tile::<$one, 1, true>),*],
                    &[$(tile::<$two, 2, true>),*],
                ],
            };
        }
    };
}

// 32 registers: 14 x 2 or 6 x 4 sums (a width of three occurs only in a last panel).
#[cfg(target_arch = "x86_64")]
kernels!(avx512_f32, F32x16, f32, 16, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8] [1 2 3 4 5 6]);
#[cfg(target_arch = "x86_64")]
kernels!(avx512_f64, F64x8, f64, 8, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")],
    [1 2 3 4 5 6 7 8] [1 2 3 4 5 6 7 8] [] []);
// 16 registers: 6 x 2 sums.
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f32, F32x8, f32, 8, #[target_feature(enable = "avx2,fma")],
    [1 2 3 4 5 6 7 8 9 10 11 12] [1 2 3 4 5 6] [1 2 3 4] [1 2]);
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f64, F64x4, f64, 4, #[target_feature(enable = "avx2,fma")],
    [1 2 3 4 5 6] [1 2 3 4 5 6] [] []);
#[cfg(target_arch = "aarch64")]
kernels!(neon_f32, F32x4, f32, 4, ,
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8] [1 2 3 4 5 6]);
#[cfg(target_arch = "aarch64")]
kernels!(neon_f64, F64x2, f64, 2, ,
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8] [1 2 3 4 5 6]);
kernels!(portable_f32, Lanes<f32, 4>, f32, 4, ,
    [1 2 3 4] [1 2 3 4] [] []);
kernels!(portable_f64, Lanes<f64, 2>, f64, 2, ,
    [1 2 3 4] [1 2 3 4] [] []);

// Pairs of bfloat16 packed into floats, in tiles of one or two vectors only.
#[cfg(target_arch = "x86_64")]
kernels!(avx512_pairs, Pairs, f32, 16,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [] []);

/// Micro-kernels on pairs of bfloat16, two neighbouring steps of k packed into a float, with `f32` accumulators. `None`
/// if the CPU lacks the instruction.
pub(crate) fn pairs() -> Option<&'static Kernels<f32>> {
    #[cfg(target_arch = "x86_64")]
    if AVX512 && isa() == Isa::Avx512 && is_x86_feature_detected!("avx512bf16") {
        return Some(&avx512_pairs::KERNELS);
    }
    None
}

impl Real for f32 {
    fn kernels() -> &'static Kernels<f32> {
        by_isa!(&avx512_f32::KERNELS, &avx2_f32::KERNELS, &neon_f32::KERNELS, &portable_f32::KERNELS)
    }
    fn depthwise() -> &'static Depthwise<f32> {
        by_isa!(
            &depthwise::avx512_f32::KERNELS,
            &depthwise::avx2_f32::KERNELS,
            &depthwise::neon_f32::KERNELS,
            &depthwise::portable_f32::KERNELS
        )
    }
    #[inline(always)]
    fn plus(self, other: f32) -> f32 {
        self + other
    }
}

impl Real for f64 {
    fn kernels() -> &'static Kernels<f64> {
        by_isa!(&avx512_f64::KERNELS, &avx2_f64::KERNELS, &neon_f64::KERNELS, &portable_f64::KERNELS)
    }
    fn depthwise() -> &'static Depthwise<f64> {
        by_isa!(
            &depthwise::avx512_f64::KERNELS,
            &depthwise::avx2_f64::KERNELS,
            &depthwise::neon_f64::KERNELS,
            &depthwise::portable_f64::KERNELS
        )
    }
    #[inline(always)]
    fn plus(self, other: f64) -> f64 {
        self + other
    }
}
