//! Convolutions, with pooling and gradients.

use hornbeam_kernels::conv::{self, ConvShape, Int8Kernel, Int8Result, OutputGrad, Rounding, ScaleAndClamp};
use hornbeam_kernels::dispatch;
use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::gemm::{Bytes, FusedEpilogue};
use hornbeam_kernels::window::{self, PoolShape};

use crate::buffer::Buffer;
use crate::execute::loop_epilogue::RunningEpilogue;
use crate::execute::{bias_relu, Context};
use crate::graph::{ByteScale, GradSource, Int8Epilogue, PoolKind};
use crate::instruction::{Instruction, Kind};
use crate::memory::Memory;
use crate::operand::Operand;
use crate::weight_cache::{elements, CachedWeight};

pub fn run(instruction: &Instruction, memory: Memory, context: &mut Context) {
    if let Some(CachedWeight::TransformedKernel(kernel)) = context.weights.get(instruction) {
        return run_transformed(instruction, kernel, memory, context);
    }
    match &instruction.kind {
        Kind::QuantizedConv { shape, epilogue } => run_quantized(shape, *epilogue, instruction, memory, context),
        Kind::ConvPool { .. } | Kind::ConvBackward { .. } => run_fused(instruction, memory, context),
        _ => run_plain(instruction, memory, context),
    }
}

/// The bytes of an operand, signed or not.
pub fn bytes<'a>(memory: Memory<'a>, operand: &Operand) -> Bytes<'a> {
    match operand.dtype {
        DType::U8 => Bytes::Unsigned(memory.read(operand)),
        _ => Bytes::Signed(memory.read(operand)),
    }
}

fn run_quantized(
    shape: &ConvShape,
    epilogue: Option<Int8Epilogue>,
    instruction: &Instruction,
    memory: Memory,
    context: &mut Context,
) {
    let (reads, writes) = (&instruction.reads, &instruction.writes);
    let x = bytes(memory, &reads[0]);
    let kernel = match context.weights.get(instruction) {
        Some(CachedWeight::PackedInt8(packed)) => Int8Kernel::Packed(elements(packed)),
        _ => Int8Kernel::Taps(memory.read(&instruction.reads[1])),
    };
    let epilogue = epilogue.as_ref();
    let mut others = reads[2..].iter();
    let mut next = |is_given: bool| if is_given { others.next() } else { None };
    let end = epilogue.and_then(|epilogue| {
        // In the order of the operands.
        Some(ScaleAndClamp {
            addend: next(epilogue.addend).map(|operand| memory.read(operand)),
            shift: next(epilogue.shift).map(|operand| memory.read(operand)),
            scale: memory.read(next(true)?),
            bias: next(epilogue.bias).map(|operand| memory.read(operand)),
            low: f32::from_bits(epilogue.low),
            high: f32::from_bits(epilogue.high),
        })
    });
    let running = RunningEpilogue::of(instruction, memory);
    let result = match epilogue.and_then(|epilogue| Some((epilogue, epilogue.rounded?))) {
        Some((epilogue, rounded)) => Int8Result::Rounded {
            to: memory.write_bytes(&writes[epilogue.floats as usize]),
            rounding: Rounding {
                scale: next(rounded.is_scaled()).map_or(1.0, |operand| memory.read(operand)[0]),
                divides: rounded.scale == ByteScale::Divide,
                range: rounded.range,
                zero: rounded.zero,
            },
            floats: epilogue.floats.then(|| memory.write(&writes[0])),
        },
        None if writes[0].dtype == DType::I32 => Int8Result::Sums {
            to: memory.write(&writes[0]),
            fused: running.as_ref().map(|epilogue| epilogue as &dyn FusedEpilogue<i32>),
        },
        None => Int8Result::Floats {
            to: memory.write(&writes[0]),
            fused: running.as_ref().map(|epilogue| epilogue as &dyn FusedEpilogue<f32>),
        },
    };
    let pooled = epilogue.is_some_and(|epilogue| epilogue.pooled);
    conv::conv_int8(context.pool, shape, pooled, x, kernel, end.as_ref(), result, context.scratch);
}

fn run_plain(instruction: &Instruction, memory: Memory, context: &mut Context) {
    let (reads, out, pool) = (&instruction.reads, &instruction.writes[0], context.pool);
    dispatch!(numeric, out.dtype, T => {
        let (a, b) = (memory.read::<T>(&reads[0]), memory.read::<T>(&reads[1]));
        let to = memory.write::<T>(out);
        match &instruction.kind {
            Kind::Conv { shape, bias, relu } => {
                let end = bias_relu(memory, bias.then(|| &reads[2]), *relu);
                match RunningEpilogue::of(instruction, memory) {
                    Some(fused) => conv::conv_forward_fused(pool, shape, a, b, to, end, &fused, context.scratch),
                    None => conv::conv_forward(pool, shape, a, b, to, end, context.scratch),
                }
            }
            Kind::ConvInputGrad(shape) => conv::conv_input_grad(pool, shape, a, b, to, context.scratch),
            Kind::ConvKernelGrad(shape) => conv::conv_kernel_grad(pool, shape, a, b, to, context.scratch),
            other => unreachable!("{} is not a convolution", other.name()),
        }
    }, else unreachable!("convolution of bool"))
}

/// Run a convolution whose kernel was transformed when the executable was bound.
fn run_transformed(instruction: &Instruction, kernel: &Buffer, memory: Memory, context: &mut Context) {
    let (reads, writes) = (&instruction.reads, &instruction.writes);
    let kernel = elements::<f32>(kernel);
    dispatch!(float, writes[0].dtype, T => {
        let (x, y) = (memory.read::<T>(&reads[0]), memory.write::<T>(&writes[0]));
        match &instruction.kind {
            Kind::Conv { shape, bias, relu } => {
                let end = bias_relu(memory, bias.then(|| &reads[2]), *relu);
                let running = RunningEpilogue::of(instruction, memory);
                let fused = running.as_ref().map(|epilogue| epilogue as &dyn FusedEpilogue<T>);
                conv::conv_forward_prepared(context.pool, shape, x, kernel, y, end, fused, context.scratch)
            }
            Kind::ConvPool { shape, bias, relu } => {
                let (end, codes) = (bias_relu(memory, bias.then(|| &reads[2]), *relu), memory.write(&writes[1]));
                conv::conv_pool_forward_prepared(context.pool, shape, x, kernel, end, y, codes, context.scratch)
            }
            other => unreachable!("{} has no kernel to transform", other.name()),
        }
    }, else unreachable!("a transformed kernel of integers"))
}

fn run_fused(instruction: &Instruction, memory: Memory, context: &mut Context) {
    let (reads, writes) = (&instruction.reads, &instruction.writes);
    dispatch!(float, writes[0].dtype, T => {
        match &instruction.kind {
            Kind::ConvPool { shape, bias, relu } => {
                let end = bias_relu(memory, bias.then(|| &reads[2]), *relu);
                let (x, w) = (memory.read::<T>(&reads[0]), memory.read::<T>(&reads[1]));
                let (y, codes) = (memory.write(&writes[0]), memory.write(&writes[1]));
                conv::conv_pool_forward(context.pool, shape, x, w, end, y, codes, context.scratch)
            }
            Kind::ConvBackward { shape, source, input, bias } => {
                let (x, dy) = (memory.read::<T>(&reads[0]), memory.read::<T>(&reads[1]));
                let grad = match source {
                    GradSource::Plain => OutputGrad::Plain(dy),
                    GradSource::Relu => OutputGrad::Relu { dy, y: memory.read(&reads[2]) },
                    GradSource::Pooled => OutputGrad::Pooled { dy, codes: memory.read(&reads[2]) },
                };
                let w: &[T] = if *input { memory.read(&reads[reads.len() - 1]) } else { &[] };
                let dx = input.then(|| memory.write(&writes[1]));
                let db = bias.then(|| memory.write(&writes[writes.len() - 1]));
                let dw = Some(memory.write(&writes[0]));
                conv::conv_backward(context.pool, shape, x, w, grad, dx, dw, db, context.scratch)
            }
            other => unreachable!("{} is not a fused convolution", other.name()),
        }
    }, else unreachable!("fused convolutions are of floats"))
}

pub fn run_pooling(kind: PoolKind, shape: &PoolShape, instruction: &Instruction, memory: Memory, context: &Context) {
    let (reads, out, pool) = (&instruction.reads, &instruction.writes[0], context.pool);
    dispatch!(float, out.dtype, T => {
        let (x, y) = (memory.read::<T>(&reads[0]), memory.write::<T>(out));
        match kind {
            PoolKind::Max => window::max_pool(pool, shape, x, y),
            PoolKind::MaxGather => window::max_pool_gather(pool, shape, x, memory.read(&reads[1]), y),
            PoolKind::MaxScatter => window::max_pool_scatter(pool, shape, x, memory.read(&reads[1]), y),
            PoolKind::Sum => window::sum_pool(pool, shape, x, y),
            PoolKind::SumGrad => window::sum_pool_grad(pool, shape, x, y),
        }
    }, else unreachable!("the rules check that pools are of floats"))
}
