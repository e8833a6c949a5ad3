//! `HORNBEAM_PROFILE=1`: time per instruction, printed when an executable is dropped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::instruction::Program;

/// Runs and nanoseconds of every instruction of the outermost program.
pub struct Profile {
    entries: Vec<(AtomicU64, AtomicU64)>,
}

impl Profile {
    /// A profile, if the environment asks for one.
    pub fn wanted(program: &Program) -> Option<Profile> {
        let on = std::env::var("HORNBEAM_PROFILE").is_ok_and(|v| !v.is_empty() && v != "0");
        on.then(|| Profile { entries: program.instructions.iter().map(|_| Default::default()).collect() })
    }

    pub fn record(&self, instruction: usize, time: Duration) {
        let (runs, nanos) = &self.entries[instruction];
        runs.fetch_add(1, Ordering::Relaxed);
        nanos.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// A table, the costliest instruction first.
    pub fn report(&self, program: &Program) -> String {
        let mut rows: Vec<(u64, u64, String)> = self
            .entries
            .iter()
            .zip(&program.instructions)
            .map(|((runs, nanos), i)| (nanos.load(Ordering::Relaxed), runs.load(Ordering::Relaxed), i.describe()))
            .filter(|(_, runs, _)| *runs > 0)
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.0));
        let total: u64 = rows.iter().map(|r| r.0).sum();
        let runs = rows.iter().map(|r| r.1).max().unwrap_or(0);
        let mut text = format!(
            "{} instructions, {runs} runs, {:.1} us each, arena {} KiB\n",
            program.instructions.len(),
            total as f64 / 1e3 / runs.max(1) as f64,
            program.arena >> 10
        );
        for (nanos, runs, what) in rows {
            let share = 100.0 * nanos as f64 / total.max(1) as f64;
            text += &format!("{share:6.2}% {:10.1} us  {what}\n", nanos as f64 / 1e3 / runs as f64);
        }
        text
    }
}
