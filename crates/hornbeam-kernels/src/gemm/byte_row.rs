//! Products of one row by a matrix of `int8`, summed in `int32`. Every element of the matrix is read once, so they are bound by memory bandwidth, and nothing is packed. Sums of integers are exact in any order.

use super::Mat;
use crate::multiversion;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::{Plain, Scratch};

/// Rows of B that are read concurrently, each as a stream.
const STREAMS: usize = 8;
/// Bytes of B of a task.
const WORK: usize = 1 << 18;
/// Maximum number of tasks, unless the sums of a task would leave the cache.
const TASKS: usize = 16;
/// Maximum columns of a task that reads rows: its sums take 16 KiB.
const COLUMNS: usize = 4096;

/// Bytes of the first operand.
#[derive(Clone, Copy)]
pub enum Bytes<'a> {
    Signed(&'a [i8]),
    Unsigned(&'a [u8]),
}

impl<'a> Bytes<'a> {
    /// The bits.
    pub fn raw(self) -> &'a [u8] {
        match self {
            // SAFETY: both have the same size and no invalid values.
            Bytes::Signed(x) => unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), x.len()) },
            Bytes::Unsigned(x) => x,
        }
    }

    /// The bits to flip for unsigned bytes that are shifted by 128 if the operand is signed.
    pub(crate) fn flip(self) -> u8 {
        match self {
            Bytes::Signed(_) => 128,
            Bytes::Unsigned(_) => 0,
        }
    }

    pub(crate) fn len(self) -> usize {
        self.raw().len()
    }

    fn get(self, index: usize) -> i16 {
        match self {
            Bytes::Signed(x) => x[index].into(),
            Bytes::Unsigned(x) => x[index].into(),
        }
    }
}

/// A number that sums of products of bytes are returned as.
pub trait Sum: Plain + Default {
    fn of(sum: i32) -> Self;
}

impl Sum for i32 {
    #[inline(always)]
    fn of(sum: i32) -> Self {
        sum
    }
}

impl Sum for f32 {
    #[inline(always)]
    fn of(sum: i32) -> Self {
        sum as f32
    }
}

/// Computes `c = a @ b` for a row `a` of `k` bytes, if the rows or the columns of `b` are contiguous; returns false
/// otherwise.
pub(super) fn product<T: Sum>(
    pool: &ThreadPool,
    k: usize,
    a: Bytes,
    am: Mat,
    b: &[i8],
    bm: Mat,
    c: &mut [T],
    scratch: &mut Scratch,
) -> bool {
    let dots = bm.rows == 1 && bm.cols >= 0;
    if !(dots || bm.cols == 1 && bm.rows >= 0) {
        return false;
    }
    let n = c.len();
    let blocks = if dots { 1 } else { n.div_ceil(COLUMNS) };
    let tasks = (n * k).div_ceil(WORK).min(TASKS);
    let splits = if dots { 0 } else { (tasks / blocks).clamp(1, k.div_ceil(STREAMS)) };
    // Widened once: products of bytes fit 16 bits, which are multiplied at twice the rate of 32.
    let (row, partial) = scratch.take2::<i16, i32>(k, splits * n);
    for (p, step) in row.iter_mut().enumerate() {
        *step = a.get((am.offset as isize + p as isize * am.cols) as usize);
    }
    let (row, b) = (&*row, &b[bm.offset..]);
    if dots {
        let (dots, columns, stride) = (dot_products::<T>(), n.div_ceil(tasks), bm.cols as usize);
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        pool.run_chunks(c, columns, &|task, c| unsafe { dots(row, &b[task * columns * stride..], stride, c) });
        return true;
    }
    let (add, width, stride) = (add_rows(), n.div_ceil(blocks), bm.rows as usize);
    let sums = SharedMut::new(partial);
    pool.run(blocks * splits, &|task| {
        let (first, split) = (task / splits * width, task % splits);
        let columns = width.min(n - first);
        // SAFETY: tasks write disjoint parts.
        let sums = unsafe { sums.range(split * n + first..split * n + first + columns) };
        sums.fill(0);
        let [start, end] = [split, split + 1].map(|split| split * k / splits);
        // SAFETY: as above.
        unsafe { add(&row[start..end], &b[start * stride + first..], stride, sums) };
    });
    for (j, c) in c.iter_mut().enumerate() {
        *c = T::of(partial[j..].iter().step_by(n).sum());
    }
    true
}

multiversion! {
    /// Computes the products of `a` and columns of B, `stride` bytes apart.
    unsafe fn dot_products[S, T: Sum](a: &[i16], b: &[i8], stride: usize, c: &mut [T]) {
        for (j, c) in c.iter_mut().enumerate() {
            let products = a.iter().zip(&b[j * stride..][..a.len()]).map(|(&a, &b)| i32::from(a) * i32::from(b));
            *c = T::of(products.sum());
        }
    }

    /// Adds multiples of rows of B, `stride` bytes apart, to `sums`.
    unsafe fn add_rows[S](a: &[i16], b: &[i8], stride: usize, sums: &mut [i32]) {
        let n = sums.len();
        let (groups, rest) = a.as_chunks::<STREAMS>();
        for (group, a) in groups.iter().enumerate() {
            let rows: [&[i8]; STREAMS] = std::array::from_fn(|i| &b[(group * STREAMS + i) * stride..][..n]);
            // Sums of two larger products do not fit 16 bits.
            if a.iter().any(|a| a.abs() > 127) {
                for (j, sum) in sums.iter_mut().enumerate() {
                    for i in 0..STREAMS {
                        *sum += i32::from(a[i]) * i32::from(rows[i][j]);
                    }
                }
                continue;
            }
            for (j, sum) in sums.iter_mut().enumerate() {
                for i in (0..STREAMS).step_by(2) {
                    *sum += i32::from(pair(a[i], rows[i][j], a[i + 1], rows[i + 1][j]));
                }
            }
        }
        for (p, a) in (groups.len() * STREAMS..).zip(rest) {
            for (sum, &b) in sums.iter_mut().zip(&b[p * stride..][..n]) {
                *sum += i32::from(*a) * i32::from(b);
            }
        }
    }
}

/// The sum of two products. It fits 16 bits, as elements of A are at most 127.
#[inline(always)]
fn pair(a: i16, b: i8, other_a: i16, other_b: i8) -> i16 {
    a * i16::from(b) + other_a * i16::from(other_b)
}
