//! Operands: parts of numbered buffers, as instructions read and write them.

use hornbeam_kernels::dtype::DType;

/// Part of a buffer, as an instruction sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operand {
    pub buffer: u32,
    /// In bytes.
    pub offset: usize,
    /// Elements: all of them for contiguous operands, the reach from `offset` to the buffer's end for strided ones.
    pub count: usize,
    pub dtype: DType,
}

impl Operand {
    pub fn bytes(&self) -> usize {
        self.count * self.dtype.size()
    }
}
