//! Recurrent layers and attention. Results that may be missing are not written where nobody reads them.

use crate::error::Result;
use crate::graph::{Attention, NodeId, Recurrent, Value};
use crate::instruction::{Kind, Operand};
use crate::lower::{Lowering, View};
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

    /// A bias that repeats itself is read as it lies, never spread out.
    pub(super) fn attention(&mut self, id: NodeId, layer: &Attention) -> Result<()> {
        let graph = self.graph;
        let node = graph.node(id);
        let types: Vec<&TensorType> = node.inputs.iter().map(|&v| graph.type_of(v)).collect();
        let heads = layer.heads(&types)?;
        let mut bias = None;
        let mut reads = Vec::with_capacity(types.len());
        for (i, &value) in node.inputs.iter().enumerate() {
            let view = (layer.biased && i == 3).then(|| self.view(value));
            let strided = view.and_then(|view| Some((steps(&view)?, self.reach(&view))));
            let (strides, operand) = match strided {
                Some((strides, operand)) => (strides, operand),
                None => {
                    let row = heads.queries * heads.keys;
                    ([heads.heads * row, row, heads.keys], self.contiguous(value))
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
        self.emit(Kind::Attention { backward: layer.backward, heads, bias }, reads, writes);
        Ok(())
    }
}

/// The strides of all axes but the last, if that one is walked straight and none backwards.
fn steps(view: &View) -> Option<[usize; 3]> {
    let (&[b, h, t, s], straight) = (view.strides.as_slice().first_chunk::<4>()?, view.shape[3] == 1);
    let axis = |stride: isize, extent: usize| if extent == 1 { Some(0) } else { usize::try_from(stride).ok() };
    if s != 1 && !straight {
        return None;
    }
    Some([axis(b, view.shape[0])?, axis(h, view.shape[1])?, axis(t, view.shape[2])?])
}
