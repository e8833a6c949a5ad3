//! Adds nodes to a graph: checks their types, simplifies them, and merges common subexpressions.

mod identities;

use std::hash::BuildHasher;

use crate::error::Result;
use crate::graph::{Graph, Node, NodeId, Op, ScopeId, Value};
use crate::rules;
use crate::types::TensorType;
use rustc_hash::{FxBuildHasher, FxHashMap};

/// Nodes that a rewrite adds are rewritten in turn, up to this depth: the stack is finite.
const MAX_REWRITE_DEPTH: usize = 64;

#[derive(Default)]
pub struct Builder {
    pub graph: Graph,
    /// The scope of the nodes that follow. A pass that rebuilds a graph sets it to that of the old node.
    pub scope: ScopeId,
    /// The last node of each hash.
    last_of_hash: FxHashMap<u64, NodeId>,
    /// For every node, the node before it with the same hash.
    previous: Vec<Option<NodeId>>,
    /// Depth of rewrites within rewrites.
    depth: usize,
}

impl Builder {
    /// Return a builder with one input per type, and the values of the inputs.
    pub fn with_inputs(types: &[TensorType]) -> Result<(Builder, Vec<Value>)> {
        let mut builder = Builder::default();
        let mut values = Vec::with_capacity(types.len());
        for (index, t) in types.iter().enumerate() {
            t.validate()?;
            values.push(builder.insert(Op::Input(index as u32), Vec::new(), vec![t.clone()]));
        }
        builder.graph.inputs = types.to_vec();
        Ok((builder, values))
    }

    pub fn type_of(&self, value: Value) -> &TensorType {
        self.graph.type_of(value)
    }

    /// Check and add an operation, and return its results.
    pub fn emit(&mut self, op: Op, inputs: Vec<Value>, types: Vec<TensorType>) -> Result<Vec<Value>> {
        {
            let operands: Vec<&TensorType> = inputs.iter().map(|&v| self.graph.type_of(v)).collect();
            rules::check(&op, &operands, &types)?;
        }
        if types.len() == 1 {
            return Ok(vec![self.add(op, inputs, types.into_iter().next().unwrap_or_else(|| unreachable!()))]);
        }
        let count = types.len() as u32;
        let node = self.insert(op, inputs, types).node;
        Ok((0..count).map(|output| Value { node, output }).collect())
    }

    /// Add an operation with one result, without a check of its types.
    pub fn add(&mut self, op: Op, inputs: Vec<Value>, t: TensorType) -> Value {
        self.depth += 1;
        let simpler = if self.depth < MAX_REWRITE_DEPTH { identities::simplify(self, &op, &inputs, &t) } else { None };
        self.depth -= 1;
        simpler.unwrap_or_else(|| self.insert(op, inputs, vec![t]))
    }

    /// A scalar constant, broadcast to `t`.
    pub fn literal(&mut self, bytes: [u8; 8], t: &TensorType) -> Value {
        let scalar = self.insert(Op::Literal(bytes), Vec::new(), vec![TensorType::scalar(t.dtype)]);
        if t.shape.is_empty() {
            return scalar;
        }
        self.insert(Op::Broadcast { dims: Vec::new() }, vec![scalar], vec![t.clone()])
    }

    /// Reserve memory for more nodes.
    pub fn reserve(&mut self, additional: usize) {
        self.graph.nodes.reserve(additional);
        self.last_of_hash.reserve(additional);
        self.previous.reserve(additional);
    }

    fn insert(&mut self, op: Op, inputs: Vec<Value>, types: Vec<TensorType>) -> Value {
        let hash = FxBuildHasher.hash_one((&op, &inputs, &types));
        let last = self.last_of_hash.get(&hash).copied();
        let mut next = last;
        while let Some(id) = next {
            let node = self.graph.node(id);
            if node.op == op && node.inputs == inputs && node.types == types {
                return Value::first(id);
            }
            next = self.previous[id as usize];
        }
        let id = self.graph.nodes.len() as NodeId;
        self.graph.nodes.push(Node { op, inputs, types, scope: self.scope });
        self.previous.push(last);
        self.last_of_hash.insert(hash, id);
        Value::first(id)
    }
}
