//! The C interface of [`hornbeam_runtime`]. `include/hornbeam.h` is written from this crate by cbindgen.
//!
//! Pointers that a function returns belong to the caller if their type has a function that frees it, else to the object
//! that they came from. No panic crosses the boundary: it becomes an error.

mod error;
mod model;
mod outputs;
mod tensor;

use hornbeam_kernels::pool::ThreadPool;

pub use error::{HornbeamError, HornbeamErrorCode};
pub use model::{HornbeamModel, HornbeamSignature, HornbeamSpec};
pub use outputs::HornbeamOutputs;
pub use tensor::{HornbeamDtype, HornbeamTensor};

/// The version of the library, such as "0.1.0".
#[no_mangle]
pub extern "C" fn hornbeam_version() -> *const std::ffi::c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Set the number of threads on which the runs of this process share the work, at least 1; by default all CPUs. Results
/// do not depend on it.
#[no_mangle]
pub extern "C" fn hornbeam_set_threads(threads: usize) {
    ThreadPool::global().set_threads(threads.max(1));
}
