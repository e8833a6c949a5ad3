//! Convolutions of `int8`, summed in `int32` and returned as `float32`: inputs and weights of quantized layers.
//!
//! Blocks of pixels are gathered into rows and multiplied as [`crate::gemm::gemm_int8`] multiplies matrices. Sums of
//! integers are exact in any order.

mod depthwise;
mod gather;

use std::ops::Range;

use super::ConvShape;
use crate::gemm::quads::{kernel, pack_panel, panel_width, Kernel, Panel, MAX_STEPS, WIDTH};
use crate::gemm::FusedEpilogue;
use crate::multiversion;
use crate::pool::ThreadPool;
use crate::scratch::{with_local, Scratch};
use gather::gather_rows;

/// Bytes that a block of rows and its result may take, so that both stay in cache.
const BLOCK: usize = 1 << 18;
/// Bounds of the rows of a block; multiples of 24, the rows of the widest tile.
const ROWS: [usize; 2] = [24, 192];
/// Channels that are scaled at once.
const LANES: usize = 16;

/// The weights of a convolution.
#[derive(Clone, Copy)]
pub enum Int8Kernel<'a> {
    /// `[KD, KH, KW, C / groups, O]`.
    Taps(&'a [i8]),
    /// As [`pack_int8`] packs them.
    Packed(&'a [i32]),
}

/// The epilogue: `clamp(sum * scale + bias, low, high)`, with a scale and a bias of each channel.
pub struct ScaleAndClamp<'a> {
    pub scale: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub low: f32,
    pub high: f32,
}

impl ScaleAndClamp<'_> {
    /// The biases of `N` channels. Adding -0 changes nothing.
    #[inline(always)]
    fn biases<const N: usize>(&self, first: usize) -> [f32; N] {
        let biases = self.bias.and_then(|bias| bias[first..].first_chunk());
        *biases.unwrap_or(&[-0.0; N])
    }
}

/// The destination of the result.
pub enum Int8Result<'a> {
    /// `fused` consumes it, if given; `to` then holds nothing.
    Floats { to: &'a mut [f32], fused: Option<&'a dyn FusedEpilogue<f32>> },
    /// `clamp(round(result * scale))`.
    Rounded { to: &'a mut [i8], scale: f32, range: [i8; 2] },
}

impl Int8Result<'_> {
    fn len(&self) -> usize {
        match self {
            Int8Result::Floats { to, .. } => to.len(),
            Int8Result::Rounded { to, .. } => to.len(),
        }
    }
}

/// Returns true if [`conv_int8`] computes the shape: one group, or one for each channel.
pub fn has_int8(shape: &ConvShape) -> bool {
    (shape.groups == 1 || is_depthwise(shape)) && steps(shape) <= MAX_STEPS
}

fn is_depthwise(shape: &ConvShape) -> bool {
    shape.groups > 1 && shape.group_in() == 1 && shape.group_out() == 1
}

/// Products in a sum.
fn steps(shape: &ConvShape) -> usize {
    shape.taps() * shape.group_in()
}

/// Computes the convolution, in `int32`, and what follows it.
///
/// # Panics
/// If the length of a slice does not fit the shape, or [`has_int8`] is false.
pub fn conv_int8(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[i8],
    w: Int8Kernel,
    end: Option<&ScaleAndClamp>,
    result: Int8Result,
    scratch: &mut Scratch,
) {
    assert!(has_int8(shape), "no kernel of int8 for {shape:?}");
    shape.check(x.len(), shape.kernel_len(), result.len());
    let channels = shape.out_channels;
    assert!(
        end.is_none_or(|end| end.scale.len() == channels && end.bias.is_none_or(|bias| bias.len() == channels)),
        "expected one scale and bias per output channel"
    );
    if result.len() == 0 {
        return;
    }
    match w {
        Int8Kernel::Packed(packed) => product(pool, shape, x, packed, end, result),
        Int8Kernel::Taps(taps) => {
            assert_eq!(taps.len(), shape.kernel_len(), "the length of w does not fit {shape:?}");
            match packed_int8_len(shape) {
                None => depthwise::forward(pool, shape, x, taps, end, result, scratch),
                Some(len) => {
                    let packed = scratch.take::<i32>(len);
                    pack_int8(pool, shape, taps, packed);
                    product(pool, shape, x, packed, end, result)
                }
            }
        }
    }
}

/// Runs `compute(pixels, sums)` on blocks of `rows` pixels, and what follows.
fn run_blocks(
    pool: &ThreadPool,
    channels: usize,
    rows: usize,
    end: Option<&ScaleAndClamp>,
    result: Int8Result,
    compute: &(dyn Fn(Range<usize>, &mut [f32]) + Sync),
) {
    let (scale_and_clamp, round) = (scale_and_clamp(), round());
    let pixels = |block: usize, len: usize| block * rows..block * rows + len / channels;
    let floats = |pixels: Range<usize>, to: &mut [f32]| {
        compute(pixels, to);
        if let Some(end) = end {
            // SAFETY: the kernel is compiled for this machine and has no other precondition.
            unsafe { scale_and_clamp(to, end) };
        }
    };
    match result {
        Int8Result::Floats { to, fused: None } => {
            pool.run_chunks(to, rows * channels, &|block, to| floats(pixels(block, to.len()), to));
        }
        Int8Result::Floats { to, fused: Some(fused) } => pool.run_chunks(to, rows * channels, &|block, to| {
            with_local(|local| {
                let own = local.take::<f32>(to.len());
                floats(pixels(block, to.len()), own);
                fused.apply(block * rows * channels, own);
            });
        }),
        Int8Result::Rounded { to, scale, range } => pool.run_chunks(to, rows * channels, &|block, to| {
            with_local(|local| {
                let own = local.take::<f32>(to.len());
                floats(pixels(block, to.len()), own);
                // SAFETY: as above.
                unsafe { round(own, scale, range, to) };
            });
        }),
    }
}

multiversion! {
    /// Applies what follows to whole pixels.
    unsafe fn scale_and_clamp[S](y: &mut [f32], end: &ScaleAndClamp) {
        let (scales, rest) = end.scale.as_chunks::<LANES>();
        let apply = |y: f32, scale: f32, bias: f32| clamped(y * scale + bias, end.low, end.high);
        for y in y.chunks_exact_mut(end.scale.len()) {
            let (vectors, last) = y.as_chunks_mut::<LANES>();
            for (part, (y, scale)) in vectors.iter_mut().zip(scales).enumerate() {
                // Copies, which the compiler knows not to overlap.
                let (mut own, scale, bias) = (*y, *scale, end.biases::<LANES>(part * LANES));
                for j in 0..LANES {
                    own[j] = apply(own[j], scale[j], bias[j]);
                }
                *y = own;
            }
            let first = vectors.len() * LANES;
            for (j, (y, scale)) in last.iter_mut().zip(rest).enumerate() {
                *y = apply(*y, *scale, end.biases::<1>(first + j)[0]);
            }
        }
    }

    unsafe fn round[S](x: &[f32], scale: f32, range: [i8; 2], to: &mut [i8]) {
        let [low, high] = range.map(f32::from);
        for (to, x) in to.iter_mut().zip(x) {
            let rounded = clamped((x * scale).round_ties_even(), low, high);
            // SAFETY: in the range of `i8`, as `clamped` returns no NaN.
            *to = unsafe { rounded.to_int_unchecked::<i32>() } as i8;
        }
    }
}

/// As `f32::clamp`, but `low` for NaN.
#[inline(always)]
fn clamped(x: f32, low: f32, high: f32) -> f32 {
    let raised = if x > low { x } else { low };
    if raised < high {
        raised
    } else {
        high
    }
}

/// The length of packed weights; `None` if they are read as they are.
pub fn packed_int8_len(shape: &ConvShape) -> Option<usize> {
    let (full, rest) = (shape.out_channels / WIDTH * WIDTH, shape.out_channels % WIDTH);
    (shape.groups == 1).then(|| steps(shape).div_ceil(4) * (full + panel_width(rest)))
}

/// Packs weights `[steps, O]` into panels of quads.
///
/// # Panics
/// If the length of a slice does not fit the shape.
pub fn pack_int8(pool: &ThreadPool, shape: &ConvShape, w: &[i8], to: &mut [i32]) {
    let (k, n) = (steps(shape), shape.out_channels);
    assert_eq!((w.len(), Some(to.len())), (k * n, packed_int8_len(shape)), "lengths do not fit {shape:?}");
    let pack_panel = pack_panel();
    pool.run_chunks(to, k.div_ceil(4) * WIDTH, &|panel, to| {
        let column = panel * WIDTH;
        // SAFETY: the slice holds the steps and columns, and the kernel is compiled for this machine.
        unsafe { pack_panel(w[column..].as_ptr(), n as isize, 1, k, WIDTH.min(n - column), to) };
    });
}

fn product(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[i8],
    packed: &[i32],
    end: Option<&ScaleAndClamp>,
    result: Int8Result,
) {
    let n = shape.out_channels;
    let quads = steps(shape).div_ceil(4);
    let fitting = (BLOCK / (4 * (quads + n))).min((result.len() / n).div_ceil(pool.threads()));
    let rows = fitting.clamp(ROWS[0], ROWS[1]) / ROWS[0] * ROWS[0];
    let (gather, kernel) = (gather_rows(), kernel());
    run_blocks(pool, n, rows, end, result, &|pixels, y| {
        with_local(|local| {
            let (words, sums) = local.take2::<i32, f32>(pixels.len() * quads, pixels.len() * WIDTH);
            // SAFETY: the kernel is compiled for this machine and has no other precondition.
            unsafe { gather(shape, x, pixels, words) };
            multiply(kernel, words, quads, packed, sums, y, n);
        });
    });
}

/// Computes the rows `y`, `[rows][n]`, panel by panel.
fn multiply(kernel: Kernel, words: &[i32], quads: usize, packed: &[i32], sums: &mut [f32], y: &mut [f32], n: usize) {
    let rows = y.len() / n;
    for column in (0..n).step_by(WIDTH) {
        let columns = WIDTH.min(n - column);
        let width = panel_width(columns);
        let panel = Panel { a: words, b: &packed[column * quads..][..width * quads], quads, width };
        if width == n {
            // SAFETY: the kernel is compiled for this machine and checks the lengths.
            return unsafe { kernel(&panel, y) };
        }
        let sums = &mut sums[..rows * width];
        // SAFETY: as above.
        unsafe { kernel(&panel, sums) };
        for (y, sums) in y.chunks_exact_mut(n).zip(sums.chunks_exact(width)) {
            y[column..column + columns].copy_from_slice(&sums[..columns]);
        }
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
