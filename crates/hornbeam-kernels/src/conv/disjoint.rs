//! Input gradients of convolutions whose windows lie side by side (transposed convolutions that enlarge images): one matrix
//! product, whose rows are the windows.

use super::ConvShape;
use crate::gemm::{gemm_fused, Epilogue, GemmElement, Mat};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain, Scratch};

/// Returns true if the windows cover the input without overlap.
pub(super) fn suits(shape: &ConvShape) -> bool {
    let tiled = |axis: usize| {
        let (kernel, stride) = (shape.kernel[axis], shape.strides[axis]);
        kernel == stride
            && (shape.dilation[axis] == 1 || kernel == 1)
            && shape.pad[axis] == 0
            && shape.input[axis] == shape.output[axis] * stride
    };
    shape.groups == 1 && (0..3).all(tiled)
}

pub(super) fn input_grad<T: GemmElement + Plain>(
    pool: &ThreadPool,
    shape: &ConvShape,
    dy: &[T],
    w: &[T],
    dx: &mut [T],
    scratch: &mut Scratch,
) {
    let [kd, kh, kw] = shape.kernel;
    let [depth, height, width] = shape.output;
    let inner = shape.out_channels;
    let (rows, columns) = (shape.batch * depth * height * width, shape.taps() * shape.in_channels);
    // Part of a window that is contiguous in the image.
    let line = kw * shape.in_channels;
    let dx = SharedMut::new(dx);
    let scatter = |start: usize, sums: &mut [T]| {
        let mut at = start;
        let mut rest = &*sums;
        while !rest.is_empty() {
            let (window, tap, offset) = (at / columns, at % columns / line, at % line);
            let (part, others) = rest.split_at(rest.len().min(line - offset));
            let [d, h, w] = [window / (height * width), window / width % height, window % width];
            let row = (d * kd + tap / kh) * height * kh + h * kh + tap % kh;
            let to = (row * width + w) * line + offset;
            // SAFETY: windows do not overlap, and the product passes each element once.
            unsafe { dx.range(to..to + part.len()) }.copy_from_slice(part);
            at += part.len();
            rest = others;
        }
    };
    with_local(|local| {
        let sums = local.take::<T>(rows * columns);
        let (am, bm) = (Mat::row_major(rows, inner), Mat::transposed(columns, inner));
        let (epilogue, fused) = (Epilogue::default(), Some(&scatter as _));
        gemm_fused(pool, 1, rows, columns, inner, dy, am, w, bm, sums, epilogue, fused, scratch);
    });
}
