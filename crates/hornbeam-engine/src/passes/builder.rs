//! Adds nodes to a graph: checks their types, simplifies them, and returns a known node for an equal one.

use std::collections::HashMap;

use crate::error::Result;
use crate::graph::{Graph, Node, NodeId, Op, ScopeId, Value};
use crate::passes::identities;
use crate::rules;
use crate::types::TensorType;

type Key = (Op, Vec<Value>, Vec<TensorType>);

#[derive(Default)]
pub struct Builder {
    pub graph: Graph,
    /// The scope of nodes that are added from here on. A pass that rebuilds a graph sets it to that of the old node.
    pub scope: ScopeId,
    known: HashMap<Key, NodeId>,
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
        match identities::simplify(self, &op, &inputs, &t) {
            Some(value) => value,
            None => self.insert(op, inputs, vec![t]),
        }
    }

    /// A scalar known now, broadcast to `t`.
    pub fn literal(&mut self, bytes: [u8; 8], t: &TensorType) -> Value {
        let scalar = self.insert(Op::Literal(bytes), Vec::new(), vec![TensorType::scalar(t.dtype)]);
        if t.shape.is_empty() {
            return scalar;
        }
        self.insert(Op::Broadcast { dims: Vec::new() }, vec![scalar], vec![t.clone()])
    }

    fn insert(&mut self, op: Op, inputs: Vec<Value>, types: Vec<TensorType>) -> Value {
        let key = (op, inputs, types);
        if let Some(&node) = self.known.get(&key) {
            return Value::first(node);
        }
        let id = self.graph.nodes.len() as NodeId;
        let (op, inputs, types) = key.clone();
        self.graph.nodes.push(Node { op, inputs, types, scope: self.scope });
        self.known.insert(key, id);
        Value::first(id)
    }
}
