//! The outputs of a run.

use hornbeam_runtime::Buffer;

use crate::error::{guarded, HornbeamError};
use crate::tensor::HornbeamTensor;

/// The outputs of a run.
pub struct HornbeamOutputs {
    buffers: Vec<Buffer>,
}

impl HornbeamOutputs {
    pub(crate) fn new(buffers: Vec<Buffer>) -> HornbeamOutputs {
        HornbeamOutputs { buffers }
    }
}

/// The number of outputs.
///
/// # Safety
/// `outputs` came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_outputs_count(outputs: *const HornbeamOutputs) -> usize {
    // SAFETY: guaranteed by the caller.
    unsafe { &*outputs }.buffers.len()
}

/// Set `*tensor` to an output, whose memory lives until `outputs` is freed.
///
/// # Safety
/// `outputs` came from this library and was not freed, and `tensor` points to a `HornbeamTensor`.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_outputs_get(
    outputs: *const HornbeamOutputs,
    index: usize,
    tensor: *mut HornbeamTensor,
) -> *mut HornbeamError {
    guarded(|| {
        // SAFETY: guaranteed by the caller.
        let buffers = unsafe { &(*outputs).buffers };
        let found = buffers.get(index);
        let buffer = found.ok_or_else(|| HornbeamError::argument(format!("index {index} of {}", buffers.len())))?;
        // SAFETY: as above.
        unsafe { *tensor = HornbeamTensor::of(buffer) };
        Ok(())
    })
}

/// Free outputs. NULL is ignored.
///
/// # Safety
/// `outputs` came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_outputs_free(outputs: *mut HornbeamOutputs) {
    if !outputs.is_null() {
        // SAFETY: guaranteed by the caller.
        drop(unsafe { Box::from_raw(outputs) });
    }
}
