//! Few tiles, as of one image with many channels: the transformed kernel, four times as large as the kernel itself, would
//! be written to memory and read back for little arithmetic. Instead the tiles are transformed first, and the kernel part
//! by part: each part is multiplied with all tiles while it is in the L2 cache. The kernel gradient is likewise summed and
//! transformed back part by part.

use super::points::Taps;
use super::products::{outer_product, Panels};
use super::traits::{intermediate_len, CarriedRows, Pixel, Points, SecondLayout, Transforms};
use super::types::{BackwardPass, ForwardPass, Kernel};
use super::{padded_len, Tiling, IN, POINTS};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use std::ops::Range;
use std::ptr::null_mut;

/// Panels and steps of a part of the kernel: 0.6 MB of points.
const PANELS: usize = 2;
const STEPS: usize = 64;
/// Input channels (the rows of two register tiles) and output channels of a part of the kernel gradient.
const INPUTS: usize = 28;
const OUTPUTS: usize = 128;

/// Runs the forward pass.
pub(super) fn forward<E: Pixel>(pass: &ForwardPass<'_, E>, pool: &ThreadPool, kernel: Kernel, scratch: &mut Scratch) {
    let (tiling, panels) = (&pass.tiling, &pass.panels);
    let (rows, tiles) = (tiling.rows(), tiling.tiles_per_row);
    let [lhs_row, result_row] = [panels.lhs_row(), panels.result_row()];
    let strides = [lhs_row, result_row].map(|row| padded_len(rows * tiles * row));
    let (patches, results) = scratch.take2::<f32, f32>(POINTS * strides[0], POINTS * strides[1]);
    for_rows(pool, tiling, panels, patches, &|row, patches, intermediate| {
        let base = patches.wrapping_add(row * tiles * lhs_row);
        // SAFETY: rows have disjoint points within `patches`.
        unsafe { pass.transform_patch_row(row, base, strides[0], intermediate) };
    });
    multiply(pool, panels, pass.transforms, kernel, false, rows * tiles, patches, results, strides);
    for_rows(pool, tiling, panels, results, &|row, results, intermediate| {
        let base = results.wrapping_add(row * tiles * result_row);
        // SAFETY: rows have disjoint points within `results`, and disjoint outputs.
        unsafe { pass.transform_result_row(row, base, strides[1], intermediate) };
    });
}

/// Calls `body(row, points, intermediate)` for each row of tiles.
fn for_rows(
    pool: &ThreadPool,
    tiling: &Tiling,
    panels: &Panels,
    points: &mut [f32],
    body: &(dyn Fn(usize, *mut f32, &mut [f32]) + Sync),
) {
    let points = SharedMut::new(points);
    pool.run(tiling.rows(), &|row| {
        with_local(|local| {
            let intermediate = intermediate_len(tiling.tiles_per_row, panels.kernels.lanes);
            body(row, points.as_ptr(), local.take::<f32>(intermediate));
        });
    });
}

/// Multiplies the points of all tiles by the kernel, which is transformed part by part unless it is packed already.
fn multiply<E: Pixel>(
    pool: &ThreadPool,
    panels: &Panels,
    transforms: &'static Transforms<E>,
    kernel: Kernel,
    transposed: bool,
    tiles: usize,
    a: &[f32],
    c: &mut [f32],
    [a_stride, c_stride]: [usize; 2],
) {
    let (width, steps) = (panels.width(), panels.steps());
    let c_len = c.len();
    let c = SharedMut::new(c);
    pool.run(panels.panels.div_ceil(PANELS), &|task| {
        with_local(|local| {
            let stride = padded_len(PANELS * STEPS * width);
            let part = local.take::<f32>(if let Kernel::Taps(_) = kernel { POINTS * stride } else { 0 });
            for start in (0..steps).step_by(STEPS) {
                let range = start..(start + STEPS).min(steps);
                let of_task = task * PANELS..((task + 1) * PANELS).min(panels.panels);
                if let Kernel::Taps(w) = kernel {
                    for (index, panel) in of_task.clone().enumerate() {
                        let to = part[index * range.len() * width..].as_mut_ptr();
                        // SAFETY: the part has room for its panels and steps at each point.
                        unsafe { panels.pack_panel(transforms, w, transposed, panel, range.clone(), to, stride) };
                    }
                }
                for (point, (index, panel)) in
                    (0..POINTS).flat_map(|point| of_task.clone().enumerate().map(move |panel| (point, panel)))
                {
                    let b = match kernel {
                        Kernel::Points(packed) => panels.panel(point, packed, panel, range.clone()),
                        Kernel::Taps(_) => &part[point * stride + index * range.len() * width..][..range.len() * width],
                    };
                    let at = point * c_stride + panel * width;
                    // SAFETY: tasks access disjoint columns of `c`, and the product only those of its panel.
                    let c = unsafe { std::slice::from_raw_parts_mut(c.as_ptr().add(at), c_len - at) };
                    panels.panel_product(b, tiles, &a[point * a_stride + start..], c, start > 0);
                }
            }
        });
    });
}

/// Computes the requested gradients.
pub(super) fn backward<E: Pixel>(
    pass: &BackwardPass<'_, E>,
    pool: &ThreadPool,
    w: &[f32],
    dx: Option<&mut [E]>,
    dw: Option<&mut [f32]>,
    db: Option<&mut [f32]>,
    scratch: &mut Scratch,
) {
    let (tiling, panels, gradient_row) = (&pass.tiling, &pass.panels, pass.gradient_row);
    let (rows, tiles) = (tiling.rows(), tiling.tiles_per_row);
    let [lhs_row, patch_row] = [panels.lhs_row(), panels.result_row()];
    // The layouts of gradients for sums over tiles and over channels differ for pairs only.
    let by_tiles = if E::PAIRED && dw.is_none() { 0 } else { padded_len(rows * pass.tile_steps() * gradient_row) };
    let by_channels = if E::PAIRED && (dx.is_some() || dw.is_none()) { padded_len(rows * tiles * lhs_row) } else { 0 };
    let patch_stride = padded_len(rows * tiles * patch_row);
    let (gradients, patches, biases) = scratch.take3::<f32, f32, f32>(
        POINTS * (by_tiles + by_channels),
        POINTS * patch_stride,
        if db.is_some() { rows * gradient_row } else { 0 },
    );
    biases.fill(0.0);
    transform_gradients(pass, pool, [dw.is_some(), dx.is_some()], gradients, [by_tiles, by_channels], biases);
    if let Some(db) = db {
        for (c, db) in db.iter_mut().enumerate() {
            *db = biases[c..].iter().step_by(gradient_row).sum();
        }
    }
    let (by_tile, by_channel) = gradients.split_at(POINTS * by_tiles);
    if let Some(dw) = dw {
        transform_patches(pass, pool, patches, patch_stride);
        kernel_gradient(pass, pool, patches, patch_stride, by_tile, by_tiles, dw);
    }
    if let Some(dx) = dx {
        let (a, a_stride) = if E::PAIRED { (by_channel, by_channels) } else { (by_tile, by_tiles) };
        let strides = [a_stride, patch_stride];
        multiply(pool, panels, pass.transforms, Kernel::Taps(w), true, rows * tiles, a, patches, strides);
        transform_pixels(pass, pool, patches, patch_stride, dx);
    }
}

/// Transforms the output gradients to points, with their sums for each row of tiles if `biases` is not empty.
fn transform_gradients<E: Pixel>(
    pass: &BackwardPass<'_, E>,
    pool: &ThreadPool,
    [kernel, input]: [bool; 2],
    gradients: &mut [f32],
    [by_tiles, by_channels]: [usize; 2],
    biases: &mut [f32],
) {
    let (tiles, lhs_row, gradient_row) = (pass.tiling.tiles_per_row, pass.panels.lhs_row(), pass.gradient_row);
    let transform = match (kernel, input) {
        (true, true) => pass.transforms.gradients_both,
        _ => pass.transforms.gradients[usize::from(kernel)],
    };
    let biases = SharedMut::new(biases);
    for_rows(pool, &pass.tiling, &pass.panels, gradients, &|row, points, intermediate| {
        let first = SecondLayout {
            base: points.wrapping_add(row * pass.tile_steps() * gradient_row),
            stride: by_tiles,
            step: gradient_row,
        };
        let channels = SecondLayout {
            base: points.wrapping_add(POINTS * by_tiles + row * tiles * lhs_row),
            stride: by_channels,
            step: lhs_row,
        };
        let SecondLayout { base, stride, step } = if E::PAIRED && !kernel { channels } else { first };
        let points = Points { base, stride, step, tiles, intermediate: intermediate.as_mut_ptr(), second: channels };
        let sums = if biases.is_empty() { null_mut() } else { biases.as_ptr().wrapping_add(row * gradient_row) };
        let image = pass.tiling.outputs(row, pass.shape.out_channels, |n| pass.source(n));
        // SAFETY: the image lies within the gradients; rows have disjoint points and sums.
        unsafe { transform(&image, sums, &points) };
    });
}

/// Transforms the patches to points for sums over tiles.
fn transform_patches<E: Pixel>(pass: &BackwardPass<'_, E>, pool: &ThreadPool, patches: &mut [f32], stride: usize) {
    let (tiles, step) = (pass.tiling.tiles_per_row, pass.panels.result_row());
    for_rows(pool, &pass.tiling, &pass.panels, patches, &|row, points, intermediate| {
        let image = pass.tiling.patches(row, pass.shape.in_channels, |at| pass.x[at..].as_ptr());
        let base = points.wrapping_add(row * pass.tile_steps() * step);
        let intermediate = intermediate.as_mut_ptr();
        let to = Points { base, stride, step, tiles, intermediate, second: SecondLayout::NONE };
        // SAFETY: the image lies within `x`; rows have disjoint points.
        unsafe { (pass.transforms.patches[1])(&image, &to) };
    });
}

/// Sums the kernel gradient and transforms it to taps.
fn kernel_gradient<E: Pixel>(
    pass: &BackwardPass<'_, E>,
    pool: &ThreadPool,
    patches: &[f32],
    patch_stride: usize,
    gradients: &[f32],
    gradient_stride: usize,
    dw: &mut [f32],
) {
    let (inputs, outputs) = (pass.shape.in_channels, pass.shape.out_channels);
    let [patch_row, gradient_row] = [pass.panels.result_row(), pass.gradient_row];
    let size = pass.tiling.rows() * pass.tile_steps();
    let parts = gradient_row.div_ceil(OUTPUTS);
    let dw = SharedMut::new(dw);
    pool.run(inputs.div_ceil(INPUTS) * parts, &|task| {
        let (first, column) = (task / parts * INPUTS, task % parts * OUTPUTS);
        let (rows, columns) = (INPUTS.min(inputs - first), OUTPUTS.min(gradient_row - column));
        let stride = padded_len(rows * columns);
        with_local(|local| {
            let sums = local.take::<f32>(POINTS * stride);
            for (point, sums) in sums.chunks_exact_mut(stride).enumerate() {
                let a = &patches[point * patch_stride + first..];
                let b = &gradients[point * gradient_stride + column..];
                outer_product(pass.panels.kernels, size, [rows, columns], [patch_row, gradient_row], a, b, sums, false);
            }
            for k in 0..rows {
                let args = Taps {
                    taps: dw.as_ptr().wrapping_add((first + k) * outputs + column),
                    tap_stride: inputs * outputs,
                    points: sums.as_mut_ptr().wrapping_add(k * columns),
                    point_stride: stride,
                    count: columns.min(outputs - column),
                };
                // SAFETY: tasks write disjoint channels; the sums are rows of full vectors.
                unsafe { (pass.transforms.kernel_gradient)(&args) };
            }
        });
    });
}

/// Transforms the points of the input gradient to pixels, image by image.
fn transform_pixels<E: Pixel>(
    pass: &BackwardPass<'_, E>,
    pool: &ThreadPool,
    points: &mut [f32],
    stride: usize,
    dx: &mut [E],
) {
    let (tiling, channels, step) = (&pass.tiling, pass.shape.in_channels, pass.panels.result_row());
    let (rows, tiles) = (tiling.rows_per_image, tiling.tiles_per_row);
    let (points, dx) = (SharedMut::new(points), SharedMut::new(dx));
    pool.run(tiling.images, &|image| {
        with_local(|local| {
            let intermediate = intermediate_len(tiles, pass.panels.kernels.lanes);
            // Two rows of pixels carried to the next row of tiles.
            let (intermediate, carry) = local.take2::<f32, f32>(intermediate, 2 * tiling.input[1] * channels);
            let rows: Range<usize> = image * rows..(image + 1) * rows;
            for row in rows.clone() {
                let base = points.as_ptr().wrapping_add(row * tiles * step);
                let (intermediate, second) = (intermediate.as_mut_ptr(), SecondLayout::NONE);
                let from = Points { base, stride, step, tiles, intermediate, second };
                let to = tiling.patches(row, channels, |at| dx.as_ptr().wrapping_add(at));
                let last = row + 1 == rows.end;
                let carried = CarriedRows {
                    written: if last { IN } else { super::OUT },
                    add_carry: row > rows.start,
                    store_carry: !last,
                    carry: carry.as_mut_ptr(),
                };
                // SAFETY: images have disjoint points and pixels.
                unsafe { (pass.transforms.pixels)(&to, carried, &from) };
            }
        });
    });
}
