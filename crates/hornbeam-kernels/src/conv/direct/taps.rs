//! Taps of the segments of a strip.

use crate::conv::patch::{Geometry, Patch};
use std::ops::Range;

/// Offsets in A and B of the taps of segments of rows.
pub(super) struct Taps {
    pub a: Vec<usize>,
    pub b: Vec<usize>,
    /// Taps of each segment.
    pub lists: Vec<Range<usize>>,
    /// Taps along the width are one run of contiguous memory.
    contiguous: bool,
}

impl Taps {
    pub fn new(geometry: &Geometry, groups: usize) -> Self {
        Self { a: Vec::new(), b: Vec::new(), lists: Vec::new(), contiguous: groups == 1 && geometry.step[2] == 1 }
    }

    /// Length of a run of some taps along the width.
    pub fn run(&self, columns: &Range<usize>) -> usize {
        if self.contiguous {
            columns.len()
        } else {
            1
        }
    }

    /// Lists the taps inside the image for row `row` at depth `depth`; one tap of B has `size` elements.
    pub fn list<E>(
        &mut self,
        geometry: &Geometry,
        patch: &Patch<E>,
        [depth, row]: [usize; 2],
        columns: &Range<usize>,
        size: usize,
    ) {
        let [_, kh, kw] = geometry.taps;
        let first = self.a.len();
        for d in geometry.taps_inside(0, depth) {
            for h in geometry.taps_inside(1, row) {
                let start = d * patch.plane + h * geometry.step[1] * patch.row;
                for w in columns.clone().step_by(self.run(columns).max(1)) {
                    self.a.push(start + w * geometry.step[2] * geometry.channels);
                    self.b.push(((d * kh + h) * kw + w) * size);
                }
            }
        }
        self.lists.push(first..self.a.len());
    }
}
