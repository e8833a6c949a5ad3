//! Packing of operands into the order in which micro-kernels read them.

use super::stream::widen_panels;
use super::types::Real;
use super::vector::{copy, prefetch};
use crate::dtype::half::Half;
use crate::dtype::Element;
use crate::multiversion;

/// Packs rows `0..rows` and steps `0..k` of A (element `(i, p)` at `a + i * row + p * col`) into `[k][rows]`.
///
/// # Safety
/// The source must be readable at every `(i, p)`.
pub(crate) unsafe fn rows<E: Real>(a: *const E, row: isize, col: isize, rows: usize, k: usize, to: &mut [E]) {
    assert!(to.len() >= rows * k);
    // SAFETY: the source by the caller's contract, the destination by the assertion.
    unsafe {
        if row == 1 {
            macro_rules! copies {
                ($($n:literal)*) => {
                    match rows {
                        $($n => copy_rows::<E, $n>(a, col, k, to.as_mut_ptr()),)*
                        _ => unreachable!("a tile has at most 14 rows"),
                    }
                };
            }
            copies!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
        } else if col == 1 {
            transpose(a, row, rows, k, to.as_mut_ptr(), rows);
        } else {
            for p in 0..k {
                for i in 0..rows {
                    to[p * rows + i] = *a.offset(i as isize * row + p as isize * col);
                }
            }
        }
    }
}

/// Copies `R` contiguous elements of each step.
///
/// # Safety
/// Both pointers must be valid for those elements.
unsafe fn copy_rows<E: Real, const R: usize>(from: *const E, step: isize, k: usize, to: *mut E) {
    for p in 0..k {
        // SAFETY: the caller's contract.
        unsafe {
            let from = from.offset(p as isize * step);
            prefetch(from.wrapping_offset(AHEAD as isize * step));
            let rows = from.cast::<[E; R]>().read_unaligned();
            to.add(p * R).cast::<[E; R]>().write_unaligned(rows);
        }
    }
}

/// Prefetch distance in steps of k.
const AHEAD: usize = 8;

/// Packs steps `0..k` and `columns` columns of B (element `(p, j)` at `b + p * row + j * col`) into `[k][width]`, with
/// zeros in the remaining columns.
///
/// # Safety
/// The source must be readable at every `(p, j)`.
pub(crate) unsafe fn columns<E: Real>(
    b: *const E,
    row: isize,
    col: isize,
    k: usize,
    columns: usize,
    width: usize,
    to: &mut [E],
) {
    assert!(to.len() >= k * width && columns <= width);
    // SAFETY: the caller's contract.
    if columns == width && unsafe { panels(b, row, col, k, 1, width, to) } == 1 {
        return;
    }
    // SAFETY: the source by the caller's contract, the destination by the assertion.
    unsafe {
        if col == 1 {
            for p in 0..k {
                let from = b.offset(p as isize * row);
                for line in (0..columns).step_by(64 / size_of::<E>()) {
                    prefetch(from.wrapping_offset(AHEAD as isize * row).wrapping_add(line));
                }
                copy(from, to.as_mut_ptr().add(p * width), columns);
                to[p * width + columns..(p + 1) * width].fill(E::ZERO);
            }
            return;
        }
        if columns < width {
            to[..k * width].fill(E::ZERO);
        }
        if row == 1 {
            transpose(b, col, columns, k, to.as_mut_ptr(), width);
            return;
        }
        for p in 0..k {
            for j in 0..columns {
                to[p * width + j] = *b.offset(p as isize * row + j as isize * col);
            }
        }
    }
}

/// Element of an operand: of the sums' type, or a narrower one that is widened as it is packed.
pub(crate) trait Source<E>: Element {
    /// False if operands can be read in place: they are of the type `E`.
    const WIDENED: bool;

    /// Packs steps `0..k` and columns `0..n` of B (element `(p, j)` at `b + p * row + j * col`) into `[panels][k][width]`,
    /// with zeros in the remaining columns of the last panel.
    ///
    /// # Safety
    /// The source must be readable at every `(p, j)`.
    unsafe fn pack_panels(b: *const Self, strides: [isize; 2], extents: [usize; 2], width: usize, to: &mut [E]);
}

impl<E: Real> Source<E> for E {
    const WIDENED: bool = false;

    unsafe fn pack_panels(b: *const E, [row, col]: [isize; 2], [k, n]: [usize; 2], width: usize, to: &mut [E]) {
        // SAFETY: the caller's contract.
        unsafe {
            let done = panels(b, row, col, k, n / width, width, to);
            for (panel, to) in to.chunks_exact_mut((k * width).max(1)).enumerate().take(n.div_ceil(width)).skip(done) {
                let first = panel * width;
                columns(b.wrapping_offset(first as isize * col), row, col, k, width.min(n - first), width, to);
            }
        }
    }
}

impl<T: Half> Source<f32> for T {
    const WIDENED: bool = true;

    unsafe fn pack_panels(b: *const T, [row, col]: [isize; 2], [k, n]: [usize; 2], width: usize, to: &mut [f32]) {
        if k == 0 || n == 0 {
            return;
        }
        let to = &mut to[..n.next_multiple_of(width) * k];
        // SAFETY: the caller's contract.
        unsafe {
            if col == 1 {
                return widen_panels::<T>()(b, row, [k, n], width, to);
            }
            to.fill(0.0);
            let at = |p: usize, j: usize| b.wrapping_offset(p as isize * row + j as isize * col);
            if row != 1 {
                for (p, j) in (0..k).flat_map(|p| (0..n).map(move |j| (p, j))) {
                    to[(j / width * k + p) * width + j % width] = at(p, j).read().to_acc();
                }
                return;
            }
            // Columns are contiguous: some are widened, then transposed in cache.
            let mut wide = [0.0; TRANSPOSED * TRANSPOSED];
            for (panel, to) in to.chunks_exact_mut((k * width).max(1)).enumerate() {
                let (start, end) = (panel * width, (panel * width + width).min(n));
                for j in (start..end).step_by(TRANSPOSED) {
                    for p in (0..k).step_by(TRANSPOSED) {
                        let (columns, steps) = ((end - j).min(TRANSPOSED), (k - p).min(TRANSPOSED));
                        widen_panels::<T>()(at(p, j), col, [columns, steps], TRANSPOSED, &mut wide);
                        let to = to[p * width + j - start..].as_mut_ptr();
                        transpose(wide.as_ptr(), TRANSPOSED as isize, columns, steps, to, width);
                    }
                }
            }
        }
    }
}

/// Columns and steps of k of a contiguous column-major matrix that are widened at a time.
const TRANSPOSED: usize = 32;

/// Packs `count` adjacent panels of B like [`columns`], reading all panels of one step at once, if panels consist of full
/// cache lines. Returns the number of packed panels: all or none.
///
/// # Safety
/// The source must be readable at every `(p, j)`.
pub(crate) unsafe fn panels<E: Real>(
    b: *const E,
    row: isize,
    col: isize,
    k: usize,
    count: usize,
    width: usize,
    to: &mut [E],
) -> usize {
    let copy = match width * size_of::<E>() {
        64 => pack_panels_of_1_line(),
        128 => pack_panels_of_2_lines(),
        _ => return 0,
    };
    if col != 1 {
        return 0;
    }
    assert!(to.len() >= count * k * width);
    // SAFETY: the source by the caller's contract, the destination by the assertion.
    unsafe { copy(b.cast(), row * size_of::<E>() as isize, k, count, to.as_mut_ptr().cast()) };
    count
}

type Line = [u8; 64];

multiversion! {
    unsafe fn pack_panels_of_1_line[S](from: *const Line, row: isize, k: usize, panels: usize, to: *mut Line) {
        // SAFETY: the caller's contract.
        unsafe { pack_panels_of_lines::<1>(from, row, k, panels, to) }
    }
    unsafe fn pack_panels_of_2_lines[S](from: *const Line, row: isize, k: usize, panels: usize, to: *mut Line) {
        // SAFETY: the caller's contract.
        unsafe { pack_panels_of_lines::<2>(from, row, k, panels, to) }
    }
}

/// Packs `k` rows, `row` bytes apart, of `panels` panels of `N` vectors into `[panels][k][N]`.
///
/// # Safety
/// Both pointers must be valid for those elements.
#[inline(always)]
unsafe fn pack_panels_of_lines<const N: usize>(from: *const Line, row: isize, k: usize, panels: usize, to: *mut Line) {
    let at = |p: usize| from.wrapping_byte_offset(p as isize * row);
    // Some rows at a time: the parts of a panel are then long enough for the prefetchers.
    for start in (0..k).step_by(AHEAD) {
        let end = (start + AHEAD).min(k);
        for panel in 0..panels {
            for p in start..end {
                for line in 0..N {
                    prefetch(at(p + AHEAD).wrapping_add(panel * N + line));
                }
                // SAFETY: the caller's contract.
                unsafe {
                    let line = at(p).add(panel * N).cast::<[Line; N]>().read_unaligned();
                    to.add((panel * k + p) * N).cast::<[Line; N]>().write_unaligned(line);
                }
            }
        }
    }
}

/// Computes `to[p * step + i] = from[i * row + p]` for `i < rows`, `p < k`.
///
/// # Safety
/// Both pointers must be valid for those elements.
pub(crate) unsafe fn transpose<E: Real>(from: *const E, row: isize, rows: usize, k: usize, to: *mut E, step: usize) {
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if size_of::<E>() == 4 && is_x86_feature_detected!("avx2") {
        done = k / 8 * 8;
        // SAFETY: the caller's promise; `E` is four bytes of plain data.
        unsafe { x86::transpose(from.cast(), row, rows, done, to.cast(), step) };
    }
    // Blocks of eight steps use full cache lines on both sides.
    while done < k {
        let steps = (k - done).min(8);
        for i in 0..rows {
            for p in done..done + steps {
                // SAFETY: the caller's contract.
                unsafe { *to.add(p * step + i) = *from.offset(i as isize * row + p as isize) };
            }
        }
        done += steps;
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// Transposes like [`super::transpose`] in blocks of 8 x 8; `k` is a multiple of 8.
    ///
    /// # Safety
    /// As for [`super::transpose`], on a machine with AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn transpose(from: *const f32, row: isize, rows: usize, k: usize, to: *mut f32, step: usize) {
        for i in (0..rows).step_by(8) {
            let height = (rows - i).min(8);
            for p in (0..k).step_by(8) {
                // SAFETY: rows from `height` on repeat the last valid row, and are not stored.
                unsafe {
                    if p % 16 == 0 {
                        for h in 0..height {
                            super::super::vector::prefetch(
                                from.wrapping_offset((i + h) as isize * row).wrapping_add(p + 64),
                            );
                        }
                    }
                    let line = |h: usize| _mm256_loadu_ps(from.offset((i + h.min(height - 1)) as isize * row).add(p));
                    let columns = block([line(0), line(1), line(2), line(3), line(4), line(5), line(6), line(7)]);
                    for (h, column) in columns.into_iter().enumerate() {
                        store(to.add((p + h) * step + i), column, height);
                    }
                }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn block(r: [__m256; 8]) -> [__m256; 8] {
        let low = |a, b| _mm256_unpacklo_ps(a, b);
        let high = |a, b| _mm256_unpackhi_ps(a, b);
        let t = [
            low(r[0], r[1]),
            high(r[0], r[1]),
            low(r[2], r[3]),
            high(r[2], r[3]),
            low(r[4], r[5]),
            high(r[4], r[5]),
            low(r[6], r[7]),
            high(r[6], r[7]),
        ];
        let first = |a, b| _mm256_shuffle_ps::<0b01_00_01_00>(a, b);
        let second = |a, b| _mm256_shuffle_ps::<0b11_10_11_10>(a, b);
        let u = [
            first(t[0], t[2]),
            second(t[0], t[2]),
            first(t[1], t[3]),
            second(t[1], t[3]),
            first(t[4], t[6]),
            second(t[4], t[6]),
            first(t[5], t[7]),
            second(t[5], t[7]),
        ];
        let lower = |a, b| _mm256_permute2f128_ps::<0x20>(a, b);
        let upper = |a, b| _mm256_permute2f128_ps::<0x31>(a, b);
        [
            lower(u[0], u[4]),
            lower(u[1], u[5]),
            lower(u[2], u[6]),
            lower(u[3], u[7]),
            upper(u[0], u[4]),
            upper(u[1], u[5]),
            upper(u[2], u[6]),
            upper(u[3], u[7]),
        ]
    }

    /// Stores the first `n` lanes.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store(mut to: *mut f32, value: __m256, n: usize) {
        // SAFETY: the caller's pointer holds `n` elements.
        unsafe {
            if n == 8 {
                _mm256_storeu_ps(to, value);
                return;
            }
            let mut part = _mm256_castps256_ps128(value);
            if n & 4 != 0 {
                _mm_storeu_ps(to, part);
                to = to.add(4);
                part = _mm256_extractf128_ps::<1>(value);
            }
            if n & 2 != 0 {
                _mm_storel_pd(to.cast(), _mm_castps_pd(part));
                to = to.add(2);
                part = _mm_movehl_ps(part, part);
            }
            if n & 1 != 0 {
                _mm_store_ss(to, part);
            }
        }
    }
}
