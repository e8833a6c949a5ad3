//! Maxima of 2x2 pixels. Scaling and rounding are monotone: of four results, the largest is that of the largest sum, or
//! of the smallest where the scale is negative. So only one of four is scaled and rounded.

use crate::conv::ConvShape;
use crate::gemm::int8_dot::WIDTH;
use crate::multiversion;

/// Channels that are compared at once.
const LANES: usize = 16;

/// The shape without the pixels that no window covers.
pub(super) fn unpooled(shape: &ConvShape) -> ConvShape {
    let [depth, height, width] = shape.output;
    ConvShape { output: [depth, height / 2 * 2, width / 2 * 2], ..*shape }
}

multiversion! {
    /// Pools sums of whole lines, `[lines][line][stride]`, to the front of the slice. `stride` is a multiple of 16.
    pub(super) unsafe fn pool_2x2[S](sums: &mut [i32], stride: usize, line: usize, scale: Option<&[f32]>) {
        let mut smallest = [[false; LANES]; WIDTH / LANES];
        let negative = |channel: usize| scale.and_then(|scale| scale.get(channel)).is_some_and(|&scale| scale < 0.0);
        for (channel, smallest) in smallest.as_flattened_mut()[..stride].iter_mut().enumerate() {
            *smallest = negative(channel);
        }
        let pixels = sums.len() / stride / 4;
        for pixel in 0..pixels {
            let (pair, column) = (pixel / (line / 2), pixel % (line / 2));
            let first = (2 * pair * line + 2 * column) * stride;
            for part in 0..stride / LANES {
                let first = first + part * LANES;
                let mut pooled = load(sums, first);
                for next in [stride, line * stride, (line + 1) * stride] {
                    let next = load(sums, first + next);
                    for j in 0..LANES {
                        let larger = next[j] > pooled[j];
                        pooled[j] = if larger != smallest[part][j] { next[j] } else { pooled[j] };
                    }
                }
                sums[pixel * stride + part * LANES..][..LANES].copy_from_slice(&pooled);
            }
        }
    }
}

#[inline(always)]
fn load(from: &[i32], start: usize) -> [i32; LANES] {
    *from[start..].first_chunk().unwrap_or_else(|| unreachable!("slices hold all channels"))
}
