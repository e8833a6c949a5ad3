//! Inner loops of reductions: rows and columns of one task.

use std::marker::PhantomData;
use std::slice;

use crate::dtype::{Bool, DType, Element};
use crate::multiversion;
use crate::scratch::Plain;
use crate::simd::{Copies, LANES};
use crate::sums::block;

/// Reduction of elements `In` with accumulators `Acc`.
pub trait Fold: 'static {
    type In: Element<Acc = Self::Acc> + Plain;
    type Acc: Element<Acc = Self::Acc> + Plain;
    /// Same reduction on its results.
    type Next: Fold<In = Self::Acc, Acc = Self::Acc>;
    const IDENTITY: Self::Acc;
    const COPIES: Copies;
    /// Lanes in which a long row is folded.
    const LANES: usize;
    fn combine(a: Self::Acc, b: Self::Acc) -> Self::Acc;
    type Op: Combine<Self::Acc>;
    /// See [`Combine::FASTER_WITHOUT_NAN`].
    const FASTER_WITHOUT_NAN: bool;
}

/// Reduction `O` of elements `T`.
pub struct Folding<O, T>(PhantomData<(O, T)>);

/// Reduction operation with accumulators `A`.
pub trait Combine<A>: 'static {
    const IDENTITY: A;
    /// True for what models compute of integers, too.
    const COMMON: bool;
    fn combine(a: A, b: A) -> A;

    /// True if `combine_numbers` is faster than `combine`, with equal results where neither operand is NaN. Then `add` and
    /// `is_nan` tell blocks without NaN.
    const FASTER_WITHOUT_NAN: bool = false;
    #[inline(always)]
    fn combine_numbers(a: A, b: A) -> A {
        Self::combine(a, b)
    }
    #[inline(always)]
    fn add(a: A, _b: A) -> A {
        a
    }
    #[inline(always)]
    fn is_nan(_a: A) -> bool {
        false
    }
}

impl<O, T, A> Fold for Folding<O, T>
where
    O: Combine<A>,
    T: Element<Acc = A> + Plain,
    A: Element<Acc = A> + Plain,
{
    type In = T;
    type Acc = A;
    type Next = Folding<O, A>;
    const IDENTITY: A = O::IDENTITY;
    const COPIES: Copies = if O::COMMON { T::DTYPE.copies() } else { T::DTYPE.copies_of_floats() };
    // The order in which integers are combined does not matter.
    const LANES: usize = if T::DTYPE.is_float() { LANES } else { SHORT };
    #[inline(always)]
    fn combine(a: A, b: A) -> A {
        O::combine(a, b)
    }
    type Op = O;
    // One copy of the code, for the dtype that matters.
    const FASTER_WITHOUT_NAN: bool = O::FASTER_WITHOUT_NAN && matches!(T::DTYPE, DType::F32);
}

macro_rules! combines {
    ($($Op:ident $common:literal: $([$($t:ty),*] $identity:expr, |$a:ident, $b:ident| $body:expr);+;)*) => {$(
        pub struct $Op;
        $($(impl Combine<$t> for $Op {
            const IDENTITY: $t = $identity;
            const COMMON: bool = $common;
            #[inline(always)]
            fn combine($a: $t, $b: $t) -> $t {
                $body
            }
        })*)+
    )*};
}

combines! {
    Sum true: [i8, i16, i32, i64, u8, u16, u32, u64] 0, |a, b| a.wrapping_add(b); [f32, f64] 0.0, |a, b| a + b;
    Prod false: [i8, i16, i32, i64, u8, u16, u32, u64] 1, |a, b| a.wrapping_mul(b); [f32, f64] 1.0, |a, b| a * b;
    Max false: [i8, i16, i32, i64, u8, u16, u32, u64, Bool] Element::LOWEST, |a, b| a.max(b);
    Min false: [i8, i16, i32, i64, u8, u16, u32, u64, Bool] Element::HIGHEST, |a, b| a.min(b);
    And false: [i8, i16, i32, i64, u8, u16, u32, u64] !0, |a, b| a & b;
    Or false: [i8, i16, i32, i64, u8, u16, u32, u64] 0, |a, b| a | b;
}

macro_rules! extrema_of_floats {
    ($($Op:ident [$($t:ty),*] $identity:expr, $order:tt;)*) => {$($(
        impl Combine<$t> for $Op {
            const IDENTITY: $t = $identity;
            const COMMON: bool = false;
            #[inline(always)]
            fn combine(a: $t, b: $t) -> $t {
                if (a $order b) | a.is_nan() {
                    a
                } else {
                    b
                }
            }
            // The WebAssembly module has to be small.
            const FASTER_WITHOUT_NAN: bool = !cfg!(target_arch = "wasm32");
            #[inline(always)]
            fn combine_numbers(a: $t, b: $t) -> $t {
                if a $order b {
                    a
                } else {
                    b
                }
            }
            #[inline(always)]
            fn add(a: $t, b: $t) -> $t {
                a + b
            }
            #[inline(always)]
            fn is_nan(a: $t) -> bool {
                a.is_nan()
            }
        }
    )*)*};
}

extrema_of_floats! {
    Max [f32, f64] Element::LOWEST, >;
    Min [f32, f64] Element::HIGHEST, <;
}

/// Lanes of short rows.
const SHORT: usize = 16;
/// Elements of a block: 16 additions per lane.
const BLOCK: usize = 1024;

multiversion! {
    /// Folds each of `rows` rows of `n` elements of `x` into one accumulator of `y`.
    pub(super) unsafe fn fold_rows(isa)[S, F: Fold; F::COPIES](x: *const u8, n: usize, y: *mut u8, rows: usize) {
        // SAFETY: the caller's rows and accumulators.
        let (x, y) = unsafe {
            (slice::from_raw_parts(x.cast::<F::In>(), rows * n), slice::from_raw_parts_mut(y.cast::<F::Acc>(), rows))
        };
        if n < SHORT {
            fold_short::<F>(x, n, y);
        } else if n < 512 {
            for (row, y) in x.chunks_exact(n).zip(y) {
                *y = fold_block::<F, SHORT>(row);
            }
        } else {
            for (row, y) in x.chunks_exact(n).zip(y) {
                // SAFETY: `fold_long` has no precondition other than the instruction set.
                *y = unsafe { fold_long::<F>(S::ISA)(row) };
            }
        }
    }

    /// Folds a long row.
    pub(super) unsafe fn fold_long(isa)[S, F: Fold; F::COPIES](row: &[F::In]) -> F::Acc {
        // Blocks are combined pairwise, two results of equal weight as soon as both exist, like the carries of a counter.
        let mut stack = [F::IDENTITY; usize::BITS as usize];
        let mut depth = 0;
        for (i, block) in row.chunks(BLOCK).enumerate() {
            let mut sum = if const { F::LANES == SHORT } { fold_block::<F, SHORT>(block) } else { fold_block::<F, LANES>(block) };
            for _ in 0..(i + 1).trailing_zeros() {
                depth -= 1;
                sum = F::combine(stack[depth], sum);
            }
            stack[depth] = sum;
            depth += 1;
        }
        let mut sum = stack[depth - 1];
        for part in stack[..depth - 1].iter().rev() {
            sum = F::combine(*part, sum);
        }
        sum
    }

    /// Folds rows with stride `stride` into the accumulators of their columns, to which `start` gives their first value.
    pub(super) unsafe fn add_columns(isa)[S, F: Fold; F::COPIES](
        x: *const u8, stride: usize, rows: usize, y: *mut u8, columns: usize, start: bool,
    ) {
        // SAFETY: the caller's accumulators.
        let y = unsafe { slice::from_raw_parts_mut(y.cast::<F::Acc>(), columns) };
        if start {
            y.fill(F::IDENTITY);
        }
        if rows == 0 {
            return;
        }
        // SAFETY: the caller's rows.
        let x = unsafe { slice::from_raw_parts(x.cast::<F::In>(), (rows - 1) * stride + columns) };
        let add_rows = add_rows::<F>(S::ISA);
        // Few columns leave vector lanes empty: several adjacent rows are treated as one wide row.
        let side = LANES / columns;
        if stride == columns && side > 1 && rows >= 8 * side {
            let mut wide = [F::IDENTITY; LANES];
            let width = side * columns;
            let (body, rest) = x.split_at(rows / side * width);
            // SAFETY: `add_rows` has no precondition other than the instruction set.
            unsafe { add_rows(body, width, rows / side, &mut wide[..width]) };
            for part in wide[..width].chunks_exact(columns) {
                for (y, part) in y.iter_mut().zip(part) {
                    *y = F::combine(*y, *part);
                }
            }
            // SAFETY: as above.
            unsafe { add_rows(rest, columns, rows % side, y) };
        } else {
            // SAFETY: as above.
            unsafe { add_rows(x, stride, rows, y) };
        }
    }

    /// Folds rows into `y`, eight at a time, so that accumulators are loaded and stored once per eight rows.
    unsafe fn add_rows(isa)[S, F: Fold; F::COPIES](x: &[F::In], stride: usize, rows: usize, y: &mut [F::Acc]) {
        let columns = y.len();
        let mut row = 0;
        while row + 8 <= rows {
            let group: [&[F::In]; 8] = std::array::from_fn(|i| &x[(row + i) * stride..][..columns]);
            if const { F::FASTER_WITHOUT_NAN } {
                for (part, y) in y.chunks_mut(LANES).enumerate() {
                    let group = group.map(|row| &row[part * LANES..][..y.len()]);
                    if !add_numbers::<F>(group, y) {
                        add_group::<F>(group, y);
                    }
                }
            } else {
                add_group::<F>(group, y);
            }
            row += 8;
        }
        for row in row..rows {
            for (y, x) in y.iter_mut().zip(&x[row * stride..][..columns]) {
                *y = F::combine(*y, x.to_acc());
            }
        }
    }
}

/// Folds eight rows into `y`.
#[inline(always)]
fn add_group<F: Fold>(group: [&[F::In]; 8], y: &mut [F::Acc]) {
    let group = group.map(|row| &row[..y.len()]);
    for (j, y) in y.iter_mut().enumerate() {
        // SAFETY: each of the eight rows has as many columns as y.
        let v: [F::Acc; 8] = std::array::from_fn(|i| unsafe { *group[i].get_unchecked(j) }.to_acc());
        *y = F::combine(*y, fold_eight(v, F::combine));
    }
}

/// Computes [`add_group`] of [`LANES`] columns if no sum of a column is NaN: then no element is. Otherwise does nothing and
/// returns false.
#[inline(always)]
fn add_numbers<F: Fold>(group: [&[F::In]; 8], y: &mut [F::Acc]) -> bool {
    let Ok(y) = <&mut [F::Acc; LANES]>::try_from(y) else { return false };
    let group = group.map(|row| block::<F::In, LANES>(row, 0));
    let (mut results, mut sums) = (*y, *y);
    for j in 0..LANES {
        // (`array::map` might not be inlined.)
        let v: [F::Acc; 8] = std::array::from_fn(|i| group[i][j].to_acc());
        results[j] = F::Op::combine_numbers(results[j], fold_eight(v, F::Op::combine_numbers));
        sums[j] = F::Op::add(sums[j], fold_eight(v, F::Op::add));
    }
    if F::Op::is_nan(fold_lanes(&mut sums, F::Op::add)) {
        return false;
    }
    *y = results;
    true
}

#[inline(always)]
fn fold_eight<A: Copy>(v: [A; 8], combine: impl Fn(A, A) -> A) -> A {
    let [left, right] = [0, 4].map(|i| combine(combine(v[i], v[i + 1]), combine(v[i + 2], v[i + 3])));
    combine(left, right)
}

/// Folds rows of fewer than 16 elements, sixteen rows at once.
#[inline(always)]
fn fold_short<F: Fold>(x: &[F::In], n: usize, y: &mut [F::Acc]) {
    let (groups, rest) = y.as_chunks_mut::<SHORT>();
    let (body, tail) = x.split_at(groups.len() * SHORT * n);
    for (x, y) in body.chunks_exact(SHORT * n).zip(groups) {
        let mut sums = [F::IDENTITY; SHORT];
        for k in 0..n {
            for (j, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the chunk holds 16 rows of n elements.
                *sum = F::combine(*sum, unsafe { x.get_unchecked(j * n + k) }.to_acc());
            }
        }
        *y = sums;
    }
    for (row, y) in tail.chunks_exact(n).zip(rest) {
        *y = row.iter().fold(F::IDENTITY, |sum, x| F::combine(sum, x.to_acc()));
    }
}

#[inline(always)]
fn fold_block<F: Fold, const WIDTH: usize>(block: &[F::In]) -> F::Acc {
    if const { F::FASTER_WITHOUT_NAN } {
        if let Some(result) = fold_numbers::<F, WIDTH>(block) {
            return result;
        }
    }
    let mut lanes = [F::IDENTITY; WIDTH];
    let (body, rest) = block.as_chunks::<WIDTH>();
    for part in body {
        for j in 0..WIDTH {
            lanes[j] = F::combine(lanes[j], part[j].to_acc());
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = F::combine(*lane, x.to_acc());
    }
    fold_lanes(&mut lanes, F::combine)
}

/// Computes [`fold_block`] if the sum of all elements is not NaN: then no element is. (It also is NaN for infinities of both
/// signs.)
#[inline(always)]
fn fold_numbers<F: Fold, const WIDTH: usize>(block: &[F::In]) -> Option<F::Acc> {
    let (mut lanes, mut sums) = ([F::IDENTITY; WIDTH], [<F::Acc as Element>::ZERO; WIDTH]);
    let (body, rest) = block.as_chunks::<WIDTH>();
    for part in body {
        for j in 0..WIDTH {
            let x = part[j].to_acc();
            lanes[j] = F::Op::combine_numbers(lanes[j], x);
            sums[j] = F::Op::add(sums[j], x);
        }
    }
    for ((lane, sum), x) in lanes.iter_mut().zip(&mut sums).zip(rest) {
        *lane = F::Op::combine_numbers(*lane, x.to_acc());
        *sum = F::Op::add(*sum, x.to_acc());
    }
    (!F::Op::is_nan(fold_lanes(&mut sums, F::Op::add))).then(|| fold_lanes(&mut lanes, F::Op::combine_numbers))
}

#[inline(always)]
fn fold_lanes<A: Copy, const WIDTH: usize>(lanes: &mut [A; WIDTH], combine: impl Fn(A, A) -> A) -> A {
    let mut width = WIDTH / 2;
    while width > 0 {
        for j in 0..width {
            lanes[j] = combine(lanes[j], lanes[j + width]);
        }
        width /= 2;
    }
    lanes[0]
}
