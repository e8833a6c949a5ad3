//! Recurrent layers. What only the way back needs is not written where there is none.

use crate::error::Result;
use crate::graph::{NodeId, Recurrent, Value};
use crate::instruction::{Kind, Operand};
use crate::lower::Lowering;
use crate::types::TensorType;

impl Lowering<'_> {
    pub(super) fn recurrent(&mut self, id: NodeId, layer: &Recurrent) -> Result<()> {
        let graph = self.graph;
        let node = graph.node(id);
        let types: Vec<&TensorType> = node.inputs.iter().map(|&v| graph.type_of(v)).collect();
        let shape = layer.shape(&types)?;
        let reads: Vec<Operand> = node.inputs.iter().map(|&v| self.contiguous(v)).collect();
        let gates = node.types.len() - 1;
        let kept = layer.backward || self.uses[id as usize][gates] > 0;
        let count = if kept { gates + 1 } else { gates } as u32;
        let writes = (0..count).map(|output| self.define(Value { node: id, output })).collect();
        self.emit(Kind::Recurrent { layer: layer.clone(), shape }, reads, writes);
        Ok(())
    }
}
