//! Tests of convolutions of `int8`.

use super::*;
use crate::conv::conv_forward;
use crate::gemm::Epilogue;
use crate::simd::{with_isa, Isa};

fn bytes(count: usize, seed: u32, least: i8) -> Vec<i8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 24) as i8).max(least)
    };
    (0..count).map(|_| next()).collect()
}

fn shape(channels: [usize; 2], groups: usize, kernel: usize, stride: usize, dilation: usize) -> ConvShape {
    let (input, pad) = ([1, 9, 11], [0, kernel / 2, kernel / 2]);
    let output = |axis: usize| (input[axis] + 2 * pad[axis] - (kernel - 1) * dilation - 1) / stride + 1;
    ConvShape {
        batch: 2,
        input,
        output: [1, output(1), output(2)],
        kernel: [1, kernel, kernel],
        strides: [1, stride, stride],
        dilation: [1, dilation, dilation],
        pad,
        in_channels: channels[0],
        out_channels: channels[1],
        groups,
    }
}

#[test]
fn convolutions_of_bytes_are_exact() {
    let shapes = [
        shape([1, 5], 1, 3, 1, 1),
        shape([7, 16], 1, 3, 2, 1),
        shape([16, 32], 1, 1, 1, 1),
        shape([5, 48], 1, 3, 1, 2),
        shape([4, 130], 1, 5, 2, 1),
        shape([70, 70], 70, 3, 1, 1),
        shape([64, 64], 64, 5, 2, 1),
    ];
    for (shape, least) in shapes.iter().flat_map(|shape| [(shape, -128), (shape, -127)]) {
        let (mut x, w) = (bytes(shape.input_len(), 1, -128), bytes(shape.kernel_len(), 2, least));
        x[0] = -128;
        let [wide_x, wide_w] = [&x, &w].map(|v| v.iter().map(|&v| i32::from(v)).collect::<Vec<_>>());
        let (pool, mut sums) = (ThreadPool::new(1), vec![0i32; shape.output_len()]);
        let end = Epilogue::default();
        conv_forward(&pool, shape, &wide_x, &wide_w, &mut sums, end, &mut Scratch::new());
        let want: Vec<f32> = sums.iter().map(|&sum| sum as f32).collect();
        let scale: Vec<f32> = (0..shape.out_channels).map(|i| 1e-3 + 1e-5 * i as f32).collect();
        let bias: Vec<f32> = (0..shape.out_channels).map(|i| i as f32 - 2.0).collect();
        let end = ScaleAndClamp { scale: &scale, bias: Some(&bias), low: -20.0, high: 30.0 };
        let scaled: Vec<f32> = (want.iter().zip((0..shape.out_channels).cycle()))
            .map(|(sum, i)| (sum * scale[i] + bias[i]).clamp(-20.0, 30.0))
            .collect();
        let rounded: Vec<i8> = scaled.iter().map(|v| (v * 5.0).round_ties_even().clamp(-100.0, 127.0) as i8).collect();
        for (isa, threads) in Isa::available().into_iter().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let pool = ThreadPool::new(threads);
            let run = |end: Option<&ScaleAndClamp>, result: Int8Result| {
                let w = Int8Kernel::Taps(&w);
                with_isa(isa, || conv_int8(&pool, shape, &x, w, end, result, &mut Scratch::new()));
            };
            let mut y = vec![f32::NAN; want.len()];
            run(None, Int8Result::Floats { to: &mut y, fused: None });
            assert_eq!(y, want, "{shape:?} on {}", isa.name());
            run(Some(&end), Int8Result::Floats { to: &mut y, fused: None });
            assert_eq!(y, scaled, "scaled, {shape:?} on {}", isa.name());
            let mut integers = vec![0; want.len()];
            run(Some(&end), Int8Result::Rounded { to: &mut integers, scale: 5.0, range: [-100, 127] });
            assert_eq!(integers, rounded, "rounded, {shape:?} on {}", isa.name());
            let seen = std::sync::Mutex::new(vec![f32::NAN; want.len()]);
            let consume = |start: usize, part: &mut [f32]| {
                seen.lock().unwrap()[start..start + part.len()].copy_from_slice(part);
            };
            run(None, Int8Result::Floats { to: &mut y, fused: Some(&consume) });
            assert_eq!(*seen.lock().unwrap(), want, "fused, {shape:?} on {}", isa.name());
        }
    }
}
