//! Products of `int8` matrices, summed in `int32` and returned as `float32`: inputs and weights of quantized layers.
//!
//! Four neighbouring steps of k, a quad, fill a word of 32 bits: the instructions of AVX-VNNI multiply quads and add the
//! four products to a sum. They take unsigned bytes of A, so that A is shifted by 128, and 128 times the sum of each
//! column of B is subtracted. Sums of integers are exact in any order. B is packed by each task, panel by panel, in cache:
//! that is quicker than memory delivers it.

use super::{byte_row, pack, Mat};
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{with_local, Scratch};
use crate::simd::{isa, Isa};

/// Steps of k up to which no sum of products of bytes leaves 32 bits.
pub const MAX_STEPS: usize = (1 << 17) - 1;
/// Columns of a panel of B: four vectors of AVX-512. The last panel may have fewer vectors.
pub(crate) const WIDTH: usize = 64;
/// Columns of a vector of AVX-512.
const VECTOR: usize = 16;
/// Rows that share a packed panel.
const ROWS: usize = 192;
/// Multiply-adds of a task.
const WORK: usize = 1 << 19;

/// Computes `c = float(a @ b)`. `a` is `m x k` with layout `am`, `b` is `k x n` with layout `bm`, `c` is row-major.
///
/// # Panics
/// If a slice is shorter than its matrix, or `k` exceeds [`MAX_STEPS`].
pub fn gemm_int8(
    pool: &ThreadPool,
    [m, n, k]: [usize; 3],
    a: &[i8],
    am: Mat,
    b: &[i8],
    bm: Mat,
    c: &mut [f32],
    scratch: &mut Scratch,
) {
    assert!(k <= MAX_STEPS, "sums of {k} products of bytes may leave 32 bits");
    assert!(am.fits(1, m, k, a.len()), "a: {am:?} of {} elements do not hold {m} x {k}", a.len());
    assert!(bm.fits(1, k, n, b.len()), "b: {bm:?} of {} elements do not hold {k} x {n}", b.len());
    assert_eq!(c.len(), m * n, "c does not hold {m} x {n}");
    let quads = k.div_ceil(4);
    if c.is_empty() || quads == 0 {
        return c.fill(0.0);
    }
    if m == 1 && byte_row::product(pool, k, a, am, b, bm, c, scratch) {
        return;
    }
    let words = scratch.take::<i32>(m * quads);
    pack_rows(pool, k, a, am, words);
    let (words, pack_panel, kernel) = (&*words, pack_panel(), kernel());
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
                let (packed, sums) = local.take2::<i32, f32>(quads * width, (end - first) * width);
                let from = b.as_ptr().wrapping_offset(bm.offset as isize + column as isize * bm.cols);
                // SAFETY: B holds the steps and columns, blocks of C are disjoint, and both kernels are compiled for this
                // machine.
                unsafe {
                    pack_panel(from, bm.rows, bm.cols, k, columns, packed);
                    kernel(&Panel { a: &words[first * quads..end * quads], b: packed, quads, width }, sums);
                    for (i, sums) in sums.chunks_exact(width).enumerate() {
                        let start = (first + i) * n + column;
                        c.range(start..start + columns).copy_from_slice(&sums[..columns]);
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

/// Packs rows of A, shifted by 128, into quads `[m][ceil(k / 4)]`.
fn pack_rows(pool: &ThreadPool, k: usize, a: &[i8], am: Mat, to: &mut [i32]) {
    let (quads, shift) = (k.div_ceil(4), pack_row());
    let rows = (WORK / 16).div_ceil(quads);
    pool.run_chunks(to, quads * rows, &|task, to| {
        for (i, to) in to.chunks_exact_mut(quads).enumerate() {
            let start = (am.offset as isize + (task * rows + i) as isize * am.rows) as usize;
            if am.cols == 1 {
                // SAFETY: the kernel is compiled for this machine and has no other precondition.
                unsafe { shift(&a[start..start + k], to) };
                continue;
            }
            let byte = |p: usize| if p < k { a[(start as isize + p as isize * am.cols) as usize] } else { 0 };
            for (p, quad) in to.iter_mut().enumerate() {
                *quad = i32::from_le_bytes(std::array::from_fn(|step| byte(4 * p + step) as u8 ^ 128));
            }
        }
    });
}

multiversion! {
    /// Shifts a row by 128; the last quad is filled up, for steps in which B is zero.
    unsafe fn pack_row[S](from: &[i8], to: &mut [i32]) {
        let (quads, rest) = from.as_chunks::<4>();
        for (to, quad) in to.iter_mut().zip(quads) {
            *to = i32::from_le_bytes(quad.map(|byte| byte as u8)) ^ 0x8080_8080u32 as i32;
        }
        if !rest.is_empty() {
            let byte = |step: usize| rest.get(step).map_or(0, |&byte| byte as u8);
            to[quads.len()] = i32::from_le_bytes(std::array::from_fn(byte)) ^ 0x8080_8080u32 as i32;
        }
    }

    /// Packs `columns` columns of B into quads `[ceil(k / 4)][panel_width(columns)]`, with zeros after them and after step
    /// `k`. B must hold them.
    pub(crate) unsafe fn pack_panel[S](b: *const i8, row: isize, col: isize, k: usize, columns: usize, to: &mut [i32]) {
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
}

/// Rows of A, and a panel of B.
pub(crate) struct Panel<'a> {
    /// Quads of rows, shifted by 128.
    pub(crate) a: &'a [i32],
    pub(crate) b: &'a [i32],
    pub(crate) quads: usize,
    /// Columns of B, a multiple of 16, up to [`WIDTH`].
    pub(crate) width: usize,
}

/// Writes the products, `[rows][width]`.
pub(crate) type Kernel = unsafe fn(&Panel, &mut [f32]);

/// The kernel of the calling thread's instruction set.
pub(crate) fn kernel() -> Kernel {
    match isa() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if is_x86_feature_detected!("avx512vnni") => x86::avx512_vnni,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2 => x86::avx2,
        _ => portable,
    }
}

/// Sums of quads for some columns, in registers.
trait Sums: Copy {
    /// Columns.
    const LANES: usize;
    /// # Safety
    /// For all functions: the CPU has the instructions, and pointers are valid for `LANES` elements.
    unsafe fn zero() -> Self;
    /// Adds the products of a quad of A and quads of B.
    unsafe fn add_products(self, a: i32, b: *const i32) -> Self;
    /// Returns `-128` times the sums.
    unsafe fn correction(self) -> Self;
    unsafe fn store(self, to: *mut f32);
}

/// Computes the rows of a panel, in tiles of `M` rows by `N` vectors of sums.
#[inline(always)]
unsafe fn rows_by_panel<S: Sums, const M: usize, const N: usize>(t: &Panel, c: &mut [f32]) {
    let rows = c.len() / t.width;
    assert!(t.a.len() >= rows * t.quads && t.b.len() >= t.width * t.quads);
    assert!(t.width.is_multiple_of(N * S::LANES));
    for column in (0..t.width).step_by(N * S::LANES) {
        // SAFETY: the lengths were checked; the instructions by the caller.
        unsafe {
            // A row of ones sums the columns.
            let [ones] = sums::<S, 1, N>(t, column, &[[S::zero(); N]], |_, _| 0x0101_0101);
            let start = ones.map(|sum| sum.correction());
            let mut row = 0;
            while row < rows {
                let a = t.a.as_ptr().add(row * t.quads);
                let to = c.as_mut_ptr().add(row * t.width + column);
                if rows - row >= M {
                    store(sums::<S, M, N>(t, column, &[start; M], |i, p| *a.add(i * t.quads + p)), to, t.width);
                    row += M;
                } else {
                    store(sums::<S, 1, N>(t, column, &[start], |_, p| *a.add(p)), to, t.width);
                    row += 1;
                }
            }
        }
    }
}

/// Adds the products of `M` rows, whose quads are `a(row, p)`, and `N` vectors of columns.
#[inline(always)]
unsafe fn sums<S: Sums, const M: usize, const N: usize>(
    t: &Panel,
    column: usize,
    start: &[[S; N]; M],
    a: impl Fn(usize, usize) -> i32,
) -> [[S; N]; M] {
    let mut sums = *start;
    let mut b = t.b.as_ptr().wrapping_add(column);
    for p in 0..t.quads {
        for (i, sums) in sums.iter_mut().enumerate() {
            let quad = a(i, p);
            for (j, sum) in sums.iter_mut().enumerate() {
                // SAFETY: `rows_by_panel` checked the lengths.
                *sum = unsafe { sum.add_products(quad, b.add(j * S::LANES)) };
            }
        }
        b = b.wrapping_add(t.width);
    }
    sums
}

#[inline(always)]
unsafe fn store<S: Sums, const M: usize, const N: usize>(sums: [[S; N]; M], to: *mut f32, width: usize) {
    for (i, sums) in sums.iter().enumerate() {
        for (j, sum) in sums.iter().enumerate() {
            // SAFETY: as above.
            unsafe { sum.store(to.add(i * width + j * S::LANES)) };
        }
    }
}

#[derive(Clone, Copy)]
struct Plain([i32; 4]);

impl Sums for Plain {
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0; 4])
    }
    #[inline(always)]
    unsafe fn correction(self) -> Self {
        Self(self.0.map(|sum| -128 * sum))
    }
    #[inline(always)]
    unsafe fn add_products(self, a: i32, b: *const i32) -> Self {
        // SAFETY: the caller's contract, here and below.
        let b = unsafe { *b.cast::<[i32; 4]>() };
        Self(std::array::from_fn(|lane| {
            let products = a.to_le_bytes().into_iter().zip(b[lane].to_le_bytes());
            // On the way to a sum that fits, one with the corrections may not.
            self.0[lane].wrapping_add(products.map(|(a, b)| i32::from(a) * i32::from(b as i8)).sum())
        }))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { *to.cast() = self.0.map(|sum| sum as f32) };
    }
}

unsafe fn portable(t: &Panel, c: &mut [f32]) {
    // SAFETY: every CPU has the instructions.
    unsafe { rows_by_panel::<Plain, 1, 2>(t, c) }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{rows_by_panel, Panel, Sums};
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    struct Vnni(__m512i);

    impl Sums for Vnni {
        const LANES: usize = 16;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller's contract, here and below.
            Self(unsafe { _mm512_setzero_si512() })
        }
        #[inline(always)]
        unsafe fn correction(self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_mullo_epi32(self.0, _mm512_set1_epi32(-128)) })
        }
        #[inline(always)]
        unsafe fn add_products(self, a: i32, b: *const i32) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_dpbusd_epi32(self.0, _mm512_set1_epi32(a), _mm512_loadu_si512(b.cast())) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above.
            unsafe { _mm512_storeu_ps(to, _mm512_cvtepi32_ps(self.0)) };
        }
    }

    /// Eight columns: for each, two sums of 32 bits that are added at the end.
    #[derive(Clone, Copy)]
    struct Pairs([__m256i; 2]);

    impl Sums for Pairs {
        const LANES: usize = 8;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller's contract, here and below.
            Self([unsafe { _mm256_setzero_si256() }; 2])
        }
        #[inline(always)]
        unsafe fn correction(self) -> Self {
            // SAFETY: as above.
            Self(self.0.map(|sums| unsafe { _mm256_mullo_epi32(sums, _mm256_set1_epi32(-128)) }))
        }
        #[inline(always)]
        unsafe fn add_products(self, a: i32, b: *const i32) -> Self {
            // SAFETY: as above. Products of 16 bits, so that sums of two fit 32.
            unsafe {
                let a = _mm256_cvtepu8_epi16(_mm_set1_epi32(a));
                let add = |sums, at| {
                    let b = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.add(at).cast()));
                    _mm256_add_epi32(sums, _mm256_madd_epi16(a, b))
                };
                Self([add(self.0[0], 0), add(self.0[1], 4)])
            }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above. The horizontal sum works on halves of registers.
            unsafe {
                let sums = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(self.0[0], self.0[1]));
                _mm256_storeu_ps(to, _mm256_cvtepi32_ps(sums));
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
    pub(super) unsafe fn avx512_vnni(t: &Panel, c: &mut [f32]) {
        // SAFETY: compiled for the instructions. Up to 24 sums are in registers.
        unsafe {
            match t.width {
                16 => rows_by_panel::<Vnni, 24, 1>(t, c),
                32 => rows_by_panel::<Vnni, 12, 2>(t, c),
                48 => rows_by_panel::<Vnni, 8, 3>(t, c),
                _ => rows_by_panel::<Vnni, 6, 4>(t, c),
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(t: &Panel, c: &mut [f32]) {
        // SAFETY: compiled for the instructions.
        unsafe { rows_by_panel::<Pairs, 2, 2>(t, c) }
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
        // Rows with -128 are computed as other matrices are.
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
                for isa in Isa::available() {
                    for threads in [1, 3] {
                        let (pool, mut c) = (ThreadPool::new(threads), vec![f32::NAN; m * n]);
                        with_isa(isa, || gemm_int8(&pool, [m, n, k], &a, am, &b, bm, &mut c, &mut Scratch::new()));
                        assert_eq!(c, want, "{m} x {n} x {k} on {}", isa.name());
                    }
                }
            }
        }
    }

    #[test]
    fn the_largest_sums_fit() {
        let (k, pool) = (MAX_STEPS, ThreadPool::new(1));
        for (a, b) in [(-128, -128), (-128, 127), (127, -128)] {
            for isa in Isa::available() {
                let (x, y, mut c) = (vec![a; k], vec![b; k], [0.0]);
                let (am, bm) = (Mat::row_major(1, k), Mat::row_major(k, 1));
                with_isa(isa, || gemm_int8(&pool, [1, 1, k], &x, am, &y, bm, &mut c, &mut Scratch::new()));
                assert_eq!(c[0], (i64::from(a) * i64::from(b) * k as i64) as f32, "{}", isa.name());
            }
        }
    }

    #[test]
    fn empty_sums_are_zero() {
        let (pool, mut c, mat) = (ThreadPool::new(1), [1.0; 6], Mat::row_major(2, 0));
        gemm_int8(&pool, [2, 3, 0], &[], mat, &[], mat, &mut c, &mut Scratch::new());
        assert_eq!(c, [0.0; 6]);
    }
}
