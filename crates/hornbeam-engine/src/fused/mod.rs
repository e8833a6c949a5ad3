//! A fused elementwise loop: a tape of kernels that runs block by block over lanes that stay in cache, and may fold what it
//! computes before the block is gone.

use std::cell::RefCell;
use std::ops::Range;

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{BinaryFn, ChainFn, ChainOp, Link, TernaryFn, UnaryFn, MAX_LINKS};
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::random;
use hornbeam_kernels::reduce::{self, BlockExtent, BlockFold, FoldKernels};
use hornbeam_kernels::scratch::Scratch;

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
    /// Operations that only the next one reads, as one. `constant` operands hold the same for all elements.
    Chain {
        f: ChainFn,
        x: Loc,
        links: Box<[ChainLink]>,
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
    /// Onto the accumulators of fold number `fold`.
    Fold {
        fold: u16,
        x: Loc,
    },
}

#[derive(Clone, Copy)]
pub struct ChainLink {
    pub op: ChainOp,
    pub y: Loc,
    pub constant: bool,
}

/// A reduction of something that the loop computes or reads.
#[derive(Clone)]
pub struct Fold {
    pub kind: BlockFold,
    pub dtype: DType,
    pub folder: FoldKernels,
}

/// The iteration space of a loop with folds: the middle axis is folded away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
}

/// How such a space is cut, which depends on the loop alone. A group is what folds into one row of `inner` elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    pub space: Space,
    /// Rows of one piece of a group, and pieces of a group.
    pub height: usize,
    pub pieces: usize,
    /// Groups of one task, if each is a single piece.
    pub groups: usize,
}

impl Cut {
    /// Into tasks of about `chunk` elements and blocks of `block`.
    pub fn new(space: Space, chunk: usize, block: usize) -> Cut {
        let Space { n, inner, .. } = space;
        let group = n * inner;
        if group <= chunk {
            return Cut { space, height: n, pieces: 1, groups: (chunk / group).max(1) };
        }
        // Whole blocks; and where rows are long, enough of them that accumulators are small beside them.
        let unit = (block / inner).max(1);
        let height = (chunk / inner).max(if inner > block { 64 } else { 1 }).next_multiple_of(unit).min(n);
        Cut { space, height, pieces: n.div_ceil(height), groups: 1 }
    }

    /// Whether blocks hold several groups.
    pub fn by_row(&self, block: usize) -> bool {
        self.space.inner == 1 && self.space.n <= block
    }

    fn tasks(&self) -> usize {
        self.space.outer.div_ceil(self.groups) * self.pieces
    }

    fn slots(&self) -> usize {
        self.space.outer * self.pieces
    }

    /// Every block begins at a multiple of this.
    pub fn grid(&self, block: usize) -> usize {
        let Space { outer, n, inner } = self.space;
        let mut grid = block;
        if self.by_row(block) {
            return if outer > self.groups { gcd(grid, self.groups * n) } else { grid };
        }
        if outer > 1 {
            grid = gcd(grid, n * inner);
        }
        if self.pieces > 1 {
            grid = gcd(grid, self.height * inner);
        }
        if inner > block {
            gcd(grid, inner)
        } else {
            grid
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
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
    /// Reductions, whose results are written behind the stores.
    pub folds: Vec<Fold>,
    /// Present if there are folds.
    pub cut: Option<Cut>,
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
        chunk(self.count, self.cost, self.block)
    }

    /// Run the loop over the operands in `memory`.
    ///
    /// # Safety
    /// Every pointer is valid and aligned for its load or store over `count` elements; writes overlap nothing, but
    /// for a contiguous read of the same elements that no later step reads (the planner's in-place rule).
    pub unsafe fn run(
        &self,
        pool: &ThreadPool,
        memory: Memory,
        reads: &[Operand],
        writes: &[Operand],
        scratch: &mut Scratch,
    ) {
        let Some(cut) = &self.cut else {
            let operands = &Operands { memory, reads, writes, accumulators: Vec::new(), moved: None, announced: false };
            let chunk = self.chunk();
            let task = |task: usize| {
                let start = task * chunk;
                let end = (start + chunk).min(self.count);
                // SAFETY: tasks cover disjoint ranges; the rest is the caller's promise.
                self.with_lanes(operands, start..end, &|run| unsafe { run.blocks(start, end, self.block) });
            };
            return pool.run(self.count.div_ceil(chunk), &task);
        };
        let bytes: Vec<usize> = self.folds.iter().map(|fold| fold.scratch(cut)).collect();
        let lines = |bytes: usize| bytes.next_multiple_of(64);
        let partial = scratch.take::<u8>(bytes.iter().map(|&b| lines(b)).sum());
        let mut places: Vec<&mut [u8]> = Vec::with_capacity(bytes.len());
        let (mut rest, mut write) = (partial, self.stores.len());
        let mut accumulators: Vec<*mut u8> = Vec::with_capacity(bytes.len());
        for (fold, &bytes) in self.folds.iter().zip(&bytes) {
            let (place, behind) = rest.split_at_mut(lines(bytes));
            let place = &mut place[..bytes];
            accumulators.push(if bytes == 0 { memory.pointer(&writes[write]) } else { place.as_mut_ptr() });
            places.push(place);
            rest = behind;
            write += fold.kind.planes();
        }
        let operands = &Operands { memory, reads, writes, accumulators, moved: None, announced: false };
        pool.run(cut.tasks(), &|task| {
            let start = cut.start(task);
            // SAFETY: tasks cover disjoint groups and pieces; the rest is the caller's promise.
            self.with_lanes(operands, start..self.count, &|run| unsafe { run.pieces(cut, task) });
        });
        let mut results = &writes[self.stores.len()..];
        for (fold, place) in self.folds.iter().zip(places) {
            let (own, others) = results.split_at(fold.kind.planes());
            results = others;
            if !place.is_empty() {
                let second = own.get(1).map_or(&mut [][..], |o| memory.write_bytes(o));
                let Space { outer, n, inner } = cut.space;
                let into = [memory.write_bytes(&own[0]), second];
                reduce::combine_partials(pool, fold.kind, fold.dtype, place, [outer, n, inner], cut.height, into);
            }
        }
    }

    /// Run the elements of `range` alone, read number `moved.0` of which lie at `moved.1`. The others were asked for if `announced`.
    ///
    /// # Safety
    /// As [`Fused::run`], but that this read need not be valid in `memory`; the loop has no folds.
    pub unsafe fn part(
        &self,
        memory: Memory,
        [reads, writes]: [&[Operand]; 2],
        range: Range<usize>,
        (read, at): (usize, *const u8),
        announced: bool,
    ) {
        let Load::Contiguous { size } = self.loads[read] else { unreachable!("such a read is contiguous") };
        let moved = Some((read, at.wrapping_sub(range.start * size)));
        let operands = &Operands { memory, reads, writes, accumulators: Vec::new(), moved, announced };
        let (start, end) = (range.start, range.end);
        // SAFETY: passed on.
        self.with_lanes(operands, range, &|run| unsafe { run.blocks(start, end, self.block) });
    }

    /// Ask for what a part will read, but for read number `but`.
    pub fn announce(&self, memory: Memory, reads: &[Operand], range: Range<usize>, but: usize) {
        for (index, (load, read)) in self.loads.iter().zip(reads).enumerate() {
            if let (Load::Contiguous { size }, true) = (load, index != but) {
                prefetch(memory.pointer(read).wrapping_add(range.start * size), range.len() * size);
            }
        }
    }

    /// Set up this thread's lanes and the table of pointers for one task over a range.
    fn with_lanes(&self, operands: &Operands, range: Range<usize>, body: &dyn Fn(&mut Run)) {
        const TABLE: usize = 128;
        LANES.with(|lanes| {
            let mut lanes = lanes.borrow_mut();
            let needed = self.lanes.last().copied().unwrap_or(0);
            if lanes.len() < needed {
                *lanes = AlignedBytes::new(needed);
            }
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
                *slot = lanes.as_ptr().wrapping_add(offset);
            }
            for (index, slot) in table[..self.loads.len()].iter_mut().enumerate() {
                *slot = operands.read(index).cast_mut();
            }
            let mut run = Run { fused: self, operands, table };
            // SAFETY: the prologue reads scalars and views only, into lanes.
            unsafe {
                run.steps(
                    &self.prologue,
                    &Block { position: range.start, n: self.block.min(range.len()), ..Block::default() },
                )
            };
            body(&mut run);
        });
    }
}

impl Fold {
    /// Bytes of the accumulators, if they are not the result itself.
    fn scratch(&self, cut: &Cut) -> usize {
        if cut.pieces == 1 && matches!(self.kind, BlockFold::Reduce(_)) {
            return 0;
        }
        let accumulators = cut.slots() * self.kind.planes() * cut.space.inner;
        accumulators * self.kind.accumulator(self.dtype).size()
    }
}

/// Elements per task of a loop.
pub fn chunk(count: usize, cost: usize, block: usize) -> usize {
    if count * cost <= SMALL {
        return count.max(1);
    }
    (TASK / cost.max(1)).next_multiple_of(block)
}

/// What the steps of one block work on.
#[derive(Clone, Copy)]
struct Block {
    position: usize,
    n: usize,
    /// For folds: what part of a piece this is, and the first of its accumulators, counted in planes of `inner` and elements.
    extent: BlockExtent,
    slot: usize,
    column: usize,
}

impl Default for Block {
    fn default() -> Self {
        let extent = BlockExtent { columns: 1, rows: 0, before: 0, plane: 1 };
        Block { position: 0, n: 0, extent, slot: 0, column: 0 }
    }
}

impl Cut {
    /// The first element of a task.
    fn start(&self, task: usize) -> usize {
        let group = self.space.n * self.space.inner;
        if self.pieces == 1 {
            return task * self.groups * group;
        }
        task / self.pieces * group + task % self.pieces * self.height * self.space.inner
    }
}

/// One task of a loop.
struct Run<'a, 'm> {
    fused: &'a Fused,
    operands: &'a Operands<'m>,
    table: &'a mut [*mut u8],
}

impl Run<'_, '_> {
    /// Blocks of `block` elements over a range.
    ///
    /// # Safety
    /// As [`Fused::run`]; the range lies inside of the loop.
    unsafe fn blocks(&mut self, start: usize, end: usize, block: usize) {
        let mut position = start;
        while position < end {
            let n = block.min(end - position);
            // SAFETY: passed on.
            unsafe { self.block(&Block { position, n, ..Block::default() }) };
            position += n;
        }
    }

    /// The groups, or the piece, of a task.
    ///
    /// # Safety
    /// As [`Fused::run`].
    unsafe fn pieces(&mut self, cut: &Cut, task: usize) {
        let Space { outer, n, inner } = cut.space;
        let whole = self.fused.block;
        let group = n * inner;
        if cut.by_row(whole) {
            let (mut row, end) = (task * cut.groups, ((task + 1) * cut.groups).min(outer));
            while row < end {
                let rows = (whole / n).min(end - row);
                let extent = BlockExtent { columns: n, rows, before: 0, plane: 1 };
                // SAFETY: passed on.
                unsafe { self.block(&Block { position: row * n, n: rows * n, extent, slot: row, column: 0 }) };
                row += rows;
            }
            return;
        }
        let slots = match cut.pieces {
            1 => task * cut.groups..((task + 1) * cut.groups).min(outer),
            _ => task..task + 1,
        };
        for slot in slots {
            let (index, piece) = (slot / cut.pieces, slot % cut.pieces);
            let start = index * group + piece * cut.height * inner;
            let end = (start + cut.height * inner).min((index + 1) * group);
            let mut position = start;
            while position < end {
                let (before, column) = ((position - start) / inner, (position - start) % inner);
                let n = if inner > whole { whole.min(inner - column) } else { whole.min(end - position) };
                let columns = n.min(inner);
                let extent = BlockExtent { columns, rows: n / columns, before, plane: inner };
                // SAFETY: passed on.
                unsafe { self.block(&Block { position, n, extent, slot, column }) };
                position += n;
            }
        }
    }

    /// # Safety
    /// As [`Fused::run`]; the block lies inside of the loop.
    unsafe fn block(&mut self, block: &Block) {
        for (index, load) in self.fused.loads.iter().enumerate() {
            if let Load::Contiguous { size } = load {
                self.table[index] = self.operands.read(index).wrapping_add(block.position * size).cast_mut();
                // What goes with parts of a product was asked for when they were announced.
                if !self.operands.announced {
                    prefetch(self.table[index].wrapping_add(block.n * size), block.n * size);
                }
            }
        }
        let first_write = self.fused.loads.len();
        for (index, size) in self.fused.stores.iter().enumerate() {
            self.table[first_write + index] = self.operands.write(index).wrapping_add(block.position * size);
        }
        // SAFETY: passed on.
        unsafe { self.steps(&self.fused.steps, block) };
    }

    /// # Safety
    /// `table` points to at least `n` elements for every location that the steps use.
    unsafe fn steps(&self, steps: &[Step], block: &Block) {
        let at = |loc: &Loc| self.table[*loc as usize];
        let (position, n, operands) = (block.position, block.n, self.operands);
        for step in steps {
            // SAFETY: the caller's promise, for each kernel in turn.
            unsafe {
                match step {
                    Step::Unary { f, x, out } => f(at(x), at(out), n),
                    Step::Binary { f, x, y, out } => f(at(x), at(y), at(out), n),
                    Step::Ternary { f, x, y, z, out } => f(at(x), at(y), at(z), at(out), n),
                    Step::Chain { f, x, links, out } => {
                        let mut resolved = [Link { op: ChainOp::Neg, y: std::ptr::null(), step: 0 }; MAX_LINKS];
                        for (to, link) in resolved.iter_mut().zip(links) {
                            *to = Link { op: link.op, y: at(&link.y), step: usize::from(!link.constant) };
                        }
                        f(at(x), &resolved[..links.len()], at(out), n)
                    }
                    Step::Fetch { read, out } => {
                        let source = operands.read(*read as usize);
                        match &self.fused.loads[*read as usize] {
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
                    Step::Fold { fold, x } => {
                        let fused = &self.fused.folds[*fold as usize];
                        let BlockExtent { plane, .. } = block.extent;
                        let element = block.slot * fused.kind.planes() * plane + block.column;
                        let size = fused.kind.accumulator(fused.dtype).size();
                        let to = operands.accumulators[*fold as usize].wrapping_add(element * size);
                        let by_row = self.fused.cut.is_some_and(|cut| cut.by_row(self.fused.block));
                        let kernel = if by_row { fused.folder.rows } else { fused.folder.columns };
                        kernel(at(x), block.extent, to);
                    }
                }
            }
        }
    }
}

/// Ask for what the next block reads: the hardware follows a stream only while it is read, and here streams take turns.
#[cfg(target_arch = "x86_64")]
fn prefetch(from: *const u8, bytes: usize) {
    use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T1};
    for line in (0..bytes).step_by(64) {
        // SAFETY: a hint; an address outside of any buffer is no error.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(line).cast()) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: *const u8, _: usize) {}

struct Operands<'a> {
    memory: Memory<'a>,
    reads: &'a [Operand],
    writes: &'a [Operand],
    /// Of every fold: scratch, or the result itself.
    accumulators: Vec<*mut u8>,
    /// A read that lies elsewhere, and where its first element would be.
    moved: Option<(usize, *const u8)>,
    /// Whether the reads were asked for before.
    announced: bool,
}

impl Operands<'_> {
    fn read(&self, index: usize) -> *const u8 {
        match self.moved {
            Some((moved, at)) if moved == index => at,
            _ => self.memory.pointer(&self.reads[index]),
        }
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
