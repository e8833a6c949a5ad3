use super::*;
use crate::dtype::{bf16, f16, Element};
use crate::pool::SharedMut;
use crate::simd::on_each_isa;
use crate::testing::Random;

/// Offset of the slice of every tuple, by definition.
fn offsets(spec: IndexSpec, indices: &[i64]) -> Vec<usize> {
    let k = spec.k();
    let per_batch = spec.tuples() / spec.batch();
    (0..spec.tuples())
        .map(|i| {
            let mut flat = i / per_batch;
            for j in 0..k {
                let extent = spec.shape[spec.batch_dims + j];
                flat = flat * extent + indices[i * k + j].clamp(0, extent as i64 - 1) as usize;
            }
            flat * spec.slice()
        })
        .collect()
}

fn cases() -> Vec<(Vec<usize>, usize, Vec<usize>)> {
    vec![
        (vec![10], 0, vec![4, 1]),
        (vec![10, 3], 0, vec![2, 5, 1]),
        (vec![6, 5, 3], 0, vec![7, 2]),
        (vec![4, 6, 5], 1, vec![4, 3, 1]),
        (vec![2, 3, 4, 5], 2, vec![2, 3, 6, 1]),
        (vec![3, 4], 0, vec![5, 2]),
        (vec![3, 4], 0, vec![0, 1]),
        (vec![3, 4], 0, vec![2, 0]),
        (vec![300, 7], 1, vec![300, 1]),
        (vec![700, 40], 1, vec![700, 1]),
        (vec![300, 7, 2], 1, vec![300, 3, 1]),
        (vec![50, 64], 0, vec![3000, 1]),
        (vec![5, 3000], 0, vec![40, 1]),
        (vec![1000], 0, vec![30_000, 1]),
    ]
}

#[test]
fn gathers() {
    for (shape, batch_dims, indices_shape) in cases() {
        let spec = IndexSpec { shape: &shape, batch_dims, indices_shape: &indices_shape, shared: false };
        let mut random = Random::new(3);
        let x: Vec<f32> = random.values(shape.iter().product());
        let indices: Vec<i64> = (0..indices_shape.iter().product()).map(|_| (random.next() % 70) as i64 - 4).collect();
        let mut want = Vec::new();
        for at in offsets(spec, &indices) {
            want.extend_from_slice(&x[at..at + spec.slice()]);
        }
        for threads in [1, 3] {
            let pool = ThreadPool::new(threads);
            let mut y = vec![0f32; want.len()];
            gather(&pool, 4, bytes(&x), spec, DType::I64, bytes(&indices), bytes_mut(&mut y));
            assert_eq!(y, want, "{shape:?} {indices_shape:?}");
            let small: Vec<i8> = indices.iter().map(|i| *i as i8).collect();
            gather(&pool, 4, bytes(&x), spec, DType::I8, bytes(&small), bytes_mut(&mut y));
            assert_eq!(y, want);
            let wide: Vec<u64> = x.iter().map(|x| u64::from(x.to_bits()) << 20).collect();
            let mut y = vec![0u64; want.len()];
            gather(&pool, 8, bytes(&wide), spec, DType::I64, bytes(&indices), bytes_mut(&mut y));
            assert!(y.iter().zip(&want).all(|(y, want)| *y == u64::from(want.to_bits()) << 20));
        }
    }
}

#[test]
fn scatters_in_row_order_on_any_number_of_threads() {
    for (shape, batch_dims, indices_shape) in cases() {
        let spec = IndexSpec { shape: &shape, batch_dims, indices_shape: &indices_shape, shared: false };
        let mut random = Random::new(5);
        let x: Vec<f32> = random.values(shape.iter().product());
        let indices: Vec<i64> = (0..indices_shape.iter().product()).map(|_| (random.next() % 70) as i64 - 4).collect();
        let updates: Vec<f32> = random.values(spec.tuples() * spec.slice());
        for mode in Scatter::ALL {
            let mut want = x.clone();
            for (i, at) in offsets(spec, &indices).into_iter().enumerate() {
                for j in 0..spec.slice() {
                    let (old, new) = (want[at + j], updates[i * spec.slice() + j]);
                    want[at + j] = match mode {
                        Scatter::Add => old + new,
                        Scatter::Set => new,
                        Scatter::Mul => old * new,
                        Scatter::Max => old.max(new),
                        Scatter::Min => old.min(new),
                    };
                }
            }
            for threads in [1, 2, 3] {
                let mut y = x.clone();
                let pool = ThreadPool::new(threads);
                scatter(&pool, mode, DType::F32, bytes_mut(&mut y), spec, DType::I64, bytes(&indices), bytes(&updates));
                assert!(y == want, "{mode:?} {shape:?} {indices_shape:?}");
            }
        }
    }
}

fn check_argsort<T: Element + Plain>(shape: &[usize], axis: usize) {
    let n: usize = shape.iter().product();
    let mut x: Vec<T> = Random::new(n as u64).values(n);
    if T::DTYPE.is_float() && n > 8 {
        x[1] = T::from_f64(f64::NAN);
        x[3] = T::from_f64(-0.0);
        x[4] = T::from_f64(0.0);
        x[5] = T::from_f64(-f64::NAN);
        x[7] = T::from_f64(f64::NEG_INFINITY);
    }
    if T::DTYPE.is_signed_int() {
        x.iter_mut().step_by(2).for_each(|x| *x = T::from_f64(-x.to_f64()));
    }
    let (extent, inner): (usize, usize) = (shape[axis], shape[axis + 1..].iter().product());
    for threads in [1, 2] {
        let mut y = vec![-1; n];
        argsort(&ThreadPool::new(threads), T::DTYPE, bytes(&x), shape, axis, &mut y);
        for line in 0..n / extent {
            let at = |i: usize| line / inner * extent * inner + i * inner + line % inner;
            let mut want: Vec<usize> = (0..extent).collect();
            want.sort_by(|&a, &b| {
                let (a, b) = (x[at(a)].to_f64(), x[at(b)].to_f64());
                a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
            });
            let got: Vec<usize> = (0..extent).map(|i| y[at(i)] as usize).collect();
            assert_eq!(got, want, "{} {shape:?}", T::DTYPE);
        }
    }
}

#[test]
fn argsorts_stably_with_nan_last() {
    for dtype in DType::ALL {
        for (shape, axis) in [(vec![9], 0), (vec![500], 0), (vec![4, 33], 1), (vec![33, 4], 0), (vec![3, 9000], 1)] {
            dispatch!(dtype, T => check_argsort::<T>(&shape, axis));
        }
    }
    let x = [i64::MAX, i64::MAX - 1, i64::MIN, i64::MIN + 1];
    let mut y = [0; 4];
    argsort(&ThreadPool::new(1), DType::I64, bytes(&x), &[4], 0, &mut y);
    assert_eq!(y, [2, 3, 1, 0]);
}

#[test]
fn a_fused_scatter_has_the_bits_of_a_stored_one() {
    for (shape, batch_dims, indices_shape) in cases() {
        let spec = IndexSpec { shape: &shape, batch_dims, indices_shape: &indices_shape, shared: false };
        let mut random = Random::new(7);
        let count: usize = shape.iter().product();
        let indices: Vec<i64> = (0..indices_shape.iter().product()).map(|_| (random.next() % 70) as i64 - 4).collect();
        let updates: Vec<f32> = random.values(spec.tuples() * spec.slice());
        for (mode, base) in Scatter::ALL.into_iter().zip([0f32, 1.0, 2.0, -1.0, 0.5]) {
            let mut want = vec![base; count];
            let serial = ThreadPool::new(1);
            let (at, new) = (bytes(&indices), bytes(&updates));
            scatter(&serial, mode, DType::F32, bytes_mut(&mut want), spec, DType::I64, at, new);
            for threads in [1, 2, 3] {
                let pool = ThreadPool::new(threads);
                let mut fused_result = vec![f32::NAN; count];
                let shared = SharedMut::new(&mut fused_result);
                // An epilogue may overwrite the part.
                let fused = |start: usize, part: &mut [f32]| {
                    // SAFETY: parts do not overlap.
                    unsafe { shared.range(start..start + part.len()) }.copy_from_slice(part);
                    part.fill(f32::NAN);
                };
                scatter_fused(&pool, mode, base, spec, DType::I64, at, &updates, &fused);
                assert!(fused_result.iter().zip(&want).all(|(x, y)| x.to_bits() == y.to_bits()), "{mode:?} {shape:?}");
            }
        }
    }
}

fn check_top_k<T: Element + Plain>(rows: usize, n: usize, k: usize) {
    let mut random = Random::new((n + k) as u64);
    // Few values, so that many are equal, and special ones.
    let mut x: Vec<T> = (0..rows * n).map(|_| T::from_f64((random.next() % 97) as f64 - 40.0)).collect();
    for (i, special) in [f64::NAN, -0.0, 0.0, f64::INFINITY, -f64::NAN, f64::NEG_INFINITY].into_iter().enumerate() {
        if let Some(x) = x.get_mut(3 * i) {
            *x = T::from_f64(special);
        }
    }
    let mut want: Vec<i32> = Vec::new();
    for row in x.chunks_exact(n) {
        let mut order: Vec<usize> = (0..n).collect();
        let rank = |i: &usize| if row[*i].is_nan() { f64::INFINITY } else { row[*i].to_f64() };
        let key = |i: &usize| (row[*i].is_nan(), rank(i));
        order.sort_by(|a, b| key(b).partial_cmp(&key(a)).expect("no NaN").then(a.cmp(b)));
        want.extend(order[..k].iter().map(|&i| i as i32));
    }
    for threads in [1, 3] {
        let (mut values, mut indices) = (vec![T::ZERO; rows * k], vec![-1; rows * k]);
        top_k(&ThreadPool::new(threads), n, k, &x, &mut values, &mut indices);
        assert_eq!(indices, want, "{k} of {n} {}", T::DTYPE);
        for (i, (value, index)) in values.iter().zip(&indices).enumerate() {
            let element = x[i / k * n + *index as usize];
            assert!(*value == element || (value.is_nan() && element.is_nan()));
        }
    }
}

#[test]
fn the_largest_elements_come_in_order_on_every_instruction_set() {
    on_each_isa(|_| {
        for (rows, n, k) in [(1, 1, 1), (3, 7, 7), (2, 64, 5), (5, 100, 1), (2, 1000, 40), (1, 30_000, 300), (1, 9, 0)]
        {
            check_top_k::<f32>(rows, n, k);
            check_top_k::<bf16>(rows, n, k);
            check_top_k::<f16>(rows, n, k);
        }
    });
    // Every element is larger than those before it.
    let x: Vec<f32> = (0..5000).map(|i| i as f32).collect();
    let (mut values, mut indices) = ([0.0; 3], [0; 3]);
    top_k(&ThreadPool::new(1), 5000, 3, &x, &mut values, &mut indices);
    assert_eq!((values, indices), ([4999.0, 4998.0, 4997.0], [4999, 4998, 4997]));
}

#[test]
fn one_hot_by_definition() {
    let mut random = Random::new(12);
    for [outer, n, inner] in
        [[5, 7, 1], [3, 4, 6], [1, 1000, 300], [700, 3, 2], [2, 40_000, 1], [1, 1, 1], [0, 3, 2], [3, 0, 2]]
    {
        let at: Vec<usize> = (0..outer * inner).map(|_| random.below(n + 2)).collect();
        for threads in [1, 3] {
            let mut out = vec![7f32; outer * n * inner];
            let one = 1f32.to_ne_bytes();
            one_hot(&ThreadPool::new(threads), [outer, n, inner], &|i| at[i], &one, bytes_mut(&mut out));
            for (i, &got) in out.iter().enumerate() {
                let (o, k, j) = (i / inner / n, i / inner % n, i % inner);
                assert_eq!(got, f32::from(u8::from(at[o * inner + j] == k)), "{outer} x {n} x {inner}, element {i}");
            }
        }
    }
}
