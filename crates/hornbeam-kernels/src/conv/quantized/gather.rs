//! im2col: the inputs of pixels as rows of a matrix.

use std::ops::Range;

use super::{by_row, input_position, inside, position, steps};
use crate::conv::ConvShape;
use crate::multiversion;

multiversion! {
    /// Gathers the inputs of pixels into rows of quads, shifted by 128, with zeros in the padding.
    pub(super) unsafe fn gather_rows[S](shape: &ConvShape, x: &[i8], pixels: Range<usize>, to: &mut [i32]) {
        let row = 4 * steps(shape).div_ceil(4);
        // SAFETY: bytes have no alignment, and any of them is valid.
        let mut bytes = unsafe { std::slice::from_raw_parts_mut(to.as_mut_ptr().cast::<i8>(), 4 * to.len()) };
        for pixels in by_row(shape, pixels) {
            let (part, rest) = bytes.split_at_mut(pixels.len() * row);
            gather_row(shape, x, pixels, part, row);
            bytes = rest;
        }
        for word in to {
            *word ^= 0x8080_8080u32 as i32;
        }
    }
}

/// Gathers the inputs of some pixels of one row, tap by tap: `row` bytes for each.
#[inline(always)]
fn gather_row(shape: &ConvShape, x: &[i8], pixels: Range<usize>, to: &mut [i8], row: usize) {
    let (image, o) = position(shape, pixels.start);
    let (channels, inside) = (shape.in_channels, inside(shape));
    // Taps along the row that are contiguous where windows lie inside.
    let together = if shape.dilation[2] == 1 { shape.kernel[2] } else { 1 };
    let mut tap = 0;
    for (d, h) in (0..shape.kernel[0]).flat_map(|d| (0..shape.kernel[1]).map(move |h| (d, h))) {
        let line = input_position(shape, 0, o[0], d).zip(input_position(shape, 1, o[1], h));
        let line = line.map(|(d, h)| {
            let start = ((image * shape.input[0] + d) * shape.input[1] + h) * shape.input[2] * channels;
            &x[start..start + shape.input[2] * channels]
        });
        for w in (0..shape.kernel[2]).step_by(together) {
            let (first, len) = (tap * channels, together * channels);
            for (column, to) in (o[2]..).zip(to.chunks_exact_mut(row)) {
                let to = &mut to[first..first + len];
                let Some(line) = line else {
                    to.fill(0);
                    continue;
                };
                if inside.contains(&column) {
                    let at = column * shape.strides[2] + w * shape.dilation[2] - shape.pad[2];
                    copy_bytes(&line[at * channels..][..len], to);
                    continue;
                }
                for (w, to) in (w..).zip(to.chunks_exact_mut(channels)) {
                    match input_position(shape, 2, column, w) {
                        Some(at) => copy_bytes(&line[at * channels..][..channels], to),
                        None => to.fill(0),
                    }
                }
            }
            tap += together;
        }
    }
    let end = tap * channels;
    if end < row {
        to.chunks_exact_mut(row).for_each(|to| to[end..].fill(0));
    }
}

/// Copies a few bytes without the call that `copy_from_slice` is.
#[inline(always)]
fn copy_bytes(from: &[i8], to: &mut [i8]) {
    match from.len() {
        len if len > 128 => to.copy_from_slice(from),
        16.. => copy_parts::<16>(from, to),
        8.. => copy_parts::<8>(from, to),
        4.. => copy_parts::<4>(from, to),
        0 => {}
        len => [0, len / 2, len - 1].into_iter().for_each(|at| to[at] = from[at]),
    }
}

/// Copies at least `N` bytes; the last part overlaps the one before.
#[inline(always)]
fn copy_parts<const N: usize>(from: &[i8], to: &mut [i8]) {
    let (last, mut start) = (from.len() - N, 0);
    while start < last {
        to[start..start + N].copy_from_slice(&from[start..start + N]);
        start += N;
    }
    to[last..last + N].copy_from_slice(&from[last..last + N]);
}
