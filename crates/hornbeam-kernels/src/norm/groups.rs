//! Group normalisation of `[batch, positions, channels]`: groups of adjacent channels are normalised by their mean and variance
//! over the positions of a sample (Wu and He 2018). Computed in [`Element::Acc`], of which the parameters are.
//!
//! Samples are divided into chunks of positions by the shape alone. Every pass computes sums for each channel, in `f64` from
//! sums of a few positions in [`Element::Acc`]; what depends on a group is computed from those.

use crate::dtype::Element;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::reduce::{combine_moments, fold_kernels, BlockExtent, BlockFold, FoldFn};
use crate::simd::LANES;
use crate::softmax::FloatElement;
use std::ops::Range;

/// Elements of a chunk.
const CHUNK: usize = 1 << 16;
/// Positions whose terms are added in [`Element::Acc`].
const POSITIONS: usize = 64;

/// Shape of a group normalisation.
#[derive(Clone, Copy, Debug)]
pub struct GroupShape {
    pub batch: usize,
    pub positions: usize,
    pub channels: usize,
    pub groups: usize,
}

impl GroupShape {
    /// Elements of a sample.
    fn sample(&self) -> usize {
        self.positions * self.channels
    }

    /// Positions of a chunk.
    fn height(&self) -> usize {
        (CHUNK / self.channels).max(1).min(self.positions)
    }

    fn chunks(&self) -> usize {
        self.positions.div_ceil(self.height())
    }

    /// Elements of a chunk of a sample.
    fn chunk(&self, chunk: usize) -> Range<usize> {
        let height = self.height() * self.channels;
        chunk * height..((chunk + 1) * height).min(self.sample())
    }

    /// Runs `body` for each sample. If samples are small, each is one task, so that a pass finds in cache what the one before
    /// read; otherwise the chunks are the tasks.
    fn for_samples(&self, pool: &ThreadPool, body: &(dyn Fn(usize) + Sync)) {
        if self.chunks() <= 2 {
            pool.run(self.batch, body);
        } else {
            (0..self.batch).for_each(body);
        }
    }

    /// Replaces the values of the channels of each group by `f` of their mean.
    fn combine(&self, values: &mut [f64], f: impl Fn(f64) -> f64) {
        for group in values.chunks_exact_mut(self.channels / self.groups) {
            let mean = group.iter().sum::<f64>() / group.len() as f64;
            group.fill(f(mean));
        }
    }

    fn check(&self, operands: &[usize], parameters: &[usize]) {
        let GroupShape { batch, channels, groups, .. } = *self;
        let elements = batch * self.sample();
        assert!(operands.iter().all(|&n| n == elements), "an operand does not have the elements of {self:?}");
        assert!(parameters.iter().all(|&n| n == channels), "a parameter does not have {channels} elements");
        assert!(
            groups > 0 && channels.is_multiple_of(groups),
            "{channels} channels do not divide into {groups} groups"
        );
    }
}

multiversion! {
    /// Computes `y = (x - mean) * factor + beta` for each position.
    unsafe fn apply[S, T: FloatElement; T::DTYPE.copies()](
        x: &[T], mean: &[T::Acc], factor: &[T::Acc], beta: &[T::Acc], y: &mut [T],
    ) {
        let channels = mean.len();
        let (factor, beta) = (&factor[..channels], &beta[..channels]);
        for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            for j in 0..channels {
                y[j] = T::from_acc((x[j].to_acc() - mean[j]) * factor[j] + beta[j]);
            }
        }
    }

    /// Adds the sums over positions of `ct` and of `ct * (x - mean)` to those of each channel.
    unsafe fn add_sums[S, T: FloatElement; T::DTYPE.copies()](
        x: &[T], ct: &[T], mean: &[T::Acc], totals: &mut [f64], products: &mut [f64],
    ) {
        let channels = mean.len();
        let summed = POSITIONS * channels;
        for (x, ct) in x.chunks(summed).zip(ct.chunks(summed)) {
            for first in (0..channels).step_by(LANES) {
                let tile = first..(first + LANES).min(channels);
                let (totals, products) = (&mut totals[tile.clone()], &mut products[tile.clone()]);
                let sums = if tile.len() == LANES {
                    sums_of_positions(&x[first..], &ct[first..], &mean[tile], channels, LANES)
                } else {
                    sums_of_positions(&x[first..], &ct[first..], &mean[tile.clone()], channels, tile.len())
                };
                for (total, sum) in totals.iter_mut().zip(sums.0) {
                    *total += sum.to_f64();
                }
                for (product, sum) in products.iter_mut().zip(sums.1) {
                    *product += sum.to_f64();
                }
            }
        }
    }

    /// Computes `dx = ct * by_ct - (x - mean) * by_deviation - offset` for each position.
    unsafe fn apply_gradient[S, T: FloatElement; T::DTYPE.copies()](
        x: &[T], ct: &[T], mean: &[T::Acc], by_ct: &[T::Acc], by_deviation: &[T::Acc], offset: &[T::Acc],
        dx: &mut [T],
    ) {
        let channels = mean.len();
        let (by_ct, by_deviation, offset) = (&by_ct[..channels], &by_deviation[..channels], &offset[..channels]);
        for ((x, ct), dx) in x.chunks_exact(channels).zip(ct.chunks_exact(channels)).zip(dx.chunks_exact_mut(channels)) {
            for j in 0..channels {
                let deviation = x[j].to_acc() - mean[j];
                dx[j] = T::from_acc(ct[j].to_acc() * by_ct[j] - deviation * by_deviation[j] - offset[j]);
            }
        }
    }
}

/// Sums over positions of `ct` and `ct * (x - mean)`, for `width` channels.
#[inline(always)]
fn sums_of_positions<T: FloatElement>(
    x: &[T],
    ct: &[T],
    mean: &[T::Acc],
    channels: usize,
    width: usize,
) -> ([T::Acc; LANES], [T::Acc; LANES]) {
    let (mut totals, mut products) = ([T::Acc::ZERO; LANES], [T::Acc::ZERO; LANES]);
    let mut means = [T::Acc::ZERO; LANES];
    means[..width].copy_from_slice(mean);
    for start in (0..x.len()).step_by(channels) {
        let (x, ct) = (&x[start..start + width], &ct[start..start + width]);
        for j in 0..width {
            let ct = ct[j].to_acc();
            totals[j] = totals[j] + ct;
            products[j] = products[j] + ct * (x[j].to_acc() - means[j]);
        }
    }
    (totals, products)
}

/// Computes the mean and `1 / sqrt(variance + epsilon)` of each channel's group in a sample.
fn statistics<T: FloatElement>(
    pool: &ThreadPool,
    shape: &GroupShape,
    moments: FoldFn,
    x: &[T],
    epsilon: f64,
) -> (Vec<T::Acc>, Vec<f64>) {
    let (channels, positions) = (shape.channels, shape.positions);
    let mut partial = vec![0.0f64; shape.chunks() * 2 * channels];
    pool.run_chunks(&mut partial, 2 * channels, &|chunk, moments_of_chunk| {
        let x = &x[shape.chunk(chunk)];
        let at = BlockExtent { columns: channels, rows: x.len() / channels, before: 0, plane: channels };
        // SAFETY: the kernel is compiled for this machine; the block is `x`, with two planes of accumulators.
        unsafe { moments(x.as_ptr().cast(), at, moments_of_chunk.as_mut_ptr().cast()) };
    });
    let (mut means, mut variances) = (vec![0.0; channels], vec![0.0; channels]);
    combine_moments(&partial, [1, positions, channels], shape.height(), &mut means, &mut variances);
    let mut of_groups = means.clone();
    shape.combine(&mut of_groups, |mean| mean);
    // The variance of a group is the mean of its channels' variances and of the squared deviations of their means.
    for ((spread, mean), of_group) in variances.iter_mut().zip(&means).zip(&of_groups) {
        *spread += (mean - of_group) * (mean - of_group);
    }
    shape.combine(&mut variances, |variance| 1.0 / (variance + epsilon).sqrt());
    (of_groups.into_iter().map(T::Acc::from_f64).collect(), variances)
}

/// Computes `y = (x - mean) / sqrt(variance + epsilon) * gamma + beta`, with the biased variance.
///
/// # Panics
/// If a slice does not have its length, or the channels do not divide into the groups.
pub fn group_norm<T: FloatElement>(
    pool: &ThreadPool,
    shape: GroupShape,
    x: &[T],
    gamma: &[T::Acc],
    beta: &[T::Acc],
    epsilon: f64,
    y: &mut [T],
) {
    shape.check(&[x.len(), y.len()], &[gamma.len(), beta.len()]);
    if x.is_empty() {
        return;
    }
    let (moments, body) = (moments_kernel::<T>(), apply::<T>());
    let out = SharedMut::new(y);
    shape.for_samples(pool, &|sample| {
        let first = sample * shape.sample();
        let x = &x[first..first + shape.sample()];
        let (mean, scale) = statistics(pool, &shape, moments, x, epsilon);
        let factor: Vec<T::Acc> = scale.iter().zip(gamma).map(|(s, g)| T::Acc::from_f64(*s) * *g).collect();
        pool.run(shape.chunks(), &|chunk| {
            let chunk = shape.chunk(chunk);
            // SAFETY: chunks are disjoint; the kernel is compiled for this machine.
            unsafe { body(&x[chunk.clone()], &mean, &factor, beta, out.range(first + chunk.start..first + chunk.end)) };
        });
    });
}

/// Computes the gradients of [`group_norm`]: with `d = x - mean`, `s = 1 / sqrt(variance + epsilon)` and `g = ct * gamma`,
/// `dx = s * g - d * s^3 * mean(g * d) - s * mean(g)`, `dgamma = sum of ct * d * s`, `dbeta = sum of ct`.
///
/// # Panics
/// As [`group_norm`].
pub fn group_norm_grad<T: FloatElement>(
    pool: &ThreadPool,
    shape: GroupShape,
    x: &[T],
    gamma: &[T::Acc],
    epsilon: f64,
    ct: &[T],
    dx: &mut [T],
    [dgamma, dbeta]: [&mut [T::Acc]; 2],
) {
    shape.check(&[x.len(), ct.len(), dx.len()], &[gamma.len(), dgamma.len(), dbeta.len()]);
    let channels = shape.channels;
    let mut sums = vec![0.0f64; shape.batch * 2 * channels];
    let kernels = Gradient { moments: moments_kernel::<T>(), sums: add_sums::<T>(), apply: apply_gradient::<T>() };
    if !x.is_empty() {
        let (out, shared) = (SharedMut::new(dx), SharedMut::new(&mut sums));
        shape.for_samples(pool, &|sample| {
            let elements = sample * shape.sample()..(sample + 1) * shape.sample();
            let (x, ct) = (&x[elements.clone()], &ct[elements.clone()]);
            // SAFETY: samples are disjoint.
            let (dx, sums) =
                unsafe { (out.range(elements), shared.range(sample * 2 * channels..(sample + 1) * 2 * channels)) };
            kernels.run(pool, &shape, x, gamma, epsilon, ct, dx, sums);
        });
    }
    for (plane, gradient) in [dgamma, dbeta].into_iter().enumerate() {
        for (j, gradient) in gradient.iter_mut().enumerate() {
            let of_samples = sums.iter().skip(plane * channels + j).step_by(2 * channels);
            *gradient = T::Acc::from_f64(of_samples.sum());
        }
    }
}

/// Kernel of sums over positions, [`add_sums`].
type SumsFn<T, A> = unsafe fn(x: &[T], ct: &[T], mean: &[A], totals: &mut [f64], products: &mut [f64]);
/// Kernel of the input gradient, [`apply_gradient`].
type ApplyFn<T, A> =
    unsafe fn(x: &[T], ct: &[T], mean: &[A], by_ct: &[A], by_deviation: &[A], offset: &[A], dx: &mut [T]);

/// Kernels of the gradients.
struct Gradient<T: FloatElement> {
    moments: FoldFn,
    sums: SumsFn<T, T::Acc>,
    apply: ApplyFn<T, T::Acc>,
}

impl<T: FloatElement> Gradient<T> {
    /// Computes the input gradient of a sample, and the terms of the sample in the gradients of gamma and beta.
    fn run(
        &self,
        pool: &ThreadPool,
        shape: &GroupShape,
        x: &[T],
        gamma: &[T::Acc],
        epsilon: f64,
        ct: &[T],
        dx: &mut [T],
        sums: &mut [f64],
    ) {
        let channels = shape.channels;
        let (mean, scale) = statistics(pool, shape, self.moments, x, epsilon);
        let mut partial = vec![0.0f64; shape.chunks() * 2 * channels];
        pool.run_chunks(&mut partial, 2 * channels, &|chunk, sums| {
            let chunk = shape.chunk(chunk);
            let (products, totals) = sums.split_at_mut(channels);
            // SAFETY: the kernel is compiled for this machine.
            unsafe { (self.sums)(&x[chunk.clone()], &ct[chunk], &mean, totals, products) };
        });
        for part in partial.chunks_exact(2 * channels) {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let (products, totals) = sums.split_at_mut(channels);
        let weighted = |sums: &[f64]| sums.iter().zip(gamma).map(|(sum, g)| sum * g.to_f64()).collect::<Vec<f64>>();
        let (mut mean_g, mut mean_gd) = (weighted(totals), weighted(products));
        let positions = shape.positions as f64;
        shape.combine(&mut mean_g, |mean| mean / positions);
        shape.combine(&mut mean_gd, |mean| mean / positions);
        products.iter_mut().zip(&scale).for_each(|(product, s)| *product *= s);
        let of_channels = |f: &dyn Fn(usize) -> f64| (0..channels).map(|j| T::Acc::from_f64(f(j))).collect::<Vec<_>>();
        let by_ct = of_channels(&|j| scale[j] * gamma[j].to_f64());
        let by_deviation = of_channels(&|j| scale[j] * scale[j] * scale[j] * mean_gd[j]);
        let offset = of_channels(&|j| scale[j] * mean_g[j]);
        let out = SharedMut::new(dx);
        pool.run(shape.chunks(), &|chunk| {
            let chunk = shape.chunk(chunk);
            let (x, ct) = (&x[chunk.clone()], &ct[chunk.clone()]);
            // SAFETY: chunks are disjoint; the kernel is compiled for this machine.
            unsafe { (self.apply)(x, ct, &mean, &by_ct, &by_deviation, &offset, out.range(chunk)) };
        });
    }
}

/// Kernel of the moments of columns.
fn moments_kernel<T: FloatElement>() -> FoldFn {
    fold_kernels(BlockFold::Moments, T::DTYPE).expect("moments of all floats").columns
}
