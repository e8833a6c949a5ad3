//! From one instruction to the call of its kernel, with the element type chosen by dtype.

use hornbeam_kernels::conv::{self, ConvShape, OutputGrad};
use hornbeam_kernels::dispatch;
use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::gemm::{self, Activation, Epilogue, FusedEpilogue, Mat};
use hornbeam_kernels::index::{self, IndexSpec, Scatter};
use hornbeam_kernels::movement::{self, Axis};
use hornbeam_kernels::reduce;
use hornbeam_kernels::window::{self, PoolShape};

use crate::bound::Prepared;
use crate::buffer::Buffer;
use crate::execute::loop_epilogue::Tailing;
use crate::execute::{composites, linalg, rows, Context};
use crate::graph::{GradSource, PoolKind};
use crate::instruction::{Gemm, IndexShape, Instruction, Kind, Operand, Spatial, Strides};
use crate::memory::Memory;
use crate::strided::Dim;

pub fn run(instruction: &Instruction, memory: Memory, context: &mut Context) {
    let (reads, writes) = (&instruction.reads, &instruction.writes);
    match &instruction.kind {
        Kind::Fused(fused) => {
            // SAFETY: operands reach over the loop's elements by lowering; the planner shares memory only between a
            // write and a contiguous read that ends here.
            unsafe { fused.run(context.pool, memory, reads, writes, context.scratch) };
        }
        Kind::Copy { dims, .. } => copy(dims, memory, &reads[0], &writes[0], context),
        Kind::Dot { gemm, bias, relu } => dot(gemm, *bias, *relu, instruction, memory, context),
        Kind::ConvPool { .. } | Kind::ConvBackward { .. } => fused_convolution(instruction, memory, context),
        Kind::Conv { .. } | Kind::ConvInputGrad(_) | Kind::ConvKernelGrad(_) => {
            convolution(instruction, memory, context)
        }
        Kind::Reduce { op, shape, axes } => {
            let (x, y) = (memory.read_bytes(&reads[0]), memory.write_bytes(&writes[0]));
            reduce::reduce(context.pool, *op, reads[0].dtype, x, shape, axes, y)
        }
        Kind::Cumulative { op, along, reverse } => {
            let (x, y) = (memory.read_bytes(&reads[0]), memory.write_bytes(&writes[0]));
            let shape = [along.outer, along.n, along.inner];
            reduce::cumulative(context.pool, *op, reads[0].dtype, x, &shape, 1, *reverse, y)
        }
        Kind::ArgReduce { max, along } => {
            let shape = [along.outer, along.n, along.inner];
            let (x, y) = (memory.read_bytes(&reads[0]), memory.write::<i32>(&writes[0]));
            let kernel = if *max { reduce::argmax } else { reduce::argmin };
            kernel(context.pool, reads[0].dtype, x, &shape, 1, y)
        }
        Kind::Argsort { along } => {
            let shape = [along.outer, along.n, along.inner];
            let (x, y) = (memory.read_bytes(&reads[0]), memory.write::<i32>(&writes[0]));
            index::argsort(context.pool, reads[0].dtype, x, &shape, 1, y)
        }
        Kind::Gather(spec) => {
            let (x, at) = (memory.read_bytes(&reads[0]), memory.read_bytes(&reads[1]));
            let y = memory.write_bytes(&writes[0]);
            index::gather(context.pool, reads[0].dtype.size(), x, indexed(spec), spec.index, at, y)
        }
        Kind::Scatter(mode, spec) => scatter(*mode, spec, instruction, memory, context),
        Kind::Pool(kind, shape) => pooling(*kind, shape, instruction, memory, context),
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
        | Kind::Eigh { .. } => linalg::run(instruction, memory, context),
        other => unreachable!("{} has no kernel", other.name()),
    }
}

fn copy(dims: &[Dim], memory: Memory, from: &Operand, to: &Operand, context: &Context) {
    if crate::strided::is_contiguous(dims) {
        return memory.settle(from, to);
    }
    let mut axes: Vec<Axis> = Vec::with_capacity(dims.len());
    let mut stride = 1;
    for dim in dims.iter().rev() {
        axes.push(Axis { extent: dim.extent, src: dim.stride, dst: stride });
        stride *= dim.extent as isize;
    }
    axes.reverse();
    let (source, target) = (memory.pointer(from), memory.pointer(to));
    // SAFETY: the view lies inside its buffer by lowering, the target holds all of its elements, and copies are never
    // planned in place unless contiguous.
    unsafe { movement::copy_strided(context.pool, from.dtype.size(), source, target, &axes) };
}

fn scatter(mode: Scatter, spec: &IndexShape, instruction: &Instruction, memory: Memory, context: &Context) {
    let (reads, writes, pool) = (&instruction.reads, &instruction.writes, context.pool);
    let at = memory.read_bytes(&reads[1]);
    let Some(tail) = Tailing::of(instruction, memory) else {
        memory.settle(&reads[0], &writes[0]);
        let (y, updates) = (memory.write_bytes(&writes[0]), memory.read_bytes(&reads[2]));
        return index::scatter(pool, mode, reads[0].dtype, y, indexed(spec), spec.index, at, updates);
    };
    dispatch!(numeric, reads[0].dtype, T => {
        let (base, updates) = (memory.read::<T>(&reads[0])[0], memory.read::<T>(&reads[2]));
        index::scatter_fused(pool, mode, base, indexed(spec), spec.index, at, updates, &tail)
    }, else unreachable!("no loop follows a scatter of bool"))
}

fn indexed(spec: &IndexShape) -> IndexSpec<'_> {
    IndexSpec { shape: &spec.shape, batch_dims: spec.batch_dims, indices_shape: &spec.indices }
}

fn mat(strides: Strides) -> Mat {
    Mat { offset: 0, rows: strides.rows, cols: strides.cols, batch: strides.batch }
}

fn epilogue<'a, T>(memory: Memory<'a>, bias: Option<&Operand>, relu: bool) -> Epilogue<'a, T> {
    let activation = if relu { Activation::Relu } else { Activation::None };
    Epilogue { bias: bias.map(|b| memory.read(b)), activation, accumulate: false }
}

fn dot(g: &Gemm, bias: bool, relu: bool, instruction: &Instruction, memory: Memory, context: &mut Context) {
    let (reads, out) = (&instruction.reads, &instruction.writes[0]);
    dispatch!(numeric, out.dtype, T => {
        let end = epilogue::<T>(memory, bias.then(|| &reads[2]), relu);
        let (a, b) = (memory.read(&reads[0]), memory.read(&reads[1]));
        let (pool, a_mat, b_mat, c) = (context.pool, mat(g.a), mat(g.b), memory.write(out));
        let tail = Tailing::of(instruction, memory);
        match (context.prepared(instruction), &tail) {
            (Some(Prepared::Finite), None) => {
                gemm::gemm_finite(pool, g.batch, g.m, g.n, g.k, a, a_mat, b, b_mat, c, end, context.scratch)
            }
            _ => {
                let fused = tail.as_ref().map(|tail| tail as &dyn FusedEpilogue<T>);
                gemm::gemm_fused(pool, g.batch, g.m, g.n, g.k, a, a_mat, b, b_mat, c, end, fused, context.scratch)
            }
        }
    }, else unreachable!("dot_general of bool"))
}

pub fn conv_shape(s: &Spatial) -> ConvShape {
    ConvShape {
        batch: s.batch,
        input: s.input,
        output: s.output,
        kernel: s.window,
        strides: s.strides,
        dilation: s.dilation,
        pad: s.pad,
        in_channels: s.in_channels,
        out_channels: s.out_channels,
        groups: s.groups,
    }
}

fn convolution(instruction: &Instruction, memory: Memory, context: &mut Context) {
    let (reads, out) = (&instruction.reads, &instruction.writes[0]);
    if let Some(Prepared::Kernel(kernel)) = context.prepared(instruction) {
        return prepared_convolution(instruction, kernel, memory, context);
    }
    dispatch!(numeric, out.dtype, T => {
        let (a, b) = (memory.read::<T>(&reads[0]), memory.read::<T>(&reads[1]));
        let to = memory.write::<T>(out);
        match &instruction.kind {
            Kind::Conv { shape, bias, relu } => {
                let end = epilogue(memory, bias.then(|| &reads[2]), *relu);
                conv::conv_forward(context.pool, &conv_shape(shape), a, b, to, end, context.scratch)
            }
            Kind::ConvInputGrad(shape) => {
                conv::conv_input_grad(context.pool, &conv_shape(shape), a, b, to, context.scratch)
            }
            Kind::ConvKernelGrad(shape) => {
                conv::conv_kernel_grad(context.pool, &conv_shape(shape), a, b, to, context.scratch)
            }
            other => unreachable!("{} is no convolution", other.name()),
        }
    }, else unreachable!("convolution of bool"))
}

/// A convolution whose kernel was prepared.
fn prepared_convolution(instruction: &Instruction, kernel: &Buffer, memory: Memory, context: &mut Context) {
    let (reads, writes) = (&instruction.reads, &instruction.writes);
    // SAFETY: a prepared kernel is float32.
    let kernel: &[f32] = unsafe { std::slice::from_raw_parts(kernel.as_ptr().cast(), kernel.tensor.count()) };
    dispatch!(float, writes[0].dtype, T => {
        let (x, y) = (memory.read::<T>(&reads[0]), memory.write::<T>(&writes[0]));
        match &instruction.kind {
            Kind::Conv { shape, bias, relu } => {
                let end = epilogue(memory, bias.then(|| &reads[2]), *relu);
                conv::conv_forward_prepared(context.pool, &conv_shape(shape), x, kernel, y, end, context.scratch)
            }
            Kind::ConvPool { shape, bias, relu } => {
                let (end, codes) = (epilogue(memory, bias.then(|| &reads[2]), *relu), memory.write(&writes[1]));
                let shape = conv_shape(shape);
                conv::conv_pool_forward_prepared(context.pool, &shape, x, kernel, end, y, codes, context.scratch)
            }
            other => unreachable!("{} has no kernel to prepare", other.name()),
        }
    }, else unreachable!("a prepared convolution of integers"))
}

fn fused_convolution(instruction: &Instruction, memory: Memory, context: &mut Context) {
    let (reads, writes) = (&instruction.reads, &instruction.writes);
    if let Some(Prepared::Kernel(kernel)) = context.prepared(instruction) {
        return prepared_convolution(instruction, kernel, memory, context);
    }
    dispatch!(float, writes[0].dtype, T => {
        match &instruction.kind {
            Kind::ConvPool { shape, bias, relu } => {
                let end = epilogue(memory, bias.then(|| &reads[2]), *relu);
                let (x, w) = (memory.read::<T>(&reads[0]), memory.read::<T>(&reads[1]));
                let (y, codes) = (memory.write(&writes[0]), memory.write(&writes[1]));
                conv::conv_pool_forward(context.pool, &conv_shape(shape), x, w, end, y, codes, context.scratch)
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
                conv::conv_backward(context.pool, &conv_shape(shape), x, w, grad, dx, dw, db, context.scratch)
            }
            other => unreachable!("{} is no fused convolution", other.name()),
        }
    }, else unreachable!("fused convolutions are of floats"))
}

fn pooling(kind: PoolKind, s: &Spatial, instruction: &Instruction, memory: Memory, context: &Context) {
    let (reads, out, pool) = (&instruction.reads, &instruction.writes[0], context.pool);
    let shape = PoolShape {
        batch: s.batch,
        input: s.input,
        output: s.output,
        window: s.window,
        strides: s.strides,
        pad: s.pad,
        channels: s.in_channels,
    };
    dispatch!(numeric, out.dtype, T => {
        let x = memory.read::<T>(&reads[0]);
        let to = memory.write::<T>(out);
        match kind {
            PoolKind::Max => window::max_pool(pool, &shape, x, to),
            PoolKind::MaxGather => window::max_pool_gather(pool, &shape, x, memory.read(&reads[1]), to),
            PoolKind::MaxScatter => window::max_pool_scatter(pool, &shape, x, memory.read(&reads[1]), to),
            PoolKind::Sum => window::sum_pool(pool, &shape, x, to),
            PoolKind::SumGrad => window::sum_pool_grad(pool, &shape, x, to),
        }
    }, else unreachable!("pooling of bool"))
}

/// Integer scalars as i64, saturated; the kernels clamp them.
fn starts(memory: Memory, operands: &[Operand]) -> Vec<i64> {
    operands
        .iter()
        .map(|o| match o.dtype {
            DType::U64 => i64::try_from(memory.read::<u64>(o)[0]).unwrap_or(i64::MAX),
            DType::I64 => memory.read::<i64>(o)[0],
            DType::U32 => i64::from(memory.read::<u32>(o)[0]),
            DType::I32 => i64::from(memory.read::<i32>(o)[0]),
            DType::U16 => i64::from(memory.read::<u16>(o)[0]),
            DType::I16 => i64::from(memory.read::<i16>(o)[0]),
            DType::U8 => i64::from(memory.read::<u8>(o)[0]),
            _ => i64::from(memory.read::<i8>(o)[0]),
        })
        .collect()
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
            let pieces: Vec<(&[u8], usize)> =
                reads.iter().zip(parts).map(|(o, &n)| (memory.read_bytes(o), n)).collect();
            let shape = [*outer, parts.iter().sum()];
            movement::concatenate(pool, size, &pieces, &shape, 1, memory.write_bytes(out))
        }
        Kind::Reverse { shape, axes } => {
            movement::reverse(pool, size, memory.read_bytes(&reads[0]), shape, axes, memory.write_bytes(out))
        }
        Kind::DynamicSlice { shape, sizes } => {
            let starts = starts(memory, &reads[1..]);
            movement::dynamic_slice(
                pool,
                size,
                memory.read_bytes(&reads[0]),
                shape,
                &starts,
                sizes,
                memory.write_bytes(out),
            )
        }
        Kind::DynamicUpdateSlice { shape, sizes } => {
            memory.settle(&reads[0], out);
            let starts = starts(memory, &reads[2..]);
            let update = memory.read_bytes(&reads[1]);
            movement::dynamic_update_slice(pool, size, update, sizes, &starts, memory.write_bytes(out), shape)
        }
        other => unreachable!("{} moves no elements", other.name()),
    }
}
