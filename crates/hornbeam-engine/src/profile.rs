//! Where the time of an executable goes: runs, time and work of every instruction, nested programs included.
//!
//! `HORNBEAM_PROFILE=1` keeps a profile of everything and prints it when an executable is dropped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use serde_json::json;

use crate::cost::Work;
use crate::decode::name_of;
use crate::instruction::Program;

/// Single runs of instructions that are remembered, the first ones.
const MAX_EVENTS: usize = 1 << 18;

/// Whether the environment asks for profiles on standard error.
pub fn is_printed() -> bool {
    static PRINTED: OnceLock<bool> = OnceLock::new();
    *PRINTED.get_or_init(|| std::env::var("HORNBEAM_PROFILE").is_ok_and(|v| !v.is_empty() && v != "0"))
}

/// One instruction and what it has taken so far.
struct Entry {
    /// The control flow that it stands in.
    parent: Option<u32>,
    kind: &'static str,
    what: String,
    /// Names of scopes, and how many of the instruction's nodes come from each.
    scopes: Vec<(String, u32)>,
    work: Work,
    runs: AtomicU64,
    nanos: AtomicU64,
    /// The shortest run: on a machine that does other work too, what the instruction itself takes.
    least: AtomicU64,
}

/// One run of an instruction, in nanoseconds since the profile was begun.
struct Event {
    number: u32,
    start: u64,
    nanos: u64,
}

/// What all runs of an executable took, instruction by instruction.
pub struct Profile {
    entries: Vec<Entry>,
    begun: Instant,
    events: Mutex<Vec<Event>>,
}

impl Profile {
    /// An empty profile of a numbered program. `names` are those of its scopes.
    pub fn new(program: &Program, names: &[String]) -> Profile {
        let mut entries = Vec::new();
        list(program, None, names, &mut entries);
        Profile { entries, begun: Instant::now(), events: Mutex::new(Vec::new()) }
    }

    /// Instruction `number` has run since `started`.
    pub fn record(&self, number: u32, started: Instant) {
        let nanos = started.elapsed().as_nanos() as u64;
        let entry = &self.entries[number as usize];
        entry.runs.fetch_add(1, Ordering::Relaxed);
        entry.nanos.fetch_add(nanos, Ordering::Relaxed);
        entry.least.fetch_min(nanos, Ordering::Relaxed);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() < MAX_EVENTS {
            events.push(Event { number, start: (started - self.begun).as_nanos() as u64, nanos });
        }
    }

    /// Forget all runs.
    pub fn clear(&self) {
        for entry in &self.entries {
            entry.runs.store(0, Ordering::Relaxed);
            entry.nanos.store(0, Ordering::Relaxed);
            entry.least.store(u64::MAX, Ordering::Relaxed);
        }
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Time of each instruction without that of the programs nested in it.
    fn own_nanos(&self) -> Vec<u64> {
        let mut own: Vec<u64> = self.entries.iter().map(|e| e.nanos.load(Ordering::Relaxed)).collect();
        for entry in &self.entries {
            if let Some(parent) = entry.parent {
                let inner = entry.nanos.load(Ordering::Relaxed);
                own[parent as usize] = own[parent as usize].saturating_sub(inner);
            }
        }
        own
    }

    /// All of it as JSON: `{"instructions": [{"parent", "kind", "what", "scopes", "runs", "nanos", "flops", "bytes",
    /// "dtype"}], "events": [[instruction, start, nanos]]}`. `nanos` is an instruction's own time in all runs, `flops`
    /// and `bytes` are those of one run.
    pub fn json(&self) -> String {
        let own = self.own_nanos();
        let instruction = |(entry, nanos): (&Entry, &u64)| {
            json!({
                "parent": entry.parent, "kind": entry.kind, "what": entry.what, "scopes": entry.scopes,
                "runs": entry.runs.load(Ordering::Relaxed), "nanos": nanos,
                "flops": entry.work.flops, "bytes": entry.work.bytes, "dtype": entry.work.dtype.name(),
            })
        };
        let instructions: Vec<_> = self.entries.iter().zip(&own).map(instruction).collect();
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let events: Vec<_> = events.iter().map(|e| (e.number, e.start, e.nanos)).collect();
        json!({ "instructions": instructions, "events": events }).to_string()
    }

    /// A table, the costliest instruction first. `arena` is the program's working memory in bytes.
    pub fn report(&self, arena: usize) -> String {
        let own = self.own_nanos();
        let mut rows: Vec<(u64, &Entry)> = own.into_iter().zip(&self.entries).collect();
        rows.retain(|(_, entry)| entry.runs.load(Ordering::Relaxed) > 0);
        rows.sort_by_key(|row| std::cmp::Reverse(row.0));
        let total: u64 = rows.iter().map(|r| r.0).sum();
        let outermost = rows.iter().filter(|r| r.1.parent.is_none());
        let runs = outermost.map(|r| r.1.runs.load(Ordering::Relaxed)).max().unwrap_or(0);
        let least: u64 = rows.iter().filter(|r| r.1.parent.is_none()).map(|r| r.1.least.load(Ordering::Relaxed)).sum();
        let mut text = format!(
            "{} instructions, {runs} runs, {:.1} us each (shortest of each: {:.1}), arena {} KiB\n",
            self.entries.len(),
            total as f64 / 1e3 / runs.max(1) as f64,
            least as f64 / 1e3,
            arena >> 10
        );
        for (nanos, entry) in rows {
            let share = 100.0 * nanos as f64 / total.max(1) as f64;
            let micros = nanos as f64 / 1e3 / runs.max(1) as f64;
            let each = entry.runs.load(Ordering::Relaxed) as f64 / runs.max(1) as f64;
            let rate = (each * entry.work.flops as f64) / (micros * 1e3).max(1e-9);
            let places: Vec<&str> = entry.scopes.iter().map(|(name, _)| name.as_str()).collect();
            let nested = if entry.parent.is_some() { format!(" x{each:.0}") } else { String::new() };
            let least = entry.least.load(Ordering::Relaxed) as f64 / 1e3;
            text += &format!(
                "{share:6.2}% {micros:10.1} us (least {least:.1}) {rate:7.1} GFLOP/s  {}{nested}  {}\n",
                entry.what,
                places.join(", ")
            );
        }
        text
    }
}

/// The program's instructions in the order of their numbers.
fn list(program: &Program, parent: Option<u32>, names: &[String], entries: &mut Vec<Entry>) {
    for instruction in &program.instructions {
        let name = |&(scope, count): &(u32, u32)| Some((name_of(names, scope)?.clone(), count));
        entries.push(Entry {
            parent,
            kind: instruction.kind.name(),
            what: instruction.describe(),
            scopes: instruction.scopes.iter().filter_map(name).collect(),
            work: instruction.work(),
            runs: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            least: AtomicU64::new(u64::MAX),
        });
        for (_, inner) in instruction.kind.programs() {
            list(inner, Some(instruction.number), names, entries);
        }
    }
}
