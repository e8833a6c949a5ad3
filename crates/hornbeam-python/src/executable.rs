//! Executables: compile once, run many times.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use hornbeam_engine::bound;
use hornbeam_engine::buffer::Buffer;
use hornbeam_engine::executable::Executable;
use hornbeam_engine::profile::Profile;

use crate::buffer::PyBuffer;
use crate::{detached, raise};

/// How often a long call asks whether the user has pressed Ctrl-C.
const SIGNALS: Duration = Duration::from_millis(50);

/// A compiled graph. Several threads may run it at once.
#[pyclass(name = "Executable", module = "hornbeam._native", frozen)]
pub struct PyExecutable {
    inner: Arc<Executable>,
}

/// Compile a graph's text (see the engine's decoder for the format).
#[pyfunction]
#[pyo3(signature = (text, constants = Vec::new(), profile = false))]
pub fn compile(
    py: Python<'_>,
    text: &str,
    constants: Vec<Bound<'_, PyBuffer>>,
    profile: bool,
) -> PyResult<PyExecutable> {
    let constants = constants.iter().map(|c| c.get().share()).collect::<PyResult<Vec<Buffer>>>()?;
    let make = if profile { Executable::profiled } else { Executable::compile };
    let inner = detached(py, || make(text, constants))?.map_err(raise)?;
    Ok(PyExecutable { inner: Arc::new(inner) })
}

/// An executable together with its first inputs. Several threads may run it at once.
#[pyclass(name = "Bound", module = "hornbeam._native", frozen)]
pub struct PyBound {
    inner: bound::Bound,
}

#[pymethods]
impl PyBound {
    /// The outputs for the inputs that follow those given.
    fn run(&self, py: Python<'_>, inputs: Handles<'_>) -> PyResult<Vec<PyBuffer>> {
        let inputs = inputs.iter().map(|b| b.get().share()).collect::<PyResult<Vec<Buffer>>>()?;
        let outputs = detached(py, || self.inner.run(&inputs))?.map_err(raise)?;
        Ok(wrap(outputs))
    }
}

type Handles<'py> = Vec<Bound<'py, PyBuffer>>;

fn wrap(buffers: Vec<Buffer>) -> Vec<PyBuffer> {
    buffers.into_iter().map(PyBuffer::new).collect()
}

#[pymethods]
impl PyExecutable {
    /// The outputs for `inputs`. Those marked in `donate` are emptied, and overwritten where nobody else holds them.
    #[pyo3(signature = (inputs, donate = None))]
    fn run(&self, py: Python<'_>, inputs: Handles<'_>, donate: Option<Vec<bool>>) -> PyResult<Vec<PyBuffer>> {
        let donate = donate.unwrap_or_default();
        let shared = inputs.iter().map(|b| b.get().share()).collect::<PyResult<Vec<Buffer>>>()?;
        self.inner.check_inputs(&shared).map_err(raise)?;
        for (index, handle) in inputs.iter().enumerate() {
            // The same object given twice is emptied once; its value is not uniquely held, so nothing overwrites it.
            if donate.get(index) == Some(&true) && !handle.get().is_empty() {
                drop(handle.get().take()?);
            }
        }
        let inner = &self.inner;
        let outputs = detached(py, || inner.run(shared, &donate))?.map_err(raise)?;
        Ok(wrap(outputs))
    }

    /// The executable with its first inputs given, for many runs: what can be made of them beforehand is.
    fn bind(&self, py: Python<'_>, weights: Handles<'_>) -> PyResult<PyBound> {
        let weights = weights.iter().map(|b| b.get().share()).collect::<PyResult<Vec<Buffer>>>()?;
        let executable = self.inner.clone();
        let inner = detached(py, || bound::Bound::new(executable, weights))?.map_err(raise)?;
        Ok(PyBound { inner })
    }

    /// Run once per row of `indices` (int64, steps x batch): the inputs are `state`, then one batch per data array, made
    /// of its rows; the outputs are the new state, then logs, which come back stacked. The state is donated.
    fn run_steps(
        &self,
        py: Python<'_>,
        state: Handles<'_>,
        data: Handles<'_>,
        indices: &Bound<'_, PyBuffer>,
    ) -> PyResult<(Vec<PyBuffer>, Vec<PyBuffer>)> {
        let data = data.iter().map(|b| b.get().share()).collect::<PyResult<Vec<Buffer>>>()?;
        let indices = indices.get().share()?;
        // Values that appear twice must not be emptied twice.
        state.iter().try_for_each(|b| b.get().share().map(drop))?;
        let mut values = Vec::with_capacity(state.len());
        for (position, handle) in state.iter().enumerate() {
            let first = state[..position].iter().position(|other| other.is(handle));
            match first {
                Some(first) => {
                    let copy: Buffer = Buffer::clone(&values[first]);
                    values.push(copy);
                }
                None => values.push(handle.get().take()?),
            }
        }
        let mut signal: Option<PyErr> = None;
        let mut asked = Instant::now();
        let mut poll = || {
            if asked.elapsed() < SIGNALS {
                return false;
            }
            asked = Instant::now();
            signal = Python::attach(|py| py.check_signals()).err();
            signal.is_some()
        };
        let inner = &self.inner;
        let steps = detached(py, || inner.run_steps(values, &data, &indices, &mut poll))?;
        match steps.logs {
            Ok(logs) => Ok((wrap(steps.state), wrap(logs))),
            Err(error) => {
                // What was reached stays with the caller.
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

    /// What the runs so far took, as JSON (see the engine's `Profile::json`), if a profile is kept.
    fn profile(&self) -> Option<String> {
        self.inner.profile().map(Profile::json)
    }

    /// Begin the profile, if there is one, anew.
    fn clear_profile(&self) {
        if let Some(profile) = self.inner.profile() {
            profile.clear();
        }
    }
}
