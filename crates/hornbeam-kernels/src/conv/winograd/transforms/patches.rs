//! Patches to points, and the transpose: points to gradients of pixels.

use crate::conv::winograd::lanes::Lanes;
use crate::conv::winograd::points::{to_points, to_points_transposed};
use crate::conv::winograd::traits::{CarriedRows, Image, Layout, LoadAs, Points};
use crate::conv::winograd::{IN, OUT};

/// Transforms the patches of a row of tiles to points.
#[inline(always)]
pub(super) unsafe fn patches<V: Lanes, L: Layout<V>, E: LoadAs<V>>(image: &Image<*const E>, t: &Points) {
    // SAFETY: the caller guarantees the ISA and the extents.
    unsafe {
        for c in (0..image.channels).step_by(V::LANES) {
            if image.channels - c >= V::LANES {
                patches_of::<V, L, E, true>(image, t, c);
            } else {
                patches_of::<V, L, E, false>(image, t, c);
            }
        }
    }
}

#[inline(always)]
unsafe fn patches_of<V: Lanes, L: Layout<V>, E: LoadAs<V>, const FULL: bool>(
    image: &Image<*const E>,
    t: &Points,
    c: usize,
) {
    // SAFETY: as in `patches`; rows and columns outside the image are not read.
    unsafe {
        let n = if FULL { V::LANES } else { image.channels - c };
        let columns = t.tiles * OUT + 2;
        let intermediate = |column: usize, i: usize| t.intermediate.wrapping_add((column * IN + i) * V::LANES);
        let rows = Image::<()>::inside(image.row, IN, image.height);
        let [first, end] = Image::<()>::inside(image.column, columns, image.width);
        for column in (0..first).chain(end..columns) {
            for i in 0..IN {
                V::zero().store(intermediate(column, i));
            }
        }
        let pitch = image.width * image.channels;
        let start = (image.row * image.width as isize + image.column) * image.channels as isize + c as isize;
        let origin = image.pixels.wrapping_offset(start);
        for column in first..end {
            let at = origin.wrapping_add(column * image.channels);
            let mut d = [V::zero(); IN];
            if rows == [0, IN] {
                for (i, d) in d.iter_mut().enumerate() {
                    *d = E::load::<FULL>(at.wrapping_add(i * pitch), n);
                }
            } else {
                for (i, d) in d.iter_mut().enumerate() {
                    if i >= rows[0] && i < rows[1] {
                        *d = E::load::<FULL>(at.wrapping_add(i * pitch), n);
                    }
                }
            }
            for (i, value) in to_points(d).into_iter().enumerate() {
                value.store(intermediate(column, i));
            }
        }
        for tile in (0..t.tiles).step_by(L::TILES) {
            let paired = L::TILES == 2 && tile + 1 < t.tiles;
            for i in 0..IN {
                let first = patch_row(intermediate(tile * OUT, i));
                let second = if paired { patch_row(intermediate((tile + 1) * OUT, i)) } else { [V::zero(); IN] };
                L::put(t, tile, c, i, [first, second]);
            }
        }
    }
}

/// Returns a row of points from the address of its first column. Not a closure: LLVM would not inline a closure with two
/// calls, and would compile it for the baseline instruction set.
#[inline(always)]
unsafe fn patch_row<V: Lanes>(from: *const f32) -> [V; IN] {
    // SAFETY: as in `patches`.
    unsafe {
        let at = |j: usize| V::load(from.wrapping_add(j * IN * V::LANES));
        to_points([at(0), at(1), at(2), at(3), at(4), at(5)])
    }
}

/// Transforms the points of a row of tiles to gradients of pixels.
#[inline(always)]
pub(super) unsafe fn pixels<V: Lanes, E: LoadAs<V>>(image: &Image<*mut E>, rows: CarriedRows, t: &Points) {
    // SAFETY: the caller guarantees the ISA and the extents.
    unsafe {
        for c in (0..image.channels).step_by(V::LANES) {
            if image.channels - c >= V::LANES {
                pixels_of::<V, E, true>(image, rows, t, c);
            } else {
                pixels_of::<V, E, false>(image, rows, t, c);
            }
        }
    }
}

#[inline(always)]
unsafe fn pixels_of<V: Lanes, E: LoadAs<V>, const FULL: bool>(
    image: &Image<*mut E>,
    rows: CarriedRows,
    t: &Points,
    c: usize,
) {
    // SAFETY: as in `pixels`; rows and columns outside the image are not accessed.
    unsafe {
        let n = if FULL { V::LANES } else { image.channels - c };
        let intermediate = |column: usize, i: usize| t.intermediate.wrapping_add((column * IN + i) * V::LANES);
        for tile in 0..t.tiles {
            let from = t.base.wrapping_add(tile * t.step + c);
            for i in 0..IN {
                let at = |j: usize| V::load(from.wrapping_add((i * IN + j) * t.stride));
                let mut d = to_points_transposed([at(0), at(1), at(2), at(3), at(4), at(5)]);
                if tile > 0 {
                    d[0] = d[0].add(V::load(intermediate(tile * OUT, i)));
                    d[1] = d[1].add(V::load(intermediate(tile * OUT + 1, i)));
                }
                for (j, d) in d.into_iter().enumerate() {
                    d.store(intermediate(tile * OUT + j, i));
                }
            }
        }
        let [first, end] = Image::<()>::inside(image.row, IN, image.height);
        let end = end.min(rows.written);
        let pitch = image.width * image.channels;
        let start = (image.row * image.width as isize + image.column) * image.channels as isize + c as isize;
        let origin = image.pixels.wrapping_offset(start);
        let columns = Image::<()>::inside(image.column, t.tiles * OUT + 2, image.width);
        for column in columns[0]..columns[1] {
            let at = |i: usize| V::load(intermediate(column, i));
            let mut d = to_points_transposed([at(0), at(1), at(2), at(3), at(4), at(5)]);
            let pixel = (column as isize + image.column) as usize * image.channels + c;
            let carry = [rows.carry.wrapping_add(pixel), rows.carry.wrapping_add(pixel + pitch)];
            if rows.add_carry {
                d[0] = d[0].add(V::load_if::<FULL>(carry[0], n));
                d[1] = d[1].add(V::load_if::<FULL>(carry[1], n));
            }
            if rows.store_carry {
                d[OUT].store_if::<FULL>(carry[0], n);
                d[OUT + 1].store_if::<FULL>(carry[1], n);
            }
            for (i, d) in d.into_iter().enumerate() {
                if i >= first && i < end {
                    E::store::<FULL>(d, origin.wrapping_add(column * image.channels + i * pitch), n);
                }
            }
        }
    }
}
