//! Lowers control flow: nested programs, and the buffers of their carries.

use std::sync::Arc;

use hornbeam_kernels::dtype::DType;

use crate::error::Result;
use crate::graph::{Graph, Nested, NodeId, Op, Value};
use crate::instruction::{Kind, Program, ScanShape};
use crate::lower::{compile, Lowering};
use crate::operand::Operand;
use crate::types::TensorType;

impl Lowering<'_> {
    pub(super) fn control(&mut self, id: NodeId) -> Result<()> {
        let graph = self.graph;
        let node = graph.node(id);
        let reads: Vec<Operand> = node.inputs.iter().map(|&v| self.contiguous(v)).collect();
        match &node.op {
            Op::Cond { true_graph, false_graph } => {
                let branches = [self.nested(true_graph)?, self.nested(false_graph)?];
                let mut writes = self.define_all(id, node.types.len());
                writes.push(self.region(branches[0].arena.max(branches[1].arena)));
                self.emit(Kind::Cond { branches }, reads, writes);
            }
            Op::While { cond, body } => {
                let (cond, body) = (self.nested(cond)?, self.nested(body)?);
                let carries = node.types.len();
                let mut writes = self.define_all(id, carries);
                writes.extend(node.types.iter().map(|t| self.temporary(t)));
                writes.push(self.temporary(&TensorType::scalar(DType::Bool)));
                writes.push(self.region(cond.arena.max(body.arena)));
                self.emit(Kind::While { cond, body, carries }, reads, writes);
            }
            Op::Scan { body, carries, sequences, length, reverse } => {
                let (carries, sequences, length, reverse) = (*carries, *sequences, *length, *reverse);
                self.scan(id, &ScanOp { body, carries, sequences, length, reverse }, reads)?;
            }
            other => unreachable!("{other:?} is not control flow"),
        }
        Ok(())
    }

    fn nested(&mut self, graph: &Nested) -> Result<Box<Program>> {
        Ok(Box::new(compile(&graph.0, self.context, true)?))
    }

    fn define_all(&mut self, id: NodeId, count: usize) -> Vec<Operand> {
        (0..count as u32).map(|output| self.define(Value { node: id, output })).collect()
    }

    /// Lower a scan without the stacked results that have no reader.
    fn scan(&mut self, id: NodeId, scan: &ScanOp, reads: Vec<Operand>) -> Result<()> {
        let types = &self.graph.node(id).types;
        let (carries, results) = (scan.carries, scan.body.0.outputs.len());
        let used = |output: usize, uses: &[Vec<u32>]| uses[id as usize][output] > 0;
        let stacked: Vec<usize> = (carries..results).filter(|&o| used(o, &self.uses)).collect();
        let saved: Vec<bool> = (0..carries).map(|c| used(results + c, &self.uses)).collect();

        let mut body: Graph = Graph::clone(&scan.body.0);
        body.outputs = (0..carries).chain(stacked.iter().copied()).map(|o| scan.body.0.outputs[o]).collect();
        let body = self.nested(&Nested(Arc::new(body)))?;

        let at = |output: usize| Value { node: id, output: output as u32 };
        let mut writes: Vec<Operand> = (0..carries).map(|o| self.define(at(o))).collect();
        writes.extend(stacked.iter().map(|&o| self.define(at(o))).collect::<Vec<_>>());
        for carry in (0..carries).filter(|&c| saved[c]) {
            writes.push(self.define(at(results + carry)));
        }
        for carry in (0..carries).filter(|&c| !saved[c]) {
            writes.push(self.temporary(&types[carry]));
        }
        writes.push(self.region(body.arena));
        let row = |t: &TensorType| t.bytes() / scan.length.max(1);
        let sequences = &self.graph.node(id).inputs[carries..carries + scan.sequences];
        let shape = ScanShape {
            carries,
            sequences: scan.sequences,
            length: scan.length,
            reverse: scan.reverse,
            slices: sequences.iter().map(|&v| row(self.graph.type_of(v))).collect(),
            rows: stacked.iter().map(|&o| row(&types[o])).collect(),
            saved,
            carry_bytes: types[..carries].iter().map(TensorType::bytes).collect(),
        };
        self.emit(Kind::Scan { body, scan: shape }, reads, writes);
        Ok(())
    }
}

struct ScanOp<'a> {
    body: &'a Nested,
    carries: usize,
    sequences: usize,
    length: usize,
    reverse: bool,
}
