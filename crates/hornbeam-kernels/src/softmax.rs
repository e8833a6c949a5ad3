//! Softmax and its cross-entropy over the last axis of `[rows, n]`.
//!
//! The row max is subtracted before the exponential to avoid overflow. 16-bit floats are widened to `f32` and rounded
//! once.

use crate::dtype::Element;
use crate::math::Real;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain};
use crate::sums::{sum, sum_by, PARTIALS};
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

/// Minimum elements of a task, which it keeps widened in scratch memory.
const TASK: usize = 1 << 12;

/// Computes the row max, or 0 if it is infinite. NaN are skipped: they propagate to the result through the exponentials.
#[inline(always)]
fn row_max<T: FloatElement>(x: &[T]) -> T::Acc {
    let mut parts = [<T::Acc as Element>::LOWEST; PARTIALS];
    let mut chunks = x.chunks_exact(PARTIALS);
    for chunk in &mut chunks {
        for (part, x) in parts.iter_mut().zip(chunk) {
            let x = x.to_acc();
            *part = if x > *part { x } else { *part };
        }
    }
    for (part, x) in parts.iter_mut().zip(chunks.remainder()) {
        let x = x.to_acc();
        *part = if x > *part { x } else { *part };
    }
    let mut best = parts[0];
    for part in parts {
        best = if part > best { part } else { best };
    }
    if best.is_finite() {
        best
    } else {
        T::Acc::ZERO
    }
}

/// Final stage of a function of this module, on the shifted logits `z` of a row and their exponentials `e`.
trait Finish<T: FloatElement>: Sync {
    /// Computes the output of row number `row` from the row sum of exponentials and its logarithm. `z` holds the
    /// shifted logits if `LOG` is true.
    fn row(&self, row: usize, z: &[T::Acc], e: &[T::Acc], log_sum: T::Acc, row_sum: T::Acc, out: &mut [T]);
    /// Number of output elements per row.
    fn width(&self, n: usize) -> usize;
    /// True if `row` uses the logarithm and the shifted logits.
    const LOG: bool;
}

/// Element type of a [`Finish`], because `multiversion!` supports one bound.
trait FinishOf: Finish<Self::Element> {
    type Element: FloatElement;
}

multiversion! {
    /// Computes shifted logits, and exponentials of a block of rows at once, so that short rows fill the vectors, too.
    /// Without memory for the exponentials they replace the logits.
    unsafe fn exponentials[S, T: FloatElement](n: usize, x: &[T], z: &mut [T::Acc], e: Option<&mut [T::Acc]>) {
        for (x, z) in x.chunks_exact(n).zip(z.chunks_exact_mut(n)) {
            let max = row_max(x);
            for (z, x) in z.iter_mut().zip(x) {
                *z = x.to_acc() - max;
            }
        }
        match e {
            Some(e) => {
                for (e, z) in e.iter_mut().zip(&*z) {
                    *e = z.exp::<S>();
                }
            }
            None => {
                for z in z.iter_mut() {
                    *z = z.exp::<S>();
                }
            }
        }
    }

    /// Applies the final stage to a block of rows.
    unsafe fn finish_rows[S, F: FinishOf](
        finish: &F,
        first: usize,
        n: usize,
        z: &[<F::Element as Element>::Acc],
        e: &[<F::Element as Element>::Acc],
        out: &mut [F::Element],
    ) {
        let width = finish.width(n);
        for (row, ((z, e), out)) in z.chunks_exact(n).zip(e.chunks_exact(n)).zip(out.chunks_exact_mut(width)).enumerate() {
            let row_sum = sum([e], |[e]| e);
            let log_sum = if F::LOG { row_sum.log::<S>() } else { row_sum };
            finish.row(first + row, z, e, log_sum, row_sum, out);
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
    let (exponentials, finish_rows) = (exponentials::<F::Element>(), finish_rows::<F>());
    let out = SharedMut::new(out);
    pool.run_ranges(rows, TASK.div_ceil(n), &|range| {
        with_local(|local| {
            let len = range.len() * n;
            let x = &x[range.start * n..range.end * n];
            // SAFETY: ranges of rows are disjoint.
            let out = unsafe { out.range(range.start * width..range.end * width) };
            let (z, e) = local.take2(len, if F::LOG { len } else { 0 });
            // SAFETY: the kernels are compiled for this machine.
            unsafe {
                exponentials(n, x, z, F::LOG.then_some(&mut *e));
                finish_rows(finish, range.start, n, z, if F::LOG { e } else { z }, out);
            }
        });
    });
}

/// Defines a [`Finish`] stage: its fields, output width and the computation of a row.
macro_rules! finish {
    ($name:ident<$life:lifetime, $T:ident> { $($field:ident: $type:ty),* $(,)? }
     log $log:literal, width |$n:ident| $width:expr,
     |$self:ident, $row:ident, $z:ident, $e:ident, $log_sum:ident, $row_sum:ident, $out:ident| $body:block) => {
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
            fn row(&$self, $row: usize, $z: &[T::Acc], $e: &[T::Acc], $log_sum: T::Acc, $row_sum: T::Acc,
                   $out: &mut [T]) {
                let _ = ($row, $z.len(), $e.len(), $log_sum, $row_sum);
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
|self, row, z, e, log_sum, row_sum, out| {
    let scale = T::Acc::ONE / row_sum;
    for (out, e) in out.iter_mut().zip(e) {
        *out = T::from_acc(*e * scale);
    }
});

finish!(LogSoftmax<'a, T> {}
log true, width |n| n,
|self, row, z, e, log_sum, row_sum, out| {
    for (out, z) in out.iter_mut().zip(z) {
        *out = T::from_acc(*z - log_sum);
    }
});

finish!(DenseLoss<'a, T> { targets: &'a [T] }
log true, width |_n| 1,
|self, row, z, e, log_sum, row_sum, out| {
    let targets = &self.targets[row * z.len()..][..z.len()];
    let loss = sum_by(z.len(), |i| targets[i].to_acc() * (log_sum - z[i]));
    out[0] = T::from_acc(loss);
});

finish!(DenseGrad<'a, T> { targets: &'a [T], ct: &'a [T] }
log false, width |n| n,
|self, row, z, e, log_sum, row_sum, out| {
    let targets = &self.targets[row * e.len()..][..e.len()];
    let ct = self.ct[row].to_acc();
    let scale = sum([targets], |[target]| target.to_acc()) / row_sum;
    for ((out, e), target) in out.iter_mut().zip(e).zip(targets) {
        *out = T::from_acc((*e * scale - target.to_acc()) * ct);
    }
});

finish!(SparseLoss<'a, T> { class: Classes<'a> }
log true, width |_n| 1,
|self, row, z, e, log_sum, row_sum, out| {
    let class = (self.class)(row);
    out[0] = class.map_or(T::ZERO, |class| T::from_acc(log_sum - z[class]));
});

finish!(SparseGrad<'a, T> { class: Classes<'a>, ct: &'a [T] }
log false, width |n| n,
|self, row, z, e, log_sum, row_sum, out| {
    let ct = self.ct[row].to_acc();
    let scale = T::Acc::ONE / row_sum;
    let Some(class) = (self.class)(row) else {
        out.fill(T::ZERO);
        return;
    };
    for (out, e) in out.iter_mut().zip(e) {
        *out = T::from_acc(*e * scale * ct);
    }
    out[class] = T::from_acc((e[class] * scale - T::Acc::ONE) * ct);
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
    unsafe fn softmax_grad_rows[S, T: FloatElement](n: usize, y: &[T], ct: &[T], dx: &mut [T]) {
        for ((y, ct), dx) in y.chunks_exact(n).zip(ct.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let dot = sum([y, ct], |[y, ct]| y.to_acc() * ct.to_acc());
            for ((dx, y), ct) in dx.iter_mut().zip(y).zip(ct) {
                *dx = T::from_acc(y.to_acc() * (ct.to_acc() - dot));
            }
        }
    }
    unsafe fn log_softmax_grad_rows[S, T: FloatElement](n: usize, y: &[T], ct: &[T], dx: &mut [T]) {
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
