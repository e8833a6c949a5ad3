//! Floats as elementwise kernels load, round and store them.

use std::ptr;

use crate::dtype::{bf16, f16, Element};
use crate::math::Real;

/// Float of an elementwise kernel, which computes with its accumulator type.
pub trait Float: Element<Acc: Real> {
    /// Loads a block and widens it exactly. Lanes may be in an order of their own, which [`Float::store`] undoes.
    ///
    /// # Safety
    /// `N` elements are readable, at any alignment.
    unsafe fn load<const N: usize>(p: *const Self) -> [Self::Acc; N];

    /// Rounds a result of an operation on widened elements before it is stored, or an operand of another operation.
    fn round(x: Self::Acc) -> Self::Acc;

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
            fn round(x: $t) -> $t {
                x
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

impl Float for f16 {
    #[inline(always)]
    unsafe fn load<const N: usize>(p: *const f16) -> [f32; N] {
        // SAFETY: the caller's contract.
        let block: [f16; N] = unsafe { ptr::read_unaligned(p.cast()) };
        block.map(f16::to_acc)
    }
    /// Leaves the rounding to the conversion of `store`.
    #[inline(always)]
    fn round(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    unsafe fn store<const N: usize>(p: *mut f16, block: &[f32; N]) {
        // SAFETY: the caller's contract.
        unsafe { ptr::write_unaligned(p.cast(), block.map(f16::from_acc)) };
    }
}

/// A 32-bit word holds two elements, each of which is the upper half of a float. A block is the lower elements of all words
/// and then the upper ones: this order takes a shift or a mask for a register of floats, and no permutation.
impl Float for bf16 {
    #[inline(always)]
    unsafe fn load<const N: usize>(p: *const bf16) -> [f32; N] {
        const { assert!(N.is_multiple_of(2)) };
        let mut block = [0.0; N];
        for j in 0..N / 2 {
            // SAFETY: the caller's contract.
            let word = unsafe { ptr::read_unaligned(p.cast::<u32>().wrapping_add(j)) };
            block[j] = f32::from_bits(word << 16);
            block[N / 2 + j] = f32::from_bits(word & 0xffff_0000);
        }
        block
    }
    /// Rounds to nearest even. Of NaNs the lower half must be zero: it is in operands, and operations keep it.
    #[inline(always)]
    fn round(x: f32) -> f32 {
        let bits = x.to_bits();
        f32::from_bits(bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
    }
    #[inline(always)]
    unsafe fn store<const N: usize>(p: *mut bf16, block: &[f32; N]) {
        for j in 0..N / 2 {
            let word = (block[j].to_bits() >> 16) | (block[N / 2 + j].to_bits() & 0xffff_0000);
            // SAFETY: the caller's contract.
            unsafe { ptr::write_unaligned(p.cast::<u32>().wrapping_add(j), word) };
        }
    }
}
