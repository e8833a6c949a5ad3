//! The engine's graph: nodes in topological order. A value is one output of a node.

use std::fmt;
use std::sync::Arc;

use hornbeam_kernels::elementwise::{Binary, Compare, Unary};
use hornbeam_kernels::index::Scatter;
use hornbeam_kernels::reduce::{Cumulative, Reduce};

use crate::types::TensorType;

/// Index of a node in [`Graph::nodes`].
pub type NodeId = u32;

/// Index into the names of scopes (layers) of a graph, plus 1; 0 means none.
pub type ScopeId = u32;

/// The name of a scope.
pub fn scope_name(names: &[String], scope: ScopeId) -> Option<&String> {
    names.get((scope as usize).checked_sub(1)?)
}

/// One output of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Value {
    pub node: NodeId,
    pub output: u32,
}

impl Value {
    pub fn first(node: NodeId) -> Self {
        Value { node, output: 0 }
    }
}

/// The upper bound of a relu: infinity, or 6 for a relu6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limit {
    /// The bits, so that operations can be hashed.
    bits: u32,
}

impl Limit {
    pub const NONE: Limit = Limit { bits: f32::INFINITY.to_bits() };

    /// The limit, if it is positive and exact in `f32`.
    pub fn new(limit: f64) -> Option<Limit> {
        (limit > 0.0 && f64::from(limit as f32) == limit).then(|| Limit { bits: (limit as f32).to_bits() })
    }

    pub fn get(self) -> f32 {
        f32::from_bits(self.bits)
    }
}

/// The epilogue of a contraction or convolution: applied to its result before that is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Epilogue {
    /// The last operand is a bias along the last axis of the result.
    pub bias: bool,
    pub relu: Option<Limit>,
}

/// The epilogue of a convolution of `int8`: `clamp((sums + shift) * scale + bias + addend, low, high)`, with a shift, a
/// scale and a bias of each channel. Bounds are the bits of `f32`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Int8Epilogue {
    pub shift: bool,
    pub bias: bool,
    pub addend: bool,
    /// The result is pooled: the maxima of 2x2 pixels.
    pub pooled: bool,
    pub low: u32,
    pub high: u32,
    /// The result is rounded to bytes.
    pub rounded: Option<ToBytes>,
    /// The first result is the one before it is rounded. Always if it is not.
    pub floats: bool,
}

/// Rounding to bytes: `clamp(round(x * scale), range) + zero`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ToBytes {
    pub scale: ByteScale,
    pub range: [i16; 2],
    pub zero: i16,
    pub signed: bool,
}

impl ToBytes {
    /// True if the scale is an operand.
    pub fn is_scaled(&self) -> bool {
        self.scale != ByteScale::One
    }
}

/// The role of the scale of a rounding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ByteScale {
    One,
    Multiply,
    Divide,
}

impl Default for Int8Epilogue {
    fn default() -> Self {
        let [low, high] = [f32::NEG_INFINITY, f32::INFINITY].map(f32::to_bits);
        Int8Epilogue { shift: false, bias: false, addend: false, pooled: false, low, high, rounded: None, floats: true }
    }
}

/// Geometry of a convolution, per spatial axis (1 to 3 of them).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Window {
    pub size: Vec<usize>,
    pub strides: Vec<usize>,
    pub padding: Vec<(i64, i64)>,
    pub dilation: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PoolKind {
    Max,
    MaxGather,
    MaxScatter,
    Sum,
    SumGrad,
}

/// The form of the output gradient that [`Op::ConvBackward`] takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GradSource {
    /// The gradient of the convolution's own output.
    Plain,
    /// The gradient of a relu that follows; the next operand is the relu's result.
    Relu,
    /// The gradient of a 2x2 max pooling that follows; the next operand has the codes of [`Op::ConvPool`].
    Pooled,
}

/// Composites with a kernel over rows of the last axis.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RowKernel {
    Softmax,
    LogSoftmax,
    SoftmaxVjp,
    LogSoftmaxVjp,
    CrossEntropy,
    CrossEntropyVjp,
    SparseCrossEntropy,
    SparseCrossEntropyVjp,
    // epsilon as the bits of an f64, so that the operation can be hashed.
    LayerNorm { epsilon: u64 },
    LayerNormVjp { epsilon: u64 },
    RmsNorm { epsilon: u64 },
    RmsNormVjp { epsilon: u64 },
    // Of `groups` of channels, the last axis, in each of `batch` equal parts of the rows.
    GroupNorm { batch: usize, groups: usize, epsilon: u64 },
    GroupNormGrad { batch: usize, groups: usize, epsilon: u64 },
    TopK { k: usize },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cell {
    Lstm,
    Gru,
}

/// A recurrent layer over a sequence, or its backward pass.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Recurrent {
    pub cell: Cell,
    pub backward: bool,
    pub reverse: bool,
    /// The last operand is a mask.
    pub masked: bool,
}

/// Attention, or its backward pass.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Attention {
    pub backward: bool,
    /// The fourth operand is a bias.
    pub biased: bool,
    pub causal: bool,
    /// As the bits of an f64, so that the operation can be hashed.
    pub scale: u64,
    /// Rate of dropout, as the bits of an f64. If it is not 0, a key of random bits follows the bias.
    pub rate: u64,
}

/// A graph nested in a control-flow operation. Two are equal only if they are the same object.
#[derive(Clone)]
pub struct Nested(pub Arc<Graph>);

/// Errors print operations, and the nested graph would fill pages.
impl fmt::Debug for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "graph of {} nodes", self.0.nodes.len())
    }
}

impl PartialEq for Nested {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for Nested {}
impl std::hash::Hash for Nested {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (Arc::as_ptr(&self.0) as usize).hash(state);
    }
}

/// An operation and its static parameters. Target shapes are in the node's output types.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    Input(u32),
    // A constant buffer of the executable.
    Constant(u32),
    // A scalar, its bytes in native order.
    Literal([u8; 8]),
    Unary(Unary),
    Binary(Binary),
    Compare(Compare),
    Select,
    Convert,
    Bitcast,
    Iota { axis: usize },
    RandomBits,
    Reduce { op: Reduce, axes: Vec<usize> },
    // Mean and variance; the variance is that of the deviations from the mean.
    Moments { axes: Vec<usize> },
    ArgReduce { max: bool, axis: usize },
    Cumulative { op: Cumulative, axis: usize, reverse: bool },
    Reshape,
    Transpose { perm: Vec<usize> },
    Broadcast { dims: Vec<usize> },
    Pad { low: Vec<i64>, high: Vec<i64>, interior: Vec<usize> },
    Slice { start: Vec<usize>, step: Vec<usize> },
    Concatenate { axis: usize },
    Reverse { axes: Vec<usize> },
    DynamicSlice,
    DynamicUpdateSlice,
    Gather { batch_dims: usize },
    Scatter { mode: Scatter, batch_dims: usize },
    // Weighted sums along an axis, with a matrix of weights of which few are not 0.
    Resample { axis: usize },
    Argsort { axis: usize },
    Dot { contract: [Vec<usize>; 2], batch: [Vec<usize>; 2], epilogue: Epilogue },
    Conv { window: Window, groups: usize, epilogue: Epilogue },
    // A convolution of `int8` with an epilogue. Operands: input, kernel, the addend and the shift if there are, scale,
    // the bias if there is one, and the scale of the rounding if there is one. A window without axes makes it a product of
    // `[..., k]` and `[k, n]`.
    QuantizedConv { window: Window, groups: usize, epilogue: Int8Epilogue },
    ConvInputGrad { window: Window, groups: usize },
    ConvKernelGrad { window: Window, groups: usize },
    // A convolution and the maximum over 2x2 windows of its result. Results: the maxima, and their codes (the
    // position of each in its window).
    ConvPool { window: Window, groups: usize, epilogue: Epilogue },
    // All gradients of a convolution. Operands: its input, the output gradient, the operand that `source` names, and
    // the kernel if `input`. Results: gradients of the kernel, of the input if `input`, of a bias if `bias`.
    ConvBackward { window: Window, groups: usize, source: GradSource, input: bool, bias: bool },
    Pool { kind: PoolKind, window: Window },
    Cholesky,
    TriangularSolve { lower: bool, transpose: bool, unit_diagonal: bool },
    Lu,
    Qr,
    Svd,
    // Operands: real and imaginary parts. Results: those of eigenvalues, then those of eigenvectors.
    Eig,
    Eigh,
    Cond { true_graph: Nested, false_graph: Nested },
    While { cond: Nested, body: Nested },
    Scan { body: Nested, carries: usize, sequences: usize, length: usize, reverse: bool },
    Rows(RowKernel),
    Recurrent(Recurrent),
    Attention(Attention),
    // Output k is operand k. Common subexpressions are not merged across it.
    Barrier,
}

impl Op {
    /// One output element per input element of the same index.
    pub fn is_elementwise(&self) -> bool {
        matches!(
            self,
            Op::Unary(_)
                | Op::Binary(_)
                | Op::Compare(_)
                | Op::Select
                | Op::Convert
                | Op::Bitcast
                | Op::Iota { .. }
                | Op::RandomBits
        )
    }

    /// Can be other strides over the operand's memory.
    pub fn is_view(&self) -> bool {
        matches!(self, Op::Reshape | Op::Transpose { .. } | Op::Broadcast { .. } | Op::Slice { .. } | Op::Barrier)
    }
}

#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    pub inputs: Vec<Value>,
    pub types: Vec<TensorType>,
    /// The layer that created the node, for profiles.
    pub scope: ScopeId,
}

/// Nodes in topological order. The inputs are the `Op::Input` nodes.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub inputs: Vec<TensorType>,
    pub outputs: Vec<Value>,
}

impl Graph {
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub fn type_of(&self, value: Value) -> &TensorType {
        &self.nodes[value.node as usize].types[value.output as usize]
    }

    pub fn output_types(&self) -> Vec<TensorType> {
        self.outputs.iter().map(|&v| self.type_of(v).clone()).collect()
    }

    /// The value that `value` is a view of, if it is a view.
    pub fn viewed(&self, value: Value) -> Option<Value> {
        let node = self.node(value.node);
        match &node.op {
            Op::Barrier => Some(node.inputs[value.output as usize]),
            op if op.is_view() => Some(node.inputs[0]),
            _ => None,
        }
    }

    /// The scalar constant that `value` is, possibly broadcast or reshaped.
    pub fn literal(&self, value: Value) -> Option<[u8; 8]> {
        let mut node = self.node(value.node);
        loop {
            match &node.op {
                Op::Literal(bytes) => return Some(*bytes),
                Op::Broadcast { .. } | Op::Reshape => node = self.node(node.inputs[0].node),
                _ => return None,
            }
        }
    }
}
