//! GFLOP/s of products and convolutions on the shapes of small networks, and their share of the machine's peak.
//!
//! `cargo run --release -p hornbeam-kernels --example kernels [threads] [part of a name]`; `HORNBEAM_ISA` picks an instruction set.
//! Convolutions are counted by the multiplications of their definition, whatever the algorithm saves.

use hornbeam_kernels::conv::{conv_forward, conv_input_grad, conv_kernel_grad, ConvShape};
use hornbeam_kernels::gemm::{gemm, Activation, Epilogue, Mat};
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::rnn::{Lstm, LstmGrad, RnnElement, SequenceShape};
use hornbeam_kernels::scratch::Scratch;
use hornbeam_kernels::simd::isa;
use hornbeam_kernels::softmax::softmax;
use hornbeam_kernels::window::{max_pool, max_pool_scatter, PoolShape};
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;

/// Seconds on a clock that stands still while this thread does not run, where there is one; other work on the machine
/// then disturbs a single thread's figures less. With more threads, wall time.
fn now(threads: usize) -> f64 {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    if threads == 1 {
        extern "C" {
            fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
        }
        const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
        let mut time = [0; 2];
        // SAFETY: `time` has the layout of `timespec` on 64-bit Linux.
        if unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) } == 0 {
            return time[0] as f64 + time[1] as f64 * 1e-9;
        }
    }
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// A product that never leaves its first-level cache: what one core can do at this moment.
struct Probe {
    pool: ThreadPool,
    scratch: Scratch,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Probe {
    const M: usize = 28;
    const N: usize = 32;
    const K: usize = 192;

    fn new() -> Self {
        let (a, b) = (values(Self::M * Self::K), values(Self::K * Self::N));
        let c = vec![0.0; Self::M * Self::N];
        Self { pool: ThreadPool::new(1), scratch: Scratch::new(), a, b, c }
    }

    /// FLOP/s over about 50 microseconds.
    fn rate(&mut self) -> f64 {
        let (m, n, k) = (Self::M, Self::N, Self::K);
        let (am, bm) = (Mat::transposed(m, m), Mat::row_major(k, n));
        let start = now(1);
        for _ in 0..16 {
            let c = black_box(&mut self.c[..]);
            gemm(&self.pool, 1, m, n, k, &self.a, am, &self.b, bm, c, Epilogue::default(), &mut self.scratch);
        }
        32.0 * (m * n * k) as f64 / (now(1) - start)
    }
}

/// Seconds a call takes (the best of several), and its median rate relative to probes before and after, for `flops`
/// a call: clocks change, and virtual cores share real ones, from one moment to the next.
fn time(probe: &mut Probe, threads: usize, flops: f64, mut body: impl FnMut()) -> (f64, f64) {
    body();
    let start = now(threads);
    body();
    let calls = (1e-3 / (now(threads) - start).max(1e-7)).clamp(1.0, 10_000.0) as usize;
    let (mut best, mut shares) = (f64::MAX, vec![]);
    let begin = Instant::now();
    while shares.len() < 9 || (shares.len() < 41 && begin.elapsed().as_secs_f64() < 0.3) {
        let before = probe.rate();
        let start = now(threads);
        for _ in 0..calls {
            body();
        }
        let seconds = (now(threads) - start) / calls as f64;
        let after = probe.rate();
        best = best.min(seconds);
        shares.push(flops / seconds / (0.5 * (before + after)));
    }
    shares.sort_by(f64::total_cmp);
    (best, shares[shares.len() / 2])
}

fn values(n: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

struct Bench {
    pool: ThreadPool,
    scratch: Scratch,
    probe: Probe,
    filter: String,
}

impl Bench {
    fn report(&mut self, name: &str, flops: f64, body: &mut dyn FnMut(&ThreadPool, &mut Scratch)) {
        if !name.contains(&self.filter) {
            return;
        }
        let (pool, scratch) = (&self.pool, &mut self.scratch);
        let (seconds, share) = time(&mut self.probe, pool.threads(), flops, || body(pool, scratch));
        let share = 100.0 * share / pool.threads() as f64;
        println!("{name:44} {:9.1} us {:8.1} GFLOP/s {share:4.0} %", seconds * 1e6, flops / seconds / 1e9);
    }

    fn product(&mut self, [m, n, k]: [usize; 3], transposed: [bool; 2]) {
        let marks = transposed.map(|t| if t { "'" } else { "" });
        let name = format!("product a{} b{} {m} x {n} x {k}", marks[0], marks[1]);
        if !name.contains(&self.filter) {
            return;
        }
        let (a, b, mut c) = (values(m * k), values(k * n), vec![0.0; m * n]);
        let am = if transposed[0] { Mat::transposed(m, m) } else { Mat::row_major(m, k) };
        let bm = if transposed[1] { Mat::transposed(k, k) } else { Mat::row_major(k, n) };
        self.report(&name, 2.0 * (m * n * k) as f64, &mut |pool, scratch| {
            gemm(pool, 1, m, n, k, &a, am, &b, bm, black_box(&mut c), Epilogue::default(), scratch)
        });
    }

    fn conv(&mut self, name: &str, shape: &ConvShape) {
        let directions = ["forward", "input gradient", "kernel gradient"].map(|d| format!("{name} {d}"));
        if !directions.iter().any(|d| d.contains(&self.filter)) {
            return;
        }
        let x = values(shape.input_len());
        let w = values(shape.kernel_len());
        let mut y = values(shape.output_len());
        let bias = values(shape.out_channels);
        let (mut dx, mut dw) = (x.clone(), w.clone());
        let dy = y.clone();
        let flops = 2.0 * shape.work() as f64;
        let epilogue = Epilogue { bias: Some(&bias[..]), activation: Activation::Relu, accumulate: false };
        self.report(&directions[0], flops, &mut |pool, scratch| {
            conv_forward(pool, shape, &x, &w, black_box(&mut y), epilogue, scratch)
        });
        self.report(&directions[1], flops, &mut |pool, scratch| {
            conv_input_grad(pool, shape, &dy, &w, black_box(&mut dx), scratch)
        });
        self.report(&directions[2], flops, &mut |pool, scratch| {
            conv_kernel_grad(pool, shape, &x, &dy, black_box(&mut dw), scratch)
        });
    }

    fn lstm(&mut self, shape: &SequenceShape) {
        let SequenceShape { batch, steps, units, .. } = *shape;
        let name = format!("lstm {batch} x {steps} x {units}");
        if !name.contains(&self.filter) {
            return;
        }
        let (all, wide) = (batch * steps * units, 4 * batch * steps * units);
        let small = |n: usize| values(n).iter().map(|v| 0.1 * v).collect::<Vec<f32>>();
        let (x, w, zeros) = (small(wide), small(4 * units * units), vec![0.0; batch * units]);
        let (mut h, mut c, mut gates, mut dx) = (vec![0.0; all], vec![0.0; all], vec![0.0; wide], vec![0.0; wide]);
        let (mut dh0, mut dc0, last) = (zeros.clone(), zeros.clone(), small(batch * units));
        let flops = (8 * all * units) as f64;
        self.report(&name, flops, &mut |pool, scratch| {
            let (h, c, gates) = (&mut h[..], &mut c[..], Some(black_box(&mut gates[..])));
            f32::lstm(pool, shape, Lstm { x: &x, w: &w, h0: &zeros, c0: &zeros, mask: None, h, c, gates }, scratch)
        });
        self.report(&format!("{name} back"), flops, &mut |pool, scratch| {
            let (dx, dh0, dc0) = (black_box(&mut dx[..]), &mut dh0[..], &mut dc0[..]);
            let (dh_last, dc_last) = (&last[..], &zeros[..]);
            let (c0, c, gates) = (&zeros[..], &c[..], &gates[..]);
            let grad = LstmGrad { w: &w, c0, c, gates, dh_last, dc_last, dh: None, mask: None, dx, dh0, dc0 };
            f32::lstm_grad(pool, shape, grad, scratch)
        });
    }

    fn others(&mut self) {
        let shape = PoolShape {
            batch: 128,
            input: [1, 24, 24],
            output: [1, 12, 12],
            window: [1, 2, 2],
            strides: [1, 2, 2],
            pad: [0; 3],
            channels: 64,
        };
        let x = values(shape.input_len());
        let (mut y, mut dx) = (vec![0.0; shape.output_len()], x.clone());
        let mut p = vec![0.0; 1280];
        // Counted by the elements read: their share says nothing.
        self.report("max_pool 24 x 24 x 64, 2 x 2", x.len() as f64, &mut |pool, _| {
            max_pool(pool, &shape, &x, black_box(&mut y))
        });
        self.report("its gradient", x.len() as f64, &mut |pool, _| {
            max_pool_scatter(pool, &shape, &x, &y, black_box(&mut dx))
        });
        self.report("softmax 128 x 10", 1280.0, &mut |pool, _| softmax(pool, 128, 10, &x[..1280], black_box(&mut p)));
    }
}

fn same(batch: usize, side: usize, kernel: usize, stride: usize, channels: [usize; 2]) -> ConvShape {
    let out = side.div_ceil(stride);
    let pad = ((out - 1) * stride + kernel).saturating_sub(side) / 2;
    ConvShape {
        batch,
        input: [1, side, side],
        output: [1, out, out],
        kernel: [1, kernel, kernel],
        strides: [1, stride, stride],
        dilation: [1; 3],
        pad: [0, pad, pad],
        in_channels: channels[0],
        out_channels: channels[1],
        groups: 1,
    }
}

fn valid(batch: usize, side: usize, kernel: usize, channels: [usize; 2]) -> ConvShape {
    let out = side - kernel + 1;
    ConvShape { output: [1, out, out], pad: [0; 3], ..same(batch, side, kernel, 1, channels) }
}

fn main() {
    let threads = std::env::args().nth(1).and_then(|t| t.parse().ok()).unwrap_or(1);
    let filter = std::env::args().nth(2).unwrap_or_default();
    let mut probe = Probe::new();
    let peak = (0..200).map(|_| probe.rate()).fold(0.0, f64::max);
    println!("{}, {threads} threads, best rate of one core {:.1} GFLOP/s", isa().name(), peak / 1e9);
    let mut bench = Bench { pool: ThreadPool::new(threads), scratch: Scratch::new(), probe, filter };

    for side in [256, 512, 1024, 2048] {
        bench.product([side; 3], [false; 2]);
    }
    bench.product([1024; 3], [true, false]);
    bench.product([1024; 3], [false, true]);
    println!("dense layers of the tutorial net, forward and both gradients");
    bench.product([128, 128, 9216], [false; 2]);
    bench.product([128, 9216, 128], [false, true]);
    bench.product([9216, 128, 128], [true, false]);
    bench.product([128, 10, 128], [false; 2]);
    bench.product([1, 128, 9216], [false; 2]);
    bench.product([512, 512, 128], [false; 2]);
    bench.product([1, 1024, 1024], [false; 2]);
    bench.product([1, 1024, 1024], [false, true]);
    bench.product([8, 1024, 1024], [false; 2]);
    println!("convolutions of the tutorial net");
    bench.conv("28 x 28 x 1 -> 32, 3 x 3", &valid(128, 28, 3, [1, 32]));
    bench.conv("26 x 26 x 32 -> 64, 3 x 3", &valid(128, 26, 3, [32, 64]));
    bench.conv("one image of it", &valid(1, 26, 3, [32, 64]));
    println!("ResNet-20");
    bench.conv("32 x 32 x 3 -> 16, 3 x 3", &same(128, 32, 3, 1, [3, 16]));
    bench.conv("32 x 32 x 16 -> 16, 3 x 3", &same(128, 32, 3, 1, [16, 16]));
    bench.conv("32 x 32 x 16 -> 32, 3 x 3 / 2", &same(128, 32, 3, 2, [16, 32]));
    bench.conv("32 x 32 x 16 -> 32, 1 x 1 / 2", &same(128, 32, 1, 2, [16, 32]));
    bench.conv("16 x 16 x 32 -> 32, 3 x 3", &same(128, 16, 3, 1, [32, 32]));
    bench.conv("8 x 8 x 64 -> 64, 3 x 3", &same(128, 8, 3, 1, [64, 64]));
    println!("a text classifier of 80 steps: the cells, and the products before and behind them");
    bench.lstm(&SequenceShape { batch: 32, steps: 80, units: 128, reverse: false });
    bench.product([2560, 512, 128], [false; 2]);
    bench.product([2560, 128, 512], [false, true]);
    bench.product([128, 512, 2560], [true, false]);
    bench.product([256, 512, 2560], [true, false]);
    println!("others");
    bench.conv("56 x 56 x 64 -> 64, 1 x 1", &same(8, 56, 1, 1, [64, 64]));
    bench.conv("14 x 14 x 256 -> 256, 3 x 3", &same(8, 14, 3, 1, [256, 256]));
    bench.conv("28 x 28 x 96 depthwise 3 x 3", &ConvShape { groups: 96, ..same(32, 28, 3, 1, [96, 96]) });
    bench.others();
}
