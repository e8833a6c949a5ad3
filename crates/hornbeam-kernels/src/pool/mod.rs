//! Persistent thread pool that distributes the tasks of one job through an atomic counter.
//!
//! The calling thread takes part. Workers spin for a while after a job, because the next job of a training step usually
//! follows at once, and then sleep, so that an idle process costs nothing. A worker that wakes late misses the job
//! instead of delaying it: the caller waits only for workers that have joined.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

mod shared;

pub use shared::SharedMut;

type Task<'a> = dyn Fn(usize) + Sync + 'a;

/// Time that a worker spins before it sleeps: longer than the serial work between two jobs of a training step.
const SPIN: Duration = Duration::from_micros(300);
/// Time that a worker spins without yielding its core.
const SPIN_ALONE: Duration = Duration::from_micros(50);

/// Flag of an open job: `Workers::state` is `epoch << 32 | OPEN | number of workers in the job`.
const OPEN: u64 = 1 << 31;
const WORKER_COUNT: u64 = OPEN - 1;

thread_local! {
    /// Set while this thread runs tasks, so that a nested `run` stays on this thread; see also [`set_single_threaded`].
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Lets the jobs of the calling thread run on it alone, or with the workers again. Results do not depend on it.
///
/// For brief jobs at long intervals: workers that wake for them, and spin after them, take more processor time than
/// they save.
pub fn set_single_threaded(single: bool) {
    BUSY.set(single);
}

/// Pool of threads. Its size affects time, never results.
pub struct ThreadPool {
    threads: AtomicUsize,
    /// Started at the first job that needs them; replaced after a change of size or a fork. Worker sets are never freed
    /// (a few hundred bytes per change of size), so that `run` needs no lock to use one.
    workers: AtomicPtr<Workers>,
}

struct Workers {
    pid: u32,
    /// Held by the thread that runs a job.
    owner: Mutex<()>,
    state: AtomicU64,
    job: UnsafeCell<Option<*const Task<'static>>>,
    tasks: AtomicUsize,
    next: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleepers: AtomicUsize,
    sleep_lock: Mutex<()>,
    wake: Condvar,
    shut_down: AtomicBool,
}

// SAFETY: `job` is written by the owning thread only while no worker is in a job (state closed, count 0), and read by workers
// only after they joined through `state`, whose atomic operations order the two.
unsafe impl Sync for Workers {}
// SAFETY: the task pointer refers to a `Sync` closure that outlives the job.
unsafe impl Send for Workers {}

impl ThreadPool {
    /// Creates a separate pool, for tests; everything else shares [`ThreadPool::global`].
    pub fn new(threads: usize) -> ThreadPool {
        ThreadPool { threads: AtomicUsize::new(threads.max(1)), workers: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Returns the pool of the process. Its initial size is `HORNBEAM_THREADS`, else `OMP_NUM_THREADS`, which loaders of
    /// data and other programs set for processes beside each other, else the number of available physical cores.
    pub fn global() -> &'static ThreadPool {
        static GLOBAL: OnceLock<ThreadPool> = OnceLock::new();
        GLOBAL.get_or_init(|| {
            let configured = configured("HORNBEAM_THREADS").or_else(|| configured("OMP_NUM_THREADS"));
            ThreadPool::new(configured.unwrap_or_else(default_threads))
        })
    }

    /// Number of threads that take part in a job, including the caller.
    pub fn threads(&self) -> usize {
        self.threads.load(Ordering::Relaxed)
    }

    /// Changes the number of threads, at least 1. Running jobs finish with the old number.
    pub fn set_threads(&self, threads: usize) {
        let threads = threads.max(1);
        if self.threads.swap(threads, Ordering::Relaxed) != threads {
            shut_down_workers(self.workers.swap(std::ptr::null_mut(), Ordering::AcqRel));
        }
    }

    /// Calls `task(0) .. task(tasks - 1)`, each once, in no fixed order, and returns when all are done.
    ///
    /// Runs on the calling thread alone inside a task, or while the workers run the job of another thread.
    ///
    /// # Panics
    /// With the payload of the first task that panicked; tasks that have not started are skipped.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let threads = self.threads();
        if tasks <= 1 || threads <= 1 || BUSY.get() {
            return (0..tasks).for_each(task);
        }
        let workers = self.workers(threads);
        match workers.owner.try_lock() {
            Ok(guard) => workers.run_job(tasks, task, guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => workers.run_job(tasks, task, poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => (0..tasks).for_each(task),
        }
    }

    /// Splits `0..len` into ranges of `chunk` (the last may be shorter) and runs them as tasks.
    pub fn run_ranges(&self, len: usize, chunk: usize, task: &(dyn Fn(Range<usize>) + Sync)) {
        let chunk = chunk.max(1);
        self.run(len.div_ceil(chunk), &|i| task(i * chunk..((i + 1) * chunk).min(len)));
    }

    /// Runs `task(index, chunk)` for every chunk of `data.chunks_mut(chunk)`.
    pub fn run_chunks<T: Send>(&self, data: &mut [T], chunk: usize, task: &(dyn Fn(usize, &mut [T]) + Sync)) {
        let (len, chunk) = (data.len(), chunk.max(1));
        let shared = SharedMut::new(data);
        self.run(len.div_ceil(chunk), &|i| {
            // SAFETY: chunks of different tasks do not overlap, and each task runs once.
            task(i, unsafe { shared.range(i * chunk..((i + 1) * chunk).min(len)) });
        });
    }

    fn workers(&self, threads: usize) -> &'static Workers {
        let current = self.workers.load(Ordering::Acquire);
        let pid = std::process::id();
        // SAFETY: stored sets are never freed, so a pointer that was ever stored stays valid.
        match unsafe { current.as_ref() } {
            Some(workers) if workers.pid == pid => return workers,
            // Not started yet, or the process was forked and the workers stayed in the parent.
            _ => {}
        }
        let started = Box::into_raw(Box::new(Workers::new(pid)));
        match self.workers.compare_exchange(current, started, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                // SAFETY: it is stored now, and stored sets are never freed.
                let workers: &'static Workers = unsafe { &*started };
                workers.spawn(threads - 1);
                workers
            }
            Err(_) => {
                // Another thread was first. SAFETY: this set was not stored, so no other thread has the pointer.
                drop(unsafe { Box::from_raw(started) });
                self.workers(threads)
            }
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        shut_down_workers(*self.workers.get_mut());
    }
}

fn shut_down_workers(workers: *mut Workers) {
    // SAFETY: worker sets are leaked, so the pointer is null or valid.
    let Some(workers) = (unsafe { workers.as_ref() }) else { return };
    // After a fork the workers are in the parent, and its locks may have been copied while held.
    if workers.pid == std::process::id() {
        workers.shut_down.store(true, Ordering::SeqCst);
        let _guard = lock(&workers.sleep_lock);
        workers.wake.notify_all();
    }
}

impl Workers {
    fn new(pid: u32) -> Workers {
        Workers {
            pid,
            owner: Mutex::new(()),
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            tasks: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            panic: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            sleep_lock: Mutex::new(()),
            wake: Condvar::new(),
            shut_down: AtomicBool::new(false),
        }
    }

    /// Spawns worker threads. If the system refuses a thread, the pool runs with fewer.
    fn spawn(&'static self, workers: usize) {
        for i in 0..workers {
            let started = std::thread::Builder::new().name(format!("hornbeam-{}", i + 1)).spawn(|| self.worker_loop());
            if started.is_err() {
                break;
            }
        }
    }

    fn run_job(&self, tasks: usize, task: &Task<'_>, _owner: MutexGuard<'_, ()>) {
        // SAFETY: only the lifetime changes; the job is closed and left by every worker before this function returns.
        let task: *const Task<'static> = unsafe { std::mem::transmute::<&Task<'_>, &'static Task<'static>>(task) };
        // SAFETY: this thread holds `owner` and the last job was closed and left, so no other thread reads `job`.
        unsafe { *self.job.get() = Some(task) };
        self.tasks.store(tasks, Ordering::Relaxed);
        self.next.store(0, Ordering::Relaxed);
        let epoch = (self.state.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        self.state.store(epoch << 32 | OPEN, Ordering::SeqCst);
        let asleep = self.sleepers.load(Ordering::SeqCst);
        if asleep > 0 {
            let _guard = lock(&self.sleep_lock);
            for _ in 0..asleep.min(tasks - 1) {
                self.wake.notify_one();
            }
        }
        self.run_tasks(task);
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0u32;
        while self.state.load(Ordering::Acquire) & WORKER_COUNT != 0 {
            spins += 1;
            // The remaining workers are in their last task. If they have lost their core, yield this one.
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

    /// Runs tasks until none is left.
    fn run_tasks(&self, task: *const Task<'static>) {
        BUSY.set(true);
        let tasks = self.tasks.load(Ordering::Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let i = self.next.fetch_add(1, Ordering::Relaxed);
                if i >= tasks {
                    break;
                }
                // SAFETY: this thread is counted in the job, so the owning thread keeps the closure alive.
                unsafe { (*task)(i) };
            }
        }));
        BUSY.set(false);
        if let Err(payload) = outcome {
            self.next.store(tasks, Ordering::Relaxed);
            lock(&self.panic).get_or_insert(payload);
        }
    }

    /// Main loop of a worker thread.
    fn worker_loop(&self) {
        let mut done = 0;
        while let Some(epoch) = self.wait_for_job(done) {
            // SAFETY: the worker has joined the open job of this epoch, so `job` is set and not written until it leaves.
            if let Some(task) = unsafe { *self.job.get() } {
                self.run_tasks(task);
            }
            done = epoch;
            self.state.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for an open job other than `done` and joins it. Returns `None` when the workers are shut down.
    fn wait_for_job(&self, done: u64) -> Option<u64> {
        let mut since = Instant::now();
        let mut spins = 0u32;
        loop {
            if self.shut_down.load(Ordering::Relaxed) {
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
                } else if waited > SPIN_ALONE {
                    std::thread::yield_now();
                }
            }
        }
    }

    fn sleep(&self, done: u64) {
        let mut sleep_lock = lock(&self.sleep_lock);
        // The owner publishes the job and then reads `sleepers`; the worker increments `sleepers` and then reads the
        // state. Both are sequentially consistent, so one of the two sees the other.
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        loop {
            let state = self.state.load(Ordering::SeqCst);
            if self.shut_down.load(Ordering::SeqCst) || (state & OPEN != 0 && state >> 32 != done) {
                break;
            }
            sleep_lock = self.wake.wait(sleep_lock).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Locks a mutex and ignores poisoning: its data cannot be left half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Number of CPUs that this process may use, by its affinity and the quota of its container, at least 1.
pub fn available_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// The number of threads that a variable of the environment asks for; of a list by levels (OpenMP), the first.
fn configured(name: &str) -> Option<usize> {
    let value = std::env::var(name).ok()?;
    value.split(',').next()?.trim().parse().ok().filter(|&n| n > 0)
}

/// Number of physical cores that this process may use: hyper-threads share the vector units that kernels saturate.
fn default_threads() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let siblings =
        |cpu| std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")).ok();
    let cores = physical_cores(allowed.unwrap_or_default(), siblings);
    if cores == 0 {
        available_cpus()
    } else {
        available_cpus().min(cores)
    }
}

/// Counts the cores of a list of CPUs such as `0-3,8`, given the siblings of each. 0 if one is unknown.
fn physical_cores(list: &str, siblings: impl Fn(usize) -> Option<String>) -> usize {
    let mut cores = std::collections::BTreeSet::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.parse(), last.parse::<usize>()) else { return 0 };
        for cpu in first..=last {
            let Some(core) = siblings(cpu) else { return 0 };
            cores.insert(core);
        }
    }
    cores.len()
}

#[cfg(test)]
mod tests;
