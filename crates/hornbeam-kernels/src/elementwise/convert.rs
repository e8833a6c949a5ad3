//! Conversions between all pairs of dtypes.

use std::marker::PhantomData;

use super::loops::{map1, Map1};
use super::UnaryFn;
use crate::dispatch;
use crate::dtype::{bf16, f16, Bool, DType, Element};
use crate::simd::{Copies, Target};

/// Conversion of one element: integers wrap, floats round to nearest even, floats to integers truncate and saturate (NaN
/// gives 0), and nonzero is true.
trait Cast<To> {
    fn cast(self) -> To;
}

macro_rules! cast_numbers {
    ($($from:ident)*) => {$(
        impl Cast<Bool> for $from {
            #[inline(always)]
            fn cast(self) -> Bool {
                Bool::new(self != <$from as Element>::ZERO)
            }
        }
        impl Cast<$from> for Bool {
            #[inline(always)]
            fn cast(self) -> $from {
                self.get() as u8 as $from
            }
        }
        impl Cast<$from> for f16 {
            #[inline(always)]
            fn cast(self) -> $from {
                self.to_acc().cast()
            }
        }
        impl Cast<$from> for bf16 {
            #[inline(always)]
            fn cast(self) -> $from {
                self.to_acc().cast()
            }
        }
        // Through f32, like NumPy and ml_dtypes.
        impl Cast<bf16> for $from {
            #[inline(always)]
            fn cast(self) -> bf16 {
                bf16::from_acc(self as f32)
            }
        }
    )*};
}

cast_numbers!(i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

macro_rules! cast_plainly {
    ($($from:ident: $($to:ident)*;)*) => {$($(
        impl Cast<$to> for $from {
            #[inline(always)]
            fn cast(self) -> $to {
                self as $to
            }
        }
    )*)*};
}

cast_plainly! {
    i8: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64;
    i16: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64;
    i32: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64;
    i64: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64;
    u8: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64;
    u16: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64;
    u32: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64;
    u64: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64;
    f32: f32 f64;
    f64: f32 f64;
}

macro_rules! cast_saturating {
    ($($from:ident: $($to:ident)*;)*) => {$($(
        impl Cast<$to> for $from {
            /// Converts like `as`, in a form that LLVM vectorises.
            #[inline(always)]
            fn cast(self) -> $to {
                const LOW: $from = <$to>::MIN as $from;
                // Twice a power of two, because the greatest value may not be representable as a float.
                const HIGH: $from = (<$to>::MAX / 2 + 1) as $from * 2.0;
                let fits = (self > LOW - 1.0) & (self < HIGH);
                // SAFETY: finite and, truncated, in range.
                let inside: $to = unsafe { (if fits { self } else { 0.0 }).to_int_unchecked() };
                let beyond = if self >= HIGH { <$to>::MAX } else { <$to>::MIN };
                let beyond = if self.is_nan() { 0 } else { beyond };
                if fits { inside } else { beyond }
            }
        }
    )*)*};
}

cast_saturating! {
    f32: i8 i16 i32 i64 u8 u16 u32 u64;
    f64: i8 i16 i32 i64 u8 u16 u32 u64;
}

macro_rules! cast_through_f32 {
    ($($from:ident $to:ident),*) => {$(
        impl Cast<$to> for $from {
            #[inline(always)]
            fn cast(self) -> $to {
                let wide: f32 = self.cast();
                $to::from_acc(wide)
            }
        }
    )*};
}

cast_through_f32!(i8 f16, i16 f16, i32 f16, i64 f16, u8 f16, u16 f16, u32 f16, u64 f16, f32 f16, bf16 f16, f16 bf16);

impl Cast<f16> for f64 {
    #[inline(always)]
    fn cast(self) -> f16 {
        f16::from_f64(self)
    }
}

macro_rules! cast_half {
    ($($t:ident),*) => {$(
        impl Cast<$t> for $t {
            #[inline(always)]
            fn cast(self) -> $t {
                self
            }
        }
        impl Cast<Bool> for $t {
            #[inline(always)]
            fn cast(self) -> Bool {
                Bool::new(self.to_acc() != 0.0)
            }
        }
        impl Cast<$t> for Bool {
            #[inline(always)]
            fn cast(self) -> $t {
                if self.get() { $t::ONE } else { $t::ZERO }
            }
        }
    )*};
}

cast_half!(f16, bf16);

impl Cast<Bool> for Bool {
    #[inline(always)]
    fn cast(self) -> Bool {
        Bool::new(self.get())
    }
}

struct Convert<From, To>(PhantomData<(From, To)>);

impl<From: Element + Cast<To>, To: Element> Map1 for Convert<From, To> {
    type In = From;
    type Out = To;
    const COPIES: Copies = copies(From::DTYPE, To::DTYPE);
    #[inline(always)]
    fn apply<S: Target>(x: From) -> To {
        x.cast()
    }
}

/// Instruction sets of a conversion: fewer for dtypes that are rare in models.
const fn copies(from: DType, to: DType) -> Copies {
    use DType::{BF16, F16, F32, F64, I16, I8, U16};
    const fn is_rare(dtype: DType) -> bool {
        matches!(dtype, I8 | I16 | U16)
    }
    match (from, to) {
        (F16, BF16 | F16 | F32 | F64) | (BF16 | F32 | F64, F16) => Copies::All,
        // Inputs of quantized layers.
        (F32, I8) => Copies::All,
        (F16, _) | (_, F16) => Copies::Portable,
        _ if is_rare(from) && is_rare(to) => Copies::Portable,
        _ if is_rare(from) || is_rare(to) => Copies::Avx2,
        _ => Copies::All,
    }
}

/// Kernel that converts `from` to `to`.
pub fn convert(from: DType, to: DType) -> UnaryFn {
    // In every build: the engine folds scalars in f64.
    if from == DType::F64 {
        return dispatch!(to, To => map1::<Convert<f64, To>>());
    }
    if to == DType::F64 {
        return dispatch!(from, From => map1::<Convert<From, f64>>());
    }
    if from.is_float() {
        return dispatch!(float, from, From => dispatch!(to, To => map1::<Convert<From, To>>()), else unreachable!());
    }
    if to.is_float() {
        return dispatch!(float, to, To => dispatch!(from, From => map1::<Convert<From, To>>()), else unreachable!());
    }
    if from == to && from.is_int() {
        return copy(from.size());
    }
    integer_conversion(from, to)
}

/// Kernel that converts between integers and bool.
///
/// The sign of the result never matters, that of the operand only if it is widened.
fn integer_conversion(from: DType, to: DType) -> UnaryFn {
    let widens = to.is_int() && from.size() < to.size();
    let (from, to) = (if widens { from } else { from.to_unsigned() }, to.to_unsigned());
    macro_rules! pairs {
        ($($from:ident: $($to:ident)*;)*) => {
            $($(if (from, to) == (<$from as Element>::DTYPE, <$to as Element>::DTYPE) {
                return map1::<Convert<$from, $to>>();
            })*)*
        };
    }
    pairs! {
        Bool: Bool u8 u16 u32 u64;
        i8: u16 u32 u64;
        i16: u32 u64;
        i32: u64;
        u8: Bool u16 u32 u64;
        u16: Bool u8 u32 u64;
        u32: Bool u8 u16 u64;
        u64: Bool u8 u16 u32;
    }
    copy(from.size())
}

/// Kernel that copies elements of `size` bytes.
pub(super) fn copy(size: usize) -> UnaryFn {
    match size {
        1 => map1::<Convert<u8, u8>>(),
        2 => map1::<Convert<u16, u16>>(),
        4 => map1::<Convert<u32, u32>>(),
        _ => map1::<Convert<u64, u64>>(),
    }
}

/// Kernel that reinterprets the bits of `from` as `to`, or `None` if the sizes differ.
pub fn bitcast(from: DType, to: DType) -> Option<UnaryFn> {
    (from.size() == to.size()).then(|| copy(from.size()))
}
