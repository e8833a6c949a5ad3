//! How much an instruction computes and moves, by the textbook: what a profile compares with the machine's roof.

use hornbeam_kernels::dtype::DType;

use crate::fused::{Fused, Load};
use crate::graph::Cell;
use crate::instruction::{Instruction, Kind, Operand, Spatial, Tail};

/// Of one run. A multiply-add is two FLOPs; every operand and result is moved once. Kernels that save arithmetic
/// (Winograd) or that find their operands in cache can be faster than these numbers allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    pub flops: u64,
    pub bytes: u64,
    /// What is computed with.
    pub dtype: DType,
}

impl Instruction {
    pub fn work(&self) -> Work {
        let dtype = self.reads.first().or(self.writes.first()).map_or(DType::F32, |operand| operand.dtype);
        let written: usize = self.writes.iter().map(size).sum();
        let read: usize = self.reads.iter().map(size).sum();
        let results: usize = self.writes.iter().map(|operand| operand.count).sum();
        let elements = self.reads.first().map_or(0, |operand| operand.count);
        let own: usize = match &self.tail {
            // The result stays in cache.
            Some(tail) => self.writes[1..tail.writes].iter().map(size).sum(),
            None => written,
        };
        let (flops, bytes) = match &self.kind {
            Kind::Fused(fused) => (arithmetic(fused), written + loaded(fused, &self.reads)),
            Kind::Copy { count, .. } => (0, 2 * count * dtype.size()),
            Kind::Dot { gemm: g, .. } => {
                let operands = g.batch * (g.m * g.k + g.k * g.n) * dtype.size();
                (product(&[2, g.batch, g.m, g.n, g.k]), operands + own)
            }
            Kind::Conv { shape, .. }
            | Kind::ConvPool { shape, .. }
            | Kind::ConvInputGrad(shape)
            | Kind::ConvKernelGrad(shape) => (convolution(shape), read + written),
            // The kernel's gradient, and perhaps the input's.
            Kind::ConvBackward { shape, input, .. } => {
                (convolution(shape).saturating_mul(1 + u64::from(*input)), read + written)
            }
            Kind::Pool(_, shape) => (pooling(shape), read + written),
            Kind::Reduce { .. } | Kind::ArgReduce { .. } | Kind::Cumulative { .. } => (elements as u64, read + written),
            // Comparisons of a merge sort.
            Kind::Argsort { along } => (product(&[elements, along.n.max(2).ilog2() as usize]), read + written),
            // A few passes over the rows: largest, exponential, sum, quotient; or moments and their application.
            Kind::Rows { rows, n, .. } => (product(&[5, *rows, *n]), read + written),
            // Each step's product with the recurrent weights; forward or backward, the others are products of their own.
            Kind::Recurrent { layer, shape: s } => {
                let gates = match layer.cell {
                    Cell::Lstm => 4,
                    Cell::Gru => 3,
                };
                (product(&[2, s.batch, s.steps, s.units, s.units, gates]), read + written)
            }
            // Scores and results; on the way back the scores again, and four gradients.
            Kind::Attention { backward, heads: h, .. } => {
                let products = if *backward { 3 * h.depth + 2 * h.width } else { h.depth + h.width };
                (product(&[2, h.batch, h.heads, h.queries, h.keys, products]), read + written)
            }
            Kind::Gather(_) => (0, 2 * written + self.reads.get(1).map_or(0, size)),
            Kind::Scatter(..) => {
                let updates = self.reads.get(2).map_or(0, |operand| operand.count);
                (updates as u64, self.reads[1..3].iter().map(size).sum::<usize>() + 2 * updates * dtype.size())
            }
            Kind::Cholesky { n } => (product(&[elements, *n]) / 3, read + written),
            Kind::TriangularSolve { n, .. } => (product(&[results, *n]), read + written),
            Kind::Lu { m, n } | Kind::Qr { m, n } | Kind::Svd { m, n } => {
                (product(&[2, elements, *m.min(n)]), read + written)
            }
            Kind::Eigh { n } => (product(&[9, elements, *n]), read + written),
            // The work is that of the programs inside.
            Kind::Cond { .. } | Kind::While { .. } | Kind::Scan { .. } => (0, 0),
            Kind::Pad { .. }
            | Kind::Concatenate { .. }
            | Kind::Reverse { .. }
            | Kind::DynamicSlice { .. }
            | Kind::DynamicUpdateSlice { .. } => (0, 2 * written),
        };
        let (more_flops, more_bytes) = self.tail.as_ref().map_or((0, 0), |tail| self.tail_work(tail));
        Work { flops: flops.saturating_add(more_flops), bytes: (bytes + more_bytes) as u64, dtype }
    }

    fn tail_work(&self, tail: &Tail) -> (u64, usize) {
        let written: usize = self.writes[tail.writes..].iter().map(size).sum();
        let source = tail.fused.count * self.writes[0].dtype.size();
        (arithmetic(&tail.fused), written + loaded(&tail.fused, &self.reads[tail.reads..]) - source)
    }
}

/// Bytes that a fused loop reads: an operand that is repeated counts once.
fn loaded(fused: &Fused, reads: &[Operand]) -> usize {
    let one = |(operand, load): (&Operand, &Load)| match load {
        Load::Contiguous { size } => fused.count * size,
        Load::Scalar { size } => *size,
        Load::Strided { size, dims } => {
            let distinct: usize = dims.iter().filter(|d| d.stride != 0).map(|d| d.extent).product();
            size * distinct.min(operand.count)
        }
        Load::Whole => operand.count * operand.dtype.size(),
    };
    reads.iter().zip(&fused.loads).map(one).sum()
}

fn size(operand: &Operand) -> usize {
    operand.count * operand.dtype.size()
}

/// No graph is refused for its work, so this may be more than can be counted.
fn product(factors: &[usize]) -> u64 {
    factors.iter().fold(1, |product, &factor| product.saturating_mul(factor as u64))
}

/// Results of steps that compute.
fn arithmetic(fused: &Fused) -> u64 {
    let computes = |name: &&&str| !matches!(**name, "convert" | "bitcast" | "iota" | "select");
    product(&[fused.count, fused.names.iter().filter(computes).count()])
}

fn convolution(s: &Spatial) -> u64 {
    let channels = [s.in_channels / s.groups.max(1), s.out_channels];
    product(&[&[2, s.batch], &s.output[..], &s.window[..], &channels[..]].concat())
}

fn pooling(s: &Spatial) -> u64 {
    product(&[&[s.batch, s.in_channels], &s.output[..], &s.window[..]].concat())
}
