//! The compiled form: a flat list of instructions over numbered buffers, every decision made at compile time.

mod shapes;
mod text;

use hornbeam_kernels::attention::AttentionShape;
use hornbeam_kernels::conv::ConvShape;
use hornbeam_kernels::index::Scatter;
use hornbeam_kernels::reduce::{Cumulative, Reduce};
use hornbeam_kernels::resample::Resample;
use hornbeam_kernels::rnn::SequenceShape;
use hornbeam_kernels::window::PoolShape;

use crate::fused::FusedLoop;
use crate::graph::{Attention, GradSource, Int8Epilogue, Limit, PoolKind, Recurrent, RowKernel, ScopeId};
use crate::operand::Operand;
use crate::strided::Dim;
use crate::types::TensorType;

pub use shapes::{AxisLayout, GemmShape, IndexShape, MatrixStrides, ScanShape};

/// The memory that holds a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Location {
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
    pub location: Location,
    pub bytes: usize,
}

/// The origin of an output of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputSource {
    // Computed into its own buffer; `reuse` is the input that it may overwrite if that is donated.
    Computed { reuse: Option<u32> },
    // The input, the constant or the other output itself.
    Input(u32),
    Constant(u32),
    Output(u32),
}

/// An operation and its static parameters.
#[derive(Clone)]
pub enum Kind {
    Fused(Box<FusedLoop>),
    Copy { dims: Vec<Dim>, count: usize },
    // The operand's shape; adjacent axes that are all reduced, or all kept, are merged.
    Reduce { op: Reduce, shape: Vec<usize>, axes: Vec<usize> },
    ArgReduce { max: bool, layout: AxisLayout },
    Cumulative { op: Cumulative, layout: AxisLayout, reverse: bool },
    Resample(Resample),
    Argsort { layout: AxisLayout },
    // The layout of the result.
    OneHot { layout: AxisLayout },
    Pad { shape: Vec<usize>, low: Vec<isize>, high: Vec<isize>, interior: Vec<usize> },
    // `parts`: elements per outer row of every operand.
    Concatenate { outer: usize, parts: Vec<usize> },
    Reverse { shape: Vec<usize>, axes: Vec<usize> },
    DynamicSlice { shape: Vec<usize>, sizes: Vec<usize> },
    DynamicUpdateSlice { shape: Vec<usize>, sizes: Vec<usize> },
    Gather(IndexShape),
    Scatter(Scatter, IndexShape),
    // A product of `int8` operands with a `float32` result.
    QuantizedDot(GemmShape),
    // A convolution of `int8` operands. Without an epilogue the result is `float32`.
    QuantizedConv { shape: ConvShape, epilogue: Option<Int8Epilogue> },
    Dot { gemm: GemmShape, bias: bool, relu: Option<Limit> },
    Conv { shape: ConvShape, bias: bool, relu: Option<Limit> },
    // Writes: maxima over 2x2 windows, and the code (position in the window) of each.
    ConvPool { shape: ConvShape, bias: bool, relu: Option<Limit> },
    // Reads: input, gradient, the operand that `source` names, kernel if `input`. Writes: gradients of the kernel,
    // of the input if `input`, of the bias if `bias`.
    ConvBackward { shape: ConvShape, source: GradSource, input: bool, bias: bool },
    ConvInputGrad(ConvShape),
    ConvKernelGrad(ConvShape),
    Pool(PoolKind, PoolShape),
    Rows { kernel: RowKernel, rows: usize, n: usize },
    // Reads: the composite's operands. Writes: its results without the last states.
    Recurrent { layer: Recurrent, shape: SequenceShape },
    // Reads and writes: as the composite's; `bias` holds the strides of the bias.
    Attention { layer: Attention, shape: AttentionShape, bias: Option<[usize; 3]> },
    Cholesky { n: usize },
    TriangularSolve { n: usize, columns: usize, lower: bool, transpose: bool, unit_diagonal: bool },
    Lu { m: usize, n: usize },
    Qr { m: usize, n: usize },
    Svd { m: usize, n: usize },
    Eig { n: usize },
    Eigh { n: usize },
    // Reads: predicate, operands. Writes: results, arena.
    Cond { branches: [Box<Program>; 2] },
    // Reads: carry, captured. Writes: carry, second carry, predicate, arena.
    While { cond: Box<Program>, body: Box<Program>, carries: usize },
    // Reads: carry, sequences, captured. Writes: carry, stacked results, stacked carries, second carry, arena.
    Scan { body: Box<Program>, scan: ScanShape },
}

/// A fused loop over the first result of another instruction, run on each part of that result while it is in cache.
/// Nothing else reads the result.
#[derive(Clone)]
pub struct LoopEpilogue {
    pub fused: FusedLoop,
    /// The loop's read of the result.
    pub source: usize,
    /// Reads and writes of the instruction itself; those of the loop follow.
    pub reads: usize,
    pub writes: usize,
}

#[derive(Clone)]
pub struct Instruction {
    pub kind: Kind,
    pub reads: Vec<Operand>,
    pub writes: Vec<Operand>,
    pub loop_epilogue: Option<Box<LoopEpilogue>>,
    /// The scopes of its nodes, and the number of nodes from each.
    pub scopes: Vec<(ScopeId, u32)>,
    /// Unique in the executable, nested programs included.
    pub number: u32,
}

/// A compiled graph.
#[derive(Clone)]
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
    /// The nested programs of control flow, by name.
    pub fn programs(&self) -> Vec<(&'static str, &Program)> {
        match self {
            Kind::Cond { branches } => vec![("true", &branches[0]), ("false", &branches[1])],
            Kind::While { cond, body, .. } => vec![("cond", cond), ("body", body)],
            Kind::Scan { body, .. } => vec![("body", body)],
            _ => Vec::new(),
        }
    }

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
    /// Number the instructions from `next` on, nested programs after their instruction, and return the next free
    /// number.
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

    /// Return whether output `n` may be written over input `n`.
    pub fn overwrites(&self, n: usize) -> bool {
        self.sources[n] == OutputSource::Computed { reuse: Some(n as u32) }
    }
}
