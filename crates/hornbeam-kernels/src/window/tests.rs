use super::*;
use crate::dtype::{bf16, f16, DType};
use crate::simd::on_each_isa;
use crate::testing::{cases, guarded, Random};
use proptest::prelude::*;

fn shape(random: &mut Random) -> PoolShape {
    let spatial = 1 + random.below(3);
    let max = [0, 40, 14, 7][spatial];
    let channels = if random.below(2) == 0 { 1 + random.below(12) } else { 1 + random.below(150) };
    let mut shape = PoolShape {
        batch: 1 + random.below(4),
        input: [1; 3],
        output: [1; 3],
        window: [1; 3],
        strides: [1; 3],
        pad: [0; 3],
        channels,
    };
    for axis in 3 - spatial..3 {
        shape.input[axis] = 1 + random.below(max);
        shape.window[axis] = 1 + random.below(4);
        shape.strides[axis] = 1 + random.below(4);
        shape.pad[axis] = random.below(shape.window[axis]);
        let total = (shape.input[axis] + shape.pad[axis] + random.below(shape.window[axis])).max(shape.window[axis]);
        shape.output[axis] = (total - shape.window[axis]) / shape.strides[axis] + 1;
    }
    shape
}

/// Input elements in the window of each output element.
fn windows(shape: &PoolShape) -> Vec<Vec<usize>> {
    let mut all = vec![];
    let [od, oh, ow] = shape.output;
    let [id, ih, iw] = shape.input.map(|n| n as isize);
    for n in 0..shape.batch as isize {
        for o in 0..od * oh * ow {
            let o3 = [o / (oh * ow), o / ow % oh, o % ow];
            let from = [0, 1, 2].map(|a| (o3[a] * shape.strides[a]) as isize - shape.pad[a] as isize);
            for c in 0..shape.channels {
                let mut window = vec![];
                for d in from[0]..from[0] + shape.window[0] as isize {
                    for h in from[1]..from[1] + shape.window[1] as isize {
                        for w in from[2]..from[2] + shape.window[2] as isize {
                            if d >= 0 && d < id && h >= 0 && h < ih && w >= 0 && w < iw {
                                window.push((((n * id + d) * ih + h) * iw + w) as usize * shape.channels + c);
                            }
                        }
                    }
                }
                all.push(window);
            }
        }
    }
    all
}

fn first_max(x: &[f64], window: &[usize]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for &i in window {
        if best.is_none_or(|b| x[i] > x[b] || (x[i].is_nan() && !x[b].is_nan())) {
            best = Some(i);
        }
    }
    best
}

fn equal<T: PoolElement>(name: &str, shape: &PoolShape, got: &[T], want: &[f64]) {
    let tolerance = match T::DTYPE {
        DType::F32 => 1e-5,
        DType::F64 => 1e-13,
        DType::F16 => 0.02,
        DType::BF16 => 0.1,
        _ => 0.0,
    };
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let got = got.to_f64();
        let same = got == *want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= tolerance;
        assert!(same, "{name} {} at {i}: {got} for {want}, {shape:?}", T::DTYPE);
    }
}

fn check<T: PoolElement>(random: &mut Random, shape: &PoolShape) {
    let mut x = random.values::<T>(shape.input_len());
    // Ties, and now and then a NaN (which integers do not have).
    for value in &mut x {
        *value = match random.below(20) {
            0 => T::ONE,
            1 if T::DTYPE.is_float() && random.below(8) == 0 => T::from_f64(f64::NAN),
            _ => *value,
        };
    }
    let t = random.values::<T>(x.len());
    let dy = random.values::<T>(shape.output_len());
    let (xs, windows) = (x.iter().map(|v| v.to_f64()).collect::<Vec<_>>(), windows(shape));
    let winners: Vec<_> = windows.iter().map(|window| first_max(&xs, window)).collect();
    let lowest = T::LOWEST.to_f64();
    let want_max: Vec<f64> = winners.iter().map(|w| w.map_or(lowest, |i| xs[i])).collect();
    let want_gather: Vec<f64> = winners.iter().map(|w| w.map_or(0.0, |i| t[i].to_f64())).collect();
    let want_sum: Vec<f64> = windows.iter().map(|window| window.iter().map(|&i| t[i].to_f64()).sum()).collect();
    let (mut want_scatter, mut want_grad) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    for (o, window) in windows.iter().enumerate() {
        if let Some(i) = winners[o] {
            want_scatter[i] += dy[o].to_f64();
        }
        for &i in window {
            want_grad[i] += dy[o].to_f64();
        }
    }
    let mut before: Option<Vec<u64>> = None;
    for threads in [1, 2, 3] {
        let pool = ThreadPool::new(threads);
        let small = [
            guarded(dy.len(), T::ONE, |y| max_pool(&pool, shape, &x, y)),
            guarded(dy.len(), T::ONE, |y| max_pool_gather(&pool, shape, &x, &t, y)),
            guarded(dy.len(), T::ONE, |y| sum_pool(&pool, shape, &t, y)),
        ];
        let large = [
            guarded(x.len(), T::ONE, |dx| max_pool_scatter(&pool, shape, &x, &dy, dx)),
            guarded(x.len(), T::ONE, |dx| sum_pool_grad(&pool, shape, &dy, dx)),
        ];
        equal("max_pool", shape, &small[0], &want_max);
        equal("max_pool_gather", shape, &small[1], &want_gather);
        equal("sum_pool", shape, &small[2], &want_sum);
        equal("max_pool_scatter", shape, &large[0], &want_scatter);
        equal("sum_pool_grad", shape, &large[1], &want_grad);
        let bits = small.iter().chain(&large).flatten().map(|v| v.to_f64().to_bits()).collect();
        assert!(before.as_ref().is_none_or(|before| *before == bits), "{threads} threads differ: {shape:?}");
        before = Some(bits);
    }
}

#[test]
fn all_dtypes_agree_with_the_definition_on_every_instruction_set() {
    on_each_isa(|_| {
        let mut random = Random::new(8);
        for _ in 0..25 {
            let shape = shape(&mut random);
            check::<f32>(&mut random, &shape);
            check::<f64>(&mut random, &shape);
            check::<f16>(&mut random, &shape);
            check::<bf16>(&mut random, &shape);
            check::<i8>(&mut random, &shape);
            check::<i32>(&mut random, &shape);
            check::<u64>(&mut random, &shape);
        }
    });
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn pooling_agrees_with_plain_loops(seed: u64) {
        let mut random = Random::new(seed);
        let shape = shape(&mut random);
        on_each_isa(|_| check::<f32>(&mut random, &shape));
    }
}

#[test]
fn infinities_do_not_lose_to_padding() {
    let shape = PoolShape {
        batch: 1,
        input: [1, 1, 2],
        output: [1, 1, 1],
        window: [1, 1, 3],
        strides: [1; 3],
        pad: [0, 0, 1],
        channels: 1,
    };
    let x = [f32::NEG_INFINITY; 2];
    let (mut y, mut dx) = ([0f32], [9f32; 2]);
    let pool = ThreadPool::new(1);
    max_pool_gather(&pool, &shape, &x, &[3.0, 4.0], &mut y);
    max_pool_scatter(&pool, &shape, &x, &[5.0], &mut dx);
    assert_eq!((y, dx), ([3.0], [5.0, 0.0]));
}
