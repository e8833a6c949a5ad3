//! Rows of columns and of sums: their layout, and kernels on them.

use crate::gemm::types::Real;
use crate::gemm::vector::clamp;
use crate::gemm::{pack, Epilogue};
use crate::multiversion;
use std::ops::Range;

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

/// Layout of a part of a row. Position `j * stride + residue` of the result is element `j - part.start` of the plane of
/// its residue.
pub(super) struct Line {
    pub part: Range<usize>,
    /// Pixels of the source that contribute to the part.
    pub source: Range<usize>,
    /// Residue and offset of the element from the source pixel, for each tap along the width.
    pub taps: Vec<(usize, isize)>,
    /// Elements of a plane, in full chunks.
    pub plane: usize,
    /// Zeros before the first row, and the distance between rows: taps read at most the zeros on both sides of their row.
    pub lead: usize,
    pub pitch: usize,
}

impl Line {
    pub fn new([start, end]: [usize; 2], source: usize, taps: usize, stride: usize, step: usize, low: isize) -> Self {
        let stride = stride as isize;
        let positions = || (0..taps).map(|tap| (tap * step) as isize - low);
        let shifts = || positions().map(|position| position.div_euclid(stride));
        let inside = |pixel: Option<isize>| pixel.unwrap_or(0).clamp(0, source as isize);
        let first = inside(shifts().map(|shift| start as isize - shift).min());
        let last = inside(shifts().map(|shift| end as isize - shift).max()).max(first);
        let shift_of_part = first - start as isize;
        let left = shifts().map(|shift| shift + shift_of_part).fold(0, isize::max);
        let right = shifts().map(|shift| end as isize - shift - last).fold(0, isize::max);
        Self {
            part: start..end,
            source: first as usize..last as usize,
            taps: positions().zip(shifts()).map(|(p, s)| (p.rem_euclid(stride) as usize, s + shift_of_part)).collect(),
            plane: (end - start).next_multiple_of(CHUNK),
            lead: left as usize,
            pitch: (last - first + left.max(right)) as usize,
        }
    }
}

multiversion! {
    /// Adds the elements of `columns` from each offset on.
    unsafe fn add_columns[S, E: Real; E::DTYPE.copies()](sums: &mut [E], columns: *const E, offsets: &[usize]) {
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
    unsafe fn finish_row[S, E: Real; E::DTYPE.copies()](sums: &[E], plane: usize, y: &mut [E], epilogue: Epilogue<'_, E>) {
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
        if let Some(limit) = epilogue.activation.relu() {
            for y in y {
                *y = clamp(*y, limit);
            }
        }
    }
}
