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

use super::row::{self, Row, RowFn};
use super::vector::*;
use crate::simd::{isa, Isa};

/// Arguments of a micro-kernel, which computes `c = act(sum + bias (+ c))`.
#[derive(Clone, Copy)]
pub(crate) struct Tile<E> {
    pub a: *const E,
    /// Distance between rows (`CONTIGUOUS` false) or between steps of k (true).
    pub a_stride: usize,
    /// Start of each tap relative to `a`.
    pub taps: *const usize,
    pub tap_count: usize,
    pub run: usize,
    pub b: *const E,
    /// Distance between steps of k in B.
    pub b_stride: usize,
    pub c: *mut E,
    /// Distance between rows of C.
    pub c_stride: usize,
    /// Valid columns of the last vector (1 ..= LANES); B must be readable to the full width.
    pub last: usize,
    /// One value for each column, or null.
    pub bias: *const E,
    pub relu: bool,
    pub accumulate: bool,
}

pub(crate) type TileFn<E> = unsafe fn(&Tile<E>);

/// Arguments of one row of a depthwise convolution,
/// `y[p, c] = act(sum over taps of x[p * pixel_stride + tap + c] * w[tap, c] + bias (+ y))`.
pub(crate) struct DepthwiseRow<E> {
    pub x: *const E,
    pub pixel_stride: usize,
    pub taps: *const usize,
    pub tap_count: usize,
    pub w: *const E,
    pub channels: usize,
    pub y: *mut E,
    /// Distance between pixels of `y`.
    pub y_stride: usize,
    pub pixels: usize,
    pub bias: *const E,
    pub relu: bool,
    pub accumulate: bool,
}

/// Arguments of one row of a depthwise kernel gradient,
/// `dw[tap, c] += sum over pixels of x[p * pixel_stride + tap + c] * dy[p, c]`.
pub(crate) struct DepthwiseGrad<E> {
    pub x: *const E,
    pub pixel_stride: usize,
    pub taps: *const usize,
    pub tap_count: usize,
    pub dy: *const E,
    pub channels: usize,
    pub dw: *mut E,
    pub pixels: usize,
}

/// Kernels of depthwise convolutions for one ISA and type.
pub(crate) struct Depthwise<E: 'static> {
    pub row: unsafe fn(&DepthwiseRow<E>),
    pub grad: unsafe fn(&DepthwiseGrad<E>),
}

/// Maximum tile width in vectors.
pub(crate) const MAX_VECTORS: usize = 4;

/// Micro-kernels for one ISA and type.
pub(crate) struct Kernels<E: 'static> {
    /// Floats in a vector.
    pub lanes: usize,
    /// Maximum rows of a tile `i + 1` vectors wide: registers remain for B and the broadcast.
    pub rows: [usize; MAX_VECTORS],
    pub wide: RowFn<E>,
    pub dots: RowFn<E>,
    strided: [&'static [TileFn<E>]; MAX_VECTORS],
    contiguous: [&'static [TileFn<E>]; MAX_VECTORS],
}

impl<E> Kernels<E> {
    /// Micro-kernel for a tile of `rows` by `vectors`.
    #[inline]
    pub fn tile(&self, contiguous: bool, rows: usize, vectors: usize) -> TileFn<E> {
        let table = if contiguous { &self.contiguous } else { &self.strided };
        table[vectors - 1][rows - 1]
    }
}

/// Repeats a block for each row below `M`. LLVM unrolls a long loop only after it has decided to keep the array of sums
/// in memory, so the block is unrolled here.
macro_rules! rows {
    ($i:ident < $m:ident, $body:block) => {
        rows!(@ $i, $m, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $i:ident, $m:ident, $body:block, $($n:literal)*) => {
        $(if $n < $m {
            const $i: usize = $n;
            $body
        })*
    };
}

/// Repeats a block for each vector of a row.
macro_rules! columns {
    ($j:ident < $n:ident, $body:block) => {
        rows!(@ $j, $n, $body, 0 1 2 3)
    };
}

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

#[inline(always)]
unsafe fn micro_kernel<V: Vector, const M: usize, const N: usize, const CONTIGUOUS: bool>(t: &Tile<V::Element>) {
    // SAFETY: the caller guarantees the ISA and the validity of every pointer over the extents in `t`.
    unsafe {
        // The destination is prefetched during the accumulation.
        for i in 0..M {
            let c = t.c.wrapping_add(i * t.c_stride);
            prefetch(c);
            prefetch(c.wrapping_add((N - 1) * V::LANES));
        }
        let mut acc = [[V::zero(); N]; M];
        let mut b = t.b;
        let (a_stride, b_stride, run) = (t.a_stride, t.b_stride, t.run);
        for tap in 0..t.tap_count {
            let mut a = t.a.add(*t.taps.add(tap));
            let mut remaining = run;
            if CONTIGUOUS {
                while remaining > 0 {
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
                step!(b, acc, I => a[I / 3].add(I % 3 * a_stride));
                a = a.map(|p| p.wrapping_add(1));
                b = b.add(b_stride);
                remaining -= 1;
            }
        }
        if t.last == V::LANES {
            store_tile::<V, M, N, true>(t, &acc);
        } else {
            store_tile::<V, M, N, false>(t, &acc);
        }
    }
}

#[inline(always)]
unsafe fn store_tile<V: Vector, const M: usize, const N: usize, const FULL: bool>(
    t: &Tile<V::Element>,
    acc: &[[V; N]; M],
) {
    // SAFETY: as in `micro_kernel`.
    unsafe {
        columns!(J < N, {
            let full = FULL || J + 1 < N;
            let at = J * V::LANES;
            let bias = match (t.bias.is_null(), full) {
                (true, _) => V::zero(),
                (false, true) => V::load(t.bias.add(at)),
                (false, false) => V::load_first(t.bias.add(at), t.last),
            };
            rows!(I < M, {
                let c = t.c.add(I * t.c_stride + at);
                let mut value = acc[I][J];
                if t.accumulate {
                    value = value.add(if full { V::load(c) } else { V::load_first(c, t.last) });
                }
                if !t.bias.is_null() {
                    value = value.add(bias);
                }
                if t.relu {
                    value = value.relu();
                }
                if full {
                    value.store(c);
                } else {
                    value.store_first(c, t.last);
                }
            });
        });
    }
}

#[inline(always)]
unsafe fn depthwise<V: Vector>(t: &DepthwiseRow<V::Element>) {
    // SAFETY: the caller guarantees the ISA and the validity of every pointer over the extents in `t`.
    unsafe {
        for c in (0..t.channels).step_by(V::LANES) {
            let n = V::LANES.min(t.channels - c);
            let mut p = 0;
            while p < t.pixels {
                if n == V::LANES && t.pixels - p >= 6 {
                    depthwise_pixels::<V, 6, true>(t, c, n, p);
                    p += 6;
                } else if n == V::LANES {
                    depthwise_pixels::<V, 1, true>(t, c, n, p);
                    p += 1;
                } else {
                    depthwise_pixels::<V, 1, false>(t, c, n, p);
                    p += 1;
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn depthwise_pixels<V: Vector, const M: usize, const FULL: bool>(
    t: &DepthwiseRow<V::Element>,
    c: usize,
    n: usize,
    p: usize,
) {
    // SAFETY: as in `depthwise`; only the first `n` lanes are accessed unless `FULL`.
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
unsafe fn depthwise_grad<V: Vector>(t: &DepthwiseGrad<V::Element>) {
    // SAFETY: the caller guarantees the ISA and the validity of every pointer over the extents in `t`.
    unsafe {
        for c in (0..t.channels).step_by(V::LANES) {
            let n = V::LANES.min(t.channels - c);
            let mut tap = 0;
            while tap < t.tap_count {
                let remaining = t.tap_count - tap;
                match (remaining, n == V::LANES) {
                    (6.., true) => depthwise_taps::<V, 6, true>(t, c, n, tap),
                    (3.., true) => depthwise_taps::<V, 3, true>(t, c, n, tap),
                    (_, true) => depthwise_taps::<V, 1, true>(t, c, n, tap),
                    (_, false) => depthwise_taps::<V, 1, false>(t, c, n, tap),
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
unsafe fn depthwise_taps<V: Vector, const M: usize, const FULL: bool>(
    t: &DepthwiseGrad<V::Element>,
    c: usize,
    n: usize,
    tap: usize,
) {
    // SAFETY: as in `depthwise_grad`; only the first `n` lanes are accessed unless `FULL`.
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
                rows: [[$($one),*].len(), [$($two),*].len(), [$($three),*].len(), [$($four),*].len()],
                strided: [
                    &[$(tile::<$one, 1, false>),*],
                    &[$(tile::<$two, 2, false>),*],
                    &[$(tile::<$three, 3, false>),*],
                    &[$(tile::<$four, 4, false>),*],
                ],
                contiguous: [
                    &[$(tile::<$one, 1, true>),*],
                    &[$(tile::<$two, 2, true>),*],
                    &[$(tile::<$three, 3, true>),*],
                    &[$(tile::<$four, 4, true>),*],
                ],
            };
        }
    };
}

macro_rules! depthwise {
    ($module:ident, $vector:ty, $element:ty, $(#[$feature:meta])?) => {
        mod $module {
            use super::*;

            $(#[$feature])?
            unsafe fn row(t: &DepthwiseRow<$element>) {
                // SAFETY: the caller's contract is passed on, and this function is compiled for the ISA.
                unsafe { super::depthwise::<$vector>(t) }
            }

            $(#[$feature])?
            unsafe fn grad(t: &DepthwiseGrad<$element>) {
                // SAFETY: as above.
                unsafe { super::depthwise_grad::<$vector>(t) }
            }

            pub(super) static KERNELS: Depthwise<$element> = Depthwise { row, grad };
        }
    };
}

// 32 registers: 14 x 2 or 6 x 4 sums (a width of three occurs only in a last panel).
#[cfg(target_arch = "x86_64")]
kernels!(avx512_f32, F32x16, f32, 16, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8] [1 2 3 4 5 6]);
#[cfg(target_arch = "x86_64")]
kernels!(avx512_f64, F64x8, f64, 8, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8] [1 2 3 4 5 6]);
// 16 registers: 6 x 2 sums.
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f32, F32x8, f32, 8, #[target_feature(enable = "avx2,fma")],
    [1 2 3 4 5 6 7 8 9 10 11 12] [1 2 3 4 5 6] [1 2 3 4] [1 2]);
#[cfg(target_arch = "x86_64")]
kernels!(avx2_f64, F64x4, f64, 4, #[target_feature(enable = "avx2,fma")],
    [1 2 3 4 5 6 7 8 9 10 11 12] [1 2 3 4 5 6] [1 2 3 4] [1 2]);
#[cfg(target_arch = "aarch64")]
kernels!(neon_f32, F32x4, f32, 4, ,
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8] [1 2 3 4 5 6]);
#[cfg(target_arch = "aarch64")]
kernels!(neon_f64, F64x2, f64, 2, ,
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8] [1 2 3 4 5 6]);
kernels!(portable_f32, Lanes<f32, 4>, f32, 4, ,
    [1 2 3 4 5 6 7 8] [1 2 3 4 5 6] [1 2 3 4] [1 2]);
kernels!(portable_f64, Lanes<f64, 2>, f64, 2, ,
    [1 2 3 4 5 6 7 8] [1 2 3 4 5 6] [1 2 3 4] [1 2]);

// Pairs of bfloat16 packed into floats.
#[cfg(target_arch = "x86_64")]
kernels!(avx512_pairs, Pairs, f32, 16,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8] [1 2 3 4 5 6]);

#[cfg(target_arch = "x86_64")]
depthwise!(depthwise_avx512_f32, F32x16, f32, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
depthwise!(depthwise_avx512_f64, F64x8, f64, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
depthwise!(depthwise_avx2_f32, F32x8, f32, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
depthwise!(depthwise_avx2_f64, F64x4, f64, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "aarch64")]
depthwise!(depthwise_neon_f32, F32x4, f32,);
#[cfg(target_arch = "aarch64")]
depthwise!(depthwise_neon_f64, F64x2, f64,);
depthwise!(depthwise_portable_f32, Lanes<f32, 4>, f32, );
depthwise!(depthwise_portable_f64, Lanes<f64, 2>, f64, );

/// Micro-kernels on pairs of bfloat16, two neighbouring steps of k packed into a float, with `f32` accumulators. `None`
/// if the CPU lacks the instruction.
pub(crate) fn pairs() -> Option<&'static Kernels<f32>> {
    #[cfg(target_arch = "x86_64")]
    if isa() == Isa::Avx512 && is_x86_feature_detected!("avx512bf16") {
        return Some(&avx512_pairs::KERNELS);
    }
    None
}

/// Float with micro-kernels: `f32` and `f64`.
pub(crate) trait Real: crate::dtype::Element<Acc = Self> + crate::scratch::Plain {
    /// Micro-kernels for the ISA of the calling thread. Tasks receive this reference from the submitting thread.
    fn kernels() -> &'static Kernels<Self>;
    /// Depthwise kernels for the ISA of the calling thread.
    fn depthwise() -> &'static Depthwise<Self>;
    /// Adds two elements in generic code outside the micro-kernels.
    fn plus(self, other: Self) -> Self;
}

impl Real for f32 {
    fn kernels() -> &'static Kernels<f32> {
        match isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512_f32::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2_f32::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &neon_f32::KERNELS,
            _ => &portable_f32::KERNELS,
        }
    }
    fn depthwise() -> &'static Depthwise<f32> {
        match isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &depthwise_avx512_f32::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &depthwise_avx2_f32::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &depthwise_neon_f32::KERNELS,
            _ => &depthwise_portable_f32::KERNELS,
        }
    }
    #[inline(always)]
    fn plus(self, other: f32) -> f32 {
        self + other
    }
}

impl Real for f64 {
    fn kernels() -> &'static Kernels<f64> {
        match isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512_f64::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2_f64::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &neon_f64::KERNELS,
            _ => &portable_f64::KERNELS,
        }
    }
    fn depthwise() -> &'static Depthwise<f64> {
        match isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &depthwise_avx512_f64::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &depthwise_avx2_f64::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &depthwise_neon_f64::KERNELS,
            _ => &depthwise_portable_f64::KERNELS,
        }
    }
    #[inline(always)]
    fn plus(self, other: f64) -> f64 {
        self + other
    }
}
