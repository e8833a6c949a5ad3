//! Comparison of matrix products with two other Rust libraries, on one thread, on shapes of training and prediction.
//!
//! `cargo bench --manifest-path crates/hornbeam-kernels/benches/Cargo.toml --features compare -- [part of a name]`. Names
//! contain `m x n x k` of an `m x n` result, with a `'` after a transposed operand.

use std::hint::black_box;
use std::time::Duration;

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use hornbeam_kernel_benchmarks::{time, values};
use hornbeam_kernels::dtype::bf16;
use hornbeam_kernels::gemm::{gemm, Epilogue, GemmElement, Mat};
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::scratch::Scratch;

struct Shape {
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    /// True for transposed A and B.
    transposed: [bool; 2],
}

const fn shape(batch: usize, [m, n, k]: [usize; 3], transposed: [bool; 2]) -> Shape {
    Shape { batch, m, n, k, transposed }
}

const PLAIN: [bool; 2] = [false, false];
const LHS: [bool; 2] = [true, false];
const RHS: [bool; 2] = [false, true];

const SHAPES: &[(&str, &[Shape])] = &[
    ("square", &[shape(1, [256, 256, 256], PLAIN), shape(1, [1024, 1024, 1024], PLAIN)]),
    (
        "tutorial dense",
        &[shape(1, [128, 128, 9216], PLAIN), shape(1, [128, 9216, 128], RHS), shape(1, [9216, 128, 128], LHS)],
    ),
    (
        "MLP",
        &[
            shape(1, [128, 512, 784], PLAIN),
            shape(1, [784, 512, 128], LHS),
            shape(1, [128, 512, 512], PLAIN),
            shape(1, [128, 512, 512], RHS),
            shape(1, [512, 512, 128], LHS),
        ],
    ),
    ("LSTM", &[shape(1, [2560, 512, 128], PLAIN), shape(1, [128, 512, 2560], LHS), shape(1, [2560, 128, 512], RHS)]),
    ("one row", &[shape(1, [1, 128, 9216], PLAIN), shape(1, [1, 512, 784], PLAIN), shape(1, [1, 1024, 1024], RHS)]),
    ("few rows", &[shape(1, [8, 512, 784], PLAIN), shape(1, [32, 512, 784], PLAIN), shape(1, [8, 1024, 1024], PLAIN)]),
    ("small batched", &[shape(8, [64, 64, 64], PLAIN), shape(8, [64, 64, 64], RHS)]),
    (
        "narrow",
        &[
            shape(1, [128, 10, 128], PLAIN),
            shape(1, [128, 128, 10], RHS),
            shape(1, [128, 10, 128], LHS),
            shape(1, [512, 1, 512], PLAIN),
        ],
    ),
];

/// Row and column strides of a matrix `rows x cols`.
fn strides(rows: usize, cols: usize, transposed: bool) -> [isize; 2] {
    if transposed {
        [1, rows as isize]
    } else {
        [cols as isize, 1]
    }
}

fn hornbeam_gemm<T: GemmElement>(s: &Shape, a: &[T], b: &[T], c: &mut [T], scratch: &mut Scratch, pool: &ThreadPool) {
    let mat = |rows, cols, transposed| {
        let [row, col] = strides(rows, cols, transposed);
        Mat { offset: 0, rows: row, cols: col, batch: (rows * cols) as isize }
    };
    let (am, bm) = (mat(s.m, s.k, s.transposed[0]), mat(s.k, s.n, s.transposed[1]));
    gemm(pool, s.batch, s.m, s.n, s.k, a, am, b, bm, c, Epilogue::default(), scratch);
}

/// Calls `body` with pointers to the matrices of every product of the batch and their strides.
fn for_each_product(
    s: &Shape,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    body: impl Fn(*const f32, [isize; 2], *const f32, [isize; 2], *mut f32),
) {
    let (lhs, rhs) = (strides(s.m, s.k, s.transposed[0]), strides(s.k, s.n, s.transposed[1]));
    for l in 0..s.batch {
        body(a[l * s.m * s.k..].as_ptr(), lhs, b[l * s.k * s.n..].as_ptr(), rhs, c[l * s.m * s.n..].as_mut_ptr());
    }
}

fn products(criterion: &mut Criterion) {
    let (pool, mut scratch) = (ThreadPool::new(1), Scratch::new());
    for (class, shapes) in SHAPES {
        let mut group = criterion.benchmark_group(*class);
        group.sample_size(10).warm_up_time(Duration::from_millis(50)).measurement_time(Duration::from_millis(300));
        for s in *shapes {
            let marks = s.transposed.map(|t| if t { "'" } else { "" });
            let batch = if s.batch > 1 { format!("{} x ", s.batch) } else { String::new() };
            let name = format!("{batch}a{} b{} {}x{}x{}", marks[0], marks[1], s.m, s.n, s.k);
            let (a, b) = (values(s.batch * s.m * s.k), values(s.batch * s.k * s.n));
            let mut c = vec![0.0; s.batch * s.m * s.n];
            group.throughput(Throughput::Elements(2 * (s.batch * s.m * s.n * s.k) as u64));
            group.bench_function(format!("{name}/hornbeam"), |bench| {
                bench
                    .iter_custom(|calls| time(1, calls, || hornbeam_gemm(s, &a, &b, black_box(&mut c), &mut scratch, &pool)))
            });
            group.bench_function(format!("{name}/gemm"), |bench| {
                bench.iter_custom(|calls| {
                    time(1, calls, || {
                        // SAFETY: the matrices lie within their slices.
                        for_each_product(s, &a, &b, black_box(&mut c), |a, [ar, ac], b, [br, bc], c| unsafe {
                            let serial = gemm::Parallelism::None;
                            let (n, row) = (s.n, s.n as isize);
                            gemm::gemm(
                                s.m, n, s.k, c, 1, row, false, a, ac, ar, b, bc, br, 0.0, 1.0, false, false, false,
                                serial,
                            )
                        })
                    })
                })
            });
            group.bench_function(format!("{name}/matrixmultiply"), |bench| {
                bench.iter_custom(|calls| {
                    time(1, calls, || {
                        // SAFETY: as above.
                        for_each_product(s, &a, &b, black_box(&mut c), |a, [ar, ac], b, [br, bc], c| unsafe {
                            matrixmultiply::sgemm(s.m, s.k, s.n, 1.0, a, ar, ac, b, br, bc, 0.0, c, s.n as isize, 1)
                        })
                    })
                })
            });
            let narrow = |wide: &[f32]| wide.iter().map(|v| bf16::from_f32(*v)).collect::<Vec<_>>();
            let (a, b, mut c) = (narrow(&a), narrow(&b), narrow(&c));
            group.bench_function(format!("{name}/hornbeam bfloat16"), |bench| {
                bench
                    .iter_custom(|calls| time(1, calls, || hornbeam_gemm(s, &a, &b, black_box(&mut c), &mut scratch, &pool)))
            });
        }
        group.finish();
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
