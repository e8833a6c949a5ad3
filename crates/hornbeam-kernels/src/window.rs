//! Pooling over channels-last tensors. Channels are the vector lanes; every output element belongs to one task.
//!
//! Spatial extents are (depth, height, width), with leading extents of 1 for fewer axes. Padding never wins a maximum and
//! adds nothing to a sum. In a maximum, NaN replaces every number, and the first of equal elements wins.

use crate::dtype::Element;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use std::ops::Range;

/// Shape of a pooling operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolShape {
    pub batch: usize,
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub window: [usize; 3],
    pub strides: [usize; 3],
    /// Padding before the first element; the padding after the last follows from `output`.
    pub pad: [usize; 3],
    pub channels: usize,
}

impl PoolShape {
    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        self.batch * self.input.iter().product::<usize>() * self.channels
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.batch * self.output.iter().product::<usize>() * self.channels
    }

    fn check(&self, input: usize, output: usize) {
        assert_eq!(input, self.input_len(), "the length of the input does not fit {self:?}");
        assert_eq!(output, self.output_len(), "the length of the output does not fit {self:?}");
        assert!(self.strides.iter().all(|&s| s > 0), "strides must be positive: {self:?}");
    }

    /// Input positions in the window of output `o` along `axis`.
    #[inline(always)]
    fn window_range(&self, axis: usize, o: usize) -> Range<usize> {
        let start = o * self.strides[axis];
        let end = (start + self.window[axis]).saturating_sub(self.pad[axis]).min(self.input[axis]);
        start.saturating_sub(self.pad[axis]).min(end)..end
    }

    /// Outputs along `axis` whose windows contain input position `i`.
    #[inline(always)]
    fn windows_containing(&self, axis: usize, i: usize) -> Range<usize> {
        let (at, stride) = (i + self.pad[axis], self.strides[axis]);
        let first = (at + 1).saturating_sub(self.window[axis]).div_ceil(stride);
        let end = (at / stride + 1).min(self.output[axis]);
        first.min(end)..end
    }

    /// Calls `body` with each pixel of the window of output `(d, h, w)`, in order.
    #[inline(always)]
    fn for_each_in_window(&self, [d, h, w]: [usize; 3], mut body: impl FnMut(usize)) {
        for d in self.window_range(0, d) {
            for h in self.window_range(1, h) {
                for w in self.window_range(2, w) {
                    body((d * self.input[1] + h) * self.input[2] + w);
                }
            }
        }
    }
}

/// Number with sum pooling; sums accumulate in [`Element::Acc`].
pub trait PoolElement: Element {
    #[doc(hidden)]
    fn plus(a: Self::Acc, b: Self::Acc) -> Self::Acc;
}

macro_rules! pool_element {
    ($($t:ty => $plus:expr),* $(,)?) => {$(
        impl PoolElement for $t {
            #[inline(always)]
            fn plus(a: Self::Acc, b: Self::Acc) -> Self::Acc {
                let plus: fn(Self::Acc, Self::Acc) -> Self::Acc = $plus;
                plus(a, b)
            }
        }
    )*};
}
pool_element!(
    f32 => |a, b| a + b,
    f64 => |a, b| a + b,
    half::f16 => |a, b| a + b,
    half::bf16 => |a, b| a + b,
    i8 => i8::wrapping_add,
    i16 => i16::wrapping_add,
    i32 => i32::wrapping_add,
    i64 => i64::wrapping_add,
    u8 => u8::wrapping_add,
    u16 => u16::wrapping_add,
    u32 => u32::wrapping_add,
    u64 => u64::wrapping_add,
);

/// Channels processed at once.
const LANES: usize = 64;
/// Minimum output elements of a task.
const TASK: usize = 1 << 14;

/// Returns true if `x` replaces `best`: greater, or the first NaN.
#[inline(always)]
fn replaces<T: Element>(x: T, best: T) -> bool {
    let (x, best) = (x.to_acc(), best.to_acc());
    (x > best) | (x.is_nan() & !best.is_nan())
}

multiversion! {
    unsafe fn max_rows[S, T: Element](shape: &PoolShape, rows: Range<usize>, x: &[T], y: &mut [T]) {
        let c = shape.channels;
        let image = shape.input.iter().product::<usize>() * c;
        let [_, height, width] = shape.output;
        for (index, y) in y.chunks_exact_mut(c).enumerate() {
            let (row, w) = (rows.start + index / width, index % width);
            let (rest, h) = (row / height, row % height);
            let (n, d) = (rest / shape.output[0], rest % shape.output[0]);
            let x = &x[n * image..(n + 1) * image];
            y.fill(T::LOWEST);
            shape.for_each_in_window([d, h, w], |pixel| {
                for (y, x) in y.iter_mut().zip(&x[pixel * c..pixel * c + c]) {
                    *y = if replaces(*x, *y) { *x } else { *y };
                }
            });
        }
    }

    unsafe fn gather_rows[S, T: Element](shape: &PoolShape, rows: Range<usize>, x: &[T], t: &[T], y: &mut [T]) {
        let c = shape.channels;
        let image = shape.input.iter().product::<usize>() * c;
        let [_, height, width] = shape.output;
        let mut best = [T::ZERO; LANES];
        for (index, y) in y.chunks_exact_mut(c).enumerate() {
            let (row, w) = (rows.start + index / width, index % width);
            let (rest, h) = (row / height, row % height);
            let (n, d) = (rest / shape.output[0], rest % shape.output[0]);
            let (x, t) = (&x[n * image..(n + 1) * image], &t[n * image..(n + 1) * image]);
            for (part, y) in y.chunks_mut(LANES).enumerate() {
                y.fill(T::ZERO);
                let mut first = true;
                shape.for_each_in_window([d, h, w], |pixel| {
                    let at = pixel * c + part * LANES;
                    let (x, t) = (&x[at..at + y.len()], &t[at..at + y.len()]);
                    if first {
                        first = false;
                        best[..x.len()].copy_from_slice(x);
                        y.copy_from_slice(t);
                        return;
                    }
                    for (((y, best), x), t) in y.iter_mut().zip(&mut best).zip(x).zip(t) {
                        let wins = replaces(*x, *best);
                        *best = if wins { *x } else { *best };
                        *y = if wins { *t } else { *y };
                    }
                });
            }
        }
    }

    unsafe fn scatter_image[S, T: PoolElement](shape: &PoolShape, x: &[T], dy: &[T], dx: &mut [T]) {
        let c = shape.channels;
        let [depth, height, width] = shape.output;
        dx.fill(T::ZERO);
        let mut best = [T::ZERO; LANES];
        let mut winner = [0u32; LANES];
        for (index, dy) in dy.chunks_exact(c).enumerate().take(depth * height * width) {
            let at = [index / (height * width), index / width % height, index % width];
            for (part, dy) in dy.chunks(LANES).enumerate() {
                let mut tap = 0;
                shape.for_each_in_window(at, |pixel| {
                    let x = &x[pixel * c + part * LANES..][..dy.len()];
                    if tap == 0 {
                        best[..x.len()].copy_from_slice(x);
                        winner.fill(0);
                    } else {
                        for ((best, winner), x) in best.iter_mut().zip(&mut winner).zip(x) {
                            let wins = replaces(*x, *best);
                            *best = if wins { *x } else { *best };
                            *winner = if wins { tap } else { *winner };
                        }
                    }
                    tap += 1;
                });
                tap = 0;
                shape.for_each_in_window(at, |pixel| {
                    let dx = &mut dx[pixel * c + part * LANES..][..dy.len()];
                    for ((dx, winner), dy) in dx.iter_mut().zip(&winner).zip(dy) {
                        let old = dx.to_acc();
                        let sum = T::plus(old, dy.to_acc());
                        *dx = T::from_acc(if *winner == tap { sum } else { old });
                    }
                    tap += 1;
                });
            }
        }
    }

    unsafe fn sum_rows[S, T: PoolElement](shape: &PoolShape, rows: Range<usize>, x: &[T], y: &mut [T]) {
        let c = shape.channels;
        let image = shape.input.iter().product::<usize>() * c;
        let [_, height, width] = shape.output;
        for (index, y) in y.chunks_exact_mut(c).enumerate() {
            let (row, w) = (rows.start + index / width, index % width);
            let (rest, h) = (row / height, row % height);
            let (n, d) = (rest / shape.output[0], rest % shape.output[0]);
            let x = &x[n * image..(n + 1) * image];
            for (part, y) in y.chunks_mut(LANES).enumerate() {
                let mut sum = [<T::Acc as Element>::ZERO; LANES];
                shape.for_each_in_window([d, h, w], |pixel| {
                    let at = pixel * c + part * LANES;
                    for (sum, x) in sum.iter_mut().zip(&x[at..at + y.len()]) {
                        *sum = T::plus(*sum, x.to_acc());
                    }
                });
                for (y, sum) in y.iter_mut().zip(&sum) {
                    *y = T::from_acc(*sum);
                }
            }
        }
    }

    unsafe fn sum_grad_rows[S, T: PoolElement](shape: &PoolShape, rows: Range<usize>, dy: &[T], dx: &mut [T]) {
        let c = shape.channels;
        let image = shape.output.iter().product::<usize>() * c;
        let [_, height, width] = shape.input;
        for (index, dx) in dx.chunks_exact_mut(c).enumerate() {
            let (row, w) = (rows.start + index / width, index % width);
            let (rest, h) = (row / height, row % height);
            let (n, d) = (rest / shape.input[0], rest % shape.input[0]);
            let dy = &dy[n * image..(n + 1) * image];
            for (part, dx) in dx.chunks_mut(LANES).enumerate() {
                let mut sum = [<T::Acc as Element>::ZERO; LANES];
                for d in shape.windows_containing(0, d) {
                    for h in shape.windows_containing(1, h) {
                        for w in shape.windows_containing(2, w) {
                            let at = ((d * shape.output[1] + h) * shape.output[2] + w) * c + part * LANES;
                            for (sum, dy) in sum.iter_mut().zip(&dy[at..at + dx.len()]) {
                                *sum = T::plus(*sum, dy.to_acc());
                            }
                        }
                    }
                }
                for (dx, sum) in dx.iter_mut().zip(&sum) {
                    *dx = T::from_acc(*sum);
                }
            }
        }
    }
}

/// Runs `body(rows, elements)` in parallel over rows of a `[batch, D, H, W, C]` result.
fn run_rows<T: Send>(
    pool: &ThreadPool,
    batch: usize,
    extent: [usize; 3],
    channels: usize,
    out: &mut [T],
    body: &(dyn Fn(Range<usize>, &mut [T]) + Sync),
) {
    let line = extent[2] * channels;
    if line == 0 {
        return;
    }
    let chunk = TASK.div_ceil(line);
    let out = SharedMut::new(out);
    pool.run_ranges(batch * extent[0] * extent[1], chunk, &|rows| {
        // SAFETY: ranges of rows are disjoint.
        let part = unsafe { out.range(rows.start * line..rows.end * line) };
        body(rows, part);
    });
}

/// Computes `y[o] = max of x over the window of o`.
///
/// # Panics
/// If the length of a slice does not fit the shape.
pub fn max_pool<T: Element>(pool: &ThreadPool, shape: &PoolShape, x: &[T], y: &mut [T]) {
    shape.check(x.len(), y.len());
    let kernel = max_rows::<T>();
    run_rows(pool, shape.batch, shape.output, shape.channels, y, &|rows, y| {
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { kernel(shape, rows, x, y) }
    });
}

/// Computes `y[o] = t[i]`, where `i` is the argmax of `x` in the window of `o`: the derivative of [`max_pool`] along `t`.
///
/// # Panics
/// If the length of a slice does not fit the shape.
pub fn max_pool_gather<T: Element>(pool: &ThreadPool, shape: &PoolShape, x: &[T], t: &[T], y: &mut [T]) {
    shape.check(x.len(), y.len());
    shape.check(t.len(), y.len());
    let kernel = gather_rows::<T>();
    run_rows(pool, shape.batch, shape.output, shape.channels, y, &|rows, y| {
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { kernel(shape, rows, x, t, y) }
    });
}

/// Computes `dx[i] = sum of dy[o] over the windows whose argmax is i`: the gradient of [`max_pool`].
///
/// # Panics
/// If the length of a slice does not fit the shape.
pub fn max_pool_scatter<T: PoolElement>(pool: &ThreadPool, shape: &PoolShape, x: &[T], dy: &[T], dx: &mut [T]) {
    shape.check(x.len(), dy.len());
    shape.check(dx.len(), dy.len());
    let (image, out) = (x.len() / shape.batch.max(1), dy.len() / shape.batch.max(1));
    if image == 0 {
        return;
    }
    let scatter = scatter_image::<T>();
    pool.run_chunks(dx, image, &|n, dx| {
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { scatter(shape, &x[n * image..(n + 1) * image], &dy[n * out..(n + 1) * out], dx) }
    });
}

/// Computes `y[o] = sum of x over the window of o`.
///
/// # Panics
/// If the length of a slice does not fit the shape.
pub fn sum_pool<T: PoolElement>(pool: &ThreadPool, shape: &PoolShape, x: &[T], y: &mut [T]) {
    shape.check(x.len(), y.len());
    let kernel = sum_rows::<T>();
    run_rows(pool, shape.batch, shape.output, shape.channels, y, &|rows, y| {
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { kernel(shape, rows, x, y) }
    });
}

/// Computes `dx[i] = sum of dy over the windows that contain i`: the gradient of [`sum_pool`].
///
/// # Panics
/// If the length of a slice does not fit the shape.
pub fn sum_pool_grad<T: PoolElement>(pool: &ThreadPool, shape: &PoolShape, dy: &[T], dx: &mut [T]) {
    shape.check(dx.len(), dy.len());
    let kernel = sum_grad_rows::<T>();
    run_rows(pool, shape.batch, shape.input, shape.channels, dx, &|rows, dx| {
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { kernel(shape, rows, dy, dx) }
    });
}

#[cfg(test)]
mod tests;
