//! Lowers single operations: from axes and shapes to the few integers that their kernels take.

use hornbeam_kernels::conv::ConvShape;
use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::resample::Resample;
use hornbeam_kernels::window::PoolShape;

use crate::error::{Error, Result};
use crate::graph::{GradSource, NodeId, Op, PoolKind, RowKernel, Value, Window};
use crate::instruction::{AxisLayout, GemmShape, IndexShape, Kind, MatrixStrides};
use crate::lower::{Lowering, View};
use crate::operand::Operand;
use crate::rules::{convolved, free_axes, is_quantized};
use crate::strided::{self, Dim};
use crate::types::TensorType;

impl Lowering<'_> {
    pub(super) fn single(&mut self, id: NodeId) -> Result<()> {
        let graph = self.graph;
        let node = graph.node(id);
        match &node.op {
            Op::Cond { .. } | Op::While { .. } | Op::Scan { .. } => return self.control(id),
            Op::Dot { .. } => return self.dot(id),
            Op::Recurrent(layer) => return self.recurrent(id, layer),
            Op::Attention(layer) => return self.attention(id, layer),
            _ => {}
        }
        let types: Vec<&TensorType> = node.inputs.iter().map(|&v| graph.type_of(v)).collect();
        let mut kind = kind(&node.op, &types, &node.types)?;
        check_supported(&kind, types.first().map_or(node.types[0].dtype, |t| t.dtype))?;
        let shared = match &mut kind {
            Kind::Gather(spec) | Kind::Scatter(_, spec) => self.share_indices(node.inputs[1], spec),
            _ => None,
        };
        let operand = |(i, &value)| match shared {
            Some(indices) if i == 1 => indices,
            _ => self.contiguous(value),
        };
        let reads: Vec<Operand> = node.inputs.iter().enumerate().map(operand).collect();
        let writes = (0..node.types.len() as u32).map(|output| self.define(Value { node: id, output })).collect();
        self.emit(kind, reads, writes);
        Ok(())
    }

    /// Return the indices of one batch as the operand if all batches share them, as in `take` along an inner axis.
    fn share_indices(&mut self, indices: Value, spec: &mut IndexShape) -> Option<Operand> {
        let view = self.view(indices);
        let (shape, strides) = (&view.shape[spec.batch_dims..], &view.strides[spec.batch_dims..]);
        let batches = view.shape.iter().zip(&view.strides).take(spec.batch_dims);
        let repeated = batches.clone().any(|(&extent, _)| extent > 1)
            && batches.into_iter().all(|(&extent, &stride)| stride == 0 || extent == 1);
        let count: usize = shape.iter().product();
        if !repeated || count == 0 || !strided::is_contiguous(&strided::collapse(shape, strides)) {
            return None;
        }
        spec.shared = true;
        Some(Operand { count, ..self.reach(&view) })
    }

    /// Lower a contraction. Transposed operands are read in place if each group of axes still has one stride.
    fn dot(&mut self, id: NodeId) -> Result<()> {
        let graph = self.graph;
        let node = graph.node(id);
        let Op::Dot { contract, batch, epilogue } = &node.op else { unreachable!("called for dot_general") };
        let operands: Vec<Value> = node.inputs[..2].to_vec();
        let views = [self.view(operands[0]), self.view(operands[1])];
        let [a, b] = groups(&views, contract, batch);
        let (batch, k) = (extent(&a[0]), extent(&a[2]));
        let (m, n) = (extent(&a[1]), extent(&b[1]));
        let (lhs, lhs_strides) = self.dot_operand(&views[0], &a);
        let (rhs, rhs_strides) = self.dot_operand(&views[1], &b);
        let mut reads = vec![lhs, rhs];
        if epilogue.bias {
            reads.push(self.contiguous(node.inputs[2]));
        }
        let a = MatrixStrides { batch: lhs_strides[0], rows: lhs_strides[1], cols: lhs_strides[2] };
        let b = MatrixStrides { batch: rhs_strides[0], rows: rhs_strides[2], cols: rhs_strides[1] };
        let gemm = GemmShape { batch, m, n, k, a, b };
        let out = self.define(Value::first(id));
        if is_quantized(&[graph.type_of(operands[0]), graph.type_of(operands[1])], &node.types[0]) {
            // One row reads each weight once, so that packing pays only if it was done before.
            let kind = match gemm.as_pixels().filter(|_| m > 1) {
                Some(shape) => {
                    (reads[0].count, reads[1].count) = (m * k, k * n);
                    Kind::QuantizedConv { shape, epilogue: None }
                }
                None => Kind::QuantizedDot(gemm),
            };
            self.emit(kind, reads, vec![out]);
            return Ok(());
        }
        let kind = Kind::Dot { gemm, bias: epilogue.bias, relu: epilogue.relu };
        check_supported(&kind, out.dtype)?;
        self.emit(kind, reads, vec![out]);
        Ok(())
    }

    /// An operand and the strides of its batch, free and contracted axes: the view itself where kernels read it well,
    /// or a copy.
    fn dot_operand(&mut self, view: &View, groups: &[Vec<Dim>; 3]) -> (Operand, Vec<isize>) {
        let merged: Option<Vec<isize>> = groups.iter().map(|group| single_stride(group)).collect();
        // Kernels want one of the two inner axes contiguous, unless the matrix is tiny.
        let tiny = extent(&groups[1]) * extent(&groups[2]) <= 64;
        match merged.filter(|s| tiny || s[1] == 1 || s[2] == 1 || s[1] == 0 || s[2] == 0) {
            Some(strides) => (self.reach(view), strides),
            None => self.rearranged(view, groups),
        }
    }

    /// A copy with the axes in the order batch, free, contracted.
    fn rearranged(&mut self, view: &View, groups: &[Vec<Dim>; 3]) -> (Operand, Vec<isize>) {
        let axes: Vec<Dim> = groups.iter().flatten().copied().collect();
        let (shape, strides): (Vec<usize>, Vec<isize>) = axes.iter().map(|d| (d.extent, d.stride)).unzip();
        let dims = strided::collapse(&shape, &strides);
        let count: usize = shape.iter().product();
        let out = self.temporary(&TensorType::new(view.dtype, vec![count]));
        let source = self.reach(view);
        self.emit(Kind::Copy { dims, count }, vec![source], vec![out]);
        let inner = extent(&groups[2]);
        (out, vec![(inner * extent(&groups[1])) as isize, inner as isize, 1])
    }
}

/// Elements along a group of axes.
fn extent(group: &[Dim]) -> usize {
    group.iter().map(|dim| dim.extent).product()
}

/// The axes of both operands as batch, free and contracted groups. Contracted axes have the order of the first
/// operand's memory.
fn groups(views: &[View; 2], contract: &[Vec<usize>; 2], batch: &[Vec<usize>; 2]) -> [[Vec<Dim>; 3]; 2] {
    let dim = |side: usize, axis: usize| Dim { extent: views[side].shape[axis], stride: views[side].strides[axis] };
    let mut order: Vec<usize> = (0..contract[0].len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(dim(0, contract[0][i]).stride.abs()));
    let side = |s: usize| {
        let free = free_axes(views[s].shape.len(), &contract[s], &batch[s]).map(|a| dim(s, a)).collect();
        let batched = batch[s].iter().map(|&a| dim(s, a)).collect();
        [batched, free, order.iter().map(|&i| dim(s, contract[s][i])).collect()]
    };
    [side(0), side(1)]
}

/// The stride of a group of axes as one axis, if they can be merged.
fn single_stride(group: &[Dim]) -> Option<isize> {
    let (shape, strides): (Vec<usize>, Vec<isize>) = group.iter().map(|d| (d.extent, d.stride)).unzip();
    match strided::collapse(&shape, &strides).as_slice() {
        [] => Some(0),
        [dim] => Some(dim.stride),
        _ => None,
    }
}

/// Refuse, before anything runs, a dtype that the kernel does not support.
fn check_supported(kind: &Kind, dtype: DType) -> Result<()> {
    let fits = match kind {
        Kind::Reduce { op, .. } => op.supports(dtype),
        Kind::Cumulative { .. }
        | Kind::Dot { .. }
        | Kind::Conv { .. }
        | Kind::ConvPool { .. }
        | Kind::ConvBackward { .. }
        | Kind::ConvInputGrad(_)
        | Kind::ConvKernelGrad(_)
        | Kind::Pool(..) => dtype != DType::Bool,
        Kind::Rows { .. } | Kind::Resample(_) => dtype.is_float(),
        Kind::Argsort { .. } => dtype != DType::Bool,
        _ => true,
    };
    let missing = || Error::Unsupported(format!("the native engine has no {} of {dtype}", kind.name()));
    fits.then_some(()).ok_or_else(missing)
}

/// The instruction of any operation other than contractions, composites and control flow.
fn kind(op: &Op, x: &[&TensorType], out: &[TensorType]) -> Result<Kind> {
    let shape = &x[0].shape;
    Ok(match op {
        Op::Reduce { op, axes } => {
            let (shape, axes) = merge_axes(shape, axes);
            Kind::Reduce { op: *op, shape, axes }
        }
        Op::ArgReduce { max, axis } => Kind::ArgReduce { max: *max, layout: AxisLayout::new(shape, *axis) },
        Op::Cumulative { op, axis, reverse } => {
            Kind::Cumulative { op: *op, layout: AxisLayout::new(shape, *axis), reverse: *reverse }
        }
        Op::Resample { axis } => {
            let AxisLayout { outer, n, inner } = AxisLayout::new(shape, *axis);
            Kind::Resample(Resample { outer, n, inner, out: out[0].shape[*axis] })
        }
        Op::Argsort { axis } => Kind::Argsort { layout: AxisLayout::new(shape, *axis) },
        Op::Pad { low, high, interior } => Kind::Pad {
            shape: shape.clone(),
            low: low.iter().map(|&n| n as isize).collect(),
            high: high.iter().map(|&n| n as isize).collect(),
            // Interior padding lies between elements, so a single element has none.
            interior: interior.iter().zip(shape).map(|(&n, &extent)| if extent > 1 { n } else { 0 }).collect(),
        },
        Op::Concatenate { axis } => Kind::Concatenate {
            outer: shape[..*axis].iter().product(),
            parts: x.iter().map(|t| t.shape[*axis..].iter().product()).collect(),
        },
        Op::Reverse { axes } => Kind::Reverse { shape: shape.clone(), axes: axes.clone() },
        Op::DynamicSlice => Kind::DynamicSlice { shape: shape.clone(), sizes: out[0].shape.clone() },
        Op::DynamicUpdateSlice => Kind::DynamicUpdateSlice { shape: shape.clone(), sizes: x[1].shape.clone() },
        Op::Gather { batch_dims } => Kind::Gather(index_shape(x[0], x[1], *batch_dims)),
        Op::Scatter { mode, batch_dims } => Kind::Scatter(*mode, index_shape(x[0], x[1], *batch_dims)),
        Op::Conv { window, groups, .. } if is_quantized(x, &out[0]) => {
            Kind::QuantizedConv { shape: conv_shape(window, *groups, x[0], &out[0])?, epilogue: None }
        }
        Op::QuantizedConv { window, groups, epilogue } => {
            let full = convolved(window, x[0], &out[0]);
            Kind::QuantizedConv { shape: conv_shape(window, *groups, x[0], &full)?, epilogue: Some(*epilogue) }
        }
        Op::Conv { window, groups, epilogue } => {
            Kind::Conv { shape: conv_shape(window, *groups, x[0], &out[0])?, bias: epilogue.bias, relu: epilogue.relu }
        }
        Op::ConvPool { window, groups, epilogue } => {
            let full = convolved(window, x[0], &out[0]);
            let shape = image_conv_shape(window, *groups, x[0], &full)?;
            Kind::ConvPool { shape, bias: epilogue.bias, relu: epilogue.relu }
        }
        Op::ConvBackward { window, groups, source, input, bias } => {
            let full = convolved(window, x[0], x[1]);
            let of = if *source == GradSource::Pooled { image_conv_shape } else { conv_shape };
            let shape = of(window, *groups, x[0], &full)?;
            Kind::ConvBackward { shape, source: *source, input: *input, bias: *bias }
        }
        Op::ConvInputGrad { window, groups } => Kind::ConvInputGrad(conv_shape(window, *groups, &out[0], x[0])?),
        Op::ConvKernelGrad { window, groups } => Kind::ConvKernelGrad(conv_shape(window, *groups, x[0], x[1])?),
        Op::Pool { kind, window } => {
            let (input, pooled) = match kind {
                PoolKind::Max | PoolKind::MaxGather | PoolKind::Sum => (x[0], &out[0]),
                PoolKind::MaxScatter => (x[0], x[1]),
                PoolKind::SumGrad => (&out[0], x[0]),
            };
            Kind::Pool(*kind, pool_shape(window, input, pooled)?)
        }
        Op::Rows(kernel) => {
            let main = x[usize::from(matches!(kernel, RowKernel::SoftmaxVjp | RowKernel::LogSoftmaxVjp))];
            let n = main.shape[main.rank() - 1];
            Kind::Rows { kernel: kernel.clone(), rows: main.count() / n.max(1), n }
        }
        _ => return linalg(op, x),
    })
}

fn linalg(op: &Op, x: &[&TensorType]) -> Result<Kind> {
    let shape = &x[0].shape;
    let rank = shape.len();
    let (m, n) = (shape[rank - 2], shape[rank - 1]);
    Ok(match op {
        Op::Cholesky => Kind::Cholesky { n },
        Op::TriangularSolve { lower, transpose, unit_diagonal } => Kind::TriangularSolve {
            n,
            columns: x[1].shape[rank - 1],
            lower: *lower,
            transpose: *transpose,
            unit_diagonal: *unit_diagonal,
        },
        Op::Lu => Kind::Lu { m, n },
        Op::Qr => Kind::Qr { m, n },
        Op::Svd => Kind::Svd { m, n },
        Op::Eig => Kind::Eig { n },
        Op::Eigh => Kind::Eigh { n },
        other => return Err(Error::Unsupported(format!("the native engine has no kernel for {other:?}"))),
    })
}

/// Merge adjacent axes that are all reduced, or all kept.
fn merge_axes(shape: &[usize], reduced: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let (mut merged, mut axes): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut last = None;
    for (axis, &extent) in shape.iter().enumerate() {
        let is_reduced = reduced.contains(&axis);
        match merged.last_mut() {
            Some(merged_extent) if last == Some(is_reduced) => *merged_extent *= extent,
            _ => {
                if is_reduced {
                    axes.push(merged.len());
                }
                merged.push(extent);
            }
        }
        last = Some(is_reduced);
    }
    (merged, axes)
}

fn index_shape(source: &TensorType, indices: &TensorType, batch_dims: usize) -> IndexShape {
    let (shape, index_dtype) = (source.shape.clone(), indices.dtype);
    IndexShape { shape, batch_dims, indices: indices.shape.clone(), index_dtype, shared: false }
}

/// One number for each spatial axis as (depth, height, width); axes that are missing are 1.
fn three_axes(values: &[usize]) -> [usize; 3] {
    let mut padded = [1; 3];
    padded[3 - values.len()..].copy_from_slice(values);
    padded
}

/// The padding before the first element as (depth, height, width).
fn low_padding(window: &Window) -> Result<[usize; 3]> {
    if window.padding.iter().any(|p| p.0 < 0) {
        return Err(Error::Unsupported("negative padding at the low edge of a window".into()));
    }
    let axes = window.padding.len();
    let mut pad = [0; 3];
    window.padding.iter().enumerate().for_each(|(i, p)| pad[3 - axes + i] = p.0 as usize);
    Ok(pad)
}

/// The shape of a convolution whose axes of one element are moved to the front: kernels go along rows, of which
/// an image of one column has as many as elements.
fn conv_shape(window: &Window, groups: usize, input: &TensorType, output: &TensorType) -> Result<ConvShape> {
    let s = image_conv_shape(window, groups, input, output)?;
    let is_one = |i: &usize| s.input[*i] == 1 && s.output[*i] == 1 && s.kernel[*i] == 1 && s.pad[*i] == 0;
    let (ones, others): (Vec<usize>, Vec<usize>) = (0..3).partition(is_one);
    let order: Vec<usize> = ones.into_iter().chain(others).collect();
    let moved = |axes: [usize; 3]| [axes[order[0]], axes[order[1]], axes[order[2]]];
    Ok(ConvShape {
        input: moved(s.input),
        output: moved(s.output),
        kernel: moved(s.kernel),
        strides: moved(s.strides),
        dilation: moved(s.dilation),
        pad: moved(s.pad),
        ..s
    })
}

/// The shape of a convolution with its axes as they are, for a pool behind it.
fn image_conv_shape(window: &Window, groups: usize, input: &TensorType, output: &TensorType) -> Result<ConvShape> {
    let (axes, last) = (window.size.len(), input.rank() - 1);
    Ok(ConvShape {
        // A window without axes is a product of matrices: all axes but the last one are its batch.
        batch: if axes == 0 { input.shape[..last].iter().product() } else { input.shape[0] },
        input: three_axes(&input.shape[1..=axes]),
        output: three_axes(&output.shape[1..=axes]),
        kernel: three_axes(&window.size),
        strides: three_axes(&window.strides),
        dilation: three_axes(&window.dilation),
        pad: low_padding(window)?,
        in_channels: input.shape[last],
        out_channels: output.shape[last],
        groups,
    })
}

fn pool_shape(window: &Window, input: &TensorType, output: &TensorType) -> Result<PoolShape> {
    let axes = window.size.len();
    Ok(PoolShape {
        batch: input.shape[0],
        input: three_axes(&input.shape[1..=axes]),
        output: three_axes(&output.shape[1..=axes]),
        window: three_axes(&window.size),
        strides: three_axes(&window.strides),
        pad: low_padding(window)?,
        channels: input.shape[axes + 1],
    })
}
