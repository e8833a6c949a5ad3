//! The type of a value: dtype and concrete shape.

use std::fmt;

use hornbeam_kernels::dtype::DType;

use crate::error::{malformed, Result};

/// Bytes of the largest value, and of all values that live at once: 128 TiB if addresses have 64 bits, and 256 MiB if
/// they have 32 (WebAssembly).
pub const MAX_BYTES: usize = if usize::BITS == 64 { isize::MAX as usize >> 16 } else { 1 << 28 };

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TensorType {
    pub dtype: DType,
    pub shape: Vec<usize>,
}

impl TensorType {
    pub fn new(dtype: DType, shape: Vec<usize>) -> Self {
        TensorType { dtype, shape }
    }

    pub fn scalar(dtype: DType) -> Self {
        TensorType { dtype, shape: Vec::new() }
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn bytes(&self) -> usize {
        self.count() * self.dtype.size()
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Return an error for shapes larger than any memory, so that sums of sizes, and products with a dtype's size,
    /// cannot overflow.
    pub fn validate(&self) -> Result<()> {
        let mut total = self.dtype.size();
        for &extent in &self.shape {
            // An extent of zero must not hide an overflow of the others.
            total = total
                .checked_mul(extent.max(1))
                .filter(|&t| t <= MAX_BYTES)
                .ok_or_else(|| malformed!("a value of type {self} is too large"))?;
        }
        Ok(())
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype.name())?;
        for (i, extent) in self.shape.iter().enumerate() {
            write!(f, "{}{extent}", if i == 0 { "" } else { "," })?;
        }
        f.write_str("]")
    }
}

/// Strides, in elements, of a contiguous row-major array.
pub fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1isize; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1] as isize;
    }
    strides
}
