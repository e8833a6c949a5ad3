//! Arrays of numbers in JSON, read to one vector without a Python object for each number.

use hornbeam_kernels::dispatch;
use hornbeam_kernels::dtype::{DType, Element};

/// Integers up to this one are exact in `f64`.
const MAX_EXACT: u64 = 1 << 53;
/// Digits that certainly fit into a `u64`.
const MAX_DIGITS: usize = 19;
/// More axes than NumPy has.
const MAX_AXES: usize = 64;

/// The powers of ten that are exact in `f64`.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// The kind of all elements of an array; integers among other numbers are floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Float,
}

/// Non-empty nested arrays of equal lengths, in row-major order.
pub struct Numbers {
    pub values: Vec<f64>,
    pub shape: Vec<usize>,
    pub kind: Kind,
}

impl Numbers {
    /// The elements as native bytes of a dtype.
    ///
    /// # Errors
    /// With what came instead, if an element is not a value of the dtype. Floats are rounded to the nearest one.
    pub fn to_bytes(&self, dtype: DType) -> Result<Vec<u8>, &'static str> {
        match self.kind {
            Kind::Bool if dtype != DType::Bool => return Err("a boolean came"),
            Kind::Int | Kind::Float if dtype == DType::Bool => return Err("a number came"),
            Kind::Float if !dtype.is_float() => return Err("a number with a fraction or an exponent came"),
            _ => {}
        }
        dispatch!(dtype, T => convert::<T>(&self.values)).ok_or("a number is out of range")
    }
}

/// The bytes of all values as `T`, or None if one is out of range.
fn convert<T: Element>(values: &[f64]) -> Option<Vec<u8>> {
    let converted: Vec<T> = values.iter().map(|&value| T::from_f64(value)).collect();
    let fits = if T::DTYPE.is_float() {
        converted.iter().fold(true, |fits, x| fits & x.to_f64().is_finite())
    } else {
        converted.iter().zip(values).fold(true, |fits, (x, &value)| fits & (x.to_f64() == value))
    };
    // SAFETY: elements are plain data without padding.
    let bytes = unsafe { std::slice::from_raw_parts(converted.as_ptr().cast::<u8>(), size_of_val(&converted[..])) };
    fits.then(|| bytes.to_vec())
}

/// A number at the start of some text.
pub struct Number {
    pub value: f64,
    pub is_int: bool,
    /// False for integers that `value` rounds.
    pub is_exact: bool,
    pub len: usize,
}

/// Read a number by the grammar of JSON, rounded to the nearest `f64`, which may be infinite.
#[inline(always)]
pub fn number(bytes: &[u8]) -> Option<Number> {
    let is_negative = bytes.first() == Some(&b'-');
    let mut at = usize::from(is_negative);
    let mut mantissa = 0u64;
    let first = at;
    at += digits(&bytes[at..], &mut mantissa);
    let mut count = at - first;
    if count == 0 || (count > 1 && bytes[first] == b'0') {
        return None;
    }
    let mut exponent = 0i64;
    let mut is_int = true;
    if bytes.get(at) == Some(&b'.') {
        is_int = false;
        let fraction = digits(&bytes[at + 1..], &mut mantissa);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
        count += fraction;
        exponent = -(fraction as i64);
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        is_int = false;
        let sign = bytes.get(at + 1);
        at += 1 + usize::from(matches!(sign, Some(b'+' | b'-')));
        let mut written = 0u64;
        let len = digits(&bytes[at..], &mut written);
        if len == 0 {
            return None;
        }
        at += len;
        // An exponent of more digits is left to the standard library below, as is any large one.
        let written = if len > 4 { i64::from(i16::MAX) } else { written as i64 };
        exponent += if sign == Some(&b'-') { -written } else { written };
    }
    let is_small = count <= MAX_DIGITS && mantissa <= MAX_EXACT;
    let power = POWERS.get(exponent.unsigned_abs() as usize);
    let size = match power {
        // Both operands are exact, so the result is rounded once.
        Some(power) if is_small && exponent < 0 => mantissa as i64 as f64 / power,
        Some(power) if is_small => mantissa as i64 as f64 * power,
        _ => std::str::from_utf8(&bytes[first..at]).ok()?.parse().ok()?,
    };
    // The integer -0 is 0.
    let value = if is_negative && !(is_int && size == 0.0) { -size } else { size };
    Some(Number { value, is_int, is_exact: !is_int || is_small, len: at })
}

/// Append the digits at the start of `bytes` to `value`, which wraps around; return how many there are.
#[inline(always)]
fn digits(bytes: &[u8], value: &mut u64) -> usize {
    let mut count = 0;
    for &byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        *value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    count
}

/// Read an array at the start of `bytes`; return it and its length in the text.
///
/// None if it is anything but a rectangular array of numbers (of `f64`, without larger integers) or of booleans.
pub fn array(bytes: &[u8]) -> Option<(Numbers, usize)> {
    let mut reader = Reader { bytes, at: 0, values: Vec::new(), shape: Vec::new(), rank: None, kind: None };
    reader.list(0)?;
    let Reader { values, shape, kind, at, .. } = reader;
    Some((Numbers { values, shape, kind: kind? }, at))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<f64>,
    /// Lengths of the lists that ended; 0 where none has.
    shape: Vec<usize>,
    /// Number of axes, known from the first element on.
    rank: Option<usize>,
    kind: Option<Kind>,
}

impl Reader<'_> {
    fn list(&mut self, axis: usize) -> Option<()> {
        if axis == self.shape.len() {
            if axis == MAX_AXES {
                return None;
            }
            self.shape.push(0);
        }
        self.at += 1;
        let mut count = 0;
        loop {
            self.skip_space();
            if *self.bytes.get(self.at)? == b'[' {
                if self.rank.is_some_and(|rank| rank == axis + 1) {
                    return None;
                }
                self.list(axis + 1)?;
            } else {
                if *self.rank.get_or_insert(axis + 1) != axis + 1 {
                    return None;
                }
                self.element()?;
            }
            count += 1;
            self.skip_space();
            let separator = *self.bytes.get(self.at)?;
            self.at += 1;
            match separator {
                b',' => {}
                b']' => break,
                _ => return None,
            }
        }
        if self.shape[axis] == 0 {
            self.shape[axis] = count;
        }
        (self.shape[axis] == count).then_some(())
    }

    #[inline(always)]
    fn element(&mut self) -> Option<()> {
        let rest = &self.bytes[self.at..];
        let (value, kind, len) = match rest.first()? {
            b't' if rest.starts_with(b"true") => (1.0, Kind::Bool, 4),
            b'f' if rest.starts_with(b"false") => (0.0, Kind::Bool, 5),
            _ => {
                let number = number(rest).filter(|number| number.is_exact && number.value.is_finite())?;
                (number.value, if number.is_int { Kind::Int } else { Kind::Float }, number.len)
            }
        };
        if self.kind != Some(kind) {
            self.kind = Some(match (self.kind, kind) {
                (None, kind) => kind,
                (Some(Kind::Int | Kind::Float), Kind::Int | Kind::Float) => Kind::Float,
                _ => return None,
            });
        }
        self.values.push(value);
        self.at += len;
        Some(())
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }
}
