//! Attention and recurrent layers: comparison of results with the definition, and of `f32` gradients with `f64`.

use crate::{cases, floats, guarded, near, on_threads, words};
use hornbeam_kernels::attention::{Attention, AttentionElement, AttentionGrad, AttentionShape, Bias, Dropout};
use hornbeam_kernels::dtype::{Bool, Element};
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::random::fill_bits;
use hornbeam_kernels::rnn::{Gru, GruGrad, Lstm, LstmGrad, RnnElement, SequenceShape};
use hornbeam_kernels::scratch::Scratch;
use proptest::prelude::*;

/// Random numbers, representable in `f32`.
fn numbers<T: Element>(n: usize, seed: u64) -> Vec<T> {
    floats(n, seed).into_iter().map(|x| T::from_f64(x.into())).collect()
}

fn wide<T: Element>(values: &[T]) -> Vec<f64> {
    values.iter().map(|v| v.to_f64()).collect()
}

/// Computes results, then gradients.
fn run_attention<T: AttentionElement<Acc = T>>(
    pool: &ThreadPool,
    h: &AttentionShape,
    biased: bool,
    seed: u64,
) -> Vec<Vec<T>> {
    let rows = h.batch * h.heads;
    let q = numbers::<T>(rows * h.queries * h.depth, seed);
    let k = numbers::<T>(rows * h.keys * h.depth, seed ^ 1);
    let v = numbers::<T>(rows * h.keys * h.width, seed ^ 2);
    let dout = numbers::<T>(rows * h.queries * h.width, seed ^ 3);
    let data = numbers::<T>(h.queries * h.keys, seed ^ 4);
    let bias = biased.then_some(Bias { data: &data, strides: [0, 0, h.keys] });
    let dropout = seed.is_multiple_of(3).then_some(Dropout { key: [seed as u32, 5], rate: 0.25 });
    let zero = T::from_f64(0.0);
    let (mut row_max, mut row_sum) = (vec![zero; rows * h.queries], vec![zero; rows * h.queries]);
    let out = guarded(dout.len(), zero, |out| {
        let (q, k, v) = (&q[..], &k[..], &v[..]);
        let (row_max, row_sum) = (&mut row_max[..], &mut row_sum[..]);
        T::attention(pool, h, Attention { q, k, v, bias, dropout, out, row_max, row_sum });
    });
    let (mut dk, mut dv) = (vec![zero; k.len()], vec![zero; v.len()]);
    let mut scores = vec![zero; rows * h.queries * h.keys];
    let dq = guarded(q.len(), zero, |dq| {
        let (q, k, v, out, dout) = (&q[..], &k[..], &v[..], &out[..], &dout[..]);
        let (row_max, row_sum, dbias) = (&row_max[..], &row_sum[..], biased.then_some(&mut scores[..]));
        let (dk, dv) = (&mut dk[..], &mut dv[..]);
        let grad = AttentionGrad { q, k, v, bias, dropout, out, row_max, row_sum, dout, dq, dk, dv, dbias };
        T::attention_grad(pool, h, grad);
    });
    vec![out, row_max, row_sum, dq, dk, dv, scores]
}

fn attention_by_definition(h: &AttentionShape, biased: bool, seed: u64) -> Vec<f64> {
    let rows = h.batch * h.heads;
    let [q, k] = [(h.queries, seed), (h.keys, seed ^ 1)].map(|(n, seed)| numbers::<f64>(rows * n * h.depth, seed));
    let (v, bias) = (numbers::<f64>(rows * h.keys * h.width, seed ^ 2), numbers::<f64>(h.queries * h.keys, seed ^ 4));
    let mut out = vec![0.0; rows * h.queries * h.width];
    for (b, head, t) in (0..rows * h.queries).map(|i| (i / h.queries / h.heads, i / h.queries % h.heads, i % h.queries))
    {
        let at = |position: usize, n: usize, i: usize, width: usize| ((b * n + position) * h.heads + head) * width + i;
        let score = |s: usize| {
            if h.causal && s > t {
                return 0.0;
            }
            let dot: f64 = (0..h.depth).map(|i| q[at(t, h.queries, i, h.depth)] * k[at(s, h.keys, i, h.depth)]).sum();
            (dot * h.scale + if biased { bias[t * h.keys + s] } else { 0.0 }).exp()
        };
        let mut weights: Vec<f64> = (0..h.keys).map(score).collect();
        let row_sum: f64 = weights.iter().sum();
        if seed.is_multiple_of(3) {
            let mut bits = vec![0; h.keys];
            fill_bits([seed as u32, 5], (((b * h.heads + head) * h.queries + t) * h.keys) as u64, &mut bits);
            for (weight, bits) in weights.iter_mut().zip(bits) {
                *weight = if bits < 3 << 30 { *weight / 0.75 } else { 0.0 };
            }
        }
        for i in 0..h.width {
            let sum: f64 = weights.iter().enumerate().map(|(s, w)| w * v[at(s, h.keys, i, h.width)]).sum();
            out[at(t, h.queries, i, h.width)] = sum / row_sum;
        }
    }
    out
}

struct Layer {
    shape: SequenceShape,
    masked: bool,
    seed: u64,
}

impl Layer {
    fn mask(&self) -> Option<Vec<Bool>> {
        let all = self.shape.batch * self.shape.steps;
        self.masked.then(|| words(all, self.seed ^ 9).iter().map(|w| Bool::new(w % 3 > 0)).collect())
    }

    /// Operands, scaled so that sums over units are about 1.
    fn operands<T: Element>(&self, gates: usize) -> [Vec<T>; 6] {
        let SequenceShape { batch, steps, units: n, .. } = self.shape;
        let small = 1.0 / (n as f64).sqrt();
        let w = floats(n * gates * n, self.seed ^ 1).iter().map(|&w| T::from_f64(f64::from(w) * small)).collect();
        let state = |salt: u64| numbers::<T>(batch * n, self.seed ^ salt);
        let x = numbers(batch * steps * gates * n, self.seed);
        [x, w, numbers(gates * n, self.seed ^ 2), state(3), state(4), numbers(batch * steps * n, self.seed ^ 5)]
    }

    /// Computes outputs, then gradients.
    fn lstm<T: RnnElement + std::fmt::Debug>(&self, pool: &ThreadPool) -> Vec<Vec<T>> {
        let [x, w, _, h0, c0, dh] = self.operands::<T>(4);
        let (mask, scratch, zero) = (self.mask(), &mut Scratch::new(), T::from_f64(0.0));
        let (mask, w) = (mask.as_deref(), &w[..]);
        let (mut c, mut gates) = (vec![zero; dh.len()], vec![zero; 4 * dh.len()]);
        let h = guarded(dh.len(), zero, |h| {
            let (x, h0, c0) = (&x[..], &h0[..], &c0[..]);
            let layer = Lstm { x, w, h0, c0, mask, h, c: &mut c, gates: Some(&mut gates) };
            T::lstm(pool, &self.shape, layer, scratch);
        });
        let (mut dh0, mut dc0) = (vec![zero; h0.len()], vec![zero; h0.len()]);
        let dx = guarded(x.len(), zero, |dx| {
            let (c0, c, gates, dh) = (&c0[..], &c[..], &gates[..], Some(&dh[..]));
            let (dh_last, dc_last, dh0, dc0) = (&h0[..], c0, &mut dh0[..], &mut dc0[..]);
            let layer = LstmGrad { w, c0, c, gates, dh_last, dc_last, dh, mask, dx, dh0, dc0 };
            T::lstm_grad(pool, &self.shape, layer, scratch);
        });
        vec![h, c, dx, dh0, dc0]
    }

    fn gru<T: RnnElement + std::fmt::Debug>(&self, pool: &ThreadPool) -> Vec<Vec<T>> {
        let [x, w, b, h0, _, dh] = self.operands::<T>(3);
        let (mask, scratch, zero) = (self.mask(), &mut Scratch::new(), T::from_f64(0.0));
        let (mask, w) = (mask.as_deref(), &w[..]);
        let mut gates = vec![zero; 4 * dh.len()];
        let h = guarded(dh.len(), zero, |h| {
            let layer = Gru { x: &x, w, b: &b, h0: &h0, mask, h, gates: Some(&mut gates) };
            T::gru(pool, &self.shape, layer, scratch);
        });
        let (mut ds, mut dh0) = (vec![zero; x.len()], vec![zero; h0.len()]);
        let dx = guarded(x.len(), zero, |dx| {
            let (h0, h, gates, dh) = (&h0[..], &h[..], &gates[..], Some(&dh[..]));
            let (dh_last, ds, dh0) = (h0, &mut ds[..], &mut dh0[..]);
            T::gru_grad(pool, &self.shape, GruGrad { w, h0, h, gates, dh_last, dh, mask, dx, ds, dh0 }, scratch);
        });
        vec![h, dx, ds, dh0]
    }

    /// Computes the outputs by definition, of an LSTM for four gates, of a GRU for three.
    fn by_definition(&self, gates: usize) -> Vec<f64> {
        let SequenceShape { batch, steps, units: n, reverse } = self.shape;
        let [x, w, b, h0, c0, _] = self.operands::<f64>(gates);
        let (mask, wide) = (self.mask(), gates * n);
        let logistic = |v: f64| 1.0 / (1.0 + (-v).exp());
        let mut outputs = vec![0.0; batch * steps * n];
        for row in 0..batch {
            let [mut h, mut c] = [&h0, &c0].map(|state| state[row * n..(row + 1) * n].to_vec());
            for i in 0..steps {
                let at = row * steps + if reverse { steps - 1 - i } else { i };
                if mask.as_ref().is_none_or(|mask| mask[at].get()) {
                    let before = h.clone();
                    for k in 0..n {
                        let x = |q: usize| x[at * wide + q * n + k];
                        let s = |q: usize| (0..n).map(|p| before[p] * w[p * wide + q * n + k]).sum::<f64>();
                        if gates == 4 {
                            let gate = |q: usize| logistic(x(q) + s(q));
                            c[k] = gate(1) * c[k] + gate(0) * (x(2) + s(2)).tanh();
                            h[k] = gate(3) * c[k].tanh();
                        } else {
                            let (z, r) = (logistic(x(0) + s(0) + b[k]), logistic(x(1) + s(1) + b[n + k]));
                            h[k] = z * before[k] + (1.0 - z) * (x(2) + r * (s(2) + b[2 * n + k])).tanh();
                        }
                    }
                }
                outputs[at * n..(at + 1) * n].copy_from_slice(&h);
            }
        }
        outputs
    }
}

fn compare(narrow: &[Vec<f32>], exact: &[Vec<f64>], bound: f64) -> Result<(), TestCaseError> {
    narrow.iter().zip(exact).try_for_each(|(narrow, exact)| near(narrow, exact, bound))
}

fn close(got: &[f64], want: &[f64]) -> bool {
    got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-11)
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn attention_agrees_with_its_definition(
        batch in 1usize..3, heads in 1usize..4, queries in 1usize..70, keys in 1usize..90, depth in 1usize..40,
        width in 1usize..40, biased: bool, causal: bool, seed: u64,
    ) {
        let scale = 1.0 / (depth as f64).sqrt();
        let heads = AttentionShape { batch, heads, key_heads: heads, queries, keys, depth, width, scale, causal };
        let exact = on_threads(|pool| run_attention::<f64>(pool, &heads, biased, seed))?;
        prop_assert!(close(&exact[0], &attention_by_definition(&heads, biased, seed)), "results differ");
        compare(&on_threads(|pool| run_attention::<f32>(pool, &heads, biased, seed))?, &exact, 2e-5)?;
    }

    #[test]
    fn recurrent_layers_agree_with_their_definition(
        batch in 1usize..20, steps in 1usize..8, units in 1usize..50, reverse: bool, masked: bool, seed: u64,
    ) {
        let layer = Layer { shape: SequenceShape { batch, steps, units, reverse }, masked, seed };
        let exact = on_threads(|pool| layer.lstm::<f64>(pool))?;
        prop_assert!(close(&exact[0], &layer.by_definition(4)), "outputs of an LSTM differ");
        compare(&on_threads(|pool| layer.lstm::<f32>(pool))?, &exact, 5e-5)?;
        let exact = on_threads(|pool| layer.gru::<f64>(pool))?;
        prop_assert!(close(&exact[0], &layer.by_definition(3)), "outputs of a GRU differ");
        compare(&on_threads(|pool| layer.gru::<f32>(pool))?, &exact, 5e-5)?;
        prop_assert!(wide(&exact[0]).iter().all(|h| h.abs() <= 1.0), "states exceed 1");
    }
}
