use super::*;
use crate::dtype::{bf16, f16};
use crate::simd::on_each_isa;
use crate::testing::{assert_close, cases, guarded, tolerance, Random};
use proptest::prelude::*;

fn close<T: Element>(name: &str, got: &[T], want: &[f64], scale: f64) {
    assert_close(name, got, want, scale, tolerance::<T>(2e-6));
}

fn check<T: FloatElement>(random: &mut Random, rows: usize, n: usize) {
    let (x, ct) = (random.values::<T>(rows * n), random.values::<T>(rows * n));
    let (gamma, beta) = (random.values::<T::Acc>(n), random.values::<T::Acc>(n));
    let epsilon = 1e-3;
    let [mut y, mut dx] = [vec![], vec![]];
    let [mut dgamma, mut dbeta] = [vec![0.0; n], vec![0.0; n]];
    for r in 0..rows {
        let x: Vec<f64> = x[r * n..(r + 1) * n].iter().map(|v| v.to_f64()).collect();
        let mean = x.iter().sum::<f64>() / n as f64;
        let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64;
        let s = 1.0 / (variance + epsilon).sqrt();
        let h: Vec<f64> = x.iter().map(|v| (v - mean) * s).collect();
        let c: Vec<f64> = ct[r * n..(r + 1) * n].iter().map(|v| v.to_f64()).collect();
        let g: Vec<f64> = (0..n).map(|i| c[i] * gamma[i].to_f64()).collect();
        let (mg, mgh) =
            (g.iter().sum::<f64>() / n as f64, g.iter().zip(&h).map(|(g, h)| g * h).sum::<f64>() / n as f64);
        for i in 0..n {
            y.push(h[i] * gamma[i].to_f64() + beta[i].to_f64());
            dx.push(s * (g[i] - mg - h[i] * mgh));
            dgamma[i] += c[i] * h[i];
            dbeta[i] += c[i];
        }
    }
    check_rms::<T>(random, rows, n);
    let mut before: Option<Vec<u64>> = None;
    for threads in [1, 2, 3] {
        let pool = ThreadPool::new(threads);
        let [mut gg, mut gb] = [vec![T::Acc::ONE; n], vec![T::Acc::ONE; n]];
        let gy = guarded(rows * n, T::ZERO, |y| layer_norm(&pool, rows, n, &x, &gamma, &beta, epsilon, y));
        let gx = guarded(rows * n, T::ZERO, |dx| {
            layer_norm_grad(&pool, rows, n, &x, &gamma, epsilon, &ct, dx, &mut gg, &mut gb, &mut Scratch::new());
        });
        close("layer_norm", &gy, &y, 1.0);
        close("dx", &gx, &dx, 32.0);
        close("dgamma", &gg, &dgamma, (rows as f64).sqrt() * 4.0);
        close("dbeta", &gb, &dbeta, (rows as f64).sqrt() * 4.0);
        let params = gg.iter().chain(&gb).map(|v| v.to_f64());
        let bits = gy.iter().chain(&gx).map(|v| v.to_f64()).chain(params).map(f64::to_bits).collect();
        assert!(before.as_ref().is_none_or(|before| *before == bits), "{threads} threads differ: {rows} x {n}");
        before = Some(bits);
    }
}

fn check_rms<T: FloatElement>(random: &mut Random, rows: usize, n: usize) {
    let (x, ct, gamma) = (random.values::<T>(rows * n), random.values::<T>(rows * n), random.values::<T::Acc>(n));
    let epsilon = 1e-3;
    let [mut y, mut dx] = [vec![], vec![]];
    let mut dgamma = vec![0.0; n];
    for r in 0..rows {
        let row = |from: &[T]| -> Vec<f64> { from[r * n..(r + 1) * n].iter().map(|v| v.to_f64()).collect() };
        let (x, c) = (row(&x), row(&ct));
        let s = 1.0 / (x.iter().map(|v| v * v).sum::<f64>() / n as f64 + epsilon).sqrt();
        let g: Vec<f64> = (0..n).map(|i| c[i] * gamma[i].to_f64()).collect();
        let mgh = (0..n).map(|i| g[i] * x[i] * s).sum::<f64>() / n as f64;
        for i in 0..n {
            y.push(x[i] * s * gamma[i].to_f64());
            dx.push(s * (g[i] - x[i] * s * mgh));
            dgamma[i] += c[i] * x[i] * s;
        }
    }
    let mut before: Option<Vec<u64>> = None;
    for threads in [1, 2, 3] {
        let pool = ThreadPool::new(threads);
        let [mut gy, mut gx] = [vec![T::ZERO; rows * n], vec![T::ZERO; rows * n]];
        let mut gg = vec![T::Acc::ONE; n];
        rms_norm(&pool, rows, n, &x, &gamma, epsilon, &mut gy);
        rms_norm_grad(&pool, rows, n, &x, &gamma, epsilon, &ct, &mut gx, &mut gg, &mut Scratch::new());
        close("rms_norm", &gy, &y, 1.0);
        close("dx of rms_norm", &gx, &dx, 32.0);
        close("dgamma of rms_norm", &gg, &dgamma, (rows as f64).sqrt() * 4.0);
        let bits =
            gy.iter().chain(&gx).map(|v| v.to_f64()).chain(gg.iter().map(|v| v.to_f64())).map(f64::to_bits).collect();
        assert!(before.as_ref().is_none_or(|before| *before == bits), "{threads} threads differ: {rows} x {n}");
        before = Some(bits);
    }
}

#[test]
fn floats_agree_with_the_definition_on_every_instruction_set() {
    on_each_isa(|_| {
        let mut random = Random::new(10);
        // Odd numbers of rows, since two are computed together; columns beside the blocks that are.
        for (rows, n) in [(128, 64), (1, 1), (7, 3), (300, 33), (91, 96), (20, 700), (3, 1024), (2, 5000)] {
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
    fn layers_are_normalized(rows in 0usize..60, n in 1usize..200, seed: u64) {
        check::<f32>(&mut Random::new(seed), rows, n);
    }
}

#[test]
fn a_large_mean_does_not_cancel_the_variance() {
    let x: Vec<f32> = (0..64).map(|i| 1e4 + (i % 2) as f32).collect();
    let mut y = vec![0f32; 64];
    layer_norm(&ThreadPool::new(1), 1, 64, &x, &[1.0; 64], &[0.0; 64], 0.0, &mut y);
    for (i, y) in y.iter().enumerate() {
        assert!((y - if i % 2 == 0 { -1.0 } else { 1.0 }).abs() < 1e-3, "{y}");
    }
}

fn check_groups<T: FloatElement>(random: &mut Random, shape: GroupShape) {
    let GroupShape { batch, positions, channels, groups } = shape;
    let (size, epsilon) = (channels / groups, 1e-3);
    let (x, ct) = (random.values::<T>(batch * positions * channels), random.values::<T>(batch * positions * channels));
    let (gamma, beta) = (random.values::<T::Acc>(channels), random.values::<T::Acc>(channels));
    let [mut y, mut dx] = [vec![0.0; x.len()], vec![0.0; x.len()]];
    let [mut dgamma, mut dbeta] = [vec![0.0; channels], vec![0.0; channels]];
    for (sample, group) in (0..batch).flat_map(|sample| (0..groups).map(move |group| (sample, group))) {
        let elements = (0..positions).flat_map(|p| (group * size..(group + 1) * size).map(move |c| (p, c)));
        let elements: Vec<(usize, usize)> =
            elements.map(|(p, c)| ((sample * positions + p) * channels + c, c)).collect();
        let mean_of = |f: &dyn Fn(usize, usize) -> f64| {
            elements.iter().map(|&(at, c)| f(at, c)).sum::<f64>() / elements.len() as f64
        };
        let mean = mean_of(&|at, _| x[at].to_f64());
        let d = |at: usize| x[at].to_f64() - mean;
        let s = 1.0 / (mean_of(&|at, _| d(at) * d(at)) + epsilon).sqrt();
        let g = |at: usize, c: usize| ct[at].to_f64() * gamma[c].to_f64();
        let (mean_g, mean_gd) = (mean_of(&g), mean_of(&|at, c| g(at, c) * d(at)));
        for &(at, c) in &elements {
            y[at] = d(at) * s * gamma[c].to_f64() + beta[c].to_f64();
            dx[at] = s * g(at, c) - d(at) * s.powi(3) * mean_gd - s * mean_g;
            dgamma[c] += ct[at].to_f64() * d(at) * s;
            dbeta[c] += ct[at].to_f64();
        }
    }
    let mut before: Option<Vec<u64>> = None;
    for threads in [1, 2, 3] {
        let pool = ThreadPool::new(threads);
        let [mut gy, mut gx] = [vec![T::ZERO; x.len()], vec![T::ZERO; x.len()]];
        let [mut gg, mut gb] = [vec![T::Acc::ZERO; channels], vec![T::Acc::ZERO; channels]];
        group_norm(&pool, shape, &x, &gamma, &beta, epsilon, &mut gy);
        group_norm_grad(&pool, shape, &x, &gamma, epsilon, &ct, &mut gx, [&mut gg, &mut gb]);
        close("group_norm", &gy, &y, 16.0);
        close("dx of group_norm", &gx, &dx, 32.0);
        close("dgamma of group_norm", &gg, &dgamma, ((batch * positions) as f64).sqrt() * 4.0);
        close("dbeta of group_norm", &gb, &dbeta, ((batch * positions) as f64).sqrt() * 4.0);
        let values = gy.iter().chain(&gx).map(|v| v.to_f64()).chain(gg.iter().chain(&gb).map(|v| v.to_f64()));
        let bits = values.map(f64::to_bits).collect();
        assert!(before.as_ref().is_none_or(|before| *before == bits), "{threads} threads differ: {shape:?}");
        before = Some(bits);
    }
}

#[test]
fn group_norms_agree_with_the_definition_on_every_instruction_set() {
    on_each_isa(|_| {
        let mut random = Random::new(11);
        // The last two have several pieces per sample; fewer channels than lanes, as many, and more.
        for [batch, positions, channels, groups] in [
            [1, 1, 1, 1],
            [3, 1, 6, 2],
            [2, 5, 30, 5],
            [2, 130, 64, 8],
            [3, 70, 100, 4],
            [2, 3000, 64, 64],
            [1, 1100, 200, 1],
        ] {
            let shape = GroupShape { batch, positions, channels, groups };
            check_groups::<f32>(&mut random, shape);
            check_groups::<f64>(&mut random, shape);
            check_groups::<f16>(&mut random, shape);
            check_groups::<bf16>(&mut random, shape);
        }
    });
}
