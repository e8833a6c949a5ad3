//! Output gradients to points, the transpose of the output transform.

use crate::conv::winograd::lanes::Lanes;
use crate::conv::winograd::points::from_points_transposed;
use crate::conv::winograd::traits::{Image, Layout, LoadAs, Points, Source};
use crate::conv::winograd::{IN, OUT, POINTS};

/// Transforms the output gradients of a row of tiles to points.
///
/// `sums` accumulates the gradients over pixels, one value per channel in full vectors; or is null.
#[inline(always)]
pub(super) unsafe fn gradients<V: Lanes, L: Layout<V>, E: LoadAs<V>>(
    image: &Image<Source<E>>,
    sums: *mut f32,
    t: &Points,
) {
    // SAFETY: the caller guarantees the ISA and the extents.
    unsafe {
        for c in (0..image.channels).step_by(V::LANES) {
            let n = image.channels - c;
            if n >= V::LANES {
                gradients_of::<V, L, E, true>(image, sums, t, c, V::LANES);
            } else {
                gradients_of::<V, L, E, false>(image, sums, t, c, n);
            }
        }
    }
}

#[inline(always)]
unsafe fn gradients_of<V: Lanes, L: Layout<V>, E: LoadAs<V>, const FULL: bool>(
    image: &Image<Source<E>>,
    sums: *mut f32,
    t: &Points,
    c: usize,
    n: usize,
) {
    // SAFETY: as in `gradients`.
    unsafe {
        let mut sum = V::zero();
        for tile in (0..t.tiles).step_by(L::TILES) {
            let tiles_at_once = if L::TILES == 2 { (t.tiles - tile).min(2) } else { 1 };
            for k in 0..tiles_at_once {
                let intermediate = t.intermediate.wrapping_add(k * POINTS * V::LANES);
                for pair in 0..OUT / 2 {
                    let columns = gradient_columns::<V, E, FULL>(image, (tile + k) * OUT + 2 * pair, c, n);
                    for (j, d) in columns.into_iter().enumerate() {
                        sum = sum.add(d[0].add(d[1]).add(d[2].add(d[3])));
                        let intermediate = intermediate.wrapping_add((2 * pair + j) * V::LANES);
                        for (i, value) in from_points_transposed(d).into_iter().enumerate() {
                            value.store(intermediate.wrapping_add(i * IN * V::LANES));
                        }
                    }
                }
            }
            for i in 0..IN {
                let intermediate = t.intermediate.wrapping_add(i * IN * V::LANES);
                let first = gradient_row(intermediate);
                let second = if tiles_at_once == 2 {
                    gradient_row(intermediate.wrapping_add(POINTS * V::LANES))
                } else {
                    [V::zero(); IN]
                };
                L::put(t, tile, c, i, [first, second]);
            }
        }
        if !sums.is_null() {
            V::load(sums.add(c)).add(sum).store(sums.add(c));
        }
    }
}

/// Returns a row of points from a row of the intermediate buffer.
#[inline(always)]
unsafe fn gradient_row<V: Lanes>(from: *const f32) -> [V; IN] {
    // SAFETY: as in `gradients`.
    unsafe {
        let at = |j: usize| V::load(from.wrapping_add(j * V::LANES));
        from_points_transposed([at(0), at(1), at(2), at(3)])
    }
}

/// Returns the gradients of two columns of a tile, zero outside the image.
#[inline(always)]
unsafe fn gradient_columns<V: Lanes, E: LoadAs<V>, const FULL: bool>(
    image: &Image<Source<E>>,
    column: usize,
    c: usize,
    n: usize,
) -> [[V; OUT]; 2] {
    // SAFETY: as in `gradients`; rows and columns outside the image are not read.
    unsafe {
        let [height, width, channels] = [image.height, image.width, image.channels];
        let row = image.row as usize;
        let mut d = [[V::zero(); OUT]; 2];
        if let Source::Pooled { dy, codes } = image.pixels {
            for i in 0..OUT / 2 {
                let (h, w) = (row / 2 + i, column / 2);
                if h < height / 2 && w < width / 2 {
                    let at = (h * (width / 2) + w) * channels + c;
                    let expanded = E::load::<FULL>(dy.wrapping_add(at), n).by_code(codes.wrapping_add(at), n);
                    [d[0][2 * i], d[1][2 * i], d[0][2 * i + 1], d[1][2 * i + 1]] = expanded;
                }
            }
            return d;
        }
        for (j, d) in d.iter_mut().enumerate() {
            for (i, d) in d.iter_mut().enumerate() {
                if column + j < width && row + i < height {
                    let at = ((row + i) * width + column + j) * channels + c;
                    *d = match image.pixels {
                        Source::Relu { dy, y } => {
                            let y = E::load::<FULL>(y.wrapping_add(at), n);
                            E::load::<FULL>(dy.wrapping_add(at), n).where_positive(y)
                        }
                        Source::Plain(dy) | Source::Pooled { dy, .. } => E::load::<FULL>(dy.wrapping_add(at), n),
                    };
                }
            }
        }
        d
    }
}
