//! Points to outputs, optionally pooled.

use crate::conv::winograd::lanes::Lanes;
use crate::conv::winograd::points::from_points;
use crate::conv::winograd::traits::{Image, LoadAs, OutputEpilogue, Points, Sink};
use crate::conv::winograd::{IN, OUT};

/// Transforms the points of a row of tiles to outputs.
#[inline(always)]
pub(super) unsafe fn outputs<V: Lanes, E: LoadAs<V>>(image: &Image<Sink<E>>, epilogue: OutputEpilogue, t: &Points) {
    // SAFETY: the caller guarantees the ISA and the extents.
    unsafe {
        for c in (0..image.channels).step_by(V::LANES) {
            let full = image.channels - c >= V::LANES;
            match (image.pixels, full) {
                (Sink::Full { y, accumulate }, true) => full_of::<V, E, true>(image, y, accumulate, epilogue, t, c),
                (Sink::Full { y, accumulate }, false) => full_of::<V, E, false>(image, y, accumulate, epilogue, t, c),
                (Sink::Pooled { y, codes }, true) => pooled_of::<V, E, true>(image, y, codes, epilogue, t, c),
                (Sink::Pooled { y, codes }, false) => pooled_of::<V, E, false>(image, y, codes, epilogue, t, c),
            }
        }
    }
}

/// Pass along the height: `intermediate[j][i]` for point column `j` and output row `i`.
#[inline(always)]
unsafe fn output_columns<V: Lanes>(t: &Points, tile: usize, c: usize) {
    // SAFETY: as in `outputs`.
    unsafe {
        let from = t.base.wrapping_add(tile * t.step + c);
        for j in 0..IN {
            let at = |i: usize| V::load(from.wrapping_add((i * IN + j) * t.stride));
            let values = from_points([at(0), at(1), at(2), at(3), at(4), at(5)]);
            for (i, value) in values.into_iter().enumerate() {
                value.store(t.intermediate.wrapping_add((i * IN + j) * V::LANES));
            }
        }
    }
}

/// Returns row `i` of the outputs of a tile, with the bias.
#[inline(always)]
unsafe fn output_row<V: Lanes>(t: &Points, i: usize, bias: V) -> [V; OUT] {
    // SAFETY: as in `outputs`.
    unsafe {
        let at = |j: usize| V::load(t.intermediate.wrapping_add((i * IN + j) * V::LANES));
        from_points([at(0), at(1), at(2), at(3), at(4), at(5)]).map(|value| value.add(bias))
    }
}

#[inline(always)]
unsafe fn full_of<V: Lanes, E: LoadAs<V>, const FULL: bool>(
    image: &Image<Sink<E>>,
    y: *mut E,
    accumulate: bool,
    epilogue: OutputEpilogue,
    t: &Points,
    c: usize,
) {
    // SAFETY: as in `outputs`; rows and columns outside the image are not accessed.
    unsafe {
        let n = if FULL { V::LANES } else { image.channels - c };
        let bias = if epilogue.bias.is_null() { V::zero() } else { V::load_if::<FULL>(epilogue.bias.add(c), n) };
        let (row, pitch) = (image.row as usize, image.width * image.channels);
        let height = OUT.min(image.height - row);
        for tile in 0..t.tiles {
            output_columns::<V>(t, tile, c);
            let width = OUT.min(image.width - tile * OUT);
            let origin = y.wrapping_add(row * pitch + tile * OUT * image.channels + c);
            for i in 0..height {
                let values = output_row(t, i, bias);
                for (j, mut value) in values.into_iter().enumerate() {
                    if j < width {
                        let to = origin.wrapping_add(i * pitch + j * image.channels);
                        if accumulate {
                            value = value.add(E::load::<FULL>(to, n));
                        }
                        if let Some(limit) = epilogue.relu {
                            value = value.relu(V::splat(limit));
                        }
                        E::store::<FULL>(value, to, n);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn pooled_of<V: Lanes, E: LoadAs<V>, const FULL: bool>(
    image: &Image<Sink<E>>,
    y: *mut E,
    codes: *mut u8,
    epilogue: OutputEpilogue,
    t: &Points,
    c: usize,
) {
    // SAFETY: as in `outputs`; windows that exceed the image are skipped.
    unsafe {
        let n = if FULL { V::LANES } else { image.channels - c };
        let bias = if epilogue.bias.is_null() { V::zero() } else { V::load_if::<FULL>(epilogue.bias.add(c), n) };
        let [height, width] = [image.height / 2, image.width / 2];
        let row = image.row as usize / 2;
        for tile in 0..t.tiles {
            output_columns::<V>(t, tile, c);
            for i in 0..(OUT / 2).min(height - row.min(height)) {
                let (above, below) = (output_row(t, 2 * i, bias), output_row(t, 2 * i + 1, bias));
                for j in 0..OUT / 2 {
                    let column = tile * (OUT / 2) + j;
                    if column < width {
                        let window = [above[2 * j], above[2 * j + 1], below[2 * j], below[2 * j + 1]];
                        let to = ((row + i) * width + column) * image.channels + c;
                        let max = V::pool(window, epilogue.relu.is_some(), codes.wrapping_add(to), n);
                        E::store::<FULL>(max, y.wrapping_add(to), n);
                    }
                }
            }
        }
    }
}
