//! Weights of a bound executable in the form that kernels want, computed once for many runs.

use hornbeam_kernels::conv::{self, ConvShape};
use hornbeam_kernels::dtype::{bf16, DType, Element};
use hornbeam_kernels::gemm;
use hornbeam_kernels::pool::ThreadPool;

use crate::buffer::Buffer;
use crate::instruction::{Instruction, Kind, Location, Program};
use crate::types::TensorType;

/// The weights of one instruction, or a fact about them.
pub enum CachedWeight {
    /// The kernel of a convolution, transformed for its algorithm.
    TransformedKernel(Buffer),
    /// The second operand of a matrix product of few rows, packed.
    PackedMatrix(Buffer),
    /// The kernel of a convolution or a product of `int8`, packed.
    PackedInt8(Buffer),
    /// All weights of a matrix product are finite.
    Finite,
}

/// The cached weights of a program, by the number of the instruction.
#[derive(Default)]
pub struct WeightCache(Vec<Option<CachedWeight>>);

impl WeightCache {
    /// Compute the cache for a program whose first inputs are `weights`.
    pub fn new(program: &Program, weights: &[Buffer]) -> WeightCache {
        let mut cached = Vec::new();
        for instruction in &program.instructions {
            if let Some(weight) = cached_weight(program, instruction, weights) {
                cached.resize_with(instruction.number as usize, || None);
                cached.push(Some(weight));
            }
        }
        WeightCache(cached)
    }

    pub fn get(&self, instruction: &Instruction) -> Option<&CachedWeight> {
        self.0.get(instruction.number as usize)?.as_ref()
    }
}

/// Compute the cached form of the second operand of a contraction, if that is one of the weights.
fn cached_weight(program: &Program, instruction: &Instruction, weights: &[Buffer]) -> Option<CachedWeight> {
    let operand = instruction.reads.get(1)?;
    let Location::Input(input) = program.buffers[operand.buffer as usize].location else { return None };
    let weights = weights.get(input as usize).filter(|weights| weights.tensor.dtype == operand.dtype)?;
    match &instruction.kind {
        Kind::Conv { shape, .. } | Kind::ConvPool { shape, .. } if operand.count == weights.tensor.count() => {
            let pooled = matches!(instruction.kind, Kind::ConvPool { .. });
            let count = conv::prepared_len(shape, pooled, operand.dtype)?;
            let kernel = new_buffer(count, |transformed| match operand.dtype {
                DType::BF16 => conv::prepare(ThreadPool::global(), shape, elements::<bf16>(weights), transformed),
                _ => conv::prepare(ThreadPool::global(), shape, elements::<f32>(weights), transformed),
            });
            Some(CachedWeight::TransformedKernel(kernel?))
        }
        Kind::QuantizedConv { shape, .. } if operand.count == weights.tensor.count() => packed_int8(shape, weights),
        Kind::QuantizedDot(g) if operand.count == weights.tensor.count() => packed_int8(&g.as_pixels()?, weights),
        Kind::Dot { gemm: g, .. } if operand.dtype == DType::F32 && g.batch == 1 && g.m == 1 => {
            elements::<f32>(weights).iter().all(|value| value.is_finite()).then_some(CachedWeight::Finite)
        }
        Kind::Dot { gemm: g, .. } if operand.dtype == DType::F32 && g.batch == 1 => {
            let count = gemm::packed_len(g.m, g.n, g.k)?;
            let b = &elements::<f32>(weights)[operand.offset / size_of::<f32>()..][..operand.count];
            new_buffer(count, |packed| gemm::pack(ThreadPool::global(), g.n, g.k, b, g.b.into(), packed))
                .map(CachedWeight::PackedMatrix)
        }
        _ => None,
    }
}

fn packed_int8(shape: &ConvShape, weights: &Buffer) -> Option<CachedWeight> {
    let count = conv::packed_int8_len(shape)?;
    new_buffer(count, |packed| conv::pack_int8(ThreadPool::global(), shape, elements(weights), packed))
        .map(CachedWeight::PackedInt8)
}

/// Return a new buffer of `count` numbers, which `fill` writes, or `None` if there is no memory for it.
fn new_buffer<T: Element>(count: usize, fill: impl FnOnce(&mut [T])) -> Option<Buffer> {
    let mut buffer = Buffer::new(TensorType::new(T::DTYPE, vec![count])).ok()?;
    let pointer = buffer.unique_ptr()?.cast::<T>();
    // SAFETY: the buffer is new and holds `count` of them.
    fill(unsafe { std::slice::from_raw_parts_mut(pointer, count) });
    Some(buffer)
}

/// Return the elements of a buffer of `T`.
pub fn elements<T: Element>(buffer: &Buffer) -> &[T] {
    assert_eq!(buffer.tensor.dtype, T::DTYPE, "a buffer of another dtype");
    // SAFETY: the buffer holds this many elements of the dtype.
    unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast(), buffer.tensor.count()) }
}
