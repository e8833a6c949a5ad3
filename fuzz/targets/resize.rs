//! Resizing with any sizes, boxes and pixels: the result is an image of the requested size or an error.
#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/hornbeam-python/src/image_resize.rs"]
mod image_resize;

#[derive(Debug)]
struct Case {
    size: (u32, u32),
    channels: usize,
    part: [f64; 4],
    into: (u32, u32),
    method: &'static str,
    pixels: Vec<u8>,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let size = (u.int_in_range(0..=32)?, u.int_in_range(0..=32)?);
        let into = if u.ratio(1, 64)? { u.arbitrary()? } else { (u.int_in_range(0..=64)?, u.int_in_range(0..=64)?) };
        let channels = *u.choose(&[1, 3, 3, 3, 0, 2, 4])?;
        let mut part = [0.0, 0.0, f64::from(size.0), f64::from(size.1)];
        for edge in &mut part {
            match u.int_in_range(0..=7)? {
                0 => *edge = u.arbitrary()?,
                1..=3 => *edge = f64::from(u.arbitrary::<u16>()?) / 2048.0,
                _ => {}
            }
        }
        let method = *u.choose(&["bilinear", "hamming", "box", "nearest"])?;
        let mut pixels = vec![u.arbitrary()?; (size.0 * size.1) as usize * channels];
        let length = u.arbitrary_len::<u8>()?.min(pixels.len());
        u.fill_buffer(&mut pixels[..length])?;
        if u.ratio(1, 16)? {
            pixels.truncate(length);
        }
        Ok(Case { size, channels, part, into, method, pixels })
    }
}

fuzz_target!(|case: Case| {
    let Case { size, channels, part: [left, top, right, bottom], into, method, pixels } = case;
    // Images that take a second each reach no further code.
    if u64::from(into.0) * u64::from(into.1) < 1 << 20 || u64::from(into.0) * u64::from(into.1) > 1 << 46 {
        match image_resize::resize(&pixels, size, channels, (left, top, right, bottom), into, method) {
            Ok(bytes) => assert_eq!(bytes.len() as u64, u64::from(into.0) * u64::from(into.1) * channels as u64),
            Err(message) => assert!(message.len() > 10, "an error without a reason: {message:?}"),
        }
    }
});
