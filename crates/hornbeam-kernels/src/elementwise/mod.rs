//! Elementwise kernels: a function pointer over contiguous elements for each operation and dtype.
//!
//! All kernels of one arity have the same signature, so that a fused loop is a list of function pointers run block by block
//! over scratch lanes. `dst` may equal an operand of the same element size; other overlaps are not allowed. Buffers need no
//! alignment.
//!
//! Integers wrap; `x / 0` and `x % 0` are 0; shifts by the width or more give 0, or the sign. 16-bit floats compute in
//! `f32` and round once.

mod chain;
mod convert;
mod loops;
#[cfg(test)]
mod tests;

pub use chain::{chain, ChainFn, ChainOp, Link, CONSTANT, MAX_LINKS};
pub use convert::{bitcast, convert};
pub use loops::{BinaryFn, TernaryFn, UnaryFn};

use crate::dispatch;
use crate::dtype::{Bool, DType, Element};
use crate::math::Real;
use crate::simd::Target;
use loops::{map1, map2, map2_sequential, map2_swapped, select as select_kernel};
use loops::{Array, Bits, Map1, Map2, On, RealBinary, RealUnary, Scalar};

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
trait IntUnary {
    fn apply<T: Int>(x: T) -> T;
}
/// Binary function of integers of any width.
trait IntBinary {
    fn apply<T: Int>(a: T, b: T) -> T;
}

/// [`IntUnary`] or [`IntBinary`] on elements `T`.
struct OnInt<O, T>(std::marker::PhantomData<(O, T)>);
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

/// Defines the enum of operations with their names.
macro_rules! named {
    ($(#[$meta:meta])* $Op:ident { $($V:ident $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Op {
            $($V,)*
        }

        impl $Op {
            pub const ALL: &'static [$Op] = &[$($Op::$V,)*];

            /// Name of the primitive.
            pub const fn name(self) -> &'static str {
                match self {
                    $($Op::$V => $name,)*
                }
            }

            /// Inverse of `name`.
            pub fn parse(name: &str) -> Option<$Op> {
                $Op::ALL.iter().copied().find(|op| op.name() == name)
            }
        }
    };
}

/// Defines unary operations, one per line: name, and the scalar function for each class of dtypes.
macro_rules! unary_ops {
    ($($V:ident $name:literal: $($class:ident |$x:ident| $body:expr),+;)*) => {
        named! {
            /// Unary operation. The result has the operand's dtype, except for [`Unary::IsFinite`], which gives bool.
            Unary { $($V $name,)* }
        }

        mod unary_op {
            $(pub struct $V;)*
        }
        $($(unary_ops! { @impl $class $V $x $body })+)*

        /// Kernel of `op` on `dtype`, or `None` if the operation is not defined.
        pub fn unary(op: Unary, dtype: DType) -> Option<UnaryFn> {
            match op {
                $(Unary::$V => None$(.or_else(|| unary_ops!(@pick $class $V dtype)))+,)*
            }
        }
    };
    (@impl float $V:ident $x:ident $body:expr) => {
        impl RealUnary for unary_op::$V {
            #[inline(always)]
            fn apply<S: Target, R: Real>($x: R) -> R {
                $body
            }
        }
    };
    (@impl trig $V:ident $x:ident $body:expr) => {
        impl RealUnary for unary_op::$V {
            #[inline(always)]
            fn apply<S: Target, R: Real>($x: R) -> R {
                $body.0
            }
            const RARE: bool = true;
            #[inline(always)]
            fn is_rare<R: Real>(x: R) -> bool {
                x.is_far()
            }
            fn slow<R: Real>($x: R) -> R {
                type S = crate::simd::Portable;
                $body.1
            }
        }
    };
    (@impl int $V:ident $x:ident $body:expr) => {
        impl IntUnary for unary_op::$V {
            #[inline(always)]
            fn apply<T: Int>($x: T) -> T {
                $body
            }
        }
    };
    // Integers, with the same bits for signed and unsigned operands.
    (@impl wrapping $V:ident $x:ident $body:expr) => {
        unary_ops! { @impl int $V $x $body }
    };
    (@impl signed $V:ident $x:ident $body:expr) => {
        unary_ops! { @impl int $V $x $body }
    };
    // The operand itself: `$body` is not compiled.
    (@impl identity $V:ident $x:ident $body:expr) => {};
    (@impl unsigned_identity $V:ident $x:ident $body:expr) => {};
    (@impl bool $V:ident $x:ident $body:expr) => {
        impl Map1 for unary_op::$V {
            type In = Bool;
            type Out = Bool;
            #[inline(always)]
            fn apply<S: Target>($x: Bool) -> Bool {
                Bool::new($body)
            }
        }
    };
    (@impl test $V:ident $x:ident $body:expr) => {
        impl<T: Element> Map1 for On<unary_op::$V, (T,)> {
            type In = T;
            type Out = Bool;
            #[inline(always)]
            fn apply<S: Target>($x: T) -> Bool {
                Bool::new($body)
            }
        }
    };
    (@pick float $V:ident $dtype:ident) => {
        dispatch!(float, $dtype, T => Some(map1::<On<unary_op::$V, T>>()), else None)
    };
    (@pick trig $V:ident $dtype:ident) => {
        unary_ops!(@pick float $V $dtype)
    };
    (@pick int $V:ident $dtype:ident) => {
        dispatch!(int, $dtype, T => Some(map1::<OnInt<unary_op::$V, T>>()), else None)
    };
    (@pick wrapping $V:ident $dtype:ident) => {
        dispatch!(unsigned, $dtype.to_unsigned(), T => Some(map1::<OnInt<unary_op::$V, T>>()), else None)
    };
    (@pick signed $V:ident $dtype:ident) => {
        dispatch!(signed, $dtype, T => Some(map1::<OnInt<unary_op::$V, T>>()), else None)
    };
    (@pick identity $V:ident $dtype:ident) => {
        $dtype.is_int().then(|| convert::copy($dtype.size()))
    };
    (@pick unsigned_identity $V:ident $dtype:ident) => {
        $dtype.is_unsigned_int().then(|| convert::copy($dtype.size()))
    };
    (@pick bool $V:ident $dtype:ident) => {
        ($dtype == DType::Bool).then(map1::<unary_op::$V>)
    };
    (@pick test $V:ident $dtype:ident) => {
        match $dtype.to_unsigned() {
            DType::Bool => Some(map1::<On<unary_op::$V, (Bool,)>>()),
            other => dispatch!(unsigned_or_float, other, T => Some(map1::<On<unary_op::$V, (T,)>>()), else None),
        }
    };
}

unary_ops! {
    Neg "neg": float |x| -x, wrapping |x| x.neg();
    Sign "sign": float |x| x.sign(), int |x| x.sign();
    Floor "floor": float |x| x.floor(), identity |x| x;
    Ceil "ceil": float |x| x.ceil(), identity |x| x;
    Round "round": float |x| x.round(), identity |x| x;
    Abs "abs": float |x| x.abs(), signed |x| x.abs(), unsigned_identity |x| x;
    Exp "exp": float |x| x.exp::<S>();
    Expm1 "expm1": float |x| x.expm1::<S>();
    Log "log": float |x| x.log::<S>();
    Log1p "log1p": float |x| x.log1p::<S>();
    Sqrt "sqrt": float |x| x.sqrt();
    Rsqrt "rsqrt": float |x| x.rsqrt();
    Sin "sin": trig |x| (x.sin::<S>(), x.sin_any());
    Cos "cos": trig |x| (x.cos::<S>(), x.cos_any());
    Tan "tan": float |x| x.tan();
    Asin "asin": float |x| x.asin();
    Acos "acos": float |x| x.acos();
    Atan "atan": float |x| x.atan();
    Sinh "sinh": float |x| x.sinh();
    Cosh "cosh": float |x| x.cosh();
    Tanh "tanh": float |x| x.tanh::<S>();
    Asinh "asinh": float |x| x.asinh();
    Acosh "acosh": float |x| x.acosh();
    Atanh "atanh": float |x| x.atanh();
    Erf "erf": float |x| x.erf::<S>();
    ErfInv "erf_inv": float |x| x.erf_inv::<S>();
    Lgamma "lgamma": float |x| x.lgamma();
    Digamma "digamma": float |x| x.digamma();
    Logistic "logistic": float |x| x.logistic::<S>();
    IsFinite "is_finite": test |x| (x.to_f64() - x.to_f64()) == 0.0;
    LogicalNot "logical_not": wrapping |x| !x, bool |x| !x.get();
}

impl Unary {
    /// Result dtype for an operand of `dtype`.
    pub fn output(self, dtype: DType) -> DType {
        if self == Unary::IsFinite {
            DType::Bool
        } else {
            dtype
        }
    }
}

macro_rules! binary_ops {
    ($($V:ident $name:literal: $($class:ident |$a:ident, $b:ident| $body:expr),+;)*) => {
        named! {
            /// Binary operation on operands of one dtype, which is also the result dtype.
            Binary { $($V $name,)* }
        }

        mod binary_op {
            $(pub struct $V;)*
        }
        $($(binary_ops! { @impl $class $V $a $b $body })+)*

        /// Kernel like [`binary`]; `scalars` marks operands that point to a single, broadcast element.
        pub fn binary_with(op: Binary, dtype: DType, scalars: [bool; 2]) -> Option<BinaryFn> {
            match op {
                $(Binary::$V => None$(.or_else(|| binary_ops!(@pick $class $V dtype scalars)))+,)*
            }
        }
    };
    (@impl float $V:ident $a:ident $b:ident $body:expr) => {
        impl RealBinary for binary_op::$V {
            #[inline(always)]
            fn apply<S: Target, R: Real>($a: R, $b: R) -> R {
                $body
            }
        }
    };
    (@impl int $V:ident $a:ident $b:ident $body:expr) => {
        impl IntBinary for binary_op::$V {
            #[inline(always)]
            fn apply<T: Int>($a: T, $b: T) -> T {
                $body
            }
        }
    };
    // Integers, with the same bits for signed and unsigned operands.
    (@impl wrapping $V:ident $a:ident $b:ident $body:expr) => {
        binary_ops! { @impl int $V $a $b $body }
    };
    // Operations that do not vectorise.
    (@impl sequential_float $V:ident $a:ident $b:ident $body:expr) => {
        binary_ops! { @impl float $V $a $b $body }
    };
    (@impl sequential_int $V:ident $a:ident $b:ident $body:expr) => {
        binary_ops! { @impl int $V $a $b $body }
    };
    (@impl bool $V:ident $a:ident $b:ident $body:expr) => {
        impl Map2 for binary_op::$V {
            type In = Bool;
            type Out = Bool;
            #[inline(always)]
            fn apply<S: Target>($a: Bool, $b: Bool) -> Bool {
                let ($a, $b) = ($a.get(), $b.get());
                Bool::new($body)
            }
        }
    };
    (@pick float $V:ident $dtype:ident $scalars:ident) => {
        dispatch!(float, $dtype, T => Some(with_scalars::<On<binary_op::$V, T>>($scalars)), else None)
    };
    (@pick int $V:ident $dtype:ident $scalars:ident) => {
        dispatch!(int, $dtype, T => Some(with_scalars::<OnInt<binary_op::$V, T>>($scalars)), else None)
    };
    (@pick wrapping $V:ident $dtype:ident $scalars:ident) => {
        dispatch!(unsigned, $dtype.to_unsigned(), T => Some(with_scalars::<OnInt<binary_op::$V, T>>($scalars)), else None)
    };
    (@pick sequential_float $V:ident $dtype:ident $scalars:ident) => {
        dispatch!(float, $dtype, T => Some(sequential_with_scalars::<On<binary_op::$V, T>>($scalars)), else None)
    };
    (@pick sequential_int $V:ident $dtype:ident $scalars:ident) => {
        dispatch!(int, $dtype, T => Some(sequential_with_scalars::<OnInt<binary_op::$V, T>>($scalars)), else None)
    };
    (@pick bool $V:ident $dtype:ident $scalars:ident) => {
        ($dtype == DType::Bool).then(|| with_scalars::<binary_op::$V>($scalars))
    };
}

binary_ops! {
    Add "add": float |a, b| a + b, wrapping |a, b| a.add(b), bool |a, b| a | b;
    Sub "sub": float |a, b| a - b, wrapping |a, b| a.sub(b);
    Mul "mul": float |a, b| a * b, wrapping |a, b| a.mul(b), bool |a, b| a & b;
    Div "div": float |a, b| a / b, sequential_int |a, b| a.div(b);
    Rem "rem": sequential_float |a, b| a % b, sequential_int |a, b| a.rem(b);
    Pow "pow": float |a, b| a.pow::<S>(b), sequential_int |a, b| a.pow(b);
    Atan2 "atan2": float |a, b| a.atan2(b);
    Max "max": float |a, b| a.max(b), int |a, b| a.max(b), bool |a, b| a | b;
    Min "min": float |a, b| a.min(b), int |a, b| a.min(b), bool |a, b| a & b;
    And "and": wrapping |a, b| a.and(b), bool |a, b| a & b;
    Or "or": wrapping |a, b| a.or(b), bool |a, b| a | b;
    Xor "xor": wrapping |a, b| a.xor(b), bool |a, b| a ^ b;
    ShiftLeft "shift_left": wrapping |a, b| a.shift_left(b);
    ShiftRight "shift_right": int |a, b| a.shift_right(b);
}

/// Kernel of `op` on two arrays of `dtype`, or `None` if the operation is not defined.
pub fn binary(op: Binary, dtype: DType) -> Option<BinaryFn> {
    binary_with(op, dtype, [false; 2])
}

fn with_scalars<O: Map2>(scalars: [bool; 2]) -> BinaryFn {
    match scalars {
        [false, false] => map2::<O, Array, Array>(),
        [true, false] => map2::<O, Scalar, Array>(),
        [false, true] => map2::<O, Array, Scalar>(),
        [true, true] => map2::<O, Scalar, Scalar>(),
    }
}

fn swapped_with_scalars<O: Map2>(scalars: [bool; 2]) -> BinaryFn {
    match scalars {
        [false, false] => map2_swapped::<O, Array, Array>(),
        [true, false] => map2_swapped::<O, Scalar, Array>(),
        [false, true] => map2_swapped::<O, Array, Scalar>(),
        [true, true] => map2_swapped::<O, Scalar, Scalar>(),
    }
}

fn sequential_with_scalars<O: Map2>(scalars: [bool; 2]) -> BinaryFn {
    match scalars {
        [false, false] => map2_sequential::<O, Array, Array>,
        [true, false] => map2_sequential::<O, Scalar, Array>,
        [false, true] => map2_sequential::<O, Array, Scalar>,
        [true, true] => map2_sequential::<O, Scalar, Scalar>,
    }
}

named! {
    /// Comparison of two operands of one dtype. The result is bool.
    Compare { Eq "eq", Ne "ne", Lt "lt", Le "le", Gt "gt", Ge "ge", }
}

macro_rules! comparisons {
    ($($V:ident $operator:tt,)*) => {
        mod comparison {
            $(pub struct $V;)*
        }
        $(impl<T: Element> Map2 for On<comparison::$V, (T,)> {
            type In = T;
            type Out = Bool;
            #[inline(always)]
            fn apply<S: Target>(a: T, b: T) -> Bool {
                Bool::new(a.to_acc() $operator b.to_acc())
            }
        })*
    };
}

comparisons! {
    Eq ==,
    Ne !=,
    Lt <,
    Le <=,
}

/// Kernel like [`compare`]; `scalars` marks operands that point to a single, broadcast element.
pub fn compare_with(op: Compare, dtype: DType, scalars: [bool; 2]) -> BinaryFn {
    macro_rules! equality {
        ($V:ident) => {
            match dtype.to_unsigned() {
                DType::Bool => with_scalars::<On<comparison::$V, (Bool,)>>(scalars),
                other => dispatch!(unsigned_or_float, other, T => with_scalars::<On<comparison::$V, (T,)>>(scalars),
                    else unreachable!("every dtype is bool, unsigned or float")),
            }
        };
    }
    match op {
        Compare::Eq => equality!(Eq),
        Compare::Ne => equality!(Ne),
        Compare::Lt => dispatch!(dtype, T => with_scalars::<On<comparison::Lt, (T,)>>(scalars)),
        Compare::Le => dispatch!(dtype, T => with_scalars::<On<comparison::Le, (T,)>>(scalars)),
        Compare::Gt => dispatch!(dtype, T => swapped_with_scalars::<On<comparison::Lt, (T,)>>(scalars)),
        Compare::Ge => dispatch!(dtype, T => swapped_with_scalars::<On<comparison::Le, (T,)>>(scalars)),
    }
}

/// Kernel that compares two arrays of `dtype`.
pub fn compare(op: Compare, dtype: DType) -> BinaryFn {
    compare_with(op, dtype, [false; 2])
}

/// Kernel of `select(condition, x, y)` for arrays `x` and `y` of `dtype`.
pub fn select(dtype: DType) -> TernaryFn {
    select_with(dtype, [false; 2])
}

/// Kernel like [`select`]; `scalars` marks operands that point to a single, broadcast element.
pub fn select_with(dtype: DType, scalars: [bool; 2]) -> TernaryFn {
    fn pick<T: Bits>(scalars: [bool; 2]) -> TernaryFn {
        match scalars {
            [false, false] => select_kernel::<T, Array, Array>(),
            [true, false] => select_kernel::<T, Scalar, Array>(),
            [false, true] => select_kernel::<T, Array, Scalar>(),
            [true, true] => select_kernel::<T, Scalar, Scalar>(),
        }
    }
    // Elements are only moved: one kernel per size.
    match dtype.size() {
        1 => pick::<u8>(scalars),
        2 => pick::<u16>(scalars),
        4 => pick::<u32>(scalars),
        _ => pick::<u64>(scalars),
    }
}
