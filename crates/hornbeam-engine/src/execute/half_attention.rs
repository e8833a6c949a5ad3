//! Attention of few queries to keys and values of 16-bit floats.

use hornbeam_kernels::attention::{attention_of_few, Attention, AttentionShape};
use hornbeam_kernels::dtype::{bf16, f16, DType, Element};

use super::composites::optional_operands;
use crate::execute::Context;
use crate::instruction::{Instruction, Kind};
use crate::memory::Memory;

/// Run the instruction if it is such an attention; return whether it is.
pub fn run(instruction: &Instruction, memory: Memory, context: &Context) -> bool {
    let Kind::Attention { backward: false, shape, bias, rate } = &instruction.kind else { return false };
    match instruction.reads[1].dtype {
        DType::BF16 => few::<bf16>(shape, *bias, *rate, instruction, memory, context),
        DType::F16 => few::<f16>(shape, *bias, *rate, instruction, memory, context),
        _ => return false,
    }
    true
}

fn few<K: Element<Acc = f32>>(
    shape: &AttentionShape,
    bias: Option<[usize; 3]>,
    rate: f64,
    instruction: &Instruction,
    memory: Memory,
    context: &Context,
) {
    let (reads, writes) = (&instruction.reads, &instruction.writes);
    let (q, k, v) = (memory.read(&reads[0]), memory.read::<K>(&reads[1]), memory.read(&reads[2]));
    let (bias, dropout) = optional_operands(bias, rate, instruction, memory);
    let (out, row_max, row_sum) = (memory.write(&writes[0]), memory.write(&writes[1]), memory.write(&writes[2]));
    attention_of_few(context.pool, shape, Attention { q, k, v, bias, dropout, out, row_max, row_sum });
}
