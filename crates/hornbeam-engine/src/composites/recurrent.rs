//! Recurrent layers: types and kernels.

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::rnn::SequenceShape;

use crate::decode::params::{take, Params};
use crate::error::{malformed, Result};
use crate::graph::{Cell, Op, Recurrent, Value};
use crate::passes::builder::Builder;
use crate::types::TensorType;

pub(super) fn emit_kernel(b: &mut Builder, name: &str, p: &mut Params, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let (cell, backward) = match name {
        "lstm" => (Cell::Lstm, false),
        "lstm_grad" => (Cell::Lstm, true),
        "gru" => (Cell::Gru, false),
        "gru_grad" => (Cell::Gru, true),
        _ => return Ok(None),
    };
    let op = Recurrent { cell, backward, reverse: take(p, "reverse")?, masked: take(p, "masked")? };
    let operands: Vec<&TensorType> = x.iter().map(|&v| b.type_of(v)).collect();
    let dtype = operands[0].dtype;
    let shape = op.shape(&operands)?;
    if shape.steps == 0 || shape.batch * shape.units == 0 {
        return Ok(None);
    }
    let types = op.types(&shape, dtype);
    let results = b.emit(Op::Recurrent(op.clone()), x.to_vec(), types)?;
    if backward {
        return Ok(Some(results));
    }
    // The last states are views of the states of all steps.
    let time = if op.reverse { 0 } else { shape.steps - 1 };
    let mut last = |all: Value| -> Result<Value> {
        let slice = Op::Slice { start: vec![0, time, 0], step: vec![1; 3] };
        let row_type = TensorType::new(dtype, vec![shape.batch, 1, shape.units]);
        let row = b.emit(slice, vec![all], vec![row_type])?[0];
        Ok(b.emit(Op::Reshape, vec![row], vec![TensorType::new(dtype, vec![shape.batch, shape.units])])?[0])
    };
    Ok(Some(match op.cell {
        Cell::Lstm => vec![results[0], last(results[0])?, last(results[1])?, results[1], results[2]],
        Cell::Gru => vec![results[0], last(results[0])?, results[1]],
    }))
}

impl Recurrent {
    pub fn name(&self) -> &'static str {
        match (self.cell, self.backward) {
            (Cell::Lstm, false) => "lstm",
            (Cell::Lstm, true) => "lstm_grad",
            (Cell::Gru, false) => "gru",
            (Cell::Gru, true) => "gru_grad",
        }
    }

    /// Number of required operands.
    fn required_operands(&self) -> usize {
        match (self.cell, self.backward) {
            (Cell::Lstm, true) => 6,
            (Cell::Gru, true) => 5,
            (_, false) => 4,
        }
    }

    /// Return whether the optional operand with the gradients of all outputs is present.
    pub fn has_output_grads(&self, operands: usize) -> bool {
        operands == self.required_operands() + 1 + usize::from(self.masked)
    }

    /// The shape of the sequence that the operands declare.
    pub fn shape(&self, x: &[&TensorType]) -> Result<SequenceShape> {
        let (sequence, state) = match (self.cell, self.backward) {
            (_, false) | (Cell::Lstm, true) => (if self.backward { 2 } else { 0 }, 1 + 2 * usize::from(!self.backward)),
            (Cell::Gru, true) => (2, 1),
        };
        match (x.get(sequence).map(|t| &t.shape[..]), x.get(state).map(|t| &t.shape[..])) {
            (Some(&[batch, steps, _]), Some(&[_, units])) => {
                Ok(SequenceShape { batch, steps, units, reverse: self.reverse })
            }
            _ => Err(malformed!("{}: operands {x:?} are not a sequence and a state", self.name())),
        }
    }

    /// Number of gates.
    fn gates(&self) -> usize {
        match self.cell {
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    /// The types of the results.
    pub fn types(&self, s: &SequenceShape, dtype: DType) -> Vec<TensorType> {
        let all = |n: usize| TensorType::new(dtype, vec![s.batch, s.steps, n * s.units]);
        let row = || TensorType::new(dtype, vec![s.batch, s.units]);
        match (self.cell, self.backward) {
            (Cell::Lstm, false) => vec![all(1), all(1), all(4)],
            (Cell::Gru, false) => vec![all(1), all(4)],
            (Cell::Lstm, true) => vec![all(4), row(), row()],
            (Cell::Gru, true) => vec![all(3), all(3), row()],
        }
    }

    /// Check the types of operands and results against the shape that they declare.
    pub fn check(&self, x: &[&TensorType], outputs: &[TensorType]) -> Result<()> {
        let s = self.shape(x)?;
        let dtype = x[0].dtype;
        let all = |n: usize| TensorType::new(dtype, vec![s.batch, s.steps, n * s.units]);
        let row = || TensorType::new(dtype, vec![s.batch, s.units]);
        let weights = TensorType::new(dtype, vec![s.units, self.gates() * s.units]);
        let bias = TensorType::new(dtype, vec![self.gates() * s.units]);
        let mut expected = match (self.cell, self.backward) {
            (Cell::Lstm, false) => vec![all(4), weights, row(), row()],
            (Cell::Gru, false) => vec![all(3), weights, bias, row()],
            (Cell::Lstm, true) => vec![weights, row(), all(1), all(4), row(), row()],
            (Cell::Gru, true) => vec![weights, row(), all(1), all(4), row()],
        };
        if self.backward && self.has_output_grads(x.len()) {
            expected.push(all(1));
        }
        if self.masked {
            expected.push(TensorType::new(DType::Bool, vec![s.batch, s.steps]));
        }
        let fits = expected.len() == x.len() && expected.iter().zip(x).all(|(e, x)| e == *x);
        let float = matches!(dtype, DType::F32 | DType::F64);
        if !(fits && float && self.types(&s, dtype) == outputs) {
            return Err(malformed!("{} of {x:?} cannot return {outputs:?}", self.name()));
        }
        Ok(())
    }
}
