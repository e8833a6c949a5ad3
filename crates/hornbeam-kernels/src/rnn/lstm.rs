//! Long short-term memory.

use super::{apply, pack_weights, split_gates, task_buffers, zip2, zip3, zip4, Lstm, LstmGrad, SequenceShape};
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use crate::tiles::Float;

multiversion! {
    /// Computes gates and states of one row from the recurrent sums and the projected input.
    unsafe fn forward_step[S, T: Float; T::DTYPE.copies()](sums: &[T], x: &[T], before: &[T], gates: &mut [T], c: &mut [T], h: &mut [T]) {
        let n = h.len();
        zip2(&mut gates[..2 * n], &sums[..2 * n], &x[..2 * n], |s, x| (s + x).logistic::<S>());
        zip2(&mut gates[2 * n..3 * n], &sums[2 * n..3 * n], &x[2 * n..3 * n], |s, x| (s + x).tanh::<S>());
        zip2(&mut gates[3 * n..], &sums[3 * n..], &x[3 * n..], |s, x| (s + x).logistic::<S>());
        let [input, forget, new, output] = split_gates(gates);
        zip4(c, forget, before, input, new, |f, before, i, g| f * before + i * g);
        zip2(h, output, c, |o, c| o * c.tanh::<S>());
    }

    /// Backpropagates one row of one step: from the gradients of its states to those of its sums and of the previous `c`.
    /// `dh` becomes 0: the previous `h` has no direct contribution.
    unsafe fn backward_step[S, T: Float; T::DTYPE.copies()](
        gates: &[T], before: &[T], c: &[T], dh: &mut [T], dc: &mut [T], spare: &mut [T], ds: &mut [T],
    ) {
        let n = c.len();
        let [input, forget, new, output] = split_gates(gates);
        for (tanh, c) in spare.iter_mut().zip(c) {
            *tanh = c.tanh::<S>();
        }
        zip3(&mut ds[3 * n..], dh, spare, output, |dh, tanh, o| dh * tanh * o * (T::ONE - o));
        for (((dc, dh), tanh), o) in dc.iter_mut().zip(dh.iter()).zip(spare.iter()).zip(output) {
            *dc = *dc + *dh * *o * (T::ONE - *tanh * *tanh);
        }
        zip3(&mut ds[..n], dc, new, input, |dc, g, i| dc * g * i * (T::ONE - i));
        zip3(&mut ds[n..2 * n], dc, before, forget, |dc, before, f| dc * before * f * (T::ONE - f));
        zip3(&mut ds[2 * n..3 * n], dc, input, new, |dc, i, g| dc * i * (T::ONE - g * g));
        for (dc, f) in dc.iter_mut().zip(forget) {
            *dc = *dc * *f;
        }
        dh.fill(T::ZERO);
    }
}

pub(super) fn forward<T: Float>(pool: &ThreadPool, shape: &SequenceShape, layer: Lstm<'_, T>, scratch: &mut Scratch) {
    let Lstm { x, w, h0, c0, mask, h, c, gates } = layer;
    let (n, wide) = (shape.units, 4 * shape.units);
    let gates_len = gates.as_ref().map_or(x.len(), |gates| gates.len());
    shape.check(&[(x.len(), wide), (gates_len, wide), (h.len(), n), (c.len(), n)], &[h0.len(), c0.len()], mask);
    if h.is_empty() {
        return;
    }
    let weights = pack_weights(pool, shape, w, [n, wide], [wide, 1], scratch);
    let forward_step = forward_step::<T>();
    let (h, c, gates) = (SharedMut::new(h), SharedMut::new(c), gates.map(SharedMut::new));
    let block = |block: usize, local: &mut Scratch| {
        let rows = shape.rows(block);
        let [mut state, mut sums, mut spare] = task_buffers::<T>(local, rows.len(), [n, wide, wide]);
        state.load(rows.start, h0);
        for i in 0..shape.steps {
            apply(&weights, rows.len(), &state, None, &mut sums, false, &[]);
            for (r, row) in rows.clone().enumerate() {
                let (one, all) = (shape.at(row, i, n), shape.at(row, i, wide));
                // SAFETY: no other task accesses these rows, and two steps of a row do not overlap.
                let (h, c, gates, before) = unsafe {
                    let before = if i == 0 { &c0[row * n..][..n] } else { &*c.range(shape.at(row, i - 1, n)) };
                    let gates = gates.as_ref().map_or_else(|| spare.row(r), |gates| gates.range(all.clone()));
                    (h.range(one.clone()), c.range(one), gates, before)
                };
                if shape.skips(mask, row, i) {
                    h.copy_from_slice(state.row(r));
                    c.copy_from_slice(before);
                    gates.fill(T::ZERO);
                    continue;
                }
                // SAFETY: the kernel is compiled for this machine and has no other precondition.
                unsafe { forward_step(sums.row(r), &x[all], before, gates, c, h) };
                state.row(r).copy_from_slice(h);
            }
        }
    };
    pool.run(shape.blocks(), &|task| with_local(|local| block(task, local)));
}

pub(super) fn backward<T: Float>(
    pool: &ThreadPool,
    shape: &SequenceShape,
    layer: LstmGrad<'_, T>,
    scratch: &mut Scratch,
) {
    let LstmGrad { w, c0, c, gates, dh_last, dc_last, dh, mask, dx, dh0, dc0 } = layer;
    let (n, wide) = (shape.units, 4 * shape.units);
    let dh_len = dh.map_or(c.len(), |dh| dh.len());
    shape.check(
        &[(gates.len(), wide), (dx.len(), wide), (c.len(), n), (dh_len, n)],
        &[c0.len(), dh_last.len(), dc_last.len(), dh0.len(), dc0.len()],
        mask,
    );
    if dh0.is_empty() {
        return;
    }
    let weights = pack_weights(pool, shape, w, [wide, n], [1, wide], scratch);
    let backward_step = backward_step::<T>();
    let (dx, dh0, dc0) = (SharedMut::new(dx), SharedMut::new(dh0), SharedMut::new(dc0));
    let block = |block: usize, local: &mut Scratch| {
        let rows = shape.rows(block);
        // Rows of `cell` hold the gradient of `c` and `n` spare elements.
        let [mut state, mut sums, mut cell] = task_buffers::<T>(local, rows.len(), [n, wide, 2 * n]);
        state.load(rows.start, dh_last);
        for (r, row) in rows.clone().enumerate() {
            cell.row(r)[..n].copy_from_slice(&dc_last[row * n..(row + 1) * n]);
        }
        for i in (0..shape.steps).rev() {
            for (r, row) in rows.clone().enumerate() {
                let (one, all) = (shape.at(row, i, n), shape.at(row, i, wide));
                let (state, ds) = (state.row(r), sums.row(r));
                if let Some(dh) = dh {
                    state.iter_mut().zip(&dh[one.clone()]).for_each(|(sum, dh)| *sum = *sum + *dh);
                }
                if shape.skips(mask, row, i) {
                    ds.fill(T::ZERO);
                } else {
                    let before = if i == 0 { &c0[row * n..][..n] } else { &c[shape.at(row, i - 1, n)] };
                    let (dc, spare) = cell.row(r).split_at_mut(n);
                    // SAFETY: the kernel is compiled for this machine and has no other precondition.
                    unsafe { backward_step(&gates[all.clone()], before, &c[one], state, dc, spare, ds) };
                }
                // SAFETY: no other task accesses these rows.
                unsafe { dx.range(all) }.copy_from_slice(ds);
            }
            let next = [(gates, i.saturating_sub(1), wide), (c, i.saturating_sub(2), n)];
            let prefetches = next.map(|(sequence, i, n)| shape.prefetch(sequence, &rows, i, n));
            apply(&weights, rows.len(), &sums, None, &mut state, true, &prefetches);
        }
        // SAFETY: no other task accesses these rows.
        unsafe {
            state.store(rows.clone(), &dh0);
            for (r, row) in rows.enumerate() {
                dc0.range(row * n..(row + 1) * n).copy_from_slice(&cell.row(r)[..n]);
            }
        }
    };
    pool.run(shape.blocks(), &|task| with_local(|local| block(task, local)));
}
