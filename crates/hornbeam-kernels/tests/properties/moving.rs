//! Data movement kernels, by positions.

use crate::{bytes, bytes_mut, cases, flat, floats, guarded, on_threads, positions, shape, words};
use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::index::{gather, scatter, IndexSpec, Scatter};
use hornbeam_kernels::movement::{
    broadcast, concatenate, dynamic_update_slice, pad, padded_shape, reverse, slice, transpose,
};
use proptest::prelude::*;

/// Random order of axes.
fn order(rank: usize, seed: u64) -> Vec<usize> {
    let keys = words(rank, seed);
    let mut axes: Vec<usize> = (0..rank).collect();
    axes.sort_by_key(|&axis| keys[axis]);
    axes
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn transpose_reverse_and_broadcast(shape in shape(), seed: u64, flip: [bool; 4]) {
        let size: usize = shape.iter().product();
        let x = words(size, seed);
        let perm = order(shape.len(), seed);
        let out: Vec<usize> = perm.iter().map(|&p| shape[p]).collect();
        let got = on_threads(|pool| guarded(size, 1, |y| transpose(pool, 4, bytes(&x), &shape, &perm, bytes_mut(y))))?;
        for (position, got) in positions(&out).zip(&got) {
            let mut from = vec![0; shape.len()];
            perm.iter().zip(&position).for_each(|(&p, &at)| from[p] = at);
            prop_assert_eq!(*got, x[flat(&from, &shape)]);
        }
        // Elements of one and eight bytes, for which kernels differ.
        let (small, large): (Vec<u8>, Vec<u64>) = (x.iter().map(|&w| w as u8).collect(), x.iter().map(|&w| w.into()).collect());
        let one = on_threads(|pool| guarded(size, 1, |y| transpose(pool, 1, &small, &shape, &perm, y)))?;
        let eight = on_threads(|pool| guarded(size, 1, |y| transpose(pool, 8, bytes(&large), &shape, &perm, bytes_mut(y))))?;
        prop_assert!(got.iter().zip(&one).zip(&eight).all(|((w, b), l)| *w as u8 == *b && u64::from(*w) == *l));

        let flipped: Vec<usize> = (0..shape.len()).filter(|&axis| flip[axis]).collect();
        let got = on_threads(|pool| guarded(size, 1, |y| reverse(pool, 4, bytes(&x), &shape, &flipped, bytes_mut(y))))?;
        for (position, got) in positions(&shape).zip(&got) {
            let reversed = |axis: usize| if flip[axis] { shape[axis] - 1 - position[axis] } else { position[axis] };
            let from: Vec<usize> = (0..shape.len()).map(reversed).collect();
            prop_assert_eq!(*got, x[flat(&from, &shape)]);
        }

        let narrow: Vec<usize> = (0..shape.len()).map(|axis| if flip[axis] { 1 } else { shape[axis] }).collect();
        let x = words(narrow.iter().product(), seed);
        let dims: Vec<usize> = (0..shape.len()).collect();
        let broadcast_into = |y: &mut [u32], pool: &_| broadcast(pool, 4, bytes(&x), &narrow, &shape, &dims, bytes_mut(y));
        let got = on_threads(|pool| guarded(size, 1, |y| broadcast_into(y, pool)))?;
        for (position, got) in positions(&shape).zip(&got) {
            let from: Vec<usize> = position.iter().zip(&narrow).map(|(&at, &n)| if n == 1 { 0 } else { at }).collect();
            prop_assert_eq!(*got, x[flat(&from, &narrow)]);
        }
    }

    #[test]
    fn slice_concatenate_and_update(shape in shape(), seed: u64, steps in prop::array::uniform4(1usize..4), at: [u8; 8]) {
        let size: usize = shape.iter().product();
        let x = words(size, seed);
        let start: Vec<usize> = shape.iter().zip(at).map(|(&n, at)| at as usize % (n + 1)).collect();
        let stop: Vec<usize> =
            shape.iter().zip(&start).zip(&at[4..]).map(|((&n, &s), &at)| s + at as usize % (n - s + 1)).collect();
        let steps = &steps[..shape.len()];
        let out: Vec<usize> = (0..shape.len()).map(|a| (stop[a] - start[a]).div_ceil(steps[a])).collect();
        let slice_into = |y: &mut [u32], pool: &_| slice(pool, 4, bytes(&x), &shape, &start, &stop, steps, bytes_mut(y));
        let got = on_threads(|pool| guarded(out.iter().product(), 1, |y| slice_into(y, pool)))?;
        for (position, got) in positions(&out).zip(&got) {
            let from: Vec<usize> = (0..shape.len()).map(|a| start[a] + position[a] * steps[a]).collect();
            prop_assert_eq!(*got, x[flat(&from, &shape)]);
        }

        // Two parts, concatenated again.
        let axis = at[0] as usize % shape.len();
        let (mut left, mut right) = (shape.clone(), shape.clone());
        (left[axis], right[axis]) = (start[axis], shape[axis] - start[axis]);
        let (a, b) = (words(left.iter().product(), seed), words(right.iter().product(), seed ^ 1));
        let parts = [(bytes(&a), left[axis]), (bytes(&b), right[axis])];
        let got = on_threads(|pool| guarded(size, 1, |y| concatenate(pool, 4, &parts, &shape, axis, bytes_mut(y))))?;
        for (mut position, got) in positions(&shape).zip(&got) {
            let first = position[axis] < left[axis];
            if !first {
                position[axis] -= left[axis];
            }
            prop_assert_eq!(*got, if first { a[flat(&position, &left)] } else { b[flat(&position, &right)] });
        }

        // A window that is clamped until it fits.
        let sizes: Vec<usize> = shape.iter().zip(&start).map(|(&n, &s)| n - s.min(n)).collect();
        let starts: Vec<i64> = at.iter().map(|&at| i64::from(at) - 100).take(shape.len()).collect();
        let update = words(sizes.iter().product(), seed ^ 2);
        let got = on_threads(|pool| guarded(size, 1, |y| {
            y.copy_from_slice(&x);
            dynamic_update_slice(pool, 4, bytes(&update), &sizes, &starts, bytes_mut(y), &shape)
        }))?;
        let first: Vec<usize> =
            (0..shape.len()).map(|a| starts[a].clamp(0, (shape[a] - sizes[a]) as i64) as usize).collect();
        for (position, got) in positions(&shape).zip(&got) {
            let inside = (0..shape.len()).all(|a| position[a] >= first[a] && position[a] < first[a] + sizes[a]);
            let within: Vec<usize> = (0..shape.len()).map(|a| position[a].wrapping_sub(first[a])).collect();
            prop_assert_eq!(*got, if inside { update[flat(&within, &sizes)] } else { x[flat(&position, &shape)] });
        }
    }

    #[test]
    fn padding_may_be_negative(
        shape in shape(), seed: u64, low in prop::array::uniform4(-3isize..4), high in prop::array::uniform4(-3isize..4),
        interior in prop::array::uniform4(0usize..3),
    ) {
        let rank = shape.len();
        let (low, high, interior) = (&low[..rank], &high[..rank], &interior[..rank]);
        let x = words(shape.iter().product(), seed);
        let out = padded_shape(&shape, low, high, interior);
        let value = 77u32;
        let got = on_threads(|pool| guarded(out.iter().product(), 1, |y| {
            pad(pool, 4, bytes(&x), &shape, bytes(&[value]), low, high, interior, bytes_mut(y))
        }))?;
        for (position, got) in positions(&out).zip(&got) {
            let source = |a: usize| {
                let (at, step) = (position[a] as isize - low[a], interior[a] as isize + 1);
                (at >= 0 && at % step == 0 && at / step < shape[a] as isize).then_some((at / step) as usize)
            };
            let from: Option<Vec<usize>> = (0..rank).map(source).collect();
            prop_assert_eq!(*got, from.map_or(value, |from| x[flat(&from, &shape)]));
        }
    }

    #[test]
    fn gather_and_scatter(
        batch in 0usize..4, axes in prop::collection::vec(1usize..6, 1..3), inner in 0usize..40, tuples in 0usize..30, shared: bool, seed: u64,
    ) {
        let k = axes.len();
        let shape: Vec<usize> = [batch].iter().chain(&axes).chain(&[inner]).copied().collect();
        let indices_shape = [batch, tuples, k];
        // Some are out of range and are clamped.
        let batches = if shared { 1 } else { batch };
        let passed: Vec<i32> = words(batches * tuples * k, seed).iter().map(|w| (w % 9) as i32 - 1).collect();
        let at = if shared { passed.repeat(batch) } else { passed.clone() };
        let spec = IndexSpec { shape: &shape, batch_dims: 1, indices_shape: &indices_shape, shared };
        let x = words(shape.iter().product(), seed ^ 1);
        let source = |t: usize| {
            let clamped = |(a, &extent): (usize, &usize)| at[t * k + a].clamp(0, extent as i32 - 1) as usize;
            let position: Vec<usize> = axes.iter().enumerate().map(clamped).collect();
            (t / tuples * axes.iter().product::<usize>() + flat(&position, &axes)) * inner
        };
        let size = batch * tuples * inner;
        let got = on_threads(|pool| guarded(size, 1, |y| {
            gather(pool, 4, bytes(&x), spec, DType::I32, bytes(&passed), bytes_mut(y))
        }))?;
        for t in 0..batch * tuples {
            prop_assert_eq!(&got[t * inner..(t + 1) * inner], &x[source(t)..source(t) + inner]);
        }
        let updates = words(size, seed ^ 2);
        for (mode, fold) in [
            (Scatter::Add, u32::wrapping_add as fn(u32, u32) -> u32),
            (Scatter::Mul, u32::wrapping_mul),
            (Scatter::Set, |_, new| new),
            (Scatter::Max, u32::max),
            (Scatter::Min, u32::min),
        ] {
            let got = on_threads(|pool| guarded(x.len(), 1, |y| {
                y.copy_from_slice(&x);
                scatter(pool, mode, DType::U32, bytes_mut(y), spec, DType::I32, bytes(&passed), bytes(&updates))
            }))?;
            let mut want = x.clone();
            for (i, update) in updates.iter().enumerate() {
                let at = source(i / inner) + i % inner;
                want[at] = fold(want[at], *update);
            }
            prop_assert_eq!(got, want, "{}", mode.name());
        }
    }

    #[test]
    fn floats_are_scattered_in_order(rows in 1usize..50, inner in 1usize..30, tuples in 0usize..200, seed: u64) {
        let at: Vec<u32> = words(tuples, seed).iter().map(|w| w % rows as u32).collect();
        let (x, updates) = (floats(rows * inner, seed), floats(tuples * inner, seed ^ 1));
        let (shape, indices_shape) = ([rows, inner], [tuples, 1]);
        let spec = IndexSpec { shape: &shape, batch_dims: 0, indices_shape: &indices_shape, shared: false };
        let got = on_threads(|pool| guarded(x.len(), 1.0, |y| {
            y.copy_from_slice(&x);
            scatter(pool, Scatter::Add, DType::F32, bytes_mut(y), spec, DType::U32, bytes(&at), bytes(&updates))
        }))?;
        let mut want = x.clone();
        for (t, row) in updates.chunks_exact(inner).enumerate() {
            let to = at[t] as usize * inner;
            want[to..to + inner].iter_mut().zip(row).for_each(|(y, u)| *y += u);
        }
        prop_assert_eq!(got, want);
    }
}
