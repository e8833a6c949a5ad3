//! Convolutions of `int8`, summed in `int32` and returned so, or as `float32`: inputs and weights of quantized layers.
//!
//! The inputs of a block of pixels are copied into cache, with their padding, and multiplied from there by the kernels of
//! [`crate::gemm::gemm_int8`]: the windows of a line overlap in memory. Sums of integers are exact in any order.

mod depthwise;
mod finish;
mod pooled;
mod windows;

use std::ops::Range;

use super::ConvShape;
use crate::gemm::int8_dot::{kernel, pack_panel, panel_len, panel_width, Panel, Rows, MAX_STEPS, WIDTH};
use crate::gemm::{Bytes, FusedEpilogue};
use crate::pool::ThreadPool;
use crate::scratch::{with_local, Scratch};
use finish::run_blocks;
use pooled::{pool_2x2, unpooled};
use windows::{copy_line, run_lengths, Windows};

/// Bytes of the inputs of a block and of its sums for a panel, so that both stay in the first level of cache.
const BLOCK: usize = 1 << 15;
/// Weights of a task.
const WORK: usize = 1 << 17;
/// Pixels of a block below which threads are not worth their own copies of the inputs.
const LEAST: usize = 28;
/// Bounds of the pixels of a block.
const PIXELS: [usize; 2] = [96, 400];

/// The weights of a convolution.
#[derive(Clone, Copy)]
pub enum Int8Kernel<'a> {
    /// `[KD, KH, KW, C / groups, O]`.
    Taps(&'a [i8]),
    /// As [`pack_int8`] packs them.
    Packed(&'a [i32]),
}

/// The epilogue: `clamp((sum + shift) * scale + bias + addend, low, high)`, with a shift, a scale and a bias of each
/// channel.
#[derive(Clone, Copy)]
pub struct ScaleAndClamp<'a> {
    pub shift: Option<&'a [i32]>,
    pub scale: &'a [f32],
    pub bias: Option<&'a [f32]>,
    /// As long as the result.
    pub addend: Option<&'a [f32]>,
    pub low: f32,
    pub high: f32,
}

/// The destination of the result.
pub enum Int8Result<'a> {
    /// `fused` consumes it, if given; `to` then holds nothing.
    Floats { to: &'a mut [f32], fused: Option<&'a dyn FusedEpilogue<f32>> },
    /// The sums themselves, without an epilogue.
    Sums { to: &'a mut [i32], fused: Option<&'a dyn FusedEpilogue<i32>> },
    /// The result as bytes, and the result itself to `floats`, if given.
    Rounded { to: &'a mut [u8], rounding: Rounding, floats: Option<&'a mut [f32]> },
}

/// To bytes: `clamp(round(result * scale), range) + zero`, which must fit.
#[derive(Clone, Copy)]
pub struct Rounding {
    pub scale: f32,
    /// The result is divided by the scale.
    pub divides: bool,
    pub range: [i16; 2],
    pub zero: i16,
}

impl Int8Result<'_> {
    fn len(&self) -> usize {
        match self {
            Int8Result::Floats { to, .. } => to.len(),
            Int8Result::Sums { to, .. } => to.len(),
            Int8Result::Rounded { to, .. } => to.len(),
        }
    }
}

/// Returns true if [`conv_int8`] computes the shape: one group, or one for each channel.
pub fn has_int8(shape: &ConvShape) -> bool {
    (shape.groups == 1 || is_depthwise(shape)) && (1..=MAX_STEPS).contains(&steps(shape))
}

fn is_depthwise(shape: &ConvShape) -> bool {
    shape.groups > 1 && shape.group_in() == 1 && shape.group_out() == 1
}

/// Products in a sum.
fn steps(shape: &ConvShape) -> usize {
    shape.taps() * shape.group_in()
}

/// Computes the convolution, in `int32`, and its epilogue. With `pooled`, `result` takes the maxima of 2x2 pixels.
///
/// # Panics
/// If the length of a slice does not fit the shape, or [`has_int8`] is false. If pixels are pooled that have an addend, or
/// of a convolution in groups.
pub fn conv_int8(
    pool: &ThreadPool,
    shape: &ConvShape,
    pooled: bool,
    x: Bytes,
    w: Int8Kernel,
    end: Option<&ScaleAndClamp>,
    result: Int8Result,
    scratch: &mut Scratch,
) {
    assert!(has_int8(shape), "no kernel of int8 for {shape:?}");
    // The pixels that are needed.
    let shape = &if pooled { unpooled(shape) } else { *shape };
    let unpooled = if pooled { 4 } else { 1 };
    shape.check(x.len(), shape.kernel_len(), result.len() * unpooled);
    let has_addend = end.is_some_and(|end| end.addend.is_some());
    assert!(!pooled || shape.groups == 1 && !has_addend, "no pooling of {shape:?}");
    let channels = shape.out_channels;
    if let Some(end) = end {
        let (biases, shifts) = (end.bias.map_or(channels, <[f32]>::len), end.shift.map_or(channels, <[i32]>::len));
        assert_eq!([end.scale.len(), biases, shifts], [channels; 3], "a scale, a bias and a shift of each channel");
        assert_eq!(end.addend.map_or(result.len(), <[f32]>::len), result.len(), "the length of the addend");
    }
    if let Int8Result::Rounded { floats: Some(floats), .. } = &result {
        assert_eq!(floats.len(), result.len(), "the length of the floats");
    }
    if result.len() == 0 {
        return;
    }
    match w {
        Int8Kernel::Packed(packed) => product(pool, shape, pooled, x, packed, end, result),
        Int8Kernel::Taps(taps) => {
            assert_eq!(taps.len(), shape.kernel_len(), "the length of w does not fit {shape:?}");
            match packed_int8_len(shape) {
                None => depthwise::forward(pool, shape, x, taps, end, result, scratch),
                Some(len) => {
                    let packed = scratch.take::<i32>(len);
                    pack_int8(pool, shape, taps, packed);
                    product(pool, shape, pooled, x, packed, end, result)
                }
            }
        }
    }
}

/// The length of packed weights; `None` if they are read as they are.
pub fn packed_int8_len(shape: &ConvShape) -> Option<usize> {
    let (n, [run, runs]) = (shape.out_channels, run_lengths(shape));
    let last = n % WIDTH;
    let rest = if last > 0 { panel_len(runs, run, panel_width(last)) } else { 0 };
    (shape.groups == 1).then(|| n / WIDTH * panel_len(runs, run, WIDTH) + rest)
}

/// Packs weights `[steps, O]` into panels of quads.
///
/// # Panics
/// If the length of a slice does not fit the shape.
pub fn pack_int8(pool: &ThreadPool, shape: &ConvShape, w: &[i8], to: &mut [i32]) {
    let (n, [run, runs]) = (shape.out_channels, run_lengths(shape));
    assert_eq!((w.len(), Some(to.len())), (steps(shape) * n, packed_int8_len(shape)), "lengths do not fit {shape:?}");
    let pack_panel = pack_panel();
    pool.run_chunks(to, panel_len(runs, run, WIDTH), &|panel, to| {
        let (from, columns) = (w.as_ptr().wrapping_add(panel * WIDTH), WIDTH.min(n - panel * WIDTH));
        // SAFETY: the slice holds the steps and columns, and the kernel is compiled for this machine.
        unsafe { pack_panel(from, n as isize, 1, runs, run, columns, to) };
    });
}

fn product(
    pool: &ThreadPool,
    shape: &ConvShape,
    pooled: bool,
    x: Bytes,
    packed: &[i32],
    end: Option<&ScaleAndClamp>,
    result: Int8Result,
) {
    let n = shape.out_channels;
    let factor = if pooled { 4 } else { 1 };
    let rows = block_pixels(shape, factor * result.len() / n, pool.threads());
    let rows = if pooled { rows.next_multiple_of(2 * shape.output[2]) } else { rows };
    let scale = end.filter(|_| pooled).map(|end| end.scale);
    let (windows, copy_line, kernel) = (Windows::new(shape, rows), copy_line(), kernel());
    let pool_2x2 = pool_2x2();
    let quads = windows.run.div_ceil(4);
    // Channels of a task, if there is one pixel.
    let step = n.div_ceil((steps(shape) * n).div_ceil(WORK).min(pool.threads())).next_multiple_of(WIDTH);
    run_blocks(pool, n, rows / factor, step, end, result, &|pixels, columns, finish| {
        let pixels = factor * pixels.start..factor * pixels.end;
        with_local(|local| {
            let copied = windows.copied_len(pixels.clone());
            let (bytes, starts, sums) = local.take3::<u8, usize, i32>(copied, pixels.len(), pixels.len() * WIDTH);
            windows.copy(copy_line, x, pixels, bytes, starts);
            let rows = Rows { bytes, starts, runs: &windows.runs, quads };
            let mut packed = &packed[columns.start / WIDTH * panel_len(windows.runs.len(), windows.run, WIDTH)..];
            for column in columns.step_by(WIDTH) {
                let columns = WIDTH.min(n - column);
                let width = panel_width(columns);
                let (words, rest) = packed.split_at(panel_len(windows.runs.len(), windows.run, width));
                packed = rest;
                let sums = &mut sums[..starts.len() * width];
                // SAFETY: the kernel is compiled for this machine and checks the lengths.
                unsafe { kernel(&rows, &Panel::new(words, x, columns, width), sums, width) };
                if pooled {
                    let scale = scale.map(|scale| &scale[column..column + columns]);
                    // SAFETY: the kernel is compiled for this machine and has no other precondition.
                    unsafe { pool_2x2(sums, width, shape.output[2], scale) };
                }
                finish(column..column + columns, &sums[..starts.len() / factor * width], width);
            }
        });
    });
}

/// The pixels of a block: whole images, lines, or a part of a line.
fn block_pixels(shape: &ConvShape, pixels: usize, threads: usize) -> usize {
    let [_, height, width] = shape.output;
    let bytes = shape.in_channels * shape.strides[1] * shape.strides[2] + 4 * WIDTH.min(shape.out_channels);
    let fitting = (BLOCK / bytes).clamp(PIXELS[0], PIXELS[1]).min(pixels.div_ceil(threads).max(LEAST));
    match fitting / (width * height) {
        0 if fitting < width => fitting,
        0 => width * height.div_ceil(height.div_ceil(fitting / width)),
        slices => slices * width * height,
    }
}

/// Returns the image and the output position of a pixel.
fn position(shape: &ConvShape, pixel: usize) -> (usize, [usize; 3]) {
    let [depth, height, width] = shape.output;
    let (row, image) = (pixel / width, pixel / (depth * height * width));
    (image, [row / height % depth, row % height, pixel % width])
}

/// Returns the input position that output `o` reads at tap `t` of an axis, or `None` in the padding.
fn input_position(shape: &ConvShape, axis: usize, o: usize, t: usize) -> Option<usize> {
    let at = (o * shape.strides[axis] + t * shape.dilation[axis]).checked_sub(shape.pad[axis])?;
    (at < shape.input[axis]).then_some(at)
}

/// Returns the positions along the rows of an image whose windows lie inside, as a range.
fn inside(shape: &ConvShape) -> Range<usize> {
    let (stride, reach) = (shape.strides[2], (shape.kernel[2] - 1) * shape.dilation[2] + 1);
    let first = shape.pad[2].div_ceil(stride);
    let end = (shape.input[2] + shape.pad[2]).checked_sub(reach).map_or(0, |last| last / stride + 1);
    first..end.min(shape.output[2])
}

/// Splits pixels where rows of images begin.
fn by_row(shape: &ConvShape, pixels: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let (width, mut at) = (shape.output[2], pixels.start);
    std::iter::from_fn(move || {
        let start = at;
        at = ((start / width + 1) * width).min(pixels.end);
        (start < pixels.end).then_some(start..at)
    })
}

#[cfg(test)]
mod tests;
