//! Pooling over channels-last tensors. Channels are the vector lanes; every output element belongs to one task.
//!
//! Spatial extents are (depth, height, width), with leading extents of 1 for fewer axes. Padding never wins a maximum and
//! adds nothing to a sum. In a maximum, NaN replaces every number, and the first of equal elements wins.

use crate::dtype::Element;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use std::marker::PhantomData;
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

    /// Returns [`Self::windows_containing`] for `i`, by that of `i - 1`: divisions take longer than a few channels.
    #[inline(always)]
    fn windows_containing_next(
        &self,
        axis: usize,
        i: usize,
        Range { mut start, mut end }: Range<usize>,
    ) -> Range<usize> {
        let (at, stride) = (i + self.pad[axis], self.strides[axis]);
        while end < self.output[axis] && end * stride <= at {
            end += 1;
        }
        while start < end && start * stride + self.window[axis] <= at {
            start += 1;
        }
        start..end
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

/// Channels processed at once: their values stay in registers over a window.
pub(crate) const LANES: usize = crate::simd::LANES;
/// Channels of the blocks after the last full one: the first of these that is not above the number of channels.
pub(crate) const NARROW: [usize; 3] = [16, 8, 4];
/// Minimum output elements of a task.
const TASK: usize = 1 << 14;

/// Returns true if `x` replaces `best`: greater, or the first NaN.
#[inline(always)]
fn replaces<A: Element>(x: A, best: A) -> bool {
    // False for a NaN on the left only if `best` is one, too.
    #[allow(clippy::neg_cmp_op_on_partial_ord)]
    let not_less = !(best >= x);
    not_less & !best.is_nan()
}

/// Calls `$body` with the first channel `$at` and the constant number `$N` of channels of each block. Blocks of fewer
/// than [`LANES`] channels may overlap: what the body computes must not depend on what it computed before.
macro_rules! for_each_channel_block {
    ($channels:expr, |$at:ident, $N:ident| $body:block) => {{
        let channels = $channels;
        let mut $at = 0;
        while $at + $crate::window::LANES <= channels {
            const $N: usize = $crate::window::LANES;
            $body
            $at += $N;
        }
        $crate::window::for_each_channel_block!(@narrow channels, 0, |$at, $N| $body);
        $crate::window::for_each_channel_block!(@narrow channels, 1, |$at, $N| $body);
        $crate::window::for_each_channel_block!(@narrow channels, 2, |$at, $N| $body);
        while $at < channels {
            const $N: usize = 1;
            $body
            $at += 1;
        }
    }};
    (@narrow $channels:ident, $width:literal, |$at:ident, $N:ident| $body:block) => {
        while $at < $channels && $channels >= $crate::window::NARROW[$width] {
            const $N: usize = $crate::window::NARROW[$width];
            let next = $at + $N;
            $at = $at.min($channels - $N);
            $body
            $at = next;
        }
    };
}

pub(crate) use for_each_channel_block;

/// Fold of the elements of a window.
trait Fold {
    type Element: Element;
    const START: <Self::Element as Element>::Acc;
    fn add(
        fold: <Self::Element as Element>::Acc,
        x: <Self::Element as Element>::Acc,
    ) -> <Self::Element as Element>::Acc;
}

struct Max<T>(PhantomData<T>);
impl<T: Element> Fold for Max<T> {
    type Element = T;
    const START: T::Acc = <T::Acc as Element>::LOWEST;
    #[inline(always)]
    fn add(fold: T::Acc, x: T::Acc) -> T::Acc {
        if replaces(x, fold) {
            x
        } else {
            fold
        }
    }
}

struct Sum<T>(PhantomData<T>);
impl<T: PoolElement> Fold for Sum<T> {
    type Element = T;
    const START: T::Acc = <T::Acc as Element>::ZERO;
    #[inline(always)]
    fn add(fold: T::Acc, x: T::Acc) -> T::Acc {
        T::plus(fold, x)
    }
}

/// Adds the `N` elements at `x` to the values of a fold.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn add_block<F: Fold, const N: usize>(folds: &mut [<F::Element as Element>::Acc; N], x: *const F::Element) {
    // SAFETY: the caller's contract. A copy, so that LLVM keeps the block in registers.
    let x = unsafe { *x.cast::<[F::Element; N]>() };
    for j in 0..N {
        folds[j] = F::add(folds[j], x[j].to_acc());
    }
}

multiversion! {
    /// Folds the window of each output in some rows.
    unsafe fn fold_rows[S, F: Fold; <F::Element as Element>::DTYPE.copies()](shape: &PoolShape, rows: Range<usize>, x: &[F::Element], y: &mut [F::Element]) {
        let c = shape.channels;
        let [_, height, width] = shape.input;
        for (row, y) in rows.zip(y.chunks_exact_mut(shape.output[2] * c)) {
            let (rest, h) = (row / shape.output[1], row % shape.output[1]);
            let (n, d) = (rest / shape.output[0], rest % shape.output[0]);
            let (d, h) = (shape.window_range(0, d), shape.window_range(1, h));
            for (w, y) in y.chunks_exact_mut(c).enumerate() {
                let w = shape.window_range(2, w);
                for_each_channel_block!(c, |at, N| {
                    let mut folds = [F::START; N];
                    for d in d.clone() {
                        for h in h.clone() {
                            let line = ((n * shape.input[0] + d) * height + h) * width;
                            for w in w.clone() {
                                // SAFETY: windows lie within the input, and blocks within the channels.
                                unsafe { add_block::<F, N>(&mut folds, x.as_ptr().add((line + w) * c + at)) };
                            }
                        }
                    }
                    for (y, fold) in y[at..at + N].iter_mut().zip(folds) {
                        *y = Element::from_acc(fold);
                    }
                });
            }
        }
    }

    unsafe fn gather_rows[S, T: Element; T::DTYPE.copies()](shape: &PoolShape, rows: Range<usize>, x: &[T], t: &[T], y: &mut [T]) {
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
                        let wins = replaces(x.to_acc(), best.to_acc());
                        *best = if wins { *x } else { *best };
                        *y = if wins { *t } else { *y };
                    }
                });
            }
        }
    }

    unsafe fn scatter_image[S, T: PoolElement; T::DTYPE.copies()](shape: &PoolShape, x: &[T], dy: &[T], dx: &mut [T]) {
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
                            let wins = replaces(x.to_acc(), best.to_acc());
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

    /// Adds up the gradients of the windows that contain each input in some rows.
    unsafe fn sum_grad_rows[S, T: PoolElement; T::DTYPE.copies()](shape: &PoolShape, rows: Range<usize>, dy: &[T], dx: &mut [T]) {
        let c = shape.channels;
        let [_, height, width] = shape.output;
        for (row, dx) in rows.zip(dx.chunks_exact_mut(shape.input[2] * c)) {
            let (rest, h) = (row / shape.input[1], row % shape.input[1]);
            let (n, d) = (rest / shape.input[0], rest % shape.input[0]);
            let (d, h) = (shape.windows_containing(0, d), shape.windows_containing(1, h));
            let mut w = 0..0;
            for (at, dx) in dx.chunks_exact_mut(c).enumerate() {
                w = shape.windows_containing_next(2, at, w);
                for_each_channel_block!(c, |at, N| {
                    let mut sums = [<Sum<T> as Fold>::START; N];
                    for d in d.clone() {
                        for h in h.clone() {
                            let line = ((n * shape.output[0] + d) * height + h) * width;
                            for w in w.clone() {
                                // SAFETY: the windows are outputs, and blocks lie within the channels.
                                unsafe { add_block::<Sum<T>, N>(&mut sums, dy.as_ptr().add((line + w) * c + at)) };
                            }
                        }
                    }
                    for (dx, sum) in dx[at..at + N].iter_mut().zip(sums) {
                        *dx = T::from_acc(sum);
                    }
                });
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
    let kernel = fold_rows::<Max<T>>();
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
    let kernel = fold_rows::<Sum<T>>();
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
    let kernel = if disjoint::is_preferred(shape) { disjoint::sum_grad_rows::<T>() } else { sum_grad_rows::<T>() };
    run_rows(pool, shape.batch, shape.input, shape.channels, dx, &|rows, dx| {
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { kernel(shape, rows, dy, dx) }
    });
}

mod disjoint;
#[cfg(test)]
mod tests;
