//! Kernel gradient of many channels, tap by tap: a product of the inputs that a tap reads and the output gradients.
//!
//! Both are packed some pixels at a time: inputs by the rows of a tile (input channels), which all taps share, and gradients
//! by its columns. Pixels whose tap lies outside the image are left out, which is much of a dilated kernel. Results do not
//! depend on the parts, which may follow the number of threads. The crate's README shows the loop levels.

use super::output_grad::{GradRows, OutputGrad, WidenTo};
use super::patch::{Geometry, Window};
use super::ConvShape;
use crate::gemm::types::{Kernels, Real, Tile};
use crate::gemm::{even, pack};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain, Scratch};
use crate::window::PoolElement;
use std::ops::Range;
use std::ptr::null;

/// Fewest input channels of a group: with fewer, the rows of a tile span neighbouring taps in [`super::kernel_grad`].
const MANY_CHANNELS: usize = 12;
/// Fewest tiles of 32 output channels that read a packed input.
const REUSE: usize = 3;
/// Output pixels of a unit: those of one tile, 14 inputs and 32 gradients of each, fit the L1 cache.
const PIXELS: usize = 256;
/// Pixels that justify a partial sum: its additions take a percent of the time of its products.
const BLOCK_PIXELS: usize = 2048;
/// Maximum number of partial sums, and of their elements.
const BLOCKS: usize = 16;
const PARTIAL: usize = 1 << 22;
/// Elements of a part of the kernel, which stays in the L2 cache with the pixels of a unit.
const PART: usize = 1 << 18;
/// Tasks of each thread.
const TASKS: usize = 4;

/// Returns true for kernels whose gradient this module computes.
pub(super) fn supports(shape: &ConvShape) -> bool {
    let used = (0..3).map(|axis| shape.kernel[axis].div_ceil(shape.strides[axis])).product::<usize>();
    shape.group_in() >= MANY_CHANNELS && used * shape.group_out().div_ceil(32) >= REUSE
}

pub(super) struct TapGrad<'a, E: Real, G> {
    kernels: &'static Kernels<E>,
    shape: &'a ConvShape,
    geometry: Geometry,
    rows_of_grad: GradRows<'a, E, G>,
    /// Extents of a unit: planes (image and depth), rows and columns of outputs. One of several planes has all rows, and
    /// one of several rows all columns.
    extent: [usize; 3],
    /// Units along each of them.
    units: [usize; 3],
    /// Blocks of consecutive units, each with a partial sum.
    pub blocks: usize,
    /// Vectors of a tile, tiles along the input channels of a group, and panels of output channels of all groups.
    vectors: usize,
    tiles: usize,
    panels: usize,
    /// Parts of the tiles and of the panels; a task computes one of both for one block.
    parts: [usize; 2],
}

/// Outputs of a unit.
struct Region {
    planes: Range<usize>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Region {
    /// Outputs of one plane.
    fn pixels(&self) -> usize {
        self.rows.len() * self.columns.len()
    }
}

impl<'a, E: Real + PoolElement, G: WidenTo<E> + Plain> TapGrad<'a, E, G> {
    pub fn new(kernels: &'static Kernels<E>, shape: &'a ConvShape, grad: OutputGrad<'a, G>, threads: usize) -> Self {
        let rows_of_grad = GradRows::new(shape, grad);
        let [depth, height, width] = shape.output;
        let planes = shape.batch * depth;
        let columns = if rows_of_grad.by_row() { width } else { width.div_ceil(width.div_ceil(PIXELS)) };
        let rows = if columns < width { 1 } else { (PIXELS / width).clamp(1, height) };
        let rows = height.div_ceil(height.div_ceil(rows));
        let together = if rows < height { 1 } else { (PIXELS / (height * width)).clamp(1, planes) };
        let units = [planes.div_ceil(together), height.div_ceil(rows), width.div_ceil(columns)];

        let size = shape.kernel_len();
        let blocks = (planes * height * width / BLOCK_PIXELS).min(PARTIAL / size.max(1)).clamp(1, BLOCKS);
        let blocks = blocks.min(units.iter().product());
        let vectors = shape.group_out().div_ceil(kernels.lanes).min(2);
        let tiles = shape.group_in().div_ceil(kernels.rows[vectors - 1]);
        let panels = shape.groups * shape.group_out().div_ceil(vectors * kernels.lanes);
        let wanted = (TASKS * threads).div_ceil(blocks).max(size.div_ceil(PART));
        let mut parts = [1, 1];
        // Each part of the tiles packs the gradients again, each of the panels the inputs.
        while parts[0] * parts[1] < wanted && (parts[0] < tiles || parts[1] < panels) {
            let panels_are_more = panels * parts[0] >= tiles * parts[1];
            parts[usize::from(parts[0] == tiles || panels_are_more && parts[1] < panels)] += 1;
        }
        Self {
            kernels,
            shape,
            geometry: Geometry::forward(shape),
            rows_of_grad,
            extent: [together, rows, columns],
            units,
            blocks,
            vectors,
            tiles,
            panels,
            parts,
        }
    }

    /// Computes the partial sums of all blocks in `out`, and those of the bias gradient in `biases`.
    pub fn run(&self, pool: &ThreadPool, x: &[E], out: &mut [E], biases: Option<&mut [E]>) {
        let (size, channels) = (out.len() / self.blocks, self.shape.out_channels);
        let units = self.units.iter().product::<usize>();
        let (out, biases) = (SharedMut::new(out), biases.map(SharedMut::new));
        let [tile_parts, panel_parts] = self.parts;
        pool.run(self.blocks * tile_parts * panel_parts, &|task| {
            let (block, part) = (task / (tile_parts * panel_parts), task % (tile_parts * panel_parts));
            let (t, p) = (part / panel_parts, part % panel_parts);
            let tiles = t * self.tiles / tile_parts..(t + 1) * self.tiles / tile_parts;
            let panels = p * self.panels / panel_parts..(p + 1) * self.panels / panel_parts;
            let units = block * units / self.blocks..(block + 1) * units / self.blocks;
            let bias = biases.as_ref().filter(|_| part == 0);
            // SAFETY: blocks have separate partial sums, and only the first part of a block sums the bias.
            let sums = bias.map(|biases| unsafe { biases.range(block * channels..(block + 1) * channels) });
            with_local(|local| {
                // SAFETY: as above, and parts of a block write disjoint tiles and panels.
                unsafe { self.block(x, units, tiles, panels, out.as_ptr().wrapping_add(block * size), sums, local) };
            });
        });
    }

    fn region(&self, unit: usize) -> Region {
        let [_, height, width] = self.shape.output;
        let planes = self.shape.batch * self.shape.output[0];
        let [_, strips, pieces] = self.units;
        let at = [unit / (strips * pieces), unit / pieces % strips, unit % pieces];
        let range =
            |axis: usize, all: usize| at[axis] * self.extent[axis]..((at[axis] + 1) * self.extent[axis]).min(all);
        Region { planes: range(0, planes), rows: range(1, height), columns: range(2, width) }
    }

    /// Sums over units for some tiles of input channels and panels of output channels.
    ///
    /// # Safety
    /// `dw` has the kernel's length, and no other task writes these tiles and panels.
    unsafe fn block(
        &self,
        x: &[E],
        units: Range<usize>,
        tiles: Range<usize>,
        panels: Range<usize>,
        dw: *mut E,
        mut sums: Option<&mut [E]>,
        local: &mut Scratch,
    ) {
        let (shape, geometry, lanes) = (self.shape, &self.geometry, self.kernels.lanes);
        let [_, height, width] = shape.output;
        let panel_width = self.vectors * lanes;
        let per_group = self.panels / shape.groups;
        let tile_rows: Vec<[usize; 2]> = even(0, shape.group_in(), self.kernels.rows[self.vectors - 1]).collect();
        let channels = tile_rows[tiles.start][0]..tile_rows[tiles.end - 1][1];
        for panel in panels.clone() {
            let [column, present] = self.columns(panel);
            for tap in 0..shape.taps() {
                for channel in channels.clone() {
                    let row = dw.wrapping_add((tap * shape.group_in() + channel) * shape.out_channels + column);
                    // SAFETY: these sums belong to the task.
                    unsafe { std::slice::from_raw_parts_mut(row, present) }.fill(E::ZERO);
                }
            }
        }
        let groups = panels.start / per_group..(panels.end - 1) / per_group + 1;
        let most = self.extent.iter().product::<usize>();
        let most_inputs = self.extent[0]
            * shape.kernel[0]
            * geometry.span(1, self.extent[1]).min(shape.input[1])
            * geometry.span(2, self.extent[2]).min(shape.input[2]);
        let (inputs, gradients, expanded) = local.take3::<E, E, E>(
            most_inputs * groups.len() * channels.len(),
            most * panels.len() * panel_width,
            if self.rows_of_grad.in_place() { 0 } else { most * shape.out_channels },
        );
        let mut taps = [const { Vec::new() }; 2];
        for unit in units {
            let region = self.region(unit);
            let windows = [geometry.window(1, region.rows.clone()), geometry.window(2, region.columns.clone())];
            // Several planes are full, and so contiguous.
            let pixels = region.planes.len() * region.pixels();
            let first = (region.planes.start * height + region.rows.start) * width + region.columns.start;
            let dy = self.rows_of_grad.read(first..first + pixels, expanded);
            if let Some(sums) = &mut sums {
                self.rows_of_grad.add(dy, sums);
            }
            self.pack_gradients(dy, panels.clone(), gradients);
            let read = self.inputs(&region, &windows);
            self.pack_inputs(x, &region, &windows, groups.clone(), &tile_rows[tiles.clone()], inputs);
            for (index, panel) in panels.clone().enumerate() {
                let [column, present] = self.columns(panel);
                let b = gradients[index * pixels * panel_width..].as_ptr();
                let group = (panel / per_group - groups.start) * channels.len();
                for &[first, last] in &tile_rows[tiles.clone()] {
                    let a = inputs[(group + first - channels.start) * read..].as_ptr();
                    let c = dw.wrapping_add(first * shape.out_channels + column);
                    // SAFETY: the operands are packed; the sums belong to the task.
                    unsafe { self.tile(&region, &windows, last - first, a, b, present, c, &mut taps) };
                }
            }
        }
    }

    /// First output channel of a panel, and their number.
    fn columns(&self, panel: usize) -> [usize; 2] {
        let (outputs, width) = (self.shape.group_out(), self.vectors * self.kernels.lanes);
        let per_group = self.panels / self.shape.groups;
        let first = panel % per_group * width;
        [panel / per_group * outputs + first, width.min(outputs - first)]
    }

    /// Packs output gradients, `[panel][pixel][channel]`.
    fn pack_gradients(&self, dy: &[E], panels: Range<usize>, to: &mut [E]) {
        let (all, width) = (self.shape.out_channels, self.vectors * self.kernels.lanes);
        let pixels = dy.len() / all;
        let [first, _] = self.columns(panels.start);
        if self.shape.group_out().is_multiple_of(width) {
            let from = dy[first..].as_ptr();
            // SAFETY: `dy` holds `pixels` rows of `all` channels, in adjacent panels.
            if unsafe { pack::panels(from, all as isize, 1, pixels, panels.len(), width, to) } == panels.len() {
                return;
            }
        }
        for (panel, to) in panels.zip(to.chunks_exact_mut(pixels * width)) {
            let [first, present] = self.columns(panel);
            // SAFETY: `dy` holds `pixels` rows of `all` channels.
            unsafe { pack::columns(dy[first..].as_ptr(), all as isize, 1, pixels, present, width, to) };
        }
    }

    /// Inputs that a region reads.
    fn inputs(&self, region: &Region, [rows, columns]: &[Window; 2]) -> usize {
        region.planes.len() * self.shape.kernel[0] * rows.count * columns.count
    }

    /// Packs the inputs that a region reads, `[group][tile][plane][depth tap][row][column][channel]`, row by row.
    fn pack_inputs(
        &self,
        x: &[E],
        region: &Region,
        windows: &[Window; 2],
        groups: Range<usize>,
        tiles: &[[usize; 2]],
        to: &mut [E],
    ) {
        let (shape, geometry) = (self.shape, &self.geometry);
        let [depth, height, width] = shape.input;
        let [rows, columns] = windows;
        if columns.count == 0 {
            return;
        }
        let inputs = self.inputs(region, windows);
        let channels = tiles[tiles.len() - 1][1] - tiles[0][0];
        for (index, plane) in region.planes.clone().enumerate() {
            let (image, d) = (plane / shape.output[0], plane % shape.output[0]);
            for tap in geometry.taps_inside(0, d) {
                let d = geometry.position(0, d, tap);
                for row in 0..rows.count {
                    let h = rows.low + row * rows.step;
                    let pixel = ((image * depth + d) * height + h) * width + columns.low;
                    let at = ((index * shape.kernel[0] + tap) * rows.count + row) * columns.count;
                    for (number, group) in groups.clone().enumerate() {
                        for &[first, last] in tiles {
                            let n = last - first;
                            let from = &x[pixel * shape.in_channels + group * shape.group_in() + first..];
                            let start = (number * channels + first - tiles[0][0]) * inputs + at * n;
                            let to = &mut to[start..][..columns.count * n];
                            let step = columns.step * shape.in_channels;
                            assert!(from.len() >= (columns.count - 1) * step + n);
                            // SAFETY: the source holds the last column, by the assertion.
                            unsafe { pack::rows(from.as_ptr(), 1, step as isize, n, columns.count, to) };
                        }
                    }
                }
            }
        }
    }

    /// Adds the products of all taps for one tile of `rows` input channels.
    ///
    /// # Safety
    /// The operands are packed for the region, and no other task writes these elements of C.
    unsafe fn tile(
        &self,
        region: &Region,
        windows: &[Window; 2],
        rows: usize,
        inputs: *const E,
        gradients: *const E,
        present: usize,
        c: *mut E,
        [a_taps, b_taps]: &mut [Vec<usize>; 2],
    ) {
        let (shape, geometry, lanes) = (self.shape, &self.geometry, self.kernels.lanes);
        let [kd, kh, kw] = shape.kernel;
        let (vectors_used, width) = (present.div_ceil(lanes), self.vectors * lanes);
        let [tall, wide] = windows;
        // Distances between rows of outputs in both operands.
        let a_row = shape.strides[1] / tall.step * wide.count * rows;
        let b_row = region.columns.len() * width;
        for tap in 0..shape.taps() {
            let [d, h, w] = [tap / (kh * kw), tap / kw % kh, tap % kw];
            let outputs = geometry.outputs_inside(1, h, &region.rows);
            let columns = geometry.outputs_inside(2, w, &region.columns);
            if w == 0 && !outputs.is_empty() {
                a_taps.clear();
                b_taps.clear();
                let row = tall.index(geometry.position(1, outputs.start, h));
                for (index, plane) in region.planes.clone().enumerate() {
                    if geometry.taps_inside(0, plane % shape.output[0]).contains(&d) {
                        let first = ((index * kd + d) * tall.count + row) * wide.count * rows;
                        a_taps.extend((0..outputs.len()).map(|row| first + row * a_row));
                        let first = index * region.pixels() * width + (outputs.start - region.rows.start) * b_row;
                        b_taps.extend((0..outputs.len()).map(|row| first + row * b_row));
                    }
                }
            }
            if outputs.is_empty() || columns.is_empty() || a_taps.is_empty() {
                continue;
            }
            let column = wide.index(geometry.position(2, columns.start, w));
            let b = gradients.wrapping_add((columns.start - region.columns.start) * width);
            let tile = Tile {
                a: inputs.wrapping_add(column * rows),
                a_stride: shape.strides[2] / wide.step * rows,
                taps: a_taps.as_ptr(),
                tap_count: a_taps.len(),
                run: columns.len(),
                b,
                b_taps: b_taps.as_ptr(),
                b_stride: width,
                ahead: b,
                ahead_stride: 0,
                c: c.wrapping_add(tap * shape.group_in() * shape.out_channels),
                c_stride: shape.out_channels,
                last: present - (vectors_used - 1) * lanes,
                bias: null(),
                relu: None,
                accumulate: true,
            };
            // SAFETY: the caller's contract.
            unsafe { self.kernels.tile(true, rows, vectors_used)(&tile) };
        }
    }
}
