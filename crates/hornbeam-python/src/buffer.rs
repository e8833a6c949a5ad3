//! Buffers: values of the engine as Python objects, and their way from and to NumPy.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use hornbeam_engine::buffer::Buffer;
use hornbeam_engine::types::TensorType;
use hornbeam_kernels::dtype::DType;

/// Arrays up to this size are copied: cheaper than keeping a Python object alive.
const COPY_BYTES: usize = 512;

/// An immutable value of the engine. After it has been donated to a run it is empty, and using it is an error.
#[pyclass(name = "Buffer", module = "hornbeam._native", frozen)]
pub struct PyBuffer {
    held: Mutex<Option<Buffer>>,
    tensor: TensorType,
}

impl PyBuffer {
    pub fn new(buffer: Buffer) -> Self {
        PyBuffer { tensor: buffer.tensor.clone(), held: Mutex::new(Some(buffer)) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Buffer>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another handle on the value.
    pub fn share(&self) -> PyResult<Buffer> {
        self.lock().clone().ok_or_else(|| self.gone())
    }

    /// The value itself; the Python object is empty from here on.
    pub fn take(&self) -> PyResult<Buffer> {
        self.lock().take().ok_or_else(|| self.gone())
    }

    /// Undo `take`, or put a newer value in its place.
    pub fn restore(&self, buffer: Buffer) {
        *self.lock() = Some(buffer);
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_none()
    }

    fn gone(&self) -> PyErr {
        PyRuntimeError::new_err(format!(
            "this buffer ({}) was donated to a run and holds nothing any more",
            self.tensor
        ))
    }
}

/// NumPy's description of a dtype; bfloat16 goes as its bits.
fn type_string(dtype: DType) -> String {
    let order = if cfg!(target_endian = "little") { '<' } else { '>' };
    match dtype {
        DType::Bool => "|b1".into(),
        DType::I8 => "|i1".into(),
        DType::U8 => "|u1".into(),
        DType::BF16 => format!("{order}u2"),
        d if d.is_float() => format!("{order}f{}", d.size()),
        d if d.is_signed_int() => format!("{order}i{}", d.size()),
        d => format!("{order}u{}", d.size()),
    }
}

#[pymethods]
impl PyBuffer {
    /// The values of a C-contiguous NumPy array. Large aligned arrays are borrowed: do not write to them again.
    #[staticmethod]
    fn from_numpy(array: &Bound<'_, PyAny>, dtype: &str) -> PyResult<PyBuffer> {
        let dtype = DType::parse(dtype).ok_or_else(|| PyTypeError::new_err(format!("unknown dtype {dtype:?}")))?;
        let interface = array.getattr("__array_interface__")?;
        let interface = interface.cast::<PyDict>()?;
        let item = |key: &str| {
            interface.get_item(key)?.ok_or_else(|| PyValueError::new_err(format!("the array has no {key}")))
        };
        let shape: Vec<usize> = item("shape")?.extract()?;
        let (pointer, _): (usize, bool) = item("data")?.extract()?;
        let strided = interface.get_item("strides")?.is_some_and(|s| !s.is_none());
        let typestr: String = item("typestr")?.extract()?;
        let width: usize = typestr[2..].parse().map_err(|_| PyTypeError::new_err(typestr.clone()))?;
        let foreign = typestr.starts_with(if cfg!(target_endian = "little") { '>' } else { '<' });
        if strided || foreign || width != dtype.size() {
            return Err(PyValueError::new_err(format!("the array must be C-contiguous native {dtype}, got {typestr}")));
        }
        let tensor = TensorType::new(dtype, shape);
        let bytes = tensor.bytes();
        let pointer = pointer as *const u8;
        if bytes == 0 {
            return Ok(PyBuffer::new(Buffer::from_bytes(tensor, &[])));
        }
        if bytes <= COPY_BYTES || pointer.align_offset(dtype.size()) != 0 {
            // SAFETY: the array holds this many bytes, and the GIL is held while they are read.
            let data = unsafe { std::slice::from_raw_parts(pointer, bytes) };
            return Ok(PyBuffer::new(Buffer::from_bytes(tensor, data)));
        }
        let owner: Box<Py<PyAny>> = Box::new(array.clone().unbind());
        // SAFETY: NumPy keeps the memory while the array lives; the caller has promised not to write to it.
        Ok(PyBuffer::new(unsafe { Buffer::borrow(tensor, pointer, owner) }))
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        self.tensor.dtype.name()
    }

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.tensor.shape)
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.tensor.bytes()
    }

    /// Whether the buffer was donated and holds nothing any more.
    #[getter]
    fn donated(&self) -> bool {
        self.is_empty()
    }

    /// An object with `__array_interface__` that keeps the memory alive (bfloat16 as uint16).
    fn export(&self) -> PyResult<Export> {
        Ok(Export { buffer: self.share()? })
    }

    /// The single element of a buffer, as a Python number.
    fn item<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let buffer = self.share()?;
        if self.tensor.count() != 1 {
            return Err(PyValueError::new_err(format!("item() of {}: it has not one element", self.tensor)));
        }
        element(py, self.tensor.dtype, buffer.bytes())
    }

    fn __repr__(&self) -> String {
        let state = if self.donated() { " (donated)" } else { "" };
        format!("<Buffer {}{state}>", self.tensor)
    }
}

fn element<'py>(py: Python<'py>, dtype: DType, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    use hornbeam_kernels::dispatch;
    use hornbeam_kernels::dtype::{Bool, Element};
    let mut first = [0u8; 8];
    first[..dtype.size()].copy_from_slice(&bytes[..dtype.size()]);
    Ok(match dtype {
        DType::Bool => Bool(first[0]).get().into_pyobject(py)?.to_owned().into_any(),
        DType::I64 => i64::from_ne_bytes(first).into_pyobject(py)?.into_any(),
        DType::U64 => u64::from_ne_bytes(first).into_pyobject(py)?.into_any(),
        _ => {
            let value = dispatch!(dtype, T => {
                // SAFETY: eight bytes hold an element of any dtype.
                unsafe { first.as_ptr().cast::<T>().read_unaligned() }.to_f64()
            });
            if dtype.is_float() {
                value.into_pyobject(py)?.into_any()
            } else {
                (value as i64).into_pyobject(py)?.into_any()
            }
        }
    })
}

/// Read-only view of a buffer for NumPy.
#[pyclass(module = "hornbeam._native", frozen)]
pub struct Export {
    buffer: Buffer,
}

#[pymethods]
impl Export {
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        let tensor = &self.buffer.tensor;
        interface.set_item("version", 3)?;
        interface.set_item("shape", PyTuple::new(py, &tensor.shape)?)?;
        interface.set_item("typestr", type_string(tensor.dtype))?;
        interface.set_item("data", (self.buffer.as_ptr() as usize, true))?;
        Ok(interface)
    }
}
