//! Comparisons.

use super::loops::{map2_swapped, with_scalars, Array, Map2, On, Scalar};
use super::named::named;
use super::BinaryFn;
use crate::dispatch;
use crate::dtype::{Bool, DType, Element};
use crate::simd::Target;

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

fn swapped_with_scalars<O: Map2>(scalars: [bool; 2]) -> BinaryFn {
    match scalars {
        [false, false] => map2_swapped::<O, Array, Array>(),
        [true, false] => map2_swapped::<O, Scalar, Array>(),
        [false, true] => map2_swapped::<O, Array, Scalar>(),
        [true, true] => map2_swapped::<O, Scalar, Scalar>(),
    }
}
