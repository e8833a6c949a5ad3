//! The wire format: a graph as JSON text, together with a list of constant buffers.
//!
//! ```json
//! {"inputs": [["float32", [2, 3]], ["float32", [2, 3]]],
//!  "nodes": [{"op": "add", "in": [0, 1], "out": [["float32", [2, 3]]]}],
//!  "outputs": [2]}
//! ```
//! Values are numbered: first the inputs, then one number per node; `project` picks one of a node's several results.
//! Parameters are those of the primitive (`"params": {"axes": [0]}`), a nested graph is an object of the same form,
//! and a `constant` holds its bytes in hexadecimal (`"data"`) or the number of a constant buffer (`"buffer"`). A `size` is
//! a scalar of int32 that is a parameter: frozen models insert sizes of their inputs there. For profiles, nodes may name
//! their scope (layer): `"scope": 1` is the first of the outermost graph's `"scopes"`. The outermost graph may have a
//! `"memory_budget"`, the bytes that a run may take with its inputs and outputs.

mod operations;
pub(crate) mod params;

use std::sync::Arc;

use hornbeam_kernels::dtype::DType;
use serde::Deserialize;

use crate::composites;
use crate::error::{malformed, Error, Result};
use crate::graph::{scope_name, Graph, Nested, Op, ScopeId, Value};
use crate::passes::builder::Builder;
use crate::passes::eliminate_dead;
use crate::types::TensorType;

use params::{take, Params};

/// Maximum depth of nested graphs (bodies within bodies).
const MAX_DEPTH: usize = 48;

/// A constant whose bytes are part of the text.
pub type Constant = (TensorType, Vec<u8>);

#[derive(Deserialize)]
struct TextGraph {
    inputs: Vec<TextType>,
    nodes: Vec<TextNode>,
    outputs: Vec<usize>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    memory_budget: Option<usize>,
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
    params: Params,
    #[serde(default)]
    scope: ScopeId,
}

/// The contents of a text.
pub struct Decoded {
    pub graph: Graph,
    /// Constants of the text; their numbers follow those of the constant buffers.
    pub literals: Vec<Constant>,
    /// Names of scopes; scope n of a node is the one at n - 1.
    pub scopes: Vec<String>,
    /// Bytes that a run may take, if they are limited.
    pub memory_budget: Option<usize>,
}

/// Decode and simplify a graph. `constants` are the types of the constant buffers.
pub fn decode(text: &str, constants: &[TensorType]) -> Result<Decoded> {
    let mut parsed: TextGraph = serde_json::from_str(text).map_err(|e| malformed!("{e}"))?;
    let scopes = std::mem::take(&mut parsed.scopes);
    let memory_budget = parsed.memory_budget;
    let mut decoder = Decoder { constants, literals: Vec::new(), scopes: scopes.len(), scope: 0, depth: 0 };
    let graph = decoder.graph(parsed).map_err(|e| e.inside(scope_name(&scopes, decoder.scope)))?;
    Ok(Decoded { graph, literals: decoder.literals, scopes, memory_budget })
}

struct Decoder<'a> {
    constants: &'a [TensorType],
    literals: Vec<Constant>,
    scopes: usize,
    /// The scope of the node being decoded; nodes of a body without a scope have that of the body.
    scope: ScopeId,
    depth: usize,
}

fn tensor_type(text: &TextType) -> Result<TensorType> {
    let dtype = DType::parse(&text.0).ok_or_else(|| malformed!("unknown dtype {:?}", text.0))?;
    if !dtype.is_built() {
        return Err(Error::Unsupported(format!(
            "this build of Hornbeam has no kernels for {dtype}: build it with the feature all-dtypes"
        )));
    }
    let t = TensorType::new(dtype, text.1.clone());
    t.validate()?;
    Ok(t)
}

impl Decoder<'_> {
    /// Decode a closed graph: the outermost one, or the body of control flow.
    fn graph(&mut self, text: TextGraph) -> Result<Graph> {
        let types = text.inputs.iter().map(tensor_type).collect::<Result<Vec<_>>>()?;
        let (mut builder, values) = Builder::with_inputs(&types)?;
        builder.graph.outputs = self.body(&mut builder, text, &values)?;
        Ok(eliminate_dead(builder.graph))
    }

    /// Add a graph's nodes to `builder`, with its inputs replaced by `args`. Composites are inlined this way.
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
                return Err(malformed!("node {number} ({op}): scope {} does not exist", node.scope));
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
            let value =
                results.and_then(|r| r.get(index)).ok_or_else(|| malformed!("result {index} does not exist"))?;
            expect_types(builder, &[*value], &types)?;
            return Ok(vec![*value]);
        }
        let inputs = node.inputs.iter().map(|&id| single(values, id)).collect::<Result<Vec<_>>>()?;
        if node.op == "stop_gradient" {
            expect_types(builder, &inputs, &types)?;
            return Ok(inputs);
        }
        if node.op == "constant" {
            let [t] = types.as_slice() else { return Err(malformed!("a constant has one type, got {}", types.len())) };
            return Ok(vec![self.constant(builder, &mut params, t)?]);
        }
        if node.op == "size" {
            let [t] = types.as_slice() else { return Err(malformed!("a size has one type, got {}", types.len())) };
            if *t != TensorType::scalar(DType::I32) {
                return Err(malformed!("a size is a scalar of int32, declared is {t}"));
            }
            let mut scalar = [0u8; 8];
            scalar[..4].copy_from_slice(&take::<i32>(&mut params, "size")?.to_ne_bytes());
            return Ok(vec![builder.literal(scalar, t)]);
        }
        if params.contains_key("body") && node.op != "scan" {
            return self.composite(builder, &node.op, params, &inputs, &types);
        }
        let op = match self.control(&node.op, &mut params)? {
            Some(op) => op,
            None => {
                let operands: Vec<&TensorType> = inputs.iter().map(|&v| builder.type_of(v)).collect();
                operations::decode(&node.op, &mut params, &operands, &types)?
            }
        };
        builder.emit(op, inputs, types)
    }

    fn constant(&mut self, builder: &mut Builder, params: &mut Params, t: &TensorType) -> Result<Value> {
        let number = if params.contains_key("buffer") {
            let number: usize = take(params, "buffer")?;
            let buffer_type =
                self.constants.get(number).ok_or_else(|| malformed!("constant buffer {number} does not exist"))?;
            if buffer_type != t {
                return Err(malformed!("constant buffer {number} is {buffer_type}, declared is {t}"));
            }
            number
        } else {
            let bytes = from_hex(&take::<String>(params, "data")?)?;
            if bytes.len() != t.bytes() {
                return Err(malformed!("a constant of type {t} needs {} bytes, got {}", t.bytes(), bytes.len()));
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

    /// Inline the body of a composite. If the composite has a kernel, its results replace those of the body, whose
    /// nodes are then dead.
    fn composite(
        &mut self,
        builder: &mut Builder,
        name: &str,
        mut params: Params,
        inputs: &[Value],
        types: &[TensorType],
    ) -> Result<Vec<Value>> {
        let body: TextGraph = take(&mut params, "body")?;
        let mut results = self.body(builder, body, inputs)?;
        expect_types(builder, &results, types)?;
        if let Some(values) = composites::emit_kernel(builder, name, &mut params, inputs)? {
            for (result, value) in results.iter_mut().zip(values) {
                *result = value;
            }
        }
        expect_types(builder, &results, types)?;
        Ok(results)
    }

    fn control(&mut self, name: &str, params: &mut Params) -> Result<Option<Op>> {
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
    agree.then_some(()).ok_or_else(|| malformed!("the declared types differ from those of the results"))
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
        .ok_or_else(|| malformed!("a digit is not hexadecimal"))
}
