//! Runs fused loops.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

use hornbeam_kernels::elementwise::{Link, BLOCK, MAX_LINKS};
use hornbeam_kernels::movement;
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::random;
use hornbeam_kernels::reduce::{self, BlockExtent};
use hornbeam_kernels::scratch::Scratch;

use crate::buffer::AlignedBytes;
use crate::fused::{task_elements, FusedLoop, IterationSpace, Load, Partition, Step};
use crate::memory::Memory;
use crate::operand::Operand;
use crate::strided::{copy_range, Dim};

/// Accumulators of different folds share no cache line.
const CACHE_LINE: usize = 64;

thread_local! {
    static LANES: RefCell<AlignedBytes> = RefCell::new(AlignedBytes::new(1 << 16));
}

impl FusedLoop {
    /// Run the loop over the operands in `memory`.
    ///
    /// # Safety
    /// Every pointer is valid and aligned for its load or store over `count` elements; writes overlap nothing, apart
    /// from a contiguous read of the same elements that no later step reads (the planner's in-place rule).
    pub unsafe fn run(
        &self,
        pool: &ThreadPool,
        memory: Memory,
        reads: &[Operand],
        writes: &[Operand],
        scratch: &mut Scratch,
    ) {
        let operands = Operands { memory, reads, writes, accumulators: Vec::new(), relocated: None, prefetched: false };
        match &self.partition {
            // SAFETY: guaranteed by the caller.
            Some(partition) => unsafe { self.run_folds(partition, pool, operands, scratch) },
            None => {
                let per_task = task_elements(self.count, self.cost, self.block);
                pool.run(self.count.div_ceil(per_task), &|task| {
                    let start = task * per_task;
                    let end = (start + per_task).min(self.count);
                    // SAFETY: tasks cover disjoint ranges; the rest is guaranteed by the caller.
                    self.with_lanes(&operands, start..end, &|run| unsafe { run.blocks(start, end, self.block) });
                });
            }
        }
    }

    /// # Safety
    /// As [`FusedLoop::run`].
    unsafe fn run_folds(
        &self,
        partition: &Partition,
        pool: &ThreadPool,
        mut operands: Operands,
        scratch: &mut Scratch,
    ) {
        let (memory, writes) = (operands.memory, operands.writes);
        let bytes: Vec<usize> = self.folds.iter().map(|fold| fold.partial_bytes(partition)).collect();
        let total = bytes.iter().map(|bytes| bytes.next_multiple_of(CACHE_LINE)).sum();
        let (mut rest, mut write) = (scratch.take::<u8>(total), self.stores.len());
        let mut partials: Vec<&mut [u8]> = Vec::with_capacity(bytes.len());
        for (fold, &bytes) in self.folds.iter().zip(&bytes) {
            let (first, others) = rest.split_at_mut(bytes.next_multiple_of(CACHE_LINE));
            let partial = &mut first[..bytes];
            let result = memory.pointer(&writes[write]);
            operands.accumulators.push(if bytes == 0 { result } else { partial.as_mut_ptr() });
            partials.push(partial);
            rest = others;
            write += fold.kind.planes();
        }
        pool.run(partition.tasks(), &|task| {
            let range = partition.start(task)..self.count;
            // SAFETY: tasks cover disjoint groups and pieces; the rest is guaranteed by the caller.
            self.with_lanes(&operands, range, &|run| unsafe { run.pieces(partition, task) });
        });
        let mut results = &writes[self.stores.len()..];
        for (fold, partial) in self.folds.iter().zip(partials) {
            let (planes, others) = results.split_at(fold.kind.planes());
            results = others;
            if !partial.is_empty() {
                let second = planes.get(1).map_or(&mut [][..], |plane| memory.write_bytes(plane));
                let into = [memory.write_bytes(&planes[0]), second];
                let IterationSpace { outer, n, inner } = partition.space;
                let (kind, dtype, height) = (fold.kind, fold.dtype, partition.height);
                reduce::combine_partials(pool, kind, dtype, partial, [outer, n, inner], height, into);
            }
        }
    }

    /// Run only the elements of `range`, with read number `read` at `data`. `prefetched`: the other reads of the range
    /// were prefetched.
    ///
    /// # Safety
    /// As [`FusedLoop::run`], but read number `read` need not be valid in `memory`; the loop has no folds.
    pub unsafe fn run_range(
        &self,
        memory: Memory,
        [reads, writes]: [&[Operand]; 2],
        range: Range<usize>,
        (read, data): (usize, *const u8),
        prefetched: bool,
    ) {
        let Load::Contiguous { size } = self.loads[read] else { unreachable!("a relocated read is contiguous") };
        let relocated = Some((read, data.wrapping_sub(range.start * size)));
        let operands = Operands { memory, reads, writes, accumulators: Vec::new(), relocated, prefetched };
        let (start, end) = (range.start, range.end);
        // SAFETY: guaranteed by the caller.
        self.with_lanes(&operands, range, &|run| unsafe { run.blocks(start, end, self.block) });
    }

    /// Prefetch the reads of a range, except for read number `except`, and the memory of its writes, unless that is read.
    pub fn prefetch(&self, memory: Memory, [reads, writes]: [&[Operand]; 2], range: Range<usize>, except: usize) {
        for (size, write) in self.stores.iter().zip(writes) {
            let to = memory.pointer(write);
            if reads.iter().all(|read| memory.pointer(read) != to) {
                prefetch::<WRITE>(to.wrapping_add(range.start * size), range.len() * size);
            }
        }
        for (index, (load, read)) in self.loads.iter().zip(reads).enumerate() {
            if let (Load::Contiguous { size }, true) = (load, index != except) {
                prefetch::<READ_FAR>(memory.pointer(read).wrapping_add(range.start * size), range.len() * size);
            }
        }
    }

    /// Set up this thread's lanes and the table of pointers for one task over a range.
    fn with_lanes(&self, operands: &Operands, range: Range<usize>, body: &dyn Fn(&mut Run)) {
        const INLINE_SLOTS: usize = 128;
        LANES.with(|lanes| {
            let mut lanes = lanes.borrow_mut();
            let needed = self.lanes.last().copied().unwrap_or(0);
            if lanes.len() < needed {
                *lanes = AlignedBytes::new(needed);
            }
            let mut inline = [std::ptr::null_mut::<u8>(); INLINE_SLOTS];
            let mut heap;
            let total = self.loads.len() + self.stores.len() + self.lanes.len();
            let table: &mut [*mut u8] = if total <= INLINE_SLOTS {
                &mut inline[..total]
            } else {
                heap = vec![std::ptr::null_mut(); total];
                &mut heap
            };
            let first_lane = self.loads.len() + self.stores.len();
            for (pointer, &offset) in table[first_lane..].iter_mut().zip(&self.lanes) {
                *pointer = lanes.as_ptr().wrapping_add(offset);
            }
            for (index, pointer) in table[..self.loads.len()].iter_mut().enumerate() {
                *pointer = operands.read(index).cast_mut();
            }
            let mut run = Run { fused: self, operands, table };
            let n = if self.is_chain { BLOCK } else { self.block };
            let first = Block { position: range.start, n: n.min(range.len()), ..Block::default() };
            // SAFETY: the prologue reads scalars and views only, and writes lanes.
            unsafe { run.steps(&self.prologue, &first) };
            body(&mut run);
        });
    }
}

/// The elements that one call of the steps works on.
#[derive(Clone, Copy)]
struct Block {
    position: usize,
    n: usize,
    /// For folds: the part of the piece that this block is.
    extent: BlockExtent,
    /// For folds: the partial result, and the first of its columns.
    partial: usize,
    column: usize,
}

impl Default for Block {
    fn default() -> Self {
        let extent = BlockExtent { columns: 1, rows: 0, before: 0, plane: 1 };
        Block { position: 0, n: 0, extent, partial: 0, column: 0 }
    }
}

/// One task of a loop.
struct Run<'a, 'm> {
    fused: &'a FusedLoop,
    operands: &'a Operands<'m>,
    table: &'a mut [*mut u8],
}

impl Run<'_, '_> {
    /// Run blocks of `block` elements over a range.
    ///
    /// # Safety
    /// As [`FusedLoop::run`]; the range lies inside the loop.
    unsafe fn blocks(&mut self, start: usize, end: usize, block: usize) {
        let block = if self.fused.is_chain { end - start } else { block };
        let mut position = start;
        while position < end {
            let n = block.min(end - position);
            // SAFETY: guaranteed by the caller.
            unsafe { self.block(&Block { position, n, ..Block::default() }) };
            position += n;
        }
    }

    /// Run the groups, or the piece, of a task.
    ///
    /// # Safety
    /// As [`FusedLoop::run`].
    unsafe fn pieces(&mut self, partition: &Partition, task: usize) {
        let IterationSpace { outer, n, inner } = partition.space;
        let block = self.fused.block;
        let group = n * inner;
        if partition.folds_rows(block) {
            let (mut row, end) = (task * partition.groups, ((task + 1) * partition.groups).min(outer));
            while row < end {
                let rows = (block / n).min(end - row);
                let extent = BlockExtent { columns: n, rows, before: 0, plane: 1 };
                // SAFETY: guaranteed by the caller.
                unsafe { self.block(&Block { position: row * n, n: rows * n, extent, partial: row, column: 0 }) };
                row += rows;
            }
            return;
        }
        let partials = match partition.pieces {
            1 => task * partition.groups..((task + 1) * partition.groups).min(outer),
            _ => task..task + 1,
        };
        for partial in partials {
            let (index, piece) = (partial / partition.pieces, partial % partition.pieces);
            let start = index * group + piece * partition.height * inner;
            let end = (start + partition.height * inner).min((index + 1) * group);
            let mut position = start;
            while position < end {
                let (before, column) = ((position - start) / inner, (position - start) % inner);
                let n = if inner > block { block.min(inner - column) } else { block.min(end - position) };
                let columns = n.min(inner);
                let extent = BlockExtent { columns, rows: n / columns, before, plane: inner };
                // SAFETY: guaranteed by the caller.
                unsafe { self.block(&Block { position, n, extent, partial, column }) };
                position += n;
            }
        }
    }

    /// # Safety
    /// As [`FusedLoop::run`]; the block lies inside the loop.
    unsafe fn block(&mut self, block: &Block) {
        // The hardware follows the streams of a single kernel by itself.
        let streams_take_turns = self.fused.steps.len() > 1 && !self.fused.streamed;
        for (index, load) in self.fused.loads.iter().enumerate() {
            if let Load::Contiguous { size } = load {
                self.table[index] = self.operands.read(index).wrapping_add(block.position * size).cast_mut();
                if !self.operands.prefetched && streams_take_turns {
                    prefetch::<READ_FAR>(self.table[index].wrapping_add(block.n * size), block.n * size);
                }
            }
        }
        let first_write = self.fused.loads.len();
        for (index, size) in self.fused.stores.iter().enumerate() {
            self.table[first_write + index] = self.operands.write(index).wrapping_add(block.position * size);
        }
        if self.fused.streamed && !self.operands.prefetched {
            let streams = first_write + self.fused.stores.len();
            let steps = self.fused.steps.len();
            for (index, step) in self.fused.steps.iter().enumerate() {
                let share = |index: usize| (index * streams).div_ceil(steps);
                (share(index)..share(index + 1)).for_each(|stream| self.prefetch_stream(stream, block.n));
                // SAFETY: guaranteed by the caller.
                unsafe { self.steps(std::slice::from_ref(step), block) };
            }
            return;
        }
        // SAFETY: guaranteed by the caller.
        unsafe { self.steps(&self.fused.steps, block) };
    }

    /// Prefetch what the next block, of `n` elements, reads from one load or writes to one store.
    fn prefetch_stream(&self, stream: usize, n: usize) {
        let next = |size: usize| (self.table[stream].wrapping_add(n * size).cast_const(), n * size);
        match (self.fused.loads.get(stream), stream.checked_sub(self.fused.loads.len())) {
            (Some(Load::Contiguous { size }), _) => {
                let (from, bytes) = next(*size);
                prefetch::<READ_NEAR>(from, bytes);
            }
            (None, Some(store)) => {
                let (to, bytes) = next(self.fused.stores[store]);
                prefetch::<WRITE>(to, bytes);
            }
            _ => {}
        }
    }

    /// # Safety
    /// `table` points to at least `n` elements for every slot that the steps use.
    unsafe fn steps(&self, steps: &[Step], block: &Block) {
        let at = |slot: &u16| self.table[*slot as usize];
        let (position, n, operands) = (block.position, block.n, self.operands);
        for step in steps {
            // SAFETY: guaranteed by the caller, for each kernel in turn.
            unsafe {
                match step {
                    Step::Unary { f, x, out } => f(at(x), at(out), n),
                    Step::Binary { f, x, y, out } => f(at(x), at(y), at(out), n),
                    Step::Ternary { f, x, y, z, out } => f(at(x), at(y), at(z), at(out), n),
                    Step::Chain { f, links, .. } => {
                        let mut resolved = [const { MaybeUninit::<Link>::uninit() }; MAX_LINKS];
                        for (to, link) in resolved.iter_mut().zip(links) {
                            to.write(Link { op: link.op, y: at(&link.y), advances: !link.fixed });
                        }
                        // The first links have been written.
                        f(std::slice::from_raw_parts(resolved.as_ptr().cast(), links.len()), n)
                    }
                    Step::Widen { f, x, out } => f(at(x), at(out), BLOCK),
                    Step::FillLane { read, out } => {
                        let source = operands.read(*read as usize);
                        match &self.fused.loads[*read as usize] {
                            Load::Scalar { size } => fill(source, *size, at(out), n.max(BLOCK)),
                            Load::Strided { size, dims } => copy_range(source, dims, *size, position, n, at(out)),
                            Load::Contiguous { .. } | Load::Unblocked => {}
                        }
                    }
                    Step::Copy { x, out, size } => std::ptr::copy_nonoverlapping(at(x), at(out), n * size),
                    Step::Iota { dtype, inner, extent, out } => {
                        movement::iota_range(*dtype, *inner, *extent, position, n, at(out))
                    }
                    Step::Random { key, out } => {
                        let key: [u32; 2] = std::ptr::read_unaligned(at(key).cast());
                        let out = std::slice::from_raw_parts_mut(at(out).cast::<u32>(), n);
                        random::fill_bits(key, position as u64, out);
                    }
                    Step::Fold { fold, x } => self.fold(*fold as usize, at(x), block),
                }
            }
        }
    }

    /// # Safety
    /// `x` points to the elements of the block, and the accumulators of the fold cover its columns.
    unsafe fn fold(&self, number: usize, x: *const u8, block: &Block) {
        let fold = &self.fused.folds[number];
        let element = block.partial * fold.kind.planes() * block.extent.plane + block.column;
        let size = fold.kind.accumulator(fold.dtype).size();
        let accumulators = self.operands.accumulators[number].wrapping_add(element * size);
        let rows = self.fused.partition.is_some_and(|partition| partition.folds_rows(self.fused.block));
        let kernel = if rows { fold.kernels.rows } else { fold.kernels.columns };
        // SAFETY: guaranteed by the caller.
        unsafe { kernel(x, block.extent, accumulators) };
    }
}

/// Kinds of [`prefetch`]: to the L2 cache, to the L1 cache, and to the L1 cache for writing.
const READ_FAR: u8 = 0;
const READ_NEAR: u8 = 1;
const WRITE: u8 = 2;

/// Prefetch memory that the next block uses: the hardware follows a stream only while it is used, and here streams take
/// turns.
fn prefetch<const KIND: u8>(from: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(CACHE_LINE) {
        let at = from.wrapping_add(line);
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_mm_prefetch, _MM_HINT_ET0, _MM_HINT_T0, _MM_HINT_T1};
            // SAFETY: a hint; an address outside of any buffer is no error.
            unsafe {
                match KIND {
                    READ_FAR => _mm_prefetch::<_MM_HINT_T1>(at.cast()),
                    READ_NEAR => _mm_prefetch::<_MM_HINT_T0>(at.cast()),
                    _ => _mm_prefetch::<_MM_HINT_ET0>(at.cast()),
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
}

struct Operands<'a> {
    memory: Memory<'a>,
    reads: &'a [Operand],
    writes: &'a [Operand],
    /// Per fold: its partial results, or the result itself.
    accumulators: Vec<*mut u8>,
    /// A read whose data lie outside of `memory`, and the address that its first element would have.
    relocated: Option<(usize, *const u8)>,
    /// The reads were prefetched by the producer.
    prefetched: bool,
}

impl Operands<'_> {
    fn read(&self, index: usize) -> *const u8 {
        match self.relocated {
            Some((relocated, data)) if relocated == index => data,
            _ => self.memory.pointer(&self.reads[index]),
        }
    }

    fn write(&self, index: usize) -> *mut u8 {
        self.memory.pointer(&self.writes[index])
    }
}

// SAFETY: tasks write disjoint ranges; see `FusedLoop::run`.
unsafe impl Sync for Operands<'_> {}

/// # Safety
/// `source` holds one element and `out` has room for `n`, all of `size` bytes.
unsafe fn fill(source: *const u8, size: usize, out: *mut u8, n: usize) {
    // SAFETY: a view of one axis with stride 0.
    unsafe { copy_range(source, &[Dim { extent: n.max(1), stride: 0 }], size, 0, n, out) };
}
