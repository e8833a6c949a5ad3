//! A cluster of elementwise nodes as one fused loop.

use std::collections::HashMap;

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{self, ChainOp, MAX_LINKS};
use hornbeam_kernels::reduce;

use crate::error::{Error, Result};
use crate::fused::{chunk, ChainLink, Cut, Fold, Fused, Load, Loc, Space, Step};
use crate::graph::{Node, NodeId, Op, Value};
use crate::instruction::{Kind, Operand};
use crate::lower::{Lowering, View};
use crate::passes::fuse::{fold_of, space};
use crate::passes::step_cost::step_cost;
use crate::strided::{self, Dim};

/// Lanes and streams of one block should fill no more than this much of the first-level cache.
const BLOCK_BYTES: usize = 24 << 10;

/// Lanes begin at different distances from a page: loads behind stores to the same place in another page stall, and
/// streams at equal distances share a few cache sets.
const STAGGER: usize = 192;

/// Where an operand of a step comes from before locations are numbered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Source {
    /// Result of the step of this index.
    Step(usize),
    /// Read number n, where it is.
    Read(usize),
}

/// A step whose operands are not placed yet.
struct Draft<'a> {
    node: &'a Node,
    operands: Vec<Source>,
    /// Types that decide on the kernel.
    dtypes: Vec<DType>,
    out: DType,
    /// Number of the write that takes the result.
    write: Option<usize>,
    /// What became of the first operand before this node got it, each with the next operand if it has one; the node itself is
    /// the last. Empty for nodes that are a step of their own.
    links: Vec<ChainOp>,
}

impl Draft<'_> {
    /// What the node is as a link of a chain whose value is operand `position`.
    fn chain_op(&self, position: usize) -> Option<ChainOp> {
        let name = match &self.node.op {
            Op::Unary(op) => op.name(),
            Op::Binary(op) => op.name(),
            _ => return None,
        };
        let single = self.out == DType::F32 && self.dtypes.iter().all(|&t| t == DType::F32);
        single.then(|| ChainOp::of(name, position)).flatten()
    }

    /// Links so far, if more can follow.
    fn length(&self) -> Option<usize> {
        if self.write.is_some() || self.links.len() >= MAX_LINKS {
            return None;
        }
        match self.links.len() {
            0 => self.chain_op(0).map(|_| 1),
            links => Some(links),
        }
    }
}

impl Lowering<'_> {
    pub(super) fn cluster(&mut self, nodes: &[NodeId]) -> Result<()> {
        let mut tape = Tape::default();
        for &id in nodes {
            let graph = self.graph;
            let node = graph.node(id);
            if matches!(node.op, Op::Reshape) {
                // The loop runs over flat indices, so a reshape of a member is that member.
                if let Some(&step) = tape.step_of.get(&node.inputs[0].node) {
                    tape.step_of.insert(id, step);
                }
                continue;
            }
            let operands = node.inputs.iter().map(|&v| self.operand(&mut tape, node, v)).collect();
            let dtypes = node.inputs.iter().map(|&v| graph.type_of(v).dtype).collect();
            tape.step_of.insert(id, tape.drafts.len());
            let out = node.types[0].dtype;
            tape.drafts.push(Draft { node, operands, dtypes, out, write: None, links: Vec::new() });
        }
        let mut writes = self.leave(&mut tape, nodes);
        let stores = writes.len();
        for &id in nodes.iter().filter(|&&id| fold_of(&self.graph.node(id).op).is_some()) {
            let results = self.graph.node(id).types.len() as u32;
            writes.extend((0..results).map(|output| self.define(Value { node: id, output })));
        }
        // Nobody reads a result, or there are no elements.
        let count = tape.drafts.first().map_or(0, |draft| self.elements(draft.node));
        if writes.is_empty() || count == 0 {
            return Ok(());
        }
        let space = tape.drafts.iter().find_map(|draft| space(self.graph, draft.node));
        let cost = tape.drafts.iter().map(|d| step_cost(&d.node.op, d.out)).sum();
        let names = tape.drafts.iter().map(|d| step_name(&d.node.op)).collect();
        tape.chain();
        let fused = Fused { names, ..tape.build(count, stores, space, cost)? };
        self.emit(Kind::Fused(Box::new(fused)), tape.reads, writes);
        Ok(())
    }

    /// Elements of the loop that a member runs in.
    fn elements(&self, node: &Node) -> usize {
        match fold_of(&node.op) {
            Some(_) => self.graph.type_of(node.inputs[0]).count(),
            None => node.types[0].count(),
        }
    }

    /// The source of one operand: a member's result, or a read of memory.
    fn operand<'g>(&mut self, tape: &mut Tape<'g>, node: &Node, value: Value) -> Source {
        if let Some(&step) = tape.step_of.get(&value.node) {
            if !matches!(node.op, Op::RandomBits) {
                return Source::Step(step);
            }
        }
        if matches!(node.op, Op::RandomBits) {
            let key = self.contiguous(value);
            return tape.read(key, Load::Whole);
        }
        let view = self.view(value);
        let dims = view.dims();
        let size = view.dtype.size();
        let load = if strided::is_uniform(&dims) && view.count() > 1 || view.count() == 1 && self.elements(node) > 1 {
            Load::Scalar { size }
        } else if strided::is_contiguous(&dims) {
            Load::Contiguous { size }
        } else if dims.len() > 16 || scattered(&view) {
            let copy = self.contiguous(value);
            return tape.read(copy, Load::Contiguous { size });
        } else {
            Load::Strided { size, dims }
        };
        let reach = self.reach(&view);
        tape.read(reach, load)
    }

    /// Members that somebody outside reads get memory, where the first cluster that computes them does.
    fn leave(&mut self, tape: &mut Tape, nodes: &[NodeId]) -> Vec<Operand> {
        let mut wanted = vec![false; tape.drafts.len()];
        for &id in nodes.iter().filter(|&&id| fold_of(&self.graph.node(id).op).is_none()) {
            let Some(&step) = tape.step_of.get(&id) else { continue };
            wanted[step] |= self.stored[id as usize];
        }
        let mut writes = Vec::new();
        for &id in nodes {
            let step = tape.step_of.get(&id).copied();
            let op = &self.graph.node(id).op;
            let own = step.is_some() && !matches!(op, Op::Reshape) && fold_of(op).is_none();
            if let Some(step) = step.filter(|&s| own && wanted[s] && !self.is_defined(Value::first(id))) {
                tape.drafts[step].write = Some(writes.len());
                writes.push(self.define(Value::first(id)));
            }
        }
        writes
    }
}

/// Reading such a view element by element would waste most of every cache line; a tiled copy does not.
fn scattered(view: &View) -> bool {
    let dims = view.dims();
    let inner = dims.last().map_or(1, |d| d.stride);
    view.count() > 4096 && inner != 0 && inner != 1
}

#[derive(Default)]
struct Tape<'a> {
    drafts: Vec<Draft<'a>>,
    step_of: HashMap<NodeId, usize>,
    reads: Vec<Operand>,
    loads: Vec<Load>,
}

impl Tape<'_> {
    fn read(&mut self, operand: Operand, load: Load) -> Source {
        let same = |(o, l): (&Operand, &Load)| {
            o.buffer == operand.buffer
                && o.offset == operand.offset
                && *l == load
                && o.dtype.size() == operand.dtype.size()
        };
        let known = self.reads.iter().zip(&self.loads).position(same);
        Source::Read(known.unwrap_or_else(|| {
            self.reads.push(operand);
            self.loads.push(load);
            self.reads.len() - 1
        }))
    }

    /// The last step that reads each source.
    fn last_reads(&self) -> HashMap<Source, usize> {
        let mut last = HashMap::new();
        for (index, draft) in self.drafts.iter().enumerate() {
            draft.operands.iter().for_each(|&source| {
                last.insert(source, index);
            });
        }
        last
    }

    /// Makes one step of those whose result only the next one reads.
    fn chain(&mut self) {
        let mut uses = vec![0; self.drafts.len()];
        for operand in self.drafts.iter().flat_map(|draft| &draft.operands) {
            if let Source::Step(step) = operand {
                uses[*step] += 1;
            }
        }
        let mut gone = vec![false; self.drafts.len()];
        for index in 0..self.drafts.len() {
            let length = |position: &usize| match self.drafts[index].operands[*position] {
                Source::Step(step) if uses[step] == 1 => self.drafts[step].length(),
                _ => None,
            };
            let possible = (0..self.drafts[index].operands.len())
                .filter(|&position| length(&position).is_some() && self.drafts[index].chain_op(position).is_some());
            let Some(position) = possible.max_by_key(|position| length(position)) else { continue };
            let Source::Step(before) = self.drafts[index].operands[position] else { continue };
            let mut links = std::mem::take(&mut self.drafts[before].links);
            if links.is_empty() {
                links.extend(self.drafts[before].chain_op(0));
            }
            links.extend(self.drafts[index].chain_op(position));
            let mut operands = std::mem::take(&mut self.drafts[before].operands);
            let draft = &mut self.drafts[index];
            draft.operands.remove(position);
            operands.append(&mut draft.operands);
            (draft.operands, draft.links) = (operands, links);
            gone[before] = true;
        }
        // The steps that are left get new numbers.
        let numbers: Vec<usize> = gone
            .iter()
            .scan(0, |next, &gone| {
                *next += usize::from(!gone);
                Some(*next - usize::from(!gone))
            })
            .collect();
        let mut gone = gone.into_iter();
        self.drafts.retain(|_| gone.next() == Some(false));
        for operand in self.drafts.iter_mut().flat_map(|draft| &mut draft.operands) {
            if let Source::Step(step) = operand {
                *step = numbers[*step];
            }
        }
    }

    fn build(&self, count: usize, stores: usize, space: Option<Space>, cost: usize) -> Result<Fused> {
        let mut build = Build {
            tape: self,
            last: self.last_reads(),
            placed: HashMap::new(),
            lanes: Lanes::default(),
            first_write: self.loads.len(),
            first_lane: self.loads.len() + stores,
            prologue: Vec::new(),
            steps: Vec::new(),
            stores: vec![0; stores],
            folds: Vec::new(),
            late: Vec::new(),
            block: 0,
            grid: 0,
        };
        build.block = build.choose_block(count, space);
        let cut = space.map(|space| Cut::new(space, chunk(count, cost, build.block), build.block));
        build.grid = cut.map_or(build.block, |cut| cut.grid(build.block));
        for index in 0..self.drafts.len() {
            build.step(index)?;
        }
        build.steps.append(&mut build.late);
        let block = build.block;
        let mut lanes: Vec<usize> = Vec::with_capacity(build.lanes.sizes.len() + 1);
        let mut offset = STAGGER;
        for size in &build.lanes.sizes {
            lanes.push(offset);
            offset += (size * block).next_multiple_of(64) + STAGGER;
        }
        lanes.push(offset);
        Ok(Fused {
            count,
            block,
            loads: self.loads.clone(),
            stores: build.stores,
            lanes,
            folds: build.folds,
            cut,
            prologue: build.prologue,
            steps: build.steps,
            names: Vec::new(),
            cost,
        })
    }
}

/// Lanes by number, reused when their value is dead. A lane keeps the largest element size that it ever held.
#[derive(Default)]
struct Lanes {
    sizes: Vec<usize>,
    free: Vec<usize>,
}

impl Lanes {
    fn take(&mut self, size: usize) -> usize {
        let best = self.free.iter().position(|&lane| self.sizes[lane] == size);
        match best {
            Some(index) => self.free.swap_remove(index),
            None => {
                self.sizes.push(size);
                self.sizes.len() - 1
            }
        }
    }
}

struct Build<'t, 'a> {
    tape: &'t Tape<'a>,
    last: HashMap<Source, usize>,
    placed: HashMap<Source, Loc>,
    lanes: Lanes,
    first_write: usize,
    first_lane: usize,
    prologue: Vec<Step>,
    steps: Vec<Step>,
    stores: Vec<usize>,
    folds: Vec<Fold>,
    late: Vec<Step>,
    block: usize,
    /// All blocks begin at a multiple of this.
    grid: usize,
}

impl Build<'_, '_> {
    /// Elements per block: as many as keep the lanes in cache, a multiple of the longest period of a repeating view, and whole
    /// rows of what is folded.
    fn choose_block(&self, count: usize, space: Option<Space>) -> usize {
        let drafts = &self.tape.drafts;
        let widest = drafts.iter().map(|d| d.out.size()).max().unwrap_or(4);
        let streams = self.tape.loads.len() + self.stores.len() + 3;
        let fits = (BLOCK_BYTES / (widest * streams.min(24))).clamp(256, 4096) / 64 * 64;
        let periods = self.tape.loads.iter().filter_map(|load| match load {
            Load::Strided { dims, .. } => strided::period(dims),
            _ => None,
        });
        let period = periods.filter(|&p| p <= fits).max();
        // Even, because random bits come in pairs.
        let period = period.map_or(1, |p| if p % 2 == 0 { p } else { p * 2 });
        let Some(space) = space else {
            let block = if period > 1 { (fits / period).max(1) * period } else { fits };
            return block.min(count.next_multiple_of(64)).max(1);
        };
        let row = if space.inner == 1 { space.n } else { space.inner };
        let row = if row <= fits { row } else { 1 };
        let both = [row, period].into_iter().filter(|p| p.is_multiple_of(row)).max().unwrap_or(row);
        (fits / both).max(1) * both
    }

    fn lane(&mut self, size: usize) -> Loc {
        (self.first_lane + self.lanes.take(size)) as Loc
    }

    /// A lane that is filled once per task: no other value may ever use it.
    fn constant_lane(&mut self, size: usize) -> Loc {
        self.lanes.sizes.push(size);
        (self.first_lane + self.lanes.sizes.len() - 1) as Loc
    }

    /// Where an operand can be read. Scalars that no kernel takes as such, and views, are brought into lanes.
    fn place(&mut self, source: Source) -> Loc {
        if let Some(&loc) = self.placed.get(&source) {
            return loc;
        }
        let Source::Read(read) = source else { unreachable!("a step's result is placed when it is computed") };
        let loc = match &self.tape.loads[read] {
            Load::Contiguous { .. } | Load::Whole => read as Loc,
            Load::Scalar { size } => {
                let out = self.constant_lane(*size);
                self.prologue.push(Step::Fetch { read: read as u16, out });
                out
            }
            Load::Strided { size, dims } => {
                if self.repeats(dims) {
                    let out = self.constant_lane(*size);
                    self.prologue.push(Step::Fetch { read: read as u16, out });
                    out
                } else {
                    let out = self.lane(*size);
                    self.steps.push(Step::Fetch { read: read as u16, out });
                    out
                }
            }
        };
        self.placed.insert(source, loc);
        loc
    }

    /// Whether every block sees the same elements of a view.
    fn repeats(&self, dims: &[Dim]) -> bool {
        strided::period(dims).is_some_and(|period| self.grid.is_multiple_of(period))
    }

    /// Whether a lane that holds `source` may be given away after its last read.
    fn is_transient(&self, source: Source) -> bool {
        match source {
            Source::Step(step) => self.tape.drafts[step].write.is_none() || self.is_late(step),
            Source::Read(read) => match &self.tape.loads[read] {
                Load::Strided { dims, .. } => !self.repeats(dims),
                _ => false,
            },
        }
    }

    /// A result is stored at the end of the block if a contiguous read of the same width is still read after it:
    /// the planner may then let the two share memory.
    fn is_late(&self, step: usize) -> bool {
        let size = self.tape.drafts[step].out.size();
        self.tape.drafts[step].write.is_some()
            && self.tape.loads.iter().enumerate().any(|(read, load)| {
                *load == Load::Contiguous { size } && self.last.get(&Source::Read(read)).is_some_and(|&l| l > step)
            })
    }

    fn step(&mut self, index: usize) -> Result<()> {
        let draft = &self.tape.drafts[index];
        let mut scalars = [false; 3];
        let mut operands: Vec<Loc> = Vec::with_capacity(draft.operands.len());
        for (position, &source) in draft.operands.iter().enumerate() {
            let scalar = draft.links.is_empty() && takes_scalar(&draft.node.op, position) && self.is_scalar(source);
            operands.push(match source {
                Source::Read(read) if scalar => {
                    scalars[position] = true;
                    read as Loc
                }
                _ => self.place(source),
            });
        }
        if let Some(kind) = fold_of(&draft.node.op) {
            let dtype = draft.dtypes[0];
            let missing = || Error::Unsupported(format!("the native engine has no {} of {dtype}", kind.name()));
            let folder = reduce::fold_kernels(kind, dtype).ok_or_else(missing)?;
            self.steps.push(Step::Fold { fold: self.folds.len() as u16, x: operands[0] });
            self.folds.push(Fold { kind, dtype, folder });
            self.release(index);
            return Ok(());
        }
        // The result gets its place before the operands' lanes are freed, so that kernels never see them overlap.
        let size = draft.out.size();
        let out = match draft.write {
            Some(write) => {
                self.stores[write] = size;
                let memory = (self.first_write + write) as Loc;
                if self.is_late(index) {
                    let lane = self.lane(size);
                    self.late.push(Step::Copy { x: lane, out: memory, size });
                    lane
                } else {
                    memory
                }
            }
            None => self.lane(size),
        };
        self.placed.insert(Source::Step(index), out);
        self.steps.push(match draft.links.is_empty() {
            true => kernel(draft, &operands, scalars, out)?,
            false => self.chain_step(draft, &operands, out),
        });
        self.release(index);
        Ok(())
    }

    fn chain_step(&self, draft: &Draft, operands: &[Loc], out: Loc) -> Step {
        let mut others = draft.operands.iter().zip(operands).skip(1);
        let link = |&op: &ChainOp| match op.has_operand().then(|| others.next()).flatten() {
            Some((&source, &y)) => ChainLink { op, y, constant: self.is_scalar(source) },
            None => ChainLink { op, y: operands[0], constant: false },
        };
        let links = draft.links.iter().map(link).collect();
        Step::Chain { f: elementwise::chain(), x: operands[0], links, out }
    }

    fn is_scalar(&self, source: Source) -> bool {
        matches!(source, Source::Read(read) if matches!(self.tape.loads[read], Load::Scalar { .. }))
    }

    fn release(&mut self, index: usize) {
        let draft = &self.tape.drafts[index];
        let mut ending: Vec<Source> = Vec::new();
        for &source in &draft.operands {
            if self.last.get(&source) == Some(&index) && !ending.contains(&source) {
                ending.push(source);
            }
        }
        for source in ending {
            // A late store still needs its lane at the end of the block.
            let stored_later = matches!(source, Source::Step(step) if self.is_late(step));
            if !self.is_transient(source) || stored_later {
                continue;
            }
            if let Some(&loc) = self.placed.get(&source).filter(|&&l| l as usize >= self.first_lane) {
                self.lanes.free.push(loc as usize - self.first_lane);
            }
        }
    }
}

/// Whether a kernel can take the operand at `position` as one element for all.
fn takes_scalar(op: &Op, position: usize) -> bool {
    match op {
        Op::Binary(_) | Op::Compare(_) => true,
        Op::Select => position > 0,
        _ => false,
    }
}

fn kernel(draft: &Draft, x: &[Loc], scalars: [bool; 3], out: Loc) -> Result<Step> {
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

fn step_name(op: &Op) -> &'static str {
    match op {
        Op::Unary(op) => op.name(),
        Op::Binary(op) => op.name(),
        Op::Compare(op) => op.name(),
        Op::Select => "select",
        Op::Convert => "convert",
        Op::Bitcast => "bitcast",
        Op::Reduce { op, .. } => op.name(),
        Op::Moments { .. } => "moments",
        Op::Iota { .. } => "iota",
        _ => "random_bits",
    }
}
