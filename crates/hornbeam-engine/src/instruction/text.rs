//! Instructions and programs as text, for tests and profiles.

use std::fmt;

use hornbeam_kernels::conv::ConvShape;
use hornbeam_kernels::window::PoolShape;

use crate::fused::{FusedLoop, IterationSpace, Load, Partition};
use crate::graph::{GradSource, Limit, PoolKind, RowKernel};
use crate::instruction::{Instruction, Kind, Location, OutputSource, Program};
use crate::operand::Operand;

impl Kind {
    /// The name of the primitive or composite.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Fused(_) => "fused",
            Kind::Copy { .. } => "copy",
            Kind::Reduce { op, .. } => op.name(),
            Kind::ArgReduce { max: true, .. } => "argmax",
            Kind::ArgReduce { .. } => "argmin",
            Kind::Cumulative { op, .. } => op.name(),
            Kind::Resample(_) => "resample",
            Kind::Argsort { .. } => "argsort",
            Kind::OneHot { .. } => "one_hot",
            Kind::Pad { .. } => "pad",
            Kind::Concatenate { .. } => "concatenate",
            Kind::Reverse { .. } => "reverse",
            Kind::DynamicSlice { .. } => "dynamic_slice",
            Kind::DynamicUpdateSlice { .. } => "dynamic_update_slice",
            Kind::Gather(_) => "gather",
            Kind::Scatter(..) => "scatter",
            Kind::Dot { .. } => "dot_general",
            Kind::QuantizedDot(_) => "quantized_dot",
            Kind::QuantizedConv { .. } => "quantized_conv",
            Kind::Conv { .. } => "conv",
            Kind::ConvPool { .. } => "conv_pool",
            Kind::ConvBackward { .. } => "conv_backward",
            Kind::ConvInputGrad(_) => "conv_input_grad",
            Kind::ConvKernelGrad(_) => "conv_kernel_grad",
            Kind::Pool(kind, _) => kind.name(),
            Kind::Rows { kernel, .. } => kernel.name(),
            Kind::Recurrent { layer, .. } => layer.name(),
            Kind::Attention { layer, .. } => layer.name(),
            Kind::Cholesky { .. } => "cholesky",
            Kind::TriangularSolve { .. } => "triangular_solve",
            Kind::Lu { .. } => "lu",
            Kind::Qr { .. } => "qr",
            Kind::Svd { .. } => "svd",
            Kind::Eig { .. } => "eig",
            Kind::Eigh { .. } => "eigh",
            Kind::Cond { .. } => "cond",
            Kind::While { .. } => "while_loop",
            Kind::Scan { .. } => "scan",
        }
    }
}

impl PoolKind {
    fn name(self) -> &'static str {
        match self {
            PoolKind::Max => "max_pool",
            PoolKind::MaxGather => "max_pool_gather",
            PoolKind::MaxScatter => "max_pool_scatter",
            PoolKind::Sum => "sum_pool",
            PoolKind::SumGrad => "sum_pool_grad",
        }
    }
}

impl RowKernel {
    fn name(&self) -> &'static str {
        match self {
            RowKernel::Softmax => "softmax",
            RowKernel::LogSoftmax => "log_softmax",
            RowKernel::SoftmaxVjp => "softmax_vjp",
            RowKernel::LogSoftmaxVjp => "log_softmax_vjp",
            RowKernel::CrossEntropy => "softmax_cross_entropy",
            RowKernel::CrossEntropyVjp => "softmax_cross_entropy_vjp",
            RowKernel::SparseCrossEntropy => "sparse_softmax_cross_entropy",
            RowKernel::SparseCrossEntropyVjp => "sparse_softmax_cross_entropy_vjp",
            RowKernel::LayerNorm { .. } => "layer_norm",
            RowKernel::LayerNormVjp { .. } => "layer_norm_vjp",
            RowKernel::RmsNorm { .. } => "rms_norm",
            RowKernel::RmsNormVjp { .. } => "rms_norm_vjp",
            RowKernel::GroupNorm { .. } => "group_norm",
            RowKernel::GroupNormGrad { .. } => "group_norm_grad",
            RowKernel::TopK { .. } => "top_k",
        }
    }
}

impl Instruction {
    /// One line without the operands: the operation and its size.
    pub fn describe(&self) -> String {
        match &self.loop_epilogue {
            Some(epilogue) => format!("{}, then {}", self.kind.describe(), loop_text(&epilogue.fused)),
            None => self.kind.describe(),
        }
    }
}

impl Kind {
    fn describe(&self) -> String {
        let name = self.name();
        match self {
            Kind::Fused(fused) => format!("fused {} {}", fused.count, loop_text(fused)),
            Kind::Copy { count, dims } => format!("copy {count} axes={}", dims.len()),
            Kind::Reduce { shape, axes, .. } => {
                let sign = |axis: usize| if axes.contains(&axis) { "-" } else { "" };
                let text: Vec<String> = shape.iter().enumerate().map(|(a, n)| format!("{}{n}", sign(a))).collect();
                format!("{name} [{}]", text.join(" "))
            }
            Kind::Dot { gemm, bias, relu } => {
                let (b, r) = (flag(*bias, " +bias"), relu_text(*relu));
                format!("{name} {}x{}x{}x{}{b}{r}", gemm.batch, gemm.m, gemm.n, gemm.k)
            }
            Kind::QuantizedDot(g) => format!("{name} {}x{}x{}", g.m, g.n, g.k),
            Kind::Conv { shape, bias, relu } | Kind::ConvPool { shape, bias, relu } => {
                let (b, r) = (flag(*bias, " +bias"), relu_text(*relu));
                format!("{name} {}{b}{r}", conv_text(shape))
            }
            Kind::ConvBackward { shape, source, input, bias } => {
                let s = match source {
                    GradSource::Plain => "",
                    GradSource::Relu => " +relu",
                    GradSource::Pooled => " +pool",
                };
                let (i, b) = (flag(*input, " +input"), flag(*bias, " +bias"));
                format!("{name} {}{s}{i}{b}", conv_text(shape))
            }
            Kind::QuantizedConv { shape, epilogue } => {
                let b = flag(epilogue.is_some_and(|e| e.bias), " +bias");
                let a = flag(epilogue.is_some_and(|e| e.addend), " +addend");
                let p = flag(epilogue.is_some_and(|e| e.pooled), " +pool");
                let r = flag(epilogue.is_some_and(|e| e.rounded.is_some()), " +round");
                format!("{name} {}{}{b}{a}{p}{r}", conv_text(shape), flag(epilogue.is_some(), " +scale"))
            }
            Kind::ConvInputGrad(shape) | Kind::ConvKernelGrad(shape) => format!("{name} {}", conv_text(shape)),
            Kind::Pool(_, shape) => format!("{name} {}", pool_text(shape)),
            Kind::Recurrent { shape, .. } => format!("{name} {}x{}x{}", shape.batch, shape.steps, shape.units),
            Kind::Attention { shape, .. } => {
                format!("{name} {}x{}x{}x{}", shape.batch, shape.heads, shape.queries, shape.keys)
            }
            Kind::Rows { rows, n, .. } => format!("{name} {rows}x{n}"),
            _ => name.to_string(),
        }
    }
}

fn flag(set: bool, text: &'static str) -> &'static str {
    if set {
        text
    } else {
        ""
    }
}

/// A relu, with its limit if it has one: `+relu6`.
fn relu_text(relu: Option<Limit>) -> String {
    match relu {
        None => String::new(),
        Some(Limit::NONE) => " +relu".to_owned(),
        Some(limit) => format!(" +relu{}", limit.get()),
    }
}

fn loop_text(fused: &FusedLoop) -> String {
    let strided = fused.loads.iter().filter(|l| matches!(l, Load::Strided { .. })).count();
    let views = if strided > 0 { format!(" views={strided}") } else { String::new() };
    let folds = match &fused.partition {
        Some(Partition { space: IterationSpace { outer, n, inner }, .. }) => format!(" over [{outer} -{n} {inner}]"),
        None => String::new(),
    };
    format!("[{}]{views}{folds}", fused.names.join(" "))
}

fn conv_text(s: &ConvShape) -> String {
    window_text(s.batch, s.input, s.in_channels, s.kernel, s.output, s.out_channels)
}

fn pool_text(s: &PoolShape) -> String {
    window_text(s.batch, s.input, s.channels, s.window, s.output, s.channels)
}

fn window_text(
    batch: usize,
    input: [usize; 3],
    in_channels: usize,
    window: [usize; 3],
    output: [usize; 3],
    out_channels: usize,
) -> String {
    let [input, window, output] = [input, window, output].map(|extents| extents.map(|n| n.to_string()).join("x"));
    format!("{batch}x{input}x{in_channels} by {window} to {output}x{out_channels}")
}

impl Program {
    fn write(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        for instruction in &self.instructions {
            let list = |operands: &[Operand]| {
                let names: Vec<String> = operands.iter().map(|o| self.operand_text(o)).collect();
                names.join(", ")
            };
            let (reads, writes) = (list(&instruction.reads), list(&instruction.writes));
            writeln!(f, "{indent}{writes} = {}({reads})", instruction.describe())?;
            for (name, program) in instruction.kind.programs() {
                writeln!(f, "{indent}  {name}:")?;
                program.write(f, &format!("{indent}    "))?;
            }
        }
        Ok(())
    }

    fn operand_text(&self, operand: &Operand) -> String {
        let base = match self.buffers[operand.buffer as usize].location {
            Location::Arena(offset) => format!("@{offset}"),
            Location::Input(n) => format!("in{n}"),
            Location::Output(n) => match self.sources[n as usize] {
                OutputSource::Computed { reuse: Some(input) } => format!("out{n}/in{input}"),
                _ => format!("out{n}"),
            },
            Location::Constant(n) => format!("const{n}"),
            Location::Literal(n) => format!("lit{n}"),
        };
        if operand.offset == 0 {
            base
        } else {
            format!("{base}+{}", operand.offset)
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "")
    }
}
