//! Binary operations.

use super::float::Float;
use super::int::{remainders, Int, IntBinary, OnInt};
use super::loops::{map2, map2_sequential, with_scalars, Array, Map2, On, RealBinary, Scalar};
use super::staged::{self, is_staged};
use super::BinaryFn;
use crate::dispatch;
use crate::dtype::{Bool, DType};
use crate::math::{gelu_derivative, gelu_tanh_derivative, silu_derivative, Real};
use crate::named::named;
use crate::simd::Target;

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
            if (op, scalars) == (Binary::Rem, [false, true]) {
                if let Some(kernel) = dispatch!(int, dtype, T => Some(remainders::<T> as BinaryFn), else None) {
                    return Some(kernel);
                }
            }
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
    // Gradients of composites, for arrays of floats that are computed in f32.
    (@impl gradient $V:ident $a:ident $b:ident $body:expr) => {
        binary_ops! { @impl float $V $a $b $body }
    };
    // The result is one of the operands.
    (@impl choice $V:ident $a:ident $b:ident $body:expr) => {
        impl RealBinary for binary_op::$V {
            #[inline(always)]
            fn apply<S: Target, R: Real>($a: R, $b: R) -> R {
                $body
            }
            const EXACT: bool = true;
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
        dispatch!(float, $dtype, T => Some(on_floats::<binary_op::$V, T>($scalars)), else None)
    };
    (@pick gradient $V:ident $dtype:ident $scalars:ident) => {
        dispatch!(single, $dtype, T => ($scalars == [false; 2]).then(on_arrays::<binary_op::$V, T>), else None)
    };
    (@pick choice $V:ident $dtype:ident $scalars:ident) => {
        binary_ops!(@pick float $V $dtype $scalars)
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
    Max "max": choice |a, b| a.max(b), int |a, b| a.max(b), bool |a, b| a | b;
    Min "min": choice |a, b| a.min(b), int |a, b| a.min(b), bool |a, b| a & b;
    And "and": wrapping |a, b| a.and(b), bool |a, b| a & b;
    Or "or": wrapping |a, b| a.or(b), bool |a, b| a | b;
    Xor "xor": wrapping |a, b| a.xor(b), bool |a, b| a ^ b;
    ShiftLeft "shift_left": wrapping |a, b| a.shift_left(b);
    ShiftRight "shift_right": int |a, b| a.shift_right(b);
    // Gradients: the derivative at a, times the gradient b of the result.
    GeluVjp "gelu_vjp": gradient |a, b| b * gelu_derivative::<S, R>(a);
    GeluTanhVjp "gelu_tanh_vjp": gradient |a, b| b * gelu_tanh_derivative::<S, R>(a);
    SiluVjp "silu_vjp": gradient |a, b| b * silu_derivative::<S, R>(a);
}

/// Kernel of `op` on two arrays of `dtype`, or `None` if the operation is not defined.
pub fn binary(op: Binary, dtype: DType) -> Option<BinaryFn> {
    binary_with(op, dtype, [false; 2])
}

impl Binary {
    /// Returns true if there are kernels for a single, broadcast element.
    pub fn takes_scalars(self) -> bool {
        !matches!(self, Binary::GeluVjp | Binary::GeluTanhVjp | Binary::SiluVjp)
    }
}

fn on_arrays<O: RealBinary, T: Float>() -> BinaryFn {
    if const { is_staged(T::DTYPE) } {
        staged::binary::<On<O, f32>, T, Array, Array>
    } else {
        map2::<On<O, T>, Array, Array>()
    }
}

fn on_floats<O: RealBinary, T: Float>(scalars: [bool; 2]) -> BinaryFn {
    if const { is_staged(T::DTYPE) } {
        staged::with_scalars::<On<O, f32>, T>(scalars)
    } else {
        with_scalars::<On<O, T>>(scalars)
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
