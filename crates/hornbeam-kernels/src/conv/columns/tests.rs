use super::super::tests::{check, same, valid};
use super::super::*;
use super::{is_preferred_for_forward, is_preferred_for_input_grad, is_preferred_for_kernel_grad};
use crate::simd::{on_each_isa, with_isa, Isa};
use crate::testing::Random;

/// First layers of real networks, smaller: several strips, strides above and below the extent of the kernel.
fn first_layers() -> [ConvShape; 11] {
    let line = ConvShape { input: [1, 1, 500], output: [1, 1, 106], ..same(2, 1, 1, 1, [1, 24]) };
    let long = ConvShape { input: [1, 1, 15_000], output: [1, 1, 7461], ..same(1, 1, 1, 1, [1, 5]) };
    let volume = ConvShape { input: [5, 9, 9], output: [5, 9, 9], ..same(2, 9, 3, 1, [3, 20]) };
    let sparse = ConvShape { dilation: [1, 2, 3], pad: [0, 2, 3], ..same(2, 17, 3, 1, [2, 16]) };
    [
        same(2, 61, 7, 2, [3, 64]),
        same(1, 67, 11, 4, [3, 40]),
        same(3, 32, 4, 4, [3, 96]),
        same(1, 32, 16, 16, [3, 200]),
        same(5, 28, 5, 1, [1, 6]),
        valid(9, 13, 3, [12, 33]),
        same(1, 40, 9, 1, [3, 32]),
        ConvShape { kernel: [1, 1, 80], strides: [1, 1, 4], ..line },
        // A row of several parts.
        ConvShape { kernel: [1, 1, 80], strides: [1, 1, 2], ..long },
        ConvShape { kernel: [3, 3, 3], pad: [1; 3], ..volume },
        sparse,
    ]
}

#[test]
fn input_gradients_of_first_layers() {
    let mut random = Random::new(21);
    for shape in first_layers() {
        assert!(is_preferred_for_input_grad(&shape), "{shape:?}");
        on_each_isa(|_| check::<f32>(&mut random, &shape, 2e-6));
        check::<f64>(&mut random, &shape, 3e-15);
    }
}

#[test]
fn last_layers() {
    let mut random = Random::new(22);
    let narrow = ConvShape { input: [1, 9, 40], output: [1, 9, 40], ..same(2, 9, 3, 1, [20, 3]) };
    // Padding beyond the kernel: positions without any tap.
    let padded = ConvShape { pad: [0, 3, 4], output: [1, 14, 15], ..same(1, 10, 3, 1, [16, 2]) };
    for shape in [same(2, 30, 3, 1, [64, 1]), same(3, 21, 3, 1, [48, 12]), valid(1, 12, 5, [17, 4]), narrow, padded] {
        assert!(
            is_preferred_for_forward(&shape) && (is_preferred_for_kernel_grad(&shape) || shape == padded),
            "{shape:?}"
        );
        on_each_isa(|_| check::<f32>(&mut random, &shape, 2e-6));
        check::<f64>(&mut random, &shape, 3e-15);
    }
}

#[test]
fn instruction_sets_and_strips_give_the_same_bits() {
    let mut random = Random::new(23);
    for shape in first_layers() {
        // With many images there is one strip for each.
        let many = ConvShape { batch: 16, ..shape };
        let (w, dy) = (random.values::<f32>(shape.kernel_len()), random.values::<f32>(shape.output_len()));
        let copies = dy.repeat(16 / shape.batch + 1);
        let pool = ThreadPool::new(1);
        let gradient = |shape: &ConvShape, dy: &[f32]| {
            let mut dx = vec![0.0; shape.input_len()];
            conv_input_grad(&pool, shape, &dy[..shape.output_len()], &w, &mut dx, &mut Scratch::new());
            dx
        };
        let want = gradient(&shape, &dy);
        assert!(gradient(&many, &copies)[..want.len()] == want, "{shape:?}");
        for isa in Isa::available().into_iter().filter(|isa| *isa != Isa::Portable) {
            assert!(with_isa(isa, || gradient(&shape, &dy)) == want, "{isa:?}: {shape:?}");
        }
    }
}
