//! Memory budgets: programs that compute values again, with the same bits as without a budget.

mod common;

use common::{buffer, ramp, values, Text};
use hornbeam_engine::error::Error;
use hornbeam_engine::executable::Executable;

const ROWS: usize = 512;
const WIDTH: usize = 64;
const DEPTH: usize = 12;

/// The training step of a chain of products with dropout: the weights, the key and the data to new weights and a loss.
fn step(depth: usize) -> String {
    let mut t = Text::default();
    let weights: Vec<usize> = (0..depth).map(|_| t.input("float32", &[WIDTH, WIDTH])).collect();
    let key = t.input("uint32", &[2]);
    let mut x = t.input("float32", &[ROWS, WIDTH]);
    let product = |t: &mut Text, a, b, axes: [usize; 2], shape: &[usize]| {
        let params = format!("\"contract\":[[{}],[{}]],\"batch\":[[],[]]", axes[0], axes[1]);
        t.node("dot_general", &[a, b], "float32", shape, &params)
    };
    let full = [ROWS, WIDTH];
    let mut layers = Vec::new();
    for &w in &weights {
        let y = product(&mut t, x, w, [1, 0], &full);
        let activated = t.f32("tanh", &[y], &full);
        let bits = t.node("random_bits", &[key], "uint32", &full, "");
        let noise = t.node("convert", &[bits], "float32", &full, "\"dtype\":\"float32\"");
        let limit = t.number(2e9, &full);
        let kept = t.node("lt", &[noise, limit], "bool", &full, "");
        let zero = t.number(0.0, &full);
        let dropped = t.node("select", &[kept, activated, zero], "float32", &full, "");
        layers.push((x, activated, kept, zero));
        x = dropped;
    }
    let loss = t.node("reduce_sum", &[x], "float32", &[], "\"axes\":[0,1]");
    let mut gradient = x;
    let mut outputs = vec![0; depth];
    for (index, &(input, activated, kept, zero)) in layers.iter().enumerate().rev() {
        let masked = t.node("select", &[kept, gradient, zero], "float32", &full, "");
        let square = t.f32("mul", &[activated, activated], &full);
        let one = t.number(1.0, &full);
        let factor = t.f32("sub", &[one, square], &full);
        let inner = t.f32("mul", &[masked, factor], &full);
        let of_weight = product(&mut t, input, inner, [0, 0], &[WIDTH, WIDTH]);
        gradient = product(&mut t, inner, weights[index], [1, 1], &full);
        let rate = t.number(1e-3, &[WIDTH, WIDTH]);
        let change = t.f32("mul", &[rate, of_weight], &[WIDTH, WIDTH]);
        outputs[index] = t.f32("sub", &[weights[index], change], &[WIDTH, WIDTH]);
    }
    outputs.push(loss);
    t.finish(&outputs)
}

fn compile(text: &str, budget: usize) -> Result<Executable, Error> {
    let open = text.strip_suffix('}').unwrap();
    Executable::compile(&format!("{open},\"memory_budget\":{budget}}}"), Vec::new())
}

fn outputs(executable: &Executable, depth: usize) -> Vec<Vec<f32>> {
    let weight = |n: usize| {
        let numbers: Vec<f32> = (0..WIDTH * WIDTH).map(|i| ((i * 7 + n) % 13) as f32 * 0.02 - 0.12).collect();
        buffer(&[WIDTH, WIDTH], &numbers)
    };
    let mut inputs: Vec<_> = (0..depth).map(weight).collect();
    let key = ramp(&[2]);
    let bits = hornbeam_engine::types::TensorType::new(hornbeam_kernels::dtype::DType::U32, vec![2]);
    inputs.push(hornbeam_engine::buffer::Buffer::from_bytes(bits, key.bytes()));
    inputs.push(ramp(&[ROWS, WIDTH]));
    let donate = vec![true; depth];
    executable.run(inputs, &donate).unwrap().iter().map(values).collect()
}

#[test]
fn a_smaller_budget_gives_the_same_bits() {
    let text = step(DEPTH);
    let free = Executable::compile(&text, Vec::new()).unwrap();
    let expected = outputs(&free, DEPTH);
    let wide = compile(&text, usize::MAX >> 1).unwrap();
    let unlimited = *wide.memory_plan().unwrap();
    assert_eq!((unlimited.bytes, wide.arena_bytes()), (unlimited.unlimited_bytes, free.arena_bytes()));
    assert_eq!(unlimited.flops, unlimited.unlimited_flops);

    let mut flops = unlimited.flops;
    for percent in [80, 60, 45] {
        let budget = unlimited.bytes - free.arena_bytes() * (100 - percent) / 100;
        let small = compile(&text, budget).unwrap();
        let plan = small.memory_plan().unwrap();
        assert!(plan.bytes <= budget && small.arena_bytes() < free.arena_bytes() * percent / 100 + 1);
        assert!(plan.flops >= flops && plan.flops < 2.0 * unlimited.flops, "{plan:?}");
        flops = plan.flops;
        let results = outputs(&small, DEPTH);
        for (result, expected) in results.iter().zip(&expected) {
            assert!(result.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }
    assert!(flops > unlimited.flops);
}

#[test]
fn weights_are_still_updated_in_place() {
    let text = step(DEPTH);
    let free = compile(&text, usize::MAX >> 1).unwrap();
    let small = compile(&text, free.memory_plan().unwrap().bytes - free.arena_bytes() / 2).unwrap();
    let in_place =
        |executable: &Executable| (0..DEPTH).filter(|n| executable.text().contains(&format!("out{n}/in{n}"))).count();
    assert_eq!((in_place(&free), in_place(&small)), (DEPTH, DEPTH));
}

#[test]
fn a_budget_below_the_least_is_an_error_with_the_least_one() {
    let text = step(DEPTH);
    let Err(Error::Memory(error)) = compile(&text, 1000) else { panic!("1000 bytes cannot do") };
    let least: f64 = error.split("the least is ").nth(1).unwrap().split(" MB").next().unwrap().parse().unwrap();
    let plan = *compile(&text, (least * 1e6) as usize).unwrap().memory_plan().unwrap();
    assert!(plan.bytes as f64 <= least * 1e6 && plan.bytes < plan.unlimited_bytes);
}

#[test]
fn a_program_without_intermediate_values_needs_no_plan() {
    let mut t = Text::default();
    let x = t.input("float32", &[4]);
    let y = t.f32("neg", &[x], &[4]);
    let plan = *compile(&t.finish(&[y]), 16).unwrap().memory_plan().unwrap();
    assert_eq!((plan.bytes, plan.unlimited_bytes), (16, 16)); // in place
    assert!(matches!(compile(&t.finish(&[y]), 15), Err(Error::Memory(_))));
}
