//! Adds nodes to a graph: checks their types, simplifies them, and returns a known node for an equal one.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::error::Result;
use crate::graph::{Graph, Node, NodeId, Op, ScopeId, Value};
mod identities;
use crate::hash::{quick, QuickHasher};
use crate::rules;
use crate::types::TensorType;

/// What a rewrite adds is rewritten in its turn: the factors of a sum, one by one. Deeper than this it stays, as stacks end.
const DEEPEST: usize = 64;

#[derive(Default)]
pub struct Builder {
    pub graph: Graph,
    /// The scope of nodes that are added from here on. A pass that rebuilds a graph sets it to that of the old node.
    pub scope: ScopeId,
    /// The last node of each hash, and for every node the one before it that has the same.
    known: HashMap<u64, NodeId, BuildHasherDefault<QuickHasher>>,
    /// Of rewrites within rewrites.
    depth: usize,
    before: Vec<Option<NodeId>>,
}

impl Builder {
    /// A builder with one input per type; returns their values too.
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

    /// Check and add an operation; returns its results.
    pub fn emit(&mut self, op: Op, inputs: Vec<Value>, types: Vec<TensorType>) -> Result<Vec<Value>> {
        {
            let operands: Vec<&TensorType> = inputs.iter().map(|&v| self.graph.type_of(v)).collect();
            rules::check(&op, &operands, &types)?;
        }
        if types.len() == 1 {
            return Ok(vec![self.one(op, inputs, types.into_iter().next().unwrap_or_else(|| unreachable!()))]);
        }
        let count = types.len() as u32;
        let node = self.insert(op, inputs, types).node;
        Ok((0..count).map(|output| Value { node, output }).collect())
    }

    /// Add an operation with one result whose types are known to be right.
    pub fn one(&mut self, op: Op, inputs: Vec<Value>, t: TensorType) -> Value {
        self.depth += 1;
        let simpler = if self.depth < DEEPEST { identities::simplify(self, &op, &inputs, &t) } else { None };
        self.depth -= 1;
        simpler.unwrap_or_else(|| self.insert(op, inputs, vec![t]))
    }

    /// A scalar known now, broadcast to `t`.
    pub fn literal(&mut self, bytes: [u8; 8], t: &TensorType) -> Value {
        let scalar = self.insert(Op::Literal(bytes), Vec::new(), vec![TensorType::scalar(t.dtype)]);
        if t.shape.is_empty() {
            return scalar;
        }
        self.insert(Op::Broadcast { dims: Vec::new() }, vec![scalar], vec![t.clone()])
    }

    /// Room for so many nodes more.
    pub fn reserve(&mut self, nodes: usize) {
        self.graph.nodes.reserve(nodes);
        self.known.reserve(nodes);
        self.before.reserve(nodes);
    }

    fn insert(&mut self, op: Op, inputs: Vec<Value>, types: Vec<TensorType>) -> Value {
        let hash = quick(&(&op, &inputs, &types));
        let last = self.known.get(&hash).copied();
        let mut next = last;
        while let Some(id) = next {
            let node = self.graph.node(id);
            if node.op == op && node.inputs == inputs && node.types == types {
                return Value::first(id);
            }
            next = self.before[id as usize];
        }
        let id = self.graph.nodes.len() as NodeId;
        self.graph.nodes.push(Node { op, inputs, types, scope: self.scope });
        self.before.push(last);
        self.known.insert(hash, id);
        Value::first(id)
    }
}
