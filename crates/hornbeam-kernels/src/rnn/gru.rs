//! Gated recurrent units, with the reset gate after the product.

use super::{apply, pack_weights, split_gates, task_buffers, zip2, zip3, zip4, Gru, GruGrad, SequenceShape};
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use crate::tiles::Float;

multiversion! {
    /// Computes gates and state of one row from the recurrent sums, the projected input and the previous state.
    unsafe fn forward_step[S, T: Float; T::DTYPE.copies()](sums: &[T], x: &[T], before: &[T], gates: &mut [T], h: &mut [T]) {
        let n = h.len();
        let (gates, sum) = gates.split_at_mut(3 * n);
        sum.copy_from_slice(&sums[2 * n..]);
        let (first, new) = gates.split_at_mut(2 * n);
        zip2(first, &sums[..2 * n], &x[..2 * n], |s, x| (s + x).logistic::<S>());
        let (update, reset) = first.split_at(n);
        zip3(new, &x[2 * n..], reset, sum, |x, r, s| (x + r * s).tanh::<S>());
        zip3(h, update, before, new, |z, before, g| z * before + (T::ONE - z) * g);
    }

    /// Backpropagates one row of one step: from the gradient `dh` of its state to the gradients of `x` and of the sums, and
    /// in `dh` the direct contribution to the previous state.
    unsafe fn backward_step[S, T: Float; T::DTYPE.copies()](gates: &[T], before: &[T], dh: &mut [T], dx: &mut [T], ds: &mut [T]) {
        let n = before.len();
        let [update, reset, new, sum] = split_gates(gates);
        let (first, dg) = dx.split_at_mut(2 * n);
        let (dz, dr) = first.split_at_mut(n);
        zip4(dz, dh, before, new, update, |dh, before, g, z| dh * (before - g) * z * (T::ONE - z));
        zip3(dg, dh, update, new, |dh, z, g| dh * (T::ONE - z) * (T::ONE - g * g));
        zip3(dr, dg, sum, reset, |dg, s, r| dg * s * r * (T::ONE - r));
        ds[..2 * n].copy_from_slice(first);
        zip2(&mut ds[2 * n..], dg, reset, |dg, r| dg * r);
        for (dh, z) in dh.iter_mut().zip(update) {
            *dh = *dh * *z;
        }
    }
}

pub(super) fn forward<T: Float>(pool: &ThreadPool, shape: &SequenceShape, layer: Gru<'_, T>, scratch: &mut Scratch) {
    let Gru { x, w, b, h0, mask, h, gates } = layer;
    let (n, wide) = (shape.units, 3 * shape.units);
    let gates_len = gates.as_ref().map_or(4 * h.len(), |gates| gates.len());
    shape.check(&[(x.len(), wide), (gates_len, 4 * n), (h.len(), n)], &[h0.len()], mask);
    assert_eq!(b.len(), wide, "the bias is not {wide} long");
    if h.is_empty() {
        return;
    }
    let weights = pack_weights(pool, shape, w, [n, wide], [wide, 1], scratch);
    let forward_step = forward_step::<T>();
    let (h, gates) = (SharedMut::new(h), gates.map(SharedMut::new));
    let block = |block: usize, local: &mut Scratch| {
        let rows = shape.rows(block);
        let [mut state, mut sums, mut spare] = task_buffers::<T>(local, rows.len(), [n, wide, 4 * n]);
        state.load(rows.start, h0);
        for i in 0..shape.steps {
            apply(&weights, rows.len(), &state, Some(b), &mut sums, false, &[]);
            for (r, row) in rows.clone().enumerate() {
                let state = state.row(r);
                // SAFETY: no other task accesses these rows, and two steps of a row do not overlap.
                let (h, gates) = unsafe {
                    let gates_range = shape.at(row, i, 4 * n);
                    let gates = gates.as_ref().map_or_else(|| spare.row(r), |gates| gates.range(gates_range));
                    (h.range(shape.at(row, i, n)), gates)
                };
                if shape.skips(mask, row, i) {
                    h.copy_from_slice(state);
                    gates.fill(T::ZERO);
                    continue;
                }
                // SAFETY: the kernel is compiled for this machine and has no other precondition.
                unsafe { forward_step(sums.row(r), &x[shape.at(row, i, wide)], state, gates, h) };
                state.copy_from_slice(h);
            }
        }
    };
    pool.run(shape.blocks(), &|task| with_local(|local| block(task, local)));
}

pub(super) fn backward<T: Float>(
    pool: &ThreadPool,
    shape: &SequenceShape,
    layer: GruGrad<'_, T>,
    scratch: &mut Scratch,
) {
    let GruGrad { w, h0, h, gates, dh_last, dh, mask, dx, ds, dh0 } = layer;
    let (n, wide) = (shape.units, 3 * shape.units);
    let dh_len = dh.map_or(h.len(), |dh| dh.len());
    shape.check(
        &[(gates.len(), 4 * n), (dx.len(), wide), (ds.len(), wide), (h.len(), n), (dh_len, n)],
        &[h0.len(), dh_last.len(), dh0.len()],
        mask,
    );
    if dh0.is_empty() {
        return;
    }
    let weights = pack_weights(pool, shape, w, [wide, n], [1, wide], scratch);
    let backward_step = backward_step::<T>();
    let (dx, ds, dh0) = (SharedMut::new(dx), SharedMut::new(ds), SharedMut::new(dh0));
    let block = |block: usize, local: &mut Scratch| {
        let rows = shape.rows(block);
        let [mut state, mut sums, _] = task_buffers::<T>(local, rows.len(), [n, wide, 0]);
        state.load(rows.start, dh_last);
        for i in (0..shape.steps).rev() {
            for (r, row) in rows.clone().enumerate() {
                let (one, all) = (shape.at(row, i, n), shape.at(row, i, wide));
                let (state, sums) = (state.row(r), sums.row(r));
                // SAFETY: no other task accesses these rows.
                let (dx, ds) = unsafe { (dx.range(all.clone()), ds.range(all)) };
                if let Some(dh) = dh {
                    state.iter_mut().zip(&dh[one]).for_each(|(sum, dh)| *sum = *sum + *dh);
                }
                if shape.skips(mask, row, i) {
                    dx.fill(T::ZERO);
                    sums.fill(T::ZERO);
                } else {
                    let before = if i == 0 { &h0[row * n..][..n] } else { &h[shape.at(row, i - 1, n)] };
                    // SAFETY: the kernel is compiled for this machine and has no other precondition.
                    unsafe { backward_step(&gates[shape.at(row, i, 4 * n)], before, state, dx, sums) };
                }
                ds.copy_from_slice(sums);
            }
            apply(&weights, rows.len(), &sums, None, &mut state, true, &[]);
        }
        // SAFETY: no other task accesses these rows.
        unsafe { state.store(rows, &dh0) };
    };
    pool.run(shape.blocks(), &|task| with_local(|local| block(task, local)));
}
