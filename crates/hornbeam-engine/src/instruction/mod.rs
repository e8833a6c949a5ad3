//! The compiled form: a flat list of instructions over numbered buffers, everything decided beforehand.

use std::fmt;

use hornbeam_kernels::attention::AttentionShape;
use hornbeam_kernels::dtype::DType;

use hornbeam_kernels::index::Scatter;
use hornbeam_kernels::reduce::{Cumulative, Reduce};
use hornbeam_kernels::rnn::SequenceShape;

use crate::fused::{Cut, Fused, Load, Space};
use crate::graph::{GradSource, PoolKind, Recurrent, RowKernel, ScopeId};
use crate::strided::Dim;
use crate::types::TensorType;

/// Part of a buffer, as an instruction sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operand {
    pub buffer: u32,
    /// In bytes.
    pub offset: usize,
    /// Elements: all of them for contiguous operands, the reach from `offset` to the buffer's end for strided ones.
    pub count: usize,
    pub dtype: DType,
}

/// Where a buffer lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Offset in the arena of the run, set by the planner.
    Arena(usize),
    Input(u32),
    Output(u32),
    Constant(u32),
    /// Number of an eight-byte literal.
    Literal(u32),
}

#[derive(Clone, Debug)]
pub struct BufferInfo {
    pub place: Place,
    pub bytes: usize,
}

/// Where an output of the program comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputSource {
    /// Computed into its own buffer; `reuse` is the input that it may overwrite if that is given away.
    Computed {
        reuse: Option<u32>,
    },
    /// The input, the constant or the other output itself.
    Input(u32),
    Constant(u32),
    Output(u32),
}

/// A matrix in memory: strides in elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Strides {
    pub rows: isize,
    pub cols: isize,
    pub batch: isize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gemm {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Strides,
    pub b: Strides,
}

/// Geometry of convolutions and pooling, padded to three spatial axes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spatial {
    pub batch: usize,
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub window: [usize; 3],
    pub strides: [usize; 3],
    pub dilation: [usize; 3],
    pub pad: [usize; 3],
    pub in_channels: usize,
    pub out_channels: usize,
    pub groups: usize,
}

/// `outer` blocks of `n` lines of `inner` elements, for operations along one axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Along {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
}

#[derive(Clone, Debug)]
pub struct IndexShape {
    pub shape: Vec<usize>,
    pub batch_dims: usize,
    pub indices: Vec<usize>,
    pub index: DType,
}

pub enum Kind {
    Fused(Box<Fused>),
    Copy {
        dims: Vec<Dim>,
        count: usize,
    },
    /// The operand's shape with neighbouring axes of the same fate merged.
    Reduce {
        op: Reduce,
        shape: Vec<usize>,
        axes: Vec<usize>,
    },
    ArgReduce {
        max: bool,
        along: Along,
    },
    Cumulative {
        op: Cumulative,
        along: Along,
        reverse: bool,
    },
    Argsort {
        along: Along,
    },
    Pad {
        shape: Vec<usize>,
        low: Vec<isize>,
        high: Vec<isize>,
        interior: Vec<usize>,
    },
    /// Elements per outer row of every part.
    Concatenate {
        outer: usize,
        parts: Vec<usize>,
    },
    Reverse {
        shape: Vec<usize>,
        axes: Vec<usize>,
    },
    DynamicSlice {
        shape: Vec<usize>,
        sizes: Vec<usize>,
    },
    DynamicUpdateSlice {
        shape: Vec<usize>,
        sizes: Vec<usize>,
    },
    Gather(IndexShape),
    Scatter(Scatter, IndexShape),
    Dot {
        gemm: Gemm,
        bias: bool,
        relu: bool,
    },
    Conv {
        shape: Spatial,
        bias: bool,
        relu: bool,
    },
    /// Writes: maxima over 2x2 windows, their codes.
    ConvPool {
        shape: Spatial,
        bias: bool,
        relu: bool,
    },
    /// Reads: input, gradient, what `source` asks for, kernel if `input`. Writes: gradients of the kernel, of the input
    /// if `input`, of the bias if `bias`.
    ConvBackward {
        shape: Spatial,
        source: GradSource,
        input: bool,
        bias: bool,
    },
    ConvInputGrad(Spatial),
    ConvKernelGrad(Spatial),
    Pool(PoolKind, Spatial),
    Rows {
        kernel: RowKernel,
        rows: usize,
        n: usize,
    },
    /// Reads: as the composite's operands. Writes: its results without the last states.
    Recurrent {
        layer: Recurrent,
        shape: SequenceShape,
    },
    /// Reads and writes: as the composite's, the bias by strides.
    Attention {
        backward: bool,
        heads: AttentionShape,
        bias: Option<[usize; 3]>,
    },
    Cholesky {
        n: usize,
    },
    TriangularSolve {
        n: usize,
        columns: usize,
        lower: bool,
        transpose: bool,
        unit_diagonal: bool,
    },
    Lu {
        m: usize,
        n: usize,
    },
    Qr {
        m: usize,
        n: usize,
    },
    Svd {
        m: usize,
        n: usize,
    },
    Eigh {
        n: usize,
    },
    /// Reads: predicate, operands. Writes: results, arena.
    Cond {
        branches: [Box<Program>; 2],
    },
    /// Reads: carry, captured. Writes: carry, second carry, predicate, arena.
    While {
        cond: Box<Program>,
        body: Box<Program>,
        carries: usize,
    },
    /// Reads: carry, sequences, captured. Writes: carry, stacked results, stacked carries, second carry, arena.
    Scan {
        body: Box<Program>,
        scan: ScanShape,
    },
}

#[derive(Clone, Debug)]
pub struct ScanShape {
    pub carries: usize,
    pub sequences: usize,
    pub length: usize,
    pub reverse: bool,
    /// Bytes of one slice of every sequence.
    pub slices: Vec<usize>,
    /// Bytes of one row of every stacked result.
    pub rows: Vec<usize>,
    /// Whether the carries of every step are wanted, per carry.
    pub saved: Vec<bool>,
    pub carry_bytes: Vec<usize>,
}

/// A loop over the first result of another instruction, run on each part of it while that is in cache. Nobody else reads
/// that result.
pub struct Tail {
    pub fused: Fused,
    /// The loop's read of the result.
    pub source: usize,
    /// Reads and writes of the instruction itself; those of the loop follow.
    pub reads: usize,
    pub writes: usize,
}

pub struct Instruction {
    pub kind: Kind,
    pub reads: Vec<Operand>,
    pub writes: Vec<Operand>,
    pub tail: Option<Box<Tail>>,
    /// Where its nodes were made, and how many at each place.
    pub scopes: Vec<(ScopeId, u32)>,
    /// Unique in the executable, nested programs included.
    pub number: u32,
}

/// A compiled graph.
pub struct Program {
    pub instructions: Vec<Instruction>,
    pub buffers: Vec<BufferInfo>,
    pub arena: usize,
    pub inputs: Vec<TensorType>,
    pub outputs: Vec<TensorType>,
    pub sources: Vec<OutputSource>,
    /// The buffer of every input and of every computed output.
    pub input_buffers: Vec<Option<u32>>,
    pub output_buffers: Vec<Option<u32>>,
}

impl Kind {
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Fused(_) => "fused",
            Kind::Copy { .. } => "copy",
            Kind::Reduce { op, .. } => op.name(),
            Kind::ArgReduce { max: true, .. } => "argmax",
            Kind::ArgReduce { .. } => "argmin",
            Kind::Cumulative { op, .. } => op.name(),
            Kind::Argsort { .. } => "argsort",
            Kind::Pad { .. } => "pad",
            Kind::Concatenate { .. } => "concatenate",
            Kind::Reverse { .. } => "reverse",
            Kind::DynamicSlice { .. } => "dynamic_slice",
            Kind::DynamicUpdateSlice { .. } => "dynamic_update_slice",
            Kind::Gather(_) => "gather",
            Kind::Scatter(..) => "scatter",
            Kind::Dot { .. } => "dot_general",
            Kind::Conv { .. } => "conv",
            Kind::ConvPool { .. } => "conv_pool",
            Kind::ConvBackward { .. } => "conv_backward",
            Kind::ConvInputGrad(_) => "conv_input_grad",
            Kind::ConvKernelGrad(_) => "conv_kernel_grad",
            Kind::Pool(kind, _) => match kind {
                PoolKind::Max => "max_pool",
                PoolKind::MaxGather => "max_pool_gather",
                PoolKind::MaxScatter => "max_pool_scatter",
                PoolKind::Sum => "sum_pool",
                PoolKind::SumGrad => "sum_pool_grad",
            },
            Kind::Rows { kernel, .. } => match kernel {
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
            },
            Kind::Recurrent { layer, .. } => layer.name(),
            Kind::Attention { backward: false, .. } => "attention",
            Kind::Attention { .. } => "attention_grad",
            Kind::Cholesky { .. } => "cholesky",
            Kind::TriangularSolve { .. } => "triangular_solve",
            Kind::Lu { .. } => "lu",
            Kind::Qr { .. } => "qr",
            Kind::Svd { .. } => "svd",
            Kind::Eigh { .. } => "eigh",
            Kind::Cond { .. } => "cond",
            Kind::While { .. } => "while_loop",
            Kind::Scan { .. } => "scan",
        }
    }

    pub fn programs(&self) -> Vec<(&'static str, &Program)> {
        match self {
            Kind::Cond { branches } => vec![("true", &branches[0]), ("false", &branches[1])],
            Kind::While { cond, body, .. } => vec![("cond", cond), ("body", body)],
            Kind::Scan { body, .. } => vec![("body", body)],
            _ => Vec::new(),
        }
    }
}

impl Instruction {
    /// One line without the operands: what it does and how large it is.
    pub fn describe(&self) -> String {
        match &self.tail {
            Some(tail) => format!("{}, then {}", self.kind_text(), loop_text(&tail.fused)),
            None => self.kind_text(),
        }
    }

    fn kind_text(&self) -> String {
        match &self.kind {
            Kind::Fused(f) => format!("fused {} {}", f.count, loop_text(f)),
            Kind::Copy { count, dims } => format!("copy {count} axes={}", dims.len()),
            Kind::Reduce { op, shape, axes } => {
                let mark = |axis: usize| if axes.contains(&axis) { "-" } else { "" };
                let text: Vec<String> = shape.iter().enumerate().map(|(a, n)| format!("{}{n}", mark(a))).collect();
                format!("{} [{}]", op.name(), text.join(" "))
            }
            Kind::Dot { gemm, bias, relu } => {
                let (b, r) = (if *bias { " +bias" } else { "" }, if *relu { " +relu" } else { "" });
                format!("dot_general {}x{}x{}x{}{b}{r}", gemm.batch, gemm.m, gemm.n, gemm.k)
            }
            Kind::Conv { shape, bias, relu } | Kind::ConvPool { shape, bias, relu } => {
                let (b, r) = (if *bias { " +bias" } else { "" }, if *relu { " +relu" } else { "" });
                format!("{} {shape}{b}{r}", self.kind.name())
            }
            Kind::ConvBackward { shape, source, input, bias } => {
                let s = match source {
                    GradSource::Plain => "",
                    GradSource::Relu => " +relu",
                    GradSource::Pooled => " +pool",
                };
                let (i, b) = (if *input { " +input" } else { "" }, if *bias { " +bias" } else { "" });
                format!("conv_backward {shape}{s}{i}{b}")
            }
            Kind::ConvInputGrad(shape) | Kind::ConvKernelGrad(shape) | Kind::Pool(_, shape) => {
                format!("{} {shape}", self.kind.name())
            }
            Kind::Recurrent { layer, shape } => {
                format!("{} {}x{}x{}", layer.name(), shape.batch, shape.steps, shape.units)
            }
            Kind::Attention { heads, .. } => {
                let (b, h, t, s) = (heads.batch, heads.heads, heads.queries, heads.keys);
                format!("{} {b}x{h}x{t}x{s}", self.kind.name())
            }
            Kind::Rows { rows, n, .. } => format!("{} {rows}x{n}", self.kind.name()),
            _ => self.kind.name().to_string(),
        }
    }
}

fn loop_text(fused: &Fused) -> String {
    let strided = fused.loads.iter().filter(|l| matches!(l, Load::Strided { .. })).count();
    let views = if strided > 0 { format!(" views={strided}") } else { String::new() };
    let folds = match &fused.cut {
        Some(Cut { space: Space { outer, n, inner }, .. }) => format!(" over [{outer} -{n} {inner}]"),
        None => String::new(),
    };
    format!("[{}]{views}{folds}", fused.names.join(" "))
}

impl fmt::Display for Spatial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |v: &[usize; 3]| v.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
        let (input, window, output) = (text(&self.input), text(&self.window), text(&self.output));
        write!(f, "{}x{input}x{} by {window} to {output}x{}", self.batch, self.in_channels, self.out_channels)
    }
}

impl Kind {
    fn programs_mut(&mut self) -> Vec<&mut Program> {
        match self {
            Kind::Cond { branches } => branches.iter_mut().map(|branch| &mut **branch).collect(),
            Kind::While { cond, body, .. } => vec![&mut **cond, &mut **body],
            Kind::Scan { body, .. } => vec![&mut **body],
            _ => Vec::new(),
        }
    }
}

impl Program {
    /// Number the instructions from `next` on, those of nested programs behind their own; returns the next free number.
    pub fn number(&mut self, mut next: u32) -> u32 {
        for instruction in &mut self.instructions {
            instruction.number = next;
            next += 1;
            for program in instruction.kind.programs_mut() {
                next = program.number(next);
            }
        }
        next
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        for instruction in &self.instructions {
            let list = |operands: &[Operand]| {
                let names: Vec<String> = operands.iter().map(|o| self.name(o)).collect();
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

    fn name(&self, operand: &Operand) -> String {
        let base = match self.buffers[operand.buffer as usize].place {
            Place::Arena(offset) => format!("@{offset}"),
            Place::Input(n) => format!("in{n}"),
            Place::Output(n) => match self.sources[n as usize] {
                OutputSource::Computed { reuse: Some(input) } => format!("out{n}/in{input}"),
                _ => format!("out{n}"),
            },
            Place::Constant(n) => format!("const{n}"),
            Place::Literal(n) => format!("lit{n}"),
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
