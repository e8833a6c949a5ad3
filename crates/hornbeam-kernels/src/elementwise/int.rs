//! Integer arithmetic.

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
