//! Executables of the engine as classes of Python: compile once, run many times.
//!
//! A run releases Python's lock, unless the program is so small that this would take longer than the run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};
use pyo3::{ffi, intern};

use hornbeam_engine::bound;
use hornbeam_engine::buffer::Buffer;
use hornbeam_engine::executable::Executable;
use hornbeam_engine::profile::Profile;

use crate::buffer::PyBuffer;
use crate::{detached, guarded, raise};

pub(crate) type Handles<'py> = Vec<Bound<'py, PyBuffer>>;

/// Interval at which a long call checks for Ctrl-C.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// A compiled graph. Several threads can run it at once.
#[pyclass(name = "Executable", module = "hornbeam._native", frozen)]
pub struct PyExecutable {
    inner: Arc<Executable>,
}

/// Compile the text of a graph (see the engine's `decode` for the format).
#[pyfunction]
#[pyo3(signature = (text, constants = Vec::new(), profile = false))]
pub fn compile(
    py: Python<'_>,
    text: &str,
    constants: Vec<Bound<'_, PyBuffer>>,
    profile: bool,
) -> PyResult<PyExecutable> {
    let constants = shared(&constants)?;
    let compile = if profile { Executable::profiled } else { Executable::compile };
    let inner = detached(py, || compile(text, constants))?.map_err(raise)?;
    Ok(PyExecutable { inner: Arc::new(inner) })
}

/// An executable together with its first inputs. Several threads can run it at once.
#[pyclass(name = "Bound", module = "hornbeam._native", frozen)]
pub struct PyBound {
    inner: bound::Bound,
}

#[pymethods]
impl PyBound {
    /// Run on the inputs that follow the bound ones, and return the outputs.
    fn run(&self, py: Python<'_>, inputs: Handles<'_>) -> PyResult<Vec<PyBuffer>> {
        let inputs = shared(&inputs)?;
        let outputs = detached(py, || self.inner.run(&inputs))?.map_err(raise)?;
        Ok(wrap(outputs))
    }
}

/// An executable whose inputs are the arguments of a Python function: tensors of known types. It finds their buffers
/// without Python code, in which a small call would spend most of its time.
#[pyclass(name = "Call", module = "hornbeam._native", frozen)]
pub struct PyCall {
    executable: Arc<Executable>,
    tensor_class: Py<PyType>,
    engine: Py<PyAny>,
    types: Vec<Py<PyAny>>,
}

#[pymethods]
impl PyCall {
    #[new]
    fn new(
        executable: &Bound<'_, PyExecutable>,
        tensor_class: Py<PyType>,
        engine: Py<PyAny>,
        types: Vec<Py<PyAny>>,
    ) -> PyCall {
        PyCall { executable: executable.get().inner.clone(), tensor_class, engine, types }
    }

    /// The buffers of `tensors`, a tuple; None unless each is a tensor of its type with a value on the engine.
    fn buffers<'py>(&self, tensors: &Bound<'py, PyTuple>) -> PyResult<Option<Handles<'py>>> {
        let py = tensors.py();
        if tensors.len() != self.types.len() {
            return Ok(None);
        }
        let mut buffers = Vec::with_capacity(self.types.len());
        for (x, expected) in tensors.iter_borrowed().zip(&self.types) {
            if !x.get_type().is(&self.tensor_class) {
                return Ok(None);
            }
            let node = plain_attribute(&x, intern!(py, "_node"))?;
            let value = node.getattr(intern!(py, "value"))?;
            let Ok(value) = value.cast::<PyTuple>() else { return Ok(None) };
            if !value.get_borrowed_item(0)?.is(&self.engine) {
                return Ok(None);
            }
            let actual = node.getattr(intern!(py, "type"))?;
            // Identity first: equality calls a method of Python.
            if !actual.is(expected) && !actual.eq(expected)? {
                return Ok(None);
            }
            buffers.push(value.get_item(1)?.cast_into()?);
        }
        Ok(Some(buffers))
    }

    /// Run on the buffers of `tensors`; None where there are none, see `buffers`.
    fn run(&self, tensors: &Bound<'_, PyTuple>) -> PyResult<Option<Vec<PyBuffer>>> {
        let Some(handles) = self.buffers(tensors)? else { return Ok(None) };
        run(tensors.py(), &self.executable, &handles, &[]).map(Some)
    }
}

/// An attribute of an object by Python's default lookup. `getattr` takes longer for a class that has a `__getattr__`
/// method, even if it is not called.
fn plain_attribute<'py>(object: &Bound<'py, PyAny>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: both are objects; the result is a new reference, or null with an exception set.
    unsafe {
        let attribute = ffi::PyObject_GenericGetAttr(object.as_ptr(), name.as_ptr());
        Bound::from_owned_ptr_or_err(object.py(), attribute)
    }
}

/// Run on `handles`. Those marked in `donate` are emptied, and overwritten if they have no other owner.
fn run(py: Python<'_>, executable: &Executable, handles: &Handles<'_>, donate: &[bool]) -> PyResult<Vec<PyBuffer>> {
    let inputs = shared(handles)?;
    executable.check_inputs(&inputs).map_err(raise)?;
    for (handle, _) in handles.iter().zip(donate).filter(|(_, &donated)| donated) {
        // An object that is passed twice is emptied once. Its value has two owners, so nothing overwrites it.
        if !handle.get().is_empty() {
            drop(handle.get().take()?);
        }
    }
    let run = || executable.run_checked(inputs, donate);
    let outputs = if executable.is_tiny() { guarded(run) } else { detached(py, run) }?.map_err(raise)?;
    Ok(wrap(outputs))
}

/// The buffers of `handles`, with one more owner each.
fn shared(handles: &[Bound<'_, PyBuffer>]) -> PyResult<Vec<Buffer>> {
    handles.iter().map(|handle| handle.get().share()).collect()
}

pub(crate) fn wrap(buffers: Vec<Buffer>) -> Vec<PyBuffer> {
    buffers.into_iter().map(PyBuffer::new).collect()
}

#[pymethods]
impl PyExecutable {
    /// Run on `inputs` and return the outputs. Inputs marked in `donate` are emptied, and overwritten if they have no
    /// other owner.
    #[pyo3(signature = (inputs, donate = None))]
    fn run(&self, py: Python<'_>, inputs: Handles<'_>, donate: Option<Vec<bool>>) -> PyResult<Vec<PyBuffer>> {
        run(py, &self.inner, &inputs, &donate.unwrap_or_default())
    }

    /// Bind the first inputs for many runs. Computations on them alone are done once.
    fn bind(&self, py: Python<'_>, weights: Handles<'_>) -> PyResult<PyBound> {
        let weights = shared(&weights)?;
        let executable = self.inner.clone();
        let inner = detached(py, || bound::Bound::new(executable, weights))?.map_err(raise)?;
        Ok(PyBound { inner })
    }

    /// Run once per row of `indices` (int64, steps x batch). The inputs are `state`, then one batch of rows of each
    /// data array; the outputs are the new state, then logs, which are returned stacked. The state is donated.
    fn run_steps(
        &self,
        py: Python<'_>,
        state: Handles<'_>,
        data: Handles<'_>,
        indices: &Bound<'_, PyBuffer>,
    ) -> PyResult<(Vec<PyBuffer>, Vec<PyBuffer>)> {
        let data = shared(&data)?;
        let indices = indices.get().share()?;
        // All must have a value before the first one is emptied, so that an error leaves them as they are.
        state.iter().try_for_each(|b| b.get().share().map(drop))?;
        let mut values: Vec<Buffer> = Vec::with_capacity(state.len());
        for (position, handle) in state.iter().enumerate() {
            // A value that is passed twice is emptied once.
            let earlier = state[..position].iter().position(|other| other.is(handle));
            values.push(match earlier {
                Some(earlier) => Buffer::clone(&values[earlier]),
                None => handle.get().take()?,
            });
        }
        let mut signal: Option<PyErr> = None;
        let mut checked = Instant::now();
        let mut poll = || {
            if checked.elapsed() < SIGNAL_INTERVAL {
                return false;
            }
            checked = Instant::now();
            signal = Python::attach(|py| py.check_signals()).err();
            signal.is_some()
        };
        let inner = &self.inner;
        let steps = detached(py, || inner.run_steps(values, &data, &indices, &mut poll))?;
        match steps.logs {
            Ok(logs) => Ok((wrap(steps.state), wrap(logs))),
            Err(error) => {
                // The caller keeps the state of the last complete step.
                state.iter().zip(steps.state).for_each(|(handle, value)| handle.get().restore(value));
                Err(signal.unwrap_or_else(|| raise(error)))
            }
        }
    }

    /// The compiled instructions as text.
    #[getter]
    fn text(&self) -> String {
        self.inner.text()
    }

    /// Bytes of working memory of one run.
    #[getter]
    fn arena_bytes(&self) -> usize {
        self.inner.arena_bytes()
    }

    /// The profile of the runs so far as JSON (see the engine's `Profile::json`), if one is kept.
    fn profile(&self) -> Option<String> {
        self.inner.profile().map(Profile::json)
    }

    /// Clear the profile, if one is kept.
    fn clear_profile(&self) {
        if let Some(profile) = self.inner.profile() {
            profile.clear();
        }
    }
}
