//! The memory budget of a program: values are computed again instead of being kept, so that a run needs less memory.
//!
//! It works on the lowered program, after fusion: what is computed again are whole instructions with the same operands,
//! so that every value has the same bits as without a budget. [`replay`] decides which ones; the memory plan of the
//! result is exact, and the replay is repeated with a lower limit until that plan fits.

mod dropped;
mod replay;
mod values;

use serde_json::json;

use crate::error::{Error, Result};
use crate::graph::{scope_name, ScopeId};
use crate::instruction::{BufferInfo, Instruction, Location, OutputSource, Program};
use crate::memory_plan;

use replay::{Replay, Schedule, Shortage};
use values::{flops, Facts};

/// Each limit of a replay is lower than the last one by this part.
const GRID: usize = 32;
/// The lowest limit is this part of the arena without a budget.
const LEAST_PART: usize = 50;
/// Number of layers that an error lists.
const LISTED: usize = 5;

/// A program within its budget. Bytes are those of its arena, inputs, constants and new outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryPlan {
    pub bytes: usize,
    pub flops: f64,
    /// Without a budget.
    pub unlimited_bytes: usize,
    pub unlimited_flops: f64,
}

impl MemoryPlan {
    /// The plan as JSON, for the front end.
    pub fn json(&self) -> String {
        json!({
            "bytes": self.bytes, "flops": self.flops,
            "unlimited_bytes": self.unlimited_bytes, "unlimited_flops": self.unlimited_flops,
        })
        .to_string()
    }
}

/// Let a planned program run in `budget` bytes. `constants` are the bytes of its constants, `names` those of scopes.
pub fn fit(program: Program, budget: usize, constants: usize, names: &[String]) -> Result<(Program, MemoryPlan)> {
    let unlimited_flops: f64 = program.instructions.iter().map(flops).sum();
    let unlimited_bytes = total_bytes(&program, constants);
    let plan = |program: &Program| MemoryPlan {
        bytes: total_bytes(program, constants),
        flops: program.instructions.iter().map(flops).sum(),
        unlimited_bytes,
        unlimited_flops,
    };
    if unlimited_bytes <= budget {
        let plan = plan(&program);
        return Ok((program, plan));
    }
    let facts = Facts::new(&program);
    let rest = unlimited_bytes - program.arena;
    let most = budget.saturating_sub(rest);
    // A plan can be smaller than its limit, and larger. With another limit other values are dropped.
    let lower = grid(program.arena).filter(|&limit| limit <= most);
    let higher = grid(program.arena).filter(|&limit| limit > most);
    let mut least = unlimited_bytes;
    for limit in std::iter::once(most).chain(lower).chain(higher) {
        let Ok(schedule) = Replay::run(&program, &facts, limit) else { continue };
        let smaller = rebuilt(&program, &schedule)?;
        let plan = plan(&smaller);
        if plan.bytes <= budget {
            return Ok((smaller, plan));
        }
        least = least.min(plan.bytes);
    }
    Err(shortage_error(&program, &facts, [budget, least, rest], names))
}

/// Limits from the arena itself down to a small part of it: always the same ones, so that a larger budget never fails where
/// a smaller one does.
fn grid(arena: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(arena), |&limit| Some(limit.saturating_sub((limit / GRID).max(1))))
        .take_while(move |&limit| limit > arena / LEAST_PART)
}

/// The memory of a run. Outputs that overwrite an input, or are one, need none.
fn total_bytes(program: &Program, constants: usize) -> usize {
    let inputs: usize = program.inputs.iter().map(|t| t.bytes()).sum();
    let is_new = |source: &OutputSource| matches!(source, OutputSource::Computed { reuse: None });
    let outputs = program.outputs.iter().zip(&program.sources).filter(|(_, source)| is_new(source));
    program.arena + inputs + constants + outputs.map(|(t, _)| t.bytes()).sum::<usize>()
}

/// The program that makes the runs of a schedule.
fn rebuilt(program: &Program, schedule: &Schedule) -> Result<Program> {
    let buffer = |(number, &origin): (usize, &u32)| {
        let BufferInfo { location, bytes } = program.buffers[origin as usize];
        let is_copy = number >= program.buffers.len() || matches!(location, Location::Arena(_));
        BufferInfo { location: if is_copy { Location::Arena(0) } else { location }, bytes }
    };
    let source = |source: &OutputSource| match source {
        OutputSource::Computed { .. } => OutputSource::Computed { reuse: None },
        other => *other,
    };
    let instructions = schedule.runs.iter().map(|run| Instruction {
        reads: run.reads.clone(),
        writes: run.writes.clone(),
        ..program.instructions[run.instruction].clone()
    });
    let planned = memory_plan::plan(Program {
        instructions: instructions.collect(),
        buffers: schedule.origins.iter().enumerate().map(buffer).collect(),
        arena: 0,
        inputs: program.inputs.clone(),
        outputs: program.outputs.clone(),
        sources: program.sources.iter().map(source).collect(),
        input_buffers: program.input_buffers.clone(),
        output_buffers: program.output_buffers.clone(),
    });
    Ok(memory_plan::pack(planned?))
}

/// The error of a program that does not fit: the least budget that would do, and what takes the memory. `sizes` are the
/// budget, the least one, and what of that is not the arena.
fn shortage_error(program: &Program, facts: &Facts, sizes: [usize; 3], names: &[String]) -> Error {
    let [budget, least, rest] = sizes;
    let short = grid(least - rest).find_map(|limit| Replay::run(program, facts, limit).err());
    let text = short.map_or(String::new(), |short| describe(program, facts, &short, names));
    Error::Memory(format!(
        "a memory budget of {} is too small: the least is {}. Of that, {} are weights, states, data and results, and \
         {} are values that are in memory at once{text}",
        in_megabytes(budget, false),
        in_megabytes(least, true),
        in_megabytes(rest, true),
        in_megabytes(least - rest, true),
    ))
}

/// Describe the instruction for which memory is short, and the layers that take the most of it then.
fn describe(program: &Program, facts: &Facts, shortage: &Shortage, names: &[String]) -> String {
    let layer = |scopes: &[(ScopeId, u32)]| {
        let (scope, _) = scopes.iter().max_by_key(|(_, count)| count)?;
        scope_name(names, *scope).cloned()
    };
    let instruction = &program.instructions[shortage.instruction];
    let mut layers: Vec<(String, usize)> = Vec::new();
    let own = facts.writes[shortage.instruction].iter().map(|&buffer| (buffer, layer(&instruction.scopes)));
    let live = shortage.live.iter().map(|&buffer| {
        let writer = facts.values[buffer as usize].writer;
        (buffer, writer.and_then(|writer| layer(&program.instructions[writer as usize].scopes)))
    });
    for (buffer, name) in live.chain(own) {
        let (name, bytes) = (name.unwrap_or_else(|| "values of no layer".into()), facts.values[buffer as usize].bytes);
        match layers.iter_mut().find(|(other, _)| *other == name) {
            Some((_, sum)) => *sum += bytes,
            None => layers.push((name, bytes)),
        }
    }
    layers.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let listed: Vec<String> =
        layers.iter().take(LISTED).map(|(name, bytes)| format!("{name} {}", in_megabytes(*bytes, true))).collect();
    let place = layer(&instruction.scopes).map_or(String::new(), |name| format!(" of {name}"));
    format!("; the most at {}{place}: {}", instruction.kind.name(), listed.join(", "))
}

/// Bytes as text in megabytes of 10^6, rounded up if asked.
fn in_megabytes(bytes: usize, up: bool) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 10.0 {
        let tenths = megabytes * 100.0;
        return format!("{} MB", if up { tenths.ceil() } else { tenths } / 100.0);
    }
    format!("{:.0} MB", if up { megabytes.ceil() } else { megabytes })
}
