//! A fused elementwise loop: a tape of kernels that runs block by block over lanes that stay in cache, and can fold
//! (reduce) its values before the block leaves the cache.

mod partition;
mod run;

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{BinaryFn, ChainFn, ChainOp, TernaryFn, UnaryFn};
use hornbeam_kernels::reduce::{BlockFold, FoldKernels};

use crate::strided::Dim;

pub use partition::{gcd, task_elements, IterationSpace, Partition};

/// An index into the pointer table of a running loop: first the reads, then the writes, then the lanes.
pub type Slot = u16;

/// A loop's access to one of its operands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Load {
    /// Element i at position i: kernels read it in place.
    Contiguous { size: usize },
    /// One element for all positions: kernels take it as a scalar, or a lane is filled with it.
    Scalar { size: usize },
    /// Copied to a lane block by block.
    Strided { size: usize, dims: Vec<Dim> },
    /// The whole operand, at every block (the key of random bits).
    Unblocked,
}

/// One kernel call, on the elements of a block.
#[derive(Clone)]
pub enum Step {
    Unary { f: UnaryFn, x: Slot, out: Slot },
    Binary { f: BinaryFn, x: Slot, y: Slot, out: Slot },
    Ternary { f: TernaryFn, x: Slot, y: Slot, z: Slot, out: Slot },
    // Operations whose values stay in registers from one to the next, as one kernel.
    Chain { f: ChainFn, dtype: DType, links: Vec<ChainLink> },
    // Widen the scalar that lane `x` is filled with to one block of accumulators.
    Widen { f: UnaryFn, x: Slot, out: Slot },
    // Fill a lane from read number `read` (scalar or strided).
    FillLane { read: u16, out: Slot },
    Copy { x: Slot, out: Slot, size: usize },
    Iota { dtype: DType, inner: usize, extent: usize, out: Slot },
    Random { key: Slot, out: Slot },
    // Fold `x` into the accumulators of fold number `fold`.
    Fold { fold: u16, x: Slot },
}

/// One operation of a chain. An operand that is `fixed` is one block of accumulators at all positions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainLink {
    pub op: ChainOp,
    pub y: Slot,
    pub fixed: bool,
}

/// A reduction of a value that the loop computes or reads.
#[derive(Clone)]
pub struct Fold {
    pub kind: BlockFold,
    pub dtype: DType,
    pub kernels: FoldKernels,
}

impl Fold {
    /// Bytes of the partial results; 0 if the accumulators are the result itself.
    fn partial_bytes(&self, partition: &Partition) -> usize {
        if partition.pieces == 1 && matches!(self.kind, BlockFold::Reduce(_)) {
            return 0;
        }
        let accumulators = partition.partials() * self.kind.planes() * partition.space.inner;
        accumulators * self.kind.accumulator(self.dtype).size()
    }
}

/// A loop over `count` elements.
#[derive(Clone)]
pub struct FusedLoop {
    pub count: usize,
    /// Elements per block.
    pub block: usize,
    pub loads: Vec<Load>,
    /// Element size of each write.
    pub stores: Vec<usize>,
    /// Byte offset of every lane in the thread's scratch; the last entry is their total.
    pub lanes: Vec<usize>,
    /// Reductions; their results are the writes after the stores.
    pub folds: Vec<Fold>,
    /// Present if the loop has folds.
    pub partition: Option<Partition>,
    /// Run once per task, before its blocks: fills lanes whose contents do not change.
    pub prologue: Vec<Step>,
    pub steps: Vec<Step>,
    /// The loop is one chain, whose lanes hold [`hornbeam_kernels::elementwise::BLOCK`] accumulators: it runs over any range at once.
    pub is_chain: bool,
    /// Operands exceed the caches: blocks are short, and while one is computed, the next one's memory is prefetched.
    pub streamed: bool,
    /// Names of the operations, in order, for tests and profiles.
    pub names: Vec<&'static str>,
    /// Relative cost of one element, in simple operations.
    pub cost: usize,
}
