//! Unary operations.

use super::float::Float;
use super::int::{Int, IntUnary, OnInt};
use super::loops::{map1, map1_sequential, Map1, On, RealUnary};
use super::staged::{self, is_staged};
use super::{convert, UnaryFn};
use crate::dispatch;
use crate::dtype::{Bool, DType, Element};
use crate::math::{gelu, gelu_tanh, silu, Real};
use crate::named::named;
use crate::simd::{Portable, Target};

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
    // Composites, for floats that are computed in f32.
    (@impl single $V:ident $x:ident $body:expr) => {
        unary_ops! { @impl float $V $x $body }
    };
    // The result is a number of the operand's dtype.
    (@impl exact $V:ident $x:ident $body:expr) => {
        impl RealUnary for unary_op::$V {
            #[inline(always)]
            fn apply<S: Target, R: Real>($x: R) -> R {
                $body
            }
            const EXACT: bool = true;
        }
    };
    // Calls of the C library, which do not vectorise.
    (@impl sequential $V:ident $x:ident $body:expr) => {
        unary_ops! { @impl float $V $x $body }
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
            fn slow<S: Target, R: Real>($x: R) -> R {
                $body.1
            }
        }
    };
    // The result for common inputs, the one for any input, and whether an input is rare.
    (@impl log $V:ident $x:ident $body:expr) => {
        impl RealUnary for unary_op::$V {
            #[inline(always)]
            fn apply<S: Target, R: Real>($x: R) -> R {
                $body.0
            }
            const RARE: bool = true;
            const BRANCHES: bool = false;
            #[inline(always)]
            fn is_rare<R: Real>($x: R) -> bool {
                type S = Portable;
                $body.2
            }
            #[inline(always)]
            fn slow<S: Target, R: Real>($x: R) -> R {
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
        dispatch!(float, $dtype, T => Some(on_floats::<unary_op::$V, T>()), else None)
    };
    (@pick single $V:ident $dtype:ident) => {
        dispatch!(single, $dtype, T => Some(on_floats::<unary_op::$V, T>()), else None)
    };
    (@pick sequential $V:ident $dtype:ident) => {
        dispatch!(float, $dtype, T => Some(map1_sequential::<On<unary_op::$V, T>> as UnaryFn), else None)
    };
    (@pick exact $V:ident $dtype:ident) => {
        unary_ops!(@pick float $V $dtype)
    };
    (@pick trig $V:ident $dtype:ident) => {
        unary_ops!(@pick float $V $dtype)
    };
    (@pick log $V:ident $dtype:ident) => {
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
            other => dispatch!(unsigned_or_float, other, T => Some(test::<unary_op::$V, T>()), else None),
        }
    };
}

unary_ops! {
    Neg "neg": exact |x| -x, wrapping |x| x.neg();
    Sign "sign": exact |x| x.sign(), int |x| x.sign();
    Floor "floor": exact |x| x.floor(), identity |x| x;
    Ceil "ceil": exact |x| x.ceil(), identity |x| x;
    Round "round": exact |x| x.round(), identity |x| x;
    Abs "abs": exact |x| x.abs(), signed |x| x.abs(), unsigned_identity |x| x;
    Exp "exp": float |x| x.exp::<S>();
    Expm1 "expm1": float |x| x.expm1::<S>();
    Log "log": log |x| (x.log_common::<S>(), x.log::<S>(), x.is_log_rare());
    Log1p "log1p": log |x| (x.log1p_common::<S>(), x.log1p::<S>(), x.is_log1p_rare());
    Sqrt "sqrt": float |x| x.sqrt();
    Rsqrt "rsqrt": float |x| x.rsqrt();
    Sin "sin": trig |x| (x.sin::<S>(), x.sin_any());
    Cos "cos": trig |x| (x.cos::<S>(), x.cos_any());
    Tan "tan": sequential |x| x.tan();
    Asin "asin": sequential |x| x.asin();
    Acos "acos": sequential |x| x.acos();
    Atan "atan": sequential |x| x.atan();
    Sinh "sinh": sequential |x| x.sinh();
    Cosh "cosh": sequential |x| x.cosh();
    Tanh "tanh": float |x| x.tanh::<S>();
    Asinh "asinh": sequential |x| x.asinh();
    Acosh "acosh": sequential |x| x.acosh();
    Atanh "atanh": sequential |x| x.atanh();
    Erf "erf": float |x| x.erf::<S>();
    ErfInv "erf_inv": float |x| x.erf_inv::<S>();
    Lgamma "lgamma": sequential |x| x.lgamma();
    Digamma "digamma": sequential |x| x.digamma();
    Logistic "logistic": float |x| x.logistic::<S>();
    Gelu "gelu": single |x| gelu::<S, R>(x);
    GeluTanh "gelu_tanh": single |x| gelu_tanh::<S, R>(x);
    Silu "silu": single |x| silu::<S, R>(x);
    IsFinite "is_finite": test |x| (x.to_f64() - x.to_f64()) == 0.0;
    LogicalNot "logical_not": wrapping |x| !x, bool |x| !x.get();
}

fn on_floats<O: RealUnary, T: Float>() -> UnaryFn {
    if const { is_staged(T::DTYPE) } {
        staged::unary::<On<O, f32>, T>
    } else {
        map1::<On<O, T>>()
    }
}

fn test<O, T: Element>() -> UnaryFn
where
    On<O, (T,)>: Map1,
    On<O, (f32,)>: Map1<In = f32>,
{
    if const { is_staged(T::DTYPE) } {
        staged::unary::<On<O, (f32,)>, T>
    } else {
        map1::<On<O, (T,)>>()
    }
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
