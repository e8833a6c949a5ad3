//! From a tape to a fused loop: selects kernels and blocks, and assigns slots to reads, writes and lanes.

use std::collections::HashMap;

use hornbeam_kernels::elementwise::{self, BLOCK};
use hornbeam_kernels::reduce;

use super::step_name;
use super::tape::{Source, StepDraft, Tape};
use crate::error::{Error, Result};
use crate::fused::{gcd, task_elements, Fold, FusedLoop, IterationSpace, Load, Partition, Slot, Step};
use crate::graph::Op;
use crate::passes::fuse::fold_of;
use crate::strided::{self, Dim};

/// Lanes and streams of one block should fill no more than this much of the first-level cache.
const BLOCK_BYTES: usize = 24 << 10;

/// Elements of a short block: the memory of two blocks lies in the first-level cache, and few enough lines are requested at
/// once that the kernels do not wait behind them.
const SHORT_BLOCK: usize = 256;
/// Bytes of operands from which a loop is streamed: no second-level cache holds them.
const STREAMED_BYTES: usize = 4 << 20;
/// Cost of an element from which a loop is streamed: others wait for memory however it is requested.
const STREAMED_COST: usize = 16;
/// Bytes of operands from which blocks are short in loops that are not streamed: no cache holds them.
const SHORT_BLOCK_BYTES: usize = 32 << 20;
/// Columns of a fold from which its blocks can be short: folds of rows take longer with short ones.
const SHORT_BLOCK_COLUMNS: usize = 16;

/// Elements that kernels process at once: a constant of its own, because blocks must not depend on the machine.
const KERNEL_BLOCK: usize = 64;
/// Elements up to which any block may grow to a multiple of [`KERNEL_BLOCK`].
const SMALL_BLOCK: usize = 640;

/// Rows of a block of moments, which make up for the merge.
const MOMENT_ROWS: usize = 64;

/// Lanes begin at different distances from a page: loads that follow stores to the same offset of another page stall,
/// and streams at equal distances share a few cache sets.
const STAGGER: usize = 192;

/// Build the loop of a tape over `count` elements. Its `names` are left empty.
pub fn build(
    tape: &Tape,
    count: usize,
    stores: usize,
    space: Option<IterationSpace>,
    cost: usize,
) -> Result<FusedLoop> {
    let mut builder = LoopBuilder {
        tape,
        last_read: tape.last_reads(),
        slots: HashMap::new(),
        widened: HashMap::new(),
        lanes: LaneAllocator::default(),
        first_write: tape.loads.len(),
        first_lane: tape.loads.len() + stores,
        prologue: Vec::new(),
        steps: Vec::new(),
        stores: vec![0; stores],
        folds: Vec::new(),
        deferred_stores: Vec::new(),
        alignment: 0,
        all_chained: tape.drafts.len() > 1 && tape.drafts.iter().all(|draft| !draft.chain_ops().is_empty()),
    };
    let bytes = builder.streamed_bytes(count);
    let streamed = space.is_none() && cost >= STREAMED_COST && bytes >= STREAMED_BYTES;
    let short = cost < STREAMED_COST && bytes >= SHORT_BLOCK_BYTES && builder.takes_short_blocks(space);
    let block = builder.choose_block(count, space, streamed || short);
    let partition = space.map(|space| Partition::new(space, task_elements(count, cost, block), block));
    builder.alignment = partition.map_or(block, |partition| partition.alignment(block));
    for index in 0..tape.drafts.len() {
        builder.step(index)?;
    }
    builder.store_deferred();
    let is_chain = builder.shorten_lanes();
    Ok(FusedLoop {
        count,
        block,
        loads: tape.loads.clone(),
        stores: builder.stores,
        // Operands of chains that do not advance are at least that long.
        lanes: builder.lanes.offsets(block.max(BLOCK)),
        folds: builder.folds,
        partition,
        prologue: builder.prologue,
        steps: builder.steps,
        is_chain,
        streamed: streamed && !is_chain,
        names: Vec::new(),
        cost,
    })
}

/// Lanes by number, reused when their value is dead. A lane keeps the largest element size that it ever held.
#[derive(Default)]
struct LaneAllocator {
    sizes: Vec<usize>,
    free: Vec<usize>,
}

impl LaneAllocator {
    fn allocate(&mut self, size: usize) -> usize {
        let free = self.free.iter().position(|&lane| self.sizes[lane] == size);
        match free {
            Some(index) => self.free.swap_remove(index),
            None => self.allocate_new(size),
        }
    }

    fn allocate_new(&mut self, size: usize) -> usize {
        self.sizes.push(size);
        self.sizes.len() - 1
    }

    /// Byte offsets of the lanes, and their total.
    fn offsets(&self, block: usize) -> Vec<usize> {
        let mut offsets: Vec<usize> = Vec::with_capacity(self.sizes.len() + 1);
        let mut offset = STAGGER;
        for size in &self.sizes {
            offsets.push(offset);
            offset += (size * block).next_multiple_of(64) + STAGGER;
        }
        offsets.push(offset);
        offsets
    }
}

pub(super) struct LoopBuilder<'t, 'a> {
    pub(super) tape: &'t Tape<'a>,
    last_read: HashMap<Source, usize>,
    pub(super) slots: HashMap<Source, Slot>,
    /// Lanes of accumulators that chains read, by the number of the scalar read.
    pub(super) widened: HashMap<usize, Slot>,
    lanes: LaneAllocator,
    first_write: usize,
    pub(super) first_lane: usize,
    pub(super) prologue: Vec<Step>,
    pub(super) steps: Vec<Step>,
    stores: Vec<usize>,
    folds: Vec<Fold>,
    /// Lanes, writes and element sizes of stores that run after all other steps of a block.
    pub(super) deferred_stores: Vec<(Slot, Slot, usize)>,
    /// The first element of every block is a multiple of this.
    alignment: usize,
    /// Every step can be part of a chain.
    pub(super) all_chained: bool,
}

impl LoopBuilder<'_, '_> {
    /// Choose the elements per block: as many as keep the lanes in cache, or few if it is `short`; a multiple of the longest
    /// period of a repeating view, and whole rows of a folded space.
    fn choose_block(&self, count: usize, space: Option<IterationSpace>, short: bool) -> usize {
        let drafts = &self.tape.drafts;
        let widest = drafts.iter().map(|d| d.out.size()).max().unwrap_or(4);
        let streams = self.tape.loads.len() + self.stores.len() + 3;
        let most = if short { SHORT_BLOCK } else { 4096 };
        let fits = (BLOCK_BYTES / (widest * streams.min(24))).clamp(256, most) / KERNEL_BLOCK * KERNEL_BLOCK;
        let periods = self.tape.loads.iter().filter_map(|load| match load {
            Load::Strided { dims, .. } => strided::period(dims),
            _ => None,
        });
        let period = periods.filter(|&p| p <= fits).max();
        // Even, because random bits come in pairs.
        let period = period.map_or(1, |p| if p % 2 == 0 { p } else { p * 2 });
        let Some(space) = space else {
            return whole_units(period, fits).min(count.next_multiple_of(KERNEL_BLOCK)).max(1);
        };
        // A loop that computes moments alone has no lanes to keep in cache, but merges them in f64 after each block.
        let moments_alone = drafts.iter().all(|draft| matches!(draft.node.op, Op::Moments { .. }));
        let fits = if moments_alone { fits.max(MOMENT_ROWS * space.inner) } else { fits };
        let row = if space.inner == 1 { space.n } else { space.inner };
        let row = if row <= fits { row } else { 1 };
        let unit = [row, period].into_iter().filter(|p| p.is_multiple_of(row)).max().unwrap_or(row);
        whole_units(unit, fits)
    }

    /// Bytes that a loop of several steps reads and writes; 0 if it has a single step, or an operand that is neither contiguous
    /// nor repeats within a short block.
    fn streamed_bytes(&self, count: usize) -> usize {
        let sizes = self.tape.loads.iter().map(|load| match load {
            Load::Contiguous { size } => Some(*size),
            Load::Scalar { .. } | Load::Unblocked => Some(0),
            Load::Strided { dims, .. } => strided::period(dims).filter(|&period| period <= SHORT_BLOCK).map(|_| 0),
        });
        let stored = self.tape.drafts.iter().filter(|draft| draft.write.is_some()).map(|draft| Some(draft.out.size()));
        let bytes: Option<usize> = sizes.chain(stored).sum();
        bytes.filter(|_| self.tape.drafts.len() > 1).map_or(0, |bytes| bytes * count)
    }

    /// Return whether short blocks cost the steps little: folds of rows, moments and random bits take longer.
    fn takes_short_blocks(&self, space: Option<IterationSpace>) -> bool {
        let slow = |draft: &StepDraft| matches!(draft.node.op, Op::Moments { .. } | Op::RandomBits);
        space.is_none_or(|space| space.inner >= SHORT_BLOCK_COLUMNS) && !self.tape.drafts.iter().any(slow)
    }

    fn lane(&mut self, size: usize) -> Slot {
        (self.first_lane + self.lanes.allocate(size)) as Slot
    }

    /// A lane that is filled once per task. No other value ever uses it.
    pub(super) fn constant_lane(&mut self, size: usize) -> Slot {
        (self.first_lane + self.lanes.allocate_new(size)) as Slot
    }

    /// The slot of an operand. Views, and scalars that the kernel cannot take as such, are copied to lanes.
    pub(super) fn slot_of(&mut self, source: Source) -> Slot {
        if let Some(&slot) = self.slots.get(&source) {
            return slot;
        }
        let Source::Read(read) = source else { unreachable!("a step's result gets its slot when it is computed") };
        let slot = match &self.tape.loads[read] {
            Load::Contiguous { .. } | Load::Unblocked => read as Slot,
            Load::Scalar { size } => self.fill_constant_lane(read, *size),
            Load::Strided { size, dims } if self.repeats(dims) => self.fill_constant_lane(read, *size),
            Load::Strided { size, .. } => {
                let out = self.lane(*size);
                self.steps.push(Step::FillLane { read: read as u16, out });
                out
            }
        };
        self.slots.insert(source, slot);
        slot
    }

    fn fill_constant_lane(&mut self, read: usize, size: usize) -> Slot {
        let out = self.constant_lane(size);
        self.prologue.push(Step::FillLane { read: read as u16, out });
        out
    }

    /// Return whether every block reads the same elements of a view.
    fn repeats(&self, dims: &[Dim]) -> bool {
        strided::period(dims).is_some_and(|period| self.alignment.is_multiple_of(period))
    }

    /// Return whether the lane that holds `source` can be reused after its last read.
    fn is_transient(&self, source: Source) -> bool {
        match source {
            Source::Step(step) => self.tape.drafts[step].write.is_none() || self.is_deferred(step),
            Source::Read(read) => match &self.tape.loads[read] {
                Load::Strided { dims, .. } => !self.repeats(dims),
                _ => false,
            },
        }
    }

    /// Return whether a result is stored at the end of the block: it is, if a later step reads a contiguous operand
    /// of the same width. The planner may then let the two share memory.
    fn is_deferred(&self, step: usize) -> bool {
        let size = self.tape.drafts[step].out.size();
        self.tape.drafts[step].write.is_some()
            && self.tape.loads.iter().enumerate().any(|(read, load)| {
                *load == Load::Contiguous { size } && self.last_read.get(&Source::Read(read)).is_some_and(|&l| l > step)
            })
    }

    fn step(&mut self, index: usize) -> Result<()> {
        let draft = &self.tape.drafts[index];
        let chained = self.is_chained(index);
        let mut scalars = [false; 3];
        let mut operands: Vec<Slot> = Vec::with_capacity(draft.operands.len());
        for (position, &source) in draft.operands.iter().enumerate() {
            let scalar = !chained && takes_scalar(&draft.node.op, position) && self.is_scalar(source);
            operands.push(match source {
                Source::Read(read) if scalar => {
                    scalars[position] = true;
                    read as Slot
                }
                Source::Read(read) if chained && self.is_scalar(source) => self.accumulators_of(read, draft.out),
                _ => self.slot_of(source),
            });
        }
        if let Some(kind) = fold_of(&draft.node.op) {
            let dtype = draft.dtypes[0];
            let missing = || Error::Unsupported(format!("the native engine has no {} of {dtype}", kind.name()));
            let kernels = reduce::fold_kernels(kind, dtype).ok_or_else(missing)?;
            self.steps.push(Step::Fold { fold: self.folds.len() as u16, x: operands[0] });
            self.folds.push(Fold { kind, dtype, kernels });
        } else {
            // The result gets its slot before the operands' lanes are freed, so that kernels never see them overlap.
            let out = self.result_slot(index);
            self.slots.insert(Source::Step(index), out);
            if chained {
                self.chain_step(draft, &operands, out);
            } else {
                self.steps.push(kernel_step(draft, &operands, scalars, out)?);
            }
        }
        self.release_operands(index);
        Ok(())
    }

    /// The slot of a step's result: the write itself, or a lane.
    fn result_slot(&mut self, index: usize) -> Slot {
        let draft = &self.tape.drafts[index];
        let size = draft.out.size();
        let lane_size = self.lane_size(draft.out);
        let Some(write) = draft.write else { return self.lane(lane_size) };
        self.stores[write] = size;
        let memory = (self.first_write + write) as Slot;
        if !self.is_deferred(index) {
            return memory;
        }
        let lane = self.lane(lane_size);
        self.deferred_stores.push((lane, memory, size));
        lane
    }

    pub(super) fn is_scalar(&self, source: Source) -> bool {
        matches!(source, Source::Read(read) if matches!(self.tape.loads[read], Load::Scalar { .. }))
    }

    /// Free the lanes of operands that no later step reads.
    fn release_operands(&mut self, index: usize) {
        let draft = &self.tape.drafts[index];
        let mut dead: Vec<Source> = Vec::new();
        for &source in &draft.operands {
            if self.last_read.get(&source) == Some(&index) && !dead.contains(&source) {
                dead.push(source);
            }
        }
        for source in dead {
            // A deferred store still reads its lane at the end of the block.
            let stored_later = matches!(source, Source::Step(step) if self.is_deferred(step));
            if !self.is_transient(source) || stored_later {
                continue;
            }
            if let Some(&slot) = self.slots.get(&source).filter(|&&slot| slot as usize >= self.first_lane) {
                self.lanes.free.push(slot as usize - self.first_lane);
            }
        }
    }
}

/// Return about `most` elements: a multiple of `unit` and, if that takes no more than twice as many, of a kernel's block,
/// because kernels pad what is left after their blocks.
fn whole_units(unit: usize, most: usize) -> usize {
    let padded = unit / gcd(unit, KERNEL_BLOCK) * KERNEL_BLOCK;
    let unit = if padded <= SMALL_BLOCK.max(2 * most) { padded } else { unit };
    (most / unit).max(1) * unit
}

/// Return whether a kernel can take the operand at `position` as one element for all positions.
fn takes_scalar(op: &Op, position: usize) -> bool {
    match op {
        Op::Binary(op) => op.takes_scalars(),
        Op::Compare(_) => true,
        Op::Select => position > 0,
        _ => false,
    }
}

fn kernel_step(draft: &StepDraft, x: &[Slot], scalars: [bool; 3], out: Slot) -> Result<Step> {
    let dtype = draft.dtypes.last().copied().unwrap_or(draft.out);
    let missing = || Error::Unsupported(format!("the native engine has no {} of {dtype}", step_name(&draft.node.op)));
    let pair = [scalars[0], scalars[1]];
    Ok(match &draft.node.op {
        Op::Unary(op) => Step::Unary { f: elementwise::unary(*op, dtype).ok_or_else(missing)?, x: x[0], out },
        Op::Convert => Step::Unary { f: elementwise::convert(dtype, draft.out), x: x[0], out },
        Op::Bitcast => Step::Copy { x: x[0], out, size: draft.out.size() },
        Op::Binary(op) => {
            let f = elementwise::binary_with(*op, dtype, pair).ok_or_else(missing)?;
            Step::Binary { f, x: x[0], y: x[1], out }
        }
        Op::Compare(op) => Step::Binary { f: elementwise::compare_with(*op, dtype, pair), x: x[0], y: x[1], out },
        Op::Select => {
            let f = elementwise::select_with(dtype, [scalars[1], scalars[2]]);
            Step::Ternary { f, x: x[0], y: x[1], z: x[2], out }
        }
        Op::RandomBits => Step::Random { key: x[0], out },
        Op::Iota { axis } => {
            let shape = &draft.node.types[0].shape;
            let inner = shape[axis + 1..].iter().product();
            Step::Iota { dtype: draft.out, inner, extent: shape[*axis], out }
        }
        other => unreachable!("{other:?} is not elementwise"),
    })
}
