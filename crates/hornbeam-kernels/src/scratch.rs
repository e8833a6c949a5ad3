//! Scratch memory of kernels: an arena that the engine passes in, and arenas of each thread.
//!
//! Neither is cleared between uses: a kernel writes an element before it reads it.

use std::cell::RefCell;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

use crate::pages;

/// Plain data: every bit pattern is a valid value, so that reused memory may be viewed as this type.
///
/// # Safety
/// Every bit pattern must be valid and the type must need no more than 64-byte alignment.
pub unsafe trait Plain: Copy + Send + Sync + 'static {}

macro_rules! plain {
    ($($t:ty)*) => {$(
        // SAFETY: a number without padding or niches.
        unsafe impl Plain for $t {}
    )*};
}
plain!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize f32 f64 half::f16 half::bf16 crate::dtype::Bool);

/// Payload of the panic of a kernel that finds no memory for its scratch space: its result could not say so.
#[derive(Debug)]
pub struct OutOfMemory {
    pub bytes: usize,
}

impl OutOfMemory {
    /// Runs kernels; returns an error if one of them found no memory.
    pub fn catch<R>(body: impl FnOnce() -> R) -> Result<R, OutOfMemory> {
        catch_unwind(AssertUnwindSafe(body)).map_err(|payload| match payload.downcast::<OutOfMemory>() {
            Ok(error) => *error,
            Err(payload) => resume_unwind(payload),
        })
    }
}

/// Cache line, the unit of allocation, so that every slice starts on a line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

const LINE: usize = 64;

/// Lines of `n` values: too many to allocate if their bytes overflow.
fn lines<T>(n: usize) -> usize {
    n.saturating_mul(size_of::<T>()).div_ceil(LINE)
}

/// Growable, cache-line aligned arena. Kernels take slices from it instead of allocating.
#[derive(Default)]
pub struct Scratch {
    lines: Vec<Line>,
}

impl Scratch {
    /// Creates an empty arena, which grows on first use and keeps its size.
    pub const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    fn reserve(&mut self, lines: usize) {
        if self.lines.len() < lines {
            // The old contents are not needed: free them before allocating more.
            self.lines = Vec::new();
            if self.lines.try_reserve_exact(lines).is_err() {
                // Unlike `panic!`, this prints nothing.
                resume_unwind(Box::new(OutOfMemory { bytes: lines.saturating_mul(LINE) }));
            }
            pages::advise(self.lines.as_mut_ptr().cast(), lines * LINE);
            self.lines.resize(lines, Line([0; LINE]));
        }
    }

    /// Allocated bytes.
    pub fn capacity(&self) -> usize {
        self.lines.len() * LINE
    }

    /// Takes a slice of `n` values with arbitrary contents.
    pub fn take<T: Plain>(&mut self, n: usize) -> &mut [T] {
        self.take2::<T, u8>(n, 0).0
    }

    /// Takes two disjoint slices.
    pub fn take2<T: Plain, U: Plain>(&mut self, n: usize, m: usize) -> (&mut [T], &mut [U]) {
        let first = lines::<T>(n);
        self.reserve(first + lines::<U>(m));
        let (left, right) = self.lines.split_at_mut(first);
        (view(left, n), view(right, m))
    }

    /// Takes three disjoint slices.
    pub fn take3<T: Plain, U: Plain, V: Plain>(
        &mut self,
        n: usize,
        m: usize,
        l: usize,
    ) -> (&mut [T], &mut [U], &mut [V]) {
        let first = lines::<T>(n);
        let second = lines::<U>(m);
        self.reserve(first + second + lines::<V>(l));
        let (left, rest) = self.lines.split_at_mut(first);
        let (middle, right) = rest.split_at_mut(second);
        (view(left, n), view(middle, m), view(right, l))
    }
}

fn view<T: Plain>(lines: &mut [Line], n: usize) -> &mut [T] {
    debug_assert!(lines.len() * LINE >= n * size_of::<T>());
    // SAFETY: the lines hold at least `n` values, are 64-byte aligned and initialised, and `T` takes any bits.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), n) }
}

thread_local! {
    static LOCAL: RefCell<Vec<Scratch>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body` with an arena of this thread (packed panels, padded images). Nested calls use further arenas.
pub fn with_local<R>(body: impl FnOnce(&mut Scratch) -> R) -> R {
    let mut scratch = pop_local();
    let result = body(&mut scratch);
    push_local(scratch);
    result
}

// Not part of `with_local`, whose copies for every closure would each contain the access to the thread's arenas.
fn pop_local() -> Scratch {
    LOCAL.with(|arenas| arenas.borrow_mut().pop()).unwrap_or_default()
}

fn push_local(scratch: Scratch) {
    LOCAL.with(|arenas| arenas.borrow_mut().push(scratch));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_aligned_and_disjoint() {
        let mut scratch = Scratch::new();
        let (a, b, c) = scratch.take3::<f32, u8, f64>(5, 3, 7);
        assert_eq!((a.len(), b.len(), c.len()), (5, 3, 7));
        assert_eq!(a.as_ptr() as usize % 64, 0);
        assert_eq!(b.as_ptr() as usize % 64, 0);
        assert_eq!(c.as_ptr() as usize % 64, 0);
        a.fill(1.0);
        b.fill(2);
        c.fill(3.0);
        assert!(a.iter().all(|&v| v == 1.0) && b.iter().all(|&v| v == 2));
    }

    #[test]
    fn exhausted_memory_is_an_error() {
        let result = OutOfMemory::catch(|| with_local(|scratch| scratch.take::<f32>(usize::MAX / 8).len()));
        assert_eq!(result.unwrap_err().bytes, (usize::MAX / 8 * 4).next_multiple_of(LINE));
        let pool = crate::pool::ThreadPool::new(2);
        let all = || pool.run(8, &|_| with_local(|scratch| scratch.take::<u8>(1 << 60).fill(1)));
        assert!(OutOfMemory::catch(all).is_err());
        with_local(|scratch| scratch.take::<u8>(8).fill(1));
    }

    #[test]
    fn nested_locals_differ() {
        with_local(|outer| {
            let outer = outer.take::<f32>(8);
            outer.fill(1.0);
            with_local(|inner| inner.take::<f32>(8).fill(2.0));
            assert!(outer.iter().all(|&v| v == 1.0));
        });
    }
}
