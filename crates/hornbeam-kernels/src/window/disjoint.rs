//! Gradients of sums of few channels over windows that do not overlap along a row: vectors run across pixels.

use super::{PoolElement, PoolShape, LANES};
use crate::dtype::Element;
use std::ops::Range;

/// Sums of a row of windows, and the same rounded.
pub(super) struct Row<T: PoolElement> {
    sums: Vec<T::Acc>,
    values: Vec<T>,
}

impl<T: PoolElement> Row<T> {
    /// Returns a row, or `None` if windows overlap along a row, or channels fill the vectors.
    pub fn new(shape: &PoolShape) -> Option<Self> {
        let len = shape.output[2] * shape.channels;
        let suits = shape.window[2] <= shape.strides[2] && shape.channels < LANES;
        suits.then(|| Self { sums: vec![T::Acc::ZERO; len], values: vec![T::ZERO; len] })
    }

    /// Adds up rows of gradients, those of the windows at the lines `lines`, and copies each sum to the inputs of its window in
    /// the row `dx`.
    #[inline(always)]
    pub fn spread(&mut self, shape: &PoolShape, lines: impl Iterator<Item = usize>, dy: &[T], dx: &mut [T]) {
        let c = shape.channels;
        self.sums.fill(T::Acc::ZERO);
        for line in lines {
            for (sum, dy) in self.sums.iter_mut().zip(&dy[line * c..]) {
                *sum = T::plus(*sum, dy.to_acc());
            }
        }
        for (value, sum) in self.values.iter_mut().zip(&self.sums) {
            *value = T::from_acc(*sum);
        }
        let mut covered = 0;
        for (w, values) in self.values.chunks_exact(c).enumerate() {
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
