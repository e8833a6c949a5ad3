//! Clock and operands of the benchmarks.

use std::time::{Duration, Instant};

/// Times `calls` calls on `threads` threads.
///
/// A single thread is timed by its CPU time if the system measures it, so that other processes disturb the results less.
pub fn time(threads: usize, calls: u64, mut body: impl FnMut()) -> Duration {
    let now = || if threads == 1 { thread_time() } else { None };
    let (cpu_start, start) = (now(), Instant::now());
    for _ in 0..calls {
        body();
    }
    match (cpu_start, now()) {
        (Some(start), Some(end)) => end - start,
        _ => start.elapsed(),
    }
}

/// CPU time of the calling thread.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn thread_time() -> Option<Duration> {
    extern "C" {
        fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
    }
    const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
    let mut time = [0; 2];
    // SAFETY: `time` has the layout of `timespec` on 64-bit Linux.
    let status = unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) };
    (status == 0).then(|| Duration::new(time[0] as u64, time[1] as u32))
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
fn thread_time() -> Option<Duration> {
    None
}

/// Reproducible values between -1 and 1.
pub fn values(n: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}
