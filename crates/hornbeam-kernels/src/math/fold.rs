//! Folds of interleaved partial results.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Most partial results that registers hold.
#[cfg(target_arch = "x86_64")]
const MOST: usize = 64;

/// Computes [`fold`] in registers of the baseline. LLVM folds an array that the registers of a loop hold one by one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn fold_registers<const P: usize>(parts: [f32; P], f: impl Fn(__m128, __m128) -> __m128) -> f32 {
    const { assert!(P.is_power_of_two() && P >= 4 && P <= MOST) };
    // SAFETY: instructions of every x86-64 CPU; the loads lie inside the array.
    unsafe {
        let mut registers = [_mm_setzero_ps(); MOST / 4];
        for (i, register) in registers.iter_mut().enumerate().take(P / 4) {
            *register = _mm_loadu_ps(parts.as_ptr().add(4 * i));
        }
        let mut width = P / 8;
        while width > 0 {
            for i in 0..width {
                registers[i] = f(registers[i], registers[i + width]);
            }
            width /= 2;
        }
        let half = f(registers[0], _mm_movehl_ps(registers[0], registers[0]));
        _mm_cvtss_f32(f(half, _mm_shuffle_ps::<1>(half, half)))
    }
}

/// Folds interleaved partial results, a power of two, by halves.
#[inline(always)]
pub(crate) fn fold<const P: usize, A: Copy>(mut parts: [A; P], f: impl Fn(A, A) -> A) -> A {
    let mut width = P / 2;
    while width > 0 {
        for j in 0..width {
            parts[j] = f(parts[j], parts[j + width]);
        }
        width /= 2;
    }
    parts[0]
}
