//! Tests of convolutions of `int8`.

use super::*;
use crate::conv::conv_forward;
use crate::conv::tests::same;
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
    let (output, dilation) = ([1, output(1), output(2)], [1, dilation, dilation]);
    ConvShape { input, output, dilation, pad, groups, ..same(2, 1, kernel, stride, channels) }
}

/// Without padding, of two images.
fn deep(input: [usize; 3], channels: [usize; 2], kernel: [usize; 3]) -> ConvShape {
    ConvShape {
        input,
        output: std::array::from_fn(|axis| input[axis] - kernel[axis] + 1),
        kernel,
        pad: [0; 3],
        ..shape(channels, 1, 1, 1, 1)
    }
}

#[test]
fn convolutions_of_bytes_are_exact() {
    let shapes = [
        shape([1, 5], 1, 3, 1, 1),
        shape([7, 16], 1, 3, 2, 1),
        shape([16, 32], 1, 1, 1, 1),
        shape([3, 24], 1, 1, 2, 1),
        shape([5, 48], 1, 3, 1, 2),
        shape([4, 130], 1, 5, 2, 1),
        shape([70, 70], 70, 3, 1, 1),
        shape([64, 64], 64, 5, 2, 1),
        // Three axes; lines longer than a block; images smaller than one.
        deep([4, 5, 6], [3, 20], [3, 2, 3]),
        deep([1, 1, 1203], [3, 5], [1, 1, 4]),
        ConvShape { batch: 70, ..deep([1, 3, 3], [6, 9], [1, 2, 2]) },
        ConvShape { batch: 900, ..deep([1, 1, 1], [33, 10], [1, 1, 1]) },
        ConvShape { batch: 1, ..deep([1, 1, 1], [1100, 300], [1, 1, 1]) },
    ];
    for (shape, least) in shapes.iter().flat_map(|shape| [(shape, -128), (shape, -127)]) {
        let (mut x, w) = (bytes(shape.input_len(), 1, -128), bytes(shape.kernel_len(), 2, least));
        x[0] = -128;
        check(shape, Bytes::Signed(&x), &w);
        check(shape, Bytes::Unsigned(Bytes::Signed(&x).raw()), &w);
    }
}

/// Compares results, with and without what follows, to those of a convolution of `int32`.
fn check(shape: &ConvShape, x: Bytes, w: &[i8]) {
    let wide_x: Vec<i32> = match x {
        Bytes::Signed(x) => x.iter().map(|&x| x.into()).collect(),
        Bytes::Unsigned(x) => x.iter().map(|&x| x.into()).collect(),
    };
    let wide_w: Vec<i32> = w.iter().map(|&w| w.into()).collect();
    let (pool, mut sums) = (ThreadPool::new(1), vec![0i32; shape.output_len()]);
    conv_forward(&pool, shape, &wide_x, &wide_w, &mut sums, Epilogue::default(), &mut Scratch::new());
    let want: Vec<f32> = sums.iter().map(|&sum| sum as f32).collect();
    let scale: Vec<f32> = (0..shape.out_channels).map(|i| 1e-3 + 1e-5 * i as f32).collect();
    let bias: Vec<f32> = (0..shape.out_channels).map(|i| i as f32 - 2.0).collect();
    let addend: Vec<f32> = (0..want.len()).map(|i| (i % 17) as f32 - 8.5).collect();
    let shift: Vec<i32> = (0..shape.out_channels as i32).map(|i| 7 * i - 30).collect();
    let plain =
        ScaleAndClamp { shift: Some(&shift), scale: &scale, bias: Some(&bias), addend: None, low: -20.0, high: 30.0 };
    let added = ScaleAndClamp { addend: Some(&addend), ..plain };
    let scaled = |addend: Option<&[f32]>| -> Vec<f32> {
        let channels = (0..shape.out_channels).cycle();
        let scaled = sums.iter().zip(channels).map(|(sum, i)| (sum + shift[i]) as f32 * scale[i] + bias[i]).enumerate();
        scaled.map(|(i, x)| (x + addend.map_or(-0.0, |addend| addend[i])).clamp(-20.0, 30.0)).collect()
    };
    let roundings = [
        Rounding { scale: 5.0, divides: false, range: [-100, 127], zero: 0 },
        Rounding { scale: 0.3, divides: true, range: [-60, 195], zero: 60 },
    ];
    let rounded = |floats: &[f32], rounding: &Rounding| -> Vec<u8> {
        let ([low, high], zero) = (rounding.range.map(f32::from), i32::from(rounding.zero));
        let scaled = floats.iter().map(|v| if rounding.divides { v / rounding.scale } else { v * rounding.scale });
        scaled.map(|v| (v.round_ties_even().clamp(low, high) as i32 + zero) as u8).collect()
    };
    for (isa, threads) in Isa::available().into_iter().flat_map(|isa| [(isa, 1), (isa, 3)]) {
        let pool = ThreadPool::new(threads);
        let run = |end: Option<&ScaleAndClamp>, result: Int8Result| {
            let w = Int8Kernel::Taps(w);
            with_isa(isa, || conv_int8(&pool, shape, false, x, w, end, result, &mut Scratch::new()));
        };
        let mut exact = vec![1; want.len()];
        run(None, Int8Result::Sums { to: &mut exact, fused: None });
        assert_eq!(exact, sums, "{shape:?} on {}", isa.name());
        let mut y = vec![f32::NAN; want.len()];
        run(None, Int8Result::Floats { to: &mut y, fused: None });
        assert_eq!(y, want, "{shape:?} on {}", isa.name());
        for end in [&plain, &added] {
            let want = scaled(end.addend);
            run(Some(end), Int8Result::Floats { to: &mut y, fused: None });
            assert_eq!(y, want, "scaled, {shape:?} on {}", isa.name());
            y.fill(f32::NAN);
            for (keeps, rounding) in [false, true].into_iter().zip(roundings) {
                let mut integers = vec![0; want.len()];
                let floats = Some(&mut y[..]).filter(|_| keeps);
                run(Some(end), Int8Result::Rounded { to: &mut integers, rounding, floats });
                assert_eq!(integers, rounded(&want, &rounding), "rounded, {shape:?} on {}", isa.name());
            }
            assert_eq!(y, want, "beside integers, {shape:?} on {}", isa.name());
        }
        let seen = std::sync::Mutex::new(vec![f32::NAN; want.len()]);
        let consume = |start: usize, part: &mut [f32]| {
            seen.lock().unwrap()[start..start + part.len()].copy_from_slice(part);
        };
        run(None, Int8Result::Floats { to: &mut y, fused: Some(&consume) });
        assert_eq!(*seen.lock().unwrap(), want, "fused, {shape:?} on {}", isa.name());
    }
}

#[test]
fn pooled_results_are_maxima() {
    for shape in [shape([3, 5], 1, 3, 1, 1), shape([8, 40], 1, 2, 1, 1), shape([4, 16], 1, 5, 2, 1)] {
        let (x, w) = (bytes(shape.input_len(), 1, -128), bytes(shape.kernel_len(), 2, -128));
        // Some scales are negative.
        let scale: Vec<f32> = (0..shape.out_channels).map(|i| 1e-3 * (i as f32 - 3.5)).collect();
        let end =
            ScaleAndClamp { shift: None, scale: &scale, bias: Some(&scale), addend: None, low: -20.0, high: 30.0 };
        let [_, height, width] = shape.output;
        let mut full = vec![0.0; shape.output_len()];
        let run = |pool: &ThreadPool, pooled: bool, result: Int8Result| {
            conv_int8(
                pool,
                &shape,
                pooled,
                Bytes::Signed(&x),
                Int8Kernel::Taps(&w),
                Some(&end),
                result,
                &mut Scratch::new(),
            );
        };
        run(&ThreadPool::new(1), false, Int8Result::Floats { to: &mut full, fused: None });
        let mut want = Vec::new();
        for (image, line) in (0..shape.batch).flat_map(|image| (0..height / 2).map(move |line| (image, line))) {
            for (column, channel) in (0..width / 2).flat_map(|c| (0..shape.out_channels).map(move |i| (c, i))) {
                let at = |l: usize, c: usize| ((image * height + 2 * line + l) * width + 2 * column + c) * scale.len();
                let four = [at(0, 0), at(0, 1), at(1, 0), at(1, 1)].map(|at| full[at + channel]);
                want.push(four.into_iter().fold(f32::NEG_INFINITY, f32::max));
            }
        }
        for (isa, threads) in Isa::available().into_iter().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let (pool, mut y) = (ThreadPool::new(threads), vec![f32::NAN; want.len()]);
            with_isa(isa, || run(&pool, true, Int8Result::Floats { to: &mut y, fused: None }));
            assert_eq!(y, want, "{shape:?} on {}", isa.name());
        }
    }
}
