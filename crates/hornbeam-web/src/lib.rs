//! Frozen models in WebAssembly, for JavaScript without glue code (`src/hornbeam/web/engine.js`).
//!
//! Every function takes and returns numbers: addresses in the module's memory, and counts. The caller writes texts and
//! values into memory from [`hornbeam_allocate`] and [`hornbeam_data`]. A function that fails returns null or `false`, and
//! [`hornbeam_error`] has the reason. A panic ends the instance with a trap, and has a reason, too.
//!
//! Memory may grow in any of these functions, which invalidates JavaScript's views of it.

mod value;

use std::alloc::{alloc, dealloc, Layout};
use std::fmt::Display;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use hornbeam_runtime::{Buffer, FrozenModel};

/// The reason of the last failure.
static ERROR: Mutex<String> = Mutex::new(String::new());

fn set_error(reason: impl Display) {
    *ERROR.lock().unwrap_or_else(PoisonError::into_inner) = reason.to_string();
}

/// The result as an object that the caller owns, or null after an error.
fn owned<T>(result: Result<T, impl Display>) -> *mut T {
    match result {
        Ok(value) => Box::into_raw(Box::new(value)),
        Err(error) => {
            set_error(error);
            null_mut()
        }
    }
}

/// The slice that a caller describes by address and length.
///
/// # Safety
/// `length` values at `start` are valid, and not written while the slice lives.
unsafe fn slice<'a, T>(start: *const T, length: usize) -> &'a [T] {
    if length == 0 {
        return &[];
    }
    // SAFETY: guaranteed by the caller.
    unsafe { std::slice::from_raw_parts(start, length) }
}

/// Memory from [`hornbeam_allocate`] that this module took over.
struct Owned(*mut u8, usize);

// SAFETY: plain memory with one owner, which is only read.
unsafe impl Send for Owned {}
// SAFETY: as above.
unsafe impl Sync for Owned {}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the memory was initialized by the caller of `hornbeam_load`, and lives as long as this.
        unsafe { slice(self.0, self.1) }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the caller of `hornbeam_load` gave the memory up.
        unsafe { hornbeam_free(self.0, self.1) };
    }
}

/// Layout of memory for arguments. The weights of a model are aligned within its file.
fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.max(1), 64).ok()
}

/// Keep the reasons of panics. To be called before all other functions.
#[no_mangle]
pub extern "C" fn hornbeam_start() {
    std::panic::set_hook(Box::new(|panic| set_error(format_args!("internal error in the engine: {panic}"))));
}

/// Allocate memory for the arguments of a call. Null if memory is exhausted.
#[no_mangle]
pub extern "C" fn hornbeam_allocate(bytes: usize) -> *mut u8 {
    // SAFETY: the layout has a size of at least 1.
    layout(bytes).map_or(null_mut(), |layout| unsafe { alloc(layout) })
}

/// Free memory from [`hornbeam_allocate`].
///
/// # Safety
/// `start` came from there with the same number of bytes, and is not used again.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_free(start: *mut u8, bytes: usize) {
    if let Some(layout) = layout(bytes) {
        // SAFETY: guaranteed by the caller.
        unsafe { dealloc(start, layout) };
    }
}

/// The reason of the last failure, in UTF-8.
#[no_mangle]
pub extern "C" fn hornbeam_error() -> *const u8 {
    ERROR.lock().unwrap_or_else(PoisonError::into_inner).as_ptr()
}

/// Bytes of the reason of the last failure.
#[no_mangle]
pub extern "C" fn hornbeam_error_bytes() -> usize {
    ERROR.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// Read a frozen model. Its memory, from [`hornbeam_allocate`] with this number of bytes, belongs to the module from now
/// on, whether this fails or not.
///
/// # Safety
/// `start` has `bytes` initialized bytes, and is not used again.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_load(start: *mut u8, bytes: usize) -> *mut FrozenModel {
    owned(FrozenModel::from_bytes(Owned(start, bytes)))
}

/// The JSON of a model, in UTF-8: see `FrozenModel::description`.
#[no_mangle]
pub extern "C" fn hornbeam_description(model: &FrozenModel) -> *const u8 {
    model.description().as_ptr()
}

/// Bytes of the JSON of a model.
#[no_mangle]
pub extern "C" fn hornbeam_description_bytes(model: &FrozenModel) -> usize {
    model.description().len()
}

/// Run the signature of a name in UTF-8. Writes the addresses of its outputs, new values, to `outputs`.
///
/// # Safety
/// `name` has `name_bytes` bytes, `inputs` has `count` addresses of values, and `outputs` has room for an address of each
/// output.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_run(
    model: &FrozenModel,
    name: *const u8,
    name_bytes: usize,
    inputs: *const *const Buffer,
    count: usize,
    outputs: *mut *mut Buffer,
) -> bool {
    // SAFETY: guaranteed by the caller.
    let (name, inputs) = unsafe { (slice(name, name_bytes), slice(inputs, count)) };
    // SAFETY: as above.
    let inputs: Vec<Buffer> = inputs.iter().map(|&value| Buffer::clone(unsafe { &*value })).collect();
    match model.signature(&String::from_utf8_lossy(name)).and_then(|signature| signature.run(&inputs)) {
        Ok(results) => {
            for (index, result) in results.into_iter().enumerate() {
                // SAFETY: guaranteed by the caller.
                unsafe { outputs.add(index).write(Box::into_raw(Box::new(result))) };
            }
            true
        }
        Err(error) => {
            set_error(error);
            false
        }
    }
}

/// Free a model.
///
/// # Safety
/// It came from [`hornbeam_load`], and is not used again.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_free_model(model: *mut FrozenModel) {
    // SAFETY: guaranteed by the caller.
    drop(unsafe { Box::from_raw(model) });
}
