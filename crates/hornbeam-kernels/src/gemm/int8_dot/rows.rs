//! The sums: rows of bytes, read where they are, by a packed panel of columns.

use super::Panel;

/// Rows of unsigned bytes. A row is some runs of `4 * quads` bytes each.
pub(crate) struct Rows<'a> {
    pub(crate) bytes: &'a [u8],
    /// The starts of the rows.
    pub(crate) starts: &'a [usize],
    /// The starts of the runs of a row, counted from its own start.
    pub(crate) runs: &'a [usize],
    /// Quads of a run.
    pub(crate) quads: usize,
}

/// Writes the products of rows and a panel to `c`, whose rows are `stride` apart.
pub(crate) type Kernel = unsafe fn(rows: &Rows, panel: &Panel, c: &mut [i32], stride: usize);

/// Sums of quads for some columns, in registers.
pub(super) trait Sums: Copy {
    /// Columns.
    const LANES: usize;
    /// # Safety
    /// For all functions: the CPU has the instructions, and pointers are valid for `LANES` elements.
    unsafe fn load(from: *const i32) -> Self;
    /// Adds the products of a quad of A and quads of B.
    unsafe fn add_products(self, a: i32, b: *const i32) -> Self;
    unsafe fn store(self, to: *mut i32);
}

/// Computes tiles of `M` rows, or of `FEW` where no more are left, by `N` vectors of sums.
#[inline(always)]
pub(super) unsafe fn multiply<S: Sums, const M: usize, const FEW: usize, const N: usize>(
    rows: &Rows,
    panel: &Panel,
    c: &mut [i32],
    stride: usize,
) {
    let Some(last) = rows.starts.len().checked_sub(1) else { return };
    let largest = |offsets: &[usize]| offsets.iter().copied().max().unwrap_or(0);
    assert!(largest(rows.starts) + largest(rows.runs) + 4 * rows.quads <= rows.bytes.len());
    assert!(panel.quads.len() >= rows.runs.len() * rows.quads * panel.width);
    assert!(panel.corrections.len() >= panel.width);
    assert!(panel.width.is_multiple_of(N * S::LANES) && panel.columns <= panel.width);
    assert!(c.len() >= last * stride + panel.columns);
    for column in (0..panel.columns).step_by(N * S::LANES) {
        for (tile, starts) in rows.starts.chunks(M).enumerate() {
            let (to, columns) = (c.as_mut_ptr().wrapping_add(tile * M * stride + column), panel.columns - column);
            // SAFETY: the lengths were checked; the instructions by the caller.
            unsafe {
                if starts.len() <= FEW {
                    run_tile::<S, FEW, N>(rows, starts, panel, column, columns, to, stride);
                } else {
                    run_tile::<S, M, N>(rows, starts, panel, column, columns, to, stride);
                }
            }
        }
    }
}

/// Computes up to `M` rows; the last one as often as rows are missing.
#[inline(always)]
unsafe fn run_tile<S: Sums, const M: usize, const N: usize>(
    rows: &Rows,
    starts: &[usize],
    panel: &Panel,
    column: usize,
    columns: usize,
    to: *mut i32,
    stride: usize,
) {
    let last = starts.len() - 1;
    let own: [usize; M] = std::array::from_fn(|i| starts[i.min(last)]);
    // SAFETY: the caller checked the lengths.
    unsafe {
        let sums = sums::<S, M, N>(rows, &own, panel, column);
        if columns >= N * S::LANES {
            return store(sums, |i| to.add(i.min(last) * stride));
        }
        let mut whole = [[0i32; super::WIDTH]; M];
        let start = whole.as_mut_ptr();
        store(sums, |i| start.add(i).cast());
        for (i, row) in whole[..=last].iter().enumerate() {
            std::ptr::copy_nonoverlapping(row.as_ptr(), to.add(i * stride), columns);
        }
    }
}

/// Adds the products of `M` rows and `N` vectors of columns to the corrections.
#[inline(always)]
unsafe fn sums<S: Sums, const M: usize, const N: usize>(
    rows: &Rows,
    starts: &[usize; M],
    panel: &Panel,
    column: usize,
) -> [[S; N]; M] {
    let (corrections, mut b) = (&panel.corrections[column..], panel.quads.as_ptr().wrapping_add(column));
    // SAFETY: `multiply` checked the lengths, here and below.
    let corrections: [S; N] = std::array::from_fn(|j| unsafe { S::load(corrections.as_ptr().add(j * S::LANES)) });
    let mut sums = [corrections; M];
    for &run in rows.runs {
        let mut a = rows.bytes.as_ptr().wrapping_add(run);
        for _ in 0..rows.quads {
            for (sums, &start) in sums.iter_mut().zip(starts) {
                // SAFETY: as above.
                let quad = unsafe { a.add(start).cast::<i32>().read_unaligned() };
                for (j, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: as above.
                    *sum = unsafe { sum.add_products(quad, b.add(j * S::LANES)) };
                }
            }
            (a, b) = (a.wrapping_add(4), b.wrapping_add(panel.width));
        }
    }
    sums
}

#[inline(always)]
unsafe fn store<S: Sums, const M: usize, const N: usize>(sums: [[S; N]; M], to: impl Fn(usize) -> *mut i32) {
    for (i, sums) in sums.iter().enumerate() {
        for (j, sum) in sums.iter().enumerate() {
            // SAFETY: the caller's contract.
            unsafe { sum.store(to(i).add(j * S::LANES)) };
        }
    }
}

#[derive(Clone, Copy)]
struct Plain([i32; 4]);

impl Sums for Plain {
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: the caller's contract, here and below.
        Self(unsafe { *from.cast() })
    }
    #[inline(always)]
    unsafe fn add_products(self, a: i32, b: *const i32) -> Self {
        // SAFETY: as above.
        let b = unsafe { *b.cast::<[i32; 4]>() };
        Self(std::array::from_fn(|lane| {
            let products = a.to_le_bytes().into_iter().zip(b[lane].to_le_bytes());
            // On the way to a sum that fits, one with the corrections may not.
            self.0[lane].wrapping_add(products.map(|(a, b)| i32::from(a) * i32::from(b as i8)).sum())
        }))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: as above.
        unsafe { *to.cast() = self.0 };
    }
}

pub(super) unsafe fn portable(rows: &Rows, panel: &Panel, c: &mut [i32], stride: usize) {
    // SAFETY: every CPU has the instructions.
    unsafe { multiply::<Plain, 1, 1, 2>(rows, panel, c, stride) }
}
