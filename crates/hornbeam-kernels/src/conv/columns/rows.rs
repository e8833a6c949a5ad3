//! Rows of columns and of sums: their layout, and kernels on them.

use crate::gemm::types::Real;
use crate::gemm::{pack, Activation, Epilogue};
use crate::multiversion;

/// Elements that are added at a time.
pub(super) const CHUNK: usize = 16;

/// Kernels on rows of columns and sums, for the instruction set of the calling thread.
pub(super) struct RowKernels<E> {
    pub add: unsafe fn(&mut [E], *const E, &[usize]),
    pub finish: unsafe fn(&[E], usize, &mut [E], Epilogue<'_, E>),
}

impl<E: Real> RowKernels<E> {
    pub fn new() -> Self {
        Self { add: add_columns::<E>(), finish: finish_row::<E>() }
    }
}

/// Layout of a row of pixels. Position `j * stride + residue` of the result is element `j` of the plane of its residue.
pub(super) struct Line {
    /// Residue and offset of `j` from the source pixel, for each tap along the width.
    pub taps: Vec<(usize, isize)>,
    /// Elements of a plane, in full chunks.
    pub plane: usize,
    /// Zeros before the first row, and the distance between rows: taps read at most the zeros on both sides of their row.
    pub lead: usize,
    pub pitch: usize,
}

impl Line {
    pub fn new(source: usize, result: usize, taps: usize, stride: usize, step: usize, low: isize) -> Self {
        let positions = (0..taps).map(|tap| (tap * step) as isize - low);
        let taps: Vec<_> =
            positions.map(|p| (p.rem_euclid(stride as isize) as usize, p.div_euclid(stride as isize))).collect();
        let length = result.div_ceil(stride);
        let left = taps.iter().map(|tap| tap.1).fold(0, isize::max);
        let right = taps.iter().map(|tap| length as isize - source as isize - tap.1).fold(0, isize::max);
        Self {
            taps,
            plane: length.next_multiple_of(CHUNK),
            lead: left as usize,
            pitch: source + left.max(right) as usize,
        }
    }
}

multiversion! {
    /// Adds the elements of `columns` from each offset on.
    unsafe fn add_columns[S, E: Real](sums: &mut [E], columns: *const E, offsets: &[usize]) {
        for (j, sums) in sums.chunks_exact_mut(CHUNK).enumerate() {
            let mut chunk = [E::ZERO; CHUNK];
            chunk.copy_from_slice(sums);
            for offset in offsets {
                // SAFETY: the caller's contract.
                let from = unsafe { columns.add(offset + j * CHUNK).cast::<[E; CHUNK]>().read_unaligned() };
                for (sum, from) in chunk.iter_mut().zip(from) {
                    *sum = E::plus(*sum, from);
                }
            }
            sums.copy_from_slice(&chunk);
        }
    }

    /// Interleaves the planes of a row, `y[j, p] = act(sums[p, j] + bias (+ y))`.
    unsafe fn finish_row[S, E: Real](sums: &[E], plane: usize, y: &mut [E], epilogue: Epilogue<'_, E>) {
        let planes = sums.len() / plane;
        if epilogue.accumulate {
            for (p, sums) in sums.chunks_exact(plane).enumerate() {
                for (sum, y) in sums.iter().zip(y.iter_mut().skip(p).step_by(planes)) {
                    *y = E::plus(*sum, *y);
                }
            }
        } else {
            let (full, rest) = y.split_at_mut(y.len() / planes * planes);
            // SAFETY: a plane holds at least as many elements as `full`.
            unsafe {
                let (k, to) = (full.len() / planes, full.as_mut_ptr());
                pack::transpose(sums.as_ptr(), plane as isize, planes, k, to, planes);
            }
            for (y, sums) in rest.iter_mut().zip(sums.chunks_exact(plane)) {
                *y = sums[full.len() / planes];
            }
        }
        if let Some(bias) = epilogue.bias {
            for y in y.chunks_exact_mut(bias.len()) {
                for (y, bias) in y.iter_mut().zip(bias) {
                    *y = E::plus(*y, *bias);
                }
            }
        }
        if epilogue.activation == Activation::Relu {
            for y in y {
                // NaN fails the comparison and stays.
                *y = if *y < E::ZERO { E::ZERO } else { *y };
            }
        }
    }
}
