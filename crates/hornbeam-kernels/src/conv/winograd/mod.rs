//! Winograd's minimal filtering F(4x4, 3x3) for `f32` (Winograd 1980; Lavin and Gray 2016).
//!
//! A 4x4 tile of outputs needs a 6x6 patch of inputs. Both the patch and the kernel are evaluated at six points along each
//! axis, multiplied point by point (36 small matrix products over channels instead of 144 multiplications an output
//! tile), and interpolated back: `Y = At [(G g Gt) * (Bt d B)] A`. The points 0, +-sqrt(1/2), +-sqrt(2), infinity keep
//! rounding errors two to three times below those of the usual 0, +-1, +-2.
//!
//! The gradients are the exact transposes: `dd = B [(G g Gt) * (A dY At)] Bt`, patches adding up where they overlap, and
//! `dg = Gt [sum over tiles of (Bt d B) * (A dY At)] G`. So the same tiles serve all three, and the two gradients share
//! `A dY At`.
//!
//! Tiles are worked on in blocks of whole rows of tiles, few enough for the second-level cache; depth counts as batch.

mod backward;
mod forward;
mod lanes;
mod layouts;
mod pixels;
mod points;
mod prefetch;
mod products;
#[cfg(target_arch = "x86_64")]
mod rounded;
mod transforms;

use super::ConvShape;
use std::ops::Range;
use transforms::Image;

pub(super) use backward::backward;
pub(super) use forward::{forward, pack, packed_len, pool_forward, Kernel};

/// Outputs of a tile along one axis, and inputs.
const OUT: usize = 4;
const IN: usize = OUT + 2;
const POINTS: usize = IN * IN;

/// Whether the shape is one that this algorithm computes.
pub(super) fn computes(shape: &ConvShape) -> bool {
    // Every pixel must be seen: the input gradient writes those that a tile covers.
    let seen = |axis: usize| shape.output[axis] + 2 >= shape.input[axis] + shape.pad[axis];
    shape.groups == 1
        && shape.kernel == [1, 3, 3]
        && shape.strides == [1; 3]
        && shape.dilation == [1; 3]
        && shape.pad[0] == 0
        && shape.input[0] == shape.output[0]
        && shape.pad[1] <= 2
        && shape.pad[2] <= 2
        && seen(1)
        && seen(2)
}

/// Whether it is faster than the direct one, too.
pub(super) fn suits(shape: &ConvShape) -> bool {
    computes(shape)
        && (16..=512).contains(&shape.in_channels)
        && (16..=512).contains(&shape.out_channels)
        && shape.output[1] >= OUT
        && shape.output[2] >= OUT
        && shape.batch * shape.output[0] * shape.output[1] * shape.output[2] >= 8 * OUT * OUT
}

/// Tiles over a batch of images (depth counts as batch): `tall` rows of `across` tiles for each image, rows numbered
/// through all images.
#[derive(Clone, Copy)]
struct Tiling {
    images: usize,
    tall: usize,
    across: usize,
    input: [usize; 2],
    pad: [usize; 2],
    output: [usize; 2],
}

impl Tiling {
    fn new(shape: &ConvShape) -> Self {
        let [_, height, width] = shape.output;
        Self {
            images: shape.batch * shape.output[0],
            tall: height.div_ceil(OUT),
            across: width.div_ceil(OUT),
            input: [shape.input[1], shape.input[2]],
            pad: [shape.pad[1], shape.pad[2]],
            output: [height, width],
        }
    }

    /// Rows of tiles.
    fn rows(&self) -> usize {
        self.images * self.tall
    }

    /// The patches of a row of tiles, for `pixels` that start with the first image.
    fn patches<P>(&self, row: usize, channels: usize, pixels: impl Fn(usize) -> P) -> Image<P> {
        let [height, width] = self.input;
        Image {
            pixels: pixels(row / self.tall * height * width * channels),
            height,
            width,
            channels,
            row: (row % self.tall * OUT) as isize - self.pad[0] as isize,
            column: -(self.pad[1] as isize),
        }
    }

    /// The outputs of a row of tiles; `pixels` takes the number of the image.
    fn outputs<P>(&self, row: usize, channels: usize, pixels: impl Fn(usize) -> P) -> Image<P> {
        let [height, width] = self.output;
        let image = row / self.tall;
        Image { pixels: pixels(image), height, width, channels, row: (row % self.tall * OUT) as isize, column: 0 }
    }

    /// Where the first pixel that belongs to a row of tiles lies, in pixels of all inputs or of all outputs.
    fn first(&self, row: usize, [height, width]: [usize; 2], pad: usize) -> usize {
        (row / self.tall * height + (row % self.tall * OUT).saturating_sub(pad).min(height)) * width
    }

    /// The pixels of the input that rows of tiles read, about.
    fn read(&self, rows: &Range<usize>) -> Range<usize> {
        self.first(rows.start, self.input, self.pad[0])..self.first(rows.end, self.input, self.pad[0])
    }

    /// The pixels of the output that rows of tiles make.
    fn made(&self, rows: &Range<usize>) -> Range<usize> {
        self.first(rows.start, self.output, 0)..self.first(rows.end, self.output, 0)
    }

    /// Rows of one of `parts` parts: of whole images, where there are enough of them.
    fn part(&self, part: usize, parts: usize) -> Range<usize> {
        let (count, rows) = if self.images >= parts { (self.images, self.tall) } else { (self.rows(), 1) };
        part * count / parts * rows..(part + 1) * count / parts * rows
    }

    /// Rows of tiles for a block that takes about `floats` floats when a tile takes `tile`: at least `least` tiles.
    fn block(&self, floats: usize, tile: usize, least: usize) -> usize {
        (floats / tile).max(least).div_ceil(self.across).max(1)
    }
}

/// Distance between points: a cache line more than the data, so that points do not share cache sets.
fn padded(floats: usize) -> usize {
    floats + 16
}
