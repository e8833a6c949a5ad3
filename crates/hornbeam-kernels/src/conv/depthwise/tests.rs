use crate::conv::tests::{check, passes, same};
use crate::conv::{ConvElement, ConvShape};
use crate::dtype::half::Half;
use crate::dtype::{bf16, f16};
use crate::gemm::{Activation, Epilogue};
use crate::simd::{on_each_isa, with_isa, Isa};
use crate::testing::Random;

/// Kernels of each size and stride, with whole and partial blocks of channels, tiles and borders.
fn shapes() -> Vec<ConvShape> {
    let depthwise = |batch, side, kernel, stride, channels| ConvShape {
        groups: channels,
        ..same(batch, side, kernel, stride, [channels, channels])
    };
    let mut shapes = Vec::new();
    for (kernel, stride) in [(3, 1), (5, 1), (7, 1), (3, 2), (5, 2), (7, 2), (4, 1), (2, 2)] {
        shapes.push(depthwise(2, 9, kernel, stride, 24));
        shapes.push(depthwise(1, 15, kernel, stride, 35));
        shapes.push(depthwise(1, 2, kernel, stride, 16));
    }
    let wide = depthwise(1, 11, 3, 1, 20);
    shapes.push(ConvShape { dilation: [1, 2, 2], pad: [0, 2, 2], ..wide });
    shapes.push(ConvShape { dilation: [1, 3, 1], pad: [0, 3, 1], ..wide });
    // More padding than taps: some outputs read nothing.
    shapes.push(ConvShape { pad: [0, 5, 5], output: [1, 19, 19], ..wide });
    shapes.push(ConvShape { pad: [0; 3], output: [1, 9, 9], ..wide });
    shapes.push(ConvShape { strides: [1, 3, 1], output: [1, 4, 11], ..wide });
    // Blocks of words of bfloat16 that overlap.
    shapes.push(depthwise(1, 9, 3, 2, 70));
    shapes.push(ConvShape { kernel: [3; 3], pad: [1; 3], input: [3, 5, 8], output: [3, 5, 8], ..wide });
    shapes
}

#[test]
fn depthwise_convolutions_agree_with_the_definition() {
    let mut random = Random::new(11);
    for shape in shapes() {
        on_each_isa(|_| check::<f32>(&mut random, &shape, 2e-6));
        check::<f64>(&mut random, &shape, 3e-15);
        check::<bf16>(&mut random, &shape, 1.0 / 256.0);
    }
}

fn rows_are_converted_without_loss<T: ConvElement + Half>() {
    let mut random = Random::new(12);
    for shape in shapes() {
        let values = [shape.input_len(), shape.kernel_len(), shape.output_len(), shape.out_channels];
        let [x, w, dy, bias] = values.map(|n| random.values::<T>(n));
        let [wide_x, wide_w, wide_dy, wide_bias] =
            [&x, &w, &dy, &bias].map(|from| from.iter().map(|v| v.to_acc()).collect::<Vec<f32>>());
        let limited = Activation::Relu { limit: 0.5 };
        for (accumulate, activation) in [(false, Activation::RELU), (false, Activation::None), (true, limited)] {
            let epilogue = Epilogue { bias: Some(&bias[..]), activation, accumulate };
            let wide = Epilogue { bias: Some(&wide_bias[..]), activation, accumulate };
            let got = passes::<T>(2, &shape, [&x, &w, &dy], epilogue);
            let want = passes::<f32>(2, &shape, [&wide_x, &wide_w, &wide_dy], wide);
            for (pass, (got, want)) in got.iter().zip(&want).take(2).enumerate() {
                let want: Vec<T> = want.iter().map(|v| T::from_acc(*v)).collect();
                assert!(*got == want, "{} pass {pass} differs from that of floats: {shape:?}", T::DTYPE);
            }
        }
    }
}

#[test]
fn sixteen_bit_floats_have_the_bits_of_rounded_floats() {
    on_each_isa(|_| {
        rows_are_converted_without_loss::<f16>();
        rows_are_converted_without_loss::<bf16>();
    });
}

#[test]
fn vectors_of_any_width_give_the_same_bits() {
    let wide: Vec<Isa> = Isa::available().into_iter().filter(|isa| *isa != Isa::Portable).collect();
    let mut random = Random::new(13);
    for shape in shapes() {
        let [x, w, dy] = [shape.input_len(), shape.kernel_len(), shape.output_len()].map(|n| random.values::<f32>(n));
        let results = wide.iter().map(|isa| with_isa(*isa, || passes(2, &shape, [&x, &w, &dy], Epilogue::default())));
        let results: Vec<_> = results.collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{shape:?}");
    }
}

#[test]
fn narrow_groups_have_the_same_bits_on_every_isa() {
    let wide: Vec<Isa> = Isa::available().into_iter().filter(|isa| *isa != Isa::Portable).collect();
    let mut random = Random::new(14);
    for (group, kernel, side) in [(2, 3, 40), (4, 3, 33), (8, 5, 40), (1, 5, 64), (1, 7, 40)] {
        let groups = 32 / group;
        let shape = ConvShape { groups, ..same(2, side, kernel, 1, [32, 32]) };
        let [x, w, dy] = [shape.input_len(), shape.kernel_len(), shape.output_len()].map(|n| random.values::<f32>(n));
        let results = wide.iter().map(|isa| with_isa(*isa, || passes(2, &shape, [&x, &w, &dy], Epilogue::default())));
        let results: Vec<_> = results.collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{shape:?}");
    }
}
