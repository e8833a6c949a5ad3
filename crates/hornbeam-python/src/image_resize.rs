//! Resizing without Python, so that it can be fuzzed.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

fn filter(name: &str) -> Result<FilterType, String> {
    Ok(match name {
        "bilinear" => FilterType::Bilinear,
        "hamming" => FilterType::Hamming,
        "box" => FilterType::Box,
        _ => return Err(format!("there is no filter {name:?}")),
    })
}

fn pixel(channels: usize) -> Result<PixelType, String> {
    match channels {
        1 => Ok(PixelType::U8),
        3 => Ok(PixelType::U8x3),
        _ => Err(format!("pixels have 1 or 3 channels, not {channels}")),
    }
}

/// What Python's `resize` gives, or why it does not.
pub fn resized(
    given: &[u8],
    size: (u32, u32),
    channels: usize,
    (left, top, right, bottom): (f64, f64, f64, f64),
    into: (u32, u32),
    method: &str,
) -> Result<Vec<u8>, String> {
    let (kind, filter) = (pixel(channels)?, filter(method)?);
    let options =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(left, top, right - left, bottom - top);
    let source = ImageRef::new(size.0, size.1, given, kind).map_err(|error| error.to_string())?;
    let mut room = Vec::new();
    let bytes = (into.0 as usize).checked_mul(into.1 as usize).and_then(|pixels| pixels.checked_mul(channels));
    let Some(bytes) = bytes.filter(|&bytes| room.try_reserve_exact(bytes).is_ok()) else {
        return Err(format!("no memory for a picture of {} x {} pixels", into.0, into.1));
    };
    room.resize(bytes, 0);
    let mut target = Image::from_vec_u8(into.0, into.1, room, kind).map_err(|error| error.to_string())?;
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| error.to_string())?;
    Ok(target.into_vec())
}
