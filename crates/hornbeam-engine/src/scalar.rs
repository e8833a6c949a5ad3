//! Constant folding of scalars, by the same kernels that run on arrays.

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{self, Binary, Compare, Unary};

type Bytes = [u8; 8];

pub fn unary(op: Unary, dtype: DType, x: Bytes) -> Option<Bytes> {
    let f = elementwise::unary(op, dtype)?;
    let mut out = Aligned([0; 8]);
    let x = Aligned(x);
    // SAFETY: one element of at most 8 bytes is read from `x` and written to `out`, both aligned to 8.
    unsafe { f(x.0.as_ptr(), out.0.as_mut_ptr(), 1) };
    Some(out.0)
}

pub fn binary(op: Binary, dtype: DType, x: Bytes, y: Bytes) -> Option<Bytes> {
    let f = elementwise::binary(op, dtype)?;
    let (x, y, mut out) = (Aligned(x), Aligned(y), Aligned([0; 8]));
    // SAFETY: as in `unary`.
    unsafe { f(x.0.as_ptr(), y.0.as_ptr(), out.0.as_mut_ptr(), 1) };
    Some(out.0)
}

pub fn compare(op: Compare, dtype: DType, x: Bytes, y: Bytes) -> Bytes {
    let f = elementwise::compare(op, dtype);
    let (x, y, mut out) = (Aligned(x), Aligned(y), Aligned([0; 8]));
    // SAFETY: as in `unary`; the result is one byte.
    unsafe { f(x.0.as_ptr(), y.0.as_ptr(), out.0.as_mut_ptr(), 1) };
    out.0
}

pub fn convert(from: DType, to: DType, x: Bytes) -> Bytes {
    let f = elementwise::convert(from, to);
    let (x, mut out) = (Aligned(x), Aligned([0; 8]));
    // SAFETY: as in `unary`.
    unsafe { f(x.0.as_ptr(), out.0.as_mut_ptr(), 1) };
    out.0
}

#[repr(align(8))]
struct Aligned(Bytes);

/// Convert to f64: exact except for integers beyond 2^53.
pub fn to_f64(dtype: DType, x: Bytes) -> f64 {
    // The conversion kernel knows the layout of every dtype.
    match dtype {
        DType::F64 => f64::from_ne_bytes(x),
        _ => f64::from_ne_bytes(convert(dtype, DType::F64, x)),
    }
}

/// Convert to one element of `dtype`, rounded to nearest.
pub fn from_f64(dtype: DType, x: f64) -> Bytes {
    match dtype {
        DType::F64 => x.to_ne_bytes(),
        _ => convert(DType::F64, dtype, x.to_ne_bytes()),
    }
}

/// Return whether conversion from `narrow` to `wide` is lossless.
pub fn is_lossless(narrow: DType, wide: DType) -> bool {
    use DType::*;
    if wide == narrow || narrow == Bool {
        return true;
    }
    // Bits of an exactly represented integer: value bits for integers, mantissa for floats.
    let integer_bits = |d: DType| if d.is_signed_int() { d.size() * 8 - 1 } else { d.size() * 8 };
    let mantissa = |d: DType| match d {
        F16 => 11,
        BF16 => 8,
        F32 => 24,
        F64 => 53,
        _ => 0,
    };
    match (wide.is_float(), narrow.is_float()) {
        (true, true) => matches!((wide, narrow), (F64, _) | (F32, F16 | BF16)),
        (true, false) => integer_bits(narrow) <= mantissa(wide),
        (false, true) => false,
        (false, false) if wide == Bool => false,
        (false, false) => {
            integer_bits(narrow) <= integer_bits(wide) && (wide.is_signed_int() || narrow.is_unsigned_int())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lossless_conversions() {
        assert!(
            is_lossless(DType::F16, DType::F32)
                && is_lossless(DType::I32, DType::F64)
                && is_lossless(DType::U8, DType::I16)
        );
        assert!(
            !is_lossless(DType::I32, DType::F32)
                && !is_lossless(DType::I8, DType::U64)
                && !is_lossless(DType::BF16, DType::F16)
        );
        assert!(!is_lossless(DType::U8, DType::I8) && !is_lossless(DType::F32, DType::I32));
    }

    #[test]
    fn folds_like_the_kernels() {
        let (x, y) = (from_f64(DType::F32, 1.5), from_f64(DType::F32, 2.0));
        let product = binary(Binary::parse("mul").unwrap(), DType::F32, x, y).unwrap();
        assert_eq!(to_f64(DType::F32, product), 3.0);
        assert_eq!(to_f64(DType::I32, convert(DType::F32, DType::I32, x)), 1.0);
    }
}
