//! The textbook cost of instructions, FLOPs and bytes, which profiles compare with the machine's roofline.

use hornbeam_kernels::conv::ConvShape;
use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::window::PoolShape;

use crate::fused::{FusedLoop, Load};
use crate::graph::Cell;
use crate::instruction::{Instruction, Kind, LoopEpilogue};
use crate::operand::Operand;

/// The cost of one run. A multiply-add is two FLOPs; every operand and result is moved once. Kernels that save
/// arithmetic (Winograd), or that find their operands in cache, can be faster than these numbers allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub flops: u64,
    pub bytes: u64,
    /// The dtype of the arithmetic.
    pub dtype: DType,
}

impl Instruction {
    /// Return the cost of one run.
    pub fn cost(&self) -> Cost {
        let dtype = self.reads.first().or(self.writes.first()).map_or(DType::F32, |operand| operand.dtype);
        let (own_flops, own_bytes) = (self.flops(), self.bytes_moved(dtype));
        let (flops, bytes) = self.loop_epilogue.as_ref().map_or((0, 0), |epilogue| self.epilogue_cost(epilogue));
        Cost { flops: own_flops.saturating_add(flops), bytes: (own_bytes + bytes) as u64, dtype }
    }

    /// FLOPs without those of a loop epilogue.
    fn flops(&self) -> u64 {
        let elements = self.reads.first().map_or(0, |operand| operand.count);
        match &self.kind {
            Kind::Fused(fused) => loop_flops(fused),
            Kind::Dot { gemm: g, .. } | Kind::QuantizedDot(g) => product(&[2, g.batch, g.m, g.n, g.k]),
            Kind::Conv { shape, .. }
            | Kind::QuantizedConv { shape, .. }
            | Kind::ConvPool { shape, .. }
            | Kind::ConvInputGrad(shape)
            | Kind::ConvKernelGrad(shape) => conv_flops(shape),
            // The kernel's gradient, and the input's if it is wanted.
            Kind::ConvBackward { shape, input, .. } => conv_flops(shape).saturating_mul(1 + u64::from(*input)),
            Kind::Pool(_, shape) => pool_flops(shape),
            Kind::Reduce { .. } | Kind::ArgReduce { .. } | Kind::Cumulative { .. } => elements as u64,
            // Mostly two or three weights that are not 0.
            Kind::Resample(_) => product(&[2, 2, self.writes[0].count]),
            // Comparisons of a merge sort.
            Kind::Argsort { layout } => product(&[elements, layout.n.max(2).ilog2() as usize]),
            // A few passes over the rows: maximum, exponential, sum, quotient; or moments and their application.
            Kind::Rows { rows, n, .. } => product(&[5, *rows, *n]),
            // The product with the recurrent weights at each step; all other products are instructions of their own.
            Kind::Recurrent { layer, shape: s } => {
                let gates = match layer.cell {
                    Cell::Lstm => 4,
                    Cell::Gru => 3,
                };
                product(&[2, s.batch, s.steps, s.units, s.units, gates])
            }
            // Scores and results; the backward pass computes the scores again, and four gradients.
            Kind::Attention { layer, shape: s, .. } => {
                let products = if layer.backward { 3 * s.depth + 2 * s.width } else { s.depth + s.width };
                product(&[2, s.batch, s.heads, s.queries, s.keys, products])
            }
            Kind::Scatter(..) => self.reads.get(2).map_or(0, |updates| updates.count) as u64,
            Kind::Cholesky { n } => product(&[elements, *n]) / 3,
            Kind::TriangularSolve { n, .. } => product(&[self.writes.iter().map(|w| w.count).sum(), *n]),
            Kind::Lu { m, n } | Kind::Qr { m, n } | Kind::Svd { m, n } => product(&[2, elements, *m.min(n)]),
            Kind::Eigh { n } => product(&[9, elements, *n]),
            Kind::Eig { n } => product(&[100, elements, *n]),
            Kind::Copy { .. }
            | Kind::OneHot { .. }
            | Kind::Gather(_)
            | Kind::Pad { .. }
            | Kind::Concatenate { .. }
            | Kind::Reverse { .. }
            | Kind::DynamicSlice { .. }
            | Kind::DynamicUpdateSlice { .. } => 0,
            // Counted by the nested programs.
            Kind::Cond { .. } | Kind::While { .. } | Kind::Scan { .. } => 0,
        }
    }

    /// Bytes read and written, without those of a loop epilogue.
    fn bytes_moved(&self, dtype: DType) -> usize {
        let written = total_bytes(&self.writes);
        let read = total_bytes(&self.reads);
        match &self.kind {
            Kind::Fused(fused) => written + loop_reads(fused, &self.reads),
            Kind::Copy { count, .. } => 2 * count * dtype.size(),
            Kind::Dot { gemm: g, .. } => g.batch * (g.m * g.k + g.k * g.n) * dtype.size() + self.result_bytes(),
            Kind::Conv { shape, bias, .. } => {
                let bias = if *bias { shape.out_channels } else { 0 };
                (shape.input_len() + shape.kernel_len() + bias) * dtype.size() + self.result_bytes()
            }
            Kind::QuantizedDot(g) => g.m * g.k + g.k * g.n + written,
            Kind::QuantizedConv { shape, epilogue } => {
                let addend = if epilogue.is_some_and(|e| e.addend) { 4 * shape.output_len() } else { 0 };
                shape.input_len() + shape.kernel_len() + addend + self.result_bytes()
            }
            Kind::Gather(_) => 2 * written + self.reads.get(1).map_or(0, Operand::bytes),
            Kind::Scatter(..) => {
                let updates = self.reads.get(2).map_or(0, |operand| operand.count);
                total_bytes(&self.reads[1..3]) + 2 * updates * dtype.size()
            }
            Kind::Pad { .. }
            | Kind::Concatenate { .. }
            | Kind::Reverse { .. }
            | Kind::DynamicSlice { .. }
            | Kind::DynamicUpdateSlice { .. } => 2 * written,
            Kind::Cond { .. } | Kind::While { .. } | Kind::Scan { .. } => 0,
            _ => read + written,
        }
    }

    /// Bytes written of the result. With a loop epilogue it stays in cache.
    fn result_bytes(&self) -> usize {
        match &self.loop_epilogue {
            Some(epilogue) => total_bytes(&self.writes[1..epilogue.writes]),
            None => total_bytes(&self.writes),
        }
    }

    fn epilogue_cost(&self, epilogue: &LoopEpilogue) -> (u64, usize) {
        let written = total_bytes(&self.writes[epilogue.writes..]);
        let source = epilogue.fused.count * self.writes[0].dtype.size();
        let read = loop_reads(&epilogue.fused, &self.reads[epilogue.reads..]);
        (loop_flops(&epilogue.fused), written + read - source)
    }
}

fn total_bytes(operands: &[Operand]) -> usize {
    operands.iter().map(Operand::bytes).sum()
}

/// Bytes that a fused loop reads. A broadcast operand counts once.
fn loop_reads(fused: &FusedLoop, reads: &[Operand]) -> usize {
    let bytes = |(operand, load): (&Operand, &Load)| match load {
        Load::Contiguous { size } => fused.count * size,
        Load::Scalar { size } => *size,
        Load::Strided { size, dims } => {
            let distinct: usize = dims.iter().filter(|d| d.stride != 0).map(|d| d.extent).product();
            size * distinct.min(operand.count)
        }
        Load::Unblocked => operand.bytes(),
    };
    reads.iter().zip(&fused.loads).map(bytes).sum()
}

/// The saturated product: no graph is refused for its cost, which may exceed 64 bits.
fn product(factors: &[usize]) -> u64 {
    factors.iter().fold(1, |product, &factor| product.saturating_mul(factor as u64))
}

/// One operation per element for every step that computes.
fn loop_flops(fused: &FusedLoop) -> u64 {
    let computes = |name: &&&str| !matches!(**name, "convert" | "bitcast" | "iota" | "select");
    product(&[fused.count, fused.names.iter().filter(computes).count()])
}

fn conv_flops(s: &ConvShape) -> u64 {
    let channels = [s.in_channels / s.groups.max(1), s.out_channels];
    product(&[&[2, s.batch], &s.output[..], &s.kernel[..], &channels[..]].concat())
}

fn pool_flops(s: &PoolShape) -> u64 {
    product(&[&[s.batch, s.channels], &s.output[..], &s.window[..]].concat())
}
