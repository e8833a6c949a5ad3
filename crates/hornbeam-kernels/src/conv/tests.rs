use super::*;
use crate::dtype::{DType, Element};
use crate::gemm::Activation;
use crate::simd::on_each_isa;
use crate::testing::Random;

/// Calls `body(x index, w index, y index)` for every product of the definition.
fn products(shape: &ConvShape, mut body: impl FnMut(usize, usize, usize)) {
    let [od, oh, ow] = shape.output;
    let [kd, kh, kw] = shape.kernel;
    let (group_in, group_out) = (shape.group_in(), shape.group_out());
    for n in 0..shape.batch {
        for o in 0..od * oh * ow {
            for t in 0..kd * kh * kw {
                let o3 = [o / (oh * ow), o / ow % oh, o % ow];
                let t3 = [t / (kh * kw), t / kw % kh, t % kw];
                let mut at = n;
                let mut inside = true;
                for axis in 0..3 {
                    let p = (o3[axis] * shape.strides[axis] + t3[axis] * shape.dilation[axis]) as isize
                        - shape.pad[axis] as isize;
                    inside &= p >= 0 && p < shape.input[axis] as isize;
                    at = (at as isize * shape.input[axis] as isize + p) as usize;
                    if !inside {
                        break;
                    }
                }
                if !inside {
                    continue;
                }
                for k in 0..shape.out_channels {
                    for c in 0..group_in {
                        let x = at * shape.in_channels + k / group_out * group_in + c;
                        let w = (t * group_in + c) * shape.out_channels + k;
                        body(x, w, (n * od * oh * ow + o) * shape.out_channels + k);
                    }
                }
            }
        }
    }
}

fn wide<T: Element>(values: &[T]) -> Vec<f64> {
    values.iter().map(|v| v.to_f64()).collect()
}

/// Compares with a tolerance relative to the sum of magnitudes.
fn close<T: Element>(name: &str, shape: &ConvShape, got: &[T], want: &[f64], scale: &[f64], tolerance: f64) {
    let absolute = if T::DTYPE == DType::F16 { 3e-8 } else { 1e-300 };
    for (i, got) in got.iter().enumerate() {
        let error = (got.to_f64() - want[i]).abs();
        assert!(
            error <= tolerance * (scale[i] + want[i].abs()) + absolute,
            "{name} {} at {i}: {} for {}, {shape:?}",
            T::DTYPE,
            got.to_f64(),
            want[i]
        );
    }
}

/// Results of all three passes, into memory that holds `dy` and ones.
pub(super) fn passes<T: ConvElement>(
    threads: usize,
    shape: &ConvShape,
    [x, w, dy]: [&[T]; 3],
    epilogue: Epilogue<T>,
) -> [Vec<T>; 3] {
    let (pool, mut scratch) = (ThreadPool::new(threads), Scratch::new());
    let (mut y, mut dx, mut dw) = (dy.to_vec(), vec![T::ONE; x.len()], vec![T::ONE; w.len()]);
    conv_forward(&pool, shape, x, w, &mut y, epilogue, &mut scratch);
    conv_input_grad(&pool, shape, dy, w, &mut dx, &mut scratch);
    conv_kernel_grad(&pool, shape, x, dy, &mut dw, &mut scratch);
    [y, dx, dw]
}

pub(super) fn check<T: ConvElement>(random: &mut Random, shape: &ConvShape, tolerance: f64) {
    let x = random.values::<T>(shape.input_len());
    let w = random.values::<T>(shape.kernel_len());
    let dy = random.values::<T>(shape.output_len());
    let bias = random.values::<T>(shape.out_channels);
    let epilogue = Epilogue {
        bias: (random.below(2) == 0).then_some(&bias[..]),
        activation: match random.below(4) {
            0 | 1 => Activation::None,
            2 if T::DTYPE.is_float() => Activation::Relu { limit: 0.5 },
            _ => Activation::RELU,
        },
        accumulate: random.below(3) == 0,
    };
    let (xs, ws, dys) = (wide(&x), wide(&w), wide(&dy));
    let mut sums = [vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]];
    let mut scales = sums.clone();
    products(shape, |i, j, k| {
        for (which, at, term) in [(0, k, xs[i] * ws[j]), (1, i, dys[k] * ws[j]), (2, j, xs[i] * dys[k])] {
            sums[which][at] += term;
            scales[which][at] += f64::abs(term);
        }
    });
    for (i, sum) in sums[0].iter_mut().enumerate() {
        let mut extra = if epilogue.accumulate { dys[i] } else { 0.0 };
        if epilogue.bias.is_some() {
            extra += bias[i % shape.out_channels].to_f64();
        }
        *sum += extra;
        scales[0][i] += 2.0;
        *sum = epilogue.activation.of(*sum);
    }
    let results = passes(1, shape, [&x, &w, &dy], epilogue);
    let names = ["forward", "input gradient", "kernel gradient"];
    for (name, (got, (want, scale))) in names.iter().zip(results.iter().zip(sums.iter().zip(&scales))) {
        close(name, shape, got, want, scale, tolerance);
    }
    for threads in [2, 3] {
        assert!(passes(threads, shape, [&x, &w, &dy], epilogue) == results, "{threads} threads differ: {shape:?}");
    }
}

/// Random shape, with the largest `output` that fits.
fn shape(random: &mut Random) -> ConvShape {
    let spatial = 1 + random.below(3);
    let max_extent = [0, 30, 14, 7][spatial];
    let groups = [1, 1, 1, 2, 3][random.below(5)];
    let depthwise = random.below(6) == 0;
    let (group_in, group_out) =
        if depthwise { (1, 1) } else { ([1, 1, 12][random.below(3)] + random.below(9), 1 + random.below(40)) };
    let groups = if depthwise { 2 + random.below(40) } else { groups };
    let channels = [group_in, group_out].map(|n| groups * n);
    let mut shape = same(1 + random.below(4), 1, 1, 1, channels).in_groups(groups);
    for axis in 3 - spatial..3 {
        shape.input[axis] = 1 + random.below(max_extent);
        shape.kernel[axis] = 1 + random.below(4);
        shape.strides[axis] = 1 + random.below(3) * random.below(2);
        shape.dilation[axis] = 1 + random.below(3) * random.below(2);
        let span = (shape.kernel[axis] - 1) * shape.dilation[axis] + 1;
        let low = random.below(span + 1);
        let mut total = shape.input[axis] + low + random.below(span + 1);
        if total < span {
            total = span;
        }
        shape.pad[axis] = low;
        shape.output[axis] = (total - span) / shape.strides[axis] + 1;
    }
    shape
}

pub(super) fn same(
    batch: usize,
    side: usize,
    kernel: usize,
    stride: usize,
    [inputs, outputs]: [usize; 2],
) -> ConvShape {
    let out = side.div_ceil(stride);
    let total = ((out - 1) * stride + kernel).saturating_sub(side);
    ConvShape {
        batch,
        input: [1, side, side],
        output: [1, out, out],
        kernel: [1, kernel, kernel],
        strides: [1, stride, stride],
        dilation: [1; 3],
        pad: [0, total / 2, total / 2],
        in_channels: inputs,
        out_channels: outputs,
        groups: 1,
    }
}

pub(super) fn valid(batch: usize, side: usize, kernel: usize, [inputs, outputs]: [usize; 2]) -> ConvShape {
    let out = side - kernel + 1;
    ConvShape { output: [1, out, out], pad: [0; 3], ..same(batch, side, kernel, 1, [inputs, outputs]) }
}

/// Causal one-dimensional convolution.
fn row(batch: usize, length: usize, kernel: usize, dilation: usize, stride: usize, channels: [usize; 2]) -> ConvShape {
    ConvShape {
        input: [1, 1, length],
        output: [1, 1, length.div_ceil(stride)],
        kernel: [1, 1, kernel],
        strides: [1, 1, stride],
        dilation: [1, 1, dilation],
        pad: [0, 0, (kernel - 1) * dilation],
        ..same(batch, 1, 1, 1, channels)
    }
}

impl ConvShape {
    fn in_groups(self, groups: usize) -> ConvShape {
        ConvShape { groups, ..self }
    }
}

#[test]
fn floats_agree_with_the_definition_on_every_instruction_set() {
    on_each_isa(|_| {
        let mut random = Random::new(4);
        for _ in 0..60 {
            let shape = shape(&mut random);
            check::<f32>(&mut random, &shape, 2e-6);
            check::<f64>(&mut random, &shape, 3e-15);
        }
    });
}

#[test]
fn shapes_of_real_networks() {
    let mut random = Random::new(5);
    for shape in [
        valid(3, 28, 3, [1, 32]),
        valid(2, 26, 3, [32, 64]),
        same(2, 32, 3, 1, [3, 16]),
        same(2, 32, 3, 1, [16, 16]),
        same(2, 32, 3, 2, [16, 32]),
        same(2, 32, 1, 2, [16, 32]),
        same(3, 8, 3, 1, [64, 64]),
        same(1, 16, 5, 1, [8, 24]),
        valid(5, 4, 4, [6, 10]),
        same(4, 6, 1, 1, [20, 33]),
        same(7, 9, 3, 1, [17, 30]),
        ConvShape { input: [3, 9, 9], output: [3, 9, 9], ..same(2, 9, 3, 1, [16, 16]) },
        same(2, 14, 3, 2, [32, 32]).in_groups(32),
        same(2, 14, 7, 1, [40, 40]).in_groups(40),
        same(1, 9, 5, 2, [33, 33]).in_groups(33),
        same(2, 14, 3, 1, [48, 48]).in_groups(24),
        same(2, 14, 3, 1, [128, 128]).in_groups(32),
        same(1, 13, 3, 2, [24, 24]).in_groups(6),
        same(1, 7, 3, 1, [64, 64]).in_groups(8),
        // Kernel gradients tap by tap: dilated, by columns of long rows, by several images, with strides, groups, planes.
        ConvShape { dilation: [1, 12, 12], pad: [0, 12, 12], ..same(1, 15, 3, 1, [20, 33]) },
        ConvShape { dilation: [1, 40, 40], pad: [0, 40, 40], ..same(1, 9, 3, 1, [16, 16]) },
        row(1, 700, 3, 64, 1, [16, 40]),
        row(1, 600, 2, 1, 2, [15, 16]),
        row(33, 9, 3, 1, 1, [12, 70]),
        same(9, 8, 1, 2, [30, 96]),
        ConvShape { pad: [0, 3, 3], output: [1, 7, 7], ..same(3, 8, 1, 2, [13, 80]) },
        ConvShape { kernel: [1, 1, 3], pad: [0, 0, 1], ..same(6, 8, 3, 1, [29, 40]) },
        same(2, 14, 3, 1, [64, 64]).in_groups(4),
        ConvShape { kernel: [3, 3, 3], pad: [1; 3], input: [3, 5, 5], output: [3, 5, 5], ..same(5, 5, 3, 1, [14, 18]) },
    ] {
        on_each_isa(|_| check::<f32>(&mut random, &shape, 2e-6));
    }
}

/// Largest error and root mean square error relative to the root mean square of the exact result.
fn errors<T: Element>(got: &[T], want: &[f64]) -> (f64, f64) {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>() / want.len() as f64;
    let size = square(&mut want.iter().copied()).sqrt();
    let differences = || got.iter().zip(want).map(|(g, w)| g.to_f64() - w);
    let max_error = differences().map(f64::abs).fold(0.0, f64::max);
    (max_error / size, square(&mut differences()).sqrt() / size)
}

/// Shapes for Winograd's algorithm: full tiles, partial tiles, uneven sides with `channels` input channels, few and many
/// tiles, and several parts of the kernel.
fn tiled(channels: usize) -> [ConvShape; 6] {
    let uneven = ConvShape { pad: [0, 2, 0], output: [1, 14, 9], ..same(4, 12, 3, 1, [channels, 23]) };
    [
        valid(3, 26, 3, [32, 64]),
        same(2, 16, 3, 1, [32, 32]),
        same(9, 7, 3, 1, [40, 17]),
        ConvShape { input: [1, 12, 11], ..uneven },
        same(18, 7, 3, 1, [16, 20]),
        same(2, 9, 3, 1, [140, 150]),
    ]
}

/// Computes the output and both gradients by definition in `f64`.
fn by_definition<T: Element>(shape: &ConvShape, x: &[T], w: &[T], dy: &[T]) -> [Vec<f64>; 3] {
    let [x, w, dy] = [x, w, dy].map(wide);
    let mut sums = [vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]];
    products(shape, |i, j, k| {
        sums[0][k] += x[i] * w[j];
        sums[1][i] += dy[k] * w[j];
        sums[2][j] += x[i] * dy[k];
    });
    sums
}

/// Compares Winograd's algorithm with the definition by the largest and the root mean square error.
fn check_winograd<T: ConvElement>(random: &mut Random, shape: &ConvShape, [largest, typical]: [f64; 2]) {
    assert_eq!(select_algorithm(shape, DType::F32), Algorithm::Winograd);
    let [x, w, dy] = [shape.input_len(), shape.kernel_len(), shape.output_len()].map(|n| random.values::<T>(n));
    let results = passes(2, shape, [&x, &w, &dy], Epilogue::default());
    for (got, want) in results.iter().zip(by_definition(shape, &x, &w, &dy)) {
        let (max_error, rms) = errors(got, &want);
        assert!(max_error < largest && rms < typical, "{max_error:e} {rms:e} {shape:?}");
    }
    for threads in [1, 3] {
        let other = passes(threads, shape, [&x, &w, &dy], Epilogue::default());
        assert!(other == results, "{threads} threads differ: {shape:?}");
    }
}

#[test]
fn winograd_is_nearly_as_accurate_as_the_definition() {
    let mut random = Random::new(11);
    on_each_isa(|_| tiled(16).iter().for_each(|shape| check_winograd::<f32>(&mut random, shape, [1e-5, 1e-6])));
}

#[test]
fn rounded_points_have_a_few_times_the_error_of_rounded_operands() {
    // Root mean square error of operands rounded to 8 bits: about 2^-8 / sqrt(3) per pair.
    const ROUNDED: f64 = 2.4e-3;
    let mut random = Random::new(12);
    tiled(17).iter().for_each(|shape| check_winograd::<bf16>(&mut random, shape, [60.0 * ROUNDED, 6.0 * ROUNDED]));
}

#[test]
fn sixteen_bit_floats_round_once() {
    let mut random = Random::new(6);
    for _ in 0..15 {
        let shape = shape(&mut random);
        check::<f16>(&mut random, &shape, 1.0 / 2048.0);
        check::<bf16>(&mut random, &shape, 1.0 / 256.0);
    }
}

/// Tests `pairs.rs` on CPUs that multiply pairs of `bfloat16`.
#[test]
fn channels_in_pairs_round_once() {
    let mut random = Random::new(9);
    let strided = same(2, 15, 3, 2, [24, 40]);
    let volume = ConvShape { kernel: [3, 3, 1], input: [5, 9, 9], output: [3, 7, 9], ..same(1, 9, 1, 1, [6, 70]) };
    for shape in [
        strided,
        same(3, 12, 5, 1, [16, 34]),
        same(2, 9, 1, 1, [31, 50]),
        same(2, 8, 1, 2, [12, 18]),
        ConvShape { groups: 4, ..strided },
        ConvShape { dilation: [1, 2, 3], output: [1, 11, 9], pad: [0; 3], ..same(2, 15, 3, 1, [24, 40]) },
        volume,
        // The matrix of patches.
        same(1, 7, 5, 1, [18, 130]),
        // An odd number of channels.
        same(2, 9, 5, 1, [9, 40]),
        same(3, 11, 3, 2, [3, 20]),
        ConvShape { groups: 2, ..same(2, 9, 3, 2, [10, 40]) },
        same(2, 9, 5, 1, [10, 35]),
    ] {
        for _ in 0..3 {
            check::<bf16>(&mut random, &shape, 1.0 / 256.0);
        }
        let (mut dx, mut dw) = (vec![bf16::ZERO; shape.input_len()], vec![bf16::ZERO; shape.kernel_len()]);
        let (mut db, (pool, mut scratch)) =
            (vec![bf16::ZERO; shape.out_channels], (ThreadPool::new(2), Scratch::new()));
        let [x, w, dy] = [shape.input_len(), shape.kernel_len(), shape.output_len()].map(|n| random.values::<bf16>(n));
        let grads = [Some(&mut dx[..]), Some(&mut dw[..]), Some(&mut db[..])];
        let [into_dx, into_dw, into_db] = grads;
        conv_backward(&pool, &shape, &x, &w, OutputGrad::Plain(&dy), into_dx, into_dw, into_db, &mut scratch);
        // The bits do not depend on where the operands lie.
        let moved = |values: &[bf16]| [&[bf16::ONE], values].concat();
        let (dy_moved, w_moved, mut other) = (moved(&dy), moved(&w), vec![bf16::ZERO; dx.len()]);
        conv_input_grad(&pool, &shape, &dy_moved[1..], &w_moved[1..], &mut other, &mut scratch);
        assert_eq!(dx, other, "{shape:?}");
        let sums = by_definition(&shape, &x, &w, &dy);
        for (got, want) in [(&dx, &sums[1]), (&dw, &sums[2])] {
            let (max_error, _) = errors(got, want);
            assert!(max_error < 1.0 / 64.0, "{max_error:e} {shape:?}");
        }
    }
}

#[test]
fn windows_may_lie_side_by_side() {
    let mut random = Random::new(8);
    let flat = ConvShape { output: [1, 5, 6], input: [1, 10, 12], ..same(3, 10, 2, 2, [20, 33]) };
    for shape in [
        flat,
        same(2, 16, 2, 2, [64, 24]),
        ConvShape { kernel: [1, 2, 3], strides: [1, 2, 3], input: [1, 10, 18], ..flat },
        ConvShape { kernel: [3, 2, 2], strides: [3, 2, 2], input: [6, 10, 12], output: [2, 5, 6], ..flat },
        // Wide enough for several blocks of columns.
        same(1, 8, 4, 4, [300, 40]),
    ] {
        on_each_isa(|_| check::<f32>(&mut random, &shape, 2e-6));
        check::<f64>(&mut random, &shape, 3e-15);
        check::<f16>(&mut random, &shape, 1.0 / 2048.0);
        check::<bf16>(&mut random, &shape, 1.0 / 256.0);
    }
}

#[test]
fn integers_are_exact() {
    let mut random = Random::new(7);
    for _ in 0..15 {
        let shape = shape(&mut random);
        check::<i32>(&mut random, &shape, 0.0);
        check::<u64>(&mut random, &shape, 0.0);
    }
}

#[test]
fn a_packed_kernel_gives_the_same_bits() {
    let pixels = |size| same(2, size, 1, 1, [300, 50]);
    let dense = ConvShape { output: [1; 3], kernel: [1, 3, 3], ..pixels(3) };
    let (pool, mut scratch, mut random) = (ThreadPool::new(2), Scratch::new(), Random::new(6));
    let few = ConvShape { kernel: [1, 3, 3], pad: [0, 1, 1], in_channels: 20, ..pixels(7) };
    let strided = ConvShape { strides: [1, 2, 2], output: [1, 4, 4], ..pixels(7) };
    let grouped =
        ConvShape { strides: [1, 2, 2], output: [1, 4, 4], in_channels: 80, out_channels: 100, groups: 2, ..few };
    let patches = ConvShape { out_channels: 130, dilation: [1, 2, 1], pad: [0, 2, 1], ..few };
    let strided_patches = ConvShape { out_channels: 130, ..strided };
    for shape in [pixels(1), pixels(7), pixels(11), dense, few, strided, grouped, patches, strided_patches] {
        let (x, w) = (random.values::<f32>(shape.input_len()), random.values::<f32>(shape.kernel_len()));
        let bias = random.values::<f32>(shape.out_channels);
        let end = Epilogue { bias: Some(&bias), activation: Activation::RELU, accumulate: false };
        assert_eq!(prepared_len(&shape, true, DType::F32), None);
        let mut kernel = vec![0.0; prepared_len(&shape, false, DType::F32).expect("few pixels")];
        prepare(&pool, &shape, &w, &mut kernel);
        let [mut plain, mut prepared] = [(); 2].map(|()| vec![0.0; shape.output_len()]);
        conv_forward(&pool, &shape, &x, &w, &mut plain, end, &mut scratch);
        conv_forward_prepared(&pool, &shape, &x, &kernel, &mut prepared, end, None, &mut scratch);
        assert_eq!(plain, prepared, "{shape:?}");
    }
    let none = ConvShape { batch: 0, ..strided };
    let kernel = vec![0.0; prepared_len(&none, false, DType::F32).expect("few pixels")];
    conv_forward_prepared::<f32>(&pool, &none, &[], &kernel, &mut [], Epilogue::default(), None, &mut scratch);
    let many = ConvShape { batch: 300, ..strided };
    for shape in [pixels(12), many] {
        assert_eq!(prepared_len(&shape, false, DType::F32), None, "{shape:?}");
    }
}

#[test]
fn a_prepared_kernel_gives_the_same_bits() {
    check_prepared::<f32>();
    if crate::gemm::has_native_bfloat16() {
        check_prepared::<bf16>();
    }
}

fn check_prepared<T: ConvElement>() {
    let shape = ConvShape { input: [1, 14, 13], output: [1, 12, 13], pad: [0, 0, 1], ..same(1, 14, 3, 1, [20, 33]) };
    let mut random = Random::new(5);
    let (x, w) = (random.values::<T>(shape.input_len()), random.values::<T>(shape.kernel_len()));
    let bias = random.values::<T>(shape.out_channels);
    let end = Epilogue { bias: Some(&bias), activation: Activation::RELU, accumulate: false };
    let (pool, mut scratch) = (ThreadPool::new(2), Scratch::new());
    let mut kernel = vec![0.0; prepared_len(&shape, true, T::DTYPE).expect("a shape for Winograd's algorithm")];
    prepare(&pool, &shape, &w, &mut kernel);
    let [mut plain, mut prepared] = [(); 2].map(|()| vec![T::ZERO; shape.output_len()]);
    conv_forward(&pool, &shape, &x, &w, &mut plain, end, &mut scratch);
    conv_forward_prepared(&pool, &shape, &x, &kernel, &mut prepared, end, None, &mut scratch);
    assert_eq!(plain, prepared);
    let [mut plain, mut prepared] = [(); 2].map(|()| (vec![T::ZERO; shape.pooled_len()], vec![9; shape.pooled_len()]));
    conv_pool_forward(&pool, &shape, &x, &w, end, &mut plain.0, &mut plain.1, &mut scratch);
    conv_pool_forward_prepared(&pool, &shape, &x, &kernel, end, &mut prepared.0, &mut prepared.1, &mut scratch);
    assert_eq!(plain, prepared);
}

#[test]
fn a_fused_program_receives_each_result_once() {
    let (mut scratch, mut random) = (Scratch::new(), Random::new(15));
    let square = |kernel: usize, stride: usize, channels: [usize; 2], groups: usize| ConvShape {
        input: [1, 13, 21],
        output: [1, 13usize.div_ceil(stride), 21usize.div_ceil(stride)],
        pad: [0, kernel / 2, kernel / 2],
        ..same(2, 1, kernel, stride, channels).in_groups(groups)
    };
    let shapes = [
        square(1, 1, [7, 40], 1),
        square(3, 1, [5, 5], 5),
        square(3, 1, [40, 40], 40),
        square(3, 2, [33, 33], 33),
        square(2, 1, [16, 16], 16),
    ];
    for shape in shapes.map(|shape| ConvShape { pad: shape.pad.map(|pad| pad.min(1)), ..shape }) {
        assert!(can_fuse(&shape, DType::F32), "{shape:?}");
        let (x, w) = (random.values::<f32>(shape.input_len()), random.values::<f32>(shape.kernel_len()));
        let bias = random.values::<f32>(shape.out_channels);
        let end = Epilogue { bias: Some(&bias), activation: Activation::RELU, accumulate: false };
        let mut plain = vec![0.0; shape.output_len()];
        conv_forward(&ThreadPool::new(1), &shape, &x, &w, &mut plain, end, &mut scratch);
        for threads in [1, 3] {
            let (pool, mut unused) = (ThreadPool::new(threads), vec![0.0; shape.output_len()]);
            let found: Vec<_> = (0..plain.len()).map(|_| std::sync::atomic::AtomicU32::new(u32::MAX)).collect();
            let store = |start: usize, part: &mut [f32]| {
                for (found, value) in found[start..].iter().zip(part) {
                    let before = found.swap(value.to_bits(), std::sync::atomic::Ordering::Relaxed);
                    assert_eq!(before, u32::MAX, "an element twice");
                }
            };
            conv_forward_fused(&pool, &shape, &x, &w, &mut unused, end, &store, &mut scratch);
            let found: Vec<f32> =
                found.iter().map(|v| f32::from_bits(v.load(std::sync::atomic::Ordering::Relaxed))).collect();
            assert_eq!(found, plain, "{shape:?}");
        }
    }
    assert!(!can_fuse(&square(3, 1, [8, 8], 1), DType::F32));
    assert!(!can_fuse(&square(3, 1, [8, 8], 8), DType::BF16));
}
