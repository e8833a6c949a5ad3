//! A cluster that compares integers with the positions along a new axis: one instruction that writes ones, instead of a
//! loop of comparisons.

use hornbeam_kernels::elementwise::Compare;

use crate::graph::{NodeId, Op, Value};
use crate::instruction::{AxisLayout, Kind};
use crate::lower::Lowering;

impl Lowering<'_> {
    /// Lower a cluster that is `convert(eq(broadcast(x), iota))` and stores nothing else. Return false for any other.
    pub(super) fn one_hot(&mut self, nodes: &[NodeId]) -> bool {
        let Some((indices, layout, result)) = self.one_hot_operands(nodes) else { return false };
        let reads = vec![self.contiguous(indices)];
        let writes = vec![self.define(result)];
        self.emit(Kind::OneHot { layout }, reads, writes);
        true
    }

    fn one_hot_operands(&self, nodes: &[NodeId]) -> Option<(Value, AxisLayout, Value)> {
        let graph = self.graph;
        let &[_, _, last] = nodes else { return None };
        let convert = graph.node(last);
        let compared = convert.inputs.first().filter(|_| matches!(convert.op, Op::Convert))?.node;
        let eq = graph.node(compared);
        if !(matches!(eq.op, Op::Compare(Compare::Eq)) && nodes.contains(&compared)) {
            return None;
        }
        let is_position = |value: &&Value| nodes.contains(&value.node);
        let position = graph.node(eq.inputs.iter().find(is_position)?.node);
        let &Op::Iota { axis } = &position.op else { return None };
        let repeated = graph.node(eq.inputs.iter().find(|value| !is_position(value))?.node);
        let Op::Broadcast { dims } = &repeated.op else { return None };
        let (indices, result) = (repeated.inputs[0], Value::first(last));
        let (x, t) = (graph.type_of(indices), graph.type_of(result));
        let others: Vec<usize> = (0..t.rank()).filter(|&other| other != axis).collect();
        let repeats_along_axis = *dims == others && others.iter().zip(&x.shape).all(|(&a, &n)| t.shape[a] == n);
        // Positions that do not wrap.
        let counts = x.dtype.is_int() && x.dtype.size() >= 4 && i32::try_from(t.shape[axis]).is_ok();
        let stored: Vec<NodeId> = nodes.iter().copied().filter(|&id| self.stored[id as usize]).collect();
        let alone = stored == [last] && !self.is_defined(result);
        (repeats_along_axis && counts && alone).then(|| (indices, AxisLayout::new(&t.shape, axis), result))
    }
}
