//! Gradients of sums of few channels over windows that do not overlap along a row: vectors run across pixels.

use super::{PoolElement, PoolShape, LANES};
use crate::dtype::Element;
use crate::multiversion;
use std::ops::Range;

/// Returns true if channels leave vectors empty that rows of windows fill.
pub(super) fn is_preferred(shape: &PoolShape) -> bool {
    shape.window[2] <= shape.strides[2] && shape.channels < LANES
}

multiversion! {
    /// Computes like [`super::sum_grad_rows`]: the gradients of a row of windows are added up, rounded, and copied to the inputs
    /// of each window.
    pub(super) unsafe fn sum_grad_rows[S, T: PoolElement; T::DTYPE.copies()](shape: &PoolShape, rows: Range<usize>, dy: &[T], dx: &mut [T]) {
        let c = shape.channels;
        let [_, height, width] = shape.output;
        let (mut sums, mut values) = (vec![T::Acc::ZERO; width * c], vec![T::ZERO; width * c]);
        for (row, dx) in rows.zip(dx.chunks_exact_mut(shape.input[2] * c)) {
            let (rest, h) = (row / shape.input[1], row % shape.input[1]);
            let (n, d) = (rest / shape.input[0], rest % shape.input[0]);
            sums.fill(T::Acc::ZERO);
            for d in shape.windows_containing(0, d) {
                for h in shape.windows_containing(1, h) {
                    let line = ((n * shape.output[0] + d) * height + h) * width;
                    for (sum, dy) in sums.iter_mut().zip(&dy[line * c..]) {
                        *sum = T::plus(*sum, dy.to_acc());
                    }
                }
            }
            for (value, sum) in values.iter_mut().zip(&sums) {
                *value = T::from_acc(*sum);
            }
            let mut covered = 0;
            for (w, values) in values.chunks_exact(c).enumerate() {
                let Range { start, end } = shape.window_range(2, w);
                dx[covered * c..start * c].fill(T::ZERO);
                covered = end;
                for_each_channel_block!(c, |at, N| {
                    let block: [T; N] = values[at..at + N].try_into().expect("a block has its length");
                    for dx in dx[start * c..end * c].chunks_exact_mut(c) {
                        dx[at..at + N].copy_from_slice(&block);
                    }
                });
            }
            dx[covered * c..].fill(T::ZERO);
        }
    }
}
