//! Buffers: values of the engine as Python objects, and their conversion from and to NumPy.

use std::ffi::{c_char, c_int, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods, PyTuple};

use hornbeam_engine::buffer::Buffer;
use hornbeam_engine::types::TensorType;
use hornbeam_kernels::dtype::DType;

use crate::raise;

/// Arrays up to this size are copied, which is cheaper than a reference to a Python object.
const COPY_BYTES: usize = 512;

/// An immutable value of the engine. A buffer that was donated to a run is empty, and its use is an error.
#[pyclass(name = "Buffer", module = "hornbeam._native", frozen)]
pub struct PyBuffer {
    value: Mutex<Option<Buffer>>,
    tensor: Arc<TensorType>,
}

impl PyBuffer {
    pub fn new(buffer: Buffer) -> Self {
        PyBuffer { tensor: buffer.tensor.clone(), value: Mutex::new(Some(buffer)) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Buffer>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Return another handle on the value.
    pub fn share(&self) -> PyResult<Buffer> {
        self.lock().clone().ok_or_else(|| self.donated_error())
    }

    /// Take the value, which leaves the Python object empty.
    pub fn take(&self) -> PyResult<Buffer> {
        self.lock().take().ok_or_else(|| self.donated_error())
    }

    /// Undo `take`, or replace the value by a newer one.
    pub fn restore(&self, buffer: Buffer) {
        *self.lock() = Some(buffer);
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_none()
    }

    fn donated_error(&self) -> PyErr {
        PyRuntimeError::new_err(format!("this buffer ({}) was donated to a run and is empty", self.tensor))
    }
}

/// The contents of `__array_struct__`: `PyArrayInterface` of NumPy's array interface, version 3. Reading it costs a
/// tenth of reading the dictionary of `__array_interface__`.
#[repr(C)]
struct ArrayStruct {
    two: c_int,
    nd: c_int,
    typekind: c_char,
    itemsize: c_int,
    flags: c_int,
    shape: *mut isize,
    strides: *mut isize,
    data: *mut u8,
    descr: *mut c_void,
}

const CONTIGUOUS: c_int = 0x1;
const ALIGNED: c_int = 0x100;
const NATIVE: c_int = 0x200;

impl ArrayStruct {
    /// # Safety
    /// `shape` points to `nd` extents.
    unsafe fn shape(&self) -> Vec<usize> {
        // SAFETY: guaranteed by the caller; a scalar can have a null pointer.
        (0..self.nd as usize).map(|axis| unsafe { *self.shape.add(axis) } as usize).collect()
    }
}

/// An [`ArrayStruct`] with the extents that it points to.
#[repr(C)]
struct Described {
    array: ArrayStruct,
    _extents: Vec<isize>,
}

/// Free the contents of a capsule that is destroyed.
unsafe extern "C" fn free_described(capsule: *mut ffi::PyObject) {
    // SAFETY: the capsule holds a box of this type (see `Export::__array_struct__`) and is destroyed.
    drop(unsafe { Box::from_raw(ffi::PyCapsule_GetPointer(capsule, std::ptr::null()).cast::<Described>()) });
}

impl Described {
    /// Describe a buffer, read-only. bfloat16 is exported as uint16.
    fn new(buffer: &Buffer) -> Described {
        let TensorType { dtype, shape } = &*buffer.tensor;
        let typekind = match dtype {
            DType::Bool => b'b',
            DType::BF16 => b'u',
            d if d.is_float() => b'f',
            d if d.is_signed_int() => b'i',
            _ => b'u',
        };
        let mut extents: Vec<isize> = shape.iter().map(|&n| n as isize).collect();
        let mut stride = dtype.size() as isize;
        for axis in (0..shape.len()).rev() {
            extents.push(stride);
            stride *= shape[axis] as isize;
        }
        extents[shape.len()..].reverse();
        let pointer = extents.as_mut_ptr();
        let array = ArrayStruct {
            two: 2,
            nd: shape.len() as c_int,
            typekind: typekind as c_char,
            itemsize: dtype.size() as c_int,
            flags: CONTIGUOUS | ALIGNED | NATIVE,
            shape: pointer,
            strides: pointer.wrapping_add(shape.len()),
            data: buffer.as_ptr().cast_mut(),
            descr: std::ptr::null_mut(),
        };
        Described { array, _extents: extents }
    }
}

#[pymethods]
impl PyBuffer {
    /// Create a buffer from a C-contiguous NumPy array. Large aligned arrays are borrowed and must not be written
    /// again.
    #[staticmethod]
    fn from_numpy(array: &Bound<'_, PyAny>, dtype: &str) -> PyResult<PyBuffer> {
        let dtype = DType::parse(dtype).ok_or_else(|| PyTypeError::new_err(format!("unknown dtype {dtype:?}")))?;
        let capsule = array.getattr(intern!(array.py(), "__array_struct__"))?;
        let described = capsule.cast::<PyCapsule>()?.pointer_checked(None)?.cast::<ArrayStruct>();
        // SAFETY: NumPy's protocol: an unnamed capsule holds this struct, which lives as long as the capsule.
        let described = unsafe { described.as_ref() };
        // SAFETY: as above; `shape` has `nd` entries.
        let shape = unsafe { described.shape() };
        let required = CONTIGUOUS | NATIVE;
        if described.two != 2 || described.flags & required != required || described.itemsize as usize != dtype.size() {
            return Err(PyValueError::new_err(format!(
                "the array must be C-contiguous native {dtype}, got items of {} bytes, flags {:#x}",
                described.itemsize, described.flags
            )));
        }
        let tensor = TensorType::new(dtype, shape);
        let bytes = tensor.bytes();
        let pointer = described.data.cast_const();
        if bytes == 0 {
            return Ok(PyBuffer::new(Buffer::from_bytes(tensor, &[])));
        }
        if bytes <= COPY_BYTES || pointer.align_offset(dtype.size()) != 0 {
            // SAFETY: the array holds this many bytes, and the GIL is held while they are read.
            let data = unsafe { std::slice::from_raw_parts(pointer, bytes) };
            return Ok(PyBuffer::new(Buffer::copied(tensor, data).map_err(raise)?));
        }
        let owner: Box<Py<PyAny>> = Box::new(array.clone().unbind());
        // SAFETY: NumPy keeps the memory while the array lives; the caller must not write to it.
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

    /// True if the buffer was donated to a run and is empty.
    #[getter]
    fn donated(&self) -> bool {
        self.is_empty()
    }

    /// An object with `__array_struct__` that keeps the memory alive (bfloat16 as uint16).
    fn export(&self) -> PyResult<Export> {
        Ok(Export { buffer: self.share()? })
    }

    /// The single element of a buffer, as a Python number.
    fn item<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let buffer = self.share()?;
        if self.tensor.count() != 1 {
            return Err(PyValueError::new_err(format!("item() needs exactly one element, got {}", self.tensor)));
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
    fn __array_struct__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let contents = Box::into_raw(Box::new(Described::new(&self.buffer)));
        // SAFETY: a capsule without a name, as NumPy wants it, on a box that its destructor frees.
        unsafe {
            let capsule = ffi::PyCapsule_New(contents.cast(), std::ptr::null(), Some(free_described));
            Bound::from_owned_ptr_or_err(py, capsule)
        }
    }
}
