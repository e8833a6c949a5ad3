//! Comparison of every movement with its definition, for every element size, instruction set and number of threads.

use super::*;
use crate::simd::{with_isa, Isa};

/// Bytes that distinguish positions.
fn data(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8).collect()
}

/// All positions of a shape in row-major order.
fn positions(shape: &[usize]) -> Vec<Vec<usize>> {
    (0..elements(shape))
        .map(|mut flat| {
            let mut at = vec![0; shape.len()];
            for axis in (0..shape.len()).rev() {
                at[axis] = flat % shape[axis];
                flat /= shape[axis];
            }
            at
        })
        .collect()
}

fn flat(at: &[usize], shape: &[usize]) -> usize {
    at.iter().zip(shape).fold(0, |sum, (i, n)| sum * n + i)
}

/// Builds the expected output from a function of the output position.
fn expect(size: usize, src: &[u8], out: &[usize], source: impl Fn(&[usize]) -> Option<usize>, value: &[u8]) -> Vec<u8> {
    positions(out).iter().flat_map(|at| source(at).map_or(value, |i| &src[i * size..][..size]).to_vec()).collect()
}

fn everywhere(test: impl Fn(&ThreadPool, usize)) {
    for isa in Isa::available() {
        for threads in [1, 3] {
            let pool = ThreadPool::new(threads);
            for size in [1, 2, 4, 8] {
                with_isa(isa, || test(&pool, size));
            }
        }
    }
}

#[test]
fn transposes() {
    everywhere(|pool, size| {
        for (shape, perm) in [
            (vec![5], vec![0]),
            (vec![33, 50], vec![1, 0]),
            (vec![200, 170], vec![1, 0]),
            (vec![3, 17, 40], vec![0, 2, 1]),
            (vec![3, 17, 40], vec![2, 1, 0]),
            (vec![4, 16, 16, 32], vec![0, 3, 1, 2]),
            (vec![2, 3, 4, 5, 6], vec![4, 2, 0, 3, 1]),
            (vec![0, 4], vec![1, 0]),
            (vec![], vec![]),
        ] {
            let src = data(size * elements(&shape));
            let out: Vec<usize> = perm.iter().map(|&p| shape[p]).collect();
            let mut dst = vec![0; src.len()];
            transpose(pool, size, &src, &shape, &perm, &mut dst);
            let source = |at: &[usize]| {
                let mut from = vec![0; at.len()];
                perm.iter().zip(at).for_each(|(&p, &i)| from[p] = i);
                Some(flat(&from, &shape))
            };
            let want = expect(size, &src, &out, source, &[]);
            assert!(dst == want, "{shape:?} {perm:?} {size}");
        }
    });
}

#[test]
fn broadcasts() {
    everywhere(|pool, size| {
        for (shape, out, dims) in [
            (vec![], vec![3, 50], vec![]),
            (vec![7], vec![4, 7], vec![1]),
            (vec![7], vec![7, 400], vec![0]),
            (vec![7, 1], vec![7, 9], vec![0, 1]),
            (vec![300], vec![200, 300], vec![1]),
            (vec![5, 1, 3], vec![2, 5, 4, 3], vec![1, 2, 3]),
        ] {
            let src = data(size * elements(&shape));
            let mut dst = vec![0; size * elements(&out)];
            broadcast(pool, size, &src, &shape, &out, &dims, &mut dst);
            let source = |at: &[usize]| {
                let from: Vec<usize> = dims.iter().zip(&shape).map(|(&d, &n)| if n == 1 { 0 } else { at[d] }).collect();
                Some(flat(&from, &shape))
            };
            let want = expect(size, &src, &out, source, &[]);
            assert!(dst == want, "{shape:?} {out:?} {size}");
        }
    });
}

#[test]
fn slices_and_reversals() {
    everywhere(|pool, size| {
        let cases: [[Vec<usize>; 4]; 5] = [
            [vec![10], vec![2], vec![9], vec![3]],
            [vec![300, 200], vec![10, 3], vec![290, 190], vec![1, 1]],
            [vec![30, 20], vec![0, 1], vec![30, 20], vec![2, 3]],
            [vec![4, 6, 5], vec![1, 0, 2], vec![3, 6, 5], vec![1, 4, 1]],
            [vec![4, 6], vec![1, 6], vec![3, 6], vec![1, 1]],
        ];
        for [shape, start, stop, step] in cases {
            let src = data(size * elements(&shape));
            let out: Vec<usize> = (0..shape.len()).map(|a| (stop[a] - start[a]).div_ceil(step[a])).collect();
            let mut dst = vec![0; size * elements(&out)];
            slice(pool, size, &src, &shape, &start, &stop, &step, &mut dst);
            let from = |at: &[usize]| -> Vec<usize> { (0..at.len()).map(|a| start[a] + at[a] * step[a]).collect() };
            assert!(dst == expect(size, &src, &out, |at| Some(flat(&from(at), &shape)), &[]));

            let mut dst = vec![0; src.len()];
            reverse(pool, size, &src, &shape, &[0], &mut dst);
            let source = |at: &[usize]| {
                let mut from = at.to_vec();
                from[0] = shape[0] - 1 - at[0];
                Some(flat(&from, &shape))
            };
            let want = expect(size, &src, &shape, source, &[]);
            assert!(dst == want);
        }
    });
}

#[test]
fn pads() {
    everywhere(|pool, size| {
        let value = [1, 2, 3, 4, 5, 6, 7, 8];
        for (shape, low, high, interior) in [
            (vec![5], vec![2], vec![1], vec![0]),
            (vec![5], vec![-2], vec![-1], vec![0]),
            (vec![5], vec![-2], vec![3], vec![2]),
            (vec![5], vec![-7], vec![1], vec![0]),
            (vec![5], vec![1], vec![-7], vec![0]),
            (vec![0], vec![2], vec![2], vec![3]),
            (vec![4, 100, 90], vec![0, 1, 0], vec![0, -3, 2], vec![0, 0, 1]),
            (vec![3, 4], vec![0, 0], vec![0, 0], vec![0, 0]),
        ] {
            let src = data(size * elements(&shape));
            let out = padded_shape(&shape, &low, &high, &interior);
            let mut dst = vec![0; size * elements(&out)];
            pad(pool, size, &src, &shape, &value[..size], &low, &high, &interior, &mut dst);
            let source = |at: &[usize]| {
                let from: Option<Vec<usize>> = (0..at.len())
                    .map(|a| {
                        let (i, pitch) = (at[a] as isize - low[a], interior[a] as isize + 1);
                        let inside = i >= 0 && i % pitch == 0 && i / pitch < shape[a] as isize;
                        inside.then_some((i / pitch) as usize)
                    })
                    .collect();
                from.map(|from| flat(&from, &shape))
            };
            let want = expect(size, &src, &out, source, &value[..size]);
            assert!(dst == want, "{shape:?} {low:?} {high:?} {interior:?}");
        }
    });
}

#[test]
fn concatenates_and_updates() {
    everywhere(|pool, size| {
        let (a, b) = (data(size * 3 * 2 * 5), data(size * 3 * 4 * 5));
        let mut dst = vec![0; a.len() + b.len()];
        concatenate(pool, size, &[(&a, 2), (&b, 4)], &[3, 6, 5], 1, &mut dst);
        let want: Vec<u8> = (0..3)
            .flat_map(|i| [&a[i * 10 * size..][..10 * size], &b[i * 20 * size..][..20 * size]].concat())
            .collect();
        assert!(dst == want);

        let mut window = vec![0; size * 3 * 2 * 3];
        dynamic_slice(pool, size, &dst, &[3, 6, 5], &[-4, 5, 1], &[3, 2, 3], &mut window);
        let want = expect(size, &dst, &[3, 2, 3], |at| Some(flat(&[at[0], at[1] + 4, at[2] + 1], &[3, 6, 5])), &[]);
        assert!(window == want);

        let mut target = dst.clone();
        let fresh: Vec<u8> = window.iter().map(|b| b ^ 0x5a).collect();
        dynamic_update_slice(pool, size, &fresh, &[3, 2, 3], &[9, 1, -1], &mut target, &[3, 6, 5]);
        for at in positions(&[3, 6, 5]) {
            let inside = (1..3).contains(&at[1]) && at[2] < 3;
            let i = flat(&at, &[3, 6, 5]) * size;
            let want = if inside { &fresh[flat(&[at[0], at[1] - 1, at[2]], &[3, 2, 3]) * size..] } else { &dst[i..] };
            assert_eq!(target[i..i + size], want[..size]);
        }
    });
}

#[test]
fn iota_counts_along_its_axis() {
    let pool = ThreadPool::new(2);
    let mut dst = vec![0; 2 * 3 * 4 * 4];
    iota(&pool, DType::I32, &[2, 3, 4], 1, &mut dst);
    let got: Vec<i32> = dst.chunks_exact(4).map(|c| i32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect();
    let want: Vec<i32> = positions(&[2, 3, 4]).iter().map(|at| at[1] as i32).collect();
    assert_eq!(got, want);
}

#[test]
fn a_range_of_indices_is_a_part_of_all() {
    let shape = [3, 70, 2];
    for axis in 0..3 {
        let (mut all, inner) = (vec![0u8; 4 * 420], shape[axis + 1..].iter().product());
        iota(&ThreadPool::new(1), DType::I32, &shape, axis, &mut all);
        let all: Vec<i32> = all.as_chunks().0.iter().map(|bytes| i32::from_ne_bytes(*bytes)).collect();
        for (position, n) in [(0, 420), (1, 64), (69, 3), (139, 281), (419, 1), (5, 0)] {
            let (mut part, mut floats) = (vec![-1i32; n], vec![-1f32; n]);
            // SAFETY: both have room for n elements.
            unsafe {
                iota_range(DType::I32, inner, shape[axis], position, n, part.as_mut_ptr().cast());
                iota_range(DType::F32, inner, shape[axis], position, n, floats.as_mut_ptr().cast());
            }
            assert_eq!(part, all[position..position + n], "axis {axis}");
            assert!(floats.iter().zip(&part).all(|(float, int)| *float == *int as f32));
        }
    }
}

#[test]
fn concatenates_parts_of_any_width() {
    let pool = ThreadPool::new(2);
    for widths in [[1, 2], [3, 5], [0, 9], [17, 31], [64, 65], [128, 7], [1500, 100]] {
        for outer in [1, 3, 700] {
            let parts: Vec<Vec<u8>> =
                widths.iter().map(|width| (0..width * outer).map(|i| (i * 7 + width) as u8).collect()).collect();
            let mut want = Vec::new();
            for row in 0..outer {
                for (part, width) in parts.iter().zip(widths) {
                    want.extend(&part[row * width..][..width]);
                }
            }
            let mut got = vec![0; want.len()];
            let parts: Vec<(&[u8], usize)> = parts.iter().map(Vec::as_slice).zip(widths).collect();
            concatenate(&pool, 1, &parts, &[outer, widths.iter().sum()], 1, &mut got);
            assert!(got == want, "{outer} rows of {widths:?}");
        }
    }
}
