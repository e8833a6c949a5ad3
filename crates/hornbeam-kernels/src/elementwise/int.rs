//! Integer arithmetic.

use std::ptr;

use super::loops::{Map1, Map2};
use crate::dtype::Element;
use crate::simd::Target;

/// Integer with the operations of the tables below.
pub trait Int: Element<Acc = Self> + Ord + std::ops::Not<Output = Self> {
    fn neg(self) -> Self;
    fn sign(self) -> Self;
    fn abs(self) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn rem(self, other: Self) -> Self;
    fn pow(self, exponent: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn shift_left(self, by: Self) -> Self;
    fn shift_right(self, by: Self) -> Self;
    /// Absolute value.
    fn magnitude(self) -> u64;
    /// The integer of this magnitude, which fits, with the sign of `self`.
    fn with_magnitude(self, magnitude: u64) -> Self;
}

macro_rules! int {
    ($($t:ident $unsigned:ident),*) => {$(
        impl Int for $t {
            #[inline(always)]
            fn neg(self) -> $t {
                self.wrapping_neg()
            }
            #[inline(always)]
            fn sign(self) -> $t {
                // The second comparison is never true for unsigned types.
                #[allow(unused_comparisons, clippy::absurd_extreme_comparisons)]
                (<$t>::from(self > 0)).wrapping_sub(<$t>::from(self < 0))
            }
            #[inline(always)]
            fn abs(self) -> $t {
                #[allow(unused_comparisons, clippy::absurd_extreme_comparisons)]
                if self < 0 { self.wrapping_neg() } else { self }
            }
            #[inline(always)]
            fn add(self, other: $t) -> $t {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn sub(self, other: $t) -> $t {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn mul(self, other: $t) -> $t {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn div(self, other: $t) -> $t {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }
            #[inline(always)]
            fn rem(self, other: $t) -> $t {
                if other == 0 { 0 } else { self.wrapping_rem(other) }
            }
            /// Wrapping power. A negative exponent gives the truncated reciprocal: 0 unless the base is 1 or -1.
            #[inline(always)]
            fn pow(self, exponent: $t) -> $t {
                #[allow(unused_comparisons, clippy::absurd_extreme_comparisons)]
                if exponent < 0 {
                    let odd = exponent & 1 == 1;
                    return if self == 1 { 1 } else if self.wrapping_neg() == 1 { if odd { self } else { 1 } } else { 0 };
                }
                let (mut base, mut left, mut power) = (self, exponent as $unsigned, 1 as $t);
                while left != 0 {
                    if left & 1 == 1 {
                        power = power.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    left >>= 1;
                }
                power
            }
            #[inline(always)]
            fn and(self, other: $t) -> $t {
                self & other
            }
            #[inline(always)]
            fn or(self, other: $t) -> $t {
                self | other
            }
            #[inline(always)]
            fn xor(self, other: $t) -> $t {
                self ^ other
            }
            // A negative count, interpreted as unsigned, exceeds the width.
            #[inline(always)]
            fn shift_left(self, by: $t) -> $t {
                const LAST: $unsigned = <$t>::BITS as $unsigned - 1;
                let shifted = self << (by as $unsigned & LAST);
                if by as $unsigned > LAST { 0 } else { shifted }
            }
            #[inline(always)]
            fn shift_right(self, by: $t) -> $t {
                const LAST: $unsigned = <$t>::BITS as $unsigned - 1;
                let sign = if <$t>::MIN == 0 { 0 } else { self >> LAST };
                let shifted = self >> (by as $unsigned & LAST);
                if by as $unsigned > LAST { sign } else { shifted }
            }
            #[inline(always)]
            fn magnitude(self) -> u64 {
                u64::from(Int::abs(self) as $unsigned)
            }
            #[inline(always)]
            fn with_magnitude(self, magnitude: u64) -> $t {
                #[allow(unused_comparisons, clippy::absurd_extreme_comparisons)]
                if self < 0 { (magnitude as $t).wrapping_neg() } else { magnitude as $t }
            }
        }
    )*};
}

int!(i8 u8, i16 u16, i32 u32, i64 u64, u8 u8, u16 u16, u32 u32, u64 u64);

/// Unary function of integers of any width.
pub(super) trait IntUnary {
    fn apply<T: Int>(x: T) -> T;
}
/// Binary function of integers of any width.
pub(super) trait IntBinary {
    fn apply<T: Int>(a: T, b: T) -> T;
}

/// [`IntUnary`] or [`IntBinary`] on elements `T`.
pub(super) struct OnInt<O, T>(std::marker::PhantomData<(O, T)>);
impl<O: IntUnary, T: Int> Map1 for OnInt<O, T> {
    type In = T;
    type Out = T;
    #[inline(always)]
    fn apply<S: Target>(x: T) -> T {
        O::apply(x)
    }
}
impl<O: IntBinary, T: Int> Map2 for OnInt<O, T> {
    type In = T;
    type Out = T;
    #[inline(always)]
    fn apply<S: Target>(a: T, b: T) -> T {
        O::apply(a, b)
    }
}

/// A divisor of many numbers. Its reciprocal gives the exact remainder by two multiplications, in a fifth of the time of
/// a division.
struct Divisor {
    divisor: u64,
    /// (2^64 - 1) / divisor, rounded down.
    reciprocal: u64,
}

impl Divisor {
    fn new(divisor: u64) -> Divisor {
        Divisor { divisor, reciprocal: u64::MAX / divisor }
    }

    #[inline(always)]
    fn remainder(&self, x: u64) -> u64 {
        // x / divisor exceeds x * reciprocal / 2^64 by at most x / 2^64 < 1: the quotient is exact or 1 too small.
        let quotient = ((u128::from(x) * u128::from(self.reciprocal)) >> 64) as u64;
        let rest = x - quotient * self.divisor;
        rest.min(rest.wrapping_sub(self.divisor))
    }
}

/// Kernel of remainders by one number. They have the sign of the dividend; by 0 they are 0.
///
/// # Safety
/// `a` and `dst` have `n` elements of type `T`, `b` one.
pub(super) unsafe fn remainders<T: Int>(a: *const u8, b: *const u8, dst: *mut u8, n: usize) {
    let (a, dst) = (a.cast::<T>(), dst.cast::<T>());
    // SAFETY: the caller's contract.
    let divisor = unsafe { ptr::read_unaligned(b.cast::<T>()) }.magnitude();
    let by = Divisor::new(divisor.max(1));
    for i in 0..n {
        // SAFETY: the caller's contract. A remainder by 1 is 0, too.
        unsafe {
            let x = ptr::read_unaligned(a.add(i));
            ptr::write_unaligned(dst.add(i), x.with_magnitude(by.remainder(x.magnitude())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_by_a_reciprocal_are_exact_also_at_the_ends() {
        let ends =
            [0, 1, 2, 3, 7, 1000, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 63, u64::MAX / 3, u64::MAX - 1, u64::MAX];
        for divisor in ends.into_iter().filter(|&n| n > 0) {
            let by = Divisor::new(divisor);
            for x in
                ends.into_iter().flat_map(|x| [x, x.wrapping_mul(divisor), x.wrapping_mul(divisor).wrapping_sub(1)])
            {
                assert_eq!(by.remainder(x), x % divisor, "{x} % {divisor}");
            }
        }
    }

    #[test]
    fn remainders_have_the_sign_of_the_dividend() {
        let x = [i64::MIN, -7, -1, 0, 1, 7, i64::MAX];
        for y in [i64::MIN, -3, -1, 0, 1, 3, 1000, i64::MAX] {
            let mut got = [1i64; 7];
            // SAFETY: seven elements, and one.
            unsafe {
                remainders::<i64>(x.as_ptr().cast(), (&raw const y).cast(), got.as_mut_ptr().cast(), 7);
            }
            assert_eq!(got, x.map(|x| Int::rem(x, y)), "by {y}");
        }
    }
}
