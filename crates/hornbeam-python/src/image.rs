//! Image resizing by `fast_image_resize`: equal to Pillow's `resize` up to rounding, in a quarter of the time.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::detached;
use crate::image_resize;

/// Resize the part `box` (left, upper, right, lower) of an image, antialiased. Sizes are (width, height). Other Python
/// threads run meanwhile.
#[pyfunction]
#[pyo3(signature = (pixels, size, channels, r#box, into, method))]
pub fn resize<'py>(
    py: Python<'py>,
    pixels: &Bound<'py, PyBytes>,
    size: (u32, u32),
    channels: usize,
    r#box: (f64, f64, f64, f64),
    into: (u32, u32),
    method: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = pixels.as_bytes();
    let resized = detached(py, || image_resize::resize(bytes, size, channels, r#box, into, method))?;
    Ok(PyBytes::new(py, &resized.map_err(PyValueError::new_err)?))
}
