//! Threads: one persistent pool that hands out the tasks of one job by an atomic counter.
//!
//! The caller works too. Workers spin for a while after a job, because the next one of a training step usually follows
//! at once, and then sleep, so that an idle process costs nothing. A worker that wakes late misses
//! the job instead of delaying it: the caller waits only for workers that have joined.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

type Task<'a> = dyn Fn(usize) + Sync + 'a;

/// Longer than what the caller computes alone between two jobs of a training step (losses, metrics, small updates).
const SPIN: Duration = Duration::from_micros(300);
/// For so long a worker keeps its core; then it offers it to others between two looks.
const KEEP: Duration = Duration::from_micros(50);

/// `Crew::state` is `epoch << 32 | OPEN | number of workers in the job`.
const OPEN: u64 = 1 << 31;
const WORKERS: u64 = OPEN - 1;

thread_local! {
    /// Set while this thread runs tasks: a nested `run` then stays on this thread.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// A pool of threads. Its size never changes results, only time.
pub struct ThreadPool {
    threads: AtomicUsize,
    /// Started at the first job that needs it; replaced after a change of size or a fork. Crews are never freed
    /// (a few hundred bytes per change of size), so that `run` needs no lock to use one.
    crew: AtomicPtr<Crew>,
}

struct Crew {
    pid: u32,
    /// Held by the thread whose job this is.
    leader: Mutex<()>,
    state: AtomicU64,
    job: UnsafeCell<Option<*const Task<'static>>>,
    tasks: AtomicUsize,
    next: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleepers: AtomicUsize,
    bed: Mutex<()>,
    bell: Condvar,
    dismissed: AtomicBool,
}

// SAFETY: `job` is written by the leader only while no worker is in a job (state closed, count 0), and read by workers
// only after they joined through `state`, whose atomic operations order the two.
unsafe impl Sync for Crew {}
// SAFETY: the task pointer refers to a `Sync` closure that outlives the job.
unsafe impl Send for Crew {}

impl ThreadPool {
    /// A pool of its own, for tests; everything else shares [`ThreadPool::global`].
    pub fn new(threads: usize) -> ThreadPool {
        ThreadPool { threads: AtomicUsize::new(threads.max(1)), crew: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The pool of the process. Its first size is `HORNBEAM_THREADS`, or the number of physical cores available.
    pub fn global() -> &'static ThreadPool {
        static GLOBAL: OnceLock<ThreadPool> = OnceLock::new();
        GLOBAL.get_or_init(|| {
            let chosen = std::env::var("HORNBEAM_THREADS").ok().and_then(|n| n.trim().parse().ok());
            ThreadPool::new(chosen.filter(|&n| n > 0).unwrap_or_else(default_threads))
        })
    }

    /// Threads that take part in a job, the caller included.
    pub fn threads(&self) -> usize {
        self.threads.load(Ordering::Relaxed)
    }

    /// Changes the size, at least 1. Jobs that run already finish with the old one.
    pub fn set_threads(&self, threads: usize) {
        let threads = threads.max(1);
        if self.threads.swap(threads, Ordering::Relaxed) != threads {
            dismiss(self.crew.swap(std::ptr::null_mut(), Ordering::AcqRel));
        }
    }

    /// Calls `task(0) .. task(tasks - 1)`, each once, in no fixed order, and returns when all are done.
    ///
    /// Runs on the calling thread alone when called from inside a task, or while another thread's job has the workers.
    ///
    /// # Panics
    /// With the payload of the first task that panicked; the tasks not yet begun are then skipped.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let threads = self.threads();
        if tasks <= 1 || threads <= 1 || BUSY.get() {
            return (0..tasks).for_each(task);
        }
        let crew = self.crew(threads);
        match crew.leader.try_lock() {
            Ok(guard) => crew.lead(tasks, task, guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => crew.lead(tasks, task, poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => (0..tasks).for_each(task),
        }
    }

    /// Cuts `0..len` into ranges of `chunk` (the last may be shorter) and runs them as tasks.
    pub fn run_ranges(&self, len: usize, chunk: usize, task: &(dyn Fn(Range<usize>) + Sync)) {
        let chunk = chunk.max(1);
        self.run(len.div_ceil(chunk), &|i| task(i * chunk..((i + 1) * chunk).min(len)));
    }

    /// Hands the pieces of `data.chunks_mut(chunk)` out as tasks: `task(index, piece)`.
    pub fn run_chunks<T: Send>(&self, data: &mut [T], chunk: usize, task: &(dyn Fn(usize, &mut [T]) + Sync)) {
        let (len, chunk) = (data.len(), chunk.max(1));
        let shared = SharedMut::new(data);
        self.run(len.div_ceil(chunk), &|i| {
            // SAFETY: pieces of different tasks do not overlap, and each task runs once.
            task(i, unsafe { shared.range(i * chunk..((i + 1) * chunk).min(len)) });
        });
    }

    fn crew(&self, threads: usize) -> &'static Crew {
        let current = self.crew.load(Ordering::Acquire);
        let pid = std::process::id();
        // SAFETY: crews are leaked, so a pointer that was ever stored stays valid.
        match unsafe { current.as_ref() } {
            Some(crew) if crew.pid == pid => return crew,
            // None yet, or the process was forked and the workers stayed in the parent.
            _ => {}
        }
        let fresh: &'static Crew = Box::leak(Box::new(Crew::new(pid)));
        match self.crew.compare_exchange(
            current,
            std::ptr::from_ref(fresh).cast_mut(),
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => {
                fresh.hire(threads - 1);
                fresh
            }
            Err(_) => self.crew(threads),
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        dismiss(*self.crew.get_mut());
    }
}

fn dismiss(crew: *mut Crew) {
    // SAFETY: crews are leaked, so the pointer is null or valid.
    let Some(crew) = (unsafe { crew.as_ref() }) else { return };
    // After a fork the workers are in the parent, and its locks may have been copied while held.
    if crew.pid == std::process::id() {
        crew.dismissed.store(true, Ordering::SeqCst);
        let _bed = lock(&crew.bed);
        crew.bell.notify_all();
    }
}

impl Crew {
    fn new(pid: u32) -> Crew {
        Crew {
            pid,
            leader: Mutex::new(()),
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            tasks: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            panic: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            bed: Mutex::new(()),
            bell: Condvar::new(),
            dismissed: AtomicBool::new(false),
        }
    }

    /// Starts workers. A thread that the system refuses is done without: the caller does the work.
    fn hire(&'static self, workers: usize) {
        for i in 0..workers {
            let started = std::thread::Builder::new().name(format!("hornbeam-{}", i + 1)).spawn(|| self.serve());
            if started.is_err() {
                break;
            }
        }
    }

    fn lead(&self, tasks: usize, task: &Task<'_>, _leader: MutexGuard<'_, ()>) {
        // SAFETY: only the lifetime changes; the job is closed and left by every worker before this function returns.
        let task: *const Task<'static> = unsafe { std::mem::transmute::<&Task<'_>, &'static Task<'static>>(task) };
        // SAFETY: we hold `leader` and the last job was closed and left, so nobody reads `job`.
        unsafe { *self.job.get() = Some(task) };
        self.tasks.store(tasks, Ordering::Relaxed);
        self.next.store(0, Ordering::Relaxed);
        let epoch = (self.state.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        self.state.store(epoch << 32 | OPEN, Ordering::SeqCst);
        let asleep = self.sleepers.load(Ordering::SeqCst);
        if asleep > 0 {
            let _bed = lock(&self.bed);
            for _ in 0..asleep.min(tasks - 1) {
                self.bell.notify_one();
            }
        }
        self.work(task);
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0u32;
        while self.state.load(Ordering::Acquire) & WORKERS != 0 {
            spins += 1;
            // The remaining workers are in their last task. If they have lost their core, give them ours.
            if spins < 4096 {
                std::hint::spin_loop()
            } else {
                std::thread::yield_now()
            }
        }
        if let Some(payload) = lock(&self.panic).take() {
            resume_unwind(payload);
        }
    }

    /// Takes tasks until none is left.
    fn work(&self, task: *const Task<'static>) {
        BUSY.set(true);
        let tasks = self.tasks.load(Ordering::Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let i = self.next.fetch_add(1, Ordering::Relaxed);
                if i >= tasks {
                    break;
                }
                // SAFETY: this thread is counted in the job, so the leader is still keeping the closure alive.
                unsafe { (*task)(i) };
            }
        }));
        BUSY.set(false);
        if let Err(payload) = outcome {
            self.next.store(tasks, Ordering::Relaxed);
            lock(&self.panic).get_or_insert(payload);
        }
    }

    /// The life of a worker.
    fn serve(&self) {
        let mut done = 0;
        while let Some(epoch) = self.join(done) {
            // SAFETY: we have joined the open job of this epoch, so `job` is set and not written until we leave.
            if let Some(task) = unsafe { *self.job.get() } {
                self.work(task);
            }
            done = epoch;
            self.state.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for an open job other than `done` and joins it. `None`: the crew is dismissed.
    fn join(&self, done: u64) -> Option<u64> {
        let mut since = Instant::now();
        let mut spins = 0u32;
        loop {
            if self.dismissed.load(Ordering::Relaxed) {
                return None;
            }
            let state = self.state.load(Ordering::Acquire);
            if state & OPEN != 0 && state >> 32 != done {
                if self.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    return Some(state >> 32);
                }
                continue;
            }
            std::hint::spin_loop();
            spins += 1;
            // Reading the clock costs about as much as twenty spins.
            if spins.is_multiple_of(64) {
                let waited = since.elapsed();
                if waited > SPIN {
                    self.sleep(done);
                    since = Instant::now();
                } else if waited > KEEP {
                    std::thread::yield_now();
                }
            }
        }
    }

    fn sleep(&self, done: u64) {
        let mut bed = lock(&self.bed);
        // The leader publishes and then looks for sleepers; we count ourselves and then look for a job. Both are
        // sequentially consistent, so one of the two sees the other.
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        loop {
            let state = self.state.load(Ordering::SeqCst);
            if self.dismissed.load(Ordering::SeqCst) || (state & OPEN != 0 && state >> 32 != done) {
                break;
            }
            bed = self.bell.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A lock whose data cannot be left half-written: poisoning says nothing here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Physical cores that this process may use: hyper-threads share the vector units that kernels saturate.
fn default_threads() -> usize {
    let logical = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut cores = std::collections::BTreeSet::new();
    for cpu in 0..logical.max(1024) {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        match std::fs::read_to_string(path) {
            Ok(siblings) => cores.insert(siblings),
            Err(_) => break,
        };
    }
    if cores.is_empty() {
        logical
    } else {
        logical.min(cores.len())
    }
}

/// A mutable slice that tasks write disjoint parts of.
pub struct SharedMut<'a, T> {
    pointer: *mut T,
    len: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: every access goes through `range` or `as_ptr`, whose callers promise that tasks touch disjoint elements.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    pub fn new(data: &'a mut [T]) -> SharedMut<'a, T> {
        SharedMut { pointer: data.as_mut_ptr(), len: data.len(), lifetime: PhantomData }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn as_ptr(&self) -> *mut T {
        self.pointer
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// No two live results may overlap.
    ///
    /// # Panics
    /// When the range does not lie within the slice.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: within bounds by the assertion; not aliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_each_task_once(pool: &ThreadPool, tasks: usize) {
        let hits: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        pool.run(tasks, &|i| {
            hits[i].fetch_add(1, Ordering::Relaxed);
        });
        assert!(hits.iter().all(|h| h.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn every_task_runs_once_for_any_size() {
        for threads in [1, 2, 3, 8] {
            let pool = ThreadPool::new(threads);
            for tasks in [0, 1, 2, 3, 7, 100, 1000] {
                count_each_task_once(&pool, tasks);
            }
        }
    }

    #[test]
    fn many_short_jobs_with_pauses_that_let_workers_sleep() {
        let pool = ThreadPool::new(3);
        for round in 0..2000 {
            count_each_task_once(&pool, 1 + round % 9);
            if round % 200 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    #[test]
    fn nested_runs_stay_on_the_thread_and_finish() {
        let pool = ThreadPool::new(3);
        let total = AtomicUsize::new(0);
        pool.run(8, &|_| {
            let here = std::thread::current().id();
            pool.run(8, &|_| {
                assert_eq!(std::thread::current().id(), here);
                total.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(total.into_inner(), 64);
    }

    #[test]
    fn several_threads_may_call_at_once_while_the_size_changes() {
        let pool = ThreadPool::new(2);
        std::thread::scope(|scope| {
            let call = || (0..300).for_each(|round| count_each_task_once(&pool, round % 17));
            let callers = [(); 4].map(|()| scope.spawn(call));
            (0..100).for_each(|n| pool.set_threads(1 + n % 4));
            // The end of the scope waits for them too, but in a way that ThreadSanitizer does not see.
            callers.into_iter().for_each(|caller| caller.join().expect("a caller"));
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_survives() {
        let pool = ThreadPool::new(3);
        for _ in 0..5 {
            let job = || {
                pool.run(50, &|i| {
                    if i == 25 {
                        std::panic::panic_any(i)
                    }
                })
            };
            let payload = catch_unwind(AssertUnwindSafe(job)).expect_err("the panic is passed on");
            assert_eq!(payload.downcast_ref(), Some(&25usize));
            count_each_task_once(&pool, 50);
        }
    }

    #[test]
    fn chunks_cover_the_slice() {
        let pool = ThreadPool::new(2);
        let mut data = vec![0usize; 1003];
        pool.run_chunks(&mut data, 100, &|i, piece| piece.fill(i));
        assert!(data.iter().enumerate().all(|(at, &i)| at / 100 == i));
        let sum = AtomicUsize::new(0);
        pool.run_ranges(1003, 100, &|r| {
            sum.fetch_add(r.len(), Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 1003);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn idle_workers_burn_no_processor_time() {
        let ticks = || -> u64 {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("procfs");
            let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
            fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
        };
        // Only this pool's own sleeping is looked at: the other tests of the process run at the same time.
        let pool = ThreadPool::new(4);
        count_each_task_once(&pool, 100);
        let before = ticks();
        std::thread::sleep(Duration::from_millis(100));
        assert!(ticks() - before <= 1);
        let crew = pool.crew(4);
        assert_eq!(crew.sleepers.load(Ordering::SeqCst), 3);
    }
}
