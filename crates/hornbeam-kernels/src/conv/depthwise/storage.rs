//! Tensors of the kernels' own type, or of a narrower one, which is converted row by row.

use crate::conv::cast;
use crate::conv::patch::{Geometry, Patch};
use crate::dtype::half::{narrow_slice, widen_slice, Half};
use crate::dtype::Element;
use crate::scratch::Plain;
use std::ops::Range;
use std::slice;

/// Type of the tensors in memory, for kernels of `E`.
pub(in crate::conv) enum Storage<E, T> {
    /// `T` is `E`.
    Same,
    Narrow(Conversion<E, T>),
}

/// Conversions, compiled for the ISA of the thread that submits the tasks.
pub(in crate::conv) struct Conversion<E, T> {
    widen: unsafe fn(&[T], &mut [E]),
    round: unsafe fn(&[E], &mut [T]),
}

impl<T: Half> Storage<f32, T> {
    pub fn narrow() -> Self {
        Self::Narrow(Conversion { widen: widen_slice::<T>(), round: narrow_slice::<T>() })
    }
}

impl<E, T> Storage<E, T> {
    /// Rows of a task. A task widens the lines between two strips again: there are as few strips as the threads need, and none
    /// is mostly such lines.
    pub fn rows_per_task(&self, geometry: &Geometry, batch: usize, enough: usize) -> usize {
        match self {
            Self::Same => geometry.rows_per_task(batch, enough),
            Self::Narrow(_) => {
                let (height, shared) = (geometry.output[1], geometry.span(1, 1).saturating_sub(geometry.strides[1]));
                let most = height / (2 * shared).max(1);
                let strips = enough.div_ceil(batch * geometry.output[0]).clamp(1, most.max(1));
                height.div_ceil(strips).max(1)
            }
        }
    }

    /// Elements of the widened lines that `rows` rows of outputs read.
    pub fn lines_len(&self, geometry: &Geometry, rows: usize) -> usize {
        match self {
            Self::Same => 0,
            Self::Narrow(_) => geometry.span(1, rows) * geometry.input[2] * geometry.channels,
        }
    }

    /// Elements of `rows` rows of outputs in the type of the kernels.
    pub fn rows_len(&self, geometry: &Geometry, rows: usize) -> usize {
        match self {
            Self::Same => 0,
            Self::Narrow(_) => rows * geometry.output[2] * geometry.channels,
        }
    }
}

impl<E: Element + Plain, T: Element + Plain> Storage<E, T> {
    /// Returns a row of outputs in the type of the kernels.
    pub fn read<'a>(&self, from: &'a [T], to: &'a mut [E]) -> &'a [E] {
        match self {
            Self::Same => cast(from),
            Self::Narrow(narrow) => {
                narrow.widen(from, to);
                to
            }
        }
    }

    /// Elements of the copy of [`Storage::patch`].
    pub fn patch_len(&self, geometry: &Geometry, rows: [usize; 2]) -> usize {
        match self {
            Self::Same => geometry.copy_len(rows[1] - rows[0]),
            Self::Narrow(_) => geometry.padded_len(rows[1] - rows[0], geometry.output[2]),
        }
    }

    /// Returns the patch of the image that some rows read, in the type of the kernels.
    pub fn patch(&self, geometry: &Geometry, image: &[T], depth: usize, rows: [usize; 2], copy: &mut [E]) -> Patch<E> {
        match self {
            Self::Same => geometry.patch(cast(image), depth, rows, copy),
            Self::Narrow(narrow) => {
                let (first, size) = ([depth, rows[0], 0], [rows[1] - rows[0], geometry.output[2]]);
                geometry.converted(image, first, size, copy, |from, to| narrow.widen(from, to))
            }
        }
    }
}

impl<E, T> Conversion<E, T> {
    pub fn widen(&self, from: &[T], to: &mut [E]) {
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { (self.widen)(from, to) };
    }

    /// Widens the pixels of a row, `step` apart.
    ///
    /// # Safety
    /// `from` must hold the pixels.
    pub unsafe fn widen_pixels(&self, from: *const T, step: usize, channels: usize, to: &mut [E]) {
        for (p, to) in to.chunks_exact_mut(channels).enumerate() {
            // SAFETY: by the contract.
            self.widen(unsafe { slice::from_raw_parts(from.add(p * step), channels) }, to);
        }
    }

    /// Rounds the pixels of a row, `step` apart.
    ///
    /// # Safety
    /// `to` must hold the pixels, which no other thread accesses.
    pub unsafe fn round_pixels(&self, from: &[E], to: *mut T, step: usize, channels: usize) {
        if step == channels {
            // SAFETY: by the contract; the kernel is compiled for this machine.
            return unsafe { (self.round)(from, slice::from_raw_parts_mut(to, from.len())) };
        }
        for (p, from) in from.chunks_exact(channels).enumerate() {
            // SAFETY: as above.
            unsafe { (self.round)(from, slice::from_raw_parts_mut(to.add(p * step), channels)) };
        }
    }
}

/// Lines of an image in the type of the kernels: the image itself, or a ring of the lines that some rows of outputs read.
pub(super) struct Lines<'a, E, T> {
    storage: &'a Storage<E, T>,
    geometry: &'a Geometry,
    image: &'a [T],
    ring: &'a mut [E],
    /// Lines of the ring.
    count: usize,
    /// End of the lines that have been widened.
    end: usize,
}

impl<'a, E: Plain, T: Plain> Lines<'a, E, T> {
    /// Returns the lines for at most `rows` rows of outputs at a time.
    pub fn new(
        storage: &'a Storage<E, T>,
        geometry: &'a Geometry,
        rows: usize,
        x: &'a [T],
        image: usize,
        ring: &'a mut [E],
    ) -> Self {
        let size = geometry.input.iter().product::<usize>() * geometry.channels;
        let image = &x[image * size..(image + 1) * size];
        Self { storage, geometry, image, ring, count: geometry.span(1, rows), end: 0 }
    }

    /// Widens the lines that some rows of outputs read first. Rows are read in ascending order.
    pub fn read(&mut self, rows: Range<usize>) {
        let Storage::Narrow(narrow) = self.storage else { return };
        let geometry = self.geometry;
        let start = (rows.start * geometry.strides[1]) as isize - geometry.low[1];
        let [start, end] = [start, start + geometry.span(1, rows.len()) as isize]
            .map(|line| line.clamp(0, geometry.input[1] as isize) as usize);
        let size = geometry.input[2] * geometry.channels;
        for line in start.max(self.end)..end {
            let to = line % self.count * size;
            narrow.widen(&self.image[line * size..(line + 1) * size], &mut self.ring[to..to + size]);
        }
        self.end = end;
    }
}

impl<E, T> Lines<'_, E, T> {
    /// First element of the lines.
    pub fn first(&self) -> *const E {
        match self.storage {
            Storage::Same => self.image.as_ptr().cast(),
            Storage::Narrow(_) => self.ring.as_ptr(),
        }
    }

    /// Offset of a line.
    pub fn start(&self, depth: usize, line: usize) -> usize {
        let line = match self.storage {
            Storage::Same => depth * self.geometry.input[1] + line,
            Storage::Narrow(_) => line % self.count,
        };
        line * self.geometry.input[2] * self.geometry.channels
    }
}
