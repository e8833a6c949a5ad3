//! Single numbers at compile time, computed by the same kernels that run on arrays.

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

/// The number as f64: exact but for integers beyond 2^53.
pub fn to_f64(dtype: DType, x: Bytes) -> f64 {
    // Through the conversion kernel, which knows every layout.
    match dtype {
        DType::F64 => f64::from_ne_bytes(x),
        _ => f64::from_ne_bytes(convert(dtype, DType::F64, x)),
    }
}

/// A float as one element of `dtype`, rounded to nearest.
pub fn from_f64(dtype: DType, x: f64) -> Bytes {
    match dtype {
        DType::F64 => x.to_ne_bytes(),
        _ => convert(DType::F64, dtype, x.to_ne_bytes()),
    }
}

/// Whether every value of `narrow` is exactly a value of `wide`.
pub fn holds(wide: DType, narrow: DType) -> bool {
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
        // float16 ends at 65504, so it does not hold all integers that its mantissa could.
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
        assert!(holds(DType::F32, DType::F16) && holds(DType::F64, DType::I32) && holds(DType::I16, DType::U8));
        assert!(!holds(DType::F32, DType::I32) && !holds(DType::U64, DType::I8) && !holds(DType::F16, DType::BF16));
        assert!(!holds(DType::I8, DType::U8) && !holds(DType::I32, DType::F32));
    }

    #[test]
    fn folds_like_the_kernels() {
        let (x, y) = (from_f64(DType::F32, 1.5), from_f64(DType::F32, 2.0));
        let product = binary(Binary::parse("mul").unwrap(), DType::F32, x, y).unwrap();
        assert_eq!(to_f64(DType::F32, product), 3.0);
        assert_eq!(to_f64(DType::I32, convert(DType::F32, DType::I32, x)), 1.0);
    }
}
