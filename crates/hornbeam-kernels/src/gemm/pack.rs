//! Copies of operands into the order in which micro-kernels read them.

use super::tile::Real;

/// Copies rows `0..rows` by steps `0..k` of A (element `(i, p)` at `a + i * row + p * col`) to `[k][rows]`.
///
/// # Safety
/// The source must be readable at every `(i, p)`.
pub(crate) unsafe fn rows<E: Real>(a: *const E, row: isize, col: isize, rows: usize, k: usize, to: &mut [E]) {
    assert!(to.len() >= rows * k);
    // SAFETY: the source by the caller's promise, the destination by the assertion.
    unsafe {
        if row == 1 {
            for p in 0..k {
                let from = std::slice::from_raw_parts(a.offset(p as isize * col), rows);
                to[p * rows..(p + 1) * rows].copy_from_slice(from);
            }
        } else if col == 1 {
            let mut i = 0;
            while i < rows {
                let height = (rows - i).min(4);
                let source = a.offset(i as isize * row);
                if height == 4 {
                    let [r0, r1, r2, r3] = [0, 1, 2, 3].map(|r| std::slice::from_raw_parts(source.offset(r * row), k));
                    for p in 0..k {
                        let at = to.as_mut_ptr().add(p * rows + i);
                        at.write(r0[p]);
                        at.add(1).write(r1[p]);
                        at.add(2).write(r2[p]);
                        at.add(3).write(r3[p]);
                    }
                } else {
                    for h in 0..height {
                        for p in 0..k {
                            *to.as_mut_ptr().add(p * rows + i + h) = *source.offset(h as isize * row + p as isize);
                        }
                    }
                }
                i += height;
            }
        } else {
            for p in 0..k {
                for i in 0..rows {
                    to[p * rows + i] = *a.offset(i as isize * row + p as isize * col);
                }
            }
        }
    }
}

/// Copies steps `0..k` by `columns` columns of B (element `(p, j)` at `b + p * row + j * col`) to `[k][width]`, the
/// missing columns zero.
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
    // SAFETY: the source by the caller's promise, the destination by the assertion.
    unsafe {
        if col == 1 {
            for p in 0..k {
                let from = std::slice::from_raw_parts(b.offset(p as isize * row), columns);
                let to = &mut to[p * width..(p + 1) * width];
                to[..columns].copy_from_slice(from);
                to[columns..].fill(E::ZERO);
            }
            return;
        }
        if columns < width {
            to[..k * width].fill(E::ZERO);
        }
        // Blocks of 16 steps: the lines of the source read once, the panel's lines written together.
        let mut p0 = 0;
        while p0 < k {
            let steps = (k - p0).min(16);
            let mut j = 0;
            while j < columns {
                let from = b.offset(p0 as isize * row + j as isize * col);
                let at = to.as_mut_ptr().add(p0 * width + j);
                if steps == 16 && columns - j >= 4 {
                    for p in 0..16 {
                        for h in 0..4 {
                            at.add(p * width + h).write(*from.offset(p as isize * row + h as isize * col));
                        }
                    }
                    j += 4;
                } else {
                    for p in 0..steps {
                        at.add(p * width).write(*from.offset(p as isize * row));
                    }
                    j += 1;
                }
            }
            p0 += steps;
        }
    }
}
