//! The wire format: a graph as JSON text beside a list of constant buffers.
//!
//! ```json
//! {"inputs": [["float32", [2, 3]], ["float32", [2, 3]]],
//!  "nodes": [{"op": "add", "in": [0, 1], "out": [["float32", [2, 3]]]}],
//!  "outputs": [2]}
//! ```
//! Values are numbered: first the inputs, then one number per node; `project` picks one of a node's several results.
//! Parameters are the primitive's own (`"params": {"axes": [0]}`), a nested graph is an object of the same form, and a
//! `constant` holds its bytes in hexadecimal (`"data"`) or the number of a constant buffer (`"buffer"`).
//! For a profile, nodes may say where they were made: `"scope": 1` is the first of the outermost graph's `"scopes"`.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{Binary, Compare, Unary};
use hornbeam_kernels::index::Scatter;
use hornbeam_kernels::reduce::{Cumulative, Reduce};

use crate::composites;
use crate::error::{malformed, Error, Result};
use crate::graph::{Epilogue, Graph, Nested, Op, PoolKind, RowKernel, ScopeId, Value, Window};
use crate::passes::builder::Builder;
use crate::passes::eliminate_dead;
use crate::types::TensorType;

/// Graphs may nest this deep (bodies within bodies).
const MAX_DEPTH: usize = 48;

/// A constant that stood in the text.
pub type Constant = (TensorType, Vec<u8>);

#[derive(Deserialize)]
struct TextGraph {
    inputs: Vec<TextType>,
    nodes: Vec<TextNode>,
    outputs: Vec<usize>,
    #[serde(default)]
    scopes: Vec<String>,
}

#[derive(Deserialize)]
struct TextType(String, Vec<usize>);

#[derive(Deserialize)]
struct TextNode {
    op: String,
    #[serde(rename = "in")]
    inputs: Vec<usize>,
    out: Vec<TextType>,
    #[serde(default)]
    params: Map<String, Json>,
    #[serde(default)]
    scope: ScopeId,
}

/// What a text holds.
pub struct Decoded {
    pub graph: Graph,
    /// Constants that stood in the text; they are numbered behind the constant buffers.
    pub literals: Vec<Constant>,
    /// Names of scopes; scope n of a node is the one at n - 1.
    pub scopes: Vec<String>,
}

/// Decode and simplify. `constants` are the types of the constant buffers.
pub fn decode(text: &str, constants: &[TensorType]) -> Result<Decoded> {
    let mut parsed: TextGraph = serde_json::from_str(text).map_err(|e| malformed!("{e}"))?;
    let scopes = std::mem::take(&mut parsed.scopes);
    let mut decoder = Decoder { constants, literals: Vec::new(), scopes: scopes.len(), scope: 0, depth: 0 };
    let graph = decoder.graph(parsed).map_err(|e| e.inside(name_of(&scopes, decoder.scope)))?;
    Ok(Decoded { graph, literals: decoder.literals, scopes })
}

/// The name of a scope.
pub fn name_of(names: &[String], scope: ScopeId) -> Option<&String> {
    names.get((scope as usize).checked_sub(1)?)
}

struct Decoder<'a> {
    constants: &'a [TensorType],
    literals: Vec<Constant>,
    scopes: usize,
    /// That of the node being decoded; nodes of a body that say nothing are where the body is.
    scope: ScopeId,
    depth: usize,
}

fn tensor_type(text: &TextType) -> Result<TensorType> {
    let dtype = DType::parse(&text.0).ok_or_else(|| malformed!("unknown dtype {:?}", text.0))?;
    let t = TensorType::new(dtype, text.1.clone());
    t.validate()?;
    Ok(t)
}

impl Decoder<'_> {
    /// A closed graph of its own: the whole, or the body of control flow.
    fn graph(&mut self, text: TextGraph) -> Result<Graph> {
        let types = text.inputs.iter().map(tensor_type).collect::<Result<Vec<_>>>()?;
        let (mut builder, values) = Builder::with_inputs(&types)?;
        builder.graph.outputs = self.body(&mut builder, text, &values)?;
        Ok(eliminate_dead(builder.graph))
    }

    /// Add a graph's nodes to `builder`, its inputs standing for `args`. This is how composites are inlined.
    fn body(&mut self, builder: &mut Builder, text: TextGraph, args: &[Value]) -> Result<Vec<Value>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(malformed!("graphs are nested more than {MAX_DEPTH} deep"));
        }
        if text.inputs.len() != args.len() {
            return Err(malformed!("a body takes {} inputs, got {}", text.inputs.len(), args.len()));
        }
        for (declared, &arg) in text.inputs.iter().zip(args) {
            let declared = tensor_type(declared)?;
            if declared != *builder.type_of(arg) {
                return Err(malformed!("a body takes {declared}, got {}", builder.type_of(arg)));
            }
        }
        builder.reserve(text.nodes.len());
        let mut values: Vec<Vec<Value>> = args.iter().map(|&v| vec![v]).collect();
        let outer = self.scope;
        for (number, node) in text.nodes.into_iter().enumerate() {
            let op = node.op.clone();
            if node.scope as usize > self.scopes {
                return Err(malformed!("node {number} ({op}): no scope {}", node.scope));
            }
            self.scope = if node.scope == 0 { outer } else { node.scope };
            builder.scope = self.scope;
            let results = self.node(builder, node, &values).map_err(|e| match e {
                Error::Decode(text) => malformed!("node {number} ({op}): {text}"),
                other => other,
            })?;
            values.push(results);
        }
        (self.scope, builder.scope) = (outer, outer);
        self.depth -= 1;
        text.outputs.iter().map(|&id| single(&values, id)).collect()
    }

    fn node(&mut self, builder: &mut Builder, node: TextNode, values: &[Vec<Value>]) -> Result<Vec<Value>> {
        let types = node.out.iter().map(tensor_type).collect::<Result<Vec<_>>>()?;
        let mut params = node.params;
        if node.op == "project" {
            let results = node.inputs.first().and_then(|&id| values.get(id));
            let index: usize = take(&mut params, "index")?;
            let value = results.and_then(|r| r.get(index)).ok_or_else(|| malformed!("no result {index}"))?;
            expect_types(builder, &[*value], &types)?;
            return Ok(vec![*value]);
        }
        let inputs = node.inputs.iter().map(|&id| single(values, id)).collect::<Result<Vec<_>>>()?;
        if node.op == "stop_gradient" {
            expect_types(builder, &inputs, &types)?;
            return Ok(inputs);
        }
        if node.op == "constant" {
            let [t] = types.as_slice() else { return Err(malformed!("a constant has one type")) };
            return Ok(vec![self.constant(builder, &mut params, t)?]);
        }
        if params.contains_key("body") && node.op != "scan" {
            return self.composite(builder, &node.op, params, &inputs, &types);
        }
        let op = match self.control(&node.op, &mut params)? {
            Some(op) => op,
            None => {
                let operands: Vec<&TensorType> = inputs.iter().map(|&v| builder.type_of(v)).collect();
                operation(&node.op, &mut params, &operands, &types)?
            }
        };
        builder.emit(op, inputs, types)
    }

    fn constant(&mut self, builder: &mut Builder, params: &mut Map<String, Json>, t: &TensorType) -> Result<Value> {
        let number = if params.contains_key("buffer") {
            let number: usize = take(params, "buffer")?;
            let held = self.constants.get(number).ok_or_else(|| malformed!("no constant buffer {number}"))?;
            if held != t {
                return Err(malformed!("constant buffer {number} is {held}, declared is {t}"));
            }
            number
        } else {
            let bytes = from_hex(&take::<String>(params, "data")?)?;
            if bytes.len() != t.bytes() {
                return Err(malformed!("a constant of type {t} has {} bytes", bytes.len()));
            }
            if t.count() > 0 && bytes.chunks_exact(t.dtype.size()).all(|c| *c == bytes[..t.dtype.size()]) {
                let mut scalar = [0u8; 8];
                scalar[..t.dtype.size()].copy_from_slice(&bytes[..t.dtype.size()]);
                return Ok(builder.literal(scalar, t));
            }
            self.literals.push((t.clone(), bytes));
            self.constants.len() + self.literals.len() - 1
        };
        Ok(builder.emit(Op::Constant(number as u32), Vec::new(), vec![t.clone()])?[0])
    }

    /// Inline the body; results that have a kernel of their own are taken from it, and the body's share dies unused.
    fn composite(
        &mut self,
        builder: &mut Builder,
        name: &str,
        mut params: Map<String, Json>,
        inputs: &[Value],
        types: &[TensorType],
    ) -> Result<Vec<Value>> {
        let body: TextGraph = take(&mut params, "body")?;
        let mut results = self.body(builder, body, inputs)?;
        expect_types(builder, &results, types)?;
        let found = match row_kernel(builder, name, &mut params, inputs)? {
            Some(kernels) => Some(kernels),
            None => composites::kernel(builder, name, &mut params, inputs)?,
        };
        if let Some(kernels) = found {
            for (result, kernel) in results.iter_mut().zip(kernels) {
                *result = kernel;
            }
        }
        expect_types(builder, &results, types)?;
        Ok(results)
    }

    fn control(&mut self, name: &str, params: &mut Map<String, Json>) -> Result<Option<Op>> {
        let mut nested = |key: &str| -> Result<Nested> {
            let text: TextGraph = take(params, key)?;
            Ok(Nested(Arc::new(self.graph(text)?)))
        };
        Ok(Some(match name {
            "cond" => Op::Cond { true_graph: nested("true_graph")?, false_graph: nested("false_graph")? },
            "while_loop" => Op::While { cond: nested("cond_graph")?, body: nested("body_graph")? },
            "scan" => Op::Scan {
                body: nested("body")?,
                carries: take(params, "carries")?,
                sequences: take(params, "sequences")?,
                length: take(params, "length")?,
                reverse: take(params, "reverse")?,
            },
            _ => return Ok(None),
        }))
    }
}

fn single(values: &[Vec<Value>], id: usize) -> Result<Value> {
    match values.get(id).map(Vec::as_slice) {
        Some([value]) => Ok(*value),
        Some(several) => Err(malformed!("value {id} has {} results; project one of them", several.len())),
        None => Err(malformed!("value {id} is read before it is computed")),
    }
}

fn expect_types(builder: &Builder, values: &[Value], types: &[TensorType]) -> Result<()> {
    let agree = values.len() == types.len() && values.iter().zip(types).all(|(&v, t)| builder.type_of(v) == t);
    agree.then_some(()).ok_or_else(|| malformed!("the declared types are not those of the results"))
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(malformed!("odd number of hexadecimal digits"));
    }
    pairs
        .map(|p| Some(digit(p[0])? << 4 | digit(p[1])?))
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| malformed!("not hexadecimal"))
}

pub(crate) fn take<T: DeserializeOwned>(params: &mut Map<String, Json>, key: &str) -> Result<T> {
    let value = params.remove(key).ok_or_else(|| malformed!("parameter {key:?} is missing"))?;
    serde_json::from_value(value).map_err(|e| malformed!("parameter {key:?}: {e}"))
}

fn take_or<T: DeserializeOwned>(params: &mut Map<String, Json>, key: &str, default: T) -> Result<T> {
    if params.contains_key(key) {
        take(params, key)
    } else {
        Ok(default)
    }
}

fn window(params: &mut Map<String, Json>, size: Vec<usize>) -> Result<Window> {
    let ones = vec![1; size.len()];
    Ok(Window {
        strides: take(params, "strides")?,
        padding: take(params, "padding")?,
        dilation: take_or(params, "dilation", ones)?,
        size,
    })
}

/// The spatial extents of a convolution kernel of this shape.
fn kernel_size(shape: &[usize]) -> Result<Vec<usize>> {
    shape.len().checked_sub(2).map(|n| shape[..n].to_vec()).ok_or_else(|| malformed!("a kernel needs two channel axes"))
}

type Params = Map<String, Json>;

fn operation(name: &str, p: &mut Params, operands: &[&TensorType], types: &[TensorType]) -> Result<Op> {
    if let Some(op) = elementwise(name) {
        return Ok(op);
    }
    if let Some(op) = Reduce::parse(name) {
        let mut axes: Vec<usize> = take(p, "axes")?;
        axes.sort_unstable();
        return Ok(Op::Reduce { op, axes });
    }
    if let Some(op) = Cumulative::parse(name) {
        return Ok(Op::Cumulative { op, axis: take(p, "axis")?, reverse: take(p, "reverse")? });
    }
    let out = types.first().ok_or_else(|| malformed!("no result is declared"))?;
    Ok(match name {
        "select" => Op::Select,
        "convert" => Op::Convert,
        "bitcast" => Op::Bitcast,
        "argmax" | "argmin" => Op::ArgReduce { max: name == "argmax", axis: take(p, "axis")? },
        "reshape" => Op::Reshape,
        "transpose" => Op::Transpose { perm: take(p, "perm")? },
        "broadcast" => Op::Broadcast { dims: take(p, "dims")? },
        "pad" => Op::Pad { low: take(p, "low")?, high: take(p, "high")?, interior: take(p, "interior")? },
        "slice" => Op::Slice { start: take(p, "start")?, step: take(p, "step")? },
        "concatenate" => Op::Concatenate { axis: take(p, "axis")? },
        "reverse" => Op::Reverse { axes: take(p, "axes")? },
        "iota" => Op::Iota { axis: take(p, "axis")? },
        "dynamic_slice" => Op::DynamicSlice,
        "dynamic_update_slice" => Op::DynamicUpdateSlice,
        "gather" => Op::Gather { batch_dims: take_or(p, "batch_dims", 0)? },
        "scatter" => {
            Op::Scatter { mode: scatter_mode(&take::<String>(p, "mode")?)?, batch_dims: take_or(p, "batch_dims", 0)? }
        }
        "argsort" => Op::Argsort { axis: take(p, "axis")? },
        "dot_general" => {
            Op::Dot { contract: take(p, "contract")?, batch: take(p, "batch")?, epilogue: Epilogue::default() }
        }
        "random_bits" => Op::RandomBits,
        "optimization_barrier" => Op::Barrier,
        "cholesky" => Op::Cholesky,
        "triangular_solve" => Op::TriangularSolve {
            lower: take(p, "lower")?,
            transpose: take(p, "transpose")?,
            unit_diagonal: take(p, "unit_diagonal")?,
        },
        "lu" => Op::Lu,
        "qr" => Op::Qr,
        "svd" => Op::Svd,
        "eigh" => Op::Eigh,
        _ => return windowed(name, p, operands, out),
    })
}

fn windowed(name: &str, p: &mut Params, operands: &[&TensorType], out: &TensorType) -> Result<Op> {
    let pool = |kind, p: &mut Params| -> Result<Op> {
        let size = take(p, "window")?;
        Ok(Op::Pool { kind, window: window(p, size)? })
    };
    Ok(match name {
        "conv" | "conv_input_grad" => {
            let kernel = operands.get(1).ok_or_else(|| malformed!("two operands are needed"))?;
            let window = window(p, kernel_size(&kernel.shape)?)?;
            let groups = take(p, "groups")?;
            if name == "conv" {
                Op::Conv { window, groups, epilogue: Epilogue::default() }
            } else {
                Op::ConvInputGrad { window, groups }
            }
        }
        "conv_kernel_grad" => {
            let window = window(p, kernel_size(&out.shape)?)?;
            Op::ConvKernelGrad { window, groups: take(p, "groups")? }
        }
        "max_pool" => pool(PoolKind::Max, p)?,
        "max_pool_gather" => pool(PoolKind::MaxGather, p)?,
        "max_pool_scatter" => pool(PoolKind::MaxScatter, p)?,
        "sum_pool" => pool(PoolKind::Sum, p)?,
        "sum_pool_grad" => pool(PoolKind::SumGrad, p)?,
        _ => return Err(Error::Unsupported(format!("the native engine has no {name:?}"))),
    })
}

fn elementwise(name: &str) -> Option<Op> {
    Unary::parse(name)
        .map(Op::Unary)
        .or_else(|| Binary::parse(name).map(Op::Binary))
        .or_else(|| Compare::parse(name).map(Op::Compare))
}

fn scatter_mode(name: &str) -> Result<Scatter> {
    Scatter::parse(name).ok_or_else(|| malformed!("unknown scatter mode {name:?}"))
}

/// The composites that have kernels, and how each result follows from them. None: the body stands.
fn row_kernel(b: &mut Builder, name: &str, p: &mut Params, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let Some(&first) = x.first() else { return Ok(None) };
    let t = b.type_of(first).clone();
    if !t.dtype.is_float() || t.rank() == 0 || t.count() == 0 {
        return Ok(None);
    }
    let rows = TensorType::new(t.dtype, t.shape[..t.rank() - 1].to_vec());
    let mut row = |kernel: RowKernel, x: &[Value], types: Vec<TensorType>| b.emit(Op::Rows(kernel), x.to_vec(), types);
    let results = match (name, x.len()) {
        ("softmax", 1) => row(RowKernel::Softmax, x, vec![t])?,
        ("log_softmax", 1) => row(RowKernel::LogSoftmax, x, vec![t])?,
        ("softmax_vjp", 2) => {
            let y = row(RowKernel::Softmax, &x[..1], vec![t.clone()])?[0];
            row(RowKernel::SoftmaxVjp, &[y, x[1]], vec![t])?
        }
        ("log_softmax_vjp", 2) => {
            let y = row(RowKernel::LogSoftmax, &x[..1], vec![t.clone()])?[0];
            row(RowKernel::LogSoftmaxVjp, &[y, x[1]], vec![t])?
        }
        ("softmax_cross_entropy", 2) => row(RowKernel::CrossEntropy, x, vec![rows])?,
        ("softmax_cross_entropy_vjp", 3) => row(RowKernel::CrossEntropyVjp, x, vec![t])?,
        ("sparse_softmax_cross_entropy" | "sparse_softmax_cross_entropy_vjp", n) => {
            if x.get(1).is_none_or(|&labels| !b.type_of(labels).dtype.is_int()) {
                return Ok(None);
            }
            let (kernel, result) =
                if n == 2 { (RowKernel::SparseCrossEntropy, rows) } else { (RowKernel::SparseCrossEntropyVjp, t) };
            b.emit(Op::Rows(kernel), x.to_vec(), vec![result])?
        }
        ("layer_norm", 3) => {
            let epsilon = take::<f64>(p, "epsilon")?.to_bits();
            row(RowKernel::LayerNorm { epsilon }, x, vec![t])?
        }
        ("layer_norm_vjp", 4) => {
            let epsilon = take::<f64>(p, "epsilon")?.to_bits();
            let last = TensorType::new(t.dtype, vec![t.shape[t.rank() - 1]]);
            row(RowKernel::LayerNormVjp { epsilon }, x, vec![t, last.clone(), last])?
        }
        _ => return Ok(None),
    };
    Ok(Some(results))
}
