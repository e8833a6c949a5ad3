//! Data movement: a strided copy, and shape operations based on it.
//!
//! Elements are moved by size (1, 2, 4 or 8 bytes), so kernels are independent of dtypes except for [`iota`]. Buffers need
//! no alignment.

#[cfg(test)]
mod tests;
mod tile;

use crate::dispatch;
use crate::dtype::{DType, Element};
use crate::multiversion;
use crate::pool::ThreadPool;
use crate::simd::{Copies, Target};
use crate::window::PoolElement;
use tile::TILE;

/// Bytes of a task; copies of fewer than two tasks stay on the calling thread.
const TASK_BYTES: usize = 1 << 16;

/// Axis of a copy: its extent, and its strides (in elements) in source and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    pub extent: usize,
    pub src: isize,
    pub dst: isize,
}

/// Row-major strides in elements.
pub fn strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1isize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}

/// Merges the axes of a copy into as few as possible, outermost in the destination first.
pub fn simplify(axes: &[Axis]) -> Vec<Axis> {
    let mut sorted: Vec<Axis> = axes.iter().copied().filter(|a| a.extent != 1).collect();
    sorted.sort_by_key(|a| std::cmp::Reverse(a.dst.abs()));
    let mut merged: Vec<Axis> = Vec::with_capacity(sorted.len());
    for axis in sorted {
        match merged.last_mut() {
            Some(last)
                if last.src == axis.src * axis.extent as isize && last.dst == axis.dst * axis.extent as isize =>
            {
                *last = Axis { extent: last.extent * axis.extent, ..axis };
            }
            _ => merged.push(axis),
        }
    }
    merged
}

/// Copies the elements that `axes` describe.
///
/// # Safety
/// All addressed elements of `size` bytes (1, 2, 4 or 8) must be valid; addressed destinations must be distinct and must not
/// overlap the source.
pub unsafe fn copy_strided(pool: &ThreadPool, size: usize, src: *const u8, dst: *mut u8, axes: &[Axis]) {
    let axes = simplify(axes);
    if axes.iter().any(|a| a.extent == 0) {
        return;
    }
    let copy = match size {
        1 => copy_axes::<u8>(),
        2 => copy_axes::<u16>(),
        4 => copy_axes::<u32>(),
        8 => copy_axes::<u64>(),
        _ => panic!("elements of {size} bytes are not supported: expected 1, 2, 4 or 8"),
    };
    let bytes = size * axes.iter().map(|a| a.extent).product::<usize>();
    let split = axes.iter().position(|a| a.extent >= 16).or_else(|| (0..axes.len()).max_by_key(|i| axes[*i].extent));
    let Some(split) = split.filter(|_| bytes >= 2 * TASK_BYTES) else {
        // SAFETY: the caller's contract is passed on.
        return unsafe { copy(src, dst, &axes) };
    };
    // Multiples of the tile, so that tasks do not split tiles.
    let extent = axes[split].extent;
    let chunk = extent.div_ceil(bytes / TASK_BYTES).next_multiple_of(TILE).min(extent);
    let (from, to) = (src as usize, dst as usize);
    pool.run_ranges(extent, chunk, &|range| {
        let mut part: Vec<Axis> = axes.clone();
        part[split].extent = range.len();
        let skip = |stride: isize| (range.start as isize * stride * size as isize) as usize;
        let (from, to) = (from.wrapping_add(skip(axes[split].src)), to.wrapping_add(skip(axes[split].dst)));
        // SAFETY: ranges of one axis address disjoint parts of valid memory.
        unsafe { copy(from as *const u8, to as *mut u8, &part) };
    });
}

/// Instruction sets of a copy of elements of `size` bytes: no tile is wider than a register of AVX2.
const fn copies(size: usize) -> Copies {
    if cfg!(target_arch = "wasm32") && size == 4 {
        Copies::All
    } else {
        Copies::Avx2
    }
}

multiversion! {
    /// Copies elements of type `T` on one thread.
    unsafe fn copy_axes[S, T: Element; copies(size_of::<T>())](src: *const u8, dst: *mut u8, axes: &[Axis]) {
        let (src, dst) = (src.cast::<T>(), dst.cast::<T>());
        let Some((&row, outer)) = axes.split_last() else {
            // SAFETY: a copy without axes has one element.
            return unsafe { dst.write_unaligned(src.read_unaligned()) };
        };
        // If source and destination are contiguous along different axes, both are traversed in tiles, so that fetched
        // cache lines are fully used.
        let across = outer.iter().position(|a| a.src == 1 && row.src != 1 && row.src != 0 && row.dst == 1);
        match across {
            Some(at) => {
                let column = outer[at];
                let mut rest = outer.to_vec();
                rest.remove(at);
                for_each_offset(&rest, |from, to| {
                    // SAFETY: offsets of the remaining axes stay within valid memory.
                    unsafe { transpose_tiles::<S, T>(src.offset(from), dst.offset(to), row, column) };
                });
            }
            None => for_each_offset(outer, |from, to| {
                // SAFETY: as above.
                unsafe { copy_row(src.offset(from), dst.offset(to), row) };
            }),
        }
    }
}

/// Calls `f` with the source and destination offsets of every position along `axes`.
#[inline(always)]
fn for_each_offset(axes: &[Axis], mut f: impl FnMut(isize, isize)) {
    let (mut from, mut to) = (0isize, 0isize);
    let mut position = vec![0usize; axes.len()];
    loop {
        f(from, to);
        let mut axis = axes.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            let a = axes[axis];
            position[axis] += 1;
            from += a.src;
            to += a.dst;
            if position[axis] < a.extent {
                break;
            }
            from -= a.src * a.extent as isize;
            to -= a.dst * a.extent as isize;
            position[axis] = 0;
        }
    }
}

/// Copies one row.
///
/// # Safety
/// The elements of the row must be valid on both sides and must not overlap.
#[inline(always)]
unsafe fn copy_row<T: Element>(src: *const T, dst: *mut T, row: Axis) {
    // SAFETY: the caller's contract.
    unsafe {
        match (row.src, row.dst) {
            (1, 1) if row.extent * size_of::<T>() >= LINE => {
                copy_lines(src.cast(), dst.cast(), row.extent * size_of::<T>());
            }
            // Short rows: a call of memcpy takes longer than the copy.
            (1, 1) => {
                for i in 0..row.extent {
                    dst.add(i).write_unaligned(src.add(i).read_unaligned());
                }
            }
            (0, 1) => {
                let value = src.read_unaligned();
                for i in 0..row.extent {
                    dst.add(i).write_unaligned(value);
                }
            }
            (from, to) => {
                for i in 0..row.extent as isize {
                    dst.offset(i * to).write_unaligned(src.offset(i * from).read_unaligned());
                }
            }
        }
    }
}

/// Bytes of a copy by one or a few registers.
const LINE: usize = 64;
/// Bytes from which on a call of memcpy takes no longer than a loop over lines.
const LONG: usize = 1024;

/// Copies at least [`LINE`] bytes.
///
/// # Safety
/// `n` bytes must be valid on both sides and must not overlap.
#[inline(always)]
unsafe fn copy_lines(src: *const u8, dst: *mut u8, n: usize) {
    // SAFETY: the caller's contract. The last line may overlap the one before.
    unsafe {
        if n >= LONG {
            return std::ptr::copy_nonoverlapping(src, dst, n);
        }
        for start in (0..n - LINE).step_by(LINE) {
            std::ptr::copy_nonoverlapping(src.add(start), dst.add(start), LINE);
        }
        std::ptr::copy_nonoverlapping(src.add(n - LINE), dst.add(n - LINE), LINE);
    }
}

/// Copies fewer than [`LINE`] bytes.
///
/// # Safety
/// As for [`copy_lines`].
#[inline(always)]
unsafe fn copy_short(src: *const u8, dst: *mut u8, n: usize) {
    /// # Safety
    /// As for [`copy_lines`]; `N` is at most `n`, and at least half of it.
    #[inline(always)]
    unsafe fn both_ends<const N: usize>(src: *const u8, dst: *mut u8, n: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            let (first, last) = (src.cast::<[u8; N]>().read(), src.add(n - N).cast::<[u8; N]>().read());
            dst.cast::<[u8; N]>().write(first);
            dst.add(n - N).cast::<[u8; N]>().write(last);
        }
    }
    // SAFETY: the caller's contract.
    unsafe {
        match n {
            32.. => both_ends::<32>(src, dst, n),
            16.. => both_ends::<16>(src, dst, n),
            8.. => both_ends::<8>(src, dst, n),
            4.. => both_ends::<4>(src, dst, n),
            2.. => both_ends::<2>(src, dst, n),
            1 => *dst = *src,
            0 => {}
        }
    }
}

/// Copies bytes, few of them without the call of memcpy.
///
/// # Safety
/// `n` bytes must be valid on both sides and must not overlap.
#[inline(always)]
pub(crate) unsafe fn copy_bytes(src: *const u8, dst: *mut u8, n: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        if n < LINE {
            copy_short(src, dst, n);
        } else {
            copy_lines(src, dst, n);
        }
    }
}

/// Copies `n` rows of `WIDTH` bytes to rows at a distance of `pitch` bytes.
///
/// # Safety
/// The rows are valid and do not overlap.
#[inline(always)]
unsafe fn copy_rows_of<const WIDTH: usize>(src: *const u8, dst: *mut u8, pitch: usize, n: usize) {
    for row in 0..n {
        // SAFETY: the caller's contract.
        unsafe { std::ptr::copy_nonoverlapping(src.add(row * WIDTH), dst.add(row * pitch), WIDTH) };
    }
}

multiversion! {
    /// Copies `n` rows of `width` bytes to rows at a distance of `pitch` bytes.
    unsafe fn copy_rows[S](src: *const u8, width: usize, dst: *mut u8, pitch: usize, n: usize) {
        // SAFETY: the caller passes valid rows that do not overlap.
        unsafe {
            match width {
                // A few registers: lengths that are known take no branches.
                16 => copy_rows_of::<16>(src, dst, pitch, n),
                32 => copy_rows_of::<32>(src, dst, pitch, n),
                64 => copy_rows_of::<64>(src, dst, pitch, n),
                _ => (0..n).for_each(|row| copy_bytes(src.add(row * width), dst.add(row * pitch), width)),
            }
        }
    }
}

/// Copies `n` elements of each of `C` channels, at distance `stride`, to `n` pixels of `C` channels.
///
/// # Safety
/// The elements must be valid on both sides and must not overlap.
#[inline(always)]
unsafe fn interleave<T: Element, const C: usize>(src: *const T, stride: isize, dst: *mut T, n: usize) {
    for i in 0..n {
        for c in 0..C {
            // SAFETY: the caller's contract.
            unsafe { dst.add(i * C + c).write_unaligned(src.offset(c as isize * stride).add(i).read_unaligned()) };
        }
    }
}

/// The inverse of [`interleave`].
///
/// # Safety
/// As for [`interleave`].
#[inline(always)]
unsafe fn deinterleave<T: Element, const C: usize>(src: *const T, dst: *mut T, stride: isize, n: usize) {
    for i in 0..n {
        for c in 0..C {
            // SAFETY: the caller's contract.
            unsafe { dst.offset(c as isize * stride).add(i).write_unaligned(src.add(i * C + c).read_unaligned()) };
        }
    }
}

/// Copies `row` x `column`, with the destination contiguous along `row` and the source along `column`.
///
/// # Safety
/// The elements of both axes must be valid on both sides and must not overlap.
#[inline(always)]
unsafe fn transpose_tiles<S: Target, T: Element>(src: *const T, dst: *mut T, row: Axis, column: Axis) {
    // SAFETY: the caller's contract.
    unsafe {
        match (row.extent, column.extent) {
            (2, _) if column.dst == 2 => return interleave::<T, 2>(src, row.src, dst, column.extent),
            (3, _) if column.dst == 3 => return interleave::<T, 3>(src, row.src, dst, column.extent),
            (4, _) if column.dst == 4 => return interleave::<T, 4>(src, row.src, dst, column.extent),
            (_, 2) if row.src == 2 => return deinterleave::<T, 2>(src, dst, column.dst, row.extent),
            (_, 3) if row.src == 3 => return deinterleave::<T, 3>(src, dst, column.dst, row.extent),
            (_, 4) if row.src == 4 => return deinterleave::<T, 4>(src, dst, column.dst, row.extent),
            _ => {}
        }
    }
    for r in (0..row.extent).step_by(TILE) {
        let rows = TILE.min(row.extent - r);
        for c in (0..column.extent).step_by(TILE) {
            let columns = TILE.min(column.extent - c);
            // SAFETY: the tile lies within both axes.
            unsafe {
                let from = src.offset(r as isize * row.src + c as isize);
                let to = dst.offset(r as isize + c as isize * column.dst);
                if rows == TILE && columns == TILE {
                    tile::transpose::<S, T>(from, row.src, to, column.dst);
                } else {
                    for j in 0..columns as isize {
                        for i in 0..rows as isize {
                            to.offset(i + j * column.dst)
                                .write_unaligned(from.offset(i * row.src + j).read_unaligned());
                        }
                    }
                }
            }
        }
    }
}

fn elements(shape: &[usize]) -> usize {
    shape.iter().product()
}

fn check(bytes: usize, size: usize, shape: &[usize]) {
    assert_eq!(bytes, size * elements(shape), "a buffer does not have its shape {shape:?}");
}

/// Permutes axes: output axis `k` is input axis `perm[k]`.
pub fn transpose(pool: &ThreadPool, size: usize, src: &[u8], shape: &[usize], perm: &[usize], dst: &mut [u8]) {
    check(src.len(), size, shape);
    check(dst.len(), size, shape);
    let from = strides(shape);
    let out: Vec<usize> = perm.iter().map(|&p| shape[p]).collect();
    let axes: Vec<Axis> =
        perm.iter().zip(strides(&out)).map(|(&p, dst)| Axis { extent: shape[p], src: from[p], dst }).collect();
    assert_eq!(elements(&out), elements(shape), "{perm:?} is not a permutation of the axes of {shape:?}");
    // SAFETY: both arrays have the sizes checked above and are addressed by their strides.
    unsafe { copy_strided(pool, size, src.as_ptr(), dst.as_mut_ptr(), &axes) };
}

/// Broadcasts `src` to shape `out`; `dims[i]` is the output axis of input axis `i`, whose extents are equal or 1 in the
/// input.
pub fn broadcast(
    pool: &ThreadPool,
    size: usize,
    src: &[u8],
    shape: &[usize],
    out: &[usize],
    dims: &[usize],
    dst: &mut [u8],
) {
    check(src.len(), size, shape);
    check(dst.len(), size, out);
    let mut axes: Vec<Axis> = out.iter().zip(strides(out)).map(|(&extent, dst)| Axis { extent, src: 0, dst }).collect();
    for ((&extent, &dim), stride) in shape.iter().zip(dims).zip(strides(shape)) {
        assert!(extent == out[dim] || extent == 1, "cannot broadcast {shape:?} to {out:?} along {dims:?}");
        if extent != 1 {
            axes[dim].src = stride;
        }
    }
    // SAFETY: sizes are checked; the source is addressed by its strides or with stride 0.
    unsafe { copy_strided(pool, size, src.as_ptr(), dst.as_mut_ptr(), &axes) };
}

/// Copies every `step`-th element of `start .. stop` along each axis.
pub fn slice(
    pool: &ThreadPool,
    size: usize,
    src: &[u8],
    shape: &[usize],
    start: &[usize],
    stop: &[usize],
    step: &[usize],
    dst: &mut [u8],
) {
    check(src.len(), size, shape);
    assert!(
        (0..shape.len()).all(|a| start[a] <= stop[a] && stop[a] <= shape[a] && step[a] > 0),
        "slice {start:?} .. {stop:?} by {step:?} is out of bounds of {shape:?}"
    );
    let out: Vec<usize> = (0..shape.len()).map(|a| (stop[a] - start[a]).div_ceil(step[a])).collect();
    check(dst.len(), size, &out);
    let from = strides(shape);
    let to = strides(&out);
    let axes: Vec<Axis> =
        (0..shape.len()).map(|a| Axis { extent: out[a], src: from[a] * step[a] as isize, dst: to[a] }).collect();
    let offset: isize = (0..shape.len()).map(|a| from[a] * start[a] as isize).sum();
    // SAFETY: bounds and sizes are checked; an empty slice copies nothing.
    unsafe { copy_strided(pool, size, src.as_ptr().wrapping_offset(offset * size as isize), dst.as_mut_ptr(), &axes) };
}

/// Reverses the order of elements along the axes `flipped`.
pub fn reverse(pool: &ThreadPool, size: usize, src: &[u8], shape: &[usize], flipped: &[usize], dst: &mut [u8]) {
    check(src.len(), size, shape);
    check(dst.len(), size, shape);
    let mut offset = 0;
    let mut axes: Vec<Axis> =
        shape.iter().zip(strides(shape)).map(|(&extent, s)| Axis { extent, src: s, dst: s }).collect();
    for &axis in flipped {
        offset += axes[axis].src * (shape[axis] as isize - 1);
        axes[axis].src = -axes[axis].src;
    }
    // SAFETY: sizes are checked; flipped axes start at their last element.
    unsafe { copy_strided(pool, size, src.as_ptr().wrapping_offset(offset * size as isize), dst.as_mut_ptr(), &axes) };
}

/// Shape of the result of [`pad`].
pub fn padded_shape(shape: &[usize], low: &[isize], high: &[isize], interior: &[usize]) -> Vec<usize> {
    (0..shape.len())
        .map(|a| {
            let spread = shape[a] + shape[a].saturating_sub(1) * interior[a];
            (spread as isize + low[a] + high[a]).max(0) as usize
        })
        .collect()
}

/// Pads with `interior` copies of `value` between elements and `low` and `high` copies at the ends; negative numbers remove
/// elements.
pub fn pad(
    pool: &ThreadPool,
    size: usize,
    src: &[u8],
    shape: &[usize],
    value: &[u8],
    low: &[isize],
    high: &[isize],
    interior: &[usize],
    dst: &mut [u8],
) {
    check(src.len(), size, shape);
    let out = padded_shape(shape, low, high, interior);
    check(dst.len(), size, &out);
    let (from, to) = (strides(shape), strides(&out));
    let (mut offset_from, mut offset_to) = (0isize, 0isize);
    let mut axes = Vec::with_capacity(shape.len());
    for a in 0..shape.len() {
        // Element i moves to low + i (interior + 1); elements first .. last lie within the output.
        let pitch = interior[a] as isize + 1;
        let first = (-low[a]).max(0).unsigned_abs().div_ceil(pitch.unsigned_abs());
        let limit = out[a] as isize - low[a];
        let last = if limit <= 0 { 0 } else { limit.unsigned_abs().div_ceil(pitch.unsigned_abs()) }.min(shape[a]);
        axes.push(Axis { extent: last.saturating_sub(first), src: from[a], dst: to[a] * pitch });
        offset_from += from[a] * first as isize;
        offset_to += to[a] * (low[a] + first as isize * pitch);
    }
    if axes.iter().map(|a| a.extent).product::<usize>() * size < dst.len() {
        if interior.iter().all(|&n| n == 0) {
            fill_borders(pool, size, value, &axes, low, &out, dst);
        } else {
            fill(pool, size, value, dst);
        }
    }
    let src = src.as_ptr().wrapping_offset(offset_from * size as isize);
    let dst = dst.as_mut_ptr().wrapping_offset(offset_to * size as isize);
    // SAFETY: the extents above keep every element within both arrays.
    unsafe { copy_strided(pool, size, src, dst, &axes) };
}

/// Fills all of `dst`, of shape `out`, except for the elements of a copy, which begin at `low`.
fn fill_borders(
    pool: &ThreadPool,
    size: usize,
    value: &[u8],
    copied: &[Axis],
    low: &[isize],
    out: &[usize],
    dst: &mut [u8],
) {
    assert!(value.len() == size && dst.len() == size * elements(out));
    // Before and after the copied elements along one axis: among those of the outer axes, all of the inner ones.
    let mut axes: Vec<Axis> = out.iter().zip(strides(out)).map(|(&extent, dst)| Axis { extent, src: 0, dst }).collect();
    let mut offset = 0;
    for (a, copied) in copied.iter().enumerate() {
        let (before, stride) = (low[a].max(0) as usize, axes[a].dst);
        let after = before + copied.extent;
        for (start, extent) in [(0, before.min(out[a])), (after, out[a].saturating_sub(after))] {
            axes[a].extent = extent;
            let to = dst.as_mut_ptr().wrapping_offset((offset + start as isize * stride) * size as isize);
            // SAFETY: the source is one element; the destination lies within `dst`.
            unsafe { copy_strided(pool, size, value.as_ptr(), to, &axes) };
        }
        axes[a].extent = copied.extent;
        offset += before as isize * stride;
    }
}

/// Fills `dst` with one element, `value`.
pub fn fill(pool: &ThreadPool, size: usize, value: &[u8], dst: &mut [u8]) {
    assert_eq!(value.len(), size);
    let axes = [Axis { extent: dst.len() / size, src: 0, dst: 1 }];
    // SAFETY: the source is one element, the destination all of `dst`.
    unsafe { copy_strided(pool, size, value.as_ptr(), dst.as_mut_ptr(), &axes) };
}

/// Concatenates arrays along `axis`. `parts` holds the arrays with their extents along it; `shape` is the shape of the output.
pub fn concatenate(
    pool: &ThreadPool,
    size: usize,
    parts: &[(&[u8], usize)],
    shape: &[usize],
    axis: usize,
    dst: &mut [u8],
) {
    check(dst.len(), size, shape);
    assert_eq!(
        parts.iter().map(|p| p.1).sum::<usize>(),
        shape[axis],
        "the extents of the parts do not add up to {}",
        shape[axis]
    );
    let (outer, inner) = (elements(&shape[..axis]), elements(&shape[axis + 1..]));
    let bytes = inner * size;
    let row = shape[axis] * bytes;
    for &(part, extent) in parts {
        assert_eq!(part.len(), outer * extent * bytes, "a part does not have its shape");
    }
    if row == 0 {
        return;
    }
    if outer == 1 {
        let mut rest = dst;
        for &(part, _) in parts {
            let (to, others) = rest.split_at_mut(part.len());
            pool.run_chunks(to, TASK_BYTES, &|task, to| to.copy_from_slice(&part[task * TASK_BYTES..][..to.len()]));
            rest = others;
        }
        return;
    }
    // All parts of some rows, whose lines of the output are in cache until the last part is written.
    let rows_per_task = (TASK_BYTES / row).max(1);
    pool.run_chunks(dst, rows_per_task * row, &|task, dst| {
        let (first, mut at) = (task * rows_per_task, 0);
        for &(part, extent) in parts {
            let width = extent * bytes;
            if width > 0 {
                let rows = dst.len() / row;
                let (part, columns) =
                    (&part[first * width..][..rows * width], &mut dst[at..][..(rows - 1) * row + width]);
                // SAFETY: the slices hold these rows.
                unsafe { copy_rows()(part.as_ptr(), width, columns.as_mut_ptr(), row, rows) };
            }
            at += width;
        }
    });
}

/// Clamps starts so that a window of `sizes` fits into `shape`.
pub fn clamp_starts(starts: &[i64], sizes: &[usize], shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|a| starts[a].clamp(0, (shape[a] - sizes[a]) as i64) as usize).collect()
}

/// Copies the window of `sizes` at `starts`, which are clamped so that it fits.
pub fn dynamic_slice(
    pool: &ThreadPool,
    size: usize,
    src: &[u8],
    shape: &[usize],
    starts: &[i64],
    sizes: &[usize],
    dst: &mut [u8],
) {
    let start = clamp_starts(starts, sizes, shape);
    let stop: Vec<usize> = start.iter().zip(sizes).map(|(a, b)| a + b).collect();
    slice(pool, size, src, shape, &start, &stop, &vec![1; shape.len()], dst);
}

/// Writes `update` into `dst` at `starts`, which are clamped so that it fits. `dst` holds the operand.
pub fn dynamic_update_slice(
    pool: &ThreadPool,
    size: usize,
    update: &[u8],
    sizes: &[usize],
    starts: &[i64],
    dst: &mut [u8],
    shape: &[usize],
) {
    check(update.len(), size, sizes);
    check(dst.len(), size, shape);
    let start = clamp_starts(starts, sizes, shape);
    let (from, to) = (strides(sizes), strides(shape));
    let axes: Vec<Axis> = (0..shape.len()).map(|a| Axis { extent: sizes[a], src: from[a], dst: to[a] }).collect();
    let offset: isize = (0..shape.len()).map(|a| to[a] * start[a] as isize).sum();
    // SAFETY: the window fits by the clamping, the sizes by the checks.
    unsafe {
        copy_strided(pool, size, update.as_ptr(), dst.as_mut_ptr().wrapping_offset(offset * size as isize), &axes)
    };
}

/// Fills `dst` with the index of each element along `axis`.
pub fn iota(pool: &ThreadPool, dtype: DType, shape: &[usize], axis: usize, dst: &mut [u8]) {
    let size = dtype.size();
    check(dst.len(), size, shape);
    let extent = shape[axis];
    let mut indices = vec![0u8; extent * size];
    dispatch!(dtype, T => {
        for (i, bytes) in indices.chunks_exact_mut(size).enumerate() {
            // SAFETY: the chunk is as long as an element.
            unsafe { bytes.as_mut_ptr().cast::<T>().write_unaligned(T::from_f64(i as f64)) };
        }
    });
    broadcast(pool, size, &indices, &[extent], shape, &[axis], dst);
}

/// Writes `first`, `first + 1`, ...
#[inline(always)]
fn count_up<T: PoolElement>(first: usize, out: &mut [T]) {
    const LANES: usize = 64;
    // Sums that the accumulator holds exactly take less time than conversions.
    let end = (first + out.len() + LANES) as f64;
    if out.len() < LANES || end > 16_777_216.0 || T::Acc::from_f64(end).to_f64() != end {
        for (i, element) in out.iter_mut().enumerate() {
            *element = T::from_f64((first + i) as f64);
        }
        return;
    }
    let mut lanes: [T::Acc; LANES] = std::array::from_fn(|j| T::Acc::from_f64((first + j) as f64));
    let step = T::Acc::from_f64(LANES as f64);
    let (blocks, rest) = out.as_chunks_mut::<LANES>();
    for block in blocks {
        for j in 0..LANES {
            block[j] = T::from_acc(lanes[j]);
            lanes[j] = T::plus(lanes[j], step);
        }
    }
    for (element, lane) in rest.iter_mut().zip(lanes) {
        *element = T::from_acc(lane);
    }
}

multiversion! {
    unsafe fn count[S, T: PoolElement; T::DTYPE.copies()](inner: usize, extent: usize, position: usize, out: &mut [T]) {
        let (mut index, mut repeats) = (position / inner % extent, position % inner);
        let mut rest = out;
        while !rest.is_empty() {
            let run = if inner == 1 { extent - index } else { inner - repeats };
            let (part, others) = rest.split_at_mut(run.min(rest.len()));
            if inner == 1 {
                count_up(index, part);
                index = 0;
            } else {
                part.fill(T::from_f64(index as f64));
                index = if index + 1 == extent { 0 } else { index + 1 };
            }
            (rest, repeats) = (others, 0);
        }
    }
}

/// Writes elements `position .. position + n` of an array that holds the index of each element along an axis of `extent`,
/// each repeated `inner` times.
///
/// # Safety
/// `out` is aligned and has room for `n` elements of `dtype`.
pub unsafe fn iota_range(dtype: DType, inner: usize, extent: usize, position: usize, n: usize, out: *mut u8) {
    dispatch!(numeric, dtype, T => {
        // SAFETY: the caller's contract; the kernel is compiled for this machine.
        unsafe { count::<T>()(inner, extent, position, std::slice::from_raw_parts_mut(out.cast(), n)) };
    }, else {
        // SAFETY: the caller's contract.
        let out = unsafe { std::slice::from_raw_parts_mut(out, n) };
        for (i, flag) in out.iter_mut().enumerate() {
            *flag = u8::from(!((position + i) / inner).is_multiple_of(extent));
        }
    });
}
