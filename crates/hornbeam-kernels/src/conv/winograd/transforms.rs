//! Between pixels and points, a row of tiles at a time.
//!
//! A two-dimensional transform is a pass along one axis and then one along the other, channels as lanes. What lies
//! between the passes goes through a small buffer that stays in the first-level cache. Neighbouring patches overlap by
//! two pixels; the pass along the height works on columns of the whole row of tiles, so that no column is worked on
//! twice. Pixels outside the image are zeros that are never stored anywhere.

use super::lanes::Lanes;
use super::layouts::{Floats, Layout};
use super::pixels::Fills;
use super::points::*;
#[cfg(target_arch = "x86_64")]
use super::rounded::{pairs, Both, Channels, Tiles};
use super::{IN, OUT, POINTS};
use crate::dtype::bf16;
use crate::simd::{isa, Isa};

/// The points of a row of `tiles` tiles: point `p` of tile `t`, channel `c` at `base + p * stride + t * step + c`.
/// There is room for whole vectors.
#[derive(Clone, Copy)]
pub(crate) struct Points {
    pub base: *mut f32,
    pub stride: usize,
    pub step: usize,
    pub tiles: usize,
    /// Floats that the passes hand over: [`half_len`].
    pub half: *mut f32,
    /// Where a layout of two parts puts the second.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // no layout has two there
    pub beside: Beside,
}

/// As `base`, `stride` and `step` of [`Points`].
#[derive(Clone, Copy)]
pub(crate) struct Beside {
    pub base: *mut f32,
    pub stride: usize,
    pub step: usize,
}

impl Beside {
    pub const NOTHING: Self = Self { base: std::ptr::null_mut(), stride: 0, step: 0 };
}

/// Floats between the passes for a row of `tiles` tiles, vectors of at most `lanes`.
pub(super) fn half_len(tiles: usize, lanes: usize) -> usize {
    ((tiles * OUT + 2) * IN).max(2 * POINTS) * lanes
}

/// An image, and the row of it where a row of tiles starts: tile `t` covers columns from `column + t * OUT` on.
#[derive(Clone, Copy)]
pub(crate) struct Image<P> {
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
unsafe fn patches<V: Lanes, L: Layout<V>, E: Fills<V>>(image: &Image<*const E>, t: &Points) {
    // SAFETY: the caller vouches for the ISA and the extents.
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
unsafe fn patches_of<V: Lanes, L: Layout<V>, E: Fills<V>, const FULL: bool>(
    image: &Image<*const E>,
    t: &Points,
    c: usize,
) {
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
                value.store(half(column, i));
            }
        }
        for tile in (0..t.tiles).step_by(L::TILES) {
            let paired = L::TILES == 2 && tile + 1 < t.tiles;
            for i in 0..IN {
                let first = patch_row(half(tile * OUT, i));
                let second = if paired { patch_row(half((tile + 1) * OUT, i)) } else { [V::zero(); IN] };
                L::put(t, tile, c, i, [first, second]);
            }
        }
    }
}

/// A row of points, from where its first column lies. (A closure that is called twice is not inlined, and then compiled
/// for the wrong instruction set.)
#[inline(always)]
unsafe fn patch_row<V: Lanes>(from: *const f32) -> [V; IN] {
    // SAFETY: as in `patches`.
    unsafe {
        let at = |j: usize| V::load(from.wrapping_add(j * IN * V::LANES));
        to_points([at(0), at(1), at(2), at(3), at(4), at(5)])
    }
}

/// What becomes of a tile's six rows of pixels. The last two overlap with the next row of tiles of the image: they wait
/// for it in a carry, two rows of floats.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    /// How many are written to the image.
    pub written: usize,
    /// Whether the first two are added to what waits, and whether the last two wait.
    pub taken: bool,
    pub left: bool,
    pub carry: *mut f32,
}

#[inline(always)]
unsafe fn pixels<V: Lanes, E: Fills<V>>(image: &Image<*mut E>, rows: Rows, t: &Points) {
    // SAFETY: the caller vouches for the ISA and the extents.
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
unsafe fn pixels_of<V: Lanes, E: Fills<V>, const FULL: bool>(image: &Image<*mut E>, rows: Rows, t: &Points, c: usize) {
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
        let end = end.min(rows.written);
        let pitch = image.width * image.channels;
        let start = (image.row * image.width as isize + image.column) * image.channels as isize + c as isize;
        let origin = image.pixels.wrapping_offset(start);
        let columns = Image::<()>::inside(image.column, t.tiles * OUT + 2, image.width);
        for column in columns[0]..columns[1] {
            let at = |i: usize| V::load(half(column, i));
            let mut d = to_points_transposed([at(0), at(1), at(2), at(3), at(4), at(5)]);
            let pixel = (column as isize + image.column) as usize * image.channels + c;
            let carry = [rows.carry.wrapping_add(pixel), rows.carry.wrapping_add(pixel + pitch)];
            if rows.taken {
                d[0] = d[0].add(V::load_if::<FULL>(carry[0], n));
                d[1] = d[1].add(V::load_if::<FULL>(carry[1], n));
            }
            if rows.left {
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

/// Where outputs go: to the image itself, or the maxima of 2x2 windows and their places to a smaller one.
#[derive(Clone, Copy)]
pub(crate) enum Sink<E> {
    Whole { y: *mut E, accumulate: bool },
    Pooled { y: *mut E, codes: *mut u8 },
}

/// What happens to outputs on their way.
#[derive(Clone, Copy)]
pub(crate) struct Finish {
    /// One value for each channel, or null.
    pub bias: *const f32,
    pub relu: bool,
}

#[inline(always)]
unsafe fn outputs<V: Lanes, E: Fills<V>>(image: &Image<Sink<E>>, finish: Finish, t: &Points) {
    // SAFETY: the caller vouches for the ISA and the extents.
    unsafe {
        for c in (0..image.channels).step_by(V::LANES) {
            let full = image.channels - c >= V::LANES;
            match (image.pixels, full) {
                (Sink::Whole { y, accumulate }, true) => whole_of::<V, E, true>(image, y, accumulate, finish, t, c),
                (Sink::Whole { y, accumulate }, false) => whole_of::<V, E, false>(image, y, accumulate, finish, t, c),
                (Sink::Pooled { y, codes }, true) => pooled_of::<V, E, true>(image, y, codes, finish, t, c),
                (Sink::Pooled { y, codes }, false) => pooled_of::<V, E, false>(image, y, codes, finish, t, c),
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
unsafe fn whole_of<V: Lanes, E: Fills<V>, const FULL: bool>(
    image: &Image<Sink<E>>,
    y: *mut E,
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
                            value = value.add(E::load::<FULL>(to, n));
                        }
                        if finish.relu {
                            value = value.relu();
                        }
                        E::store::<FULL>(value, to, n);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn pooled_of<V: Lanes, E: Fills<V>, const FULL: bool>(
    image: &Image<Sink<E>>,
    y: *mut E,
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
                        E::store::<FULL>(most, y.wrapping_add(to), n);
                    }
                }
            }
        }
    }
}

/// Where the gradients of outputs come from: see [`crate::conv::OutputGrad`].
#[derive(Clone, Copy)]
pub(crate) enum Source<E> {
    Plain(*const E),
    Relu { dy: *const E, y: *const E },
    Pooled { dy: *const E, codes: *const u8 },
}

/// `sums`: where the gradients' sums over pixels are added up, one for each channel with room for whole vectors; or null.
#[inline(always)]
unsafe fn gradients<V: Lanes, L: Layout<V>, E: Fills<V>>(image: &Image<Source<E>>, sums: *mut f32, t: &Points) {
    // SAFETY: the caller vouches for the ISA and the extents.
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
unsafe fn gradients_of<V: Lanes, L: Layout<V>, E: Fills<V>, const FULL: bool>(
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
            let together = if L::TILES == 2 { (t.tiles - tile).min(2) } else { 1 };
            for k in 0..together {
                let half = t.half.wrapping_add(k * POINTS * V::LANES);
                for pair in 0..OUT / 2 {
                    let columns = gradient_columns::<V, E, FULL>(image, (tile + k) * OUT + 2 * pair, c, n);
                    for (j, d) in columns.into_iter().enumerate() {
                        sum = sum.add(d[0].add(d[1]).add(d[2].add(d[3])));
                        let half = half.wrapping_add((2 * pair + j) * V::LANES);
                        for (i, value) in from_points_transposed(d).into_iter().enumerate() {
                            value.store(half.wrapping_add(i * IN * V::LANES));
                        }
                    }
                }
            }
            for i in 0..IN {
                let half = t.half.wrapping_add(i * IN * V::LANES);
                let first = gradient_row(half);
                let second =
                    if together == 2 { gradient_row(half.wrapping_add(POINTS * V::LANES)) } else { [V::zero(); IN] };
                L::put(t, tile, c, i, [first, second]);
            }
        }
        if !sums.is_null() {
            V::load(sums.add(c)).add(sum).store(sums.add(c));
        }
    }
}

/// A row of points from the row between the passes.
#[inline(always)]
unsafe fn gradient_row<V: Lanes>(from: *const f32) -> [V; IN] {
    // SAFETY: as in `gradients`.
    unsafe {
        let at = |j: usize| V::load(from.wrapping_add(j * V::LANES));
        from_points_transposed([at(0), at(1), at(2), at(3)])
    }
}

/// The gradients of two columns of a tile, zero outside the image.
#[inline(always)]
unsafe fn gradient_columns<V: Lanes, E: Fills<V>, const FULL: bool>(
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
                    let places = E::load::<FULL>(dy.wrapping_add(at), n).by_code(codes.wrapping_add(at), n);
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

/// From gradients to points, with their sums over pixels.
type Gradients<E> = unsafe fn(&Image<Source<E>>, *mut f32, &Points);

/// The transforms of one ISA and one kind of pixels.
pub(crate) struct Transforms<E> {
    /// For sums over channels, and for sums over tiles.
    pub patches: [unsafe fn(&Image<*const E>, &Points); 2],
    pub gradients: [Gradients<E>; 2],
    /// For both: over tiles, and beside it over channels. Where one layout serves both, nothing lies beside.
    pub twofold: Gradients<E>,
    pub pixels: unsafe fn(&Image<*mut E>, Rows, &Points),
    pub outputs: unsafe fn(&Image<Sink<E>>, Finish, &Points),
    pub kernel: unsafe fn(&Taps),
    pub kernel_gradient: unsafe fn(&Taps),
    /// Pairs of two rows of floats, of whole vectors.
    pub pairs: unsafe fn(&[f32], &[f32], *mut f32),
}

macro_rules! transforms {
    ($name:ident, $vector:ty, $element:ty, [$channels:ty, $tiles:ty, $twofold:ty], $pairs:expr, $(#[$feature:meta])?) => {
        mod $name {
            use super::*;

            $(#[$feature])?
            unsafe fn patches<L: Layout<$vector>>(image: &Image<*const $element>, t: &Points) {
                // SAFETY: the caller's promise is passed on, and this function is compiled for the ISA.
                unsafe { super::patches::<$vector, L, $element>(image, t) }
            }

            $(#[$feature])?
            unsafe fn gradients<L: Layout<$vector>>(image: &Image<Source<$element>>, sums: *mut f32, t: &Points) {
                // SAFETY: as above.
                unsafe { super::gradients::<$vector, L, $element>(image, sums, t) }
            }

            $(#[$feature])?
            unsafe fn pixels(image: &Image<*mut $element>, rows: Rows, t: &Points) {
                // SAFETY: as above.
                unsafe { super::pixels::<$vector, $element>(image, rows, t) }
            }

            $(#[$feature])?
            unsafe fn outputs(image: &Image<Sink<$element>>, finish: Finish, t: &Points) {
                // SAFETY: as above.
                unsafe { super::outputs::<$vector, $element>(image, finish, t) }
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

            pub(super) static TRANSFORMS: Transforms<$element> = Transforms {
                patches: [patches::<$channels>, patches::<$tiles>],
                gradients: [gradients::<$channels>, gradients::<$tiles>],
                twofold: gradients::<$twofold>,
                pixels,
                outputs,
                kernel,
                kernel_gradient,
                pairs: $pairs,
            };
        }
    };
}

#[cfg(target_arch = "x86_64")]
transforms!(avx512, crate::gemm::vector::F32x16, f32, [Floats, Floats, Floats], no_pairs,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
transforms!(avx512_rounded, crate::gemm::vector::F32x16, bf16, [Channels, Tiles, Both], pairs,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
transforms!(avx2, crate::gemm::vector::F32x8, f32, [Floats, Floats, Floats], no_pairs,
    #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "aarch64")]
transforms!(neon, crate::gemm::vector::F32x4, f32, [Floats, Floats, Floats], no_pairs,);
transforms!(portable, crate::gemm::vector::Lanes<f32, 4>, f32, [Floats, Floats, Floats], no_pairs,);

unsafe fn no_pairs(_: &[f32], _: &[f32], _: *mut f32) {
    unreachable!("floats are not paired")
}

impl Transforms<bf16> {
    /// Where [`crate::gemm::tile::pairs`] has micro-kernels.
    pub fn rounded() -> Option<&'static Self> {
        #[cfg(target_arch = "x86_64")]
        if crate::gemm::tile::pairs().is_some() {
            return Some(&avx512_rounded::TRANSFORMS);
        }
        None
    }
}

impl Transforms<f32> {
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
