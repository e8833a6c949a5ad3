//! Convolutions with one kernel for each channel: channels are vector lanes.

use super::{by_row, input_position, inside, position, run_blocks, Int8Result, ScaleAndClamp};
use crate::conv::ConvShape;
use crate::gemm::Bytes;
use crate::multiversion;
use crate::pool::ThreadPool;
use crate::scratch::{with_local, Scratch};

/// Multiply-adds of a task.
const WORK: usize = 1 << 16;

pub(super) fn forward(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: Bytes,
    w: &[i8],
    end: Option<&ScaleAndClamp>,
    result: Int8Result,
    scratch: &mut Scratch,
) {
    let channels = shape.in_channels;
    // Widened once: products fit 16 bits, and so do sums of two signed ones if no weight is -128, as quantizers promise.
    let wide = scratch.take::<i16>(w.len());
    wide.iter_mut().zip(w).for_each(|(wide, w)| *wide = i16::from(*w));
    let wide = &*wide;
    let pairs = !wide.contains(&-128);
    let (inside, step) = (inside(shape), shape.strides[2] * channels);
    let rows = WORK.div_ceil(shape.taps() * channels);
    run_blocks(pool, channels, rows, channels, end, result, &|pixels, _, finish| {
        with_local(|local| {
            let (taps, sums) = local.take2::<usize, i32>(2 * shape.taps(), pixels.len() * channels);
            let mut y = sums.chunks_exact_mut(channels);
            for pixels in by_row(shape, pixels) {
                let (mut count, mut followed) = (0, false);
                for (column, pixel) in (pixels.start % shape.output[2]..).zip(pixels) {
                    let is_inside = inside.contains(&column);
                    if followed && is_inside {
                        taps[..2 * count].iter_mut().step_by(2).for_each(|start| *start += step);
                    } else {
                        count = valid_taps(shape, pixel, taps);
                    }
                    followed = is_inside;
                    let Some(y) = y.next() else { return };
                    // SAFETY: the kernel is compiled for this machine and has no other precondition.
                    unsafe {
                        match x {
                            Bytes::Signed(x) if pairs => add_pairs::<i8>()(x, wide, &taps[..2 * count], y),
                            Bytes::Signed(x) => add_taps::<i8>()(x, wide, &taps[..2 * count], y),
                            Bytes::Unsigned(x) => add_taps::<u8>()(x, wide, &taps[..2 * count], y),
                        }
                    };
                }
            }
            finish(0..channels, sums, channels);
        });
    });
}

/// Writes the starts of the channels of the input and of the kernel for the taps that are not in the padding. Returns
/// their number.
fn valid_taps(shape: &ConvShape, pixel: usize, to: &mut [usize]) -> usize {
    let (image, o) = position(shape, pixel);
    let mut count = 0;
    for tap in 0..shape.taps() {
        let (row, last) = (tap / shape.kernel[2], tap % shape.kernel[2]);
        let t = [row / shape.kernel[1], row % shape.kernel[1], last];
        let [Some(d), Some(h), Some(w)] = std::array::from_fn(|axis| input_position(shape, axis, o[axis], t[axis]))
        else {
            continue;
        };
        let pixel = ((image * shape.input[0] + d) * shape.input[1] + h) * shape.input[2] + w;
        to[2 * count] = pixel * shape.in_channels;
        to[2 * count + 1] = tap * shape.in_channels;
        count += 1;
    }
    count
}

/// A byte, signed or not.
trait Byte: Copy + Into<i16> {}

impl Byte for i8 {}
impl Byte for u8 {}

multiversion! {
    /// Sums the products of one pixel, tap by tap. `taps` holds pairs of starts in `x` and `w`.
    unsafe fn add_taps[S, B: Byte](x: &[B], w: &[i16], taps: &[usize], y: &mut [i32]) {
        add_all::<B, false>(x, w, taps, y);
    }

    /// As `add_taps`, two taps at a time in 16 bits, which must hold their sum.
    unsafe fn add_pairs[S, B: Byte](x: &[B], w: &[i16], taps: &[usize], y: &mut [i32]) {
        add_all::<B, true>(x, w, taps, y);
    }
}

#[inline(always)]
fn add_all<B: Byte, const PAIRS: bool>(x: &[B], w: &[i16], taps: &[usize], y: &mut [i32]) {
    let mut first = 0;
    while y.len() - first >= 64 {
        add_channels::<B, 64, PAIRS>(x, w, taps, y, first);
        first += 64;
    }
    while y.len() - first >= 16 {
        add_channels::<B, 16, PAIRS>(x, w, taps, y, first);
        first += 16;
    }
    while first < y.len() {
        add_channels::<B, 1, PAIRS>(x, w, taps, y, first);
        first += 1;
    }
}

/// Sums the products of `N` channels in registers.
#[inline(always)]
fn add_channels<B: Byte, const N: usize, const PAIRS: bool>(
    x: &[B],
    w: &[i16],
    taps: &[usize],
    y: &mut [i32],
    first: usize,
) {
    fn part<T, const N: usize>(from: &[T], start: usize) -> &[T; N] {
        from[start..].first_chunk().unwrap_or_else(|| unreachable!("taps hold all channels"))
    }
    let mut sums = [0i32; N];
    let (pairs, rest) = taps.as_chunks::<4>();
    for &[x_start, w_start, other_x, other_w] in pairs {
        let [x, other_x] = [x_start, other_x].map(|start| part::<_, N>(x, start + first));
        let [w, other_w] = [w_start, other_w].map(|start| part::<_, N>(w, start + first));
        for j in 0..N {
            let (product, other): (i16, i16) = (x[j].into() * w[j], other_x[j].into() * other_w[j]);
            sums[j] += if PAIRS { i32::from(product + other) } else { i32::from(product) + i32::from(other) };
        }
    }
    if let [x_start, w_start] = *rest {
        let (x, w) = (part::<_, N>(x, x_start + first), part::<_, N>(w, w_start + first));
        for j in 0..N {
            let product: i16 = x[j].into() * w[j];
            sums[j] += i32::from(product);
        }
    }
    y[first..first + N].copy_from_slice(&sums);
}
