//! The loops under every element-wise kernel.
//!
//! They run in blocks of [`LANES`] that are copied to locals, computed, and copied out. LLVM keeps the locals in
//! registers; what the copies buy is that it need not ask whether input and output overlap, so working in place (`dst` equal
//! to an operand) is allowed and as fast, and that a scalar operand is a block that does not advance.

use std::marker::PhantomData;
use std::ptr;

use crate::dtype::{Bool, Element};
use crate::math::Real;
use crate::multiversion;
use crate::simd::Target;

pub(super) const LANES: usize = 64;

/// `n` elements of `src` to `dst`.
pub type UnaryFn = unsafe fn(src: *const u8, dst: *mut u8, n: usize);
/// Operands `a` and `b`.
pub type BinaryFn = unsafe fn(a: *const u8, b: *const u8, dst: *mut u8, n: usize);
/// Operands `a`, `b` and `c`.
pub type TernaryFn = unsafe fn(a: *const u8, b: *const u8, c: *const u8, dst: *mut u8, n: usize);

/// A function of one element.
pub trait Map1 {
    type In: Element;
    type Out: Element;
    fn apply<S: Target>(x: Self::In) -> Self::Out;
    /// Whether some rare inputs are left to `slow`, which may branch.
    const RARE: bool = false;
    #[inline(always)]
    fn is_rare(_: Self::In) -> bool {
        false
    }
    fn slow(x: Self::In) -> Self::Out {
        Self::apply::<crate::simd::Portable>(x)
    }
}

/// A function of two elements of one type.
pub trait Map2 {
    type In: Element;
    type Out: Element;
    fn apply<S: Target>(a: Self::In, b: Self::In) -> Self::Out;
}

/// Elements that are only moved.
pub trait Bits: Element {
    /// `self` where the condition holds, else `other`.
    fn choose(self, condition: Bool, other: Self) -> Self;
}

macro_rules! bits {
    ($($t:ident),*) => {$(
        impl Bits for $t {
            // With a mask of bits: LLVM makes better code of it than of a select on bytes.
            #[inline(always)]
            fn choose(self, condition: Bool, other: $t) -> $t {
                other ^ ((self ^ other) & $t::from(condition.get()).wrapping_neg())
            }
        }
    )*};
}

bits!(u8, u16, u32, u64);

/// Whether an operand is an array or one element for all.
pub trait Operand {
    const SCALAR: bool;
}
pub struct Array;
pub struct Scalar;
impl Operand for Array {
    const SCALAR: bool = false;
}
impl Operand for Scalar {
    const SCALAR: bool = true;
}

/// Reads a block, or what is left of one; the rest of the lanes then holds zeros.
///
/// # Safety
/// `m <= LANES` elements are readable.
#[inline(always)]
pub(super) unsafe fn load<T: Element>(p: *const T, m: usize) -> [T; LANES] {
    if m == LANES {
        // SAFETY: a full block is readable. Unaligned: buffers may be views into files.
        return unsafe { ptr::read_unaligned(p.cast()) };
    }
    let mut block = [T::ZERO; LANES];
    // SAFETY: m elements are readable and fit. Bytes, because of the alignment.
    unsafe { ptr::copy_nonoverlapping(p.cast::<u8>(), block.as_mut_ptr().cast::<u8>(), m * size_of::<T>()) };
    block
}

/// Writes a block, or the first `m` of it.
///
/// # Safety
/// `m <= LANES` elements are writable.
#[inline(always)]
pub(super) unsafe fn store<T: Element>(p: *mut T, block: &[T; LANES], m: usize) {
    if m == LANES {
        // SAFETY: a full block is writable.
        unsafe { ptr::write_unaligned(p.cast(), *block) };
    } else {
        // SAFETY: m elements are writable.
        unsafe { ptr::copy_nonoverlapping(block.as_ptr().cast::<u8>(), p.cast::<u8>(), m * size_of::<T>()) };
    }
}

/// One block of [`map1`].
///
/// # Safety
/// `m <= LANES` elements are readable at `src` and writable at `dst`.
#[inline(always)]
unsafe fn block1<S: Target, O: Map1>(src: *const O::In, dst: *mut O::Out, m: usize) {
    // SAFETY: the caller's promise.
    let x = unsafe { load(src, m) };
    let mut y = [O::Out::ZERO; LANES];
    for j in 0..LANES {
        y[j] = O::apply::<S>(x[j]);
    }
    if O::RARE && x.iter().fold(false, |any, x| any | O::is_rare(*x)) {
        for j in 0..LANES {
            if O::is_rare(x[j]) {
                y[j] = O::slow(x[j]);
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { store(dst, &y, m) };
}

/// One block of [`map2`].
///
/// # Safety
/// `m <= LANES` elements are readable at `a` and `b` and writable at `dst`.
#[inline(always)]
unsafe fn block2<S: Target, O: Map2>(a: *const O::In, b: *const O::In, dst: *mut O::Out, m: usize) {
    // SAFETY: the caller's promise.
    let (x, y) = unsafe { (load(a, m), load(b, m)) };
    let mut z = [O::Out::ZERO; LANES];
    for j in 0..LANES {
        z[j] = O::apply::<S>(x[j], y[j]);
    }
    // SAFETY: the caller's promise.
    unsafe { store(dst, &z, m) };
}

/// One block of [`choose`].
///
/// # Safety
/// `m <= LANES` elements are readable at `c`, `x` and `y` and writable at `dst`.
#[inline(always)]
unsafe fn block3<T: Bits>(c: *const Bool, x: *const T, y: *const T, dst: *mut T, m: usize) {
    // SAFETY: the caller's promise.
    let (c, x, y) = unsafe { (load(c, m), load(x, m), load(y, m)) };
    let mut z = [T::ZERO; LANES];
    for j in 0..LANES {
        z[j] = x[j].choose(c[j], y[j]);
    }
    // SAFETY: the caller's promise.
    unsafe { store(dst, &z, m) };
}

// Whole blocks have a loop of their own: where `m` may be either, LLVM sends every block through the stack.
multiversion! {
    /// Applies `O` to `n` elements.
    pub unsafe fn map1[S, O: Map1](src: *const u8, dst: *mut u8, n: usize) {
        let (src, dst) = (src.cast::<O::In>(), dst.cast::<O::Out>());
        let whole = n / LANES * LANES;
        let mut i = 0;
        while i < whole {
            // SAFETY: i + LANES <= n.
            unsafe { block1::<S, O>(src.add(i), dst.add(i), LANES) };
            i += LANES;
        }
        if i < n {
            // SAFETY: n - i elements are left.
            unsafe { block1::<S, O>(src.add(i), dst.add(i), n - i) };
        }
    }

    /// Applies `O` to `n` pairs. `a_step` and `b_step` are 1, or 0 for an operand that is one block long and repeats.
    unsafe fn map2_steps(isa)[S, O: Map2](a: *const u8, b: *const u8, steps: [usize; 2], dst: *mut u8, n: usize) {
        let (a, b, dst) = (a.cast::<O::In>(), b.cast::<O::In>(), dst.cast::<O::Out>());
        let whole = n / LANES * LANES;
        let mut i = 0;
        while i < whole {
            // SAFETY: i + LANES <= n elements are there where an operand advances, and a block where it does not.
            unsafe { block2::<S, O>(a.add(i * steps[0]), b.add(i * steps[1]), dst.add(i), LANES) };
            i += LANES;
        }
        if i < n {
            // SAFETY: as above, for the n - i elements that are left.
            unsafe { block2::<S, O>(a.add(i * steps[0]), b.add(i * steps[1]), dst.add(i), n - i) };
        }
    }

    /// Applies `O` to `n` pairs, where `A` and `B` say which operands are scalars.
    pub unsafe fn map2[S, O: Map2, A: Operand, B: Operand](a: *const u8, b: *const u8, dst: *mut u8, n: usize) {
        let block = |scalar: bool, p: *const u8| {
            // SAFETY: a scalar operand points to one element.
            if scalar { [unsafe { ptr::read_unaligned(p.cast::<O::In>()) }; LANES] } else { [O::In::ZERO; LANES] }
        };
        let (x, y) = (block(A::SCALAR, a), block(B::SCALAR, b));
        let a = if A::SCALAR { x.as_ptr().cast() } else { a };
        let b = if B::SCALAR { y.as_ptr().cast() } else { b };
        // SAFETY: arrays have n elements by the caller's promise, the blocks of scalars are one block long.
        unsafe { map2_steps::<O>(S::ISA)(a, b, [usize::from(!A::SCALAR), usize::from(!B::SCALAR)], dst, n) };
    }

    /// `c ? x : y` for elements that are moved as `T`.
    unsafe fn choose_steps(isa)[S, T: Bits](
        c: *const u8, x: *const u8, y: *const u8, steps: [usize; 2], dst: *mut u8, n: usize
    ) {
        let (c, x, y, dst) = (c.cast::<Bool>(), x.cast::<T>(), y.cast::<T>(), dst.cast::<T>());
        let whole = n / LANES * LANES;
        let mut i = 0;
        while i < whole {
            // SAFETY: i + LANES <= n elements are there where an operand advances, and a block where it does not.
            unsafe { block3(c.add(i), x.add(i * steps[0]), y.add(i * steps[1]), dst.add(i), LANES) };
            i += LANES;
        }
        if i < n {
            // SAFETY: as above, for the n - i elements that are left.
            unsafe { block3(c.add(i), x.add(i * steps[0]), y.add(i * steps[1]), dst.add(i), n - i) };
        }
    }

    /// `c ? x : y`, where `A` and `B` say whether `x` and `y` are scalars.
    pub unsafe fn choose[S, T: Bits, A: Operand, B: Operand](
        c: *const u8, x: *const u8, y: *const u8, dst: *mut u8, n: usize
    ) {
        let block = |scalar: bool, p: *const u8| {
            // SAFETY: a scalar operand points to one element.
            if scalar { [unsafe { ptr::read_unaligned(p.cast::<T>()) }; LANES] } else { [T::ZERO; LANES] }
        };
        let (u, v) = (block(A::SCALAR, x), block(B::SCALAR, y));
        let x = if A::SCALAR { u.as_ptr().cast() } else { x };
        let y = if B::SCALAR { v.as_ptr().cast() } else { y };
        // SAFETY: arrays have n elements by the caller's promise, the blocks of scalars are one block long.
        unsafe { choose_steps::<T>(S::ISA)(c, x, y, [usize::from(!A::SCALAR), usize::from(!B::SCALAR)], dst, n) };
    }
}

/// A function of real numbers, computed in the type that `T` widens to.
pub trait RealUnary {
    fn apply<S: Target, R: Real>(x: R) -> R;
    const RARE: bool = false;
    #[inline(always)]
    fn is_rare<R: Real>(_: R) -> bool {
        false
    }
    fn slow<R: Real>(x: R) -> R {
        Self::apply::<crate::simd::Portable, R>(x)
    }
}

/// A function of two real numbers.
pub trait RealBinary {
    fn apply<S: Target, R: Real>(a: R, b: R) -> R;
}

/// A float: an element that computes as a [`Real`].
pub trait Float: Element<Acc: Real> {}
impl<T: Element<Acc: Real>> Float for T {}

/// A [`RealUnary`] or [`RealBinary`] on elements `T`.
pub struct On<O, T>(PhantomData<(O, T)>);

impl<O: RealUnary, T: Float> Map1 for On<O, T> {
    type In = T;
    type Out = T;
    const RARE: bool = O::RARE;
    #[inline(always)]
    fn apply<S: Target>(x: T) -> T {
        T::from_acc(O::apply::<S, T::Acc>(x.to_acc()))
    }
    #[inline(always)]
    fn is_rare(x: T) -> bool {
        O::is_rare(x.to_acc())
    }
    fn slow(x: T) -> T {
        T::from_acc(O::slow(x.to_acc()))
    }
}

impl<O: RealBinary, T: Float> Map2 for On<O, T> {
    type In = T;
    type Out = T;
    #[inline(always)]
    fn apply<S: Target>(a: T, b: T) -> T {
        T::from_acc(O::apply::<S, T::Acc>(a.to_acc(), b.to_acc()))
    }
}
