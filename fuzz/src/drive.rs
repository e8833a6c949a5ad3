//! A text goes through the whole engine: decoded, compiled and, if it is small, run.

use std::sync::Arc;

use hornbeam_engine::bound::Bound;
use hornbeam_engine::buffer::Buffer;
use hornbeam_engine::executable::Executable;
use hornbeam_engine::types::TensorType;
use hornbeam_kernels::dtype::DType;
use serde_json::Value as Json;

use crate::mutate::Draw;

/// Bytes of all constant buffers of a graph; one that wants more gets none, and is refused.
const CONSTANTS: usize = 1 << 20;
/// Elements of a value of a graph that is run.
const ELEMENTS: usize = 2048;
/// Elements of all its values, those in bodies of scans as often as they are made.
const TOTAL: usize = 1 << 16;

/// Compile a text with the constant buffers that it asks for. An error has to say something.
pub fn compile(text: &str) -> Option<Executable> {
    let constants = serde_json::from_str(text).map_or_else(|_| Vec::new(), |graph| constants(&graph));
    match Executable::profiled(text, constants) {
        Ok(executable) => {
            assert!(executable.profile().is_some());
            Some(executable)
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() > 10, "an error without a word: {message:?}");
            assert!(message.len() < 2000 + text.len() / 8, "an error of {} bytes: {message:.300}", message.len());
            None
        }
    }
}

/// Run the compiled text once and twice over, if that takes little.
pub fn run(text: &str, executable: Executable) {
    let Ok(graph) = serde_json::from_str::<Json>(text) else { return };
    let mut left = TOTAL;
    if !is_small(&graph, 1, &mut left) || executable.arena_bytes() > 1 << 24 {
        return;
    }
    let mut draw = Draw(text.len() as u64);
    let inputs: Vec<Buffer> = executable.inputs().iter().map(|t| filled(t, &mut draw)).collect();
    let donated = vec![true; inputs.len()];
    let outputs = executable.run(inputs.clone(), &[]).expect("the inputs fit");
    for (output, declared) in outputs.iter().zip(executable.outputs()) {
        assert_eq!(output.tensor, *declared);
        assert_eq!(output.bytes().len(), declared.bytes());
    }
    // Values of their own, which may be overwritten.
    let owned = inputs.iter().map(|b| Buffer::from_bytes(b.tensor.clone(), b.bytes())).collect();
    executable.run(owned, &donated).expect("the inputs fit");
    steps(&executable, &inputs);
    let bound = Bound::new(Arc::new(executable), inputs[..inputs.len() / 2].to_vec()).expect("the weights fit");
    bound.run(&inputs[inputs.len() / 2..]).expect("the inputs fit");
}

/// Three steps, with as many inputs for a state as have outputs of their type, the others being data.
fn steps(executable: &Executable, inputs: &[Buffer]) {
    let (given, made) = (executable.inputs(), executable.outputs());
    let states = given.iter().zip(made).take_while(|(input, output)| input == output).count();
    let state = inputs[..states].iter().map(|b| Buffer::from_bytes(b.tensor.clone(), b.bytes())).collect();
    let batch = given.get(states).and_then(|t| t.shape.first()).copied().unwrap_or(1);
    let indices = Buffer::from_bytes(TensorType::new(DType::I64, vec![3, batch]), &vec![0; 24 * batch]);
    // Data that do not fit are an error.
    let _ = executable.run_steps(state, &inputs[states..], &indices, &mut || false).logs;
}

fn tensor_type(declared: &Json) -> Option<TensorType> {
    let dtype = DType::parse(declared.get(0)?.as_str()?)?;
    let shape = declared.get(1)?.as_array()?.iter().map(|n| Some(n.as_u64()? as usize)).collect::<Option<Vec<_>>>()?;
    let t = TensorType::new(dtype, shape);
    t.validate().ok().map(|()| t)
}

/// The constant buffers of a graph, as the first node that wants each declares it.
fn constants(graph: &Json) -> Vec<Buffer> {
    let mut wanted = Vec::new();
    collect(graph, &mut wanted);
    let bytes = wanted.iter().flatten().fold(0usize, |sum, t| sum.saturating_add(t.bytes()));
    if bytes > CONSTANTS {
        return Vec::new();
    }
    let mut draw = Draw(wanted.len() as u64);
    let nothing = TensorType::scalar(DType::F32);
    wanted.iter().map(|t| filled(t.as_ref().unwrap_or(&nothing), &mut draw)).collect()
}

fn collect(value: &Json, wanted: &mut Vec<Option<TensorType>>) {
    if let (Some(params), Some(out)) = (value.get("params"), value.get("out")) {
        let number = params.get("buffer").and_then(Json::as_u64).filter(|&n| n < 64);
        if let (Some(number), Some(t)) = (number, out.get(0).and_then(tensor_type)) {
            let number = number as usize;
            wanted.resize(wanted.len().max(number + 1), None);
            wanted[number].get_or_insert(t);
        }
    }
    match value {
        Json::Array(items) => items.iter().for_each(|item| collect(item, wanted)),
        Json::Object(entries) => entries.values().for_each(|item| collect(item, wanted)),
        _ => {}
    }
}

/// Whether running the graph `times` times takes little. A loop whose end nobody knows does not.
fn is_small(graph: &Json, times: usize, left: &mut usize) -> bool {
    let small = |t: &Json, left: &mut usize| {
        let Some(t) = tensor_type(t) else { return false };
        let cost = t.count().max(1).saturating_mul(times);
        let fits = t.count() <= ELEMENTS && cost <= *left;
        *left -= cost.min(*left);
        fits
    };
    let list = |value: &Json, key: &str| value.get(key).and_then(Json::as_array).cloned().unwrap_or_default();
    list(graph, "inputs").iter().all(|t| small(t, left))
        && list(graph, "nodes").iter().all(|node| {
            let Some(params) = node.get("params") else { return list(node, "out").iter().all(|t| small(t, left)) };
            let length = params.get("length").and_then(Json::as_u64).unwrap_or(1) as usize;
            let window = list(params, "window").iter().filter_map(Json::as_u64).fold(1u64, u64::saturating_mul);
            node.get("op").is_some_and(|op| op != "while_loop")
                && window <= ELEMENTS as u64
                && list(node, "out").iter().all(|t| small(t, left))
                && ["body", "true_graph", "false_graph"]
                    .iter()
                    .filter_map(|key| params.get(*key))
                    .all(|body| is_small(body, times.saturating_mul(length), left))
        })
}

/// Values of a type: mostly small numbers, some of them extreme.
fn filled(t: &TensorType, draw: &mut Draw) -> Buffer {
    let size = t.dtype.size();
    let mut bytes = vec![0u8; t.bytes()];
    for place in bytes.chunks_exact_mut(size) {
        let bits = draw.bits();
        let number = (bits >> 8) % 7;
        match (t.dtype, bits % 16) {
            (DType::Bool, _) => place[0] = (bits >> 8 & 1) as u8,
            (_, 0) => place.copy_from_slice(&draw.bits().to_ne_bytes()[..size]),
            (DType::F32, _) => place.copy_from_slice(&(number as f32 * 0.5 - 1.0).to_ne_bytes()),
            (DType::F64, _) => place.copy_from_slice(&(number as f64 * 0.5 - 1.0).to_ne_bytes()),
            _ => place.copy_from_slice(&number.to_ne_bytes()[..size]),
        }
    }
    Buffer::from_bytes(t.clone(), &bytes)
}
