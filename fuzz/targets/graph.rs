//! Graphs that are mutated as JSON values rather than as bytes, and run if they are small.
#![no_main]

use hornbeam_fuzz::drive;
use hornbeam_fuzz::mutate::{mutate, Draw};
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target, fuzzer_mutate};
use serde_json::Value as Json;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(executable) = drive::compile(text) {
        drive::run(text, executable);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut draw = Draw(seed.into());
    match serde_json::from_slice::<Json>(&data[..size]) {
        Ok(mut graph) if draw.below(32) > 0 => {
            mutate(&mut graph, None, &mut draw);
            write(&graph, &mut data[..max_size]).unwrap_or(size)
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});

fuzz_crossover!(|first: &[u8], second: &[u8], out: &mut [u8], seed: u32| {
    let (Ok(mut graph), Ok(other)) = (serde_json::from_slice::<Json>(first), serde_json::from_slice::<Json>(second))
    else {
        return 0;
    };
    mutate(&mut graph, Some(&other), &mut Draw(seed.into()));
    write(&graph, out).unwrap_or(0)
});

/// Write the graph as text to the start of `buffer`, if it fits, and return its length.
fn write(graph: &Json, buffer: &mut [u8]) -> Option<usize> {
    let text = graph.to_string();
    buffer.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(text.len())
}
