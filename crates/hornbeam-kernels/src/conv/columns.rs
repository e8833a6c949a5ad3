//! Convolutions whose result has few channels: input gradients of first layers, and last layers.
//!
//! With channels of the result as vector lanes, most lanes would be empty. Instead, pixels are the lanes: a matrix product
//! computes the products of some rows of source pixels with all taps, `columns[tap, channel, pixel]`, and every row of it
//! is added to the result at the offset of its tap (col2im). The crate's README shows the loop levels.
//!
//! A pixel of the result is the sum of its taps in the order of the source rows, each summed over the channels of the
//! source, whatever the partition into tasks and blocks.

mod rows;

use super::kernel_grad;
use super::{Context, ConvShape, OutputGrad};
use crate::gemm::types::{Kernels, Real, Tile};
use crate::gemm::{even, pack, Epilogue};
use crate::pool::SharedMut;
use crate::scratch::with_local;
use crate::window::PoolElement;
use rows::{Line, RowKernels, CHUNK};
use std::ops::Range;
use std::ptr::null;

/// Channels that fill the lanes of AVX-512. Algorithms are chosen for it on all machines, as their rounding differs.
const LANES: usize = 16;
/// Minimum number of tasks of a thread.
const TASKS: usize = 4;
/// Maximum elements of the sums of a task.
const SUMS: usize = 1 << 20;
/// Approximate elements of the columns of a block of source rows: a part of the L2 cache.
const BLOCK: usize = 1 << 16;
/// Elements of the columns of a row that is computed in parts.
const LONG: usize = 1 << 18;
/// Panels of pixels that a block has at least, to read a large kernel less often.
const PANELS: usize = 4;
/// Elements of a kernel that stays in the L2 cache, along with a block.
const RESIDENT: usize = 1 << 17;

/// Along each axis, source pixel `q` contributes by tap `t` to the position `q * stride + t * step - low` of the result.
struct Columns<'a, E: Real> {
    kernels: &'static Kernels<E>,
    rows: RowKernels<E>,
    batch: usize,
    source: [usize; 3],
    /// Channels of the source.
    inner: usize,
    result: [usize; 3],
    channels: usize,
    taps: [usize; 3],
    stride: [usize; 3],
    step: [usize; 3],
    low: [isize; 3],
    epilogue: Epilogue<'a, E>,
}

/// Returns true if the input gradient is computed by columns.
pub(super) fn is_preferred_for_input_grad(shape: &ConvShape) -> bool {
    is_preferred(shape, shape.output, shape.in_channels, shape.out_channels)
}

/// Returns true if the forward pass is computed by columns. With strides, most columns would not be used.
pub(super) fn is_preferred_for_forward(shape: &ConvShape) -> bool {
    shape.strides == [1; 3] && is_preferred(shape, shape.input, shape.out_channels, shape.in_channels)
}

/// Compares the operations of both algorithms.
fn is_preferred(shape: &ConvShape, source: [usize; 3], channels: usize, inner: usize) -> bool {
    if shape.groups > 1 || channels >= LANES || source.contains(&0) {
        return false;
    }
    // Product, transposition of the source (half an operation per element), and additions.
    let columns = shape.taps() * channels * (inner + 8) + 8 * inner;
    columns < shape.taps() * inner * LANES
}

pub(super) fn forward<E: Real>(context: Context, x: &[E], w: &[E], y: &mut [E], epilogue: Epilogue<E>) {
    let Context { shape, .. } = context;
    // The input gradient of a convolution with the taps in reverse order.
    let low = low_of_reversed(shape);
    let [inputs, outputs] = [shape.in_channels, shape.out_channels];
    let last = shape.taps() - 1;
    Columns::new(shape, [shape.input, shape.output], [inputs, outputs], low, epilogue).run(
        context,
        x,
        &|tap, channel| (&w[(last - tap) * inputs * outputs + channel..], outputs),
        y,
    );
}

pub(super) fn input_grad<E: Real>(context: Context, dy: &[E], w: &[E], dx: &mut [E]) {
    let Context { shape, .. } = context;
    let [inputs, outputs] = [shape.in_channels, shape.out_channels];
    let low = shape.pad.map(|pad| pad as isize);
    Columns::new(shape, [shape.output, shape.input], [outputs, inputs], low, Epilogue::default()).run(
        context,
        dy,
        &|tap, channel| (&w[(tap * inputs + channel) * outputs..], 1),
        dx,
    );
}

/// Padding before the first element if the taps are in reverse order.
fn low_of_reversed(shape: &ConvShape) -> [isize; 3] {
    [0, 1, 2].map(|axis| ((shape.kernel[axis] - 1) * shape.dilation[axis]) as isize - shape.pad[axis] as isize)
}

/// Returns the convolution from output to input whose kernel has the taps in reverse order, and inputs and outputs
/// exchanged. Its kernel gradient is that of `shape`, without strides, in this order.
fn reversed(shape: &ConvShape) -> Option<ConvShape> {
    let pad = low_of_reversed(shape);
    let reversed = ConvShape {
        input: shape.output,
        output: shape.input,
        pad: pad.map(|pad| pad.max(0) as usize),
        in_channels: shape.out_channels,
        out_channels: shape.in_channels,
        ..*shape
    };
    (shape.strides == [1; 3] && pad.iter().all(|pad| *pad >= 0)).then_some(reversed)
}

/// Returns true if the kernel gradient is that of the reversed convolution, with input channels as vector lanes.
pub(super) fn is_preferred_for_kernel_grad(shape: &ConvShape) -> bool {
    let (inputs, outputs) = (shape.in_channels, shape.out_channels);
    let fills = |channels: usize| channels as f64 / channels.next_multiple_of(LANES) as f64;
    shape.groups == 1
        && fills(inputs) > 1.25 * fills(outputs)
        && outputs < LANES
        && shape.output_len() > 0
        && reversed(shape).is_some()
}

pub(super) fn kernel_grad<E: Real + PoolElement>(context: Context, x: &[E], dy: &[E], dw: &mut [E]) {
    let Context { pool, shape, scratch } = context;
    let reversed = reversed(shape).unwrap_or(*shape);
    let [inputs, outputs] = [shape.in_channels, shape.out_channels];
    with_local(|local| {
        let exchanged = local.take::<E>(dw.len());
        let context = Context { pool, shape: &reversed, scratch };
        kernel_grad::kernel_grad(context, E::kernels(), dy, OutputGrad::Plain(x), exchanged, None);
        for (to, from) in dw.chunks_exact_mut(inputs * outputs).rev().zip(exchanged.chunks_exact(inputs * outputs)) {
            for (column, to) in to.chunks_exact_mut(outputs).enumerate() {
                for (to, from) in to.iter_mut().zip(from[column..].iter().step_by(inputs)) {
                    *to = *from;
                }
            }
        }
    });
}

/// Kernel of one tap and channel of the result, and the distance between its channels of the source.
type Weights<'a, E> = &'a (dyn Fn(usize, usize) -> (&'a [E], usize) + Sync);

/// Part `line` of the rows `rows` of the result at depth `depth` of image `image`.
struct Strip<'a> {
    image: usize,
    depth: usize,
    rows: Range<usize>,
    line: &'a Line,
}

/// Memory of a task.
struct Buffers<'a, E> {
    columns: &'a mut [E],
    panels: &'a mut [E],
}

impl<'a, E: Real> Columns<'a, E> {
    fn new(
        shape: &ConvShape,
        [source, result]: [[usize; 3]; 2],
        [inner, channels]: [usize; 2],
        low: [isize; 3],
        epilogue: Epilogue<'a, E>,
    ) -> Self {
        let (taps, stride, step) = (shape.kernel, shape.strides, shape.dilation);
        Self {
            kernels: E::kernels(),
            rows: RowKernels::new(),
            batch: shape.batch,
            source,
            inner,
            result,
            channels,
            taps,
            stride,
            step,
            low,
            epilogue,
        }
    }

    fn run(&self, Context { pool, scratch, .. }: Context, x: &[E], weights: Weights<'_, E>, y: &mut [E]) {
        let [depth, height, width] = self.result;
        let (rows, tiles) = (self.slice(), self.tiles().count());
        let packed = scratch.take::<E>(self.taps[0] * rows * self.inner);
        let shared = SharedMut::new(packed);
        pool.run(self.taps[0] * tiles, &|task| {
            let (slice, tile) = (task / tiles, task % tiles);
            let [start, end] = self.tiles().nth(tile).unwrap_or_default();
            // SAFETY: tiles are disjoint.
            let to = unsafe { shared.range((slice * rows + start) * self.inner..(slice * rows + end) * self.inner) };
            for row in start..end {
                let (from, step) = weights(slice * (rows / self.channels) + row / self.channels, row % self.channels);
                for (p, value) in from.iter().step_by(step).take(self.inner).enumerate() {
                    to[p * (end - start) + row - start] = *value;
                }
            }
        });
        let lines = self.lines();
        // Rows of the source at the border of two strips are computed for both, so strips are several times as high as the
        // taps. Their number does not change a bit.
        let enough = if pool.threads() > 1 { TASKS * pool.threads() } else { 1 };
        let most_strips = height.div_ceil(2 * (self.taps[1] - 1) * self.step[1] + 1);
        let strips = enough
            .div_ceil(self.batch * depth)
            .min(most_strips)
            .max((height * width * self.channels).div_ceil(SUMS))
            .min(height);
        let (packed, y) = (&*packed, SharedMut::new(y));
        pool.run(self.batch * depth * strips * lines.len(), &|task| {
            let (rest, line) = (task / lines.len(), &lines[task % lines.len()]);
            let (rest, strip) = (rest / strips, rest % strips);
            let rows = strip * height / strips..(strip + 1) * height / strips;
            self.strip(x, packed, &Strip { image: rest / depth, depth: rest % depth, rows, line }, &y);
        });
    }

    /// Parts of a row of the result: the columns of a long row would leave the cache.
    fn lines(&self) -> Vec<Line> {
        let length = self.result[2].div_ceil(self.stride[2]);
        // Pixels of the source at the border of two parts are computed for both.
        let border = (self.taps[2] - 1) * self.step[2] / self.stride[2] + 1;
        let parts = (self.slice() * length).div_ceil(LONG).min(length.div_ceil(4 * border));
        even(0, length, length.div_ceil(parts))
            .map(|part| Line::new(part, self.source[2], self.taps[2], self.stride[2], self.step[2], self.low[2]))
            .collect()
    }

    /// Rows of columns: the taps of one depth, with their channels.
    fn slice(&self) -> usize {
        self.taps[1] * self.taps[2] * self.channels
    }

    /// Tiles of rows of a slice.
    fn tiles(&self) -> impl Iterator<Item = [usize; 2]> + Clone {
        even(0, self.slice(), self.kernels.rows[1])
    }

    /// Computes a strip of the result.
    fn strip(&self, x: &[E], packed: &[E], strip: &Strip<'_>, y: &SharedMut<'_, E>) {
        let width = 2 * self.kernels.lanes;
        let (line, height) = (strip.line, strip.rows.len());
        let planes = self.stride[2] * self.channels;
        let sources = self.source_rows(strip);
        let enough = (BLOCK / (self.slice() * line.pitch)).max((PANELS * width).div_ceil(line.pitch));
        let blocks = sources.len().div_ceil(enough);
        let pixels = line.lead + sources.len().div_ceil(blocks.max(1)) * line.pitch;
        // Padded away from powers of two, so that the rows of a tile do not share cache sets.
        let stride = (pixels + CHUNK).next_multiple_of(width) + CHUNK;
        let kernel = self.slice() * self.inner;
        let panels = if kernel > RESIDENT { pixels.div_ceil(width) } else { 1 };
        with_local(|local| {
            let (columns, panels, sums) = local.take3::<E, E, E>(
                self.slice() * stride,
                panels * width * self.inner,
                height * planes * line.plane,
            );
            let mut buffers = Buffers { columns, panels };
            sums.fill(E::ZERO);
            for tap in 0..self.taps[0] {
                let Some(depth) = self.source_of(0, strip.depth, tap) else { continue };
                let kernel = &packed[tap * kernel..(tap + 1) * kernel];
                let image = (strip.image * self.source[0] + depth) * self.source[1];
                for block in 0..blocks {
                    let rows = [block, block + 1].map(|block| sources.start + block * sources.len() / blocks);
                    self.columns(x, image, rows, self.taps_used(strip, rows), line, kernel, stride, &mut buffers);
                    self.add(strip, rows, buffers.columns, stride, sums);
                }
            }
            let row = (strip.image * self.result[0] + strip.depth) * self.result[1] + strip.rows.start;
            for (row, sums) in (row..).zip(sums.chunks_exact(planes * line.plane)) {
                let part = [line.part.start, line.part.end].map(|j| (j * self.stride[2]).min(self.result[2]));
                let part = part.map(|column| (row * self.result[2] + column) * self.channels);
                // SAFETY: strips are disjoint; the kernel is compiled for this machine.
                unsafe { (self.rows.finish)(sums, line.plane, y.range(part[0]..part[1]), self.epilogue) };
            }
        });
    }

    /// Position of the source that contributes by `tap` to `position` of the result, if there is one.
    fn source_of(&self, axis: usize, position: usize, tap: usize) -> Option<usize> {
        let from = usize::try_from(position as isize + self.low[axis] - (tap * self.step[axis]) as isize).ok()?;
        let source = from / self.stride[axis];
        (from.is_multiple_of(self.stride[axis]) && source < self.source[axis]).then_some(source)
    }

    /// Row of the strip to which a row of the source contributes by `tap`, if there is one.
    fn row_of(&self, strip: &Strip<'_>, source: usize, tap: usize) -> Option<usize> {
        let row = usize::try_from((source * self.stride[1] + tap * self.step[1]) as isize - self.low[1]).ok()?;
        strip.rows.contains(&row).then(|| row - strip.rows.start)
    }

    /// Rows of the source that contribute to a strip.
    fn source_rows(&self, strip: &Strip<'_>) -> Range<usize> {
        let used = |source: &usize| (0..self.taps[1]).any(|tap| self.row_of(strip, *source, tap).is_some());
        let first = (0..self.source[1]).find(used).unwrap_or(0);
        let last = (first..self.source[1]).rfind(used).map_or(first, |last| last + 1);
        first..last
    }

    /// Taps along the height by which some rows of the source contribute to a strip.
    fn taps_used(&self, strip: &Strip<'_>, [start, end]: [usize; 2]) -> Range<usize> {
        let used = |tap: &usize| (start..end).any(|source| self.row_of(strip, source, *tap).is_some());
        let first = (0..self.taps[1]).find(used).unwrap_or(0);
        first..(first..self.taps[1]).rfind(used).map_or(first, |last| last + 1)
    }

    /// Computes the columns of some rows of the source, numbered from `image` on, for a range of taps along the height.
    fn columns(
        &self,
        x: &[E],
        image: usize,
        [start, end]: [usize; 2],
        taps: Range<usize>,
        line: &Line,
        kernel: &[E],
        stride: usize,
        buffers: &mut Buffers<'_, E>,
    ) {
        let (lanes, inner) = (self.kernels.lanes, self.inner);
        let width = 2 * lanes;
        let source = &x[(image + start) * self.source[2] * inner..(image + end) * self.source[2] * inner];
        let pixels = line.lead + (end - start) * line.pitch;
        let (taps_of_a_matrix, cache_line) = ([0], 64 / size_of::<E>());
        let group = buffers.panels.len() / (width * inner);
        let rows = [taps.start, taps.end].map(|tap| tap * self.taps[2] * self.channels);
        for first in (0..pixels).step_by(group * width) {
            let panels = || (first..pixels.min(first + group * width)).step_by(width);
            let ahead = source.as_ptr().wrapping_add(self.pixels_before(line, first + group * width) * inner);
            for (panel, to) in panels().zip(buffers.panels.chunks_exact_mut(width * inner)) {
                self.pack(source, line, panel, to);
            }
            let tiles = self.tiles().filter(|tile| tile[0] < rows[1] && tile[1] > rows[0]);
            for (index, [row, last]) in tiles.enumerate() {
                for (panel, b) in panels().zip(buffers.panels.chunks_exact(width * inner)) {
                    let tile = Tile {
                        a: kernel[row * inner..last * inner].as_ptr(),
                        a_stride: last - row,
                        taps: taps_of_a_matrix.as_ptr(),
                        tap_count: 1,
                        run: inner,
                        b: b.as_ptr(),
                        b_taps: null(),
                        b_stride: width,
                        // The pixels of the next panel, a line at each step.
                        ahead: ahead.wrapping_add(index * inner * cache_line),
                        ahead_stride: if index * lanes < width { cache_line } else { 0 },
                        c: buffers.columns[row * stride + panel..].as_mut_ptr(),
                        c_stride: stride,
                        last: lanes,
                        bias: null(),
                        relu: None,
                        accumulate: false,
                    };
                    let vectors = (pixels - panel).div_ceil(lanes).min(2);
                    // SAFETY: A and B hold `inner` steps, and `stride` covers the last panel.
                    unsafe { self.kernels.tile(true, last - row, vectors)(&tile) };
                }
            }
        }
    }

    /// Number of pixels before a panel, which is counted with the zeros between rows.
    fn pixels_before(&self, line: &Line, panel: usize) -> usize {
        let from = panel.saturating_sub(line.lead);
        from / line.pitch * self.source[2] + line.source.start + (from % line.pitch).min(line.source.len())
    }

    /// Packs a panel of pixels, counted with the zeros between rows.
    fn pack(&self, source: &[E], line: &Line, panel: usize, to: &mut [E]) {
        let inner = self.inner;
        let (lead, pitch, width) = (line.lead, line.pitch, to.len() / inner);
        let row = panel.saturating_sub(lead) / pitch;
        if panel < lead + row * pitch || panel + width > lead + row * pitch + line.source.len() {
            to.fill(E::ZERO);
        }
        for (row, pixels) in source.chunks_exact(self.source[2] * inner).enumerate().skip(row) {
            // Part of the row that lies in the panel.
            let begin = lead + row * pitch;
            let (first, last) = (begin.max(panel), (begin + line.source.len()).min(panel + width));
            if begin >= panel + width {
                break;
            }
            if first < last {
                let [from, end] = [first, last].map(|pixel| (line.source.start + pixel - begin) * inner);
                let (from, to) = (pixels[from..end].as_ptr(), to[first - panel..].as_mut_ptr());
                // SAFETY: `from` holds these pixels, and `to` has `inner` steps of `width`.
                unsafe { pack::transpose(from, inner as isize, last - first, inner, to, width) };
            }
        }
    }

    /// Adds the columns of some rows of the source to the sums of a strip.
    fn add(&self, strip: &Strip<'_>, [start, end]: [usize; 2], columns: &[E], stride: usize, sums: &mut [E]) {
        let line = strip.line;
        let mut offsets = Vec::with_capacity(self.taps[2]);
        for source in start..end {
            for tap in 0..self.taps[1] {
                let Some(row) = self.row_of(strip, source, tap) else { continue };
                for residue in 0..self.stride[2] {
                    offsets.clear();
                    let taps = line.taps.iter().enumerate().filter(|(_, tap)| tap.0 == residue);
                    offsets.extend(taps.map(|(column, (_, shift))| {
                        let at = line.lead + (source - start) * line.pitch;
                        (tap * self.taps[2] + column) * self.channels * stride + at.wrapping_add_signed(-shift)
                    }));
                    for channel in 0..if offsets.is_empty() { 0 } else { self.channels } {
                        let plane = (row * self.stride[2] + residue) * self.channels + channel;
                        let sums = &mut sums[plane * line.plane..(plane + 1) * line.plane];
                        let from = columns[channel * stride..].as_ptr();
                        // SAFETY: `stride` covers a row with the zeros on both sides, and a chunk more.
                        unsafe { (self.rows.add)(sums, from, &offsets) };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
