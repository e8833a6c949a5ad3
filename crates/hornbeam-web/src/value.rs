//! Values: inputs and outputs of a model.

use hornbeam_runtime::{Buffer, DType, TensorType};

use crate::{owned, slice};

/// Create a value of a dtype, by its name in UTF-8, and a shape. Its elements are not initialized.
///
/// # Safety
/// `name` has `name_bytes` bytes and `shape` has `rank` extents.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_value(
    name: *const u8,
    name_bytes: usize,
    shape: *const u32,
    rank: usize,
) -> *mut Buffer {
    // SAFETY: guaranteed by the caller.
    let (name, shape) = unsafe { (slice(name, name_bytes), slice(shape, rank)) };
    let name = String::from_utf8_lossy(name);
    let shape = shape.iter().map(|&extent| extent as usize).collect();
    owned(match DType::parse(&name) {
        Some(dtype) => Buffer::new(TensorType::new(dtype, shape)).map_err(|error| error.to_string()),
        None => Err(format!("unknown dtype {name:?}")),
    })
}

/// Address of a value's elements, in row-major order.
#[no_mangle]
pub extern "C" fn hornbeam_data(value: &Buffer) -> *const u8 {
    value.as_ptr()
}

/// Bytes of a value's elements.
#[no_mangle]
pub extern "C" fn hornbeam_bytes(value: &Buffer) -> usize {
    value.tensor.bytes()
}

/// Number of extents of a value's shape.
#[no_mangle]
pub extern "C" fn hornbeam_rank(value: &Buffer) -> usize {
    value.tensor.rank()
}

/// One extent of a value's shape; `axis` is below its rank.
#[no_mangle]
pub extern "C" fn hornbeam_extent(value: &Buffer, axis: usize) -> usize {
    value.tensor.shape[axis]
}

/// Free a value.
///
/// # Safety
/// It came from [`hornbeam_value`] or from a run, and is not used again.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_free_value(value: *mut Buffer) {
    // SAFETY: guaranteed by the caller.
    drop(unsafe { Box::from_raw(value) });
}
