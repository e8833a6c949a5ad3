//! Tensors as C sees them: a dtype, a shape and a pointer.

use std::ffi::c_void;

use hornbeam_runtime::{Buffer, DType, TensorType};

use crate::error::HornbeamError;

/// Type of the elements of a tensor. Booleans are bytes of 0 or 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HornbeamDtype {
    Bool = 0,
    Uint8 = 1,
    Int8 = 2,
    Uint16 = 3,
    Int16 = 4,
    Uint32 = 5,
    Int32 = 6,
    Uint64 = 7,
    Int64 = 8,
    Float16 = 9,
    Bfloat16 = 10,
    Float32 = 11,
    Float64 = 12,
}

const DTYPES: [(HornbeamDtype, DType); 13] = [
    (HornbeamDtype::Bool, DType::Bool),
    (HornbeamDtype::Uint8, DType::U8),
    (HornbeamDtype::Int8, DType::I8),
    (HornbeamDtype::Uint16, DType::U16),
    (HornbeamDtype::Int16, DType::I16),
    (HornbeamDtype::Uint32, DType::U32),
    (HornbeamDtype::Int32, DType::I32),
    (HornbeamDtype::Uint64, DType::U64),
    (HornbeamDtype::Int64, DType::I64),
    (HornbeamDtype::Float16, DType::F16),
    (HornbeamDtype::Bfloat16, DType::BF16),
    (HornbeamDtype::Float32, DType::F32),
    (HornbeamDtype::Float64, DType::F64),
];

impl HornbeamDtype {
    pub(crate) fn new(dtype: DType) -> HornbeamDtype {
        let found = DTYPES.iter().find(|(_, d)| *d == dtype);
        found.map(|(c, _)| *c).unwrap_or_else(|| unreachable!("{dtype} is in the table"))
    }
}

/// A tensor in row-major order. The memory of inputs belongs to you, that of outputs to `HornbeamOutputs`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HornbeamTensor {
    /// A `HornbeamDtype`.
    pub dtype: u32,
    /// Number of axes.
    pub rank: usize,
    /// Size of each axis.
    pub shape: *const usize,
    /// The elements, which need not be aligned.
    pub data: *const c_void,
}

impl HornbeamTensor {
    pub(crate) fn of(buffer: &Buffer) -> HornbeamTensor {
        HornbeamTensor {
            dtype: HornbeamDtype::new(buffer.tensor.dtype) as u32,
            rank: buffer.tensor.shape.len(),
            shape: buffer.tensor.shape.as_ptr(),
            data: buffer.as_ptr().cast(),
        }
    }

    /// Copy an input.
    ///
    /// # Safety
    /// `shape` and `data` point to as many numbers as `rank` and the shape say.
    pub(crate) unsafe fn copy(&self, index: usize) -> Result<Buffer, HornbeamError> {
        let known = DTYPES.iter().find(|(c, _)| *c as u32 == self.dtype);
        let (_, dtype) = known.ok_or_else(|| HornbeamError::argument(format!("input {index} has no known dtype")))?;
        // SAFETY: guaranteed by the caller; an empty shape may be NULL.
        let shape = unsafe { slice(self.shape, self.rank) };
        let tensor = TensorType::new(*dtype, shape.to_vec());
        tensor.validate().map_err(hornbeam_runtime::Error::from)?;
        if self.data.is_null() && tensor.bytes() != 0 {
            return Err(HornbeamError::argument(format!("input {index} has no data")));
        }
        // SAFETY: as above.
        let bytes = unsafe { slice(self.data.cast::<u8>(), tensor.bytes()) };
        Ok(Buffer::copied(tensor, bytes).map_err(hornbeam_runtime::Error::from)?)
    }
}

/// A slice, which is empty for a null pointer.
///
/// # Safety
/// `pointer` is NULL or points to `count` elements that live as long as the result.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, count: usize) -> &'a [T] {
    if pointer.is_null() {
        return &[];
    }
    // SAFETY: guaranteed by the caller.
    unsafe { std::slice::from_raw_parts(pointer, count) }
}
