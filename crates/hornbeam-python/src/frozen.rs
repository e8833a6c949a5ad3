//! Frozen models: files that `hornbeam-runtime` runs.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use hornbeam_engine::buffer::Buffer;
use hornbeam_runtime::{Error, FrozenModel};

use crate::buffer::PyBuffer;
use crate::detached;
use crate::executable::{wrap, Handles};

fn raise(error: Error) -> PyErr {
    match error {
        Error::Io(error) => error.into(),
        Error::File(text) | Error::Argument(text) => PyValueError::new_err(text),
        Error::Engine(error) => crate::raise(error),
    }
}

/// A model in a file. Several threads can run it at once.
#[pyclass(name = "FrozenModel", module = "hornbeam._native", frozen)]
pub struct PyFrozenModel {
    inner: FrozenModel,
}

#[pymethods]
impl PyFrozenModel {
    /// Read a file, which is mapped into memory: its bytes must not change while the model lives.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<PyFrozenModel> {
        let inner = detached(py, || FrozenModel::open(path))?.map_err(raise)?;
        Ok(PyFrozenModel { inner })
    }

    /// Read the bytes of a file.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: PyBackedBytes) -> PyResult<PyFrozenModel> {
        let inner = detached(py, || FrozenModel::from_bytes(data))?.map_err(raise)?;
        Ok(PyFrozenModel { inner })
    }

    /// Signatures and metadata, as JSON.
    #[getter]
    fn description(&self) -> &str {
        self.inner.description()
    }

    /// Name, dtype and shape of every weight.
    #[getter]
    fn weights(&self) -> Vec<(String, &'static str, Vec<usize>)> {
        self.inner.weights().iter().map(|(name, t)| (name.clone(), t.dtype.name(), t.shape.clone())).collect()
    }

    /// Run a signature on its inputs, and return its outputs.
    fn run(&self, py: Python<'_>, signature: &str, inputs: Handles<'_>) -> PyResult<Vec<PyBuffer>> {
        let inputs = inputs.iter().map(|b| b.get().share()).collect::<PyResult<Vec<Buffer>>>()?;
        let run = || self.inner.signature(signature)?.run(&inputs);
        Ok(wrap(detached(py, run)?.map_err(raise)?))
    }
}
