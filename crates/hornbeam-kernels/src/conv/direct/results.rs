//! Destination of the results of a strip: a tensor, or a consumer that takes them while they are in cache.

use super::{Correlation, Strip};
use crate::gemm::types::Real;
use crate::pool::SharedMut;

/// Destination of results.
#[derive(Clone, Copy)]
pub(super) enum Results<'a, E> {
    Tensor(&'a SharedMut<'a, E>),
    /// Neighbouring results, and the index of the first.
    Consumer(&'a (dyn Fn(usize, &[E]) + Sync)),
}

/// Memory of the results of a strip.
pub(super) struct Destination<E> {
    pub first: *mut E,
    pub row_stride: usize,
    pub pixel_stride: usize,
}

impl<E: Real> Correlation<'_, E> {
    /// Channels of the result.
    pub(super) fn channels(&self) -> usize {
        self.outputs * self.groups
    }

    /// Index of the first result of a row of a strip.
    fn first(&self, strip: &Strip<'_, E>, row: usize) -> usize {
        let plane = (strip.n * self.extent[0] + self.base[0] + strip.d * self.step[0]) * self.extent[1];
        let line = (plane + self.base[1] + row * self.step[1]) * self.extent[2];
        (line + self.base[2] + strip.columns.start * self.step[2]) * self.channels()
    }

    /// Memory of the results of a strip: the tensor, or `sums` for a consumer.
    pub(super) fn destination(&self, strip: &Strip<'_, E>, y: Results<'_, E>, sums: &mut [E]) -> Destination<E> {
        let channels = self.channels();
        match y {
            Results::Tensor(y) => Destination {
                first: y.as_ptr().wrapping_add(self.first(strip, strip.rows.start)),
                row_stride: self.step[1] * self.extent[2] * channels,
                pixel_stride: self.step[2] * channels,
            },
            Results::Consumer(_) => Destination {
                first: sums.as_mut_ptr(),
                row_stride: strip.columns.len() * channels,
                pixel_stride: channels,
            },
        }
    }

    /// Passes the results of a strip to their consumer: rows, or of each pixel the channels of the strip's panels.
    pub(super) fn consume(
        &self,
        strip: &Strip<'_, E>,
        [vectors, panels]: [usize; 2],
        sums: &[E],
        consume: &(dyn Fn(usize, &[E]) + Sync),
    ) {
        let channels = self.channels();
        let column = |panel: usize| {
            let column = panel % panels * vectors * self.kernels.lanes;
            panel / panels * self.outputs + column.min(self.outputs)
        };
        let part = column(strip.panels.start)..column(strip.panels.end);
        let size = if part.len() == channels { strip.columns.len() * channels } else { channels };
        for (row, sums) in strip.rows.clone().zip(sums.chunks_exact(strip.columns.len() * channels)) {
            let first = self.first(strip, row);
            for (index, sums) in sums.chunks_exact(size).enumerate() {
                let end = sums.len() - (channels - part.end);
                consume(first + index * size + part.start, &sums[part.start..end]);
            }
        }
    }
}
