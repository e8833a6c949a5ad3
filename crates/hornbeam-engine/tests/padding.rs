//! Paddings with zeros before a convolution: they become its window's.

mod common;

use common::{buffer, compile, values, Text};
use hornbeam_engine::buffer::Buffer;

const PADDED: [usize; 4] = [2, 9, 9, 16];
const IMAGE: [usize; 4] = [2, 8, 8, 16];
const RESULT: [usize; 4] = [2, 4, 4, 16];
const KERNEL: [usize; 4] = [3, 3, 16, 16];

fn window(padding: &str) -> String {
    format!("\"strides\":[2,2],\"padding\":[{padding},{padding}],\"dilation\":[1,1],\"groups\":1")
}

/// A convolution, and the gradients of its kernel and of its input of `shape`.
fn passes(t: &mut Text, [x, w, dy]: [usize; 3], shape: &[usize], padding: &str) -> [usize; 3] {
    let window = window(padding);
    let y = t.node("conv", &[x, w], "float32", &RESULT, &window);
    let kernel = format!("\"kernel_shape\":{KERNEL:?},{window}");
    let dw = t.node("conv_kernel_grad", &[x, dy], "float32", &KERNEL, &kernel);
    let image = format!("\"input_shape\":{shape:?},{window}");
    [y, dw, t.node("conv_input_grad", &[dy, w], "float32", shape, &image)]
}

fn inputs(t: &mut Text, image: &[usize]) -> [usize; 3] {
    [image, &KERNEL, &RESULT].map(|shape| t.input("float32", shape))
}

/// The passes behind a padding of images by `value`, after the last row and the last column.
fn behind_a_padding(value: f32) -> (Text, [usize; 3]) {
    let mut t = Text::default();
    let [x, w, dy] = inputs(&mut t, &IMAGE);
    let number = t.number(value, &[]);
    let params = "\"low\":[0,0,0,0],\"high\":[0,1,1,0],\"interior\":[0,0,0,0]";
    let padded = t.node("pad", &[x, number], "float32", &PADDED, params);
    let [y, dw, gradient] = passes(&mut t, [padded, w, dy], &PADDED, "[0,0]");
    let part = "\"start\":[0,0,0,0],\"step\":[1,1,1,1]";
    let dx = t.node("slice", &[gradient], "float32", &IMAGE, part);
    (t, [y, dw, dx])
}

fn numbers(shape: &[usize]) -> Buffer {
    let value = |i: usize| (i * 7919 % 10007) as f32 / 10007.0 - 0.5;
    buffer(shape, &(0..shape.iter().product()).map(value).collect::<Vec<_>>())
}

#[test]
fn a_padding_becomes_that_of_the_window_in_all_passes() {
    let (t, outputs) = behind_a_padding(0.0);
    let mut plain = Text::default();
    let operands = inputs(&mut plain, &IMAGE);
    let of_window = passes(&mut plain, operands, &IMAGE, "[0,1]");
    let executable = compile(&t, &outputs);
    assert_eq!(executable.text(), compile(&plain, &of_window).text());

    // The values are those of a tensor that is padded by hand.
    let mut by_hand = Text::default();
    let operands = inputs(&mut by_hand, &PADDED);
    let outputs = passes(&mut by_hand, operands, &PADDED, "[0,0]");
    let image = values(&numbers(&IMAGE));
    let mut padded = vec![0.0; PADDED.iter().product()];
    let at = |n: usize, [rows, columns]: [usize; 2]| n / columns / rows * 81 + n / columns % rows * 9 + n % columns;
    for (pixel, channels) in image.chunks(16).enumerate() {
        padded[at(pixel, [8, 8]) * 16..][..16].copy_from_slice(channels);
    }
    let [w, dy] = [numbers(&KERNEL), numbers(&RESULT)];
    let folded = executable.run(vec![numbers(&IMAGE), w, dy], &[]).unwrap();
    let operands = vec![buffer(&PADDED, &padded), numbers(&KERNEL), numbers(&RESULT)];
    let mut expected: Vec<Vec<f32>> =
        compile(&by_hand, &outputs).run(operands, &[]).unwrap().iter().map(values).collect();
    expected[2] = (0..2 * 64).flat_map(|pixel| expected[2][at(pixel, [8, 8]) * 16..][..16].to_vec()).collect();
    for (folded, expected) in folded.iter().map(values).zip(expected) {
        let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        let worst = folded.iter().zip(&expected).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(folded.len() == expected.len() && largest > 0.1 && worst <= 1e-5 * largest, "{worst} of {largest}");
    }
}

#[test]
fn other_paddings_stay() {
    let (t, outputs) = behind_a_padding(1.0);
    let text = compile(&t, &outputs).text();
    assert!(text.contains("pad(") && text.contains("9x9"), "{text}");

    // Windows of padding alone, and of other axes.
    for (low, shape) in [([0, 3, 0, 0], [2, 11, 8, 16]), ([1, 0, 0, 0], [3, 8, 8, 16]), ([0, 0, 0, 1], [2, 8, 8, 17])] {
        let mut t = Text::default();
        let kernel = [3, 3, shape[3], 16];
        let (x, w) = (t.input("float32", &IMAGE), t.input("float32", &kernel));
        let zero = t.number(0.0, &[]);
        let params = format!("\"low\":{low:?},\"high\":[0,0,0,0],\"interior\":[0,0,0,0]");
        let padded = t.node("pad", &[x, zero], "float32", &shape, &params);
        let out = [shape[0], (shape[1] - 1) / 2, 3, 16];
        let y = t.node("conv", &[padded, w], "float32", &out, &window("[0,0]"));
        let text = compile(&t, &[y]).text();
        assert!(text.contains("pad("), "{text}");
    }
}

/// The maxima over 3x3 windows, 2 apart, of `x` padded with zeros, and of its relu.
fn pooled(relu: bool) -> (String, Vec<f32>) {
    let mut t = Text::default();
    let mut x = t.input("float32", &[2, 8, 8, 16]);
    let zero = t.number(0.0, &[]);
    if relu {
        let zeros = t.number(0.0, &[2, 8, 8, 16]);
        x = t.f32("max", &[x, zeros], &[2, 8, 8, 16]);
    }
    let params = "\"low\":[0,1,1,0],\"high\":[0,1,1,0],\"interior\":[0,0,0,0]";
    let padded = t.node("pad", &[x, zero], "float32", &[2, 10, 10, 16], params);
    let window = "\"window\":[3,3],\"strides\":[2,2],\"padding\":[[0,0],[0,0]]";
    let y = t.node("max_pool", &[padded], "float32", &RESULT, window);
    let executable = compile(&t, &[y]);
    let mut image = values(&numbers(&IMAGE));
    image[777] = f32::NAN;
    (executable.text(), values(&executable.run(vec![buffer(&IMAGE, &image)], &[]).unwrap()[0]))
}

#[test]
fn a_padding_of_a_relu_becomes_that_of_the_maxima() {
    let ((text, folded), (plain, maxima)) = (pooled(true), pooled(false));
    assert!(!text.contains("pad") && plain.contains("pad"), "{text}{plain}");
    // Windows at the border see a zero; the others of these images have a maximum above it.
    let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
    assert!(folded.len() == 512 && folded.iter().zip(&maxima).all(same));
    assert_eq!(folded.iter().filter(|v| v.is_nan()).count(), maxima.iter().filter(|v| v.is_nan()).count());
    assert!(folded.iter().any(|v| v.is_nan()));
}
