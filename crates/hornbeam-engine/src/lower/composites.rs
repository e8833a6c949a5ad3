//! Lowers recurrent layers and attention. Optional results without a reader are not written.

use crate::error::Result;
use crate::graph::{Attention, NodeId, Recurrent, Value};
use crate::instruction::Kind;
use crate::lower::{Lowering, View};
use crate::operand::Operand;
use crate::types::TensorType;

impl Lowering<'_> {
    pub(super) fn recurrent(&mut self, id: NodeId, layer: &Recurrent) -> Result<()> {
        let graph = self.graph;
        let node = graph.node(id);
        let types: Vec<&TensorType> = node.inputs.iter().map(|&v| graph.type_of(v)).collect();
        let shape = layer.shape(&types)?;
        let reads: Vec<Operand> = node.inputs.iter().map(|&v| self.contiguous(v)).collect();
        let gates = node.types.len() - 1;
        let write_gates = layer.backward || self.uses[id as usize][gates] > 0;
        let count = if write_gates { gates + 1 } else { gates } as u32;
        let writes = (0..count).map(|output| self.define(Value { node: id, output })).collect();
        self.emit(Kind::Recurrent { layer: layer.clone(), shape }, reads, writes);
        Ok(())
    }

    /// Lower attention. A broadcast bias is read by its strides, never materialized.
    pub(super) fn attention(&mut self, id: NodeId, layer: &Attention) -> Result<()> {
        let graph = self.graph;
        let node = graph.node(id);
        let types: Vec<&TensorType> = node.inputs.iter().map(|&v| graph.type_of(v)).collect();
        let shape = layer.shape(&types)?;
        let mut bias = None;
        let mut reads = Vec::with_capacity(types.len());
        for (i, &value) in node.inputs.iter().enumerate() {
            let view = (layer.biased && i == 3).then(|| self.view(value));
            let strided = view.and_then(|view| Some((bias_strides(&view)?, self.reach(&view))));
            let (strides, operand) = match strided {
                Some((strides, operand)) => (strides, operand),
                None => {
                    let row = shape.queries * shape.keys;
                    ([shape.heads * row, row, shape.keys], self.contiguous(value))
                }
            };
            if layer.biased && i == 3 {
                bias = Some(strides);
            }
            reads.push(operand);
        }
        let unread = layer.backward && layer.biased && self.uses[id as usize][3] == 0;
        let count = (node.types.len() - usize::from(unread)) as u32;
        let writes = (0..count).map(|output| self.define(Value { node: id, output })).collect();
        self.emit(Kind::Attention { layer: layer.clone(), shape, bias }, reads, writes);
        Ok(())
    }
}

/// The strides of all axes but the last, if the last axis is contiguous and no stride is negative.
fn bias_strides(view: &View) -> Option<[usize; 3]> {
    let &[b, h, t, s] = view.strides.as_slice().first_chunk::<4>()?;
    let axis = |stride: isize, extent: usize| if extent == 1 { Some(0) } else { usize::try_from(stride).ok() };
    if s != 1 && view.shape[3] != 1 {
        return None;
    }
    Some([axis(b, view.shape[0])?, axis(h, view.shape[1])?, axis(t, view.shape[2])?])
}
