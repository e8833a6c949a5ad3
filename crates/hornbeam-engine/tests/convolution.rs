//! Convolutions fused with poolings and gradients: their instructions, and their values against those of separate ones.

mod common;

use common::{buffer, compile, values, Text};
use hornbeam_engine::buffer::Buffer;

const CONV: &str = "\"strides\":[1,1],\"padding\":[[0,0],[0,0]],\"dilation\":[1,1],\"groups\":1";
const POOL: &str = "\"window\":[2,2],\"strides\":[2,2],\"padding\":[[0,0],[0,0]]";

/// A training step of `max_pool(relu(conv(x, w) + b))`: its value and the gradients of all three for the gradient `dp`.
/// With `watch`, the result of the relu is an output too, which prevents fusion.
fn step(relu: bool, watch: bool) -> (Text, Vec<usize>) {
    let mut t = Text::default();
    let (full, half) = ([2, 9, 9, 16], [2, 4, 4, 16]);
    let x = t.input("float32", &[2, 11, 11, 16]);
    let (w, b) = (t.input("float32", &[3, 3, 16, 16]), t.input("float32", &[16]));
    let dp = t.input("float32", &half);
    let y = t.node("conv", &[x, w], "float32", &full, CONV);
    let bias = t.node("broadcast", &[b], "float32", &full, "\"dims\":[3]");
    let mut y = t.f32("add", &[y, bias], &full);
    let zero = t.number(0.0, &full);
    if relu {
        y = t.f32("max", &[y, zero], &full);
    }
    let p = t.node("max_pool", &[y], "float32", &half, POOL);
    let mut dy = t.node("max_pool_scatter", &[y, dp], "float32", &full, POOL);
    if relu {
        let on = t.node("gt", &[y, zero], "bool", &full, "");
        dy = t.f32("select", &[on, dy, zero], &full);
    }
    let dw = t.node(
        "conv_kernel_grad",
        &[x, dy],
        "float32",
        &[3, 3, 16, 16],
        &format!("\"kernel_shape\":[3,3,16,16],{CONV}"),
    );
    let dx = t.node(
        "conv_input_grad",
        &[dy, w],
        "float32",
        &[2, 11, 11, 16],
        &format!("\"input_shape\":[2,11,11,16],{CONV}"),
    );
    let db = t.node("reduce_sum", &[dy], "float32", &[16], "\"axes\":[0,1,2]");
    let mut outputs = vec![p, dw, dx, db];
    if watch {
        outputs.push(y);
    }
    (t, outputs)
}

/// Numbers without ties, so that one element of each window is the largest.
fn numbers(shape: &[usize], scale: f32) -> Buffer {
    let count: usize = shape.iter().product();
    let value = |i: usize| ((i * 7919 % 10007) as f32 / 10007.0 - 0.5) * scale;
    buffer(shape, &(0..count).map(value).collect::<Vec<_>>())
}

fn run(relu: bool, watch: bool) -> (String, Vec<Vec<f32>>) {
    let (t, outputs) = step(relu, watch);
    let executable = compile(&t, &outputs);
    let inputs = vec![
        numbers(&[2, 11, 11, 16], 1.0),
        numbers(&[3, 3, 16, 16], 0.3),
        numbers(&[16], 0.2),
        numbers(&[2, 4, 4, 16], 1.0),
    ];
    let results = executable.run(inputs, &[]).unwrap();
    (executable.text(), results.iter().map(values).collect())
}

#[test]
fn the_full_result_of_a_pooled_convolution_is_not_stored() {
    let (text, _) = run(true, false);
    let shape = "2x1x11x11x16 by 1x3x3 to 1x9x9x16";
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains(&format!("conv_pool {shape} +bias +relu(in0, in1, in2)")), "{text}");
    assert!(lines[1].contains("fused 512 [gt select](out0, "), "{text}");
    assert!(lines[2].contains(&format!("conv_backward {shape} +pool +input +bias(in0, ")), "{text}");
}

#[test]
fn a_result_with_other_readers_is_stored() {
    let (text, _) = run(true, true);
    assert!(text.contains("conv 2x") && text.contains("max_pool 2x") && text.contains("max_pool_scatter"), "{text}");
    assert!(text.contains("to 1x9x9x16 +input("), "{text}");
}

#[test]
fn fused_and_separate_operations_agree() {
    for relu in [false, true] {
        let ((_, fused), (_, separate)) = (run(relu, false), run(relu, true));
        for (name, (a, b)) in ["p", "dw", "dx", "db"].iter().zip(fused.iter().zip(&separate)) {
            let largest = b.iter().fold(0f32, |m, v| m.max(v.abs()));
            let worst = a.iter().zip(b).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(a.len() == b.len() && largest > 0.1 && worst <= 1e-5 * largest, "{name}: {worst} of {largest}");
        }
    }
}

#[test]
fn a_relu_is_fused_into_the_gradients() {
    let mut t = Text::default();
    let (x, w) = (t.input("float32", &[2, 8, 8, 16]), t.input("float32", &[3, 3, 16, 16]));
    let (y, dy) = (t.input("float32", &[2, 6, 6, 16]), t.input("float32", &[2, 6, 6, 16]));
    let zero = t.number(0.0, &[2, 6, 6, 16]);
    let on = t.node("gt", &[y, zero], "bool", &[2, 6, 6, 16], "");
    let dz = t.f32("select", &[on, dy, zero], &[2, 6, 6, 16]);
    let dw = t.node(
        "conv_kernel_grad",
        &[x, dz],
        "float32",
        &[3, 3, 16, 16],
        &format!("\"kernel_shape\":[3,3,16,16],{CONV}"),
    );
    let dx =
        t.node("conv_input_grad", &[dz, w], "float32", &[2, 8, 8, 16], &format!("\"input_shape\":[2,8,8,16],{CONV}"));
    let text = compile(&t, &[dw, dx]).text();
    assert_eq!(text, "out0, out1 = conv_backward 2x1x8x8x16 by 1x3x3 to 1x6x6x16 +relu +input(in0, in3, in2, in1)\n");
    let separate = compile(&t, &[dz, dw, dx]).text();
    assert!(separate.contains("select") && separate.contains("to 1x6x6x16 +input("), "{separate}");
}

#[test]
fn convolutions_whose_results_are_added_are_grouped_once() {
    let mut t = Text::default();
    let (x, z) = (t.input("float32", &[2, 8, 8, 16]), t.input("float32", &[2, 8, 8, 16]));
    let (w, dy) = (t.input("float32", &[3, 3, 16, 16]), t.input("float32", &[2, 6, 6, 16]));
    let kernel = format!("\"kernel_shape\":[3,3,16,16],{CONV}");
    let dw = t.node("conv_kernel_grad", &[x, dy], "float32", &[3, 3, 16, 16], &kernel);
    let dv = t.node("conv_kernel_grad", &[z, dy], "float32", &[3, 3, 16, 16], &kernel);
    let image = format!("\"input_shape\":[2,8,8,16],{CONV}");
    let dx = t.node("conv_input_grad", &[dy, w], "float32", &[2, 8, 8, 16], &image);
    let text = compile(&t, &[dw, dv, dx]).text();
    assert_eq!(text.matches("+input").count(), 1, "{text}");
    assert_eq!(text.matches("conv_kernel_grad").count(), 1, "{text}");
}

#[test]
fn a_relu_with_a_limit_is_not_fused_with_pooling() {
    let mut t = Text::default();
    let full = [2, 9, 9, 16];
    let (x, w) = (t.input("float32", &[2, 11, 11, 16]), t.input("float32", &[3, 3, 16, 16]));
    let y = t.node("conv", &[x, w], "float32", &full, CONV);
    let (zero, limit) = (t.number(0.0, &full), t.number(0.25, &full));
    let y = t.f32("max", &[y, zero], &full);
    let y = t.f32("min", &[y, limit], &full);
    let p = t.node("max_pool", &[y], "float32", &[2, 4, 4, 16], POOL);
    let executable = compile(&t, &[p]);
    let text = executable.text();
    assert!(text.contains(" +relu0.25(in0, in1)") && text.contains("max_pool 2x"), "{text}");
    let pooled =
        values(&executable.run(vec![numbers(&[2, 11, 11, 16], 1.0), numbers(&[3, 3, 16, 16], 0.3)], &[]).unwrap()[0]);
    assert!(pooled.iter().all(|v| (0.0..=0.25).contains(v)) && pooled.contains(&0.25));
}
