use super::*;
use crate::dtype::{bf16, f16};
use crate::simd::on_each_isa;
use crate::testing::{assert_close, cases, guarded, tolerance, Random};
use proptest::prelude::*;

struct Want {
    softmax: Vec<f64>,
    log_softmax: Vec<f64>,
}

fn reference(x: &[f64], n: usize) -> Want {
    let mut want = Want { softmax: vec![], log_softmax: vec![] };
    for row in x.chunks(n) {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let row_sum: f64 = row.iter().map(|v| (v - max).exp()).sum();
        want.softmax.extend(row.iter().map(|v| (v - max).exp() / row_sum));
        want.log_softmax.extend(row.iter().map(|v| v - max - row_sum.ln()));
    }
    want
}

fn close<T: Element>(name: &str, got: &[T], want: &[f64], scale: f64) {
    assert_close(name, got, want, scale, tolerance::<T>(1e-6));
}

fn check<T: FloatElement>(random: &mut Random, rows: usize, n: usize) {
    let spread = [1.0, 10.0, 300.0][random.below(3)];
    let x: Vec<T> = random.values::<f64>(rows * n).iter().map(|v| T::from_f64(v * spread)).collect();
    let targets: Vec<T> = random.values::<f64>(rows * n).iter().map(|v| T::from_f64(v.max(0.0))).collect();
    let ct = random.values::<T>(rows);
    let dense_ct = random.values::<T>(rows * n);
    let labels: Vec<i64> = (0..rows).map(|_| random.below(n + 2) as i64 - 1).collect();
    let xs: Vec<f64> = x.iter().map(|v| v.to_f64()).collect();
    let want = reference(&xs, n);
    let (t, c): (Vec<f64>, Vec<f64>) =
        (targets.iter().map(|v| v.to_f64()).collect(), ct.iter().map(|v| v.to_f64()).collect());
    let class: Vec<Option<usize>> = labels.iter().map(|l| usize::try_from(*l).ok().filter(|l| *l < n)).collect();
    let mut before: Option<Vec<u64>> = None;
    for threads in [1, 2, 3] {
        let pool = ThreadPool::new(threads);
        let full = |write: &dyn Fn(&mut [T])| guarded(rows * n, T::ZERO, write);
        let y = full(&|y| softmax(&pool, rows, n, &x, y));
        let log_y = full(&|y| log_softmax(&pool, rows, n, &x, y));
        let dense = full(&|dx| softmax_cross_entropy_grad(&pool, rows, n, &x, &targets, &ct, dx));
        let sparse = full(&|dx| sparse_softmax_cross_entropy_grad(&pool, rows, n, &x, &labels, &ct, dx));
        let dx = full(&|dx| softmax_grad(&pool, rows, n, &y, &dense_ct, dx));
        let log_dx = full(&|dx| log_softmax_grad(&pool, rows, n, &log_y, &dense_ct, dx));
        let wide = [y, log_y, dense, sparse, dx, log_dx];
        let narrow = [
            guarded(rows, T::ZERO, |loss| softmax_cross_entropy(&pool, rows, n, &x, &targets, loss)),
            guarded(rows, T::ZERO, |loss| sparse_softmax_cross_entropy(&pool, rows, n, &x, &labels, loss)),
        ];
        close("softmax", &wide[0], &want.softmax, 0.1);
        close("log_softmax", &wide[1], &want.log_softmax, spread);
        for r in 0..rows {
            let at = r * n..(r + 1) * n;
            let (p, logp) = (&want.softmax[at.clone()], &want.log_softmax[at.clone()]);
            let t = &t[at.clone()];
            let weight: f64 = t.iter().sum();
            let loss: f64 = t.iter().zip(logp).map(|(t, l)| -t * l).sum();
            close("dense loss", &narrow[0][r..=r], &[loss], spread * (1.0 + weight));
            let grad: Vec<f64> = p.iter().zip(t).map(|(p, t)| (p * weight - t) * c[r]).collect();
            close("dense grad", &wide[2][at.clone()], &grad, 1.0 + weight);
            close("sparse loss", &narrow[1][r..=r], &[class[r].map_or(0.0, |class| -logp[class])], spread);
            let onehot = |j: usize| f64::from(u8::from(Some(j) == class[r]));
            let weight = f64::from(u8::from(class[r].is_some()));
            let grad: Vec<f64> = p.iter().enumerate().map(|(j, p)| (p - onehot(j)) * weight * c[r]).collect();
            close("sparse grad", &wide[3][at.clone()], &grad, 1.0);
            let d: Vec<f64> = dense_ct[at.clone()].iter().map(|v| v.to_f64()).collect();
            let dot: f64 = p.iter().zip(&d).map(|(p, d)| p * d).sum();
            let grad: Vec<f64> = p.iter().zip(&d).map(|(p, d)| p * (d - dot)).collect();
            close("softmax_grad", &wide[4][at.clone()], &grad, 1.0);
            let row_sum: f64 = d.iter().sum();
            let grad: Vec<f64> = p.iter().zip(&d).map(|(p, d)| d - p * row_sum).collect();
            close("log_softmax_grad", &wide[5][at], &grad, (n as f64 + 1.0) * spread);
        }
        let bits = wide.iter().chain(&narrow).flatten().map(|v| v.to_f64().to_bits()).collect();
        assert!(before.as_ref().is_none_or(|before| *before == bits), "{threads} threads differ: {rows} x {n}");
        before = Some(bits);
    }
}

#[test]
fn floats_agree_with_the_definition_on_every_instruction_set() {
    on_each_isa(|_| {
        let mut random = Random::new(9);
        for (rows, n) in [(128, 10), (1, 1), (3, 16), (5, 1000), (2, 5001), (700, 7), (9, 33)] {
            check::<f32>(&mut random, rows, n);
            check::<f64>(&mut random, rows, n);
            check::<f16>(&mut random, rows, n);
            check::<bf16>(&mut random, rows, n);
        }
    });
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn softmax_and_its_losses(rows in 0usize..40, n in 1usize..90, seed: u64) {
        check::<f32>(&mut Random::new(seed), rows, n);
    }
}

#[test]
fn infinities_and_nan() {
    let pool = ThreadPool::new(1);
    let mut y = [0f32; 3];
    softmax(&pool, 1, 3, &[1e38, -1e38, f32::NEG_INFINITY], &mut y);
    assert_eq!(y, [1.0, 0.0, 0.0]);
    softmax(&pool, 1, 3, &[0.0, f32::NAN, 1.0], &mut y);
    assert!(y.iter().all(|v| v.is_nan()));
    softmax(&pool, 1, 3, &[0.0, f32::INFINITY, 1.0], &mut y);
    assert!(y[0] == 0.0 && y[1].is_nan() && y[2] == 0.0);
    let mut loss = [0f32];
    softmax_cross_entropy(&pool, 1, 3, &[88.0, 88.0, -1e38], &[0.5, 0.5, 0.0], &mut loss);
    assert!((loss[0] - 2f32.ln()).abs() < 1e-6);
    sparse_softmax_cross_entropy(&pool, 1, 3, &[100.0, 0.0, 0.0], &[1u8], &mut loss);
    assert!((loss[0] - 100.0).abs() < 1e-4);
}
