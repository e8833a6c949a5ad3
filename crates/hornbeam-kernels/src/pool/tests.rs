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
fn a_single_threaded_caller_runs_its_jobs_alone() {
    let pool = ThreadPool::new(3);
    let ran_here = AtomicUsize::new(0);
    let here = std::thread::current().id();
    set_single_threaded(true);
    pool.run(100, &|_| {
        ran_here.fetch_add(usize::from(std::thread::current().id() == here), Ordering::Relaxed);
    });
    assert_eq!(ran_here.into_inner(), 100);
    assert!(pool.workers.load(Ordering::Relaxed).is_null(), "no worker was started");
    set_single_threaded(false);
    count_each_task_once(&pool, 100);
    assert!(!pool.workers.load(Ordering::Relaxed).is_null());
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
    // Only this pool's own sleeping is checked: other tests of the process run at the same time.
    let pool = ThreadPool::new(4);
    count_each_task_once(&pool, 100);
    let before = ticks();
    std::thread::sleep(Duration::from_millis(100));
    assert!(ticks() - before <= 1);
    let workers = pool.workers(4);
    assert_eq!(workers.sleepers.load(Ordering::SeqCst), 3);
}

#[test]
fn cores_are_counted_among_allowed_cpus() {
    // Two hyper-threads a core, as Linux numbers them.
    let siblings = |cpu: usize| (cpu < 8).then(|| format!("{},{}", cpu % 4, cpu % 4 + 4));
    for (list, cores) in [("0-7", 4), ("0,4\n", 1), ("\t1-2,6", 2), ("3", 1), ("7-9", 0), ("", 0)] {
        assert_eq!(physical_cores(list, siblings), cores, "{list:?}");
    }
}
