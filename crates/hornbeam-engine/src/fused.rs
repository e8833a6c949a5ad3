//! A fused elementwise loop: a tape of kernels that runs block by block over lanes that stay in cache.

use std::cell::RefCell;

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{BinaryFn, TernaryFn, UnaryFn};
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::random;

use crate::buffer::AlignedBytes;
use crate::instruction::Operand;
use crate::memory::Memory;
use crate::strided::{copy_range, Dim};

/// A place in the pointer table of a running loop: first the reads, then the writes, then the lanes.
pub type Loc = u16;

/// How a loop reads one of its operands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Load {
    /// Element i at position i: kernels read it where it is.
    Contiguous { size: usize },
    /// One element for all positions: kernels take it as a scalar, or a lane is filled with it.
    Scalar { size: usize },
    /// Copied to a lane block by block.
    Strided { size: usize, dims: Vec<Dim> },
    /// Read as a whole by the step that uses it (the key of random bits).
    Whole,
}

#[derive(Clone)]
pub enum Step {
    Unary {
        f: UnaryFn,
        x: Loc,
        out: Loc,
    },
    Binary {
        f: BinaryFn,
        x: Loc,
        y: Loc,
        out: Loc,
    },
    Ternary {
        f: TernaryFn,
        x: Loc,
        y: Loc,
        z: Loc,
        out: Loc,
    },
    /// Fill a lane from read number `read` (scalar or strided).
    Fetch {
        read: u16,
        out: Loc,
    },
    Copy {
        x: Loc,
        out: Loc,
        size: usize,
    },
    Iota {
        dtype: DType,
        inner: usize,
        extent: usize,
        out: Loc,
    },
    Random {
        key: Loc,
        out: Loc,
    },
}

#[derive(Clone)]
pub struct Fused {
    pub count: usize,
    /// Elements per block.
    pub block: usize,
    pub loads: Vec<Load>,
    /// Element size of each write.
    pub stores: Vec<usize>,
    /// Byte offset of every lane in the thread's scratch; the last entry is their total.
    pub lanes: Vec<usize>,
    /// Run once per task, before its blocks: lanes whose contents do not change.
    pub prologue: Vec<Step>,
    pub steps: Vec<Step>,
    /// The same as text, in order, for tests and profiles.
    pub names: Vec<&'static str>,
    /// Relative cost of one element, in simple operations.
    pub cost: usize,
}

/// Work of one task, in simple operations on single elements: some tens of microseconds.
const TASK: usize = 1 << 18;
/// Loops smaller than this run on the caller's thread.
const SMALL: usize = 1 << 17;

thread_local! {
    static LANES: RefCell<AlignedBytes> = RefCell::new(AlignedBytes::new(1 << 16));
}

impl Fused {
    /// Elements per task: a multiple of the block, fixed by the problem alone.
    fn chunk(&self) -> usize {
        if self.count * self.cost <= SMALL {
            return self.count.max(1);
        }
        (TASK / self.cost.max(1)).next_multiple_of(self.block)
    }

    /// Run the loop over the operands in `memory`.
    ///
    /// # Safety
    /// Every pointer is valid and aligned for its load or store over `count` elements; writes overlap nothing, but
    /// for a contiguous read of the same elements that no later step reads (the planner's in-place rule).
    pub unsafe fn run(&self, pool: &ThreadPool, memory: Memory, reads: &[Operand], writes: &[Operand]) {
        let chunk = self.chunk();
        let operands = Operands { memory, reads, writes };
        let operands = &operands;
        pool.run(self.count.div_ceil(chunk), &move |task| {
            let start = task * chunk;
            let end = (start + chunk).min(self.count);
            LANES.with(|lanes| {
                let mut lanes = lanes.borrow_mut();
                let needed = self.lanes.last().copied().unwrap_or(0);
                if lanes.len() < needed {
                    *lanes = AlignedBytes::new(needed);
                }
                // SAFETY: tasks cover disjoint ranges; the rest is the caller's promise.
                unsafe { self.run_range(operands, lanes.as_ptr(), start, end) };
            });
        });
    }

    /// # Safety
    /// As [`Fused::run`], and `lanes` has room for all lanes.
    unsafe fn run_range(&self, operands: &Operands, lanes: *mut u8, start: usize, end: usize) {
        const TABLE: usize = 128;
        let mut fixed = [std::ptr::null_mut::<u8>(); TABLE];
        let mut heap;
        let total = self.loads.len() + self.stores.len() + self.lanes.len();
        let table: &mut [*mut u8] = if total <= TABLE {
            &mut fixed[..total]
        } else {
            heap = vec![std::ptr::null_mut(); total];
            &mut heap
        };
        let first_lane = self.loads.len() + self.stores.len();
        for (slot, &offset) in table[first_lane..].iter_mut().zip(&self.lanes) {
            // SAFETY: offsets lie inside the lanes' memory.
            *slot = unsafe { lanes.add(offset) };
        }
        for (index, slot) in table[..self.loads.len()].iter_mut().enumerate() {
            *slot = operands.read(index).cast_mut();
        }
        // SAFETY: passed on; the prologue reads scalars and views only.
        unsafe { self.run_steps(&self.prologue, table, operands, start, self.block) };
        let mut position = start;
        while position < end {
            let n = self.block.min(end - position);
            for (index, load) in self.loads.iter().enumerate() {
                if let Load::Contiguous { size } = load {
                    // SAFETY: `position < count`.
                    table[index] = unsafe { operands.read(index).add(position * size).cast_mut() };
                }
            }
            for (index, size) in self.stores.iter().enumerate() {
                // SAFETY: as above.
                table[self.loads.len() + index] = unsafe { operands.write(index).add(position * size) };
            }
            // SAFETY: passed on.
            unsafe { self.run_steps(&self.steps, table, operands, position, n) };
            position += n;
        }
    }

    /// # Safety
    /// `table` points to at least `n` elements for every location that the steps use.
    unsafe fn run_steps(&self, steps: &[Step], table: &[*mut u8], operands: &Operands, position: usize, n: usize) {
        let at = |loc: &Loc| table[*loc as usize];
        for step in steps {
            // SAFETY: the caller's promise, for each kernel in turn.
            unsafe {
                match step {
                    Step::Unary { f, x, out } => f(at(x), at(out), n),
                    Step::Binary { f, x, y, out } => f(at(x), at(y), at(out), n),
                    Step::Ternary { f, x, y, z, out } => f(at(x), at(y), at(z), at(out), n),
                    Step::Fetch { read, out } => {
                        let source = operands.read(*read as usize);
                        match &self.loads[*read as usize] {
                            Load::Scalar { size } => fill(source, *size, at(out), n),
                            Load::Strided { size, dims } => copy_range(source, dims, *size, position, n, at(out)),
                            Load::Contiguous { .. } | Load::Whole => {}
                        }
                    }
                    Step::Copy { x, out, size } => std::ptr::copy_nonoverlapping(at(x), at(out), n * size),
                    Step::Iota { dtype, inner, extent, out } => iota(*dtype, *inner, *extent, position, n, at(out)),
                    Step::Random { key, out } => {
                        let key: [u32; 2] = std::ptr::read_unaligned(at(key).cast());
                        let out = std::slice::from_raw_parts_mut(at(out).cast::<u32>(), n);
                        random::fill_bits(key, position as u64, out);
                    }
                }
            }
        }
    }
}

struct Operands<'a> {
    memory: Memory<'a>,
    reads: &'a [Operand],
    writes: &'a [Operand],
}

impl Operands<'_> {
    fn read(&self, index: usize) -> *const u8 {
        self.memory.pointer(&self.reads[index])
    }

    fn write(&self, index: usize) -> *mut u8 {
        self.memory.pointer(&self.writes[index])
    }
}

// SAFETY: tasks write disjoint ranges; see `Fused::run`.
unsafe impl Sync for Operands<'_> {}

/// # Safety
/// `source` holds one element and `out` has room for `n`, both of `size` bytes.
unsafe fn fill(source: *const u8, size: usize, out: *mut u8, n: usize) {
    // SAFETY: a view of one axis with stride 0.
    unsafe { copy_range(source, &[Dim { extent: n.max(1), stride: 0 }], size, 0, n, out) };
}

/// # Safety
/// `out` has room for `n` elements of `dtype`.
unsafe fn iota(dtype: DType, inner: usize, extent: usize, position: usize, n: usize, out: *mut u8) {
    use hornbeam_kernels::dispatch;
    use hornbeam_kernels::dtype::Element;
    dispatch!(dtype, T => {
        // SAFETY: the caller's promise.
        let out = unsafe { std::slice::from_raw_parts_mut(out.cast::<T>(), n) };
        let (mut along, mut within) = (position / inner % extent, position % inner);
        let mut value = T::from_f64(along as f64);
        for slot in out {
            *slot = value;
            within += 1;
            if within == inner {
                within = 0;
                along = if along + 1 == extent { 0 } else { along + 1 };
                value = T::from_f64(along as f64);
            }
        }
    });
}
