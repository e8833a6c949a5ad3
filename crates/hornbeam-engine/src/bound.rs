//! Executables whose first inputs are weights that stay the same over many runs.

use std::sync::Arc;

use hornbeam_kernels::conv;
use hornbeam_kernels::dtype::{bf16, DType, Element};
use hornbeam_kernels::pool::ThreadPool;

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::executable::Executable;
use crate::execute::conv_shape;
use crate::instruction::{Instruction, Kind, Place, Program};
use crate::types::TensorType;

/// What is known of an instruction's weights before it runs.
pub enum Prepared {
    /// A convolution's kernel in the algorithm's own form.
    Kernel(Buffer),
    /// No weight of a product is infinite or NaN.
    Finite,
}

/// An executable together with its first inputs.
pub struct Bound {
    executable: Arc<Executable>,
    weights: Vec<Buffer>,
    /// By number of instruction; may end early.
    prepared: Vec<Option<Prepared>>,
}

impl Bound {
    /// `weights` are the first inputs of all runs. They must not be donated to anything meanwhile.
    pub fn new(executable: Arc<Executable>, weights: Vec<Buffer>) -> Result<Bound> {
        if weights.len() > executable.inputs().len() {
            let expected = executable.inputs().len();
            return Err(Error::Argument(format!("{} weights for {expected} inputs", weights.len())));
        }
        executable.check_from(0, &weights)?;
        let mut prepared = Vec::new();
        for instruction in &executable.program().instructions {
            let found = prepare(executable.program(), instruction, &weights);
            if found.is_some() {
                prepared.resize_with(instruction.number as usize, || None);
                prepared.push(found);
            }
        }
        Ok(Bound { executable, weights, prepared })
    }

    /// The outputs for the inputs behind the weights.
    pub fn run(&self, inputs: &[Buffer]) -> Result<Vec<Buffer>> {
        let (given, expected) = (self.weights.len() + inputs.len(), self.executable.inputs().len());
        if given != expected {
            return Err(Error::Argument(format!("expected {expected} inputs, got {given}")));
        }
        self.executable.check_from(self.weights.len(), inputs)?;
        self.executable.launch([&self.weights, inputs], &[], &self.prepared)
    }
}

/// What can be made beforehand of the second operand of a contraction, if that is one of the weights.
fn prepare(program: &Program, instruction: &Instruction, weights: &[Buffer]) -> Option<Prepared> {
    let operand = instruction.reads.get(1)?;
    let Place::Input(input) = program.buffers[operand.buffer as usize].place else { return None };
    let weights = weights.get(input as usize).filter(|weights| weights.tensor.dtype == operand.dtype)?;
    match &instruction.kind {
        Kind::Conv { shape, .. } | Kind::ConvPool { shape, .. } if operand.count == weights.tensor.count() => {
            let shape = conv_shape(shape);
            let floats = conv::prepared_len(&shape, operand.dtype)?;
            let mut kernel = Buffer::new(TensorType::new(DType::F32, vec![floats])).ok()?;
            let pointer = kernel.unique_ptr()?.cast::<f32>();
            // SAFETY: the buffer is new and holds as many floats.
            let prepared = unsafe { std::slice::from_raw_parts_mut(pointer, floats) };
            match operand.dtype {
                DType::BF16 => conv::prepare(ThreadPool::global(), &shape, values::<bf16>(weights), prepared),
                _ => conv::prepare(ThreadPool::global(), &shape, values::<f32>(weights), prepared),
            }
            Some(Prepared::Kernel(kernel))
        }
        Kind::Dot { gemm, .. } if operand.dtype == DType::F32 && gemm.batch == 1 && gemm.m == 1 => {
            values::<f32>(weights).iter().all(|value| value.is_finite()).then_some(Prepared::Finite)
        }
        _ => None,
    }
}

/// What a buffer of the type holds.
fn values<T: Element>(buffer: &Buffer) -> &[T] {
    assert_eq!(buffer.tensor.dtype, T::DTYPE, "a buffer of another type");
    // SAFETY: the buffer holds as many elements of the type.
    unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast(), buffer.tensor.count()) }
}
