//! Winograd's minimal filtering F(4x4, 3x3) for `f32` (Winograd 1980; Lavin and Gray 2016).
//!
//! A 4x4 tile of outputs needs a 6x6 patch of inputs. Both the patch and the kernel are evaluated at six points along each
//! axis, multiplied point by point (36 small matrix products over channels instead of 144 multiplications an output
//! tile), and interpolated back: `Y = At [(G g Gt) * (Bt d B)] A`. The points 0, +-sqrt(1/2), +-sqrt(2), infinity keep
//! rounding errors two to three times below those of the usual 0, +-1, +-2.
//!
//! The input gradient is the same walk over `dy` with the flipped kernel. The kernel gradient is the exact transpose:
//! `dW = Gt [sum over tiles of (Bt d B) * (A dY At)] G`.

// Loops over the columns of a small matrix.
#![allow(clippy::needless_range_loop)]

use super::ConvShape;
use crate::gemm::tile::{Kernels, Real, Tile};
use crate::gemm::vector::*;
use crate::gemm::{even, Activation, Epilogue};
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use crate::simd::{isa, Isa};
use std::ptr::null;

/// Outputs of a tile along one axis, and inputs.
const OUT: usize = 4;
const IN: usize = OUT + 2;
const POINTS: usize = IN * IN;
/// Floats that the transformed inputs and outputs of a block of tiles should take.
const BLOCK: usize = 1 << 16;
/// Partial sums of a kernel gradient, and floats that they may take together.
const PARTIALS: usize = 8;
const PARTIAL: usize = 1 << 22;

/// The points: 0, +-A, +-B, infinity.
const A: f32 = std::f32::consts::FRAC_1_SQRT_2;
const B: f32 = std::f32::consts::SQRT_2;

/// Whether the shape is one that this algorithm computes, and faster than the direct one.
pub(super) fn suits(shape: &ConvShape) -> bool {
    shape.groups == 1
        && shape.kernel == [1, 3, 3]
        && shape.strides == [1; 3]
        && shape.dilation == [1; 3]
        && shape.pad[0] == 0
        && shape.input[0] == shape.output[0]
        && shape.pad[1] <= 2
        && shape.pad[2] <= 2
        && (16..=512).contains(&shape.in_channels)
        && (16..=512).contains(&shape.out_channels)
        && shape.output[1] >= OUT
        && shape.output[2] >= OUT
        && shape.batch * shape.output[0] * shape.output[1] * shape.output[2] >= 8 * OUT * OUT
}

/// `Bt d`: patches to points.
#[inline(always)]
unsafe fn to_points<V: Vector<Element = f32>>(d: [V; IN]) -> [V; IN] {
    // SAFETY: the caller vouches for the ISA.
    unsafe {
        let c = |value: f32| V::splat(value);
        let (even_a, odd_a) = (c(-2.0).mul_add(d[2], d[4]), c(-2.0).mul_add(d[1], d[3]));
        let (even_b, odd_b) = (c(-0.5).mul_add(d[2], d[4]), c(-0.5).mul_add(d[1], d[3]));
        [
            c(-2.5).mul_add(d[2], d[0].add(d[4])),
            c(A).mul_add(odd_a, even_a),
            c(-A).mul_add(odd_a, even_a),
            c(B).mul_add(odd_b, even_b),
            c(-B).mul_add(odd_b, even_b),
            c(-2.5).mul_add(d[3], d[1].add(d[5])),
        ]
    }
}

/// `At m`: points to outputs.
#[inline(always)]
unsafe fn from_points<V: Vector<Element = f32>>(m: [V; IN]) -> [V; OUT] {
    // SAFETY: the caller vouches for the ISA.
    unsafe {
        let c = |value: f32| V::splat(value);
        let (sum_a, dif_a) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (sum_b, dif_b) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(sum_a).add(sum_b),
            c(A).mul(dif_a).add(c(B).mul(dif_b)),
            c(A * A).mul_add(sum_a, c(B * B).mul(sum_b)),
            c(A * A * A).mul_add(dif_a, c(B * B * B).mul_add(dif_b, m[5])),
        ]
    }
}

/// `A y`: output gradients to points, the transpose of [`from_points`].
#[inline(always)]
unsafe fn spread<V: Vector<Element = f32>>(y: [V; OUT]) -> [V; IN] {
    // SAFETY: the caller vouches for the ISA.
    unsafe {
        let c = |value: f32| V::splat(value);
        let (even_a, odd_a) = (c(A * A).mul_add(y[2], y[0]), c(A * A * A).mul_add(y[3], c(A).mul(y[1])));
        let (even_b, odd_b) = (c(B * B).mul_add(y[2], y[0]), c(B * B * B).mul_add(y[3], c(B).mul(y[1])));
        [y[0], even_a.add(odd_a), even_a.sub(odd_a), even_b.add(odd_b), even_b.sub(odd_b), y[3]]
    }
}

/// `G g`: kernels to points.
#[inline(always)]
unsafe fn kernel_points<V: Vector<Element = f32>>(g: [V; 3]) -> [V; IN] {
    // SAFETY: the caller vouches for the ISA.
    unsafe {
        let c = |value: f32| V::splat(value);
        let (even_a, odd_a) = (c(A * A).mul_add(g[2], g[0]), c(A).mul(g[1]));
        let (even_b, odd_b) = (c(B * B).mul_add(g[2], g[0]), c(B).mul(g[1]));
        let (scale_a, scale_b) = (c(-1.0 / 1.5), c(1.0 / 6.0));
        [
            g[0],
            even_a.add(odd_a).mul(scale_a),
            even_a.sub(odd_a).mul(scale_a),
            even_b.add(odd_b).mul(scale_b),
            even_b.sub(odd_b).mul(scale_b),
            g[2],
        ]
    }
}

/// `Gt s`: points to kernel gradients, the transpose of [`kernel_points`].
#[inline(always)]
unsafe fn kernel_from_points<V: Vector<Element = f32>>(s: [V; IN]) -> [V; 3] {
    // SAFETY: the caller vouches for the ISA.
    unsafe {
        let c = |value: f32| V::splat(value);
        let (scale_a, scale_b) = (c(-1.0 / 1.5), c(1.0 / 6.0));
        let (sum_a, dif_a) = (s[1].add(s[2]).mul(scale_a), s[1].sub(s[2]).mul(scale_a));
        let (sum_b, dif_b) = (s[3].add(s[4]).mul(scale_b), s[3].sub(s[4]).mul(scale_b));
        [
            s[0].add(sum_a).add(sum_b),
            c(A).mul_add(dif_a, c(B).mul(dif_b)),
            c(A * A).mul_add(sum_a, c(B * B).mul_add(sum_b, s[5])),
        ]
    }
}

/// Kernels and their points: tap `t` of kernel `n` at `taps + t * tap + n`, its point `p` at `points + p * stride + n`.
/// `count` of them; points may be written, and are read, in whole vectors.
struct Taps {
    taps: *mut f32,
    tap: usize,
    points: *mut f32,
    stride: usize,
    count: usize,
}

#[inline(always)]
unsafe fn taps_to_points<V: Vector<Element = f32>>(t: &Taps) {
    // SAFETY: the caller vouches for the ISA and the extents that `t` describes.
    unsafe {
        for n in (0..t.count).step_by(V::LANES) {
            let lanes = V::LANES.min(t.count - n);
            let mut half = [[V::zero(); IN]; 3];
            for (j, half) in half.iter_mut().enumerate() {
                let at = |i: usize| t.taps.add((3 * i + j) * t.tap + n).cast_const();
                *half = kernel_points([load::<V>(at(0), lanes), load(at(1), lanes), load(at(2), lanes)]);
            }
            for i in 0..IN {
                let points = kernel_points([half[0][i], half[1][i], half[2][i]]);
                for (j, point) in points.into_iter().enumerate() {
                    point.store(t.points.add((i * IN + j) * t.stride + n));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn points_to_taps<V: Vector<Element = f32>>(t: &Taps) {
    // SAFETY: the caller vouches for the ISA and the extents that `t` describes.
    unsafe {
        for n in (0..t.count).step_by(V::LANES) {
            let lanes = V::LANES.min(t.count - n);
            let mut half = [[V::zero(); 3]; IN];
            for (j, half) in half.iter_mut().enumerate() {
                let at = |i: usize| V::load(t.points.add((i * IN + j) * t.stride + n));
                *half = kernel_from_points([at(0), at(1), at(2), at(3), at(4), at(5)]);
            }
            for i in 0..3 {
                let row = [half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i]];
                for (j, tap) in kernel_from_points(row).into_iter().enumerate() {
                    let to = t.taps.add((3 * i + j) * t.tap + n);
                    if lanes == V::LANES {
                        tap.store(to);
                    } else {
                        tap.store_first(to, lanes);
                    }
                }
            }
        }
    }
}

/// A tile of pixels and its points: pixel `(i, j)`, channel `c` at `pixels + i * row + j * pixel + c`; point `p` at
/// `points + p * stride + c`, where whole vectors may be written.
struct Patch {
    pixels: *const f32,
    row: usize,
    pixel: usize,
    channels: usize,
    points: *mut f32,
    stride: usize,
}

/// The outputs of a tile: point `p` at `points + p * stride + c`; the first `height` rows and `width` columns are stored.
struct Outputs<'a> {
    points: *const f32,
    stride: usize,
    channels: usize,
    pixels: *mut f32,
    row: usize,
    pixel: usize,
    height: usize,
    width: usize,
    bias: Option<&'a [f32]>,
    relu: bool,
    accumulate: bool,
}

#[inline(always)]
unsafe fn load<V: Vector<Element = f32>>(p: *const f32, n: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        if n == V::LANES {
            V::load(p)
        } else {
            V::load_first(p, n)
        }
    }
}

#[inline(always)]
unsafe fn patch_to_points<V: Vector<Element = f32>>(t: &Patch) {
    // SAFETY: the caller vouches for the ISA and the extents that `t` describes.
    unsafe {
        for c in (0..t.channels).step_by(V::LANES) {
            let n = V::LANES.min(t.channels - c);
            let mut half = [[V::zero(); IN]; IN];
            for (j, half) in half.iter_mut().enumerate() {
                let at = |i: usize| t.pixels.add(i * t.row + j * t.pixel + c);
                *half = to_points([
                    load(at(0), n),
                    load(at(1), n),
                    load(at(2), n),
                    load(at(3), n),
                    load(at(4), n),
                    load(at(5), n),
                ]);
            }
            for i in 0..IN {
                let points = to_points([half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i]]);
                for (j, point) in points.into_iter().enumerate() {
                    point.store(t.points.add((i * IN + j) * t.stride + c));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn gradient_to_points<V: Vector<Element = f32>>(t: &Patch) {
    // SAFETY: the caller vouches for the ISA and the extents that `t` describes.
    unsafe {
        for c in (0..t.channels).step_by(V::LANES) {
            let n = V::LANES.min(t.channels - c);
            let mut half = [[V::zero(); IN]; OUT];
            for (j, half) in half.iter_mut().enumerate() {
                let at = |i: usize| t.pixels.add(i * t.row + j * t.pixel + c);
                *half = spread([load(at(0), n), load(at(1), n), load(at(2), n), load(at(3), n)]);
            }
            for i in 0..IN {
                let points = spread([half[0][i], half[1][i], half[2][i], half[3][i]]);
                for (j, point) in points.into_iter().enumerate() {
                    point.store(t.points.add((i * IN + j) * t.stride + c));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn points_to_outputs<V: Vector<Element = f32>>(t: &Outputs<'_>) {
    // SAFETY: the caller vouches for the ISA and the extents that `t` describes.
    unsafe {
        for c in (0..t.channels).step_by(V::LANES) {
            let n = V::LANES.min(t.channels - c);
            let mut half = [[V::zero(); OUT]; IN];
            for (j, half) in half.iter_mut().enumerate() {
                let at = |i: usize| V::load(t.points.add((i * IN + j) * t.stride + c));
                *half = from_points([at(0), at(1), at(2), at(3), at(4), at(5)]);
            }
            let bias = match t.bias {
                Some(bias) => load(bias.as_ptr().add(c), n),
                None => V::zero(),
            };
            for i in 0..t.height {
                let outputs = from_points([half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i]]);
                for (j, output) in outputs.into_iter().enumerate().take(t.width) {
                    let to = t.pixels.add(i * t.row + j * t.pixel + c);
                    let mut value = output.add(bias);
                    if t.accumulate {
                        value = value.add(load(to, n));
                    }
                    if t.relu {
                        value = value.relu();
                    }
                    if n == V::LANES {
                        value.store(to);
                    } else {
                        value.store_first(to, n);
                    }
                }
            }
        }
    }
}

/// The transforms of one ISA.
struct Transforms {
    patch: unsafe fn(&Patch),
    gradient: unsafe fn(&Patch),
    outputs: unsafe fn(&Outputs<'_>),
    kernel: unsafe fn(&Taps),
    kernel_gradient: unsafe fn(&Taps),
}

macro_rules! transforms {
    ($name:ident, $vector:ty, $(#[$feature:meta])?) => {
        mod $name {
            use super::*;

            $(#[$feature])?
            unsafe fn patch(t: &Patch) {
                // SAFETY: the caller's promise is passed on, and this function is compiled for the ISA.
                unsafe { patch_to_points::<$vector>(t) }
            }

            $(#[$feature])?
            unsafe fn gradient(t: &Patch) {
                // SAFETY: as above.
                unsafe { gradient_to_points::<$vector>(t) }
            }

            $(#[$feature])?
            unsafe fn outputs(t: &Outputs<'_>) {
                // SAFETY: as above.
                unsafe { points_to_outputs::<$vector>(t) }
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
                Transforms { patch, gradient, outputs, kernel, kernel_gradient };
        }
    };
}

#[cfg(target_arch = "x86_64")]
transforms!(avx512, F32x16, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
transforms!(avx2, F32x8, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "aarch64")]
transforms!(neon, F32x4,);
transforms!(portable, Lanes<f32, 4>,);

fn transforms() -> &'static Transforms {
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

/// Tiles over a batch of images (depth counts as batch), numbered image by image, row by row.
#[derive(Clone, Copy)]
struct Tiling {
    images: usize,
    /// Pixels that patches read, and where the patch of tile 0 starts: `-low`.
    input: [usize; 2],
    low: [isize; 2],
    output: [usize; 2],
    /// Tiles of an image along each axis.
    tiles: [usize; 2],
}

impl Tiling {
    fn new(images: usize, input: [usize; 2], low: [isize; 2], output: [usize; 2]) -> Self {
        Self { images, input, low, output, tiles: output.map(|n| n.div_ceil(OUT)) }
    }

    fn count(&self) -> usize {
        self.images * self.tiles[0] * self.tiles[1]
    }

    /// Image, first output row and first output column of a tile.
    fn at(&self, tile: usize) -> [usize; 3] {
        let [tall, wide] = self.tiles;
        [tile / (tall * wide), tile / wide % tall * OUT, tile % wide * OUT]
    }
}

/// Distance between points: a cache line more than the data, so that points do not share cache sets.
fn padded(floats: usize) -> usize {
    floats + 16
}

/// The pixels `(row + i, column + j)`, `i, j < SIDE`, of an image: in place, or copied with zeros where there are none.
fn window<const SIDE: usize>(
    image: &[f32],
    [height, width]: [usize; 2],
    channels: usize,
    [row, column]: [isize; 2],
    copy: &mut [f32],
) -> (*const f32, usize) {
    let side = SIDE as isize;
    if row >= 0 && column >= 0 && row + side <= height as isize && column + side <= width as isize {
        let start = (row as usize * width + column as usize) * channels;
        return (image[start..].as_ptr(), width * channels);
    }
    copy[..SIDE * SIDE * channels].fill(0.0);
    let first = column.max(0);
    let count = ((column + side).min(width as isize) - first).max(0) as usize * channels;
    for i in 0..side {
        let r = row + i;
        if r >= 0 && r < height as isize && count > 0 {
            let from = (r as usize * width + first as usize) * channels;
            let to = (i * side + first - column) as usize * channels;
            copy[to..to + count].copy_from_slice(&image[from..from + count]);
        }
    }
    (copy.as_ptr(), SIDE * channels)
}

/// The kernel as the products read it: tap `t` from channel `k` to channel `n` at `start + t * tap + k * row + n * col`.
struct Kernel<'a> {
    data: &'a [f32],
    start: isize,
    tap: isize,
    row: isize,
    col: isize,
}

impl Kernel<'_> {
    /// Copies the taps from channel `k` to channels `column..column + columns`, tap by tap `width` apart.
    fn taps(&self, k: usize, column: usize, columns: usize, width: usize, to: &mut [f32]) {
        for (t, to) in to.chunks_exact_mut(width).enumerate() {
            let base = self.start + t as isize * self.tap + k as isize * self.row + column as isize * self.col;
            for (n, to) in to[..columns].iter_mut().enumerate() {
                *to = self.data[(base + n as isize * self.col) as usize];
            }
            to[columns..].fill(0.0);
        }
    }
}

pub(super) fn forward(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[f32],
    w: &[f32],
    y: &mut [f32],
    epilogue: Epilogue<f32>,
    scratch: &mut Scratch,
) {
    let [_, ph, pw] = shape.pad.map(|p| p as isize);
    let [depth, height, width] = shape.input;
    let tiling = Tiling::new(shape.batch * depth, [height, width], [ph, pw], [shape.output[1], shape.output[2]]);
    let (inputs, outputs) = (shape.in_channels, shape.out_channels);
    let (row, tap) = (outputs as isize, (inputs * outputs) as isize);
    let kernel = Kernel { data: w, start: 0, tap, row, col: 1 };
    correlate(pool, &tiling, [inputs, outputs], x, &kernel, y, epilogue, scratch);
}

pub(super) fn input_grad(
    pool: &ThreadPool,
    shape: &ConvShape,
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
    scratch: &mut Scratch,
) {
    let [_, ph, pw] = shape.pad.map(|p| 2 - p as isize);
    let [depth, height, width] = shape.output;
    let tiling = Tiling::new(shape.batch * depth, [height, width], [ph, pw], [shape.input[1], shape.input[2]]);
    let (inputs, outputs) = (shape.in_channels, shape.out_channels);
    let (col, tap) = (outputs as isize, (inputs * outputs) as isize);
    let kernel = Kernel { data: w, start: 8 * tap, tap: -tap, row: 1, col };
    correlate(pool, &tiling, [outputs, inputs], dy, &kernel, dx, Epilogue::default(), scratch);
}

fn correlate(
    pool: &ThreadPool,
    tiling: &Tiling,
    [inputs, outputs]: [usize; 2],
    x: &[f32],
    kernel: &Kernel<'_>,
    y: &mut [f32],
    epilogue: Epilogue<f32>,
    scratch: &mut Scratch,
) {
    let (kernels, transforms) = (f32::kernels(), transforms());
    let lanes = kernels.lanes;
    let vectors = outputs.div_ceil(lanes).min(2);
    let width = vectors * lanes;
    let panels = outputs.div_ceil(width);
    let (deep, wide) = (inputs.next_multiple_of(lanes), panels * width);
    // Panels of the kernel's points: `[point][panel][input channel][width]`.
    let kernel_stride = padded(panels * inputs * width);
    let points = scratch.take::<f32>(POINTS * kernel_stride);
    {
        let points = SharedMut::new(&mut *points);
        // A few channels a task: the transform of one is short.
        pool.run_ranges(inputs, 8, &|range| {
            let mut taps = [0.0; 9 * 2 * 16];
            for (k, panel) in range.flat_map(|k| (0..panels).map(move |panel| (k, panel))) {
                let taps = &mut taps[..9 * width];
                kernel.taps(k, panel * width, width.min(outputs - panel * width), width, taps);
                let to = points.as_ptr().wrapping_add((panel * inputs + k) * width);
                let job = Taps { taps: taps.as_mut_ptr(), tap: width, points: to, stride: kernel_stride, count: width };
                // SAFETY: every (k, panel) is written by one task; a panel is whole vectors.
                unsafe { (transforms.kernel)(&job) };
            }
        });
    }
    let points = &*points;

    let count = tiling.count();
    // Rows of one register tile at least; two where the kernel's points come from beyond the second-level cache.
    let least = if inputs * outputs > 1 << 13 { 28 } else { 14 };
    let block = (BLOCK / (POINTS * (deep + wide))).max(least).min(count.div_ceil(16).max(14));
    let blocks = count.div_ceil(block);
    let [height, across] = tiling.input;
    let image = height * across * inputs;
    let line = tiling.output[1] * outputs;
    let y = SharedMut::new(y);
    pool.run(blocks, &|task| {
        let tiles = [task * count / blocks, (task + 1) * count / blocks];
        let size = tiles[1] - tiles[0];
        let (in_stride, out_stride) = (padded(size * deep), padded(size * wide));
        with_local(|local| {
            let (patches, results, copy) =
                local.take3::<f32, f32, f32>(POINTS * in_stride, POINTS * out_stride, POINTS * inputs);
            for tile in tiles[0]..tiles[1] {
                let [n, row, column] = tiling.at(tile);
                let at = [row as isize - tiling.low[0], column as isize - tiling.low[1]];
                let (pixels, pitch) = window::<IN>(&x[n * image..(n + 1) * image], tiling.input, inputs, at, copy);
                let patch = Patch {
                    pixels,
                    row: pitch,
                    pixel: inputs,
                    channels: inputs,
                    points: patches[(tile - tiles[0]) * deep..].as_mut_ptr(),
                    stride: in_stride,
                };
                // SAFETY: the window holds 6 x 6 pixels; each point's row has room for whole vectors.
                unsafe { (transforms.patch)(&patch) };
            }
            for point in 0..POINTS {
                let (a, c) = (&patches[point * in_stride..], &mut results[point * out_stride..]);
                // SAFETY: the slices hold `size` rows, and the panels are packed as asked for.
                unsafe {
                    product(
                        kernels,
                        vectors,
                        panels,
                        inputs,
                        [size, deep, wide],
                        a,
                        &points[point * kernel_stride..],
                        c,
                    )
                };
            }
            for tile in tiles[0]..tiles[1] {
                let [n, row, column] = tiling.at(tile);
                let outputs = Outputs {
                    points: results[(tile - tiles[0]) * wide..].as_ptr(),
                    stride: out_stride,
                    channels: outputs,
                    pixels: y.as_ptr().wrapping_add((n * tiling.output[0] + row) * line + column * outputs),
                    row: line,
                    pixel: outputs,
                    height: OUT.min(tiling.output[0] - row),
                    width: OUT.min(tiling.output[1] - column),
                    bias: epilogue.bias,
                    relu: epilogue.activation == Activation::Relu,
                    accumulate: epilogue.accumulate,
                };
                // SAFETY: tiles are disjoint in `y`, and height and width keep to the image.
                unsafe { (transforms.outputs)(&outputs) };
            }
        });
    });
}

/// `c = a @ b` for one point: `a` is `size` rows of `k` in `deep`, `b` packed panels, `c` rows of `wide`.
///
/// # Safety
/// The slices must hold that much.
unsafe fn product(
    kernels: &Kernels<f32>,
    vectors: usize,
    panels: usize,
    k: usize,
    [size, deep, wide]: [usize; 3],
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
) {
    let width = vectors * kernels.lanes;
    let taps = [0usize];
    assert!(a.len() >= size * deep && b.len() >= panels * k * width && c.len() >= size * wide);
    for panel in 0..panels {
        for [start, end] in even(0, size, kernels.rows[vectors - 1]) {
            let tile = Tile {
                a: a[start * deep..].as_ptr(),
                a_step: deep,
                taps: taps.as_ptr(),
                tap_count: 1,
                run: k,
                b: b[panel * k * width..].as_ptr(),
                b_step: width,
                c: c[start * wide + panel * width..].as_mut_ptr(),
                c_step: wide,
                last: kernels.lanes,
                bias: null(),
                relu: false,
                accumulate: false,
            };
            // SAFETY: within the slices by the assertion.
            unsafe { kernels.tile(false, end - start, vectors)(&tile) };
        }
    }
}

pub(super) fn kernel_grad(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    scratch: &mut Scratch,
) {
    let (kernels, transforms) = (f32::kernels(), transforms());
    let lanes = kernels.lanes;
    let (inputs, outputs) = (shape.in_channels, shape.out_channels);
    let [_, ph, pw] = shape.pad.map(|p| p as isize);
    let [depth, height, across] = shape.input;
    let tiling = Tiling::new(shape.batch * depth, [height, across], [ph, pw], [shape.output[1], shape.output[2]]);
    let (deep, wide) = (inputs.next_multiple_of(lanes), outputs.next_multiple_of(lanes));
    let count = tiling.count();
    // Sums by point: `[point][input channel][wide]`.
    let stride = padded(inputs * wide);
    let size = POINTS * stride;
    let partials = (PARTIAL / size).clamp(1, PARTIALS).min(count.div_ceil(28));
    // Where there is room for few partial sums, tasks share out the points and transform the same tiles.
    let parts = PARTIALS.div_ceil(partials).min(6);
    let sums = scratch.take::<f32>(partials * size);
    {
        let sums = SharedMut::new(&mut *sums);
        let (image, out_image) = (height * across * inputs, shape.output[1] * shape.output[2] * outputs);
        let most = (BLOCK / (POINTS * (deep + wide))).max(28);
        pool.run(partials * parts, &|task| {
            let (partial, part) = (task / parts, task % parts);
            let range = [partial * count / partials, (partial + 1) * count / partials];
            let points = part * POINTS / parts..(part + 1) * POINTS / parts;
            with_local(|local| {
                for [start, end] in even(range[0], range[1], most) {
                    let size = end - start;
                    let (in_stride, out_stride) = (padded(size * deep), padded(size * wide));
                    let (patches, gradients, copy) = local.take3::<f32, f32, f32>(
                        POINTS * in_stride,
                        POINTS * out_stride,
                        POINTS * inputs.max(outputs),
                    );
                    for tile in start..end {
                        let [n, row, column] = tiling.at(tile);
                        let at = [row as isize - tiling.low[0], column as isize - tiling.low[1]];
                        let (pixels, pitch) =
                            window::<IN>(&x[n * image..(n + 1) * image], tiling.input, inputs, at, copy);
                        let patch = Patch {
                            pixels,
                            row: pitch,
                            pixel: inputs,
                            channels: inputs,
                            points: patches[(tile - start) * deep..].as_mut_ptr(),
                            stride: in_stride,
                        };
                        // SAFETY: the window holds 6 x 6 pixels; each point's row has room for whole vectors.
                        unsafe { (transforms.patch)(&patch) };
                        let at = [row as isize, column as isize];
                        let image = &dy[n * out_image..(n + 1) * out_image];
                        let (pixels, pitch) = window::<OUT>(image, tiling.output, outputs, at, copy);
                        let patch = Patch {
                            pixels,
                            row: pitch,
                            pixel: outputs,
                            channels: outputs,
                            points: gradients[(tile - start) * wide..].as_mut_ptr(),
                            stride: out_stride,
                        };
                        // SAFETY: the window holds 4 x 4 pixels; each point's row has room for whole vectors.
                        unsafe { (transforms.gradient)(&patch) };
                    }
                    for point in points.clone() {
                        let base = (partial * POINTS + point) * stride;
                        // SAFETY: partial sums are a task's own, or its points of them.
                        let sums = unsafe { sums.range(base..base + inputs * wide) };
                        let (a, b) = (&patches[point * in_stride..], &gradients[point * out_stride..]);
                        // SAFETY: the slices hold `size` rows.
                        unsafe { outer(kernels, size, [inputs, deep, wide], a, b, sums, start > range[0]) };
                    }
                }
            });
        });
    }
    let (total, rest) = sums.split_at_mut(size);
    pool.run_chunks(total, stride, &|point, total| {
        for part in rest.chunks_exact(size) {
            for (total, part) in total.iter_mut().zip(&part[point * stride..]) {
                *total += part;
            }
        }
    });
    let (total, dw) = (SharedMut::new(total), SharedMut::new(dw));
    pool.run_ranges(inputs, 8, &|range| {
        for k in range {
            let job = Taps {
                taps: dw.as_ptr().wrapping_add(k * outputs),
                tap: inputs * outputs,
                points: total.as_ptr().wrapping_add(k * wide),
                stride,
                count: outputs,
            };
            // SAFETY: every channel is written by one task; the sums are only read, in rows of whole vectors.
            unsafe { (transforms.kernel_gradient)(&job) };
        }
    });
}

/// `c (+)= at @ b` for one point: `a` is `size` rows of `inputs` in `deep`, `b` rows of `wide`, `c` `inputs x wide`.
///
/// # Safety
/// The slices must hold that much.
unsafe fn outer(
    kernels: &Kernels<f32>,
    size: usize,
    [inputs, deep, wide]: [usize; 3],
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    accumulate: bool,
) {
    let lanes = kernels.lanes;
    let taps = [0usize];
    assert!(a.len() >= size * deep && b.len() >= size * wide && c.len() >= inputs * wide);
    let vectors = (wide / lanes).min(2);
    for column in (0..wide).step_by(vectors * lanes) {
        let vectors = vectors.min((wide - column) / lanes);
        for [start, end] in even(0, inputs, kernels.rows[vectors - 1]) {
            let tile = Tile {
                a: a[start..].as_ptr(),
                a_step: deep,
                taps: taps.as_ptr(),
                tap_count: 1,
                run: size,
                b: b[column..].as_ptr(),
                b_step: wide,
                c: c[start * wide + column..].as_mut_ptr(),
                c_step: wide,
                last: lanes,
                bias: null(),
                relu: false,
                accumulate,
            };
            // SAFETY: within the slices by the assertion.
            unsafe { kernels.tile(true, end - start, vectors)(&tile) };
        }
    }
}
