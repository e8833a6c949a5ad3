//! Softmax and its cross-entropy over the last axis of `[rows, n]`.
//!
//! The row max is subtracted before the exponential to avoid overflow. 16-bit floats are widened to `f32` and rounded
//! once.

use crate::dtype::Element;
use crate::math::Real;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain, Scratch};
use crate::simd::Target;
use crate::sums::{block, largest, sum, total, WIDE};
use std::marker::PhantomData;

/// Float that is computed in [`Element::Acc`].
pub trait FloatElement: Element<Acc: Real + Plain> {}
impl<T: Element<Acc: Real + Plain>> FloatElement for T {}

/// Integer class label.
pub trait Label: Copy + Sync {
    /// Returns the class if it is in `0..n`.
    fn class(self, n: usize) -> Option<usize>;
}

macro_rules! label {
    ($($t:ty)*) => {$(
        impl Label for $t {
            #[inline(always)]
            fn class(self, n: usize) -> Option<usize> {
                usize::try_from(self).ok().filter(|class| *class < n)
            }
        }
    )*};
}
label!(i8 i16 i32 i64 u8 u16 u32 u64);

/// Class of each row. Not generic over the label type, so that each kernel is compiled once.
type Classes<'a> = &'a (dyn Fn(usize) -> Option<usize> + Sync);

/// Minimum elements of a task.
const TASK: usize = 1 << 12;

#[inline(always)]
fn larger<A: Real>(a: A, b: A) -> A {
    if b > a {
        b
    } else {
        a
    }
}

/// Computes the max of a short row, or 0 if it is infinite. NaN are skipped: they propagate to the result through the
/// exponentials.
#[inline(always)]
fn short_max<T: FloatElement>(x: &[T]) -> T::Acc {
    finite_or_zero(x.iter().fold(<T::Acc as Element>::LOWEST, |max, x| larger(max, x.to_acc())))
}

/// Computes [`short_max`] of at least [`WIDE`] elements.
#[inline(always)]
fn long_max<T: FloatElement>(x: &[T]) -> T::Acc {
    let mut parts = [<T::Acc as Element>::LOWEST; WIDE];
    let mut add = |block: &[T; WIDE]| {
        for j in 0..WIDE {
            parts[j] = larger(parts[j], block[j].to_acc());
        }
    };
    x.as_chunks().0.iter().for_each(&mut add);
    add(block(x, x.len() - WIDE));
    finite_or_zero(largest(parts))
}

#[inline(always)]
fn finite_or_zero<A: Real>(max: A) -> A {
    if max.is_finite() {
        max
    } else {
        A::ZERO
    }
}

/// A row in the final stage of a function of this module.
struct Row<'a, T: Element> {
    number: usize,
    x: &'a [T],
    max: T::Acc,
    /// Exponentials; empty if [`Finish::LOG`] is true.
    e: &'a [T::Acc],
    /// Sum of the exponentials.
    sum: T::Acc,
    /// Its logarithm, if [`Finish::LOG`] is true.
    log_sum: T::Acc,
}

impl<T: FloatElement> Row<'_, T> {
    /// Logit of class `i` less the row max.
    #[inline(always)]
    fn shifted(&self, i: usize) -> T::Acc {
        self.x[i].to_acc() - self.max
    }
}

/// Final stage of a function of this module.
trait Finish<T: FloatElement>: Sync {
    /// Computes the output of a row.
    fn row(&self, row: Row<T>, out: &mut [T]);
    /// Number of output elements per row.
    fn width(&self, n: usize) -> usize;
    /// True if `row` uses the logarithm of the sum, not the exponentials.
    const LOG: bool;
}

/// Element type of a [`Finish`], because `multiversion!` supports one bound.
trait FinishOf: Finish<Self::Element> {
    type Element: FloatElement;
}

#[inline(always)]
fn exponentials<S: Target, T: FloatElement>(x: &[T; WIDE], max: T::Acc) -> [T::Acc; WIDE] {
    let mut e = [T::Acc::ZERO; WIDE];
    for j in 0..WIDE {
        e[j] = (x[j].to_acc() - max).exp::<S>();
    }
    e
}

/// Sums `exp(x - max)` of a row of at least [`WIDE`] elements and passes the exponentials to `store`, block by
/// block. The last block may overlap the one before.
#[inline(always)]
fn sum_exponentials<S: Target, T: FloatElement>(
    x: &[T],
    max: T::Acc,
    mut store: impl FnMut(usize, &[T::Acc; WIDE]),
) -> T::Acc {
    let mut parts = [T::Acc::ZERO; WIDE];
    let (blocks, rest) = x.as_chunks();
    for (number, block) in blocks.iter().enumerate() {
        let e = exponentials::<S, T>(block, max);
        for j in 0..WIDE {
            parts[j] = parts[j] + e[j];
        }
        store(number * WIDE, &e);
    }
    if !rest.is_empty() {
        let start = x.len() - WIDE;
        let e = exponentials::<S, T>(block(x, start), max);
        for j in 0..WIDE {
            parts[j] = parts[j] + if j < WIDE - rest.len() { T::Acc::ZERO } else { e[j] };
        }
        store(start, &e);
    }
    total(parts)
}

multiversion! {
    /// Computes the row max of short rows, and the exponentials of all rows at once, so that they fill the vectors.
    unsafe fn short_exponentials(isa)[S, T: FloatElement; T::DTYPE.copies()](n: usize, x: &[T], maxima: &mut [T::Acc], e: &mut [T::Acc]) {
        for ((x, e), max) in x.chunks_exact(n).zip(e.chunks_exact_mut(n)).zip(maxima) {
            *max = short_max(x);
            for (e, x) in e.iter_mut().zip(x) {
                *e = x.to_acc() - *max;
            }
        }
        for e in e.iter_mut() {
            *e = e.exp::<S>();
        }
    }

    /// Computes the row max and the sum of the exponentials of a long row. The exponentials go to `e`, if it is not empty.
    unsafe fn long_exponentials(isa)[S, T: FloatElement; T::DTYPE.copies()](x: &[T], e: &mut [T::Acc]) -> (T::Acc, T::Acc) {
        let max = long_max(x);
        let sum = match e.is_empty() {
            true => sum_exponentials::<S, T>(x, max, |_, _| {}),
            false => sum_exponentials::<S, T>(x, max, |start, block| {
                e[start..start + WIDE].copy_from_slice(block);
            }),
        };
        (max, sum)
    }

    unsafe fn finish_short[S, F: FinishOf; <F::Element as Element>::DTYPE.copies()](
        finish: &F, first: usize, n: usize, x: &[F::Element], scratch: &mut Scratch, out: &mut [F::Element],
    ) {
        let (e, maxima) = scratch.take2(x.len(), x.len() / n);
        // SAFETY: the kernel is compiled for this machine.
        unsafe { short_exponentials::<F::Element>(S::ISA)(n, x, maxima, e) };
        let rows = x.chunks_exact(n).zip(e.chunks_exact(n)).zip(maxima).enumerate();
        for ((i, ((x, e), max)), out) in rows.zip(out.chunks_exact_mut(finish.width(n))) {
            let sum = sum([e], |[e]| e);
            let log_sum = if F::LOG { sum.log::<S>() } else { sum };
            finish.row(Row { number: first + i, x, max: *max, e, sum, log_sum }, out);
        }
    }

    unsafe fn finish_long[S, F: FinishOf; <F::Element as Element>::DTYPE.copies()](
        finish: &F, first: usize, n: usize, x: &[F::Element], scratch: &mut Scratch, out: &mut [F::Element],
    ) {
        let e = scratch.take(if F::LOG { 0 } else { n });
        for (i, (x, out)) in x.chunks_exact(n).zip(out.chunks_exact_mut(finish.width(n))).enumerate() {
            // SAFETY: the kernel is compiled for this machine.
            let (max, sum) = unsafe { long_exponentials::<F::Element>(S::ISA)(x, e) };
            let log_sum = if F::LOG { sum.log::<S>() } else { sum };
            finish.row(Row { number: first + i, x, max, e, sum, log_sum }, out);
        }
    }
}

fn run<F: FinishOf>(pool: &ThreadPool, rows: usize, n: usize, x: &[F::Element], out: &mut [F::Element], finish: &F) {
    assert_eq!(x.len(), rows * n, "x does not hold {rows} x {n} elements");
    let width = finish.width(n);
    assert_eq!(out.len(), rows * width, "the output does not hold {rows} x {width} elements");
    if rows * n == 0 {
        // An empty sum over classes.
        out.fill(F::Element::ZERO);
        return;
    }
    let finish_rows = if n < WIDE { finish_short::<F>() } else { finish_long::<F>() };
    let out = SharedMut::new(out);
    pool.run_ranges(rows, TASK.div_ceil(n), &|range| {
        with_local(|local| {
            let x = &x[range.start * n..range.end * n];
            // SAFETY: ranges of rows are disjoint.
            let out = unsafe { out.range(range.start * width..range.end * width) };
            // SAFETY: the kernel is compiled for this machine.
            unsafe { finish_rows(finish, range.start, n, x, local, out) };
        });
    });
}

/// Defines a [`Finish`] stage: its fields, output width and the computation of a row.
macro_rules! finish {
    ($name:ident<$life:lifetime, $T:ident> { $($field:ident: $type:ty),* $(,)? }
     log $log:literal, width |$n:ident| $width:expr, |$self:ident, $row:ident, $out:ident| $body:block) => {
        struct $name<$life, $T: FloatElement> {
            $($field: $type,)*
            element: PhantomData<&$life [$T]>,
        }
        impl<$life, $T: FloatElement> Finish<$T> for $name<$life, $T> {
            const LOG: bool = $log;
            #[inline(always)]
            fn width(&self, $n: usize) -> usize {
                $width
            }
            #[inline(always)]
            fn row(&$self, $row: Row<$T>, $out: &mut [T]) {
                $body
            }
        }
        impl<$life, $T: FloatElement> FinishOf for $name<$life, $T> {
            type Element = $T;
        }
    };
}

finish!(Softmax<'a, T> {}
log false, width |n| n,
|self, row, out| {
    let scale = T::Acc::ONE / row.sum;
    for (out, e) in out.iter_mut().zip(row.e) {
        *out = T::from_acc(*e * scale);
    }
});

finish!(LogSoftmax<'a, T> {}
log true, width |n| n,
|self, row, out| {
    for (out, x) in out.iter_mut().zip(row.x) {
        *out = T::from_acc((x.to_acc() - row.max) - row.log_sum);
    }
});

finish!(DenseLoss<'a, T> { targets: &'a [T] }
log true, width |_n| 1,
|self, row, out| {
    let targets = &self.targets[row.number * row.x.len()..][..row.x.len()];
    let loss = sum([targets, row.x], |[target, x]| target.to_acc() * (row.log_sum - (x.to_acc() - row.max)));
    out[0] = T::from_acc(loss);
});

finish!(DenseGrad<'a, T> { targets: &'a [T], ct: &'a [T] }
log false, width |n| n,
|self, row, out| {
    let targets = &self.targets[row.number * row.e.len()..][..row.e.len()];
    let ct = self.ct[row.number].to_acc();
    let scale = sum([targets], |[target]| target.to_acc()) / row.sum;
    for ((out, e), target) in out.iter_mut().zip(row.e).zip(targets) {
        *out = T::from_acc((*e * scale - target.to_acc()) * ct);
    }
});

finish!(SparseLoss<'a, T> { class: Classes<'a> }
log true, width |_n| 1,
|self, row, out| {
    let class = (self.class)(row.number);
    out[0] = class.map_or(T::ZERO, |class| T::from_acc(row.log_sum - row.shifted(class)));
});

finish!(SparseGrad<'a, T> { class: Classes<'a>, ct: &'a [T] }
log false, width |n| n,
|self, row, out| {
    let ct = self.ct[row.number].to_acc();
    let scale = T::Acc::ONE / row.sum;
    let Some(class) = (self.class)(row.number) else {
        out.fill(T::ZERO);
        return;
    };
    for (out, e) in out.iter_mut().zip(row.e) {
        *out = T::from_acc(*e * scale * ct);
    }
    out[class] = T::from_acc((row.e[class] * scale - T::Acc::ONE) * ct);
});

/// Computes `y = exp(x - max) / sum exp(x - max)` for each row.
///
/// # Panics
/// If a slice does not have `rows * n` elements.
pub fn softmax<T: FloatElement>(pool: &ThreadPool, rows: usize, n: usize, x: &[T], y: &mut [T]) {
    run(pool, rows, n, x, y, &Softmax { element: PhantomData });
}

/// Computes `y = x - max - log(sum exp(x - max))` for each row.
///
/// # Panics
/// If a slice does not have `rows * n` elements.
pub fn log_softmax<T: FloatElement>(pool: &ThreadPool, rows: usize, n: usize, x: &[T], y: &mut [T]) {
    run(pool, rows, n, x, y, &LogSoftmax { element: PhantomData });
}

/// Computes `loss[r] = -sum_j targets[r, j] log_softmax(logits)[r, j]`.
///
/// # Panics
/// If a slice does not have its length.
pub fn softmax_cross_entropy<T: FloatElement>(
    pool: &ThreadPool,
    rows: usize,
    n: usize,
    logits: &[T],
    targets: &[T],
    loss: &mut [T],
) {
    assert_eq!(targets.len(), rows * n, "targets do not hold {rows} x {n} elements");
    run(pool, rows, n, logits, loss, &DenseLoss { targets, element: PhantomData });
}

/// Computes `dlogits = (softmax(logits) * sum(targets) - targets) * ct`, with one `ct` for each row.
///
/// # Panics
/// If a slice does not have its length.
pub fn softmax_cross_entropy_grad<T: FloatElement>(
    pool: &ThreadPool,
    rows: usize,
    n: usize,
    logits: &[T],
    targets: &[T],
    ct: &[T],
    dlogits: &mut [T],
) {
    assert_eq!(targets.len(), rows * n, "targets do not hold {rows} x {n} elements");
    assert_eq!(ct.len(), rows, "expected one cotangent per row");
    run(pool, rows, n, logits, dlogits, &DenseGrad { targets, ct, element: PhantomData });
}

/// Computes `loss[r] = -log_softmax(logits)[r, labels[r]]`; 0 for a label out of range.
///
/// # Panics
/// If a slice does not have its length.
pub fn sparse_softmax_cross_entropy<T: FloatElement, L: Label>(
    pool: &ThreadPool,
    rows: usize,
    n: usize,
    logits: &[T],
    labels: &[L],
    loss: &mut [T],
) {
    assert_eq!(labels.len(), rows, "expected one label per row");
    run(pool, rows, n, logits, loss, &SparseLoss { class: &|row| labels[row].class(n), element: PhantomData });
}

/// Computes `dlogits = (softmax(logits) - onehot(labels)) * ct`, with one cotangent `ct` per row; 0 for a label out of range.
///
/// # Panics
/// If a slice does not have its length.
pub fn sparse_softmax_cross_entropy_grad<T: FloatElement, L: Label>(
    pool: &ThreadPool,
    rows: usize,
    n: usize,
    logits: &[T],
    labels: &[L],
    ct: &[T],
    dlogits: &mut [T],
) {
    assert_eq!(labels.len(), rows, "expected one label per row");
    assert_eq!(ct.len(), rows, "expected one cotangent per row");
    run(pool, rows, n, logits, dlogits, &SparseGrad { class: &|row| labels[row].class(n), ct, element: PhantomData });
}

multiversion! {
    unsafe fn softmax_grad_rows[S, T: FloatElement; T::DTYPE.copies()](n: usize, y: &[T], ct: &[T], dx: &mut [T]) {
        for ((y, ct), dx) in y.chunks_exact(n).zip(ct.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let dot = sum([y, ct], |[y, ct]| y.to_acc() * ct.to_acc());
            for ((dx, y), ct) in dx.iter_mut().zip(y).zip(ct) {
                *dx = T::from_acc(y.to_acc() * (ct.to_acc() - dot));
            }
        }
    }
    unsafe fn log_softmax_grad_rows[S, T: FloatElement; T::DTYPE.copies()](n: usize, y: &[T], ct: &[T], dx: &mut [T]) {
        for ((y, ct), dx) in y.chunks_exact(n).zip(ct.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let row_sum = sum([ct], |[ct]| ct.to_acc());
            for ((dx, y), ct) in dx.iter_mut().zip(y).zip(ct) {
                *dx = T::from_acc(ct.to_acc() - y.to_acc().exp::<S>() * row_sum);
            }
        }
    }
}

/// Kernel over full rows of `(y, ct) -> dx`.
type GradRows<T> = unsafe fn(usize, &[T], &[T], &mut [T]);

fn grad_rows<T: FloatElement>(
    pool: &ThreadPool,
    rows: usize,
    n: usize,
    y: &[T],
    ct: &[T],
    dx: &mut [T],
    body: GradRows<T>,
) {
    assert!([y.len(), ct.len(), dx.len()] == [rows * n; 3], "an operand does not hold {rows} x {n} elements");
    if rows * n == 0 {
        return;
    }
    let chunk = TASK.div_ceil(n) * n;
    pool.run_chunks(dx, chunk, &|index, dx| {
        let range = index * chunk..index * chunk + dx.len();
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { body(n, &y[range.clone()], &ct[range], dx) };
    });
}

/// Computes `dx = y * (ct - sum_j y_j ct_j)`, where `y` is the [`softmax`] of `x`.
///
/// # Panics
/// If a slice does not have `rows * n` elements.
pub fn softmax_grad<T: FloatElement>(pool: &ThreadPool, rows: usize, n: usize, y: &[T], ct: &[T], dx: &mut [T]) {
    grad_rows(pool, rows, n, y, ct, dx, softmax_grad_rows::<T>());
}

/// Computes `dx = ct - exp(y) * sum_j ct_j`, where `y` is the [`log_softmax`] of `x`.
///
/// # Panics
/// If a slice does not have `rows * n` elements.
pub fn log_softmax_grad<T: FloatElement>(pool: &ThreadPool, rows: usize, n: usize, y: &[T], ct: &[T], dx: &mut [T]) {
    grad_rows(pool, rows, n, y, ct, dx, log_softmax_grad_rows::<T>());
}

#[cfg(test)]
mod tests;
