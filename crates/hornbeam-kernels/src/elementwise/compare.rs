//! Comparisons.

use super::loops::{map2_scalar_swapped, map2_swapped, with_register_scalars, Array, Map2, On, Scalar};
use super::staged::{self, is_staged};
use super::BinaryFn;
use crate::dispatch;
use crate::dtype::{Bool, DType, Element};
use crate::named::named;
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
                DType::Bool => symmetric::<comparison::$V, Bool>(scalars),
                other => dispatch!(unsigned_or_float, other, T => symmetric::<comparison::$V, T>(scalars),
                    else unreachable!("every dtype is bool, unsigned or float")),
            }
        };
    }
    match op {
        Compare::Eq => equality!(Eq),
        Compare::Ne => equality!(Ne),
        Compare::Lt => dispatch!(dtype, T => ordered::<comparison::Lt, T>(scalars)),
        Compare::Le => dispatch!(dtype, T => ordered::<comparison::Le, T>(scalars)),
        Compare::Gt => dispatch!(dtype, T => swapped::<comparison::Lt, T>(scalars)),
        Compare::Ge => dispatch!(dtype, T => swapped::<comparison::Le, T>(scalars)),
    }
}

/// Kernel that compares two arrays of `dtype`.
pub fn compare(op: Compare, dtype: DType) -> BinaryFn {
    compare_with(op, dtype, [false; 2])
}

// Results are smaller than operands, so that loading a repeated scalar from memory would cost time.

fn ordered<O, T: Element>(scalars: [bool; 2]) -> BinaryFn
where
    On<O, (T,)>: Map2,
    On<O, (f32,)>: Map2<In = f32>,
{
    if const { is_staged(T::DTYPE) } {
        return staged::with_scalars::<On<O, (f32,)>, T>(scalars);
    }
    with_register_scalars::<On<O, (T,)>>(scalars)
}

/// Swaps the operands.
fn swapped<O, T: Element>(scalars: [bool; 2]) -> BinaryFn
where
    On<O, (T,)>: Map2,
    On<O, (f32,)>: Map2<In = f32>,
{
    if const { is_staged(T::DTYPE) } {
        return staged::swapped::<On<O, (f32,)>, T>(scalars);
    }
    match scalars {
        [false, false] => map2_swapped::<On<O, (T,)>, Array, Array>(),
        [true, false] => map2_scalar_swapped::<On<O, (T,)>, Array>(),
        [false, true] => map2_scalar_swapped::<On<O, (T,)>, Scalar>(),
        [true, true] => map2_swapped::<On<O, (T,)>, Scalar, Scalar>(),
    }
}

/// One kernel for a scalar on either side.
fn symmetric<O, T: Element>(scalars: [bool; 2]) -> BinaryFn
where
    On<O, (T,)>: Map2,
    On<O, (f32,)>: Map2<In = f32>,
{
    match scalars {
        [true, false] => swapped::<O, T>(scalars),
        _ => ordered::<O, T>(scalars),
    }
}
