//! Comparison with the definition in `f64`, which stores the full score matrix.

use super::*;
use crate::dtype::Element;
use crate::random::fill_bits;
use crate::simd::on_each_isa;
use crate::testing::{cases, guarded, Random};
use proptest::prelude::*;

/// Operands in `f64`: q, k, v, the bias, and the gradient of the output.
struct Case {
    shape: AttentionShape,
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
    bias: Option<(Vec<f64>, [usize; 3])>,
    dropout: Option<Dropout>,
    dout: Vec<f64>,
}

impl Case {
    fn new(random: &mut Random, extents: [usize; 6], strides: Option<[usize; 3]>) -> Case {
        let [batch, heads, queries, keys, depth, width] = extents;
        let key_heads = if heads % 4 == 0 { heads / 4 } else { heads };
        let (rows, key_rows) = (batch * heads, batch * key_heads);
        let span = |[b, h, t]: [usize; 3]| (batch - 1) * b + (heads - 1) * h + (queries - 1) * t + keys;
        Case {
            shape: AttentionShape {
                batch,
                heads,
                key_heads,
                queries,
                keys,
                depth,
                width,
                scale: 1.0 / (depth as f64).sqrt(),
                causal: false,
            },
            q: random.values(rows * queries * depth),
            k: random.values(key_rows * keys * depth),
            v: random.values(key_rows * keys * width),
            bias: strides.map(|strides| (random.values(span(strides)), strides)),
            dropout: None,
            dout: random.values(rows * queries * width),
        }
    }

    /// Computes out, row_max, row_sum, dq, dk, dv, dbias by definition.
    fn by_definition(&self) -> [Vec<f64>; 7] {
        let AttentionShape { batch, heads, key_heads, queries, keys, depth, width, scale, causal } = self.shape;
        let rows = batch * heads;
        let mut words = vec![0; rows * queries * keys];
        let (bound, factor) = self.dropout.map_or((u32::MAX, 1.0), |dropout| {
            fill_bits(dropout.key, 0, &mut words);
            (((1.0 - dropout.rate) * 2f64.powi(32)) as u32, 1.0 / (1.0 - dropout.rate))
        });
        let mut out = vec![0.0; rows * queries * width];
        let (mut row_max, mut row_sum) = (vec![0.0; rows * queries], vec![0.0; rows * queries]);
        let [mut dq, mut dk, mut dv] = [&self.q, &self.k, &self.v].map(|x| vec![0.0; x.len()]);
        let mut dbias = vec![0.0; rows * queries * keys];
        for pair in 0..rows {
            let (b, h) = (pair / heads, pair % heads);
            let q_at = |t: usize, i: usize| ((b * queries + t) * heads + h) * depth + i;
            let shared = h / (heads / key_heads);
            let k_at = |s: usize, i: usize| ((b * keys + s) * key_heads + shared) * depth + i;
            let v_at = |s: usize, i: usize| ((b * keys + s) * key_heads + shared) * width + i;
            let o_at = |t: usize, i: usize| ((b * queries + t) * heads + h) * width + i;
            for t in 0..queries {
                let bias_of = |s: usize| match &self.bias {
                    Some((bias, [sb, sh, st])) => bias[b * sb + h * sh + t * st + s],
                    None => 0.0,
                };
                let score = |s: usize| (0..depth).map(|i| self.q[q_at(t, i)] * self.k[k_at(s, i)]).sum::<f64>();
                let scores: Vec<f64> = (0..keys)
                    .map(|s| if causal && s > t { f64::NEG_INFINITY } else { score(s) * scale + bias_of(s) })
                    .collect();
                let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
                row_max[pair * queries + t] = max;
                row_sum[pair * queries + t] = sum;
                let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp() / sum).collect();
                let kept = |s: usize| f64::from(words[(pair * queries + t) * keys + s] < bound) * factor;
                let inner =
                    |s: usize| kept(s) * (0..width).map(|i| self.dout[o_at(t, i)] * self.v[v_at(s, i)]).sum::<f64>();
                let inner: Vec<f64> = (0..keys).map(inner).collect();
                let mean: f64 = weights.iter().zip(&inner).map(|(w, d)| w * d).sum();
                for s in 0..keys {
                    let dscore = weights[s] * (inner[s] - mean);
                    dbias[(pair * queries + t) * keys + s] = dscore;
                    for i in 0..width {
                        out[o_at(t, i)] += kept(s) * weights[s] * self.v[v_at(s, i)];
                        dv[v_at(s, i)] += kept(s) * weights[s] * self.dout[o_at(t, i)];
                    }
                    for i in 0..depth {
                        dq[q_at(t, i)] += scale * dscore * self.k[k_at(s, i)];
                        dk[k_at(s, i)] += scale * dscore * self.q[q_at(t, i)];
                    }
                }
            }
        }
        [out, row_max, row_sum, dq, dk, dv, dbias]
    }

    /// Computes the same results with the kernels.
    fn run<K: AttentionElement>(&self, threads: usize) -> [Vec<f64>; 7] {
        self.run_between::<K>(threads, |out| out)
    }

    /// Computes the results, and the gradients with `between` applied to the outputs.
    fn run_between<K: AttentionElement>(&self, threads: usize, between: fn(f64) -> f64) -> [Vec<f64>; 7] {
        fn cast<K: Element>(x: &[f64]) -> Vec<K> {
            x.iter().map(|&v| K::from_f64(v)).collect()
        }
        fn nan<K: Element>(n: usize) -> Vec<K> {
            vec![K::from_f64(f64::NAN); n]
        }
        fn wide<K: Element>(x: &[K]) -> Vec<f64> {
            x.iter().map(|x| x.to_f64()).collect()
        }
        let pool = ThreadPool::new(threads);
        let [q, k, v, dout] = [&self.q, &self.k, &self.v, &self.dout].map(|x| cast::<K>(x));
        let data = self.bias.as_ref().map(|(bias, _)| cast(bias));
        let bias = self.bias.as_ref().zip(data.as_ref()).map(|((_, strides), data)| Bias { data, strides: *strides });
        let rows = self.shape.batch * self.shape.heads * self.shape.queries;
        let mut dbias = nan::<K::Acc>(rows * self.shape.keys);
        let (mut row_max, mut row_sum) = (nan::<K::Acc>(rows), nan::<K::Acc>(rows));
        let dropout = self.dropout;
        let out = guarded(dout.len(), K::from_f64(f64::NAN), |out| {
            let (q, k, v, row_max, row_sum) = (&q[..], &k[..], &v[..], &mut row_max[..], &mut row_sum[..]);
            K::attention(&pool, &self.shape, Attention { q, k, v, bias, dropout, out, row_max, row_sum });
        });
        let [mut dq, mut dk, mut dv] = [vec![], nan::<K>(k.len()), nan(v.len())];
        let between: Vec<K> = out.iter().map(|out| K::from_f64(between(out.to_f64()))).collect();
        for with_dbias in [false, true] {
            let (out, row_max, row_sum, dout) = (&between[..], &row_max[..], &row_sum[..], &dout[..]);
            let (q, k, v, dk, dv) = (&q[..], &k[..], &v[..], &mut dk[..], &mut dv[..]);
            let dbias = with_dbias.then_some(&mut dbias[..]);
            dq = guarded(q.len(), K::from_f64(f64::NAN), |dq| {
                let backward = AttentionGrad { q, k, v, bias, dropout, out, row_max, row_sum, dout, dq, dk, dv, dbias };
                K::attention_grad(&pool, &self.shape, backward);
            });
        }
        let [row_max, row_sum, dbias] = [row_max, row_sum, dbias].map(|x| wide(&x));
        let [out, dq, dk, dv] = [out, dq, dk, dv].map(|x| wide(&x));
        [out, row_max, row_sum, dq, dk, dv, dbias]
    }
}

/// Compares results and gradients with the definition, and those of several threads with each other.
fn check(case: &Case) {
    let want = case.by_definition();
    let (wide, narrow) = (case.run::<f64>(1), case.run::<f32>(1));
    let name = format!("{:?}, dropout: {}", case.shape, case.dropout.is_some());
    for (i, want) in want.iter().enumerate() {
        for (j, want) in want.iter().enumerate() {
            let size = 1.0 + want.abs();
            let error = (wide[i][j] - want).abs() / size;
            assert!(error < 1e-13, "{name}: result {i}[{j}] is off by {error} in f64");
            // Sums of up to 1100 products of weights and numbers below 1.
            let error = (narrow[i][j] - want).abs() / size;
            assert!(error < 1e-5, "{name}: result {i}[{j}] is off by {error} in f32");
        }
    }
    for threads in [2, 3, 8] {
        let bits = |x: &[Vec<f64>; 7]| -> Vec<u64> { x.iter().flatten().map(|v| v.to_bits()).collect() };
        assert!(bits(&case.run::<f32>(threads)) == bits(&narrow), "{name}: {threads} threads differ");
    }
}

#[test]
fn results_and_gradients_agree_on_every_instruction_set_and_number_of_threads() {
    on_each_isa(|_| {
        let mut random = Random::new(41);
        // The fourth and fifth have more keys, and more queries, than one block or task; heads share keys in the last two.
        let cases = [
            ([1, 1, 1, 1, 1, 1], None),
            ([2, 3, 7, 5, 4, 6], Some([0, 0, 0])),
            ([2, 2, 57, 33, 16, 20], Some([2 * 57 * 33, 57 * 33, 33])),
            ([1, 2, 17, 1100, 8, 33], Some([0, 0, 1100])),
            ([2, 1, 300, 70, 32, 32], Some([70, 0, 0])),
            ([2, 8, 60, 45, 8, 12], Some([0, 0, 0])),
            ([1, 4, 2, 700, 16, 20], Some([0, 0, 700])),
            ([2, 8, 1, 130, 64, 144], None),
        ];
        let variants = [(false, None), (true, None), (false, Some(0.3)), (true, Some(0.6))];
        for ((extents, strides), (causal, rate)) in cases.into_iter().flat_map(|c| variants.map(|v| (c, v))) {
            let mut case = Case::new(&mut random, extents, strides);
            case.shape.causal = causal;
            case.dropout = rate.map(|rate| Dropout { key: [41, 7], rate });
            check(&case);
        }
    });
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn attention_agrees_with_its_definition(
        batch in 1usize..3, heads in 1usize..5, queries in 1usize..70, keys in 1usize..90, depth in 1usize..40,
        width in 1usize..40, biased: bool, causal: bool, dropped in 0u32..3, seed: u64,
    ) {
        let extents = [batch, heads, queries, keys, depth, width];
        let mut case = Case::new(&mut Random::new(seed), extents, biased.then_some([0, 0, keys]));
        case.shape.causal = causal;
        case.dropout = (dropped == 0).then_some(Dropout { key: [seed as u32, 5], rate: 0.25 });
        check(&case);
    }
}

#[test]
fn masked_scores() {
    let mut random = Random::new(42);
    let mut case = Case::new(&mut random, [1, 1, 2, 3, 4, 4], Some([0, 0, 3]));
    if let Some((bias, _)) = &mut case.bias {
        bias.copy_from_slice(&[-2e38, 0.0, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY]);
    }
    let [out, row_max, row_sum, dq, ..] = case.run::<f32>(1);
    let seen: Vec<f64> = case.v[4..8].iter().map(|&v| f64::from(v as f32)).collect();
    assert_eq!(out[..4], seen[..], "one key is unmasked");
    assert!(row_max[0].is_finite() && row_sum[0] == 1.0 && dq[..4].iter().all(|d| d.abs() < 1e-6));
    assert!(out[4..].iter().all(|v| v.is_nan()), "every key is masked");
}

/// A query whose keys are all masked by a large bias attends to them uniformly, forward and backward.
#[test]
fn a_large_bias_on_all_keys_gives_uniform_weights() {
    let mut random = Random::new(43);
    let mut case = Case::new(&mut random, [1, 1, 2, 5, 4, 4], Some([0, 0, 0]));
    if let Some((bias, _)) = &mut case.bias {
        bias.fill(-2e38);
    }
    let [.., dv, _] = case.run::<f32>(1);
    for (i, dv) in dv.iter().enumerate() {
        let want = (case.dout[i % 4] + case.dout[4 + i % 4]) / 5.0;
        assert!((*dv - want).abs() < 1e-6, "{dv} for {want}");
    }
}

/// Operands of 16 bits give the rounded results of widened ones.
#[test]
fn narrow_operands_are_widened_and_results_rounded() {
    fn check<K: AttentionElement<Acc = f32>>(case: &Case) {
        let round = |x: f64| K::from_acc(x as f32).to_f64();
        let rounded = |x: &[f64]| x.iter().map(|&x| round(x)).collect();
        let case = Case {
            q: rounded(&case.q),
            k: rounded(&case.k),
            v: rounded(&case.v),
            dout: rounded(&case.dout),
            bias: case.bias.clone(),
            ..*case
        };
        let [out, row_max, row_sum, dq, dk, dv, dbias] = case.run_between::<f32>(1, round);
        let [out, dq, dk, dv] = [out, dq, dk, dv].map(|x| rounded(&x));
        let want = [out, row_max, row_sum, dq, dk, dv, dbias];
        for threads in [1, 3] {
            for (i, (got, want)) in case.run::<K>(threads).iter().zip(&want).enumerate() {
                assert!(got == want, "result {i} of {:?}, {threads} threads", case.shape);
            }
        }
    }
    on_each_isa(|_| {
        let mut random = Random::new(44);
        for extents in [
            [1, 1, 1, 1, 1, 1],
            [2, 8, 1, 130, 64, 144],
            [1, 3, 2, 70, 37, 19],
            [3, 2, 60, 40, 16, 65],
            [1, 4, 70, 1100, 33, 8],
        ] {
            for causal in [false, true] {
                let mut case = Case::new(&mut random, extents, Some([0, 0, 0]));
                case.shape.causal = causal;
                check::<bf16>(&case);
                check::<f16>(&case);
            }
        }
    });
}
