//! Profiles of executables: runs, time and cost of every instruction, nested programs included.
//!
//! `HORNBEAM_PROFILE=1` keeps a profile of everything and prints it when an executable is dropped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use serde_json::json;

use crate::cost::Cost;
use crate::graph::scope_name;
use crate::instruction::Program;

/// Single runs of instructions that are recorded: the first ones.
const MAX_EVENTS: usize = 1 << 18;

/// Return whether `HORNBEAM_PROFILE` requests profiles on standard error.
pub fn is_printed() -> bool {
    static PRINTED: OnceLock<bool> = OnceLock::new();
    *PRINTED.get_or_init(|| std::env::var("HORNBEAM_PROFILE").is_ok_and(|v| !v.is_empty() && v != "0"))
}

/// One instruction and its time so far.
struct Entry {
    /// The control flow that contains it.
    parent: Option<u32>,
    kind: &'static str,
    description: String,
    /// Names of scopes, and the number of the instruction's nodes from each.
    scopes: Vec<(String, u32)>,
    cost: Cost,
    runs: AtomicU64,
    nanos: AtomicU64,
    /// The shortest run, which other programs on the machine disturb least.
    min_nanos: AtomicU64,
}

/// One run of an instruction, in nanoseconds since the start of the profile.
struct Event {
    number: u32,
    start: u64,
    nanos: u64,
}

/// The time of all runs of an executable, by instruction.
pub struct Profile {
    entries: Vec<Entry>,
    origin: Instant,
    events: Mutex<Vec<Event>>,
}

impl Profile {
    /// Create an empty profile of a numbered program. `names` are those of its scopes.
    pub fn new(program: &Program, names: &[String]) -> Profile {
        let mut entries = Vec::new();
        list_entries(program, None, names, &mut entries);
        Profile { entries, origin: Instant::now(), events: Mutex::new(Vec::new()) }
    }

    /// Record a run of instruction `number` that began at `started` and ends now.
    pub fn record(&self, number: u32, started: Instant) {
        let nanos = started.elapsed().as_nanos() as u64;
        let entry = &self.entries[number as usize];
        entry.runs.fetch_add(1, Ordering::Relaxed);
        entry.nanos.fetch_add(nanos, Ordering::Relaxed);
        entry.min_nanos.fetch_min(nanos, Ordering::Relaxed);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() < MAX_EVENTS {
            events.push(Event { number, start: (started - self.origin).as_nanos() as u64, nanos });
        }
    }

    /// Clear all runs.
    pub fn clear(&self) {
        for entry in &self.entries {
            entry.runs.store(0, Ordering::Relaxed);
            entry.nanos.store(0, Ordering::Relaxed);
            entry.min_nanos.store(u64::MAX, Ordering::Relaxed);
        }
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Time of each instruction without that of the programs nested in it.
    fn own_nanos(&self) -> Vec<u64> {
        let mut nanos: Vec<u64> = self.entries.iter().map(|e| e.nanos.load(Ordering::Relaxed)).collect();
        for entry in &self.entries {
            if let Some(parent) = entry.parent {
                let inner = entry.nanos.load(Ordering::Relaxed);
                nanos[parent as usize] = nanos[parent as usize].saturating_sub(inner);
            }
        }
        nanos
    }

    /// The profile as JSON: `{"instructions": [{"parent", "kind", "what", "scopes", "runs", "nanos", "flops", "bytes",
    /// "dtype"}], "events": [[instruction, start, nanos]]}`. `nanos` is an instruction's own time in all runs, `flops`
    /// and `bytes` are those of one run.
    pub fn json(&self) -> String {
        let own_nanos = self.own_nanos();
        let instruction = |(entry, nanos): (&Entry, &u64)| {
            json!({
                "parent": entry.parent, "kind": entry.kind, "what": entry.description, "scopes": entry.scopes,
                "runs": entry.runs.load(Ordering::Relaxed), "nanos": nanos,
                "flops": entry.cost.flops, "bytes": entry.cost.bytes, "dtype": entry.cost.dtype.name(),
            })
        };
        let instructions: Vec<_> = self.entries.iter().zip(&own_nanos).map(instruction).collect();
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let events: Vec<_> = events.iter().map(|e| (e.number, e.start, e.nanos)).collect();
        json!({ "instructions": instructions, "events": events }).to_string()
    }

    /// The profile as a table, the slowest instruction first. `arena` is the program's working memory in bytes.
    pub fn report(&self, arena: usize) -> String {
        let own_nanos = self.own_nanos();
        let mut rows: Vec<(u64, &Entry)> = own_nanos.into_iter().zip(&self.entries).collect();
        rows.retain(|(_, entry)| entry.runs.load(Ordering::Relaxed) > 0);
        rows.sort_by_key(|row| std::cmp::Reverse(row.0));
        let total: u64 = rows.iter().map(|r| r.0).sum();
        let outermost = rows.iter().filter(|r| r.1.parent.is_none());
        let runs = outermost.map(|r| r.1.runs.load(Ordering::Relaxed)).max().unwrap_or(0);
        let least: u64 =
            rows.iter().filter(|r| r.1.parent.is_none()).map(|r| r.1.min_nanos.load(Ordering::Relaxed)).sum();
        let mut text = format!(
            "{} instructions, {runs} runs, {:.1} us each (shortest of each: {:.1}), arena {} KiB\n",
            self.entries.len(),
            total as f64 / 1e3 / runs.max(1) as f64,
            least as f64 / 1e3,
            arena >> 10
        );
        for (nanos, entry) in rows {
            let percent = 100.0 * nanos as f64 / total.max(1) as f64;
            let micros = nanos as f64 / 1e3 / runs.max(1) as f64;
            let runs_each = entry.runs.load(Ordering::Relaxed) as f64 / runs.max(1) as f64;
            let rate = (runs_each * entry.cost.flops as f64) / (micros * 1e3).max(1e-9);
            let names: Vec<&str> = entry.scopes.iter().map(|(name, _)| name.as_str()).collect();
            let nested = if entry.parent.is_some() { format!(" x{runs_each:.0}") } else { String::new() };
            let least = entry.min_nanos.load(Ordering::Relaxed) as f64 / 1e3;
            text += &format!(
                "{percent:6.2}% {micros:10.1} us (least {least:.1}) {rate:7.1} GFLOP/s  {}{nested}  {}\n",
                entry.description,
                names.join(", ")
            );
        }
        text
    }
}

/// List the program's instructions in the order of their numbers.
fn list_entries(program: &Program, parent: Option<u32>, names: &[String], entries: &mut Vec<Entry>) {
    for instruction in &program.instructions {
        let name = |&(scope, count): &(u32, u32)| Some((scope_name(names, scope)?.clone(), count));
        entries.push(Entry {
            parent,
            kind: instruction.kind.name(),
            description: instruction.describe(),
            scopes: instruction.scopes.iter().filter_map(name).collect(),
            cost: instruction.cost(),
            runs: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            min_nanos: AtomicU64::new(u64::MAX),
        });
        for (_, inner) in instruction.kind.programs() {
            list_entries(inner, Some(instruction.number), names, entries);
        }
    }
}
