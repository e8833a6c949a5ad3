//! Image resizing without Python, so that it can be fuzzed.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::pixels::{InnerPixel, U8x3, U8};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

fn filter(name: &str) -> Result<FilterType, String> {
    Ok(match name {
        "bilinear" => FilterType::Bilinear,
        "hamming" => FilterType::Hamming,
        "box" => FilterType::Box,
        _ => return Err(format!("unknown filter {name:?}: expected \"bilinear\", \"hamming\" or \"box\"")),
    })
}

/// Resize the part (left, upper, right, lower) of an image. Return its bytes, or the reason why there are none.
pub fn resize(
    pixels: &[u8],
    size: (u32, u32),
    channels: usize,
    part: (f64, f64, f64, f64),
    into: (u32, u32),
    method: &str,
) -> Result<Vec<u8>, String> {
    // Typed calls compile kernels for two kinds of pixels instead of all thirteen.
    match channels {
        1 => resize_typed::<U8>(pixels, size, part, into, filter(method)?),
        3 => resize_typed::<U8x3>(pixels, size, part, into, filter(method)?),
        _ => Err(format!("images have 1 or 3 channels, got {channels}")),
    }
}

fn resize_typed<P: PixelTrait + InnerPixel>(
    pixels: &[u8],
    size: (u32, u32),
    (left, top, right, bottom): (f64, f64, f64, f64),
    into: (u32, u32),
    filter: FilterType,
) -> Result<Vec<u8>, String> {
    // The library clamps a corner before the first pixel, but not one so far off that its arithmetic overflows. It lets NaN
    // pass its checks, and panics if it finds no pixels: in an empty image, or in steps that round to 0.
    let is_near = [left, top, right, bottom].iter().all(|edge| (-1.0..=f64::MAX).contains(edge));
    let is_pixelless = |low: f64, high: f64, from: u32, to: u32| {
        low != high && (from == 0 || (to > 0 && (high - low) / f64::from(to) == 0.0))
    };
    if !is_near
        || left != right
            && top != bottom
            && (is_pixelless(left, right, size.0, into.0) || is_pixelless(top, bottom, size.1, into.1))
    {
        let (width, height) = size;
        return Err(format!(
            "the box ({left}, {top}, {right}, {bottom}) exceeds the image of {width} x {height} pixels"
        ));
    }
    let options =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(left, top, right - left, bottom - top);
    let source = ImageRef::new(size.0, size.1, pixels, P::pixel_type()).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let count = (into.0 as usize).checked_mul(into.1 as usize).and_then(|count| count.checked_mul(P::size()));
    let Some(count) = count.filter(|&count| bytes.try_reserve_exact(count).is_ok()) else {
        return Err(format!("out of memory: cannot allocate an image of {} x {} pixels", into.0, into.1));
    };
    bytes.resize(count, 0);
    let mut target = Image::from_vec_u8(into.0, into.1, bytes, P::pixel_type()).map_err(|error| error.to_string())?;
    match (source.typed_image::<P>(), target.typed_image_mut::<P>()) {
        (Some(from), Some(mut to)) => {
            Resizer::new().resize_typed(&from, &mut to, &options).map_err(|error| error.to_string())?;
        }
        _ => unreachable!("both images have the pixels of `P`"),
    }
    Ok(target.into_vec())
}
