//! Comparison with plain loops in `f64`, and of gradients with finite differences.

use super::*;
use crate::dtype::Element;
use crate::simd::on_each_isa;
use crate::testing::{cases, guarded, Random};
use proptest::prelude::*;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Lstm,
    Gru,
}

/// Operands of a layer in `f64`; `b` only for a GRU, `c0` only for an LSTM.
#[derive(Clone)]
struct Case {
    kind: Kind,
    shape: SequenceShape,
    x: Vec<f64>,
    w: Vec<f64>,
    b: Vec<f64>,
    h0: Vec<f64>,
    c0: Vec<f64>,
    mask: Option<Vec<Bool>>,
}

impl Case {
    fn new(random: &mut Random, kind: Kind, shape: SequenceShape, masked: bool) -> Case {
        let (all, n) = (shape.batch * shape.steps, shape.units);
        let wide = if kind == Kind::Lstm { 4 * n } else { 3 * n };
        let small = |values: Vec<f64>| -> Vec<f64> { values.iter().map(|v| v / (n as f64).sqrt()).collect() };
        Case {
            kind,
            shape,
            x: random.values(all * wide),
            w: small(random.values(n * wide)),
            b: random.values(wide),
            h0: random.values(shape.batch * n),
            c0: random.values(shape.batch * n),
            mask: masked.then(|| (0..all).map(|_| Bool::new(random.below(3) > 0)).collect()),
        }
    }

    /// Computes all outputs and the last `c` by definition.
    fn by_definition(&self) -> (Vec<f64>, Vec<f64>) {
        let SequenceShape { batch, steps, units: n, .. } = self.shape;
        let wide = self.x.len() / (batch * steps);
        let mut outputs = vec![0.0; batch * steps * n];
        let mut cells = self.c0.clone();
        let logistic = |v: f64| 1.0 / (1.0 + (-v).exp());
        for row in 0..batch {
            let mut h = self.h0[row * n..(row + 1) * n].to_vec();
            let c = &mut cells[row * n..(row + 1) * n];
            for i in 0..steps {
                let at = row * steps + self.shape.time(i);
                if self.mask.as_ref().is_none_or(|mask| mask[at].get()) {
                    let bias = |j: usize| if self.kind == Kind::Gru { self.b[j] } else { 0.0 };
                    let sum = |j: usize| bias(j) + (0..n).map(|p| h[p] * self.w[p * wide + j]).sum::<f64>();
                    let s: Vec<f64> = (0..wide).map(sum).collect();
                    let x = &self.x[at * wide..(at + 1) * wide];
                    for k in 0..n {
                        let gate = |q: usize| logistic(s[q * n + k] + x[q * n + k]);
                        if self.kind == Kind::Lstm {
                            c[k] = gate(1) * c[k] + gate(0) * (s[2 * n + k] + x[2 * n + k]).tanh();
                            h[k] = gate(3) * c[k].tanh();
                        } else {
                            let new = (x[2 * n + k] + gate(1) * s[2 * n + k]).tanh();
                            h[k] = gate(0) * h[k] + (1.0 - gate(0)) * new;
                        }
                    }
                }
                outputs[at * n..(at + 1) * n].copy_from_slice(&h);
            }
        }
        (outputs, cells)
    }

    /// Loss that depends on all results: weighted outputs and last states.
    fn loss(&self, weights: &Gradients) -> f64 {
        let (h, c) = self.by_definition();
        let n = self.shape.units;
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let last = |row: usize| &h[self.shape.at(row, self.shape.steps - 1, n)];
        let ends: f64 = (0..self.shape.batch).map(|r| dot(last(r), &weights.dh_last[r * n..(r + 1) * n])).sum();
        let cells = if self.kind == Kind::Lstm { dot(&c, &weights.dc_last) } else { 0.0 };
        dot(&h, &weights.dh) + ends + cells
    }
}

/// Gradients of the outputs and of the last states.
struct Gradients {
    dh: Vec<f64>,
    dh_last: Vec<f64>,
    dc_last: Vec<f64>,
}

fn cast<T: Element>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::from_f64(v)).collect()
}

/// Computes with the kernels: h, c, then the gradients of x, of the sums (GRU only), of h0 and c0.
fn run<T: RnnElement>(case: &Case, from: &Gradients, threads: usize) -> Vec<Vec<T>> {
    let pool = ThreadPool::new(threads);
    let (shape, mut scratch) = (case.shape, Scratch::new());
    let (states, rows) = (shape.batch * shape.steps * shape.units, shape.batch * shape.units);
    let nan = |n: usize| vec![T::from_f64(f64::NAN); n];
    let [x, w, b, h0, c0]: [Vec<T>; 5] = [&case.x, &case.w, &case.b, &case.h0, &case.c0].map(|v| cast(v));
    let [all, dh_last, dc_last]: [Vec<T>; 3] = [&from.dh, &from.dh_last, &from.dc_last].map(|v| cast(v));
    let mask = case.mask.as_deref();
    let (mut c, mut gates) = (nan(states), nan(4 * states));
    let (mut ds, mut dh0, mut dc0) = (nan(x.len()), nan(rows), nan(rows));
    let guarded = |n: usize, write: &mut dyn FnMut(&mut [T])| guarded(n, T::from_f64(f64::NAN), write);
    let (w, h0, c0, dh) = (&w[..], &h0[..], &c0[..], Some(&all[..]));
    if case.kind == Kind::Lstm {
        let h = guarded(states, &mut |h| {
            let layer = Lstm { x: &x, w, h0, c0, mask, h, c: &mut c, gates: Some(&mut gates) };
            T::lstm(&pool, &shape, layer, &mut scratch);
        });
        let (mut again, mut cells) = (nan(states), nan(states));
        let layer = Lstm { x: &x, w, h0, c0, mask, h: &mut again, c: &mut cells, gates: None };
        T::lstm(&pool, &shape, layer, &mut scratch);
        assert!(again == h && cells == c, "saving gates changes results");
        let (dh_last, dc_last) = (&dh_last[..], &dc_last[..]);
        let dx = guarded(x.len(), &mut |dx| {
            let (dh0, dc0) = (&mut dh0[..], &mut dc0[..]);
            let layer = LstmGrad { w, c0, c: &c, gates: &gates, dh_last, dc_last, dh, mask, dx, dh0, dc0 };
            T::lstm_grad(&pool, &shape, layer, &mut scratch);
        });
        return vec![h, c, dx, dh0, dc0];
    }
    let h = guarded(states, &mut |h| {
        let layer = Gru { x: &x, w, b: &b, h0, mask, h, gates: Some(&mut gates) };
        T::gru(&pool, &shape, layer, &mut scratch);
    });
    let mut again = nan(states);
    T::gru(&pool, &shape, Gru { x: &x, w, b: &b, h0, mask, h: &mut again, gates: None }, &mut scratch);
    assert!(again == h, "saving gates changes results");
    let (gates, dh_last) = (&gates[..], &dh_last[..]);
    let dx = guarded(x.len(), &mut |dx| {
        let (ds, dh0) = (&mut ds[..], &mut dh0[..]);
        T::gru_grad(&pool, &shape, GruGrad { w, h0, h: &h, gates, dh_last, dh, mask, dx, ds, dh0 }, &mut scratch);
    });
    vec![h, dx, ds, dh0]
}

fn case(random: &mut Random, kind: Kind, extents: [usize; 3], reverse: bool, masked: bool) -> (Case, Gradients) {
    let [batch, steps, units] = extents;
    let case = Case::new(random, kind, SequenceShape { batch, steps, units, reverse }, masked);
    let all = batch * steps * units;
    let from = Gradients {
        dh: random.values(all),
        dh_last: random.values(batch * units),
        dc_last: random.values(batch * units),
    };
    (case, from)
}

fn furthest<T: Element>(got: &[T], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(got, want)| (got.to_f64() - want).abs()).fold(0.0, f64::max)
}

fn same_bits<T: Element>(a: &[Vec<T>], b: &[Vec<T>]) -> bool {
    a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| a.to_f64().to_bits() == b.to_f64().to_bits())
}

/// Compares outputs with the definition, `f32` with `f64`, and results of several threads with each other.
fn check(case: &Case, from: &Gradients, tolerance: f64) {
    let (wide, narrow) = (run::<f64>(case, from, 1), run::<f32>(case, from, 1));
    let name = format!("{:?} {:?} masked={}", case.kind, case.shape, case.mask.is_some());
    assert!(furthest(&wide[0], &case.by_definition().0) < 1e-13, "{name}");
    assert!(wide[0].iter().all(|h| h.abs() <= 1.0), "{name}: states exceed 1");
    for (i, (narrow, wide)) in narrow.iter().zip(&wide).enumerate() {
        let error = furthest(narrow, wide);
        assert!(error < tolerance, "{name}: result {i} is off by {error}");
    }
    for threads in [2, 3, 8] {
        assert!(same_bits(&run::<f32>(case, from, threads), &narrow), "{name}, {threads} threads");
        assert!(same_bits(&run::<f64>(case, from, threads), &wide), "{name}, {threads} threads");
    }
}

#[test]
fn outputs_and_gradients_agree_on_every_instruction_set_and_number_of_threads() {
    on_each_isa(|_| {
        let mut random = Random::new(31);
        for kind in [Kind::Lstm, Kind::Gru] {
            for extents in [[1, 1, 1], [3, 5, 7], [17, 4, 16], [33, 3, 20], [2, 6, 33], [8, 2, 130]] {
                for (reverse, masked) in [(false, false), (true, false), (false, true), (true, true)] {
                    let (case, from) = case(&mut random, kind, extents, reverse, masked);
                    // Sums of a hundred terms about 1, through a few steps.
                    check(&case, &from, 2e-5);
                }
            }
        }
    });
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn recurrent_layers_agree_with_their_definition(
        batch in 1usize..20, steps in 1usize..8, units in 1usize..50, reverse: bool, masked: bool, seed: u64,
    ) {
        for kind in [Kind::Lstm, Kind::Gru] {
            let (case, from) = case(&mut Random::new(seed), kind, [batch, steps, units], reverse, masked);
            check(&case, &from, 5e-5);
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let mut random = Random::new(32);
    for kind in [Kind::Lstm, Kind::Gru] {
        for (reverse, masked) in [(false, false), (true, true)] {
            let (case, from) = case(&mut random, kind, [3, 4, 5], reverse, masked);
            let results = run::<f64>(&case, &from, 2);
            let (dx, dh0) = (&results[if kind == Kind::Lstm { 2 } else { 1 }], &results[3]);
            let check = |name: &str, gradient: &[f64], operand: fn(&mut Case) -> &mut Vec<f64>| {
                for (at, gradient) in gradient.iter().enumerate() {
                    let shifted = |by: f64| {
                        let mut case = case.clone();
                        operand(&mut case)[at] += by;
                        case.loss(&from)
                    };
                    let step = 1e-5;
                    let want = (shifted(step) - shifted(-step)) / (2.0 * step);
                    assert!((gradient - want).abs() < 1e-8, "{kind:?} {name}[{at}]: {gradient} for {want}");
                }
            };
            check("x", dx, |case| &mut case.x);
            check("h0", dh0, |case| &mut case.h0);
            if kind == Kind::Lstm {
                check("c0", &results[4], |case| &mut case.c0);
            } else {
                // The bias contributes to every sum.
                let wide = case.b.len();
                let db: Vec<f64> = (0..wide).map(|j| results[2].iter().skip(j).step_by(wide).sum()).collect();
                check("b", &db, |case| &mut case.b);
            }
        }
    }
}
