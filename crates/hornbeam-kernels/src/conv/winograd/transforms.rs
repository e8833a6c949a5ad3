//! Between pixels and points, a row of tiles at a time.
//!
//! A two-dimensional transform is a pass along one axis and then one along the other, channels as lanes. What lies
//! between the passes goes through a small buffer that stays in the first-level cache. Neighbouring patches overlap by
//! two pixels; the pass along the height works on columns of the whole row of tiles, so that no column is worked on
//! twice. Pixels outside the image are zeros that are never stored anywhere.

use super::lanes::Lanes;
use super::points::*;
use super::{IN, OUT};
use crate::simd::{isa, Isa};

/// The points of a row of `tiles` tiles: point `p` of tile `t`, channel `c` at `base + p * stride + t * step + c`.
/// There is room for whole vectors.
#[derive(Clone, Copy)]
pub(super) struct Points {
    pub base: *mut f32,
    pub stride: usize,
    pub step: usize,
    pub tiles: usize,
    /// Floats that the passes hand over: [`half_len`].
    pub half: *mut f32,
}

/// Floats between the passes for a row of `tiles` tiles, vectors of at most `lanes`.
pub(super) fn half_len(tiles: usize, lanes: usize) -> usize {
    (tiles * OUT + 2) * IN * lanes
}

/// An image, and the row of it where a row of tiles starts: tile `t` covers columns from `column + t * OUT` on.
#[derive(Clone, Copy)]
pub(super) struct Image<P> {
    pub pixels: P,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub row: isize,
    pub column: isize,
}

impl<P> Image<P> {
    /// The part of `0..count` that lies inside the image when counted from `start`.
    #[inline(always)]
    fn inside(start: isize, count: usize, extent: usize) -> [usize; 2] {
        let first = (-start).clamp(0, count as isize);
        let end = (extent as isize - start).clamp(first, count as isize);
        [first as usize, end as usize]
    }
}

#[inline(always)]
unsafe fn patches<V: Lanes>(image: &Image<*const f32>, t: &Points) {
    // SAFETY: the caller vouches for the ISA and the extents.
    unsafe {
        for c in (0..image.channels).step_by(V::LANES) {
            if image.channels - c >= V::LANES {
                patches_of::<V, true>(image, t, c);
            } else {
                patches_of::<V, false>(image, t, c);
            }
        }
    }
}

#[inline(always)]
unsafe fn patches_of<V: Lanes, const FULL: bool>(image: &Image<*const f32>, t: &Points, c: usize) {
    // SAFETY: as in `patches`; rows and columns outside the image are not read.
    unsafe {
        let n = if FULL { V::LANES } else { image.channels - c };
        let columns = t.tiles * OUT + 2;
        let half = |column: usize, i: usize| t.half.wrapping_add((column * IN + i) * V::LANES);
        let rows = Image::<()>::inside(image.row, IN, image.height);
        let [first, end] = Image::<()>::inside(image.column, columns, image.width);
        for column in (0..first).chain(end..columns) {
            for i in 0..IN {
                V::zero().store(half(column, i));
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
                    *d = V::load_if::<FULL>(at.wrapping_add(i * pitch), n);
                }
            } else {
                for (i, d) in d.iter_mut().enumerate() {
                    if i >= rows[0] && i < rows[1] {
                        *d = V::load_if::<FULL>(at.wrapping_add(i * pitch), n);
                    }
                }
            }
            for (i, value) in to_points(d).into_iter().enumerate() {
                value.store(half(column, i));
            }
        }
        for tile in 0..t.tiles {
            let to = t.base.wrapping_add(tile * t.step + c);
            for i in 0..IN {
                let at = |j: usize| V::load(half(tile * OUT + j, i));
                let points = to_points([at(0), at(1), at(2), at(3), at(4), at(5)]);
                let to = to.wrapping_add(i * IN * t.stride);
                for (j, point) in points.into_iter().enumerate() {
                    point.store(to.wrapping_add(j * t.stride));
                }
            }
        }
    }
}

/// Which of a tile's six rows of pixels are written, and whether the first two are added to what is there.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub from: usize,
    pub to: usize,
    pub add: bool,
}

#[inline(always)]
unsafe fn pixels<V: Lanes>(image: &Image<*mut f32>, rows: Rows, t: &Points) {
    // SAFETY: the caller vouches for the ISA and the extents.
    unsafe {
        for c in (0..image.channels).step_by(V::LANES) {
            if image.channels - c >= V::LANES {
                pixels_of::<V, true>(image, rows, t, c);
            } else {
                pixels_of::<V, false>(image, rows, t, c);
            }
        }
    }
}

#[inline(always)]
unsafe fn pixels_of<V: Lanes, const FULL: bool>(image: &Image<*mut f32>, rows: Rows, t: &Points, c: usize) {
    // SAFETY: as in `pixels`; rows and columns outside the image are not touched.
    unsafe {
        let n = if FULL { V::LANES } else { image.channels - c };
        let half = |column: usize, i: usize| t.half.wrapping_add((column * IN + i) * V::LANES);
        for tile in 0..t.tiles {
            let from = t.base.wrapping_add(tile * t.step + c);
            for i in 0..IN {
                let at = |j: usize| V::load(from.wrapping_add((i * IN + j) * t.stride));
                let mut d = to_points_transposed([at(0), at(1), at(2), at(3), at(4), at(5)]);
                if tile > 0 {
                    d[0] = d[0].add(V::load(half(tile * OUT, i)));
                    d[1] = d[1].add(V::load(half(tile * OUT + 1, i)));
                }
                for (j, d) in d.into_iter().enumerate() {
                    d.store(half(tile * OUT + j, i));
                }
            }
        }
        let [first, end] = Image::<()>::inside(image.row, IN, image.height);
        let (first, end) = (first.max(rows.from), end.min(rows.to));
        let pitch = image.width * image.channels;
        let start = (image.row * image.width as isize + image.column) * image.channels as isize + c as isize;
        let origin = image.pixels.wrapping_offset(start);
        let columns = Image::<()>::inside(image.column, t.tiles * OUT + 2, image.width);
        for column in columns[0]..columns[1] {
            let at = |i: usize| V::load(half(column, i));
            let d = to_points_transposed([at(0), at(1), at(2), at(3), at(4), at(5)]);
            for (i, mut d) in d.into_iter().enumerate() {
                if i >= first && i < end {
                    let to = origin.wrapping_add(column * image.channels + i * pitch);
                    if i < 2 && rows.add {
                        d = d.add(V::load_if::<FULL>(to, n));
                    }
                    d.store_if::<FULL>(to, n);
                }
            }
        }
    }
}

/// Where outputs go: to the image itself, or the maxima of 2x2 windows and their places to a smaller one.
#[derive(Clone, Copy)]
pub(super) enum Sink {
    Whole { y: *mut f32, accumulate: bool },
    Pooled { y: *mut f32, codes: *mut u8 },
}

/// What happens to outputs on their way.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    /// One value for each channel, or null.
    pub bias: *const f32,
    pub relu: bool,
}

#[inline(always)]
unsafe fn outputs<V: Lanes>(image: &Image<Sink>, finish: Finish, t: &Points) {
    // SAFETY: the caller vouches for the ISA and the extents.
    unsafe {
        for c in (0..image.channels).step_by(V::LANES) {
            let full = image.channels - c >= V::LANES;
            match (image.pixels, full) {
                (Sink::Whole { y, accumulate }, true) => whole_of::<V, true>(image, y, accumulate, finish, t, c),
                (Sink::Whole { y, accumulate }, false) => whole_of::<V, false>(image, y, accumulate, finish, t, c),
                (Sink::Pooled { y, codes }, true) => pooled_of::<V, true>(image, y, codes, finish, t, c),
                (Sink::Pooled { y, codes }, false) => pooled_of::<V, false>(image, y, codes, finish, t, c),
            }
        }
    }
}

/// The pass along the height: `half[j][i]` for point column `j` and output row `i`.
#[inline(always)]
unsafe fn output_columns<V: Lanes>(t: &Points, tile: usize, c: usize) {
    // SAFETY: as in `outputs`.
    unsafe {
        let from = t.base.wrapping_add(tile * t.step + c);
        for j in 0..IN {
            let at = |i: usize| V::load(from.wrapping_add((i * IN + j) * t.stride));
            let values = from_points([at(0), at(1), at(2), at(3), at(4), at(5)]);
            for (i, value) in values.into_iter().enumerate() {
                value.store(t.half.wrapping_add((i * IN + j) * V::LANES));
            }
        }
    }
}

/// Row `i` of a tile's outputs, with the bias.
#[inline(always)]
unsafe fn output_row<V: Lanes>(t: &Points, i: usize, bias: V) -> [V; OUT] {
    // SAFETY: as in `outputs`.
    unsafe {
        let at = |j: usize| V::load(t.half.wrapping_add((i * IN + j) * V::LANES));
        from_points([at(0), at(1), at(2), at(3), at(4), at(5)]).map(|value| value.add(bias))
    }
}

#[inline(always)]
unsafe fn whole_of<V: Lanes, const FULL: bool>(
    image: &Image<Sink>,
    y: *mut f32,
    accumulate: bool,
    finish: Finish,
    t: &Points,
    c: usize,
) {
    // SAFETY: as in `outputs`; rows and columns outside the image are not touched.
    unsafe {
        let n = if FULL { V::LANES } else { image.channels - c };
        let bias = if finish.bias.is_null() { V::zero() } else { V::load_if::<FULL>(finish.bias.add(c), n) };
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
                            value = value.add(V::load_if::<FULL>(to, n));
                        }
                        if finish.relu {
                            value = value.relu();
                        }
                        value.store_if::<FULL>(to, n);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn pooled_of<V: Lanes, const FULL: bool>(
    image: &Image<Sink>,
    y: *mut f32,
    codes: *mut u8,
    finish: Finish,
    t: &Points,
    c: usize,
) {
    // SAFETY: as in `outputs`; windows that do not lie inside the image whole are left out.
    unsafe {
        let n = if FULL { V::LANES } else { image.channels - c };
        let bias = if finish.bias.is_null() { V::zero() } else { V::load_if::<FULL>(finish.bias.add(c), n) };
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
                        let most = V::pool(window, finish.relu, codes.wrapping_add(to), n);
                        most.store_if::<FULL>(y.wrapping_add(to), n);
                    }
                }
            }
        }
    }
}

/// Where the gradients of outputs come from: see [`crate::conv::OutputGrad`].
#[derive(Clone, Copy)]
pub(super) enum Source {
    Plain(*const f32),
    Relu { dy: *const f32, y: *const f32 },
    Pooled { dy: *const f32, codes: *const u8 },
}

/// `sums`: where the gradients' sums over pixels are added up, one for each channel with room for whole vectors; or null.
#[inline(always)]
unsafe fn gradients<V: Lanes>(image: &Image<Source>, sums: *mut f32, t: &Points) {
    // SAFETY: the caller vouches for the ISA and the extents.
    unsafe {
        for c in (0..image.channels).step_by(V::LANES) {
            let n = image.channels - c;
            if n >= V::LANES {
                gradients_of::<V, true>(image, sums, t, c, V::LANES);
            } else {
                gradients_of::<V, false>(image, sums, t, c, n);
            }
        }
    }
}

#[inline(always)]
unsafe fn gradients_of<V: Lanes, const FULL: bool>(
    image: &Image<Source>,
    sums: *mut f32,
    t: &Points,
    c: usize,
    n: usize,
) {
    // SAFETY: as in `gradients`.
    unsafe {
        let mut sum = V::zero();
        for tile in 0..t.tiles {
            for pair in 0..OUT / 2 {
                let columns = gradient_columns::<V, FULL>(image, tile * OUT + 2 * pair, c, n);
                for (j, d) in columns.into_iter().enumerate() {
                    sum = sum.add(d[0].add(d[1]).add(d[2].add(d[3])));
                    let half = t.half.wrapping_add((2 * pair + j) * V::LANES);
                    for (i, value) in from_points_transposed(d).into_iter().enumerate() {
                        value.store(half.wrapping_add(i * IN * V::LANES));
                    }
                }
            }
            let to = t.base.wrapping_add(tile * t.step + c);
            for i in 0..IN {
                let at = |j: usize| V::load(t.half.wrapping_add((i * IN + j) * V::LANES));
                let points = from_points_transposed([at(0), at(1), at(2), at(3)]);
                let to = to.wrapping_add(i * IN * t.stride);
                for (j, point) in points.into_iter().enumerate() {
                    point.store(to.wrapping_add(j * t.stride));
                }
            }
        }
        if !sums.is_null() {
            V::load(sums.add(c)).add(sum).store(sums.add(c));
        }
    }
}

/// The gradients of two columns of a tile, zero outside the image.
#[inline(always)]
unsafe fn gradient_columns<V: Lanes, const FULL: bool>(
    image: &Image<Source>,
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
                    let places = V::load_if::<FULL>(dy.wrapping_add(at), n).by_code(codes.wrapping_add(at), n);
                    [d[0][2 * i], d[1][2 * i], d[0][2 * i + 1], d[1][2 * i + 1]] = places;
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
                            let y = V::load_if::<FULL>(y.wrapping_add(at), n);
                            V::load_if::<FULL>(dy.wrapping_add(at), n).where_positive(y)
                        }
                        Source::Plain(dy) | Source::Pooled { dy, .. } => V::load_if::<FULL>(dy.wrapping_add(at), n),
                    };
                }
            }
        }
        d
    }
}

/// The transforms of one ISA.
pub(super) struct Transforms {
    pub patches: unsafe fn(&Image<*const f32>, &Points),
    pub pixels: unsafe fn(&Image<*mut f32>, Rows, &Points),
    pub outputs: unsafe fn(&Image<Sink>, Finish, &Points),
    pub gradients: unsafe fn(&Image<Source>, *mut f32, &Points),
    pub kernel: unsafe fn(&Taps),
    pub kernel_gradient: unsafe fn(&Taps),
}

macro_rules! transforms {
    ($name:ident, $vector:ty, $(#[$feature:meta])?) => {
        mod $name {
            use super::*;

            $(#[$feature])?
            unsafe fn patches(image: &Image<*const f32>, t: &Points) {
                // SAFETY: the caller's promise is passed on, and this function is compiled for the ISA.
                unsafe { super::patches::<$vector>(image, t) }
            }

            $(#[$feature])?
            unsafe fn pixels(image: &Image<*mut f32>, rows: Rows, t: &Points) {
                // SAFETY: as above.
                unsafe { super::pixels::<$vector>(image, rows, t) }
            }

            $(#[$feature])?
            unsafe fn outputs(image: &Image<Sink>, finish: Finish, t: &Points) {
                // SAFETY: as above.
                unsafe { super::outputs::<$vector>(image, finish, t) }
            }

            $(#[$feature])?
            unsafe fn gradients(image: &Image<Source>, sums: *mut f32, t: &Points) {
                // SAFETY: as above.
                unsafe { super::gradients::<$vector>(image, sums, t) }
            }

            $(#[$feature])?
            unsafe fn kernel(t: &Taps) {
                // SAFETY: as above.
                unsafe { taps_to_points::<$vector>(t) }
            }

            $(#[$feature])?
            unsafe fn kernel_gradient(t: &Taps) {
                // SAFETY: as above.
                unsafe { points_to_taps::<$vector>(t) }
            }

            pub(super) static TRANSFORMS: Transforms =
                Transforms { patches, pixels, outputs, gradients, kernel, kernel_gradient };
        }
    };
}

#[cfg(target_arch = "x86_64")]
transforms!(avx512, crate::gemm::vector::F32x16, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
transforms!(avx2, crate::gemm::vector::F32x8, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "aarch64")]
transforms!(neon, crate::gemm::vector::F32x4,);
transforms!(portable, crate::gemm::vector::Lanes<f32, 4>,);

impl Transforms {
    /// Those of the calling thread's instruction set.
    pub fn get() -> &'static Self {
        match isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512::TRANSFORMS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2::TRANSFORMS,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &neon::TRANSFORMS,
            _ => &portable::TRANSFORMS,
        }
    }
}
