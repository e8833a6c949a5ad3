//! The epilogue, on sums in cache: scale, bias, addend, bounds and rounding.

use std::ops::Range;

use super::{Int8Result, Rounding, ScaleAndClamp};
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::with_local;

/// 1.5 times 2^23: of floats near it, neighbours differ by 1.
const INTEGERS: f32 = 12_582_912.0;
/// Channels that are computed at once.
const LANES: usize = 16;

/// Takes the sums of all pixels of a block for some channels, `[pixels][stride]`.
pub(super) type Finish<'a> = dyn FnMut(Range<usize>, &[i32], usize) + 'a;

/// Computes the sums of some pixels and channels.
type Compute<'a> = dyn Fn(Range<usize>, Range<usize>, &mut Finish) + Sync + 'a;

/// Runs `compute(pixels, columns, finish)` on blocks of `rows` pixels and all channels, or on `step` channels of a single
/// pixel. It calls `finish` once for each channel.
pub(super) fn run_blocks(
    pool: &ThreadPool,
    channels: usize,
    rows: usize,
    step: usize,
    end: Option<&ScaleAndClamp>,
    mut result: Int8Result,
    compute: &Compute,
) {
    let finish = finish();
    let pixels = result.len() / channels;
    let (mut rounding, mut fused, mut fused_sums) = (None, None, None);
    let (mut floats, mut exact, mut integers) = (None, None, None);
    match &mut result {
        Int8Result::Floats { to, fused: consumer } => (floats, fused) = (Some(SharedMut::new(to)), *consumer),
        Int8Result::Sums { to, fused: consumer } => (exact, fused_sums) = (Some(SharedMut::new(to)), *consumer),
        Int8Result::Rounded { to, rounding: given, floats: kept } => {
            rounding = Some(*given);
            (floats, integers) = (kept.as_mut().map(|floats| SharedMut::new(floats)), Some(SharedMut::new(to)));
        }
    }
    let groups = if pixels == 1 { channels.div_ceil(step) } else { 1 };
    pool.run(pixels.div_ceil(rows) * groups, &|task| {
        let (block, first) = (task / groups, task % groups * step);
        let pixels = block * rows..((block + 1) * rows).min(pixels);
        let columns = if groups > 1 { first..(first + step).min(channels) } else { 0..channels };
        let elements = if groups > 1 { columns.clone() } else { pixels.start * channels..pixels.end * channels };
        // SAFETY: blocks are disjoint.
        let integers = integers.as_ref().map(|to| unsafe { to.range(elements.clone()) });
        let addend = end.and_then(|end| end.addend).map(|addend| &addend[elements.clone()]);
        let run = |floats: Option<&mut [f32]>, exact: Option<&mut [i32]>| {
            let mut block = Block { channels, first, addend, floats, exact, integers, rounding };
            compute(pixels.clone(), columns.clone(), &mut |columns, sums, stride| {
                // SAFETY: the kernel is compiled for this machine and has no other precondition.
                unsafe { finish(columns, sums, stride, end, &mut block) };
            });
        };
        match (fused, fused_sums) {
            (Some(fused), _) => with_local(|local| {
                let own = local.take::<f32>(elements.len());
                run(Some(&mut *own), None);
                fused.apply(elements.start, own);
            }),
            (_, Some(fused)) => with_local(|local| {
                let own = local.take::<i32>(elements.len());
                run(None, Some(&mut *own));
                fused.apply(elements.start, own);
            }),
            // SAFETY: as above.
            _ => unsafe {
                let floats = floats.as_ref().map(|to| to.range(elements.clone()));
                run(floats, exact.as_ref().map(|to| to.range(elements.clone())))
            },
        }
    });
}

/// The results of a block of pixels, `[pixels][channels]`, and the addends.
struct Block<'a> {
    channels: usize,
    /// The first channel.
    first: usize,
    addend: Option<&'a [f32]>,
    floats: Option<&'a mut [f32]>,
    /// The sums.
    exact: Option<&'a mut [i32]>,
    integers: Option<&'a mut [u8]>,
    rounding: Option<Rounding>,
}

multiversion! {
    unsafe fn finish[S](
        columns: Range<usize>, sums: &[i32], stride: usize, end: Option<&ScaleAndClamp>, block: &mut Block,
    ) {
        let mut column = 0;
        while columns.len() - column >= LANES {
            finish_columns::<LANES>(&sums[column..], stride, columns.start + column, end, block);
            column += LANES;
        }
        while columns.len() - column >= 4 {
            finish_columns::<4>(&sums[column..], stride, columns.start + column, end, block);
            column += 4;
        }
        while column < columns.len() {
            finish_columns::<1>(&sums[column..], stride, columns.start + column, end, block);
            column += 1;
        }
    }
}

/// Computes `N` channels from `channel` on of all pixels. Arrays are changed by loops, as the code of `map` is not compiled
/// for the instruction set.
#[inline(always)]
fn finish_columns<const N: usize>(
    sums: &[i32],
    stride: usize,
    channel: usize,
    end: Option<&ScaleAndClamp>,
    block: &mut Block,
) {
    if let Some(to) = &mut block.exact {
        for (sums, to) in sums.chunks(stride).zip(to[channel - block.first..].chunks_mut(block.channels)) {
            to[..N].copy_from_slice(&part::<_, N>(sums, 0));
        }
        return;
    }
    // Multiplying by 1 and adding -0 change nothing.
    let (mut scale, mut bias, mut bounds) = ([1.0; N], [-0.0; N], [f32::NEG_INFINITY, f32::INFINITY]);
    let mut shift = [0; N];
    if let Some(end) = end {
        (scale, bounds) = (part(end.scale, channel), [end.low, end.high]);
        bias = end.bias.map_or(bias, |bias| part(bias, channel));
        shift = end.shift.map_or(shift, |shift| part(shift, channel));
    }
    let (addend, rounding) = (block.addend, block.rounding);
    let (mut floats, mut integers) = (block.floats.as_deref_mut(), block.integers.as_deref_mut());
    for (pixel, sums) in sums.chunks(stride).enumerate() {
        let at = pixel * block.channels + channel - block.first;
        let sums: [i32; N] = part(sums, 0);
        let mut own = [0.0; N];
        for j in 0..N {
            own[j] = sums[j].wrapping_add(shift[j]) as f32 * scale[j] + bias[j];
        }
        if let Some(addend) = addend {
            let addend: [f32; N] = part(addend, at);
            for j in 0..N {
                own[j] += addend[j];
            }
        }
        for x in &mut own {
            *x = clamped(*x, bounds);
        }
        if let Some(floats) = &mut floats {
            floats[at..at + N].copy_from_slice(&own);
        }
        if let Some((to, rounding)) = integers.as_mut().zip(rounding) {
            let (range, mut rounded) = (rounding.range.map(f32::from), [0; N]);
            for x in &mut own {
                *x = if rounding.divides { *x / rounding.scale } else { *x * rounding.scale };
            }
            // The sum has no bits below 1, so that it is rounded, and its last ones are those of the integer.
            for x in &mut own {
                *x = clamped(*x, range) + INTEGERS;
            }
            for j in 0..N {
                rounded[j] = own[j].to_bits().wrapping_add(rounding.zero as u32) as u8;
            }
            to[at..at + N].copy_from_slice(&rounded);
        }
    }
}

#[inline(always)]
fn part<T: Copy, const N: usize>(from: &[T], start: usize) -> [T; N] {
    *from[start..].first_chunk().unwrap_or_else(|| unreachable!("slices hold all channels"))
}

/// As `f32::clamp`, but `low` for NaN.
#[inline(always)]
fn clamped(x: f32, [low, high]: [f32; 2]) -> f32 {
    let raised = if x > low { x } else { low };
    if raised < high {
        raised
    } else {
        high
    }
}
