//! Errors as objects of the caller.

use std::ffi::{c_char, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};

use hornbeam_runtime::Error;

/// Kinds of errors.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HornbeamErrorCode {
    /// The file cannot be read.
    Io = 1,
    /// The file is not a frozen model, is damaged, or was written by a newer version.
    File = 2,
    /// An argument does not fit: an unknown signature, another number of inputs, a shape, a null pointer.
    Argument = 3,
    /// The engine cannot run the graph, or memory is exhausted.
    Engine = 4,
    /// A fault of this library.
    Internal = 5,
}

/// An error: a code and a text.
pub struct HornbeamError {
    code: HornbeamErrorCode,
    text: CString,
}

impl HornbeamError {
    pub(crate) fn argument(text: impl Into<String>) -> HornbeamError {
        HornbeamError::new(HornbeamErrorCode::Argument, text.into())
    }

    fn new(code: HornbeamErrorCode, text: String) -> HornbeamError {
        let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
        HornbeamError { code, text }
    }
}

impl From<Error> for HornbeamError {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Io(_) => HornbeamErrorCode::Io,
            Error::File(_) => HornbeamErrorCode::File,
            Error::Argument(_) => HornbeamErrorCode::Argument,
            Error::Engine(_) => HornbeamErrorCode::Engine,
        };
        HornbeamError::new(code, error.to_string())
    }
}

/// Run the body of a function of the interface, and return its error, if any.
pub(crate) fn guarded(body: impl FnOnce() -> Result<(), HornbeamError>) -> *mut HornbeamError {
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let text = format!("internal error: {}", text.unwrap_or("unknown panic"));
        Err(HornbeamError::new(HornbeamErrorCode::Internal, text))
    });
    match result {
        Ok(()) => std::ptr::null_mut(),
        Err(error) => Box::into_raw(Box::new(error)),
    }
}

/// The kind of an error.
///
/// # Safety
/// `error` came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_error_code(error: *const HornbeamError) -> HornbeamErrorCode {
    // SAFETY: guaranteed by the caller.
    unsafe { (*error).code }
}

/// The text of an error, in UTF-8. It lives until the error is freed.
///
/// # Safety
/// `error` came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_error_message(error: *const HornbeamError) -> *const c_char {
    // SAFETY: guaranteed by the caller.
    unsafe { (*error).text.as_ptr() }
}

/// Free an error. NULL is ignored.
///
/// # Safety
/// `error` came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_error_free(error: *mut HornbeamError) {
    if !error.is_null() {
        // SAFETY: made by `guarded`; guaranteed by the caller.
        drop(unsafe { Box::from_raw(error) });
    }
}
