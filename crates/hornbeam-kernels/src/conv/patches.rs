//! Forward passes of few pixels: what each of them reads is copied to a row of a matrix (im2col), which is multiplied by
//! the kernel. The tiles of the product span the rows of an image, and it has a loop level for the L1 cache; tiles of the
//! direct algorithm would be as narrow as the image, and read the whole kernel each.

use super::ConvShape;
use crate::dtype::Element;
use crate::pool::ThreadPool;
use crate::scratch::{with_local, Plain};

/// Most pixels: those for which a product packs its second operand before.
const PIXELS: usize = 256;
/// Output channels from which the copy takes little of the time.
const CHANNELS: usize = 128;

/// Returns true if a forward pass is computed here.
pub(super) fn is_preferred(shape: &ConvShape) -> bool {
    shape.groups == 1 && shape.out_channels >= CHANNELS && (2..=PIXELS).contains(&rows(shape))
}

/// Rows of the matrix.
pub(super) fn rows(shape: &ConvShape) -> usize {
    shape.batch * shape.output.iter().product::<usize>()
}

/// Columns of the matrix.
pub(super) fn inner(shape: &ConvShape) -> usize {
    shape.taps() * shape.in_channels
}

/// Calls `multiply` with the matrix, in row-major order.
pub(super) fn with_matrix<E: Element + Plain>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[E],
    multiply: impl FnOnce(&[E]),
) {
    with_local(|local| {
        let matrix = local.take(rows(shape) * inner(shape));
        copy(pool, shape, x, matrix);
        multiply(matrix);
    });
}

/// Copies the pixels that each output reads, and zeros outside the image.
fn copy<E: Element>(pool: &ThreadPool, shape: &ConvShape, x: &[E], matrix: &mut [E]) {
    let [depth, height, width] = shape.output;
    let channels = shape.in_channels;
    let position = |axis: usize, output: usize, tap: usize| {
        (output * shape.strides[axis] + tap * shape.dilation[axis])
            .checked_sub(shape.pad[axis])
            .filter(|&p| p < shape.input[axis])
    };
    pool.run_chunks(matrix, inner(shape), &|row, to| {
        let (rest, column) = (row / width, row % width);
        let (image, output) = (rest / height / depth, [rest / height % depth, rest % height, column]);
        for (tap, to) in to.chunks_exact_mut(channels).enumerate() {
            let [_, kh, kw] = shape.kernel;
            let taps = [tap / (kh * kw), tap / kw % kh, tap % kw];
            let [d, h, w] = [0, 1, 2].map(|axis| position(axis, output[axis], taps[axis]));
            match (d, h, w) {
                (Some(d), Some(h), Some(w)) => {
                    let pixel = ((image * shape.input[0] + d) * shape.input[1] + h) * shape.input[2] + w;
                    to.copy_from_slice(&x[pixel * channels..(pixel + 1) * channels]);
                }
                _ => to.fill(E::ZERO),
            }
        }
    });
}
