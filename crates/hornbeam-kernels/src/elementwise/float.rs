//! Floats as elementwise kernels load, round and store them.

use std::ptr;

use crate::dtype::{bf16, f16, Element};
use crate::math::Real;
use crate::simd::{Target, LANES};

/// Float of an elementwise kernel, which computes with its accumulator type.
pub trait Float: Element<Acc: Real> {
    /// Loads a block and widens it exactly. Lanes may be in an order of their own, which [`Float::store`] undoes.
    ///
    /// # Safety
    /// `N` elements are readable, at any alignment.
    unsafe fn load<const N: usize>(p: *const Self) -> [Self::Acc; N];

    /// Rounds results of an operation on widened elements, before they are stored or operands of another one.
    #[inline(always)]
    fn round<S: Target, const N: usize>(block: [Self::Acc; N]) -> [Self::Acc; N] {
        block
    }

    /// Stores a block of rounded lanes.
    ///
    /// # Safety
    /// `N` elements are writable, at any alignment.
    unsafe fn store<const N: usize>(p: *mut Self, block: &[Self::Acc; N]);
}

macro_rules! accumulators {
    ($($t:ident),*) => {$(
        impl Float for $t {
            #[inline(always)]
            unsafe fn load<const N: usize>(p: *const $t) -> [$t; N] {
                // SAFETY: the caller's contract.
                unsafe { ptr::read_unaligned(p.cast()) }
            }
            #[inline(always)]
            unsafe fn store<const N: usize>(p: *mut $t, block: &[$t; N]) {
                // SAFETY: the caller's contract.
                unsafe { ptr::write_unaligned(p.cast(), *block) };
            }
        }
    )*};
}

accumulators!(f32, f64);

/// Results are rounded when they are stored.
impl Float for f16 {
    #[inline(always)]
    unsafe fn load<const N: usize>(p: *const f16) -> [f32; N] {
        // SAFETY: the caller's contract.
        let block: [f16; N] = unsafe { ptr::read_unaligned(p.cast()) };
        block.map(f16::to_acc)
    }
    #[inline(always)]
    unsafe fn store<const N: usize>(p: *mut f16, block: &[f32; N]) {
        // SAFETY: the caller's contract.
        unsafe { ptr::write_unaligned(p.cast(), block.map(f16::from_acc)) };
    }
}

/// Words that are loaded or stored at once, in blocks of [`LANES`]: LLVM does not join the accesses to single ones there. In
/// the blocks of chains it does, and keeps the value in registers.
const WORDS: usize = 4;

/// A 32-bit word holds two elements, each of which is the upper half of a float. A block is the lower elements of all words
/// and then the upper ones: this order takes a shift or a mask for a register of floats, and no permutation.
impl Float for bf16 {
    #[inline(always)]
    unsafe fn load<const N: usize>(p: *const bf16) -> [f32; N] {
        const { assert!(N.is_multiple_of(2 * WORDS)) };
        let mut block = [0.0; N];
        if N > LANES {
            for j in 0..N / 2 {
                // SAFETY: the caller's contract.
                let word = unsafe { ptr::read_unaligned(p.cast::<u32>().add(j)) };
                block[j] = f32::from_bits(word << 16);
                block[N / 2 + j] = f32::from_bits(word & 0xffff_0000);
            }
            return block;
        }
        let (lower, upper) = block.split_at_mut(N / 2);
        let parts = lower.as_chunks_mut().0.iter_mut().zip(upper.as_chunks_mut().0);
        for (i, (lower, upper)) in parts.enumerate() {
            // SAFETY: the caller's contract.
            let words: [u32; WORDS] = unsafe { ptr::read_unaligned(p.cast::<[u32; WORDS]>().add(i)) };
            *lower = words.map(|word| f32::from_bits(word << 16));
            *upper = words.map(|word| f32::from_bits(word & 0xffff_0000));
        }
        block
    }
    /// Rounds to nearest even. Of NaNs the lower half must be zero: it is in operands, and operations keep it.
    #[inline(always)]
    fn round<S: Target, const N: usize>(block: [f32; N]) -> [f32; N] {
        #[cfg(target_arch = "x86_64")]
        if S::VNNI {
            // SAFETY: the instruction set of the kernel.
            return unsafe { round_vnni(block) };
        }
        block.map(|x| {
            let bits = x.to_bits();
            f32::from_bits(bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
        })
    }
    #[inline(always)]
    unsafe fn store<const N: usize>(p: *mut bf16, block: &[f32; N]) {
        if N > LANES {
            for j in 0..N / 2 {
                let word = (block[j].to_bits() >> 16) | (block[N / 2 + j].to_bits() & 0xffff_0000);
                // SAFETY: the caller's contract.
                unsafe { ptr::write_unaligned(p.cast::<u32>().add(j), word) };
            }
            return;
        }
        let (lower, upper) = block.split_at(N / 2);
        let parts = lower.as_chunks::<WORDS>().0.iter().zip(upper.as_chunks::<WORDS>().0);
        for (i, (lower, upper)) in parts.enumerate() {
            let mut words = [0u32; WORDS];
            for j in 0..WORDS {
                words[j] = (lower[j].to_bits() >> 16) | (upper[j].to_bits() & 0xffff_0000);
            }
            // SAFETY: the caller's contract.
            unsafe { ptr::write_unaligned(p.cast::<[u32; WORDS]>().add(i), words) };
        }
    }
}

/// Adds `0x7fff` and the lowest bit that is kept as products of words, in one instruction.
///
/// # Safety
/// The CPU has AVX-512 with VNNI.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn round_vnni<const N: usize>(mut block: [f32; N]) -> [f32; N] {
    use std::arch::x86_64::*;
    const { assert!(N.is_multiple_of(16)) };
    for register in block.as_chunks_mut::<16>().0 {
        // SAFETY: the caller's contract.
        unsafe {
            let x = _mm512_loadu_si512(register.as_ptr().cast());
            // 1 | (x & 0x10000)
            let words = _mm512_ternarylogic_epi32::<0xf8>(_mm512_set1_epi32(1), x, _mm512_set1_epi32(0x1_0000));
            let sum = _mm512_dpwssd_epi32(x, words, _mm512_set1_epi32(0x1_7fff));
            let rounded = _mm512_and_si512(sum, _mm512_set1_epi32(-0x1_0000));
            _mm512_storeu_si512(register.as_mut_ptr().cast(), rounded);
        }
    }
    block
}
