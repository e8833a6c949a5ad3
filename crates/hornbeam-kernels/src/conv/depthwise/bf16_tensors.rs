//! Few taps over bfloat16 tensors, which are read and written as they are: converted lines would leave the L1 cache.

use super::in_place::{list_lines, list_taps, segments};
use super::storage::{Lines, Storage};
use super::{few_taps, Placement, ENOUGH_TASKS};
use crate::conv::patch::Geometry;
use crate::dtype::bf16;
use crate::gemm::types::{Depthwise, DepthwiseHalves};
use crate::gemm::Epilogue;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;
use std::ptr::null;

/// Returns true if there are kernels for the shape.
pub(super) fn supports(kernels: &Depthwise<f32>, geometry: &Geometry, epilogue: &Epilogue<f32>) -> bool {
    !kernels.halves.is_empty() && few_taps(geometry) && geometry.channels >= 2 * kernels.lanes && !epilogue.accumulate
}

/// Computes like [`super::correlate`], in blocks of `2 * lanes` channels; the last may overlap the one before.
pub(super) fn correlate(
    pool: &ThreadPool,
    kernels: &'static Depthwise<f32>,
    geometry: &Geometry,
    placement: &Placement,
    batch: usize,
    x: &[bf16],
    w: &[f32],
    y: &mut [bf16],
    epilogue: Epilogue<f32>,
) {
    let ([depth, height, _], channels) = (geometry.output, geometry.channels);
    let block = 2 * kernels.lanes;
    let firsts: Vec<usize> = (0..channels).step_by(block).map(|first| first.min(channels - block)).collect();
    let taps: usize = geometry.taps.iter().product();
    let rows = geometry.rows_per_task(batch, ENOUGH_TASKS);
    let strips = height.div_ceil(rows);
    let segments = segments(geometry, kernels.halves.len());
    let y = SharedMut::new(y);
    with_local(|local| {
        let (packed, bias) = local.take2::<f32, f32>(firsts.len() * taps * block, firsts.len() * block);
        for ((first, packed), packed_bias) in
            firsts.iter().zip(packed.chunks_mut((taps * block).max(1))).zip(bias.chunks_exact_mut(block))
        {
            for (w, to) in w.chunks_exact(channels).zip(packed.chunks_exact_mut(block)) {
                split_words(&w[*first..first + block], to);
            }
            if let Some(bias) = epilogue.bias {
                split_words(&bias[*first..first + block], packed_bias);
            }
        }
        let (packed, bias) = (&*packed, &*bias);
        pool.run(batch * depth * strips, &|task| {
            let (rest, strip) = (task / strips, task % strips);
            let (n, d) = (rest / depth, rest % depth);
            let plane = (n * placement.extent[0] + placement.base[0] + d * placement.step[0]) * placement.extent[1];
            let lines = Lines::<bf16, bf16>::new(&Storage::Same, geometry, 1, x, n, &mut []);
            let mut lines_of_row = Vec::with_capacity(taps);
            let mut taps_of_segment = Vec::with_capacity(taps);
            for row in strip * rows..((strip + 1) * rows).min(height) {
                let line = placement.extent[2] * (plane + placement.base[1] + row * placement.step[1]);
                list_lines(geometry, d, row..row + 1, &lines, block, &mut lines_of_row);
                for (index, (pixels, columns)) in segments.iter().enumerate() {
                    if index == 0 || *columns != segments[index - 1].1 {
                        list_taps(geometry, &lines_of_row, columns.clone(), block, &mut taps_of_segment);
                    }
                    let pixel = line + placement.base[2] + pixels.start * placement.step[2];
                    for (index, first) in firsts.iter().enumerate() {
                        let args = DepthwiseHalves {
                            x: lines.first().wrapping_add(pixels.start * geometry.strides[2] * channels + first),
                            pixel_stride: geometry.strides[2] * channels,
                            taps: taps_of_segment.as_ptr(),
                            tap_count: taps_of_segment.len(),
                            w: packed.as_ptr().wrapping_add(index * taps * block),
                            y: y.as_ptr().wrapping_add(pixel * channels + first),
                            y_stride: placement.step[2] * channels,
                            bias: epilogue.bias.map_or(null(), |_| bias[index * block..].as_ptr()),
                            relu: epilogue.activation.relu(),
                        };
                        // SAFETY: the taps lie inside the image, and no other task writes these outputs.
                        unsafe { kernels.halves[pixels.len() - 1](&args) };
                    }
                }
            }
        });
    });
}

/// Copies the values of the lower numbers of all pairs, and then of the upper.
fn split_words(from: &[f32], to: &mut [f32]) {
    let (lower, upper) = to.split_at_mut(from.len() / 2);
    for ((pair, lower), upper) in from.chunks_exact(2).zip(lower).zip(upper) {
        (*lower, *upper) = (pair[0], pair[1]);
    }
}
