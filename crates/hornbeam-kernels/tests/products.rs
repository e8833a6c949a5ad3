//! Comparison of matrix products with a plain loop, over generated shapes, layouts and epilogues.

use hornbeam_kernels::gemm::{gemm, Activation, Epilogue, Mat};
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::scratch::Scratch;
use hornbeam_kernels::simd::{with_isa, Isa};
use proptest::prelude::*;

/// Layout of an operand of `batch` matrices, and its number of elements.
fn layout(batch: usize, rows: usize, cols: usize) -> impl Strategy<Value = (Mat, usize)> {
    (any::<bool>(), 0usize..4, 0usize..6, prop_oneof![3 => Just(false), 1 => Just(true)]).prop_map(
        move |(transposed, gap, offset, repeated)| {
            let (lines, length) = if transposed { (cols, rows) } else { (rows, cols) };
            let stride = (length + gap) as isize;
            let batch_stride = if repeated { 0 } else { lines * (length + gap) };
            let (row, col) = if transposed { (1, stride) } else { (stride, 1) };
            let mat = Mat { offset, rows: row, cols: col, batch: batch_stride as isize };
            (mat, offset + batch * lines * (length + gap) + 1)
        },
    )
}

#[derive(Debug)]
struct Case {
    size: [usize; 4],
    a: (Mat, usize),
    b: (Mat, usize),
    bias: bool,
    relu: bool,
    accumulate: bool,
    seed: u32,
}

fn case() -> impl Strategy<Value = Case> {
    // Sides of one, sides about a tile, sides of several blocks.
    let side = || prop_oneof![1 => Just(1usize), 4 => 1usize..40, 1 => 100usize..300];
    (1usize..4, side(), side(), prop_oneof![4 => 0usize..40, 1 => 200usize..600])
        .prop_flat_map(|(batch, m, n, k)| {
            let epilogues = (any::<bool>(), any::<bool>(), any::<bool>(), any::<u32>());
            (Just([batch, m, n, k]), layout(batch, m, k), layout(batch, k, n), epilogues)
        })
        .prop_map(|(size, a, b, (bias, relu, accumulate, seed))| Case { size, a, b, bias, relu, accumulate, seed })
}

fn values(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let [batch, m, n, k] = case.size;
    let ((am, a_len), (bm, b_len)) = (case.a, case.b);
    let (a, b) = (values(a_len, case.seed), values(b_len, case.seed ^ 0x55));
    let (bias, before) = (values(n, 7), values(batch * m * n, 9));
    let epilogue = Epilogue {
        bias: case.bias.then_some(&bias[..]),
        activation: if case.relu { Activation::RELU } else { Activation::None },
        accumulate: case.accumulate,
    };
    let run = |threads: usize| {
        let mut c = before.clone();
        gemm(&ThreadPool::new(threads), batch, m, n, k, &a, am, &b, bm, &mut c, epilogue, &mut Scratch::new());
        c
    };
    let c = run(1);
    prop_assert_eq!(&c, &run(3), "threads change the bits");
    let at = |mat: &Mat, l: usize, i: usize, j: usize| {
        (mat.offset as isize + l as isize * mat.batch + i as isize * mat.rows + j as isize * mat.cols) as usize
    };
    for (index, got) in c.iter().enumerate() {
        let (l, i, j) = (index / (m * n), index / n % m, index % n);
        let (mut sum, mut size) = (0.0, 0.0);
        let mut add = |term: f64| {
            sum += term;
            size += term.abs();
        };
        for p in 0..k {
            add(f64::from(a[at(&am, l, i, p)]) * f64::from(b[at(&bm, l, p, j)]));
        }
        if case.accumulate {
            add(f64::from(before[index]));
        }
        if case.bias {
            add(f64::from(bias[j]));
        }
        let want = if case.relu { sum.max(0.0) } else { sum };
        // Bound of twenty roundings: far below the worst case of k, far above the error of blocked sums.
        let bound = 20.0 * size * f64::from(f32::EPSILON / 2.0);
        prop_assert!((f64::from(*got) - want).abs() <= bound, "{got} for {want} at {l}, {i}, {j}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn products_agree_with_a_plain_loop(case in case()) {
        for isa in Isa::available() {
            with_isa(isa, || check(&case))?;
        }
    }
}
