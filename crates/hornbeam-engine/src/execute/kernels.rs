//! Calls the kernel of an instruction, with the element type selected by dtype.

use hornbeam_kernels::conv::{self, Int8Kernel, Int8Result};
use hornbeam_kernels::dispatch;
use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::gemm::{self, Form, FusedEpilogue, Product};
use hornbeam_kernels::index::{self, IndexSpec, Scatter};
use hornbeam_kernels::movement::{self, Axis};
use hornbeam_kernels::reduce;
use hornbeam_kernels::resample;

use crate::execute::loop_epilogue::RunningEpilogue;
use crate::execute::{bias_relu, composites, convolution, linalg, rows, Context};
use crate::graph::Limit;
use crate::instruction::{AxisLayout, GemmShape, IndexShape, Instruction, Kind};
use crate::memory::Memory;
use crate::operand::Operand;
use crate::scalar;
use crate::strided::{self, Dim};
use crate::weight_cache::{elements, CachedWeight};

pub fn run(instruction: &Instruction, memory: Memory, context: &mut Context) {
    let (reads, writes) = (&instruction.reads, &instruction.writes);
    match &instruction.kind {
        Kind::Fused(fused) => {
            // SAFETY: lowering makes operands reach over the loop's elements; the planner shares memory only between a
            // write and a contiguous read whose lifetime ends here.
            unsafe { fused.run(context.pool, memory, reads, writes, context.scratch) };
        }
        Kind::Copy { dims, .. } => copy(dims, memory, &reads[0], &writes[0], context),
        Kind::QuantizedDot(gemm) => quantized_dot(gemm, instruction, memory, context),
        Kind::Dot { gemm, bias, relu } => dot(gemm, *bias, *relu, instruction, memory, context),
        Kind::Conv { .. }
        | Kind::QuantizedConv { .. }
        | Kind::ConvPool { .. }
        | Kind::ConvBackward { .. }
        | Kind::ConvInputGrad(_)
        | Kind::ConvKernelGrad(_) => convolution::run(instruction, memory, context),
        Kind::Reduce { op, shape, axes } => {
            let (x, y) = (memory.read_bytes(&reads[0]), memory.write_bytes(&writes[0]));
            reduce::reduce(context.pool, *op, reads[0].dtype, x, shape, axes, y)
        }
        Kind::Cumulative { op, layout, reverse } => {
            let (x, y) = (memory.read_bytes(&reads[0]), memory.write_bytes(&writes[0]));
            reduce::cumulative(context.pool, *op, reads[0].dtype, x, &layout.shape(), 1, *reverse, y)
        }
        Kind::ArgReduce { max, layout } => {
            let (x, y) = (memory.read_bytes(&reads[0]), memory.write::<i32>(&writes[0]));
            let kernel = if *max { reduce::argmax } else { reduce::argmin };
            kernel(context.pool, reads[0].dtype, x, &layout.shape(), 1, y)
        }
        Kind::Resample(shape) => dispatch!(float, writes[0].dtype, T => {
            let (x, weights) = (memory.read::<T>(&reads[0]), memory.read::<T>(&reads[1]));
            resample::resample(context.pool, shape, weights, x, memory.write(&writes[0]))
        }, else unreachable!("resampling is of floats")),
        Kind::Argsort { layout } => {
            let (x, y) = (memory.read_bytes(&reads[0]), memory.write::<i32>(&writes[0]));
            index::argsort(context.pool, reads[0].dtype, x, &layout.shape(), 1, y)
        }
        Kind::OneHot { layout } => one_hot(layout, memory, &reads[0], &writes[0], context),
        Kind::Gather(spec) => {
            let (x, at) = (memory.read_bytes(&reads[0]), memory.read_bytes(&reads[1]));
            let y = memory.write_bytes(&writes[0]);
            index::gather(context.pool, reads[0].dtype.size(), x, index_spec(spec), spec.index_dtype, at, y)
        }
        Kind::Scatter(mode, spec) => scatter(*mode, spec, instruction, memory, context),
        Kind::Pool(kind, shape) => convolution::run_pooling(*kind, shape, instruction, memory, context),
        Kind::Rows { .. } => rows::run(instruction, memory, context),
        Kind::Recurrent { .. } | Kind::Attention { .. } => composites::run(instruction, memory, context),
        Kind::Pad { .. }
        | Kind::Concatenate { .. }
        | Kind::Reverse { .. }
        | Kind::DynamicSlice { .. }
        | Kind::DynamicUpdateSlice { .. } => move_elements(instruction, memory, context),
        Kind::Cholesky { .. }
        | Kind::TriangularSolve { .. }
        | Kind::Lu { .. }
        | Kind::Qr { .. }
        | Kind::Svd { .. }
        | Kind::Eig { .. }
        | Kind::Eigh { .. } => linalg::run(instruction, memory, context),
        other => unreachable!("{} has no kernel", other.name()),
    }
}

fn one_hot(layout: &AxisLayout, memory: Memory, indices: &Operand, out: &Operand, context: &mut Context) {
    let (one, extents) = (scalar::from_f64(out.dtype, 1.0), layout.shape());
    let (one, y) = (&one[..out.dtype.size()], memory.write_bytes(out));
    dispatch!(int, indices.dtype, T => {
        let x = memory.read::<T>(indices);
        // Negative ones are out of range, too. Of some types every conversion succeeds.
        #[allow(clippy::unnecessary_fallible_conversions)]
        let index = |i: usize| usize::try_from(x[i]).unwrap_or(usize::MAX);
        index::one_hot(context.pool, extents, &index, one, y)
    }, else unreachable!("lowering checks that indices are integers"))
}

fn copy(dims: &[Dim], memory: Memory, from: &Operand, to: &Operand, context: &Context) {
    if strided::is_contiguous(dims) {
        return memory.copy_unless_shared(from, to);
    }
    let mut axes: Vec<Axis> = Vec::with_capacity(dims.len());
    let mut stride = 1;
    for dim in dims.iter().rev() {
        axes.push(Axis { extent: dim.extent, src: dim.stride, dst: stride });
        stride *= dim.extent as isize;
    }
    axes.reverse();
    let (source, target) = (memory.pointer(from), memory.pointer(to));
    // SAFETY: lowering keeps the view inside its buffer, the target holds all of its elements, and the planner shares
    // memory only for contiguous copies.
    unsafe { movement::copy_strided(context.pool, from.dtype.size(), source, target, &axes) };
}

fn scatter(mode: Scatter, spec: &IndexShape, instruction: &Instruction, memory: Memory, context: &Context) {
    let (reads, writes, pool) = (&instruction.reads, &instruction.writes, context.pool);
    let at = memory.read_bytes(&reads[1]);
    let Some(epilogue) = RunningEpilogue::of(instruction, memory) else {
        memory.copy_unless_shared(&reads[0], &writes[0]);
        let (y, updates) = (memory.write_bytes(&writes[0]), memory.read_bytes(&reads[2]));
        return index::scatter(pool, mode, reads[0].dtype, y, index_spec(spec), spec.index_dtype, at, updates);
    };
    dispatch!(numeric, reads[0].dtype, T => {
        let (base, updates) = (memory.read::<T>(&reads[0])[0], memory.read::<T>(&reads[2]));
        index::scatter_fused(pool, mode, base, index_spec(spec), spec.index_dtype, at, updates, &epilogue)
    }, else unreachable!("no loop follows a scatter of bool"))
}

fn index_spec(spec: &IndexShape) -> IndexSpec<'_> {
    let IndexShape { shape, batch_dims, indices, shared, .. } = spec;
    IndexSpec { shape, batch_dims: *batch_dims, indices_shape: indices, shared: *shared }
}

fn dot(
    g: &GemmShape,
    bias: bool,
    relu: Option<Limit>,
    instruction: &Instruction,
    memory: Memory,
    context: &mut Context,
) {
    let (reads, out) = (&instruction.reads, &instruction.writes[0]);
    if let Some(CachedWeight::PackedMatrix(matrix)) = context.weights.get(instruction) {
        let end = bias_relu::<f32>(memory, bias.then(|| &reads[2]), relu);
        let epilogue = RunningEpilogue::of(instruction, memory);
        let fused = epilogue.as_ref().map(|epilogue| epilogue as &dyn FusedEpilogue<f32>);
        let (a, b, c) = (memory.read(&reads[0]), elements(matrix), memory.write(out));
        return gemm::gemm_packed(context.pool, g.m, g.n, g.k, a, g.a.into(), b, c, end, fused, context.scratch);
    }
    dispatch!(numeric, out.dtype, T => {
        let running = RunningEpilogue::of(instruction, memory);
        let fused = running.as_ref().map(|epilogue| epilogue as &dyn FusedEpilogue<T>);
        let is_finite = matches!(context.weights.get(instruction), Some(CachedWeight::Finite));
        let &GemmShape { batch, m, n, k, .. } = g;
        let (a, am, b, bm) = (memory.read(&reads[0]), g.a.into(), memory.read(&reads[1]), g.b.into());
        let (c, epilogue) = (memory.write(out), bias_relu::<T>(memory, bias.then(|| &reads[2]), relu));
        let form = if is_finite && fused.is_none() { Form::Finite } else { Form::Plain };
        let product = Product { batch, m, n, k, a, am, b, bm, c, epilogue, fused, form };
        gemm::gemm_product(context.pool, product, context.scratch)
    }, else unreachable!("dot_general of bool"))
}

fn quantized_dot(g: &GemmShape, instruction: &Instruction, memory: Memory, context: &mut Context) {
    let (reads, to) = (&instruction.reads, &instruction.writes[0]);
    let (a, b, sizes) = (convolution::bytes(memory, &reads[0]), memory.read::<i8>(&reads[1]), [g.m, g.n, g.k]);
    if let Some((CachedWeight::PackedInt8(packed), shape)) = context.weights.get(instruction).zip(g.as_pixels()) {
        let result = match to.dtype {
            DType::I32 => Int8Result::Sums { to: memory.write(to), fused: None },
            _ => Int8Result::Floats { to: memory.write(to), fused: None },
        };
        let a = convolution::bytes(memory, &Operand { count: g.m * g.k, ..reads[0] });
        let weights = Int8Kernel::Packed(elements(packed));
        return conv::conv_int8(context.pool, &shape, false, a, weights, None, result, context.scratch);
    }
    let (am, bm) = (g.a.into(), g.b.into());
    match to.dtype {
        DType::I32 => gemm::gemm_int8(context.pool, sizes, a, am, b, bm, memory.write::<i32>(to), context.scratch),
        _ => gemm::gemm_int8(context.pool, sizes, a, am, b, bm, memory.write::<f32>(to), context.scratch),
    }
}

/// The start indices of a slice as i64. The kernels clamp them.
fn start_indices(memory: Memory, operands: &[Operand]) -> Vec<i64> {
    let start = |operand: &Operand| match operand.dtype {
        DType::U64 => i64::try_from(memory.read::<u64>(operand)[0]).unwrap_or(i64::MAX),
        DType::I64 => memory.read::<i64>(operand)[0],
        DType::U32 => i64::from(memory.read::<u32>(operand)[0]),
        DType::I32 => i64::from(memory.read::<i32>(operand)[0]),
        DType::U16 => i64::from(memory.read::<u16>(operand)[0]),
        DType::I16 => i64::from(memory.read::<i16>(operand)[0]),
        DType::U8 => i64::from(memory.read::<u8>(operand)[0]),
        _ => i64::from(memory.read::<i8>(operand)[0]),
    };
    operands.iter().map(start).collect()
}

fn move_elements(instruction: &Instruction, memory: Memory, context: &Context) {
    let (reads, out, pool) = (&instruction.reads, &instruction.writes[0], context.pool);
    let size = out.dtype.size();
    match &instruction.kind {
        Kind::Pad { shape, low, high, interior } => {
            let (x, value) = (memory.read_bytes(&reads[0]), memory.read_bytes(&reads[1]));
            movement::pad(pool, size, x, shape, value, low, high, interior, memory.write_bytes(out))
        }
        Kind::Concatenate { outer, parts } => {
            let operands: Vec<(&[u8], usize)> =
                reads.iter().zip(parts).map(|(o, &n)| (memory.read_bytes(o), n)).collect();
            let shape = [*outer, parts.iter().sum()];
            movement::concatenate(pool, size, &operands, &shape, 1, memory.write_bytes(out))
        }
        Kind::Reverse { shape, axes } => {
            movement::reverse(pool, size, memory.read_bytes(&reads[0]), shape, axes, memory.write_bytes(out))
        }
        Kind::DynamicSlice { shape, sizes } => {
            let starts = start_indices(memory, &reads[1..]);
            let (x, y) = (memory.read_bytes(&reads[0]), memory.write_bytes(out));
            movement::dynamic_slice(pool, size, x, shape, &starts, sizes, y)
        }
        Kind::DynamicUpdateSlice { shape, sizes } => {
            memory.copy_unless_shared(&reads[0], out);
            let starts = start_indices(memory, &reads[2..]);
            let update = memory.read_bytes(&reads[1]);
            movement::dynamic_update_slice(pool, size, update, sizes, &starts, memory.write_bytes(out), shape)
        }
        other => unreachable!("{} does not move elements", other.name()),
    }
}
