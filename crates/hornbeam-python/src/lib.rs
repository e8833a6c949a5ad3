//! `hornbeam._native`: the Python binding of the engine. It borrows buffers, releases the GIL, and converts errors to
//! exceptions.

mod buffer;
mod executable;
mod frozen;
mod image;
mod image_resize;
mod json;

use pyo3::exceptions::{PyImportError, PyMemoryError, PyNotImplementedError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use hornbeam_engine::error::Error;
use hornbeam_kernels::gemm::has_native_bfloat16;
use hornbeam_kernels::pool::{self, ThreadPool};
use hornbeam_kernels::simd;

/// The Python exception of an engine error.
pub(crate) fn raise(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Decode(_) | Error::Argument(_) => PyValueError::new_err(text),
        Error::Unsupported(_) => PyNotImplementedError::new_err(text),
        Error::Memory(_) => PyMemoryError::new_err(text),
        Error::Interrupted => pyo3::exceptions::PyKeyboardInterrupt::new_err(text),
    }
}

/// Run `body` without the GIL. A panic becomes a RuntimeError.
pub(crate) fn detached<T: Send>(py: Python<'_>, body: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| caught(body)).map_err(raise_panic)
}

/// Run `body` with the GIL. A panic becomes a RuntimeError.
pub(crate) fn guarded<T>(body: impl FnOnce() -> T) -> PyResult<T> {
    caught(body).map_err(raise_panic)
}

type Panic = Box<dyn std::any::Any + Send>;

fn caught<T>(body: impl FnOnce() -> T) -> Result<T, Panic> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body))
}

fn raise_panic(panic: Panic) -> PyErr {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "unknown panic".into());
    PyRuntimeError::new_err(format!("internal error in the native engine: {text}"))
}

/// Return the number of CPUs that this process may use, by its affinity and the quota of its container.
#[pyfunction]
fn available_cpus() -> usize {
    pool::available_cpus()
}

/// Return the number of threads of one run.
#[pyfunction]
fn threads() -> usize {
    ThreadPool::global().threads()
}

/// Set the number of threads of one run. Results do not depend on it.
#[pyfunction]
fn set_threads(threads: usize) -> PyResult<()> {
    if threads == 0 {
        return Err(PyValueError::new_err("threads must be at least 1, got 0"));
    }
    ThreadPool::global().set_threads(threads);
    Ok(())
}

/// Let runs of the calling thread use that thread alone, or all threads again. Results do not depend on it.
#[pyfunction]
fn set_single_threaded(single: bool) {
    pool::set_single_threaded(single);
}

/// Return the instruction set that kernels use, and those that the machine supports.
#[pyfunction]
fn cpu_features(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let features = PyDict::new(py);
    features.set_item("isa", simd::isa().name())?;
    let names: Vec<&str> = simd::Isa::available().iter().map(|isa| isa.name()).collect();
    features.set_item("available", names)?;
    features.set_item("arch", std::env::consts::ARCH)?;
    features.set_item("bfloat16", has_native_bfloat16())?;
    Ok(features)
}

/// Return the names of the primitives and composites that the engine supports.
#[pyfunction]
fn instructions() -> Vec<&'static str> {
    hornbeam_engine::supported::operations()
}

/// Measure the peaks of the machine with all threads: FLOPs and bytes per second.
#[pyfunction]
fn machine_peaks(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let roofline = detached(py, || hornbeam_kernels::roofline::measure(ThreadPool::global().threads()))?;
    let peaks = PyDict::new(py);
    peaks.set_item("threads", roofline.threads)?;
    peaks.set_item("float32", roofline.float32)?;
    peaks.set_item("bfloat16", roofline.bfloat16)?;
    // Per level: bytes of all threads together, read, copy.
    let levels = roofline.memory.map(|level| (level.bytes * roofline.threads, level.read, level.copy));
    peaks.set_item("memory", levels.to_vec())?;
    Ok(peaks)
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    if let Some(reason) = simd::unsupported_machine() {
        return Err(PyImportError::new_err(format!("the native engine does not run on this machine: {reason}")));
    }
    module.add_class::<buffer::PyBuffer>()?;
    module.add_class::<buffer::Export>()?;
    module.add_class::<executable::PyExecutable>()?;
    module.add_class::<executable::PyBound>()?;
    module.add_class::<executable::PyCall>()?;
    module.add_class::<frozen::PyFrozenModel>()?;
    module.add_class::<json::NumberArray>()?;
    module.add_function(wrap_pyfunction!(executable::compile, module)?)?;
    module.add_function(wrap_pyfunction!(available_cpus, module)?)?;
    module.add_function(wrap_pyfunction!(threads, module)?)?;
    module.add_function(wrap_pyfunction!(set_threads, module)?)?;
    module.add_function(wrap_pyfunction!(set_single_threaded, module)?)?;
    module.add_function(wrap_pyfunction!(cpu_features, module)?)?;
    module.add_function(wrap_pyfunction!(instructions, module)?)?;
    module.add_function(wrap_pyfunction!(machine_peaks, module)?)?;
    module.add_function(wrap_pyfunction!(image::resize, module)?)?;
    module.add_function(wrap_pyfunction!(json::read_json, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    Ok(())
}
