//! The inputs of a block of pixels: a copy of the lines that it reads, as unsigned bytes and with the padding.

use std::ops::Range;

use super::input_position;
use crate::conv::ConvShape;
use crate::gemm::Bytes;
use crate::multiversion;

/// The inputs of blocks of up to `pixels` pixels. A block is copied in pieces: each is some lines of one image, or a
/// part of a line.
pub(super) struct Windows {
    shape: ConvShape,
    /// Pixels of the longest line of a piece, and its lines.
    extent: [usize; 2],
    /// Bytes of a line of a copy, and lines of one depth.
    pitch: usize,
    lines: usize,
    /// The starts of the runs of a window in a copy. A run is a part of the window that is contiguous.
    pub(super) runs: Vec<usize>,
    /// Bytes of a run.
    pub(super) run: usize,
}

/// Output pixels: lines `first..first + lines` at one depth of an image (a slice), from column `column` on.
#[derive(Clone, Copy)]
struct Piece {
    slice: usize,
    first: usize,
    lines: usize,
    column: usize,
    columns: usize,
}

/// Bytes of a run, and the number of runs: lines of a window, or its taps where they are apart.
pub(super) fn run_lengths(shape: &ConvShape) -> [usize; 2] {
    let together = if shape.dilation[2] == 1 { shape.kernel[2] } else { 1 };
    [together * shape.in_channels, shape.taps() / together.max(1)]
}

impl Windows {
    pub(super) fn new(shape: &ConvShape, pixels: usize) -> Self {
        let [_, height, width] = shape.output;
        let extent = [width.min(pixels), (pixels / width).clamp(1, height)];
        let reach = |axis: usize, count: usize| {
            (count - 1) * shape.strides[axis] + (shape.kernel[axis] - 1) * shape.dilation[axis] + 1
        };
        let (pitch, lines) = (reach(2, extent[0]) * shape.in_channels, reach(1, extent[1]));
        let [run, count] = run_lengths(shape);
        let [_, kernel_height, _] = shape.kernel;
        let per_line = count / (shape.kernel[0] * kernel_height).max(1);
        let start = |index: usize| {
            let (line, w) = (index / per_line, index % per_line);
            let (d, h) = (line / kernel_height, line % kernel_height);
            (d * lines + h * shape.dilation[1]) * pitch + w * shape.dilation[2] * shape.in_channels
        };
        Windows { shape: *shape, extent, pitch, lines, runs: (0..count).map(start).collect(), run }
    }

    fn piece_len(&self) -> usize {
        self.shape.kernel[0] * self.lines * self.pitch
    }

    /// Bytes of the copy for a block of pixels. Quads may reach over the last run.
    pub(super) fn copied_len(&self, pixels: Range<usize>) -> usize {
        self.pieces(pixels).count() * self.piece_len() + 4
    }

    fn pieces(&self, pixels: Range<usize>) -> impl Iterator<Item = Piece> {
        let ([_, height, width], mut at) = (self.shape.output, pixels.start);
        std::iter::from_fn(move || {
            let rest = pixels.end.checked_sub(at).filter(|&rest| rest > 0)?;
            let (line, column) = (at / width, at % width);
            let (slice, first) = (line / height, line % height);
            let [lines, columns] = match (column, rest / width) {
                (0, whole @ 1..) => [whole.min(height - first), width],
                _ => [1, rest.min(width - column)],
            };
            at += lines * columns;
            Some(Piece { slice, first, lines, column, columns })
        })
    }

    /// Copies the inputs of a block, and writes where the window of each pixel starts.
    pub(super) fn copy(
        &self,
        copy_line: CopyLine,
        x: Bytes,
        pixels: Range<usize>,
        to: &mut [u8],
        starts: &mut [usize],
    ) {
        let (shape, channels) = (&self.shape, self.shape.in_channels);
        let (x, flip) = (x.raw(), x.flip());
        let mut starts = starts.iter_mut();
        for (index, piece) in self.pieces(pixels).enumerate() {
            let origin = index * self.piece_len();
            for (line, start) in (0..piece.lines).zip((origin..).step_by(shape.strides[1] * self.pitch)) {
                debug_assert!(line < self.extent[1] && piece.columns <= self.extent[0]);
                let columns = (start..).step_by(shape.strides[2] * channels);
                columns.zip(starts.by_ref().take(piece.columns)).for_each(|(start, to)| *to = start);
            }
            let (image, depth) = (piece.slice / shape.output[0], piece.slice % shape.output[0]);
            let left = (piece.column * shape.strides[2]) as isize - shape.pad[2] as isize;
            let copied = (piece.lines - 1) * shape.strides[1] + (shape.kernel[1] - 1) * shape.dilation[1] + 1;
            for d in 0..shape.kernel[0] {
                for h in 0..copied {
                    let to = &mut to[origin + (d * self.lines + h) * self.pitch..][..self.pitch];
                    let at = input_position(shape, 0, depth, d);
                    let line = (piece.first * shape.strides[1] + h).checked_sub(shape.pad[1]);
                    let Some((at, line)) = at.zip(line.filter(|&line| line < shape.input[1])) else {
                        to.fill(flip);
                        continue;
                    };
                    let width = shape.input[2] * channels;
                    let from = &x[((image * shape.input[0] + at) * shape.input[1] + line) * width..][..width];
                    // SAFETY: the kernel is compiled for this machine and has no other precondition.
                    unsafe { copy_line(from, flip, left * channels as isize, to) };
                }
            }
        }
    }
}

pub(super) type CopyLine = unsafe fn(&[u8], u8, isize, &mut [u8]);

multiversion! {
    /// Copies the line from byte `first` on, of whose bytes some bits are flipped, with zeros before and after it.
    pub(super) unsafe fn copy_line[S](line: &[u8], flip: u8, first: isize, to: &mut [u8]) {
        let before = to.len().min((-first).max(0) as usize);
        let (padding, to) = to.split_at_mut(before);
        padding.fill(flip);
        let rest = &line[line.len().min(first.max(0) as usize)..];
        let (inside, after) = to.split_at_mut(to.len().min(rest.len()));
        for (to, from) in inside.iter_mut().zip(rest) {
            *to = *from ^ flip;
        }
        after.fill(flip);
    }
}
