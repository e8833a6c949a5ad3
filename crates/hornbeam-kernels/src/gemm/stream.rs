//! Kernels of products of one row with a matrix in memory. Elements may be narrower than the sums: each is read once, and
//! widened in registers.

use super::types::LINE;
use super::vector::{prefetch_far, Registers, Vector};
use crate::dtype::half::Half;
use crate::dtype::{DType, Element};
use crate::multiversion;
use crate::simd::Isa;

/// Rows of B that are read concurrently, each as a stream.
const STREAMS: usize = 16;
/// Bytes that so many short rows have at most.
const NEAR: usize = 1 << 16;
/// Vectors of sums in registers.
const SUMS: usize = 4;
/// Columns whose dot products are computed concurrently, in two vectors of AVX-512 each.
const DOTS: usize = 4;
/// Maximum lanes of a vector.
const LANES: usize = 16;
/// Vectors of the narrowest kind (16 bytes) in one of AVX-512.
const HALVES: usize = 4;

/// Calls a kernel with the registers of the instruction set `$S`.
macro_rules! by_isa {
    ($S:ident, $kernel:ident::<$T:ident>($($arg:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        if const { matches!($S::ISA, Isa::Avx512) } {
            return $kernel::<$T, <$T::Acc as Registers>::Avx512>($($arg),*);
        }
        #[cfg(target_arch = "x86_64")]
        if const { matches!($S::ISA, Isa::Avx2) } {
            return $kernel::<$T, <$T::Acc as Registers>::Avx2>($($arg),*);
        }
        #[cfg(target_arch = "aarch64")]
        if const { matches!($S::ISA, Isa::Neon) } {
            return $kernel::<$T, <$T::Acc as Registers>::Neon>($($arg),*);
        }
        if const { matches!($S::ISA, Isa::Portable) } {
            $kernel::<$T, <$T::Acc as Registers>::Portable>($($arg),*)
        }
    }};
}

multiversion! {
    /// Computes `c[j] += sum over p of a[p] * b[p * stride + j]`; B must hold these elements.
    pub(crate) unsafe fn wide[S, T: Streamed; T::DTYPE.copies()](a: &[T::Acc], b: *const T, stride: usize, c: &mut [T::Acc]) {
        // SAFETY: the caller's contract; the registers are those that this copy is compiled for.
        unsafe { by_isa!(S, wide_by::<T>(a, b, stride, c)) }
    }

    /// Computes `c[j] += sum over p of a[p] * b[j * stride + p]`; B must hold these elements.
    pub(crate) unsafe fn dots[S, T: Streamed; T::DTYPE.copies()](a: &[T::Acc], b: *const T, stride: usize, c: &mut [T::Acc]) {
        // SAFETY: as above.
        unsafe { by_isa!(S, dots_by::<T>(a, b, stride, c)) }
    }
}

multiversion! {
    /// Widens `k` rows of `n` elements, `row` apart, to panels `[panels][k][width]`, with zeros in the remaining columns. The
    /// source must hold these elements.
    pub(super) unsafe fn widen_panels[S, T: Half; T::DTYPE.copies()](
        from: *const T, row: isize, extents: [usize; 2], width: usize, to: &mut [f32],
    ) {
        // SAFETY: as above.
        unsafe { by_isa!(S, widen_panels_by::<T>(from, row, extents, width, to)) }
    }
}

#[inline(always)]
unsafe fn widen_panels_by<T: Half, V: Vector<Element = f32>>(
    from: *const T,
    row: isize,
    [k, n]: [usize; 2],
    width: usize,
    to: &mut [f32],
) {
    assert!(to.len() >= n.next_multiple_of(width) * k);
    // Contiguous rows are one.
    let [k, n, width] = if width == n && row == n as isize { [1, k * n, k * n] } else { [k, n, width] };
    // Some rows at a time: the parts of a panel are then long enough for the prefetchers.
    for start in (0..k).step_by(STREAMS) {
        for first in (0..n).step_by(width) {
            let columns = width.min(n - first);
            let mut to = to.as_mut_ptr().wrapping_add(first * k + start * width);
            for p in start..k.min(start + STREAMS) {
                let from = from.wrapping_offset(p as isize * row).wrapping_add(first);
                // SAFETY: the source by the caller's contract, the destination by the assertion.
                unsafe {
                    let mut j = 0;
                    while j + V::LANES <= columns {
                        load::<T, V>(from.add(j)).store(to.add(j));
                        j += V::LANES;
                    }
                    if j < columns {
                        let part = load_first::<T, V>(from.add(j), columns - j);
                        if j + V::LANES <= width {
                            part.store(to.add(j));
                        } else {
                            part.store_first(to.add(j), columns - j);
                        }
                        j += V::LANES;
                    }
                    for j in j..width {
                        *to.add(j) = 0.0;
                    }
                }
                to = to.wrapping_add(width);
            }
        }
    }
}

/// Element of a matrix that is read once: a float of the sums' type or of 16 bits.
pub(crate) trait Streamed: Element<Acc: Registers> {}
impl<T: Element<Acc: Registers>> Streamed for T {}

/// Loads `LANES` elements.
#[inline(always)]
unsafe fn load<T: Streamed, V: Vector<Element = T::Acc>>(p: *const T) -> V {
    // SAFETY: the caller's pointer holds these elements.
    unsafe {
        match T::DTYPE {
            DType::BF16 => V::load_bf16(p.cast()),
            DType::F16 => V::load_f16(p.cast()),
            _ => V::load(p.cast()),
        }
    }
}

/// Loads the first `n` elements, and zeros.
#[inline(always)]
unsafe fn load_first<T: Streamed, V: Vector<Element = T::Acc>>(p: *const T, n: usize) -> V {
    // SAFETY: the caller's pointer holds `n <= LANES` elements.
    unsafe {
        match T::DTYPE {
            DType::BF16 => V::load_bf16_first(p.cast(), n),
            DType::F16 => V::load_f16_first(p.cast(), n),
            _ => V::load_first(p.cast(), n),
        }
    }
}

/// Distance of a prefetch in elements: to the next streams if these are short, of which the processor prefetches little;
/// otherwise none, 0.
#[inline(always)]
fn distance<T>(stride: usize) -> usize {
    if STREAMS * stride * size_of::<T>() <= NEAR {
        STREAMS * stride
    } else {
        0
    }
}

/// Prefetches the line `distance` behind vector `index` of `row`, once for each line.
#[inline(always)]
fn ahead<T: Streamed, V: Vector<Element = T::Acc>>(row: *const T, distance: usize, index: usize) {
    let vectors = const { LINE / size_of::<T>() / V::LANES };
    if distance > 0 && (vectors <= 1 || index.is_multiple_of(vectors)) {
        prefetch_far(row.wrapping_add(distance + index * V::LANES));
    }
}

#[inline(always)]
unsafe fn wide_by<T: Streamed, V: Vector<Element = T::Acc>>(
    a: &[T::Acc],
    b: *const T,
    stride: usize,
    c: &mut [T::Acc],
) {
    for (index, a) in a.chunks(STREAMS).enumerate() {
        let b = b.wrapping_add(index * STREAMS * stride);
        let mut j = 0;
        // SAFETY: the caller's contract.
        unsafe {
            while j + SUMS * V::LANES <= c.len() {
                add_rows::<T, V, SUMS>(a, b.add(j), stride, c.as_mut_ptr().add(j));
                j += SUMS * V::LANES;
            }
            while j + V::LANES <= c.len() {
                add_rows::<T, V, 1>(a, b.add(j), stride, c.as_mut_ptr().add(j));
                j += V::LANES;
            }
            if j < c.len() {
                let (left, to) = (c.len() - j, c.as_mut_ptr().add(j));
                let mut sum = V::load_first(to, left);
                for (p, a) in a.iter().enumerate() {
                    sum = V::splat(*a).mul_add(load_first::<T, V>(b.add(p * stride + j), left), sum);
                }
                sum.store_first(to, left);
            }
        }
    }
}

/// Adds rows of B to `N` vectors of `c`.
#[inline(always)]
unsafe fn add_rows<T: Streamed, V: Vector<Element = T::Acc>, const N: usize>(
    a: &[T::Acc],
    b: *const T,
    stride: usize,
    c: *mut T::Acc,
) {
    // SAFETY: the caller's contract.
    unsafe {
        let distance = distance::<T>(stride);
        let mut sums = [V::zero(); N];
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = V::load(c.add(i * V::LANES));
        }
        for (p, a) in a.iter().enumerate() {
            let (a, row) = (V::splat(*a), b.add(p * stride));
            for (i, sum) in sums.iter_mut().enumerate() {
                ahead::<T, V>(row, distance, i);
                *sum = a.mul_add(load::<T, V>(row.add(i * V::LANES)), *sum);
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            sum.store(c.add(i * V::LANES));
        }
    }
}

#[inline(always)]
unsafe fn dots_by<T: Streamed, V: Vector<Element = T::Acc>>(
    a: &[T::Acc],
    b: *const T,
    stride: usize,
    c: &mut [T::Acc],
) {
    let mut j = 0;
    // SAFETY: the caller's contract.
    unsafe {
        // Two vectors of AVX-512 for each of four columns leave no registers of others.
        if const { LANES * size_of::<f32>() == V::LANES * size_of::<T::Acc>() } {
            while j + DOTS <= c.len() {
                columns::<T, V, DOTS>(a, b.add(j * stride), stride, c.as_mut_ptr().add(j));
                j += DOTS;
            }
        }
        while j < c.len() {
            columns::<T, V, 1>(a, b.add(j * stride), stride, c.as_mut_ptr().add(j));
            j += 1;
        }
    }
}

/// Computes `N` dot products. On every instruction set each has the partial sums of two vectors of AVX-512, which gives
/// the same bits.
#[inline(always)]
unsafe fn columns<T: Streamed, V: Vector<Element = T::Acc>, const N: usize>(
    a: &[T::Acc],
    b: *const T,
    stride: usize,
    c: *mut T::Acc,
) {
    let half = const { LANES * size_of::<f32>() / size_of::<T::Acc>() / V::LANES };
    let width = half * V::LANES;
    // SAFETY: the caller's contract.
    unsafe {
        let distance = distance::<T>(stride);
        let mut sums = [[V::zero(); 2 * HALVES]; N];
        let mut p = 0;
        while p + 2 * width <= a.len() {
            for part in 0..2 * half {
                let at = p + part * V::LANES;
                let factor = V::load(a.as_ptr().add(at));
                for (i, sum) in sums.iter_mut().enumerate() {
                    ahead::<T, V>(b.add(i * stride + p), distance, part);
                    sum[part] = factor.mul_add(load::<T, V>(b.add(i * stride + at)), sum[part]);
                }
            }
            p += 2 * width;
        }
        if p < a.len() {
            for part in 0..2 * half {
                let at = p + part * V::LANES;
                let left = a.len().saturating_sub(at).min(V::LANES);
                let factor = V::load_first(a.as_ptr().wrapping_add(at), left);
                for (i, sum) in sums.iter_mut().enumerate() {
                    let b = load_first::<T, V>(b.wrapping_add(i * stride + at), left);
                    sum[part] = factor.mul_add(b, sum[part]);
                }
            }
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            let mut count = 2 * half;
            while count > 1 {
                count /= 2;
                for part in 0..count {
                    sum[part] = sum[part].add(sum[part + count]);
                }
            }
            let c = c.add(i);
            *c = *c + sum[0].sum();
        }
    }
}
