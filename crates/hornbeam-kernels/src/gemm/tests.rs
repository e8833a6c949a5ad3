use super::*;
use crate::dtype::DType;
use crate::simd::{on_each_isa, with_isa, Isa};
use crate::testing::{cases, guarded, Random};
use proptest::prelude::*;

/// Computes `[batch, m, n]` in f64, and the sums of magnitudes for error bounds.
fn reference<T: Element>(
    [batch, m, n, k]: [usize; 4],
    a: &[T],
    am: Mat,
    b: &[T],
    bm: Mat,
    before: &[T],
    epilogue: Epilogue<T>,
) -> (Vec<f64>, Vec<f64>) {
    let (mut out, mut scale) = (vec![], vec![]);
    for l in 0..batch as isize {
        for i in 0..m as isize {
            for j in 0..n as isize {
                let (mut sum, mut size) = (0.0, 0.0);
                for p in 0..k as isize {
                    let x = a[(am.offset as isize + l * am.batch + i * am.rows + p * am.cols) as usize].to_f64();
                    let y = b[(bm.offset as isize + l * bm.batch + p * bm.rows + j * bm.cols) as usize].to_f64();
                    sum += x * y;
                    size += (x * y).abs();
                }
                if epilogue.accumulate {
                    sum += before[out.len()].to_f64();
                    size += before[out.len()].to_f64().abs();
                }
                if let Some(bias) = epilogue.bias {
                    sum += bias[j as usize].to_f64();
                    size += bias[j as usize].to_f64().abs();
                }
                out.push(epilogue.activation.of(sum));
                scale.push(size);
            }
        }
    }
    (out, scale)
}

fn mat(random: &mut Random, batch: usize, rows: usize, cols: usize) -> (Mat, usize) {
    let (gap, offset) = (random.below(3), random.below(5));
    let mut mat = if random.below(2) == 0 {
        Mat { offset, rows: (cols + gap) as isize, cols: 1, batch: (rows * (cols + gap)) as isize }
    } else {
        Mat { offset, rows: 1, cols: (rows + gap) as isize, batch: (cols * (rows + gap)) as isize }
    };
    match random.below(8) {
        0 => mat.batch = 0,
        1 => {
            mat = Mat { offset, rows: 2 * cols as isize + 1, cols: 2, batch: (rows * (2 * cols + 1)) as isize };
        }
        2 if rows > 1 => {
            mat.offset = offset + (rows - 1) * cols;
            (mat.rows, mat.cols, mat.batch) = (-(cols as isize), 1, (rows * cols) as isize);
        }
        _ => {}
    }
    let len = mat.offset + 2 * batch * (rows + 3) * (cols + 3) + 8;
    (mat, len)
}

fn check<T: GemmElement>(random: &mut Random, [batch, m, n, k]: [usize; 4], tolerance: f64) {
    let (am, a_len) = mat(random, batch, m, k);
    let (bm, b_len) = mat(random, batch, k, n);
    let (a, b) = (random.values::<T>(a_len), random.values::<T>(b_len));
    let before = random.values::<T>(batch * m * n);
    let bias = random.values::<T>(n);
    let epilogue = Epilogue {
        bias: (random.below(2) == 0).then_some(&bias[..]),
        activation: match random.below(4) {
            0 | 1 => Activation::None,
            2 if T::DTYPE.is_float() => Activation::Relu { limit: 0.5 },
            _ => Activation::RELU,
        },
        accumulate: random.below(2) == 0,
    };
    let (want, scale) = reference([batch, m, n, k], &a, am, &b, bm, &before, epilogue);
    // Half the smallest subnormal.
    let absolute = if T::DTYPE == DType::F16 { 3e-8 } else { 1e-300 };
    let mut first: Option<Vec<T>> = None;
    for threads in [1, 2, 3] {
        let pool = ThreadPool::new(threads);
        let mut fused_output = before.clone();
        let c = guarded(before.len(), T::ONE, |c| {
            c.copy_from_slice(&before);
            gemm(&pool, batch, m, n, k, &a, am, &b, bm, c, epilogue, &mut Scratch::new());
        });
        let calls = std::sync::Mutex::new(vec![0; c.len()]);
        // Each element is passed once, with its index and its final value.
        let fused = |start: usize, part: &mut [T]| {
            assert!(start % n + part.len() <= n || (start.is_multiple_of(n) && part.len().is_multiple_of(n)));
            for (i, value) in part.iter_mut().enumerate() {
                assert!(value.to_f64() == c[start + i].to_f64());
                *value = T::ONE;
            }
            calls.lock().unwrap()[start..start + part.len()].iter_mut().for_each(|n| *n += 1);
        };
        let (fused, form) = (Some(&fused as &dyn FusedEpilogue<T>), Form::Plain);
        let product = Product { batch, m, n, k, a: &a, am, b: &b, bm, c: &mut fused_output, epilogue, fused, form };
        gemm_product(&pool, product, &mut Scratch::new());
        assert!(calls.into_inner().unwrap().iter().all(|&n| n == 1));
        for (i, (c, want)) in c.iter().zip(&want).enumerate() {
            let error = (c.to_f64() - want).abs();
            assert!(
                error <= tolerance * (scale[i] + want.abs()) + absolute,
                "{} {batch}x{m}x{n}x{k} at {i}: {} for {want} ({am:?} {bm:?})",
                T::DTYPE,
                c.to_f64()
            );
        }
        match &first {
            None => first = Some(c),
            Some(first) => assert!(*first == c, "{threads} threads differ at {batch}x{m}x{n}x{k}"),
        }
    }
}

fn shapes(random: &mut Random, count: usize) -> Vec<[usize; 4]> {
    let mut shapes = vec![
        [1, 1, 1, 1],
        [1, 1, 10, 128],
        [1, 128, 10, 128],
        [3, 5, 7, 0],
        [1, 33, 65, 2000],
        [1, 300, 48, 260],
        [1, 2, 600, 40],
        [5, 17, 31, 19],
        [1, 270, 530, 33],
        [1, 1, 700, 1030],
        [3, 1, 130, 50],
        [2, 1, 37, 601],
        [1, 300, 1, 70],
        [2, 19, 1, 35],
        // B in place, with last columns that do not fill a vector; several chunks of rows; long sums of many results.
        [1, 20, 100, 600],
        [1, 33, 544, 40],
        [1, 290, 530, 300],
        [1, 260, 260, 560],
        // Batches of a tile each, and tiles of all columns.
        [40, 8, 8, 8],
        [9, 16, 16, 64],
        [3, 49, 49, 32],
        [2, 50, 60, 1024],
    ];
    for _ in 0..count {
        let small = random.below(2) == 0;
        let max = if small { 20 } else { 150 };
        shapes.push([1 + random.below(3), 1 + random.below(max), 1 + random.below(max), 1 + random.below(max)]);
    }
    shapes
}

#[test]
fn floats_agree_with_a_plain_loop_on_every_instruction_set() {
    on_each_isa(|_| {
        let mut random = Random::new(1);
        for shape in shapes(&mut random, 60) {
            check::<f32>(&mut random, shape, 1e-6);
            check::<f64>(&mut random, shape, 3e-15);
        }
    });
}

/// Sides of one, sides about a tile, sides of several blocks.
fn side() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(1usize), 4 => 1usize..40, 1 => 100usize..300]
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn products_agree_with_a_plain_loop(
        batch in 1usize..4, m in side(), n in side(), k in prop_oneof![4 => 0usize..40, 1 => 200usize..600], seed: u64,
    ) {
        on_each_isa(|_| check::<f32>(&mut Random::new(seed), [batch, m, n, k], 1e-6));
    }
}

#[test]
fn sixteen_bit_floats_round_once() {
    let mut random = Random::new(2);
    for shape in shapes(&mut random, 20) {
        check::<f16>(&mut random, shape, 1.0 / 2048.0);
        check::<bf16>(&mut random, shape, 1.0 / 256.0);
    }
}

#[test]
fn integers_are_exact_and_wrap() {
    let mut random = Random::new(3);
    for shape in shapes(&mut random, 20) {
        check::<i32>(&mut random, shape, 0.0);
        check::<u64>(&mut random, shape, 0.0);
        check::<i64>(&mut random, shape, 0.0);
    }
    let (a, b, mut c) = ([200u8, 100], [3u8, 2], [0u8]);
    let pool = ThreadPool::new(1);
    let (am, bm) = (Mat::row_major(1, 2), Mat::row_major(2, 1));
    gemm(&pool, 1, 1, 1, 2, &a, am, &b, bm, &mut c, Epilogue::default(), &mut Scratch::new());
    assert_eq!(c[0], (800u32 % 256) as u8);
}

#[test]
fn relu_propagates_nan() {
    let pool = ThreadPool::new(1);
    on_each_isa(|_| {
        let mut c = [0f32; 2];
        let epilogue = Epilogue { activation: Activation::RELU, ..Epilogue::default() };
        let (am, bm) = (Mat::row_major(2, 1), Mat::row_major(1, 1));
        gemm(&pool, 1, 2, 1, 1, &[f32::NAN, -1.0], am, &[1.0], bm, &mut c, epilogue, &mut Scratch::new());
        assert!(c[0].is_nan() && c[1] == 0.0, "{c:?}");
    });
}

#[test]
#[should_panic(expected = "do not hold")]
fn short_operands_are_rejected() {
    let (a, b, mut c) = ([0f32; 5], [0f32; 6], [0f32; 4]);
    let (am, bm) = (Mat::row_major(2, 3), Mat::row_major(3, 2));
    gemm(&ThreadPool::new(1), 1, 2, 2, 3, &a, am, &b, bm, &mut c, Epilogue::default(), &mut Scratch::new());
}

/// Small integers: every sum is exact in `f32`, so that the final rounding determines the result.
#[test]
fn bfloat16_sums_are_exact_where_float32_is() {
    on_each_isa(|_| {
        let mut random = Random::new(4);
        for [batch, m, n, k] in shapes(&mut random, 30) {
            let ((am, a_len), (bm, b_len)) = (mat(&mut random, batch, m, k), mat(&mut random, batch, k, n));
            let mut integers =
                |len: usize| (0..len).map(|_| bf16::from_f64(random.below(17) as f64 - 8.0)).collect::<Vec<_>>();
            let (a, b, mut c) = (integers(a_len), integers(b_len), integers(batch * m * n));
            let none = Epilogue::default();
            let (want, _) = reference([batch, m, n, k], &a, am, &b, bm, &c, none);
            gemm(&ThreadPool::new(2), batch, m, n, k, &a, am, &b, bm, &mut c, none, &mut Scratch::new());
            let want: Vec<bf16> = want.into_iter().map(bf16::from_f64).collect();
            assert!(c == want, "{batch}x{m}x{n}x{k} {am:?} {bm:?}");
        }
    });
}

/// Bound: half a unit of bfloat16, and one rounding of `f32` for each of at max `k + 2` sums.
#[test]
fn bfloat16_error_is_bounded_by_its_final_rounding() {
    let mut random = Random::new(5);
    for [m, n, k] in [[37, 65, 1000], [128, 64, 512], [1, 200, 333], [130, 1, 257]] {
        let (a, b) = (random.values::<bf16>(m * k), random.values::<bf16>(k * n));
        let (am, bm) = (Mat::row_major(m, k), Mat::row_major(k, n));
        let mut c = vec![bf16::ZERO; m * n];
        let none = Epilogue::default();
        let (want, scale) = reference([1, m, n, k], &a, am, &b, bm, &c, none);
        gemm(&ThreadPool::new(1), 1, m, n, k, &a, am, &b, bm, &mut c, none, &mut Scratch::new());
        for i in 0..c.len() {
            let bound = want[i].abs() / 256.0 + (k + 2) as f64 * scale[i] / (1 << 23) as f64;
            assert!((c[i].to_f64() - want[i]).abs() <= bound, "{m}x{n}x{k} at {i}: {} for {}", c[i], want[i]);
        }
    }
}

#[test]
fn a_packed_matrix_gives_the_same_bits() {
    let mut random = Random::new(12);
    for [m, n, k] in
        [[2, 1, 3], [3, 70, 40], [16, 33, 700], [128, 768, 300], [256, 20, 5], [40, 100, 3000], [64, 60, 100]]
    {
        let (a, b, bias) = (random.values::<f32>(m * k), random.values::<f32>(k * n), random.values::<f32>(n));
        let end = Epilogue { bias: Some(&bias), activation: Activation::RELU, accumulate: false };
        for (am, bm) in [(Mat::row_major(m, k), Mat::row_major(k, n)), (Mat::transposed(m, m), Mat::transposed(k, k))] {
            let mut packed = vec![f32::NAN; packed_len(m, n, k).expect("few rows")];
            pack(&ThreadPool::new(2), n, k, &b, bm, &mut packed);
            let [mut plain, mut fast] = [(); 2].map(|()| vec![0.0; m * n]);
            gemm(&ThreadPool::new(3), 1, m, n, k, &a, am, &b, bm, &mut plain, end, &mut Scratch::new());
            gemm_packed(&ThreadPool::new(1), m, n, k, &a, am, &packed, &mut fast, end, None, &mut Scratch::new());
            assert_eq!(plain, fast, "{m} x {n} x {k}");
        }
    }
    assert_eq!([packed_len(1, 9, 9), packed_len(257, 9, 9), packed_len(9, 0, 9)], [None; 3]);
}

#[test]
fn dot_products_of_a_row_have_the_same_bits_on_all_instruction_sets() {
    fn check<T: GemmElement + PartialEq>(random: &mut Random) {
        for (n, k) in [(1, 1), (3, 15), (5, 40), (7, 64), (4, 1000), (9, 77)] {
            let (a, b) = (random.values::<T>(k), random.values::<T>(k * n));
            let (am, bm) = (Mat::row_major(1, k), Mat::transposed(k, k));
            let sums = |isa| {
                let mut c = vec![T::ZERO; n];
                let pool = ThreadPool::new(1);
                let end = Epilogue::default();
                with_isa(isa, || gemm(&pool, 1, 1, n, k, &a, am, &b, bm, &mut c, end, &mut Scratch::new()));
                c
            };
            let fused: Vec<_> = Isa::available().into_iter().filter(|&isa| isa != Isa::Portable).map(sums).collect();
            assert!(fused.iter().all(|c| *c == fused[0]), "{n} x {k}");
        }
    }
    let mut random = Random::new(13);
    check::<f32>(&mut random);
    check::<f64>(&mut random);
}

#[test]
fn tiny_matrices_of_a_batch_have_the_bits_of_each() {
    fn check<T: GemmElement + PartialEq>(random: &mut Random) {
        for [batch, m, n, k] in [[300, 8, 8, 8], [70, 5, 3, 7], [2, 16, 9, 10], [1000, 2, 2, 2]] {
            let (a, b) = (random.values::<T>(batch * m * k), random.values::<T>(batch * k * n));
            let bias = random.values::<T>(n);
            let end = Epilogue { bias: Some(&bias[..]), activation: Activation::RELU, accumulate: false };
            for (am, bm) in
                [(Mat::row_major(m, k), Mat::row_major(k, n)), (Mat::transposed(k, m), Mat::transposed(n, k))]
            {
                let [mut all, mut each] = [(); 2].map(|()| vec![T::ZERO; batch * m * n]);
                let pool = ThreadPool::new(3);
                gemm(&pool, batch, m, n, k, &a, am, &b, bm, &mut all, end, &mut Scratch::new());
                for (l, c) in each.chunks_exact_mut(m * n).enumerate() {
                    let (a, b) = (&a[l * m * k..], &b[l * k * n..]);
                    gemm(&pool, 1, m, n, k, a, am, b, bm, c, end, &mut Scratch::new());
                }
                assert!(all == each, "{} {batch} of {m} x {n} x {k}", T::DTYPE);
            }
        }
    }
    on_each_isa(|_| {
        let mut random = Random::new(15);
        check::<f16>(&mut random);
        check::<bf16>(&mut random);
    });
}

#[test]
fn a_narrow_product_has_the_bits_of_its_transpose() {
    fn check<T: GemmElement + PartialEq>(random: &mut Random) {
        for [m, n, k] in [[16, 8, 1000], [32, 2, 70], [40, 3, 3000], [100, 20, 300]] {
            let (a, b) = (random.values::<T>(m * k), random.values::<T>(k * n));
            let (am, bm) = (Mat::transposed(m, m), Mat::row_major(k, n));
            let zeros = vec![T::ZERO; n];
            // With a bias it is computed as it is.
            let straight = Epilogue { bias: Some(&zeros[..]), ..Epilogue::default() };
            let product = |end: Epilogue<T>| {
                let (mut c, pool) = (vec![T::ZERO; m * n], ThreadPool::new(2));
                gemm(&pool, 1, m, n, k, &a, am, &b, bm, &mut c, end, &mut Scratch::new());
                c
            };
            assert!(product(Epilogue::default()) == product(straight), "{} {m} x {n} x {k}", T::DTYPE);
        }
    }
    on_each_isa(|_| {
        let mut random = Random::new(16);
        check::<f32>(&mut random);
        check::<f64>(&mut random);
        check::<f16>(&mut random);
        check::<bf16>(&mut random);
        check::<i32>(&mut random);
    });
}

#[test]
fn sums_of_one_product_fill_tiles_of_all_widths() {
    let mut random = Random::new(14);
    for (m, n) in [(200, 64), (33, 40), (7, 48), (1, 64), (300, 16), (20, 130)] {
        let (a, b) = (random.values::<f32>(m), random.values::<f32>(n));
        let want: Vec<f32> = a.iter().flat_map(|a| b.iter().map(move |b| a * b)).collect();
        for isa in Isa::available() {
            let (am, bm, end) = (Mat::row_major(m, 1), Mat::row_major(1, n), Epilogue::default());
            let mut c = vec![f32::NAN; m * n];
            let pool = ThreadPool::new(2);
            with_isa(isa, || gemm(&pool, 1, m, n, 1, &a, am, &b, bm, &mut c, end, &mut Scratch::new()));
            assert_eq!(c, want, "{m} x {n} on {}", isa.name());
        }
    }
}

#[test]
fn zeros_of_a_row_skip_finite_rows_of_the_matrix() {
    let mut random = Random::new(11);
    for (n, k) in [(1, 5), (7, 40), (128, 3000), (130, 2500), (5000, 70)] {
        let a: Vec<f32> = random.values::<f32>(k).into_iter().map(|x| x.max(0.0)).collect();
        let (b, bias) = (random.values::<f32>(k * n), random.values::<f32>(n));
        let end = Epilogue { bias: Some(&bias), activation: Activation::RELU, accumulate: false };
        let (am, bm) = (Mat::row_major(1, k), Mat::row_major(k, n));
        let mut results: Vec<Vec<f32>> = Vec::new();
        for threads in [1, 3] {
            let (pool, mut scratch) = (ThreadPool::new(threads), Scratch::new());
            let (mut all, mut some) = (vec![0.0; n], vec![0.0; n]);
            gemm(&pool, 1, 1, n, k, &a, am, &b, bm, &mut all, end, &mut scratch);
            let (a, b, c, form) = (&a[..], &b[..], &mut some[..], Form::Finite);
            let product = Product { batch: 1, m: 1, n, k, a, am, b, bm, c, epilogue: end, fused: None, form };
            gemm_product(&pool, product, &mut scratch);
            results.extend([all, some]);
        }
        assert!(results.iter().all(|result| *result == results[0]), "{n} x {k}");
    }
}
