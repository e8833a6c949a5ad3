//! Loop epilogues: loops fused into a matrix product, or into a scatter of rows.

mod common;

use common::{buffer, compile, indices, values, Text};
use hornbeam_kernels::pool::ThreadPool;

const ROWS: usize = 600;
const COLUMNS: usize = 256;
const BATCH: usize = 8;

/// The gradient of a product, the update of its weights, and the gradient of its input.
fn step(text: &mut Text) -> [usize; 3] {
    let shape = [ROWS, COLUMNS];
    let x = text.input("float32", &[BATCH, ROWS]);
    let dy = text.input("float32", &[BATCH, COLUMNS]);
    let w = text.input("float32", &shape);
    let params = "\"contract\":[[0],[0]],\"batch\":[[],[]]";
    let gradient = text.node("dot_general", &[x, dy], "float32", &shape, params);
    let params = "\"contract\":[[1],[1]],\"batch\":[[],[]]";
    let back = text.node("dot_general", &[dy, w], "float32", &[BATCH, ROWS], params);
    let rate = text.number(0.5, &shape);
    let change = text.f32("mul", &[gradient, rate], &shape);
    [text.f32("sub", &[w, change], &shape), back, gradient]
}

fn ramp(rows: usize, columns: usize, step: usize) -> Vec<f32> {
    (0..rows * columns).map(|i| (i * step % 17) as f32 - 8.0).collect()
}

#[test]
fn an_update_is_fused_into_the_product_of_its_gradient() {
    let mut text = Text::default();
    let [new, back, _] = step(&mut text);
    let executable = compile(&text, &[back, new]);
    let lines = executable.text();
    // The old weights are read before they are overwritten.
    let first = "out0 = dot_general 1x8x600x256(in1, in2)";
    let second = "@0, out1/in2 = dot_general 1x600x256x8, then [mul sub](in0, in1, @0, lit0, in2)";
    assert_eq!(lines.lines().collect::<Vec<_>>(), [first, second]);
    let (x, dy, w) = (ramp(BATCH, ROWS, 5), ramp(BATCH, COLUMNS, 3), ramp(ROWS, COLUMNS, 7));
    let mut results = Vec::new();
    for threads in [1, 2, 3] {
        ThreadPool::global().set_threads(threads);
        let inputs = vec![buffer(&[BATCH, ROWS], &x), buffer(&[BATCH, COLUMNS], &dy), buffer(&[ROWS, COLUMNS], &w)];
        let outputs = executable.run(inputs, &[false, false, true]).unwrap();
        results.push(values(&outputs[1]));
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                let gradient: f32 = (0..BATCH).map(|b| x[b * ROWS + i] * dy[b * COLUMNS + j]).sum();
                // Small integers: all of it is exact.
                assert_eq!(results[0][i * COLUMNS + j], w[i * COLUMNS + j] - 0.5 * gradient);
            }
        }
    }
    assert!(results.iter().all(|other| *other == results[0]));
}

#[test]
fn a_product_with_other_readers_is_stored() {
    let mut text = Text::default();
    let [new, _, gradient] = step(&mut text);
    let lines = compile(&text, &[new, gradient]).text();
    assert_eq!(lines, "out1 = dot_general 1x600x256x8(in0, in1)\nout0/in2 = fused 153600 [mul sub](out1, lit0, in2)\n");
}

/// The gradient of an embedding table, and the update of the table.
fn table(text: &mut Text, base: f32) -> [usize; 2] {
    let shape = [ROWS, COLUMNS];
    let at = text.input("int64", &[BATCH, 1]);
    let rows = text.input("float32", &[BATCH, COLUMNS]);
    let w = text.input("float32", &shape);
    let zeros = text.number(base, &shape);
    let params = "\"mode\":\"add\",\"batch_dims\":0";
    let gradient = text.node("scatter", &[zeros, at, rows], "float32", &shape, params);
    let rate = text.number(0.3, &shape);
    let change = text.f32("mul", &[gradient, rate], &shape);
    [text.f32("sub", &[w, change], &shape), gradient]
}

#[test]
fn an_update_is_fused_into_the_scatter_of_its_gradient() {
    for base in [0.0, 0.125] {
        let mut text = Text::default();
        let [new, gradient] = table(&mut text, base);
        let (fused, separate) = (compile(&text, &[new]), compile(&text, &[new, gradient]));
        let lines = fused.text();
        assert!(lines.lines().count() == 1 && lines.contains("scatter, then [mul sub]"), "{lines}");
        assert!(separate.text().contains("fused") && !separate.text().contains("then"), "{}", separate.text());
        // Rows that are repeated, adjacent, at both ends, and out of range.
        let at = [[7], [0], [7], [599], [8], [7], [-3], [700]];
        let at = || indices(&[&at[0], &at[1], &at[2], &at[3], &at[4], &at[5], &at[6], &at[7]]);
        let rows: Vec<f32> = ramp(BATCH, COLUMNS, 3).iter().map(|v| v * 0.1).collect();
        for threads in [1, 2, 3] {
            ThreadPool::global().set_threads(threads);
            let inputs =
                || vec![at(), buffer(&[BATCH, COLUMNS], &rows), buffer(&[ROWS, COLUMNS], &ramp(ROWS, COLUMNS, 7))];
            let [first, second] = [&fused, &separate].map(|executable| {
                let outputs = executable.run(inputs(), &[false, false, true]).unwrap();
                values(&outputs[0]).iter().map(|v| v.to_bits()).collect::<Vec<_>>()
            });
            assert!(first == second, "{threads} threads");
        }
    }
}

/// `min(relu(conv(x, w) + bias), 6) + z`, as `select` states the limit; with `watch`, the convolution is an output, too.
fn limited_conv(watch: bool, kernel: [usize; 4], groups: usize) -> (String, Vec<f32>) {
    let (image, mut t) = ([2, 40, 60, kernel[3]], Text::default());
    let padding = kernel[0] / 2;
    let source = [2, 40, 60, kernel[2] * groups];
    let shapes: [&[usize]; 4] = [&source, &kernel, &kernel[3..], &image];
    let [x, w, b, z] = shapes.map(|shape| t.input("float32", shape));
    let params = format!(
        "\"strides\":[1,1],\"padding\":[[{padding},{padding}],[{padding},{padding}]],\"dilation\":[1,1],\"groups\":{groups}"
    );
    let y = t.node("conv", &[x, w], "float32", &image, &params);
    let bias = t.node("broadcast", &[b], "float32", &image, "\"dims\":[3]");
    let y = t.f32("add", &[y, bias], &image);
    let (zero, six) = (t.number(0.0, &image), t.number(6.0, &image));
    let y = t.f32("max", &[y, zero], &image);
    let above = t.node("ge", &[y, six], "bool", &image, "");
    let limited = t.f32("select", &[above, six, y], &image);
    let sum = t.f32("add", &[limited, z], &image);
    let outputs = [sum, y];
    let executable = compile(&t, &outputs[..1 + usize::from(watch)]);
    let numbers = |shape: &[usize], step: usize| {
        let count = shape.iter().product();
        buffer(shape, &(0..count).map(|i| (i * step % 1009) as f32 / 100.0 - 5.0).collect::<Vec<_>>())
    };
    let mut inputs: Vec<_> = shapes.iter().zip([7, 5, 3, 11]).map(|(shape, step)| numbers(shape, step)).collect();
    let mut first = values(&inputs[0]);
    first[1000] = f32::NAN;
    inputs[0] = buffer(shapes[0], &first);
    (executable.text(), values(&executable.run(inputs, &[]).unwrap()[0]))
}

#[test]
fn activations_are_fused_into_convolutions() {
    // 1x1, depthwise, and one that takes none.
    for (kernel, groups, fuses) in
        [([1, 1, 16, 72], 1, true), ([3, 3, 1, 72], 72, true), ([5, 5, 1, 72], 72, true), ([3, 3, 16, 72], 1, false)]
    {
        let (stored, expected) = limited_conv(true, kernel, groups);
        assert!(stored.contains("fused") && stored.contains("+relu"), "{stored}");
        for threads in [1, 3] {
            ThreadPool::global().set_threads(threads);
            let (text, found) = limited_conv(false, kernel, groups);
            assert!(text.contains("+bias +relu6"), "{text}");
            assert_eq!(text.contains("+bias +relu6, then [add]"), fuses, "{text}");
            let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            assert!(found.len() == expected.len() && found.iter().zip(&expected).all(same), "{text}");
        }
        let missing = expected.iter().filter(|value| value.is_nan()).count();
        assert!(missing >= 1 && missing < expected.len() / 10, "NaN stays: {missing}");
        assert!(expected.iter().any(|&value| value > 10.0) && expected.iter().any(|&value| value < -4.0));
    }
}
