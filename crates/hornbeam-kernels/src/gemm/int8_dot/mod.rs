//! Products of `int8` matrices, summed in `int32` and returned so, or as `float32`: inputs and weights of quantized layers.
//!
//! Four neighbouring steps of k, a quad, fill a word of 32 bits: the instructions of AVX-VNNI multiply quads and add the
//! four products to a sum. They take unsigned bytes of A, so that signed ones are shifted by 128, and 128 times the sum of
//! each column of B is subtracted. Sums of integers are exact in any order. B is packed by each task, panel by panel, in cache:
//! that is quicker than memory delivers it. Convolutions use the same kernels ([`crate::conv`]).

mod rows;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::byte_row::{self, Bytes, Sum};
use super::{pack, Mat};
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use crate::simd::{isa, Isa};
pub(crate) use rows::{Kernel, Rows};

/// Steps of k up to which no sum of products of bytes leaves 32 bits.
pub const MAX_STEPS: usize = (1 << 17) - 1;
/// Columns of a panel of B: two vectors of AVX-512. The last panel may have one.
pub(crate) const WIDTH: usize = 32;
/// Columns of a vector of AVX-512.
const VECTOR: usize = 16;
/// Rows that share a packed panel.
const ROWS: usize = 192;
/// Multiply-adds of a task.
const WORK: usize = 1 << 19;

/// Computes `c = a @ b`. `a` is `m x k` with layout `am`, `b` is `k x n` with layout `bm`, `c` is row-major.
///
/// # Panics
/// If a slice is shorter than its matrix, or `k` exceeds [`MAX_STEPS`].
pub fn gemm_int8<T: Sum>(
    pool: &ThreadPool,
    [m, n, k]: [usize; 3],
    a: Bytes,
    am: Mat,
    b: &[i8],
    bm: Mat,
    c: &mut [T],
    scratch: &mut Scratch,
) {
    assert!(k <= MAX_STEPS, "sums of {k} products of bytes may leave 32 bits");
    assert!(am.fits(1, m, k, a.len()), "a: {am:?} of {} elements do not hold {m} x {k}", a.len());
    assert!(bm.fits(1, k, n, b.len()), "b: {bm:?} of {} elements do not hold {k} x {n}", b.len());
    assert_eq!(c.len(), m * n, "c does not hold {m} x {n}");
    let quads = k.div_ceil(4);
    if c.is_empty() || quads == 0 {
        return c.fill(T::default());
    }
    if m == 1 && byte_row::product(pool, k, a, am, b, bm, c, scratch) {
        return;
    }
    let words = scratch.take::<i32>(m * quads);
    pack_rows(pool, k, a, am, words);
    // SAFETY: bytes have no alignment, and any of them is valid.
    let bytes = unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), 4 * words.len()) };
    let (pack_panel, kernel) = (pack_panel(), kernel());
    let c = SharedMut::new(c);
    let (blocks, panels) = (m.div_ceil(ROWS), n.div_ceil(WIDTH));
    let grain = WORK.div_ceil(ROWS.min(m) * WIDTH * k).min(panels);
    let groups = panels.div_ceil(grain);
    pool.run(blocks * groups, &|task| {
        let (block, group) = (task % blocks, task / blocks);
        let [first, end] = [block * m / blocks, (block + 1) * m / blocks];
        for column in (group * grain..(group * grain + grain).min(panels)).map(|panel| panel * WIDTH) {
            let columns = WIDTH.min(n - column);
            let width = panel_width(columns);
            with_local(|local| {
                let (packed, starts, sums) =
                    local.take3::<i32, usize, i32>(panel_len(1, k, width), end - first, (end - first) * width);
                starts.iter_mut().enumerate().for_each(|(i, start)| *start = 4 * quads * (first + i));
                let from = b.as_ptr().wrapping_offset(bm.offset as isize + column as isize * bm.cols);
                // SAFETY: B holds the steps and columns, blocks of C are disjoint, and kernels are compiled for this
                // machine.
                unsafe {
                    pack_panel(from, bm.rows, bm.cols, 1, k, columns, packed);
                    let rows = Rows { bytes, starts, runs: &[0], quads };
                    kernel(&rows, &Panel::new(packed, a, columns, width), sums, width);
                    for (i, sums) in sums.chunks_exact(width).enumerate() {
                        let start = (first + i) * n + column;
                        c.range(start..start + columns).iter_mut().zip(sums).for_each(|(c, &sum)| *c = T::of(sum));
                    }
                }
            });
        }
    });
}

/// The width of a panel of `columns` columns: full vectors.
pub(crate) fn panel_width(columns: usize) -> usize {
    columns.next_multiple_of(VECTOR)
}

/// The length of a packed panel of B, whose steps are in runs of `k`.
pub(crate) fn panel_len(runs: usize, k: usize, width: usize) -> usize {
    (1 + runs * k.div_ceil(4)) * width
}

/// Packs rows of A, as unsigned bytes, into quads `[m][ceil(k / 4)]`.
fn pack_rows(pool: &ThreadPool, k: usize, a: Bytes, am: Mat, to: &mut [i32]) {
    let (quads, pack) = (k.div_ceil(4), pack_row());
    let (a, flip) = (a.raw(), a.flip());
    let rows = (WORK / 16).div_ceil(quads);
    pool.run_chunks(to, quads * rows, &|task, to| {
        for (i, to) in to.chunks_exact_mut(quads).enumerate() {
            let start = (am.offset as isize + (task * rows + i) as isize * am.rows) as usize;
            if am.cols == 1 {
                // SAFETY: the kernel is compiled for this machine and has no other precondition.
                unsafe { pack(&a[start..start + k], flip, to) };
                continue;
            }
            let byte = |p: usize| if p < k { a[(start as isize + p as isize * am.cols) as usize] } else { 0 };
            for (p, quad) in to.iter_mut().enumerate() {
                *quad = i32::from_le_bytes(std::array::from_fn(|step| byte(4 * p + step) ^ flip));
            }
        }
    });
}

multiversion! {
    /// Copies a row, of whose bytes some bits are flipped; the last quad is filled up, for steps in which B is zero.
    unsafe fn pack_row[S](from: &[u8], flip: u8, to: &mut [i32]) {
        let ((quads, rest), flip) = (from.as_chunks::<4>(), i32::from_le_bytes([flip; 4]));
        for (to, quad) in to.iter_mut().zip(quads) {
            *to = i32::from_le_bytes(*quad) ^ flip;
        }
        if !rest.is_empty() {
            let byte = |step: usize| rest.get(step).copied().unwrap_or(0);
            to[quads.len()] = i32::from_le_bytes(std::array::from_fn(byte)) ^ flip;
        }
    }

    /// Packs `columns` columns of B for [`Panel`]. Its steps are `runs` runs of `k`, whose quads end with zeros. B must hold
    /// them.
    pub(crate) unsafe fn pack_panel[S](
        b: *const i8, row: isize, col: isize, runs: usize, k: usize, columns: usize, to: &mut [i32],
    ) {
        let width = panel_width(columns);
        let (corrections, quads) = to.split_at_mut(width);
        for (run, to) in quads.chunks_exact_mut((k.div_ceil(4) * width).max(1)).take(runs).enumerate() {
            // SAFETY: the contract of this function.
            unsafe { pack_run(b.wrapping_offset((run * k) as isize * row), row, col, k, columns, to) };
        }
        corrections.fill(0);
        for quads in quads.chunks_exact(width) {
            for (to, quad) in corrections.iter_mut().zip(quads) {
                *to -= 128 * quad.to_le_bytes().map(|byte| i32::from(byte as i8)).iter().sum::<i32>();
            }
        }
    }
}

/// Packs the steps of a run into quads `[ceil(k / 4)][panel_width(columns)]`, with zeros after the columns and after step
/// `k`. B must hold them.
#[inline(always)]
unsafe fn pack_run(b: *const i8, row: isize, col: isize, k: usize, columns: usize, to: &mut [i32]) {
    let width = panel_width(columns);
    if row == 1 && col % 4 == 0 && k.is_multiple_of(4) && (b as usize).is_multiple_of(4) {
        // Its quads are words in memory.
        // SAFETY: aligned, and any bit pattern is a float; the contract of this function.
        unsafe {
            let to = std::slice::from_raw_parts_mut(to.as_mut_ptr().cast::<f32>(), to.len());
            return pack::columns(b.cast(), 1, col / 4, k / 4, columns, width, to);
        }
    }
    let mut steps = [[0u8; WIDTH]; 4];
    for (p, to) in to.chunks_exact_mut(width).enumerate() {
        for (step, bytes) in steps.iter_mut().enumerate() {
            if 4 * p + step >= k {
                bytes.fill(0);
                continue;
            }
            let from = b.wrapping_offset((4 * p + step) as isize * row).cast::<u8>();
            // SAFETY: the contract of this function.
            unsafe {
                if col == 1 && columns == WIDTH {
                    *bytes = *from.cast();
                } else {
                    for (j, byte) in bytes[..columns].iter_mut().enumerate() {
                        *byte = *from.wrapping_offset(j as isize * col);
                    }
                }
            }
        }
        let word = |j: usize| i32::from_le_bytes([steps[0][j], steps[1][j], steps[2][j], steps[3][j]]);
        let words: [i32; WIDTH] = std::array::from_fn(word);
        to.copy_from_slice(&words[..width]);
    }
}

/// Some columns of B, as [`pack_panel`] packs them.
pub(crate) struct Panel<'a> {
    /// The first value of each sum: `-128` times the sum of its column if A is shifted.
    corrections: &'a [i32],
    /// `[quads][width]`.
    quads: &'a [i32],
    columns: usize,
    /// [`panel_width`] of the columns.
    width: usize,
}

impl<'a> Panel<'a> {
    pub(crate) fn new(packed: &'a [i32], a: Bytes, columns: usize, width: usize) -> Self {
        let (shifted, quads) = packed.split_at(width);
        let corrections = if a.flip() == 0 { &[0; WIDTH][..width] } else { shifted };
        Panel { corrections, quads, columns, width }
    }
}

/// The kernel of the calling thread's instruction set.
pub(crate) fn kernel() -> Kernel {
    match isa() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if is_x86_feature_detected!("avx512vnni") => x86::avx512_vnni,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2 if is_x86_feature_detected!("avxvnni") => x86::avx_vnni,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2 => x86::avx2,
        _ => rows::portable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::with_isa;

    fn bytes(count: usize, seed: u32) -> Vec<i8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as i8
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn products_of_bytes_are_exact() {
        let shapes = [[2, 64, 8], [7, 130, 33], [200, 10, 300], [13, 65, 4]];
        let rows = [[1, 1, 1], [1, 70, 5], [1, 9000, 90], [1, 300, 2000]];
        // Rows with -128 are multiplied in 32 bits.
        let cases = shapes.iter().chain(&rows).map(|shape| (shape, -128)).chain(rows.iter().map(|shape| (shape, -127)));
        for (&[m, n, k], least) in cases {
            let (mut a, mut b) = (bytes(m * k, 1), bytes(k * n, 2));
            (a[0], b[0]) = (-128, -128);
            a.iter_mut().for_each(|a| *a = least.max(*a));
            for (am, bm) in
                [(Mat::row_major(m, k), Mat::row_major(k, n)), (Mat::transposed(m, m), Mat::transposed(k, k))]
            {
                let value = |x: &[i8], mat: Mat, i: usize, j: usize| {
                    i32::from(x[(i as isize * mat.rows + j as isize * mat.cols) as usize])
                };
                let want: Vec<f32> = (0..m * n)
                    .map(|at| (0..k).map(|p| value(&a, am, at / n, p) * value(&b, bm, p, at % n)).sum::<i32>() as f32)
                    .collect();
                let u: Vec<u8> = a.iter().map(|&byte| byte as u8).collect();
                let byte = |i: usize, p: usize| i32::from(u[(i as isize * am.rows + p as isize * am.cols) as usize]);
                let unsigned: Vec<i32> =
                    (0..m * n).map(|at| (0..k).map(|p| byte(at / n, p) * value(&b, bm, p, at % n)).sum()).collect();
                for isa in Isa::available() {
                    for threads in [1, 3] {
                        let (pool, mut c) = (ThreadPool::new(threads), vec![f32::NAN; m * n]);
                        with_isa(isa, || {
                            gemm_int8(&pool, [m, n, k], Bytes::Signed(&a), am, &b, bm, &mut c, &mut Scratch::new())
                        });
                        assert_eq!(c, want, "{m} x {n} x {k} on {}", isa.name());
                        let mut sums = vec![1; m * n];
                        with_isa(isa, || {
                            gemm_int8(&pool, [m, n, k], Bytes::Unsigned(&u), am, &b, bm, &mut sums, &mut Scratch::new())
                        });
                        assert_eq!(sums, unsigned, "unsigned, {m} x {n} x {k} on {}", isa.name());
                    }
                }
            }
        }
    }

    /// Of the kernels for an instruction set, machines with VNNI choose one.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn all_kernels_agree() {
        let kernels: [(bool, Kernel); 3] = [
            (Isa::Avx2.is_available(), x86::avx2),
            (is_x86_feature_detected!("avxvnni"), x86::avx_vnni),
            (Isa::Avx512.is_available() && is_x86_feature_detected!("avx512vnni"), x86::avx512_vnni),
        ];
        let (k, bytes) = (11, bytes(3000, 5));
        let a: Vec<u8> = bytes.iter().map(|&byte| byte as u8).collect();
        for (columns, count) in [(32, 31), (27, 6), (16, 50), (5, 1)] {
            let starts: Vec<usize> = (0..count).map(|row| 7 * row).collect();
            let rows = Rows { bytes: &a, starts: &starts, runs: &[0, 40, 1000], quads: 3 };
            let width = panel_width(columns);
            let mut words = vec![0; panel_len(3, k, width)];
            // SAFETY: B holds 33 rows of 40 columns, and the kernel is compiled for this machine.
            unsafe { pack_panel()(bytes.as_ptr(), 40, 1, 3, k, columns, &mut words) };
            let panel = Panel::new(&words, Bytes::Signed(&[]), columns, width);
            let mut want = vec![1 << 30; count * 33];
            // SAFETY: every CPU has the instructions.
            unsafe { rows::portable(&rows, &panel, &mut want, 33) };
            for (_, kernel) in kernels.iter().filter(|(available, _)| *available) {
                let mut c = vec![1 << 30; count * 33];
                // SAFETY: the CPU has the instructions.
                unsafe { kernel(&rows, &panel, &mut c, 33) };
                assert_eq!(c, want, "{columns} columns");
            }
        }
    }

    #[test]
    fn the_largest_sums_fit() {
        let (k, pool) = (MAX_STEPS, ThreadPool::new(1));
        for (a, b) in [(-128, -128), (-128, 127), (127, -128)] {
            for isa in Isa::available() {
                let (x, y, mut c) = (vec![a; k], vec![b; k], [0]);
                let (am, bm) = (Mat::row_major(1, k), Mat::row_major(k, 1));
                with_isa(isa, || {
                    gemm_int8(&pool, [1, 1, k], Bytes::Signed(&x), am, &y, bm, &mut c, &mut Scratch::new())
                });
                assert_eq!(i64::from(c[0]), i64::from(a) * i64::from(b) * k as i64, "{}", isa.name());
            }
        }
    }

    #[test]
    fn empty_sums_are_zero() {
        let (pool, mut c, mat) = (ThreadPool::new(1), [1.0; 6], Mat::row_major(2, 0));
        gemm_int8(&pool, [2, 3, 0], Bytes::Signed(&[]), mat, &[], mat, &mut c, &mut Scratch::new());
        assert_eq!(c, [0.0; 6]);
    }
}
