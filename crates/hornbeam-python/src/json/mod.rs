//! JSON to Python objects, where an array of numbers is one object: a request to a model is mostly numbers.

mod numbers;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyList, PyString, PyTuple};

use hornbeam_kernels::dtype::DType;

use numbers::{Kind, Numbers};

/// Lists and objects inside of each other.
const MAX_DEPTH: usize = 1024;

/// Non-empty nested lists of equal lengths whose elements are all numbers, or all booleans.
#[pyclass(module = "hornbeam._native", frozen)]
pub struct NumberArray {
    numbers: Numbers,
}

#[pymethods]
impl NumberArray {
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.numbers.shape)
    }

    /// The elements in row-major order, as the native bytes of a dtype.
    fn to_bytes<'py>(&self, py: Python<'py>, dtype: &str) -> PyResult<Bound<'py, PyBytes>> {
        let dtype = DType::parse(dtype).ok_or_else(|| PyTypeError::new_err(format!("unknown dtype {dtype:?}")))?;
        Ok(PyBytes::new(py, &self.numbers.to_bytes(dtype).map_err(PyValueError::new_err)?))
    }

    fn __repr__(&self) -> String {
        format!("<NumberArray {:?}>", self.numbers.shape)
    }

    /// The nested lists.
    fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.list(py, &self.numbers.values, &self.numbers.shape)
    }
}

impl NumberArray {
    fn list<'py>(&self, py: Python<'py>, values: &[f64], shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
        let Some((_, rest)) = shape.split_first() else {
            let value = values[0];
            return Ok(match self.numbers.kind {
                Kind::Bool => PyBool::new(py, value != 0.0).to_owned().into_any(),
                Kind::Int => (value as i64).into_pyobject(py)?.into_any(),
                Kind::Float => value.into_pyobject(py)?.into_any(),
            });
        };
        let parts = values.chunks(rest.iter().product()).map(|part| self.list(py, part, rest));
        Ok(PyList::new(py, parts.collect::<PyResult<Vec<_>>>()?)?.into_any())
    }
}

/// Read a document.
#[pyfunction]
pub fn read_json<'py>(py: Python<'py>, document: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    let text = std::str::from_utf8(document.as_bytes())
        .map_err(|e| PyValueError::new_err(format!("it is not UTF-8 at byte {}", e.valid_up_to())))?;
    let mut reader = Reader { py, text, at: 0, depth: 0, with_arrays: true, first_element: 0 };
    let value = reader.value()?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.unexpected("the end")),
    }
}

struct Reader<'py, 'a> {
    py: Python<'py>,
    text: &'a str,
    at: usize,
    depth: usize,
    /// False inside of an array that turned out to hold other values: the text is read twice at most.
    with_arrays: bool,
    /// Position of an element of another kind, before which only lists begin.
    first_element: usize,
}

impl<'py> Reader<'py, '_> {
    fn value(&mut self) -> PyResult<Bound<'py, PyAny>> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(self.string()?.into_any()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", PyBool::new(self.py, true).to_owned().into_any()),
            Some(b'f') => self.literal("false", PyBool::new(self.py, false).to_owned().into_any()),
            Some(b'n') => self.literal("null", self.py.None().into_bound(self.py)),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> PyResult<T>) -> PyResult<T> {
        if self.depth == MAX_DEPTH {
            return Err(PyValueError::new_err(format!("it is nested more than {MAX_DEPTH} levels deep")));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let object = PyDict::new(self.py);
        let mut count = 0;
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(object.into_any());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a name in quotes"));
            }
            let (start, name) = (self.at, self.string()?);
            self.expect(b':', "a colon")?;
            object.set_item(&name, self.value()?)?;
            count += 1;
            if object.len() != count {
                // Readers differ in which of the two they take.
                return Err(PyValueError::new_err(format!("the name {name:?} at byte {start} comes twice")));
            }
            if self.is_last(b'}', "a comma or }")? {
                return Ok(object.into_any());
            }
        }
    }

    fn array(&mut self) -> PyResult<Bound<'py, PyAny>> {
        if !self.with_arrays || !self.starts_numbers() {
            return self.list();
        }
        if let Some((numbers, len)) = numbers::array(&self.text.as_bytes()[self.at..]) {
            self.at += len;
            return Ok(Bound::new(self.py, NumberArray { numbers })?.into_any());
        }
        self.with_arrays = false;
        let list = self.list();
        self.with_arrays = true;
        list
    }

    /// True if the first element of the lists that start here is a number or a boolean.
    fn starts_numbers(&mut self) -> bool {
        if self.at < self.first_element {
            return false;
        }
        let rest = &self.text.as_bytes()[self.at..];
        let before = |byte: &u8| matches!(byte, b'[' | b' ' | b'\n' | b'\r' | b'\t');
        let distance = rest.iter().position(|byte| !before(byte)).unwrap_or(rest.len());
        let is_number = matches!(rest.get(distance), Some(b'-' | b'0'..=b'9' | b't' | b'f'));
        if !is_number {
            self.first_element = self.at + distance;
        }
        is_number
    }

    fn list(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let mut items = Vec::new();
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                items.push(self.value()?);
                if self.is_last(b']', "a comma or ]")? {
                    break;
                }
            }
        }
        Ok(PyList::new(self.py, items)?.into_any())
    }

    fn string(&mut self) -> PyResult<Bound<'py, PyString>> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut is_plain = true;
        let mut at = start + 1;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_plain = false;
                    at += 1;
                }
                Some(byte) => is_plain &= *byte >= b' ',
                None => return Err(PyValueError::new_err("a string does not end")),
            }
            at += 1;
        }
        self.at = at + 1;
        if is_plain {
            return Ok(PyString::new(self.py, &self.text[start + 1..at]));
        }
        let text: String = serde_json::from_str(&self.text[start..=at])
            .map_err(|_| PyValueError::new_err(format!("the string at byte {start} is broken")))?;
        Ok(PyString::new(self.py, &text))
    }

    fn number(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let rest = &self.text[self.at..];
        let number = numbers::number(rest.as_bytes()).ok_or_else(|| self.unexpected("a number"))?;
        if number.value.is_infinite() {
            return Err(PyValueError::new_err(format!("the number at byte {} is out of range", self.at)));
        }
        self.at += number.len;
        let written = &rest[..number.len];
        if let Some(integer) = written.parse::<i64>().ok().filter(|_| number.is_int) {
            return Ok(integer.into_pyobject(self.py)?.into_any());
        }
        if let Some(integer) = written.parse::<u64>().ok().filter(|_| number.is_int) {
            return Ok(integer.into_pyobject(self.py)?.into_any());
        }
        Ok(number.value.into_pyobject(self.py)?.into_any())
    }

    fn literal(&mut self, word: &str, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    /// The next byte that is not space, if any.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, what: &str) -> PyResult<()> {
        if self.peek() != Some(byte) {
            return Err(self.unexpected(what));
        }
        self.at += 1;
        Ok(())
    }

    /// Read what follows an item: its container ends, or a comma.
    fn is_last(&mut self, end: u8, what: &str) -> PyResult<bool> {
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(true);
        }
        self.expect(b',', what)?;
        Ok(false)
    }

    fn unexpected(&self, expected: &str) -> PyErr {
        let found = match self.text[self.at..].chars().next() {
            Some(found) => format!("{found:?} came"),
            None => "it ends".into(),
        };
        PyValueError::new_err(format!("{expected} was expected at byte {}, {found}", self.at))
    }
}
