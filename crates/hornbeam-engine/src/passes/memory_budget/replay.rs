//! Runs a program symbolically within a given amount of memory.
//!
//! When an instruction finds too little memory, values are dropped that are cheap to compute again, large, and not
//! needed soon. A dropped value is computed again, by a copy of the instruction that wrote it, just before its next
//! reader, together with those of its operands that are gone too. The choice of what to drop is the heuristic of
//! Kirisame et al., "Dynamic tensor rematerialization" (2021), with the known time of the next use in place of the
//! time since the last one: a value's cost includes that of its dropped neighbors, so that dropped values do not form
//! long chains.

use crate::instruction::{Location, Program};
use crate::memory_plan::in_place_pairs;
use crate::operand::Operand;

use super::dropped::Dropped;
use super::values::{Facts, Value};

/// The most operations of a replay, in those of the program.
const MAX_OPERATIONS: f64 = 4.0;
/// The most values without further readers that a dropped value may depend on.
const MAX_CHAIN: usize = 64;
/// Among more values than this, several are dropped at once.
const MANY_VALUES: usize = 1000;

/// One run of an instruction, on buffers of the new program.
pub struct Run {
    pub instruction: usize,
    pub reads: Vec<Operand>,
    pub writes: Vec<Operand>,
}

/// The runs that compute the program's outputs within a given amount of memory.
pub struct Schedule {
    pub runs: Vec<Run>,
    /// The buffer of the program whose size each buffer of the new program has.
    pub origins: Vec<u32>,
    /// The most bytes in memory at once.
    pub peak: usize,
}

/// The instruction that found too little memory, and the values in memory then.
pub struct Shortage {
    pub instruction: usize,
    pub live: Vec<u32>,
}

struct State {
    /// The buffer of the new program that holds the value now.
    version: Option<u32>,
    /// Its index among the values in memory.
    position: usize,
    /// Instructions that still need the value, the next one last.
    uses: Vec<u32>,
    /// Number of unfinished instructions that read it.
    locks: u32,
}

/// A replay in progress.
pub struct Replay<'a> {
    program: &'a Program,
    facts: &'a Facts,
    limit: usize,
    live: usize,
    states: Vec<State>,
    /// The values in memory.
    resident: Vec<u32>,
    dropped: Dropped,
    schedule: Schedule,
    /// The instruction of the program that comes next.
    now: usize,
    operations: f64,
}

impl<'a> Replay<'a> {
    /// Replay `program` in `limit` bytes of arena.
    pub fn run(program: &'a Program, facts: &'a Facts, limit: usize) -> Result<Schedule, Shortage> {
        let state = |value: &Value| State {
            version: None,
            position: 0,
            uses: value.readers.iter().rev().copied().collect(),
            locks: 0,
        };
        let count = program.buffers.len();
        let runs = Vec::with_capacity(program.instructions.len());
        let mut replay = Replay {
            program,
            facts,
            limit,
            live: 0,
            states: facts.values.iter().map(state).collect(),
            resident: Vec::new(),
            dropped: Dropped::new(count),
            schedule: Schedule { runs, origins: (0..count as u32).collect(), peak: 0 },
            now: 0,
            operations: 0.0,
        };
        for now in 0..program.instructions.len() {
            replay.now = now;
            if replay.compute(now).is_none() {
                return Err(Shortage { instruction: now, live: replay.resident });
            }
        }
        Ok(replay.schedule)
    }

    /// Run an instruction of the program, after copies of those whose results it needs again. None if memory is short.
    fn compute(&mut self, index: usize) -> Option<()> {
        let facts = self.facts;
        self.lock(index);
        // Instructions whose operands are being completed, with the number of the next operand.
        let mut pending = vec![(index, 0)];
        while let Some((instruction, next)) = pending.pop() {
            let Some(&operand) = facts.reads[instruction].get(next) else {
                self.launch(instruction, pending.is_empty())?;
                continue;
            };
            pending.push((instruction, next + 1));
            if self.states[operand as usize].version.is_none() {
                let value = &facts.values[operand as usize];
                if !value.repeatable || value.valid_until < self.now {
                    return None;
                }
                self.lock(value.writer? as usize);
                pending.push((value.writer? as usize, 0));
            }
        }
        Some(())
    }

    fn lock(&mut self, instruction: usize) {
        self.facts.reads[instruction].iter().for_each(|&operand| self.states[operand as usize].locks += 1);
    }

    /// Run an instruction whose operands are in memory. `first` is false for a copy.
    fn launch(&mut self, index: usize, first: bool) -> Option<()> {
        let (program, facts) = (self.program, self.facts);
        let instruction = &program.instructions[index];
        self.operations += facts.costs[index];
        if self.operations > MAX_OPERATIONS * facts.total {
            return None;
        }
        let bytes = |buffer: u32| facts.values[buffer as usize].bytes;
        // A value that several instructions write in parts has memory from the first one on.
        let new = |replay: &Self, buffer: u32| !first || replay.states[buffer as usize].version.is_none();
        let arena: Vec<u32> = facts.writes[index].iter().copied().filter(|&b| new(self, b)).collect();
        let others = facts.other_writes[index].iter().filter(|_| !first);
        // A copy needs memory also for what the program writes to its outputs.
        let others: usize = others.map(|&buffer| bytes(buffer)).sum();
        let needed = arena.iter().map(|&buffer| bytes(buffer)).sum::<usize>() + others;
        let shared = self.shared_bytes(index, first);
        self.make_room(needed - shared)?;
        self.schedule.peak = self.schedule.peak.max(self.live + needed - shared);
        self.live += needed - others;

        let versions: Vec<(u32, u32)> =
            instruction.writes.iter().map(|write| (write.buffer, self.new_version(write.buffer, first))).collect();
        let renamed = |&operand: &Operand| {
            let written = versions.iter().find(|(buffer, _)| *buffer == operand.buffer);
            let version = written.map(|&(_, version)| version).or(self.states[operand.buffer as usize].version);
            Operand { buffer: version.unwrap_or(operand.buffer), ..operand }
        };
        let reads = instruction.reads.iter().map(renamed).collect();
        let writes = instruction.writes.iter().map(renamed).collect();
        self.schedule.runs.push(Run { instruction: index, reads, writes });
        for &operand in &facts.reads[index] {
            self.states[operand as usize].locks -= 1;
            if self.states[operand as usize].locks == 0 {
                self.forget_uses(operand, first);
            }
        }
        for buffer in arena {
            let state = &mut self.states[buffer as usize];
            let value = &facts.values[buffer as usize];
            let wanted = state.locks > 0 || !state.uses.is_empty() || value.kept;
            match versions.iter().find(|(written, _)| *written == buffer) {
                Some(&(_, version)) if wanted && state.version.is_none() => {
                    (state.version, state.position) = (Some(version), self.resident.len());
                    self.resident.push(buffer);
                    self.dropped.remove(buffer, facts.costs[index]);
                }
                _ => self.live -= value.bytes,
            }
        }
        Some(())
    }

    /// The buffer that a run writes instead of `buffer`.
    fn new_version(&mut self, buffer: u32, first: bool) -> u32 {
        if first {
            return buffer;
        }
        self.schedule.origins.push(buffer);
        self.schedule.origins.len() as u32 - 1
    }

    /// Return whether nothing needs a value after the instruction that is about to run, or after its copy.
    fn ends_here(&self, buffer: u32, first: bool) -> bool {
        let state = &self.states[buffer as usize];
        let end = self.now + usize::from(first);
        let needed = state.uses.first().is_some_and(|&last| last as usize >= end);
        state.locks == 1 && !needed && !self.facts.values[buffer as usize].kept
    }

    /// Bytes of the results that can overwrite operands, as the memory plan decides later.
    fn shared_bytes(&self, index: usize, first: bool) -> usize {
        let instruction = &self.program.instructions[index];
        let in_arena = |buffer: u32| matches!(self.program.buffers[buffer as usize].location, Location::Arena(_));
        let mut used: Vec<u32> = Vec::new();
        let mut bytes = 0;
        for (write, read) in in_place_pairs(instruction) {
            let (w, r) = (instruction.writes[write], instruction.reads[read]);
            let size = |operand: Operand| self.program.buffers[operand.buffer as usize].bytes;
            let once = instruction.reads.iter().filter(|other| other.buffer == r.buffer).count() == 1;
            let fits = r.offset == 0 && size(w) == size(r) && r.dtype.size() == w.dtype.size();
            let free = !used.contains(&w.buffer) && !used.contains(&r.buffer) && self.ends_here(r.buffer, first);
            if once && fits && free && in_arena(w.buffer) && in_arena(r.buffer) {
                used.extend([w.buffer, r.buffer]);
                bytes += self.facts.values[w.buffer as usize].bytes;
            }
        }
        bytes
    }

    /// Remove the uses before now (`present`: and now), and the value if none are left.
    fn forget_uses(&mut self, buffer: u32, present: bool) {
        let uses = &mut self.states[buffer as usize].uses;
        let end = self.now + usize::from(present);
        while uses.last().is_some_and(|&next| (next as usize) < end) {
            uses.pop();
        }
        if uses.is_empty() && !self.facts.values[buffer as usize].kept {
            self.release(buffer);
        }
    }

    fn release(&mut self, buffer: u32) {
        let state = &mut self.states[buffer as usize];
        if state.version.take().is_some() {
            self.live -= self.facts.values[buffer as usize].bytes;
            let at = state.position;
            self.resident.swap_remove(at);
            if let Some(&moved) = self.resident.get(at) {
                self.states[moved as usize].position = at;
            }
        }
    }

    /// Drop values until `bytes` more fit. None if that is not possible.
    fn make_room(&mut self, bytes: usize) -> Option<()> {
        while self.live + bytes > self.limit {
            let mut scores: Vec<(f64, u32)> = Vec::new();
            for at in (0..self.resident.len()).rev() {
                let buffer = self.resident[at];
                if self.states[buffer as usize].locks > 0 || self.facts.values[buffer as usize].kept {
                    continue;
                }
                // It may have been kept for a copy that has run since.
                self.forget_uses(buffer, false);
                scores.extend(self.score(buffer).map(|score| (score, buffer)));
            }
            if self.live + bytes <= self.limit {
                break;
            }
            if scores.is_empty() {
                return None;
            }
            // One at a time, for costs change with each; a few if there are thousands.
            let count = 1 + scores.len() / MANY_VALUES;
            scores.sort_by(|a, b| a.0.total_cmp(&b.0));
            for &(_, buffer) in scores.iter().take(count) {
                if self.live + bytes > self.limit {
                    self.drop_value(buffer);
                }
            }
        }
        Some(())
    }

    /// The cost of dropping a value until its next use; None if that is not possible.
    fn score(&self, buffer: u32) -> Option<f64> {
        let value = &self.facts.values[buffer as usize];
        let next = *self.states[buffer as usize].uses.last()? as usize;
        if !value.repeatable || value.valid_until < next {
            return None;
        }
        let distance = self.facts.times[next] - self.facts.times[self.now] + 1.0;
        Some(self.recompute_cost(buffer)? / (value.bytes as f64 * distance))
    }

    /// The operations that it takes to compute a value again, with those of the dropped values around it.
    fn recompute_cost(&self, buffer: u32) -> Option<f64> {
        let facts = self.facts;
        let mut cost = 0.0;
        let mut sets: Vec<u32> = Vec::new();
        let mut seen: Vec<u32> = Vec::new();
        let mut writers = vec![facts.values[buffer as usize].writer?];
        while let Some(writer) = writers.pop() {
            cost += facts.costs[writer as usize];
            for &operand in &facts.reads[writer as usize] {
                if let Some(set) = self.dropped.set(operand) {
                    if !sets.contains(&set) {
                        sets.push(set);
                    }
                } else if self.states[operand as usize].version.is_none() {
                    // Nothing else needs this operand: it is computed for this purpose.
                    let writer = facts.values[operand as usize].writer?;
                    if !seen.contains(&writer) {
                        seen.push(writer);
                        writers.push(writer);
                    }
                    if seen.len() > MAX_CHAIN {
                        return None;
                    }
                }
            }
        }
        for &reader in &facts.values[buffer as usize].readers {
            for &result in &facts.writes[reader as usize] {
                if let Some(set) = self.dropped.set(result).filter(|set| !sets.contains(set)) {
                    sets.push(set);
                }
            }
        }
        Some(cost + sets.into_iter().map(|set| self.dropped.cost(set)).sum::<f64>())
    }

    /// Drop a value until its next use. Its operands are kept for that, while there is room.
    fn drop_value(&mut self, buffer: u32) {
        let facts = self.facts;
        self.release(buffer);
        let (Some(writer), Some(&next)) =
            (facts.values[buffer as usize].writer, self.states[buffer as usize].uses.last())
        else {
            return;
        };
        self.dropped.insert(buffer, facts.costs[writer as usize]);
        for &operand in &facts.reads[writer as usize] {
            if self.dropped.contains(operand) {
                self.dropped.join(buffer, operand);
            } else if self.states[operand as usize].version.is_some() {
                let uses = &mut self.states[operand as usize].uses;
                let at = uses.partition_point(|&use_| use_ > next);
                if uses.get(at) != Some(&next) {
                    uses.insert(at, next);
                }
            }
        }
        for &reader in &facts.values[buffer as usize].readers {
            for &result in &facts.writes[reader as usize] {
                if self.dropped.contains(result) {
                    self.dropped.join(buffer, result);
                }
            }
        }
    }
}
