//! Selection by a mask. Elements are only moved: one kernel per size.

use super::loops::{load, store, Array, Operand, Scalar, Tail, LANES};
use super::TernaryFn;
use crate::dtype::{Bool, DType, Element};
use crate::multiversion;
use std::ptr;

/// Element that is only moved.
pub trait Bits: Element {
    /// Returns `self` if the condition holds, else `other`.
    fn select(self, condition: Bool, other: Self) -> Self;
}

macro_rules! bits {
    ($($t:ident),*) => {$(
        impl Bits for $t {
            // By a bit mask, for which LLVM generates better code than for a select on bytes.
            #[inline(always)]
            fn select(self, condition: Bool, other: $t) -> $t {
                other ^ ((self ^ other) & $t::from(condition.get()).wrapping_neg())
            }
        }
    )*};
}

bits!(u8, u16, u32, u64);

/// Kernel of `select(condition, x, y)` for arrays `x` and `y` of `dtype`.
pub fn select(dtype: DType) -> TernaryFn {
    select_with(dtype, [false; 2])
}

/// Kernel like [`select`]; `scalars` marks operands that point to a single, broadcast element.
pub fn select_with(dtype: DType, scalars: [bool; 2]) -> TernaryFn {
    fn pick<T: Bits>(scalars: [bool; 2]) -> TernaryFn {
        match scalars {
            [false, false] => choose::<T, Array, Array>(),
            [true, false] => choose::<T, Scalar, Array>(),
            [false, true] => choose::<T, Array, Scalar>(),
            [true, true] => choose::<T, Scalar, Scalar>(),
        }
    }
    match dtype.size() {
        1 => pick::<u8>(scalars),
        2 => pick::<u16>(scalars),
        4 => pick::<u32>(scalars),
        _ => pick::<u64>(scalars),
    }
}

/// Processes one block of [`select`].
///
/// # Safety
/// A block is readable at `c`, `x` and `y` and writable at `dst`.
#[inline(always)]
unsafe fn block3<T: Bits>(c: *const Bool, x: *const T, y: *const T, dst: *mut T) {
    // SAFETY: the caller's contract.
    let (c, x, y) = unsafe { (load::<_, LANES>(c, LANES), load::<_, LANES>(x, LANES), load::<_, LANES>(y, LANES)) };
    let mut z = [T::ZERO; LANES];
    for j in 0..LANES {
        z[j] = x[j].select(c[j], y[j]);
    }
    // SAFETY: the caller's contract.
    unsafe { store(dst, &z, LANES) };
}

multiversion! {
    /// Computes `c ? x : y` for elements of the size of `T`. `steps` as in `map2_steps`.
    unsafe fn choose_steps(isa)[S, T: Bits](
        c: *const u8, x: *const u8, y: *const u8, steps: [usize; 2], dst: *mut u8, n: usize
    ) {
        let (mut c, mut x, mut y, mut dst) = (c.cast::<Bool>(), x.cast::<T>(), y.cast::<T>(), dst.cast::<T>());
        let (mut u, mut v, mut w, mut z) = (Tail::new(), Tail::new(), Tail::new(), Tail::new());
        let (mut left, mut rest) = (n / LANES * LANES, n % LANES);
        let end = dst.wrapping_add(left);
        let mut tail = (c, x, y);
        if rest > 0 {
            // SAFETY: `rest` elements follow the full blocks.
            unsafe {
                tail.0 = u.load(c.add(left), 1, rest);
                tail.1 = v.load(x.add(left * steps[0]), steps[0], rest);
                tail.2 = w.load(y.add(left * steps[1]), steps[1], rest);
            }
        }
        loop {
            while left > 0 {
                // SAFETY: an operand has `left` more elements, a multiple of the block, or one block if it repeats.
                unsafe {
                    block3(c, x, y, dst);
                    (c, dst) = (c.add(LANES), dst.add(LANES));
                    (x, y) = (x.add(LANES * steps[0]), y.add(LANES * steps[1]));
                }
                left -= LANES;
            }
            if rest == 0 {
                break;
            }
            ((c, x, y), dst, left, rest) = (tail, z.0.as_mut_ptr().cast(), LANES, 0);
        }
        // SAFETY: as above; the loop has computed the block.
        unsafe { z.store(end, n % LANES) };
    }

    /// Computes `c ? x : y`; `A` and `B` are the kinds of `x` and `y`.
    unsafe fn choose[S, T: Bits, A: Operand, B: Operand](
        c: *const u8, x: *const u8, y: *const u8, dst: *mut u8, n: usize
    ) {
        let block = |scalar: bool, p: *const u8| {
            // SAFETY: a scalar operand points to one element.
            if scalar { [unsafe { ptr::read_unaligned(p.cast::<T>()) }; LANES] } else { [T::ZERO; LANES] }
        };
        let (u, v) = (block(A::SCALAR, x), block(B::SCALAR, y));
        let x = if A::SCALAR { u.as_ptr().cast() } else { x };
        let y = if B::SCALAR { v.as_ptr().cast() } else { y };
        // SAFETY: arrays have n elements by the caller's contract, scalars are one block long.
        unsafe { choose_steps::<T>(S::ISA)(c, x, y, [usize::from(!A::SCALAR), usize::from(!B::SCALAR)], dst, n) };
    }
}
