//! Products, convolutions, attention, recurrent layers and memory-bound kernels on the shapes of small networks.
//!
//! `cargo bench --manifest-path crates/hornbeam-kernels/benches/Cargo.toml --bench kernels -- [part of a name]`.
//! `HORNBEAM_ISA` selects the instruction set, `BENCH_THREADS` the number of threads (1 by default). Throughput is in
//! FLOP/s; convolutions count the multiplications of their definition, whatever the algorithm saves. Memory-bound kernels
//! count elements.

use std::hint::black_box;
use std::time::Duration;

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use hornbeam_kernel_benchmarks::{time, values};
use hornbeam_kernels::attention::{Attention, AttentionElement, AttentionGrad, AttentionShape};
use hornbeam_kernels::conv::{conv_forward, conv_input_grad, conv_kernel_grad, ConvShape};
use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{binary_with, unary, Binary, Unary};
use hornbeam_kernels::gemm::{gemm, Activation, Epilogue, Mat};
use hornbeam_kernels::norm::layer_norm;
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::reduce::{reduce, Reduce};
use hornbeam_kernels::rnn::{Lstm, LstmGrad, RnnElement, SequenceShape};
use hornbeam_kernels::scratch::Scratch;
use hornbeam_kernels::softmax::{softmax, sparse_softmax_cross_entropy_grad};
use hornbeam_kernels::window::{max_pool, max_pool_scatter, PoolShape};

struct Bench<'a> {
    criterion: &'a mut Criterion,
    pool: ThreadPool,
    scratch: Scratch,
}

impl<'a> Bench<'a> {
    fn new(criterion: &'a mut Criterion) -> Self {
        let threads = std::env::var("BENCH_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
        Self { criterion, pool: ThreadPool::new(threads), scratch: Scratch::new() }
    }

    fn run(&mut self, group: &str, name: &str, work: usize, mut body: impl FnMut(&ThreadPool, &mut Scratch)) {
        let (pool, scratch) = (&self.pool, &mut self.scratch);
        let mut group = self.criterion.benchmark_group(group);
        group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
        group.throughput(Throughput::Elements(work as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|calls| time(pool.threads(), calls, || body(pool, scratch)));
        });
        group.finish();
    }

    fn product(&mut self, group: &str, [m, n, k]: [usize; 3], transposed: [bool; 2]) {
        let marks = transposed.map(|t| if t { "'" } else { "" });
        let (a, b, mut c) = (values(m * k), values(k * n), vec![0.0; m * n]);
        let am = if transposed[0] { Mat::transposed(m, m) } else { Mat::row_major(m, k) };
        let bm = if transposed[1] { Mat::transposed(k, k) } else { Mat::row_major(k, n) };
        let name = format!("a{} b{} {m}x{n}x{k}", marks[0], marks[1]);
        self.run(group, &name, 2 * m * n * k, |pool, scratch| {
            gemm(pool, 1, m, n, k, &a, am, &b, bm, black_box(&mut c), Epilogue::default(), scratch)
        });
    }

    fn conv(&mut self, group: &str, name: &str, shape: &ConvShape) {
        let (x, w, dy) = (values(shape.input_len()), values(shape.kernel_len()), values(shape.output_len()));
        let (mut y, mut dx, mut dw, bias) = (dy.clone(), x.clone(), w.clone(), values(shape.out_channels));
        let work = 2 * shape.work();
        let epilogue = Epilogue { bias: Some(&bias[..]), activation: Activation::RELU, accumulate: false };
        self.run(group, &format!("{name} forward"), work, |pool, scratch| {
            conv_forward(pool, shape, &x, &w, black_box(&mut y), epilogue, scratch)
        });
        self.run(group, &format!("{name} input gradient"), work, |pool, scratch| {
            conv_input_grad(pool, shape, &dy, &w, black_box(&mut dx), scratch)
        });
        self.run(group, &format!("{name} kernel gradient"), work, |pool, scratch| {
            conv_kernel_grad(pool, shape, &x, &dy, black_box(&mut dw), scratch)
        });
    }

    fn attention(&mut self, shape: &AttentionShape) {
        let AttentionShape { batch, heads, queries, keys, depth, width, .. } = *shape;
        let rows = batch * heads;
        let [q, k, v] = [queries * depth, keys * depth, keys * width].map(|n| values(rows * n));
        let dout = values(rows * queries * width);
        let (mut out, mut row_max, mut row_sum) =
            (dout.clone(), vec![0.0; rows * queries], vec![0.0; rows * queries]);
        let (mut dq, mut dk, mut dv) = (q.clone(), k.clone(), v.clone());
        let name = format!("{batch}x{heads}x{queries}x{keys}x{depth}");
        let work = 2 * rows * queries * keys * (depth + width);
        self.run("attention", &format!("{name} forward"), work, |pool, _| {
            let (out, row_max, row_sum) = (black_box(&mut out[..]), &mut row_max[..], &mut row_sum[..]);
            f32::attention(pool, shape, Attention { q: &q, k: &k, v: &v, bias: None, dropout: None, out, row_max, row_sum })
        });
        self.run("attention", &format!("{name} backward"), 5 * work / 2, |pool, _| {
            let (dq, dk, dv) = (black_box(&mut dq[..]), &mut dk[..], &mut dv[..]);
            let (out, row_max, row_sum, dout) = (&out[..], &row_max[..], &row_sum[..], &dout[..]);
            let (q, k, v) = (&q[..], &k[..], &v[..]);
            let grad =
                AttentionGrad { q, k, v, bias: None, dropout: None, out, row_max, row_sum, dout, dq, dk, dv, dbias: None };
            f32::attention_grad(pool, shape, grad)
        });
    }

    fn lstm(&mut self, shape: &SequenceShape) {
        let SequenceShape { batch, steps, units, .. } = *shape;
        let (all, wide) = (batch * steps * units, 4 * batch * steps * units);
        let small = |n: usize| values(n).iter().map(|v| 0.1 * v).collect::<Vec<f32>>();
        let (x, w, zeros) = (small(wide), small(4 * units * units), vec![0.0; batch * units]);
        let (mut h, mut c, mut gates, mut dx) = (vec![0.0; all], vec![0.0; all], vec![0.0; wide], vec![0.0; wide]);
        let (mut dh0, mut dc0, last) = (zeros.clone(), zeros.clone(), small(batch * units));
        let name = format!("{batch}x{steps}x{units}");
        self.run("LSTM", &format!("{name} forward"), 8 * all * units, |pool, scratch| {
            let (h, c, gates) = (&mut h[..], &mut c[..], Some(black_box(&mut gates[..])));
            f32::lstm(pool, shape, Lstm { x: &x, w: &w, h0: &zeros, c0: &zeros, mask: None, h, c, gates }, scratch)
        });
        self.run("LSTM", &format!("{name} backward"), 8 * all * units, |pool, scratch| {
            let (dx, dh0, dc0) = (black_box(&mut dx[..]), &mut dh0[..], &mut dc0[..]);
            let (dh_last, dc_last) = (&last[..], &zeros[..]);
            let (c0, c, gates) = (&zeros[..], &c[..], &gates[..]);
            let grad = LstmGrad { w: &w, c0, c, gates, dh_last, dc_last, dh: None, mask: None, dx, dh0, dc0 };
            f32::lstm_grad(pool, shape, grad, scratch)
        });
    }

    fn elementwise(&mut self, n: usize) {
        let (a, b, mut y) = (values(n), values(n), vec![0f32; n]);
        for (op, scalars) in [
            (Binary::Add, [false, false]),
            (Binary::Add, [false, true]),
            (Binary::Max, [true, false]),
            (Binary::Div, [false, true]),
        ] {
            let kernel = binary_with(op, DType::F32, scalars).expect("defined for floats");
            let kinds = scalars.map(|scalar| if scalar { "scalar" } else { "array" });
            let name = format!("{} {} {} {n}", op.name(), kinds[0], kinds[1]);
            self.run("elementwise", &name, n, |_, _| {
                let (a, b, y) = (a.as_ptr().cast(), b.as_ptr().cast(), black_box(&mut y).as_mut_ptr().cast());
                // SAFETY: all operands have `n` elements.
                unsafe { kernel(a, b, y, n) }
            });
        }
        let exp = unary(Unary::Exp, DType::F32).expect("defined for floats");
        self.run("elementwise", &format!("exp {n}"), n, |_, _| {
            // SAFETY: both operands have `n` elements.
            unsafe { exp(a.as_ptr().cast(), black_box(&mut y).as_mut_ptr().cast(), n) }
        });
    }

    fn reductions(&mut self, [rows, columns]: [usize; 2]) {
        let x = values(rows * columns);
        // SAFETY: floats are plain data.
        let x = unsafe { std::slice::from_raw_parts(x.as_ptr().cast::<u8>(), 4 * x.len()) };
        for axis in [0, 1] {
            let mut y = vec![0f32; [columns, rows][axis]];
            // SAFETY: floats are plain data, of which any bit pattern is valid.
            let y = unsafe { std::slice::from_raw_parts_mut(y.as_mut_ptr().cast::<u8>(), 4 * y.len()) };
            for op in [Reduce::Sum, Reduce::Max] {
                let name = format!("{} {rows}x{columns} axis {axis}", op.name());
                self.run("reduce", &name, rows * columns, |pool, _| {
                    reduce(pool, op, DType::F32, x, &[rows, columns], &[axis], black_box(&mut *y))
                });
            }
        }
    }

    fn rows(&mut self, [rows, n]: [usize; 2]) {
        let (x, ct, mut y) = (values(rows * n), values(rows), vec![0.0; rows * n]);
        let labels: Vec<i32> = (0..rows).map(|row| (row % n) as i32).collect();
        self.run("rows", &format!("softmax {rows}x{n}"), rows * n, |pool, _| {
            softmax(pool, rows, n, &x, black_box(&mut y))
        });
        self.run("rows", &format!("sparse cross-entropy gradient {rows}x{n}"), rows * n, |pool, _| {
            sparse_softmax_cross_entropy_grad(pool, rows, n, &x, &labels, &ct, black_box(&mut y))
        });
        self.run("rows", &format!("layer_norm {rows}x{n}"), rows * n, |pool, _| {
            layer_norm(pool, rows, n, &x, &x[..n], &x[..n], 1e-3, black_box(&mut y))
        });
    }

    fn pooling(&mut self) {
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
        self.run("pooling", "max 24x24x64 2x2", x.len(), |pool, _| max_pool(pool, &shape, &x, black_box(&mut y)));
        self.run("pooling", "max 24x24x64 2x2 gradient", x.len(), |pool, _| {
            max_pool_scatter(pool, &shape, &x, &y, black_box(&mut dx))
        });
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

fn products(criterion: &mut Criterion) {
    let mut bench = Bench::new(criterion);
    for side in [256, 512, 1024, 2048] {
        bench.product("square", [side; 3], [false; 2]);
    }
    bench.product("square", [1024; 3], [true, false]);
    bench.product("square", [1024; 3], [false, true]);
    for (shape, transposed) in [
        ([128, 128, 9216], [false; 2]),
        ([128, 9216, 128], [false, true]),
        ([9216, 128, 128], [true, false]),
        ([128, 10, 128], [false; 2]),
        ([512, 512, 128], [false; 2]),
    ] {
        bench.product("dense", shape, transposed);
    }
    for (shape, transposed) in [
        ([1, 128, 9216], [false; 2]),
        ([1, 1024, 1024], [false; 2]),
        ([1, 1024, 1024], [false, true]),
        ([8, 1024, 1024], [false; 2]),
    ] {
        bench.product("few rows", shape, transposed);
    }
    for (shape, transposed) in [
        ([2560, 512, 128], [false; 2]),
        ([2560, 128, 512], [false, true]),
        ([128, 512, 2560], [true, false]),
        ([256, 512, 2560], [true, false]),
    ] {
        bench.product("LSTM products", shape, transposed);
    }
}

fn convolutions(criterion: &mut Criterion) {
    let mut bench = Bench::new(criterion);
    bench.conv("tutorial", "28x28x1 -> 32, 3x3", &valid(128, 28, 3, [1, 32]));
    bench.conv("tutorial", "26x26x32 -> 64, 3x3", &valid(128, 26, 3, [32, 64]));
    bench.conv("tutorial", "26x26x32 -> 64, 3x3, one image", &valid(1, 26, 3, [32, 64]));
    bench.conv("ResNet-20", "32x32x3 -> 16, 3x3", &same(128, 32, 3, 1, [3, 16]));
    bench.conv("ResNet-20", "32x32x16 -> 16, 3x3", &same(128, 32, 3, 1, [16, 16]));
    bench.conv("ResNet-20", "32x32x16 -> 32, 3x3 / 2", &same(128, 32, 3, 2, [16, 32]));
    bench.conv("ResNet-20", "32x32x16 -> 32, 1x1 / 2", &same(128, 32, 1, 2, [16, 32]));
    bench.conv("ResNet-20", "16x16x32 -> 32, 3x3", &same(128, 16, 3, 1, [32, 32]));
    bench.conv("ResNet-20", "8x8x64 -> 64, 3x3", &same(128, 8, 3, 1, [64, 64]));
    bench.conv("few channels", "224x224x3 -> 64, 7x7 / 2", &same(8, 224, 7, 2, [3, 64]));
    bench.conv("few channels", "224x224x3 -> 96, 4x4 / 4", &same(8, 224, 4, 4, [3, 96]));
    bench.conv("few channels", "64x64x64 -> 1, 3x3", &same(8, 64, 3, 1, [64, 1]));
    bench.conv("few channels", "64x64x64 -> 12, 3x3", &same(4, 64, 3, 1, [64, 12]));
    bench.conv("other convolutions", "56x56x64 -> 64, 1x1", &same(8, 56, 1, 1, [64, 64]));
    bench.conv("other convolutions", "14x14x256 -> 256, 3x3", &same(8, 14, 3, 1, [256, 256]));
    let depthwise = ConvShape { groups: 96, ..same(32, 28, 3, 1, [96, 96]) };
    bench.conv("other convolutions", "28x28x96 depthwise 3x3", &depthwise);
}

fn layers(criterion: &mut Criterion) {
    let mut bench = Bench::new(criterion);
    bench.lstm(&SequenceShape { batch: 32, steps: 80, units: 128, reverse: false });
    for (queries, depth) in [(128, 64), (512, 64)] {
        let scale = 1.0 / (depth as f64).sqrt();
        bench.attention(&AttentionShape { batch: 2, heads: 4, key_heads: 4, queries, keys: queries, depth, width: depth, scale, causal: false });
    }
    bench.pooling();
}

fn memory_bound(criterion: &mut Criterion) {
    let mut bench = Bench::new(criterion);
    for n in [1024, 65_536] {
        bench.elementwise(n);
    }
    for shape in [[128, 10], [128, 1000], [20_000, 64]] {
        bench.reductions(shape);
    }
    for shape in [[128, 10], [128, 1000]] {
        bench.rows(shape);
    }
}

criterion_group!(benches, products, convolutions, layers, memory_bound);
criterion_main!(benches);
