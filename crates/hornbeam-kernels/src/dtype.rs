//! Element types: the run-time tag [`DType`], the compile-time trait [`Element`], and [`dispatch!`](crate::dispatch) from one to the other.

pub(crate) mod half;

use std::fmt;

pub use ::half::{bf16, f16};

use crate::named::named;
use crate::simd::Copies;

named! {
    /// Element type of an array, as a run-time value. Its names are those of NumPy and ml_dtypes.
    DType {
        Bool "bool",
        I8 "int8", I16 "int16", I32 "int32", I64 "int64",
        U8 "uint8", U16 "uint16", U32 "uint32", U64 "uint64",
        F16 "float16", BF16 "bfloat16", F32 "float32", F64 "float64",
    }
}

/// True if there are kernels for all dtypes. `float32`, `bool`, `int8`, `int32`, `int64` and unsigned integers of these
/// sizes are what inference needs.
pub const ALL_DTYPES: bool = cfg!(feature = "all-dtypes");

impl DType {
    /// Size of one element in bytes.
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::I8 | DType::U8 => 1,
            DType::I16 | DType::U16 | DType::F16 | DType::BF16 => 2,
            DType::I32 | DType::U32 | DType::F32 => 4,
            DType::I64 | DType::U64 | DType::F64 => 8,
        }
    }

    pub const fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
    }

    /// True for the 16-bit floats.
    pub const fn is_half(self) -> bool {
        matches!(self, DType::F16 | DType::BF16)
    }

    pub const fn is_signed_int(self) -> bool {
        matches!(self, DType::I8 | DType::I16 | DType::I32 | DType::I64)
    }

    pub const fn is_unsigned_int(self) -> bool {
        matches!(self, DType::U8 | DType::U16 | DType::U32 | DType::U64)
    }

    pub const fn is_int(self) -> bool {
        self.is_signed_int() || self.is_unsigned_int()
    }

    /// False for the dtypes that a build without the feature `all-dtypes` leaves out.
    pub const fn is_built(self) -> bool {
        ALL_DTYPES || !matches!(self, DType::I16 | DType::U16 | DType::F16 | DType::BF16 | DType::F64)
    }

    /// Instruction sets that kernels on this dtype are compiled for.
    ///
    /// Models compute in `float32` and `bfloat16`. Kernels on other dtypes are many, and mostly wait for memory: wider
    /// registers would gain little for a third of the library's size. The same holds for `bfloat16` in web pages.
    pub const fn copies(self) -> Copies {
        match self {
            DType::F32 => Copies::All,
            DType::BF16 if !cfg!(target_arch = "wasm32") => Copies::All,
            _ => Copies::Avx2,
        }
    }

    /// [`DType::copies`] of kernels that models hardly need on other dtypes than floats, for which the baseline has to do.
    pub const fn copies_of_floats(self) -> Copies {
        if self.is_float() {
            self.copies()
        } else {
            Copies::Portable
        }
    }

    /// Dtype of [`Element::Acc`].
    pub const fn accumulator(self) -> DType {
        match self {
            DType::F16 | DType::BF16 => DType::F32,
            other => other,
        }
    }

    /// Unsigned dtype of the same size for integers, otherwise the dtype itself.
    ///
    /// Kernels with the same bits for signed and unsigned operands are compiled once, for the unsigned dtypes.
    pub const fn to_unsigned(self) -> DType {
        match self {
            DType::I8 => DType::U8,
            DType::I16 => DType::U16,
            DType::I32 => DType::U32,
            DType::I64 => DType::U64,
            other => other,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Boolean stored as one byte, 0 or 1.
///
/// Not Rust's `bool`: buffers come from the caller, and a byte 2 in a `&[bool]` is undefined behaviour.
/// Every kernel reads any non-zero byte as true and writes 0 or 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Bool(pub u8);

impl Bool {
    #[inline(always)]
    pub const fn new(value: bool) -> Bool {
        Bool(value as u8)
    }

    #[inline(always)]
    pub const fn get(self) -> bool {
        self.0 != 0
    }
}

/// Rust type of one element: plain data of which every bit pattern is a valid value.
pub trait Element: Copy + Send + Sync + PartialEq + PartialOrd + Default + fmt::Debug + 'static {
    /// Accumulator type of sums and products: `f32` for the 16-bit floats, otherwise the type itself.
    type Acc: Element<Acc = Self::Acc>;

    const DTYPE: DType;
    const ZERO: Self;
    const ONE: Self;
    /// Identity of `max`: minus infinity for floats, the least value otherwise.
    const LOWEST: Self;
    /// Identity of `min`: plus infinity for floats, the greatest value otherwise.
    const HIGHEST: Self;

    /// Rounds floats to nearest even; truncates and saturates to integers, NaN becomes 0.
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn to_acc(self) -> Self::Acc;
    fn from_acc(value: Self::Acc) -> Self;
    fn is_nan(self) -> bool;
}

/// Implements [`Element`] for a number that is its own accumulator.
macro_rules! element_number {
    ($lowest:ident, $highest:ident, |$x:ident| $is_nan:expr; $($t:ty => $tag:ident),*) => {$(
        impl Element for $t {
            type Acc = $t;
            const DTYPE: DType = DType::$tag;
            const ZERO: Self = 0 as $t;
            const ONE: Self = 1 as $t;
            const LOWEST: Self = <$t>::$lowest;
            const HIGHEST: Self = <$t>::$highest;
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn to_acc(self) -> $t {
                self
            }
            #[inline(always)]
            fn from_acc(value: $t) -> Self {
                value
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                let $x = self;
                $is_nan
            }
        }
    )*};
}

element_number!(MIN, MAX, |_x| false;
    i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64);
element_number!(NEG_INFINITY, INFINITY, |x| x.is_nan(); f32 => F32, f64 => F64);

macro_rules! element_half {
    ($($t:ty => $tag:ident, $widen:ident, $narrow:ident, $narrow_f64:ident);*) => {$(
        impl Element for $t {
            type Acc = f32;
            const DTYPE: DType = DType::$tag;
            const ZERO: Self = <$t>::ZERO;
            const ONE: Self = <$t>::ONE;
            const LOWEST: Self = <$t>::NEG_INFINITY;
            const HIGHEST: Self = <$t>::INFINITY;
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                <$t>::from_bits($narrow_f64(value))
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from($widen(self.to_bits()))
            }
            #[inline(always)]
            fn to_acc(self) -> f32 {
                $widen(self.to_bits())
            }
            #[inline(always)]
            fn from_acc(value: f32) -> Self {
                <$t>::from_bits($narrow(value))
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                self != self
            }
        }
    )*};
}

element_half!(f16 => F16, f16_to_f32, f32_to_f16, f64_to_f16; bf16 => BF16, bf16_to_f32, f32_to_bf16, f64_to_bf16);

impl Element for Bool {
    type Acc = Bool;
    const DTYPE: DType = DType::Bool;
    const ZERO: Self = Bool(0);
    const ONE: Self = Bool(1);
    const LOWEST: Self = Bool(0);
    const HIGHEST: Self = Bool(1);
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        Bool::new(value != 0.0)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self.get() as u8)
    }
    #[inline(always)]
    fn to_acc(self) -> Bool {
        Bool::new(self.get())
    }
    #[inline(always)]
    fn from_acc(value: Bool) -> Self {
        value
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        false
    }
}

// The conversions of the `half` crate check the CPU features for every element, which prevents LLVM from
// vectorising a loop around them. These are branch-free and vectorise everywhere.

/// Widens an IEEE half exactly; NaN payloads are kept and quieted.
#[inline(always)]
pub fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let sign = u32::from(bits & 0x8000) << 16;
    // 2^112 moves the exponent bias from 15 to 127 and normalises subnormals on the way.
    let scaled = f32::from_bits(magnitude) * f32::from_bits((254 - 15) << 23);
    let special = magnitude | 0x7f80_0000 | if magnitude > (0x7c00 << 13) { 0x0040_0000 } else { 0 };
    let out = if magnitude >= (0x7c00 << 13) { special } else { scaled.to_bits() };
    f32::from_bits(out | sign)
}

/// Narrows to an IEEE half, rounding to nearest even; overflow gives infinity.
#[inline(always)]
pub fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // Normal results: rebias the exponent and round the 13 dropped bits by integer addition.
    let odd = (magnitude >> 13) & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    // Subnormal results: adding 0.5 makes the FPU align and round at the right bit.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let finite = if magnitude < (113 << 23) { subnormal } else { normal };
    let special = if magnitude > 0x7f80_0000 { 0x7e00 | ((magnitude >> 13) & 0x3ff) } else { 0x7c00 };
    // 0x477ff000 (65520) is the least value that rounds to infinity.
    let out = if magnitude >= 0x477f_f000 { special } else { finite };
    (out | sign) as u16
}

/// Narrows to an IEEE half, rounding to nearest even, and not through f32, whose rounding may make a tie.
#[inline(always)]
pub fn f64_to_f16(value: f64) -> u16 {
    let bits = value.to_bits();
    // The `half` crate ignores the lower 32 bits. One bit says that they are not zero.
    let rest = u64::from(bits as u32 != 0) << 32;
    f16::from_f64_const(f64::from_bits(bits | rest)).to_bits()
}

/// Widens a bfloat16 exactly.
#[inline(always)]
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Narrows to a bfloat16, rounding to nearest even.
#[inline(always)]
pub fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let nan = (bits >> 16) | 0x40;
    (if (bits & 0x7fff_ffff) > 0x7f80_0000 { nan } else { rounded }) as u16
}

/// Narrows to a bfloat16 through f32, like ml_dtypes.
#[inline(always)]
pub fn f64_to_bf16(value: f64) -> u16 {
    f32_to_bf16(value as f32)
}

/// Evaluates the block, for a dtype that the feature `all-dtypes` decides on.
#[cfg(feature = "all-dtypes")]
#[doc(hidden)]
#[macro_export]
macro_rules! rare_dtype {
    ($block:block) => {
        $block
    };
}

/// Compiles nothing. Graphs with such a dtype are refused when they are decoded.
#[cfg(not(feature = "all-dtypes"))]
#[doc(hidden)]
#[macro_export]
macro_rules! rare_dtype {
    ($block:block) => {
        unreachable!("built without the feature all-dtypes")
    };
}

/// Evaluates an expression with `$T` bound to the Rust type of a [`DType`](crate::dtype::DType).
///
/// `dispatch!(dtype, T => expr)` covers every dtype. `dispatch!(numeric, dtype, T => expr, else other)` and the
/// families `float`, `single` (floats that are computed in f32), `wide` (f32 and f64), `int`, `signed`, `unsigned` and
/// `unsigned_or_float` evaluate `other` for the remaining dtypes. Without the feature `all-dtypes` it panics for those that are not built.
#[macro_export]
macro_rules! dispatch {
    (@arms $dtype:expr, $T:ident, $body:expr, [$($tag:ident $ty:ty),*] [$($rare:ident $rare_ty:ty),*] $(, $other:expr)?) => {
        match $dtype {
            $($crate::dtype::DType::$tag => { type $T = $ty; $body })*
            $($crate::dtype::DType::$rare => $crate::rare_dtype!({ type $T = $rare_ty; $body }),)*
            $(_ => $other,)?
        }
    };
    (numeric, $dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        $crate::dispatch!(@arms $dtype, $T, $body, [I8 i8, I32 i32, I64 i64, U8 u8, U32 u32, U64 u64, F32 f32]
            [I16 i16, U16 u16, F16 $crate::dtype::f16, BF16 $crate::dtype::bf16, F64 f64], $other)
    };
    (float, $dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        $crate::dispatch!(@arms $dtype, $T, $body, [F32 f32]
            [F16 $crate::dtype::f16, BF16 $crate::dtype::bf16, F64 f64], $other)
    };
    (single, $dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        $crate::dispatch!(@arms $dtype, $T, $body, [F32 f32]
            [F16 $crate::dtype::f16, BF16 $crate::dtype::bf16], $other)
    };
    (wide, $dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        $crate::dispatch!(@arms $dtype, $T, $body, [F32 f32] [F64 f64], $other)
    };
    (int, $dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        $crate::dispatch!(@arms $dtype, $T, $body,
            [I8 i8, I32 i32, I64 i64, U8 u8, U32 u32, U64 u64] [I16 i16, U16 u16], $other)
    };
    (signed, $dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        $crate::dispatch!(@arms $dtype, $T, $body, [I8 i8, I32 i32, I64 i64] [I16 i16], $other)
    };
    (unsigned, $dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        $crate::dispatch!(@arms $dtype, $T, $body, [U8 u8, U32 u32, U64 u64] [U16 u16], $other)
    };
    (unsigned_or_float, $dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        $crate::dispatch!(@arms $dtype, $T, $body, [U8 u8, U32 u32, U64 u64, F32 f32]
            [U16 u16, F16 $crate::dtype::f16, BF16 $crate::dtype::bf16, F64 f64], $other)
    };
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::dispatch!(@arms $dtype, $T, $body,
            [Bool $crate::dtype::Bool, I8 i8, I32 i32, I64 i64, U8 u8, U32 u32, U64 u64, F32 f32]
            [I16 i16, U16 u16, F16 $crate::dtype::f16, BF16 $crate::dtype::bf16, F64 f64])
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_sizes_agree_with_the_types() {
        for dtype in DType::ALL {
            assert_eq!(DType::parse(dtype.name()), Some(dtype));
            assert_eq!(dispatch!(dtype, T => size_of::<T>()), dtype.size());
            assert_eq!(dispatch!(dtype, T => T::DTYPE), dtype);
        }
        assert_eq!(DType::parse("float8"), None);
        assert_eq!(dispatch!(float, DType::I32, T => T::DTYPE.size(), else 0), 0);
    }

    #[test]
    fn sixteen_bit_floats_agree_with_the_half_crate() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (f16_to_f32(bits), f16::from_bits(bits).to_f32_const());
            assert!(ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()), "{bits:x}");
            let ours = bf16_to_f32(bits);
            let theirs = bf16::from_bits(bits).to_f32_const();
            assert!(ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()), "{bits:x}");
        }
        // Every exponent and sign, with mantissas around each rounding boundary.
        for high in 0..=u16::MAX {
            for low in [0, 1, 0x0fff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let value = f32::from_bits(u32::from(high) << 16 | low);
                let (half, brain) = (f16::from_f32_const(value), bf16::from_f32_const(value));
                if value.is_nan() {
                    assert!(f16::from_bits(f32_to_f16(value)).is_nan());
                    assert!(bf16::from_bits(f32_to_bf16(value)).is_nan());
                } else {
                    assert_eq!(f32_to_f16(value), half.to_bits(), "{value:e}");
                    assert_eq!(f32_to_bf16(value), brain.to_bits(), "{value:e}");
                }
            }
        }
    }

    #[test]
    fn doubles_beside_a_tie_are_no_ties() {
        for bits in 0..0x7c00 {
            let (below, above) = (f16::from_bits(bits).to_f64(), f16::from_bits(bits + 1).to_f64());
            let above = if bits + 1 == 0x7c00 { 65536.0 } else { above };
            let tie = (below + above) / 2.0;
            assert_eq!(f64_to_f16(tie.next_down()), bits, "{tie:e}");
            assert_eq!(f64_to_f16(tie), bits + bits % 2, "{tie:e}");
            assert_eq!(f64_to_f16(tie.next_up()), bits + 1, "{tie:e}");
            assert_eq!(f64_to_f16(-tie.next_up()), (bits + 1) | 0x8000, "{tie:e}");
        }
        assert!(f16::from_bits(f64_to_f16(f64::from_bits(0x7ff0_0000_0000_0001))).is_nan());
    }
}
