//! Convolutions, forward and backward.

use crate::{cases, floats, guarded, on_threads};
use hornbeam_kernels::conv::{
    conv_backward, conv_forward, conv_forward_prepared, conv_input_grad, conv_kernel_grad, conv_pool_forward, prepare,
    prepared_len, ConvShape, OutputGrad,
};
use hornbeam_kernels::dtype::{bf16, DType};
use hornbeam_kernels::gemm::{Activation, Epilogue};
use hornbeam_kernels::scratch::Scratch;
use hornbeam_kernels::simd::{with_isa, Isa};
use proptest::prelude::*;

/// Extent, window, stride, dilation, and padding before and after, of one axis.
type Axis = (usize, usize, usize, usize, usize, usize);

fn axis(max: usize) -> impl Strategy<Value = Axis> {
    (1..max, 1usize..5, 1usize..4, 1usize..3, 0usize..4, 0usize..4)
}

/// Axes (depth, height, width), of which one, two or three have extents above 1.
fn axes() -> impl Strategy<Value = [Axis; 3]> {
    let unit = (1, 1, 1, 1, 0, 0);
    prop_oneof![
        1 => axis(40).prop_map(move |w| [unit, unit, w]),
        3 => (axis(16), axis(16)).prop_map(move |(h, w)| [unit, h, w]),
        1 => (axis(7), axis(7), axis(7)).prop_map(|(d, h, w)| [d, h, w]),
    ]
}

/// Convolution whose window fits at least once.
fn convolution() -> impl Strategy<Value = ConvShape> {
    let channels = prop_oneof![
        3 => (1usize..4, 1usize..9, 1usize..20),
        1 => (2usize..40).prop_map(|groups| (groups, 1, 1)),
        // Enough channels for every algorithm.
        1 => (Just(1), 16usize..40, 16usize..40),
    ];
    // Often 3x3 with stride 1, for which Winograd's algorithm applies.
    (1usize..4, axes(), channels, 0usize..3).prop_map(|(batch, axes, (groups, inputs, outputs), plain)| {
        let mut shape = ConvShape {
            batch,
            input: [1; 3],
            output: [1; 3],
            kernel: [1; 3],
            strides: [1; 3],
            dilation: [1; 3],
            pad: [0; 3],
            in_channels: groups * inputs,
            out_channels: groups * outputs,
            groups,
        };
        for (a, (extent, window, stride, dilation, before, after)) in axes.into_iter().enumerate() {
            let (window, stride, dilation) =
                if plain == 0 && extent > 1 { (3, 1, 1) } else { (window, stride, dilation) };
            let span = (window - 1) * dilation + 1;
            let (before, after) = (before.min(span - 1), after.min(span - 1));
            shape.input[a] = extent;
            (shape.kernel[a], shape.strides[a], shape.dilation[a]) = (window, stride, dilation);
            shape.pad[a] = before;
            shape.output[a] = ((extent + before + after).max(span) - span) / stride + 1;
        }
        shape
    })
}

/// Calls `body(x index, w index, y index)` for every product of the definition.
fn products(s: &ConvShape, mut body: impl FnMut(usize, usize, usize)) {
    let (group_in, group_out) = (s.in_channels / s.groups, s.out_channels / s.groups);
    let [outputs, taps]: [usize; 2] = [s.output, s.kernel].map(|extents| extents.iter().product());
    let split = |i: usize, [_, h, w]: [usize; 3]| [i / (h * w), i / w % h, i % w];
    for (n, o, t) in (0..s.batch).flat_map(|n| (0..outputs).flat_map(move |o| (0..taps).map(move |t| (n, o, t)))) {
        let (at, tap) = (split(o, s.output), split(t, s.kernel));
        let input_position = |a: usize| (at[a] * s.strides[a] + tap[a] * s.dilation[a]).checked_sub(s.pad[a]);
        let Some(x) =
            (0..3).try_fold(n, |x, a| input_position(a).filter(|&p| p < s.input[a]).map(|p| x * s.input[a] + p))
        else {
            continue;
        };
        for k in 0..s.out_channels {
            for c in 0..group_in {
                let x = x * s.in_channels + k / group_out * group_in + c;
                body(x, (t * group_in + c) * s.out_channels + k, (n * outputs + o) * s.out_channels + k);
            }
        }
    }
}

/// Sums of the definition, and sums of magnitudes for error bounds.
struct Sums(Vec<(f64, f64)>);

impl Sums {
    fn new(n: usize) -> Sums {
        Sums(vec![(0.0, 0.0); n])
    }

    fn add(&mut self, at: usize, term: f64) {
        self.0[at].0 += term;
        self.0[at].1 += term.abs();
    }

    fn agree(&self, name: &str, got: &[f32]) -> Result<(), TestCaseError> {
        for (i, (got, (want, size))) in got.iter().zip(&self.0).enumerate() {
            let error = (f64::from(*got) - want).abs();
            prop_assert!(error <= 3e-6 * (size + 1e-3), "{name}: {got} for {want} at {i}");
        }
        Ok(())
    }
}

fn convolve(shape: &ConvShape, seed: u64, bias: bool, relu: bool) -> Result<(), TestCaseError> {
    let (x, w) = (floats(shape.input_len(), seed), floats(shape.kernel_len(), seed ^ 1));
    let (dy, offsets) = (floats(shape.output_len(), seed ^ 2), floats(shape.out_channels, seed ^ 3));
    let activation = if relu { Activation::RELU } else { Activation::None };
    let end = Epilogue { bias: bias.then_some(&offsets[..]), activation, accumulate: false };
    let (mut y, mut dx, mut dw) = (Sums::new(dy.len()), Sums::new(x.len()), Sums::new(w.len()));
    let mut db = Sums::new(shape.out_channels);
    products(shape, |i, j, k| {
        y.add(k, f64::from(x[i]) * f64::from(w[j]));
        dx.add(i, f64::from(dy[k]) * f64::from(w[j]));
        dw.add(j, f64::from(x[i]) * f64::from(dy[k]));
    });
    for k in 0..dy.len() {
        if bias {
            y.add(k, f64::from(offsets[k % shape.out_channels]));
        }
        if relu {
            y.0[k].0 = y.0[k].0.max(0.0);
        }
        db.add(k % shape.out_channels, f64::from(dy[k]));
    }
    let got =
        on_threads(|pool| guarded(dy.len(), 9.0, |y| conv_forward(pool, shape, &x, &w, y, end, &mut Scratch::new())))?;
    y.agree("forward", &got)?;
    if let Some(floats) = prepared_len(shape, false, DType::F32) {
        let prepared = on_threads(|pool| {
            let kernel = guarded(floats, 9.0, |kernel| prepare(pool, shape, &w, kernel));
            guarded(dy.len(), 9.0, |y| {
                conv_forward_prepared(pool, shape, &x, &kernel, y, end, None, &mut Scratch::new())
            })
        })?;
        prop_assert!(prepared == got, "a prepared kernel changes the bits");
    }
    let separate = on_threads(|pool| {
        let scratch = &mut Scratch::new();
        let into = guarded(x.len(), 9.0, |dx| conv_input_grad(pool, shape, &dy, &w, dx, scratch));
        [into, guarded(w.len(), 9.0, |dw| conv_kernel_grad(pool, shape, &x, &dy, dw, scratch))]
    })?;
    dx.agree("input gradient", &separate[0])?;
    dw.agree("kernel gradient", &separate[1])?;
    let combined = on_threads(|pool| {
        let (mut results, mut dw, mut db) = (vec![], vec![9.0; w.len()], vec![9.0; shape.out_channels]);
        results.push(guarded(x.len(), 9.0, |dx| {
            let grad = OutputGrad::Plain(&dy[..]);
            conv_backward(pool, shape, &x, &w, grad, Some(dx), Some(&mut dw), Some(&mut db), &mut Scratch::new())
        }));
        results.extend([dw, db]);
        results
    })?;
    dx.agree("combined input gradient", &combined[0])?;
    dw.agree("combined kernel gradient", &combined[1])?;
    db.agree("bias gradient", &combined[2])?;
    pooled(shape, &x, &w, end, &got)
}

/// Checks fused pooling against pooling of the convolution.
fn pooled(shape: &ConvShape, x: &[f32], w: &[f32], end: Epilogue<f32>, unpooled: &[f32]) -> Result<(), TestCaseError> {
    let n = shape.pooled_len();
    let [y, codes] = on_threads(|pool| {
        let mut codes = vec![9u8; n];
        let y = guarded(n, 9.0, |y| {
            conv_pool_forward(pool, shape, x, w, end, y, &mut codes, &mut Scratch::new());
        });
        [y, codes.into_iter().map(f32::from).collect()]
    })?;
    let [_, height, width] = shape.output;
    let channels = shape.out_channels;
    for (i, got) in y.iter().enumerate() {
        let (pixel, c) = (i / channels, i % channels);
        let (image, h, w) =
            (pixel / ((height / 2) * (width / 2)), pixel / (width / 2) % (height / 2), pixel % (width / 2));
        let at = |k: usize| unpooled[((image * height + 2 * h + k / 2) * width + 2 * w + k % 2) * channels + c];
        let best = (0..4).map(at).fold(f32::NEG_INFINITY, f32::max);
        prop_assert!((got - best).abs() <= 1e-4 * (1.0 + best.abs()), "{got} for {best}");
        prop_assert!(codes[i] <= 4.0, "code out of range");
    }
    Ok(())
}

/// Checks against the error bound of sums of `terms` products of numbers between -1 and 1 in `bfloat16`: about twice the
/// largest error of Winograd's algorithm with points of that type, and the rounding of the result.
fn check_rounded(name: &str, got: &[bf16], want: &Sums, terms: usize) -> Result<(), TestCaseError> {
    let size = (terms as f64).sqrt() / 3.0;
    for (i, (got, (want, _))) in got.iter().zip(&want.0).enumerate() {
        let error = (f64::from(*got) - want).abs();
        prop_assert!(error <= 0.15 * size + want.abs() / 256.0, "{name}: {got} for {want} at {i}");
    }
    Ok(())
}

fn convolve_rounded(shape: &ConvShape, seed: u64) -> Result<(), TestCaseError> {
    let values = |n, seed| floats(n, seed).into_iter().map(bf16::from_f32).collect::<Vec<_>>();
    let (x, w) = (values(shape.input_len(), seed), values(shape.kernel_len(), seed ^ 1));
    let dy = values(shape.output_len(), seed ^ 2);
    let (mut y, mut dx, mut dw) = (Sums::new(dy.len()), Sums::new(x.len()), Sums::new(w.len()));
    products(shape, |i, j, k| {
        y.add(k, f64::from(x[i]) * f64::from(w[j]));
        dx.add(i, f64::from(dy[k]) * f64::from(w[j]));
        dw.add(j, f64::from(x[i]) * f64::from(dy[k]));
    });
    let (end, nine) = (Epilogue::default(), bf16::from_f32(9.0));
    let got = on_threads(|pool| {
        let scratch = &mut Scratch::new();
        let (mut results, mut codes) = (vec![], vec![0; shape.pooled_len()]);
        results.push(guarded(dy.len(), nine, |y| conv_forward(pool, shape, &x, &w, y, end, scratch)));
        results.push(guarded(x.len(), nine, |dx| conv_input_grad(pool, shape, &dy, &w, dx, scratch)));
        results.push(guarded(w.len(), nine, |dw| conv_kernel_grad(pool, shape, &x, &dy, dw, scratch)));
        let mut gradients = [vec![nine; w.len()], vec![nine; shape.out_channels]];
        results.push(guarded(x.len(), nine, |dx| {
            let (grad, [dw, db]) = (OutputGrad::Plain(&dy[..]), &mut gradients);
            conv_backward(pool, shape, &x, &w, grad, Some(dx), Some(dw), Some(db), scratch)
        }));
        results.extend(gradients);
        results.push(guarded(shape.pooled_len(), nine, |y| {
            conv_pool_forward(pool, shape, &x, &w, end, y, &mut codes, scratch);
        }));
        results
    })?;
    let taps: usize = shape.kernel.iter().product();
    let (inputs, outputs) = (taps * shape.in_channels / shape.groups, taps * shape.out_channels / shape.groups);
    let pixels = dy.len() / shape.out_channels;
    check_rounded("forward", &got[0], &y, inputs)?;
    for (kind, first) in [("separate", 1), ("combined", 3)] {
        check_rounded(&format!("{kind} input gradient"), &got[first], &dx, outputs)?;
        check_rounded(&format!("{kind} kernel gradient"), &got[first + 1], &dw, pixels)?;
    }
    let mut db = Sums::new(shape.out_channels);
    dy.iter().enumerate().for_each(|(k, dy)| db.add(k % shape.out_channels, f64::from(*dy)));
    check_rounded("bias gradient", &got[5], &db, pixels)?;
    let [_, height, width] = shape.output;
    let mut pooled = Sums::new(shape.pooled_len());
    for (i, (max, _)) in pooled.0.iter_mut().enumerate() {
        let (pixel, c) = (i / shape.out_channels, i % shape.out_channels);
        let [image, h, w] =
            [pixel / (height / 2 * (width / 2)), pixel / (width / 2) % (height / 2), pixel % (width / 2)];
        let at = |k: usize| ((image * height + 2 * h + k / 2) * width + 2 * w + k % 2) * shape.out_channels + c;
        *max = (0..4).map(|k| y.0[at(k)].0).fold(f64::NEG_INFINITY, f64::max);
    }
    check_rounded("pooled", &got[6], &pooled, inputs)
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn convolutions_agree_with_plain_loops(shape in convolution(), seed: u64, bias: bool, relu: bool) {
        for isa in Isa::available() {
            with_isa(isa, || convolve(&shape, seed, bias, relu))?;
        }
    }

    #[test]
    fn rounded_convolutions_agree_with_plain_loops(shape in convolution(), seed: u64) {
        convolve_rounded(&shape, seed)?;
    }
}
