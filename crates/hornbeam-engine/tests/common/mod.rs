//! Small graphs as text, and float32 buffers.
#![allow(dead_code)]

use hornbeam_engine::buffer::Buffer;
use hornbeam_engine::executable::Executable;
use hornbeam_engine::types::TensorType;
use hornbeam_kernels::dtype::DType;

/// A graph's text, built line by line.
#[derive(Default)]
pub struct Text {
    inputs: Vec<String>,
    nodes: Vec<String>,
}

impl Text {
    pub fn input(&mut self, dtype: &str, shape: &[usize]) -> usize {
        assert!(self.nodes.is_empty(), "inputs come first");
        self.inputs.push(format!("[\"{dtype}\",{shape:?}]"));
        self.inputs.len() - 1
    }

    pub fn node(&mut self, op: &str, inputs: &[usize], dtype: &str, shape: &[usize], params: &str) -> usize {
        self.multi(op, inputs, &[(dtype, shape)], params)
    }

    pub fn multi(&mut self, op: &str, inputs: &[usize], out: &[(&str, &[usize])], params: &str) -> usize {
        let types: Vec<String> = out.iter().map(|(d, s)| format!("[\"{d}\",{s:?}]")).collect();
        self.nodes.push(format!(
            "{{\"op\":\"{op}\",\"in\":{inputs:?},\"out\":[{}],\"params\":{{{params}}}}}",
            types.join(",")
        ));
        self.inputs.len() + self.nodes.len() - 1
    }

    pub fn f32(&mut self, op: &str, inputs: &[usize], shape: &[usize]) -> usize {
        self.node(op, inputs, "float32", shape, "")
    }

    /// A float32 scalar, broadcast to `shape`.
    pub fn number(&mut self, value: f32, shape: &[usize]) -> usize {
        let hex: String = value.to_ne_bytes().iter().map(|b| format!("{b:02x}")).collect();
        let scalar = self.node("constant", &[], "float32", &[], &format!("\"data\":\"{hex}\""));
        self.node("broadcast", &[scalar], "float32", shape, "\"dims\":[]")
    }

    pub fn finish(&self, outputs: &[usize]) -> String {
        let (inputs, nodes) = (self.inputs.join(","), self.nodes.join(",\n"));
        format!("{{\"inputs\":[{inputs}],\n\"nodes\":[{nodes}],\n\"outputs\":{outputs:?}}}")
    }
}

pub fn compile(text: &Text, outputs: &[usize]) -> Executable {
    Executable::compile(&text.finish(outputs), Vec::new()).unwrap()
}

pub fn buffer(shape: &[usize], values: &[f32]) -> Buffer {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    Buffer::from_bytes(TensorType::new(DType::F32, shape.to_vec()), &bytes)
}

pub fn ramp(shape: &[usize]) -> Buffer {
    let count: usize = shape.iter().product();
    buffer(shape, &(0..count).map(|i| i as f32 * 0.25 - 3.0).collect::<Vec<_>>())
}

pub fn values(buffer: &Buffer) -> Vec<f32> {
    buffer.bytes().chunks_exact(4).map(|c| f32::from_ne_bytes([c[0], c[1], c[2], c[3]])).collect()
}

pub fn indices(rows: &[&[i64]]) -> Buffer {
    let bytes: Vec<u8> = rows.iter().flat_map(|r| r.iter().flat_map(|v| v.to_ne_bytes())).collect();
    Buffer::from_bytes(TensorType::new(DType::I64, vec![rows.len(), rows[0].len()]), &bytes)
}
