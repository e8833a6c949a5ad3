//! Winograd's minimal filtering F(4x4, 3x3) for `f32` (Winograd 1980; Lavin and Gray 2016).
//!
//! A 4x4 tile of outputs depends on a 6x6 patch of inputs. Both the patch and the kernel are evaluated at six points
//! along each axis, multiplied pointwise (36 small matrix products over channels instead of 144 multiplications per output
//! tile), and interpolated: `Y = At [(G g Gt) * (Bt d B)] A`. The points 0, +-sqrt(1/2), +-sqrt(2), infinity give rounding
//! errors two to three times below those of the usual 0, +-1, +-2.
//!
//! The gradients are the exact transposes: `dd = B [(G g Gt) * (A dY At)] Bt`, summed where patches overlap, and
//! `dg = Gt [sum over tiles of (Bt d B) * (A dY At)] G`. All three use the same tiles, and the two gradients share
//! `A dY At`.
//!
//! Tiles are processed in blocks of full rows of tiles that fit the L2 cache; depth is folded into the batch. The crate's
//! README shows the loop levels.

mod backward;
#[cfg(target_arch = "x86_64")]
mod bf16_pairs;
mod forward;
mod lanes;
mod layouts;
mod pixels;
mod points;
mod prefetch;
mod products;
mod stationary;
mod traits;
mod transforms;
mod types;

use super::ConvShape;
use std::ops::Range;
use traits::Image;

pub(super) use backward::backward;
pub(super) use forward::{forward, pack, packed_len, pool_forward};
pub(super) use types::Kernel;

/// Outputs and inputs of a tile along one axis.
const OUT: usize = 4;
const IN: usize = OUT + 2;
const POINTS: usize = IN * IN;
/// Tiles up to which the kernel is transformed part by part ([`stationary`]).
const FEW: usize = 64;

/// Returns true if the algorithm supports the shape.
pub(super) fn supports(shape: &ConvShape) -> bool {
    // Every pixel must be covered by a tile: the input gradient writes only covered pixels.
    let covers = |axis: usize| shape.output[axis] + 2 >= shape.input[axis] + shape.pad[axis];
    shape.groups == 1
        && shape.kernel == [1, 3, 3]
        && shape.strides == [1; 3]
        && shape.dilation == [1; 3]
        && shape.pad[0] == 0
        && shape.input[0] == shape.output[0]
        && shape.pad[1] <= 2
        && shape.pad[2] <= 2
        && covers(1)
        && covers(2)
}

/// Returns true if the algorithm is supported and faster than the direct one.
pub(super) fn is_preferred(shape: &ConvShape) -> bool {
    supports(shape)
        && (16..=512).contains(&shape.in_channels)
        && (16..=512).contains(&shape.out_channels)
        && shape.output[1] >= OUT
        && shape.output[2] >= OUT
        && shape.batch * shape.output[0] * shape.output[1] * shape.output[2] >= 8 * OUT * OUT
}

/// Tiling of a batch of images (depth is folded into the batch): `rows_per_image` rows of `tiles_per_row` tiles, with rows
/// numbered over all images.
#[derive(Clone, Copy)]
struct Tiling {
    images: usize,
    rows_per_image: usize,
    tiles_per_row: usize,
    input: [usize; 2],
    pad: [usize; 2],
    output: [usize; 2],
}

impl Tiling {
    fn new(shape: &ConvShape) -> Self {
        let [_, height, width] = shape.output;
        Self {
            images: shape.batch * shape.output[0],
            rows_per_image: height.div_ceil(OUT),
            tiles_per_row: width.div_ceil(OUT),
            input: [shape.input[1], shape.input[2]],
            pad: [shape.pad[1], shape.pad[2]],
            output: [height, width],
        }
    }

    /// Returns true for few tiles: the transformed kernel is then larger than they are.
    fn is_small(&self) -> bool {
        self.rows() * self.tiles_per_row <= FEW
    }

    /// Number of rows of tiles.
    fn rows(&self) -> usize {
        self.images * self.rows_per_image
    }

    /// Returns the patches of a row of tiles; `pixels` maps the offset of the image.
    fn patches<P>(&self, row: usize, channels: usize, pixels: impl Fn(usize) -> P) -> Image<P> {
        let [height, width] = self.input;
        Image {
            pixels: pixels(row / self.rows_per_image * height * width * channels),
            height,
            width,
            channels,
            row: (row % self.rows_per_image * OUT) as isize - self.pad[0] as isize,
            column: -(self.pad[1] as isize),
        }
    }

    /// Returns the outputs of a row of tiles; `pixels` maps the number of the image.
    fn outputs<P>(&self, row: usize, channels: usize, pixels: impl Fn(usize) -> P) -> Image<P> {
        let [height, width] = self.output;
        let image = row / self.rows_per_image;
        Image {
            pixels: pixels(image),
            height,
            width,
            channels,
            row: (row % self.rows_per_image * OUT) as isize,
            column: 0,
        }
    }

    /// Index of the first pixel of a row of tiles over all images.
    fn first(&self, row: usize, [height, width]: [usize; 2], pad: usize) -> usize {
        (row / self.rows_per_image * height + (row % self.rows_per_image * OUT).saturating_sub(pad).min(height)) * width
    }

    /// Approximate range of input pixels of some rows of tiles.
    fn input_pixels(&self, rows: &Range<usize>) -> Range<usize> {
        self.first(rows.start, self.input, self.pad[0])..self.first(rows.end, self.input, self.pad[0])
    }

    /// Range of output pixels of some rows of tiles.
    fn output_pixels(&self, rows: &Range<usize>) -> Range<usize> {
        self.first(rows.start, self.output, 0)..self.first(rows.end, self.output, 0)
    }

    /// Rows of one of `parts` parts, which consist of full images if there are enough.
    fn part(&self, part: usize, parts: usize) -> Range<usize> {
        let (count, rows) = if self.images >= parts { (self.images, self.rows_per_image) } else { (self.rows(), 1) };
        part * count / parts * rows..(part + 1) * count / parts * rows
    }

    /// Rows of tiles in a block of about `floats` floats, `tile` floats per tile, and of at least `least` tiles.
    fn block(&self, floats: usize, tile: usize, least: usize) -> usize {
        (floats / tile).max(least).div_ceil(self.tiles_per_row).max(1)
    }
}

/// Stride between points: padded by a cache line, so that points do not share cache sets.
fn padded_len(floats: usize) -> usize {
    floats + 16
}
