//! The seeds and the findings of the fuzzers, and thousands of mutations: each compiles or is an error, never a
//! panic. The fuzz targets run for longer, with memory checked; see `fuzz/`.

mod common;
#[path = "../../../fuzz/src/drive.rs"]
mod drive;
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;

use common::{ramp, values, Text};
use hornbeam_engine::error::Error;
use hornbeam_engine::executable::Executable;
use mutate::{mutate, Draw};
use serde_json::Value as Json;

/// Number of mutations of each text: the environment variable `MUTATIONS`, or 60.
fn mutations_per_text() -> u64 {
    std::env::var("MUTATIONS").map_or(60, |n| n.parse().expect("MUTATIONS is a number"))
}

/// The texts of a folder, by name.
fn texts(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(folder);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut texts: Vec<(String, String)> = files
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path.file_name().unwrap().to_string_lossy().into_owned(), String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect();
    texts.sort();
    texts
}

/// Compile and run a text. Return whether it compiled.
fn compiles(name: &str, text: &str) -> bool {
    let compiled =
        catch_unwind(AssertUnwindSafe(|| drive::compile(text).map(|executable| drive::run(text, executable))));
    compiled.unwrap_or_else(|_| panic!("{name}: {text}")).is_some()
}

#[test]
fn seeds_compile() {
    let seeds = texts("seeds");
    assert!(seeds.len() > 40);
    for (name, text) in seeds {
        assert!(compiles(&name, &text), "{name} is refused");
    }
}

#[test]
fn findings_of_fuzzers_stay_fixed() {
    for (name, text) in texts("found") {
        compiles(&name, &text);
    }
}

#[test]
fn mutated_graphs_are_graphs_or_errors() {
    let seeds = texts("seeds");
    let graphs: Vec<Json> = seeds.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect();
    let (mut compiled, mut refused) = (0, 0);
    for (number, (name, _)) in seeds.iter().enumerate() {
        for seed in 0..mutations_per_text() {
            let mut draw = Draw(seed << 32 | number as u64);
            let mut graph = graphs[number].clone();
            let other = draw.below(graphs.len());
            mutate(&mut graph, Some(&graphs[other]), &mut draw);
            match compiles(&format!("{name}, seed {seed}"), &graph.to_string()) {
                true => compiled += 1,
                false => refused += 1,
            }
        }
    }
    // With fewer of either, the mutations are too small or too large to find anything.
    assert!(compiled > 300 && refused > 300, "{compiled} compiled, {refused} refused");
}

fn assert_refused(text: &Text, outputs: &[usize], reason: &str) {
    match Executable::compile(&text.finish(outputs), Vec::new()) {
        Err(Error::Decode(message)) => assert!(message.contains(reason), "{message}"),
        Err(other) => panic!("{other:?}"),
        Ok(executable) => panic!("compiled to {}", executable.text()),
    }
}

/// Compile on a stack that is too small for one frame per node.
fn compile_on_a_small_stack(text: Text, output: usize) -> Executable {
    let compile = move || common::compile(&text, &[output]);
    std::thread::Builder::new().stack_size(512 << 10).spawn(compile).unwrap().join().unwrap()
}

#[test]
fn long_chains_of_views_need_no_deep_stack() {
    let mut t = Text::default();
    let mut last = t.input("float32", &[2, 3]);
    for step in 0..6000 {
        last = match step % 4 {
            0 => t.node("transpose", &[last], "float32", &[3, 2], "\"perm\":[1,0]"),
            2 => t.node("transpose", &[last], "float32", &[2, 3], "\"perm\":[1,0]"),
            1 => t.f32("optimization_barrier", &[last], &[3, 2]),
            _ => t.f32("optimization_barrier", &[last], &[2, 3]),
        };
    }
    let executable = compile_on_a_small_stack(t, last);
    let x = ramp(&[2, 3]);
    assert_eq!(values(&executable.run(vec![x.clone()], &[]).unwrap()[0]), values(&x));
}

#[test]
fn sums_of_many_factors_need_no_deep_stack() {
    let mut t = Text::default();
    let mut last = t.input("float32", &[2, 3]);
    let rows: Vec<usize> = (0..3000).map(|_| t.input("float32", &[2])).collect();
    for row in rows {
        let factor = t.node("broadcast", &[row], "float32", &[2, 3], "\"dims\":[0]");
        last = t.f32("mul", &[last, factor], &[2, 3]);
    }
    let sum = t.node("reduce_sum", &[last], "float32", &[2], "\"axes\":[1]");
    let executable = compile_on_a_small_stack(t, sum);
    let ones = common::buffer(&[2], &[1.0, 1.0]);
    let inputs = std::iter::once(ramp(&[2, 3])).chain(std::iter::repeat_n(ones, 3000)).collect();
    assert_eq!(values(&executable.run(inputs, &[]).unwrap()[0]), [-8.25, -6.0]);
}

#[test]
fn numbers_near_the_limits_of_their_type_are_refused() {
    let mut t = Text::default();
    let (x, zero) = (t.input("float32", &[3]), t.input("float32", &[]));
    let least = i64::MIN;
    let padded =
        t.node("pad", &[x, zero], "float32", &[3], &format!("\"low\":[{least}],\"high\":[{least}],\"interior\":[0]"));
    assert_refused(&t, &[padded], "removes more of axis 0 than its extent");
    let mut t = Text::default();
    let (x, zero) = (t.input("float32", &[5]), t.input("float32", &[]));
    // 4 times this, plus 5, wraps around to 5.
    let padded =
        t.node("pad", &[x, zero], "float32", &[5], "\"low\":[0],\"high\":[0],\"interior\":[4611686018427387904]");
    assert_refused(&t, &[padded], "float32[18446744073709551615] is too large");
    let mut t = Text::default();
    let x = t.input("float32", &[1, 4, 1]);
    let window = format!("\"window\":[2],\"strides\":[1],\"padding\":[[{least},{least}]]");
    let pooled = t.node("max_pool", &[x], "float32", &[1, 3, 1], &window);
    assert_refused(&t, &[pooled], "padding out of range");
}

/// Elements of the largest value of four bytes each.
const MAX_ELEMENTS: usize = (1 << 45) - 1;

#[test]
fn values_larger_than_any_memory_are_refused() {
    let mut t = Text::default();
    let x = t.input("float32", &[]);
    let wide = t.node("broadcast", &[x], "float32", &[1 << 46], "\"dims\":[]");
    assert_refused(&t, &[wide], "float32[70368744177664] is too large");
    // Each of these has the maximum size, and all live at once.
    let mut t = Text::default();
    let x = t.input("float32", &[MAX_ELEMENTS]);
    let sorted: Vec<usize> = ["sin", "cos", "exp"].iter().map(|op| t.f32(op, &[x], &[MAX_ELEMENTS])).collect();
    let joined: Vec<usize> =
        sorted.iter().map(|&v| t.node("reverse", &[v], "float32", &[MAX_ELEMENTS], "\"axes\":[0]")).collect();
    let sums: Vec<usize> = joined.iter().map(|&v| t.node("reduce_sum", &[v], "float32", &[], "\"axes\":[0]")).collect();
    assert_refused(&t, &sums, "exceed the largest memory");
}

#[test]
fn a_run_out_of_memory_is_an_error() {
    let mut t = Text::default();
    let x = t.input("float32", &[]);
    let wide = t.node("broadcast", &[x], "float32", &[MAX_ELEMENTS], "\"dims\":[]");
    let y = t.f32("exp", &[wide], &[MAX_ELEMENTS]);
    let executable = common::compile(&t, &[y]);
    match executable.run(vec![ramp(&[])], &[]) {
        Err(Error::Memory(message)) => assert!(message.contains("140737488355324 bytes"), "{message}"),
        other => panic!("{:?}", other.map(|_| "outputs")),
    }
}
