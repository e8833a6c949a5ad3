//! Runs a text through the engine: it is decoded, compiled and, if it is small, run.

use std::sync::Arc;

use hornbeam_engine::bound::Bound;
use hornbeam_engine::buffer::Buffer;
use hornbeam_engine::executable::Executable;
use hornbeam_engine::types::TensorType;
use hornbeam_kernels::dtype::DType;
use serde_json::Value as Json;

use crate::mutate::Draw;

/// Maximum bytes of all constant buffers of a graph. A graph that declares more gets none, and is an error.
const MAX_CONSTANT_BYTES: usize = 1 << 20;
/// Maximum elements of a value of a graph that is run.
const MAX_ELEMENTS: usize = 2048;
/// Maximum elements of all its values. Values in the body of a scan count once per step.
const MAX_TOTAL_ELEMENTS: usize = 1 << 16;

/// Compile a text with the constant buffers that it declares. An error must have a message.
pub fn compile(text: &str) -> Option<Executable> {
    let constants = serde_json::from_str(text).map_or_else(|_| Vec::new(), |graph| constants(&graph));
    match Executable::profiled(text, constants) {
        Ok(executable) => {
            assert!(executable.profile().is_some());
            Some(executable)
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() > 10, "an error without a message: {message:?}");
            assert!(message.len() < 2000 + text.len() / 8, "an error of {} bytes: {message:.300}", message.len());
            None
        }
    }
}

/// Run the compiled text in every way that the engine offers, if it is small.
pub fn run(text: &str, executable: Executable) {
    let Ok(graph) = serde_json::from_str::<Json>(text) else { return };
    let mut budget = MAX_TOTAL_ELEMENTS;
    if !is_small(&graph, 1, &mut budget) || executable.arena_bytes() > 1 << 24 {
        return;
    }
    let mut draw = Draw(text.len() as u64);
    let inputs: Vec<Buffer> = executable.inputs().iter().map(|t| random_buffer(t, &mut draw)).collect();
    let donated = vec![true; inputs.len()];
    let outputs = executable.run(inputs.clone(), &[]).expect("the inputs fit");
    for (output, declared) in outputs.iter().zip(executable.outputs()) {
        assert_eq!(*output.tensor, *declared);
        assert_eq!(output.bytes().len(), declared.bytes());
    }
    // Unshared copies, which may be overwritten.
    let owned = inputs.iter().map(|b| Buffer::from_bytes(b.tensor.clone(), b.bytes())).collect();
    executable.run(owned, &donated).expect("the inputs fit");
    steps(&executable, &inputs);
    let bound = Bound::new(Arc::new(executable), inputs[..inputs.len() / 2].to_vec()).expect("the weights fit");
    bound.run(&inputs[inputs.len() / 2..]).expect("the inputs fit");
}

/// Run three steps. The leading inputs with outputs of the same type are the state, the others are data.
fn steps(executable: &Executable, inputs: &[Buffer]) {
    let (input_types, output_types) = (executable.inputs(), executable.outputs());
    let states = input_types.iter().zip(output_types).take_while(|(input, output)| input == output).count();
    let state = inputs[..states].iter().map(|b| Buffer::from_bytes(b.tensor.clone(), b.bytes())).collect();
    let batch = input_types.get(states).and_then(|t| t.shape.first()).copied().unwrap_or(1);
    let indices = Buffer::from_bytes(TensorType::new(DType::I64, vec![3, batch]), &vec![0; 24 * batch]);
    // Data that do not fit are an error, which is fine.
    let _ = executable.run_steps(state, &inputs[states..], &indices, &mut || false).logs;
}

fn tensor_type(declared: &Json) -> Option<TensorType> {
    let dtype = DType::parse(declared.get(0)?.as_str()?)?;
    let shape = declared.get(1)?.as_array()?.iter().map(|n| Some(n.as_u64()? as usize)).collect::<Option<Vec<_>>>()?;
    let t = TensorType::new(dtype, shape);
    t.validate().ok().map(|()| t)
}

/// The constant buffers of a graph, each as the first node that reads it declares it.
fn constants(graph: &Json) -> Vec<Buffer> {
    let mut declared = Vec::new();
    collect(graph, &mut declared);
    let bytes = declared.iter().flatten().fold(0usize, |sum, t| sum.saturating_add(t.bytes()));
    if bytes > MAX_CONSTANT_BYTES {
        return Vec::new();
    }
    let mut draw = Draw(declared.len() as u64);
    let unused = TensorType::scalar(DType::F32);
    declared.iter().map(|t| random_buffer(t.as_ref().unwrap_or(&unused), &mut draw)).collect()
}

fn collect(value: &Json, declared: &mut Vec<Option<TensorType>>) {
    if let (Some(params), Some(out)) = (value.get("params"), value.get("out")) {
        let number = params.get("buffer").and_then(Json::as_u64).filter(|&n| n < 64);
        if let (Some(number), Some(t)) = (number, out.get(0).and_then(tensor_type)) {
            let number = number as usize;
            declared.resize(declared.len().max(number + 1), None);
            declared[number].get_or_insert(t);
        }
    }
    match value {
        Json::Array(items) => items.iter().for_each(|item| collect(item, declared)),
        Json::Object(entries) => entries.values().for_each(|item| collect(item, declared)),
        _ => {}
    }
}

/// Return whether running the graph `times` times is cheap. A loop of unknown length is not.
fn is_small(graph: &Json, times: usize, budget: &mut usize) -> bool {
    let small = |t: &Json, budget: &mut usize| {
        let Some(t) = tensor_type(t) else { return false };
        let cost = t.count().max(1).saturating_mul(times);
        let fits = t.count() <= MAX_ELEMENTS && cost <= *budget;
        *budget -= cost.min(*budget);
        fits
    };
    let list = |value: &Json, key: &str| value.get(key).and_then(Json::as_array).cloned().unwrap_or_default();
    list(graph, "inputs").iter().all(|t| small(t, budget))
        && list(graph, "nodes").iter().all(|node| {
            let Some(params) = node.get("params") else { return list(node, "out").iter().all(|t| small(t, budget)) };
            let length = params.get("length").and_then(Json::as_u64).unwrap_or(1) as usize;
            let window = list(params, "window").iter().filter_map(Json::as_u64).fold(1u64, u64::saturating_mul);
            node.get("op").is_some_and(|op| op != "while_loop")
                && window <= MAX_ELEMENTS as u64
                && list(node, "out").iter().all(|t| small(t, budget))
                && ["body", "true_graph", "false_graph"]
                    .iter()
                    .filter_map(|key| params.get(*key))
                    .all(|body| is_small(body, times.saturating_mul(length), budget))
        })
}

/// A buffer of random values: mostly small numbers, some of them extreme.
fn random_buffer(t: &TensorType, draw: &mut Draw) -> Buffer {
    let size = t.dtype.size();
    let mut bytes = vec![0u8; t.bytes()];
    for element in bytes.chunks_exact_mut(size) {
        let bits = draw.bits();
        let number = (bits >> 8) % 7;
        match (t.dtype, bits % 16) {
            (DType::Bool, _) => element[0] = (bits >> 8 & 1) as u8,
            (_, 0) => element.copy_from_slice(&draw.bits().to_ne_bytes()[..size]),
            (DType::F32, _) => element.copy_from_slice(&(number as f32 * 0.5 - 1.0).to_ne_bytes()),
            (DType::F64, _) => element.copy_from_slice(&(number as f64 * 0.5 - 1.0).to_ne_bytes()),
            _ => element.copy_from_slice(&number.to_ne_bytes()[..size]),
        }
    }
    Buffer::from_bytes(t.clone(), &bytes)
}
