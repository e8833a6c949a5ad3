//! The time that a thread spends computing.

use std::time::Duration;
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
use std::time::Instant;

/// Time of `calls` calls in this thread. On 64-bit Linux it is processor time, which other work on the machine
/// disturbs less.
pub fn thread_time(calls: u64, mut body: impl FnMut()) -> Duration {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    let now = || {
        extern "C" {
            fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
        }
        const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
        let mut time = [0; 2];
        // SAFETY: `time` has the layout of `timespec` on 64-bit Linux.
        assert_eq!(unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
        Duration::new(time[0] as u64, time[1] as u32)
    };
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    let now = {
        let start = Instant::now();
        move || start.elapsed()
    };
    let start = now();
    for _ in 0..calls {
        body();
    }
    now() - start
}
