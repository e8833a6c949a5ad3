//! Comparison of fused passes with the separate operations.

use super::*;
use crate::conv::tests::{same, valid};
use crate::conv::{conv_forward, conv_input_grad, conv_kernel_grad, MASKED};
use crate::dtype::Element;
use crate::gemm::Activation;
use crate::simd::on_each_isa;
use crate::testing::Random;
use crate::window::{max_pool, PoolShape};

fn pool_shape(shape: &ConvShape) -> PoolShape {
    PoolShape {
        batch: shape.batch,
        input: shape.output,
        output: [shape.output[0], shape.output[1] / 2, shape.output[2] / 2],
        window: [1, 2, 2],
        strides: [1, 2, 2],
        pad: [0; 3],
        channels: shape.out_channels,
    }
}

/// Expands `grad` to the output of the convolution.
fn expand<T: ConvElement>(shape: &ConvShape, grad: &OutputGrad<T>) -> Vec<T> {
    match grad {
        OutputGrad::Plain(dy) => dy.to_vec(),
        OutputGrad::Relu { dy, y } => {
            dy.iter().zip(*y).map(|(dy, y)| if y.to_f64() > 0.0 { *dy } else { T::ZERO }).collect()
        }
        OutputGrad::Pooled { dy, codes } => {
            let [_, height, width] = pool_shape(shape).output;
            let c = shape.out_channels;
            let mut all = vec![T::ZERO; shape.output_len()];
            for (i, (dy, code)) in dy.iter().zip(*codes).enumerate() {
                let (pixel, channel) = (i / c, i % c);
                let [image, h, w] = [pixel / (height * width), pixel / width % height, pixel % width];
                let code = usize::from(*code);
                if code < 4 {
                    let row = image * shape.output[1] + 2 * h + code / 2;
                    all[(row * shape.output[2] + 2 * w + code % 2) * c + channel] = *dy;
                }
            }
            all
        }
    }
}

/// Compares results of two algorithms relative to the root mean square.
fn near<T: Element>(name: &str, shape: &ConvShape, got: &[T], want: &[T]) {
    let (got, want): (Vec<f64>, Vec<f64>) = got.iter().zip(want).map(|(g, w)| (g.to_f64(), w.to_f64())).unzip();
    let rms = (want.iter().map(|v| v * v).sum::<f64>() / want.len() as f64).sqrt();
    // Bounds for Winograd transforms, and for one rounding of a sum of several times the root mean square.
    let bound = match T::DTYPE {
        DType::F32 => 2e-5,
        DType::F64 => 1e-13,
        DType::BF16 => 0.05,
        _ => 0.0,
    };
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        let error = (got - want).abs();
        assert!(error <= bound * rms, "{name} {} at {i}: {got} for {want}, {shape:?}", T::DTYPE);
    }
}

fn check_forward<T: ConvElement>(random: &mut Random, shape: &ConvShape) {
    let (x, w) = (random.values::<T>(shape.input_len()), random.values::<T>(shape.kernel_len()));
    let bias = random.values::<T>(shape.out_channels);
    for activation in [Activation::None, Activation::RELU] {
        let epilogue = Epilogue { bias: Some(&bias[..]), activation, accumulate: false };
        let (pool, mut scratch) = (ThreadPool::new(2), Scratch::new());
        let mut unpooled = vec![T::ZERO; shape.output_len()];
        conv_forward(&pool, shape, &x, &w, &mut unpooled, epilogue, &mut scratch);
        let mut want = vec![T::ZERO; shape.pooled_len()];
        max_pool(&pool, &pool_shape(shape), &unpooled, &mut want);
        let mut before: Option<(Vec<T>, Vec<u8>)> = None;
        for threads in [1, 2, 3] {
            let pool = ThreadPool::new(threads);
            let mut y = vec![T::ONE; want.len()];
            let mut codes = vec![9; want.len()];
            conv_pool_forward(&pool, shape, &x, &w, epilogue, &mut y, &mut codes, &mut scratch);
            near("pooled", shape, &y, &want);
            // A code is the argmax, or masked if no value is positive.
            let spread = expand(shape, &OutputGrad::Pooled { dy: &y, codes: &codes });
            let mut again = vec![T::ZERO; want.len()];
            max_pool(&pool, &pool_shape(shape), &spread, &mut again);
            for (i, code) in codes.iter().enumerate() {
                let off = activation == Activation::RELU && (y[i].to_f64() <= 0.0 || y[i].is_nan());
                assert_eq!(*code == MASKED, off, "code {code} of {:?}", y[i]);
                assert!(off || y[i].to_f64() <= 0.0 || again[i] == y[i], "code {code} is not the argmax of {:?}", y[i]);
            }
            let positions = expand(shape, &OutputGrad::Pooled { dy: &want, codes: &codes });
            for (position, value) in positions.iter().zip(&unpooled).filter(|(position, _)| **position != T::ZERO) {
                near("position", shape, &[*position], &[*value]);
            }
            let result = (y, codes);
            assert!(before.as_ref().is_none_or(|before| *before == result), "{threads} threads differ: {shape:?}");
            before = Some(result);
        }
    }
}

fn check_backward<T: ConvElement>(random: &mut Random, shape: &ConvShape) {
    let (x, w) = (random.values::<T>(shape.input_len()), random.values::<T>(shape.kernel_len()));
    let (dy, y) = (random.values::<T>(shape.output_len()), random.values::<T>(shape.output_len()));
    let pooled = random.values::<T>(shape.pooled_len());
    let codes: Vec<u8> = pooled.iter().map(|_| random.below(5) as u8).collect();
    for grad in [
        OutputGrad::Plain(&dy[..]),
        OutputGrad::Relu { dy: &dy, y: &y },
        OutputGrad::Pooled { dy: &pooled, codes: &codes },
    ] {
        let expanded = expand(shape, &grad);
        let (pool, mut scratch) = (ThreadPool::new(2), Scratch::new());
        let mut want = [vec![T::ZERO; x.len()], vec![T::ZERO; w.len()]];
        conv_input_grad(&pool, shape, &expanded, &w, &mut want[0], &mut scratch);
        conv_kernel_grad(&pool, shape, &x, &expanded, &mut want[1], &mut scratch);
        let mut bias = vec![0.0; shape.out_channels];
        for (i, value) in expanded.iter().enumerate() {
            bias[i % shape.out_channels] += value.to_f64();
        }
        let bias: Vec<T> = bias.into_iter().map(T::from_f64).collect();
        let mut before: Option<[Vec<T>; 3]> = None;
        for threads in [1, 2, 3] {
            let pool = ThreadPool::new(threads);
            let mut got = [vec![T::ONE; x.len()], vec![T::ONE; w.len()], vec![T::ONE; bias.len()]];
            let [dx, dw, db] = &mut got;
            conv_backward(&pool, shape, &x, &w, grad, Some(dx), Some(dw), Some(db), &mut scratch);
            near("input gradient", shape, &got[0], &want[0]);
            near("kernel gradient", shape, &got[1], &want[1]);
            near("bias gradient", shape, &got[2], &bias);
            // Each gradient separately.
            let mut alone = [vec![T::ONE; x.len()], vec![T::ONE; w.len()], vec![T::ONE; bias.len()]];
            let [dx, dw, db] = &mut alone;
            conv_backward(&pool, shape, &[], &w, grad, Some(dx), None, None, &mut scratch);
            conv_backward(&pool, shape, &x, &[], grad, None, Some(dw), None, &mut scratch);
            conv_backward(&pool, shape, &[], &[], grad, None, None, Some(db), &mut scratch);
            near("input gradient alone", shape, &alone[0], &want[0]);
            near("kernel gradient alone", shape, &alone[1], &want[1]);
            near("bias gradient alone", shape, &alone[2], &bias);
            assert!(before.as_ref().is_none_or(|before| *before == got), "{threads} threads differ: {shape:?}");
            before = Some(got);
        }
    }
}

fn shapes() -> Vec<ConvShape> {
    vec![
        valid(3, 28, 3, [1, 32]),
        valid(2, 26, 3, [32, 64]),
        same(2, 16, 3, 1, [16, 16]),
        same(9, 7, 3, 1, [40, 17]),
        same(3, 11, 3, 2, [5, 20]),
        same(2, 8, 1, 1, [24, 12]),
        same(2, 3, 3, 1, [4, 3]),
        valid(2, 9, 5, [3, 18]),
        same(2, 9, 5, 1, [13, 18]),
        ConvShape { input: [3, 9, 13], output: [3, 9, 13], ..same(2, 9, 3, 1, [16, 20]) },
        ConvShape { groups: 20, ..same(2, 10, 3, 1, [20, 20]) },
    ]
}

#[test]
fn fused_pooling_agrees_with_separate_operations() {
    on_each_isa(|_| {
        let mut random = Random::new(21);
        for shape in shapes() {
            check_forward::<f32>(&mut random, &shape);
            check_forward::<f64>(&mut random, &shape);
            check_forward::<bf16>(&mut random, &shape);
            check_forward::<i32>(&mut random, &shape);
        }
    });
}

#[test]
fn fused_backward_pass_agrees_with_its_parts() {
    on_each_isa(|_| {
        let mut random = Random::new(22);
        for shape in shapes() {
            check_backward::<f32>(&mut random, &shape);
            check_backward::<f64>(&mut random, &shape);
            check_backward::<bf16>(&mut random, &shape);
            check_backward::<i32>(&mut random, &shape);
        }
    });
}

#[test]
fn the_first_maximum_and_nan_win() {
    let shape = ConvShape { input: [1, 2, 6], output: [1, 2, 6], ..same(1, 6, 1, 1, [1, 1]) };
    let (pool, mut scratch) = (ThreadPool::new(1), Scratch::new());
    let nan = f32::NAN;
    let x = [3.0, 3.0, -1.0, -1.0, 1.0, nan, 3.0, 3.0, -1.0, -2.0, 5.0, nan];
    for (activation, want) in [(Activation::None, [0, 0, 1]), (Activation::RELU, [0, MASKED, MASKED])] {
        let (mut y, mut codes) = ([0f32; 3], [9; 3]);
        let epilogue = Epilogue { activation, ..Epilogue::default() };
        conv_pool_forward(&pool, &shape, &x, &[1.0], epilogue, &mut y, &mut codes, &mut scratch);
        assert_eq!(codes, want);
        assert!(y[0] == 3.0 && y[2].is_nan());
    }
}
