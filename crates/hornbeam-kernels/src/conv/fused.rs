//! Convolutions with what surrounds them in a network: pooling behind the forward pass, and one backward pass for all
//! gradients, in which the gradient of the output may still be that of the relu or of the pooling behind it.

use super::kernel_grad::kernel_grad;
use super::{cast, cast_epilogue, cast_mut, half, select_algorithm, winograd, Algorithm};
use super::{conv_forward, conv_input_grad, conv_kernel_grad, ConvElement, ConvShape};
use crate::dtype::{bf16, f16, DType, Element};
use crate::gemm::{Activation, Epilogue};
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Plain, Scratch};
use crate::window::PoolElement;
use std::ops::Range;

/// The code of a pooled value whose gradient goes nowhere: the relu was off.
pub const MASKED: u8 = 4;

/// Where the gradient of a convolution's output comes from.
#[derive(Clone, Copy)]
pub enum OutputGrad<'a, T> {
    /// As it is.
    Plain(&'a [T]),
    /// Through a relu whose result was `y`: `dy` where `y > 0`, else 0.
    Relu { dy: &'a [T], y: &'a [T] },
    /// Through a 2x2 max pooling with steps of 2: the gradients of the pooled values, and for each the place in its
    /// window (0..=3 in row order), or [`MASKED`].
    Pooled { dy: &'a [T], codes: &'a [u8] },
}

impl<'a, T: Plain> OutputGrad<'a, T> {
    /// The same under the name of its type.
    pub(super) fn cast<U: Plain>(self) -> OutputGrad<'a, U> {
        match self {
            OutputGrad::Plain(dy) => OutputGrad::Plain(cast(dy)),
            OutputGrad::Relu { dy, y } => OutputGrad::Relu { dy: cast(dy), y: cast(y) },
            OutputGrad::Pooled { dy, codes } => OutputGrad::Pooled { dy: cast(dy), codes },
        }
    }
}

impl ConvShape {
    /// Height and width behind a 2x2 pooling.
    fn pooled(&self) -> [usize; 2] {
        [self.output[1] / 2, self.output[2] / 2]
    }

    /// Elements behind a 2x2 pooling.
    pub fn pooled_len(&self) -> usize {
        self.batch * self.output[0] * self.pooled().iter().product::<usize>() * self.out_channels
    }
}

/// A number as one of a type that holds all of its values.
pub(super) trait Widens<O>: Element {
    fn widened(self) -> O;
}

impl<T: Element> Widens<T> for T {
    #[inline(always)]
    fn widened(self) -> T {
        self
    }
}

impl Widens<f32> for f16 {
    #[inline(always)]
    fn widened(self) -> f32 {
        self.to_acc()
    }
}

impl Widens<f32> for bf16 {
    #[inline(always)]
    fn widened(self) -> f32 {
        self.to_acc()
    }
}

/// Rows that one task pools or expands: about this many elements.
const TASK: usize = 1 << 14;
/// Partial sums of a bias gradient.
const PARTIALS: usize = 16;

/// `y = max_pool(activation(conv(x, w) + bias))` over windows of 2x2 with steps of 2, depth by depth, and for each
/// value the place in its window (0..=3 in row order). The first maximum wins, and NaN wins over numbers. Behind a
/// relu the code is [`MASKED`] where the value is not above 0. An odd last row or column is left out.
///
/// # Panics
/// When a slice does not have the shape's length, or when the epilogue accumulates.
pub fn conv_pool_forward<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    w: &[T],
    epilogue: Epilogue<T>,
    y: &mut [T],
    codes: &mut [u8],
    scratch: &mut Scratch,
) {
    assert!(!epilogue.accumulate, "a pooled convolution has nothing to add to");
    assert_eq!(y.len(), shape.pooled_len(), "y does not fit {shape:?} pooled");
    assert_eq!(codes.len(), y.len(), "one code for each pooled value");
    shape.check(x.len(), w.len(), shape.output_len());
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == shape.out_channels), "one bias for each output channel");
    match T::DTYPE {
        DType::F16 => {
            let (x, w, y) = (cast::<T, f16>(x), cast(w), cast_mut(y));
            return half::pool_forward(pool, shape, x, w, cast_epilogue(epilogue), y, codes, scratch);
        }
        DType::BF16 => {
            let (x, w, y) = (cast::<T, bf16>(x), cast(w), cast_mut(y));
            return half::pool_forward(pool, shape, x, w, cast_epilogue(epilogue), y, codes, scratch);
        }
        _ => {}
    }
    if select_algorithm(shape, T::DTYPE) == Algorithm::Winograd {
        let (x, w, y) = (cast(x), winograd::Kernel::Taps(cast(w)), cast_mut(y));
        return winograd::pool_forward::<f32>(pool, shape, x, w, cast_epilogue(epilogue), y, codes, scratch);
    }
    with_local(|local| {
        let whole = local.take::<T>(shape.output_len());
        conv_forward(pool, shape, x, w, whole, epilogue, scratch);
        let [height, width] = shape.pooled();
        let line = width * shape.out_channels;
        let (whole, relu) = (&*whole, epilogue.activation == Activation::Relu);
        let rows_of = pool_rows::<T>();
        let (y, codes) = (SharedMut::new(y), SharedMut::new(codes));
        if line > 0 {
            pool.run_ranges(shape.batch * shape.output[0] * height, TASK.div_ceil(line), &|rows| {
                let range = rows.start * line..rows.end * line;
                // SAFETY: ranges of rows are disjoint; the function is compiled for this machine.
                unsafe { rows_of(shape, rows, whole, relu, y.range(range.clone()), codes.range(range)) };
            });
        }
    });
}

/// All gradients of [`conv_forward`] that are asked for: in the input, in the kernel, in the bias. Only the kernel's
/// needs `x`, and only the input's needs `w`: where they are not needed they may be empty.
///
/// # Panics
/// When a slice does not have the shape's length.
pub fn conv_backward<T: ConvElement>(
    pool: &ThreadPool,
    shape: &ConvShape,
    x: &[T],
    w: &[T],
    grad: OutputGrad<T>,
    dx: Option<&mut [T]>,
    mut dw: Option<&mut [T]>,
    db: Option<&mut [T]>,
    scratch: &mut Scratch,
) {
    check(shape, &grad);
    if let Some(dx) = &dx {
        assert_eq!(dx.len(), shape.input_len(), "dx does not fit {shape:?}");
        assert_eq!(w.len(), shape.kernel_len(), "w does not fit {shape:?}");
    }
    if let Some(dw) = &dw {
        assert_eq!(dw.len(), shape.kernel_len(), "dw does not fit {shape:?}");
        assert_eq!(x.len(), shape.input_len(), "x does not fit {shape:?}");
    }
    assert!(db.as_ref().is_none_or(|db| db.len() == shape.out_channels), "one bias for each output channel");
    match T::DTYPE {
        DType::F16 => {
            let [dx, dw, db] = [dx, dw, db].map(|part| part.map(cast_mut::<T, f16>));
            return half::backward(pool, shape, cast(x), cast(w), grad.cast(), dx, dw, db, scratch);
        }
        DType::BF16 => {
            let [dx, dw, db] = [dx, dw, db].map(|part| part.map(cast_mut::<T, bf16>));
            return half::backward(pool, shape, cast(x), cast(w), grad.cast(), dx, dw, db, scratch);
        }
        _ => {}
    }
    let algorithm = select_algorithm(shape, T::DTYPE);
    if algorithm == Algorithm::Winograd {
        let [dx, dw, db] = [dx, dw, db].map(|part| part.map(cast_mut));
        return winograd::backward::<f32>(pool, shape, cast(x), cast(w), grad.cast(), dx, dw, db, scratch);
    }
    // The first layer of a network, as a rule: nothing asks for the gradient of its input.
    if let (Algorithm::Direct, DType::F32, None, Some(dw)) = (algorithm, T::DTYPE, &dx, &mut dw) {
        return kernel_grad(
            pool,
            shape,
            cast(x),
            grad.cast::<f32>(),
            cast_mut::<T, f32>(dw),
            db.map(cast_mut),
            scratch,
        );
    }
    with_local(|local| {
        let dy = match grad {
            OutputGrad::Plain(dy) => dy,
            OutputGrad::Relu { dy, y } => {
                let whole = local.take::<T>(shape.output_len());
                let masked = mask::<T, T>();
                pool.run_chunks(whole, TASK, &|i, to| {
                    let range = i * TASK..i * TASK + to.len();
                    // SAFETY: compiled for this machine; the body asks nothing else.
                    unsafe { masked(&dy[range.clone()], &y[range], to) };
                });
                whole
            }
            OutputGrad::Pooled { dy, codes } => {
                let whole = local.take::<T>(shape.output_len());
                let expanded = expand_row::<T, T>();
                pool.run_chunks(whole, shape.output[2] * shape.out_channels, &|row, to| {
                    // SAFETY: compiled for this machine; the body asks nothing else.
                    unsafe { expanded(shape, row, dy, codes, to) };
                });
                whole
            }
        };
        if let Some(db) = db {
            bias_grad(pool, shape, dy, db, scratch);
        }
        if let Some(dw) = dw {
            conv_kernel_grad(pool, shape, x, dy, dw, scratch);
        }
        if let Some(dx) = dx {
            conv_input_grad(pool, shape, dy, w, dx, scratch);
        }
    });
}

fn check<T>(shape: &ConvShape, grad: &OutputGrad<T>) {
    match grad {
        OutputGrad::Plain(dy) => assert_eq!(dy.len(), shape.output_len(), "dy does not fit {shape:?}"),
        OutputGrad::Relu { dy, y } => {
            assert_eq!(dy.len(), shape.output_len(), "dy does not fit {shape:?}");
            assert_eq!(y.len(), dy.len(), "one result for each gradient");
        }
        OutputGrad::Pooled { dy, codes } => {
            assert_eq!(dy.len(), shape.pooled_len(), "dy does not fit {shape:?} pooled");
            assert_eq!(codes.len(), dy.len(), "one code for each gradient");
        }
    }
}

/// Sums of columns, in the type that sums are carried in.
fn bias_grad<T: ConvElement>(pool: &ThreadPool, shape: &ConvShape, dy: &[T], db: &mut [T], scratch: &mut Scratch) {
    let channels = shape.out_channels;
    assert_eq!(db.len(), channels, "one bias for each output channel");
    if channels == 0 {
        return;
    }
    let rows = dy.len() / channels;
    let sums = scratch.take::<T::Acc>(PARTIALS * channels);
    let add = sum_rows::<T>();
    pool.run_chunks(sums, channels, &|i, sums| {
        sums.fill(<T::Acc as Element>::ZERO);
        let range = i * rows / PARTIALS * channels..(i + 1) * rows / PARTIALS * channels;
        // SAFETY: compiled for this machine; the body asks nothing else.
        unsafe { add(&dy[range], sums) };
    });
    for (c, db) in db.iter_mut().enumerate() {
        let column = sums[c..].iter().step_by(channels);
        *db = T::from_acc(column.fold(<T::Acc as Element>::ZERO, |sum, part| T::plus(sum, *part)));
    }
}

multiversion! {
    unsafe fn pool_rows[S, T: Element](
        shape: &ConvShape, rows: Range<usize>, x: &[T], relu: bool, y: &mut [T], codes: &mut [u8],
    ) {
        let [height, width] = [shape.output[1] / 2, shape.output[2] / 2];
        let c = shape.out_channels;
        let line = shape.output[2] * c;
        let pixels = y.chunks_exact_mut(c).zip(codes.chunks_exact_mut(c));
        for (index, (y, codes)) in pixels.enumerate() {
            let (row, w) = (rows.start + index / width, index % width);
            let first = (row / height * shape.output[1] + row % height * 2) * line + w * 2 * c;
            y.copy_from_slice(&x[first..first + c]);
            codes.fill(0);
            for (place, from) in [(1, first + c), (2, first + line), (3, first + line + c)] {
                for ((y, code), x) in y.iter_mut().zip(&mut *codes).zip(&x[from..from + c]) {
                    let (new, old) = (x.to_acc(), y.to_acc());
                    let wins = (new > old) | (new.is_nan() & !old.is_nan());
                    *y = if wins { *x } else { *y };
                    *code = if wins { place } else { *code };
                }
            }
            if relu {
                for (y, code) in y.iter().zip(codes) {
                    *code = if y.to_acc() > <T::Acc as Element>::ZERO { *code } else { MASKED };
                }
            }
        }
    }

    pub(super) unsafe fn mask[S, O: Element, T: Widens<O>](dy: &[T], y: &[T], to: &mut [O]) {
        for ((to, dy), y) in to.iter_mut().zip(dy).zip(y) {
            *to = if y.to_acc() > <T::Acc as Element>::ZERO { dy.widened() } else { O::ZERO };
        }
    }

    pub(super) unsafe fn expand_row[S, O: Element, T: Widens<O>](
        shape: &ConvShape, row: usize, dy: &[T], codes: &[u8], to: &mut [O],
    ) {
        let [height, width] = [shape.output[1] / 2, shape.output[2] / 2];
        let c = shape.out_channels;
        let (image, h) = (row / shape.output[1], row % shape.output[1]);
        if h / 2 >= height {
            to.fill(O::ZERO);
            return;
        }
        let line = (image * height + h / 2) * width * c;
        for (w, to) in to.chunks_exact_mut(c).enumerate() {
            if w / 2 >= width {
                to.fill(O::ZERO);
                continue;
            }
            let place = (h % 2 * 2 + w % 2) as u8;
            let from = line + w / 2 * c;
            for ((to, dy), code) in to.iter_mut().zip(&dy[from..from + c]).zip(&codes[from..from + c]) {
                *to = if *code == place { dy.widened() } else { O::ZERO };
            }
        }
    }

    /// Adds rows up.
    pub(super) unsafe fn sum_rows[S, T: PoolElement](x: &[T], sums: &mut [T::Acc]) {
        for x in x.chunks_exact(sums.len()) {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = T::plus(*sum, x.to_acc());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::tests::{same, valid};
    use crate::simd::{with_isa, Isa};
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

    /// What `grad` says about each element of the convolution's output.
    fn whole<T: ConvElement>(shape: &ConvShape, grad: &OutputGrad<T>) -> Vec<T> {
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

    /// How far apart results may be that two algorithms compute, relative to the root mean square.
    fn near<T: Element>(what: &str, shape: &ConvShape, got: &[T], want: &[T]) {
        let (got, want): (Vec<f64>, Vec<f64>) = got.iter().zip(want).map(|(g, w)| (g.to_f64(), w.to_f64())).unzip();
        let rms = (want.iter().map(|v| v * v).sum::<f64>() / want.len() as f64).sqrt();
        // Winograd's transforms; one rounding of a sum that may be several times the root mean square.
        let bound = match T::DTYPE {
            DType::F32 => 2e-5,
            DType::F64 => 1e-13,
            DType::BF16 => 0.05,
            _ => 0.0,
        };
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            let error = (got - want).abs();
            assert!(error <= bound * rms, "{what} {} at {i}: {got} for {want}, {shape:?}", T::DTYPE);
        }
    }

    fn check_forward<T: ConvElement>(random: &mut Random, shape: &ConvShape) {
        let (x, w) = (random.values::<T>(shape.input_len()), random.values::<T>(shape.kernel_len()));
        let bias = random.values::<T>(shape.out_channels);
        for activation in [Activation::None, Activation::Relu] {
            let epilogue = Epilogue { bias: Some(&bias[..]), activation, accumulate: false };
            let (pool, mut scratch) = (ThreadPool::new(2), Scratch::new());
            let mut whole = vec![T::ZERO; shape.output_len()];
            conv_forward(&pool, shape, &x, &w, &mut whole, epilogue, &mut scratch);
            let mut want = vec![T::ZERO; shape.pooled_len()];
            max_pool(&pool, &pool_shape(shape), &whole, &mut want);
            let mut before: Option<(Vec<T>, Vec<u8>)> = None;
            for threads in [1, 2, 3] {
                let pool = ThreadPool::new(threads);
                let mut y = vec![T::ONE; want.len()];
                let mut codes = vec![9; want.len()];
                conv_pool_forward(&pool, shape, &x, &w, epilogue, &mut y, &mut codes, &mut scratch);
                near("pooled", shape, &y, &want);
                // A code says where the value lies, or that there is nothing above 0.
                let spread = super::tests::whole(shape, &OutputGrad::Pooled { dy: &y, codes: &codes });
                let mut again = vec![T::ZERO; want.len()];
                max_pool(&pool, &pool_shape(shape), &spread, &mut again);
                for (i, code) in codes.iter().enumerate() {
                    let off = activation == Activation::Relu && (y[i].to_f64() <= 0.0 || y[i].is_nan());
                    assert_eq!(*code == MASKED, off, "code {code} of {:?}", y[i]);
                    assert!(off || y[i].to_f64() <= 0.0 || again[i] == y[i], "code {code} is not where {:?} is", y[i]);
                }
                let places = super::tests::whole(shape, &OutputGrad::Pooled { dy: &want, codes: &codes });
                for (place, value) in places.iter().zip(&whole).filter(|(place, _)| **place != T::ZERO) {
                    near("place", shape, &[*place], &[*value]);
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
            let whole = whole(shape, &grad);
            let (pool, mut scratch) = (ThreadPool::new(2), Scratch::new());
            let mut want = [vec![T::ZERO; x.len()], vec![T::ZERO; w.len()]];
            conv_input_grad(&pool, shape, &whole, &w, &mut want[0], &mut scratch);
            conv_kernel_grad(&pool, shape, &x, &whole, &mut want[1], &mut scratch);
            let mut bias = vec![0.0; shape.out_channels];
            for (i, value) in whole.iter().enumerate() {
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
                // Any part of it alone.
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
            ConvShape { input: [3, 9, 13], output: [3, 9, 13], ..same(2, 9, 3, 1, [16, 20]) },
            ConvShape { groups: 20, ..same(2, 10, 3, 1, [20, 20]) },
        ]
    }

    #[test]
    fn pooling_behind_a_convolution_agrees_with_the_two_apart() {
        for isa in Isa::available() {
            with_isa(isa, || {
                let mut random = Random::new(21);
                for shape in shapes() {
                    check_forward::<f32>(&mut random, &shape);
                    check_forward::<f64>(&mut random, &shape);
                    check_forward::<bf16>(&mut random, &shape);
                    check_forward::<i32>(&mut random, &shape);
                }
            });
        }
    }

    #[test]
    fn one_backward_pass_agrees_with_its_parts() {
        for isa in Isa::available() {
            with_isa(isa, || {
                let mut random = Random::new(22);
                for shape in shapes() {
                    check_backward::<f32>(&mut random, &shape);
                    check_backward::<f64>(&mut random, &shape);
                    check_backward::<bf16>(&mut random, &shape);
                    check_backward::<i32>(&mut random, &shape);
                }
            });
        }
    }

    #[test]
    fn the_first_maximum_and_nan_win() {
        let shape = ConvShape { input: [1, 2, 6], output: [1, 2, 6], ..same(1, 6, 1, 1, [1, 1]) };
        let (pool, mut scratch) = (ThreadPool::new(1), Scratch::new());
        let nan = f32::NAN;
        let x = [3.0, 3.0, -1.0, -1.0, 1.0, nan, 3.0, 3.0, -1.0, -2.0, 5.0, nan];
        for (activation, want) in [(Activation::None, [0, 0, 1]), (Activation::Relu, [0, MASKED, MASKED])] {
            let (mut y, mut codes) = ([0f32; 3], [9; 3]);
            let epilogue = Epilogue { activation, ..Epilogue::default() };
            conv_pool_forward(&pool, &shape, &x, &[1.0], epilogue, &mut y, &mut codes, &mut scratch);
            assert_eq!(codes, want);
            assert!(y[0] == 3.0 && y[2].is_nan());
        }
    }
}
