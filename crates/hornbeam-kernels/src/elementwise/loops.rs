//! Inner loops of all elementwise kernels.
//!
//! They process blocks of [`LANES`] that are copied to locals, computed, and copied out. LLVM keeps the locals in
//! registers. Due to the copies it needs no overlap checks, so working in place (`dst` equal to an operand) is allowed and
//! equally fast, and a scalar operand is a block that does not advance.
//!
//! Elements after the last full block are padded to a block of their own, which the same loop processes: the body is
//! compiled once, for a constant length. With a variable length, LLVM would pass every block through the stack.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;

use super::float::Float;
use crate::dtype::Element;
use crate::math::Real;
use crate::multiversion;
pub(super) use crate::simd::LANES;
use crate::simd::{Copies, Portable, Target};

/// Unary kernel: `n` elements of `src` to `dst`.
pub type UnaryFn = unsafe fn(src: *const u8, dst: *mut u8, n: usize);
/// Binary kernel with operands `a` and `b`.
pub type BinaryFn = unsafe fn(a: *const u8, b: *const u8, dst: *mut u8, n: usize);
/// Ternary kernel with operands `a`, `b` and `c`.
pub type TernaryFn = unsafe fn(a: *const u8, b: *const u8, c: *const u8, dst: *mut u8, n: usize);

/// Scalar function of one element.
pub trait Map1 {
    type In: Element;
    type Out: Element;
    fn apply<S: Target>(x: Self::In) -> Self::Out;
    const COPIES: Copies = <Self::In as Element>::DTYPE.copies();
    /// Processes one block of [`map1`].
    ///
    /// # Safety
    /// A block is readable at `src` and writable at `dst`.
    #[inline(always)]
    unsafe fn block<S: Target>(src: *const Self::In, dst: *mut Self::Out) {
        // SAFETY: the caller's contract.
        let x = unsafe { load::<_, LANES>(src, LANES) };
        let mut y = [Self::Out::ZERO; LANES];
        for j in 0..LANES {
            y[j] = Self::apply::<S>(x[j]);
        }
        // SAFETY: the caller's contract.
        unsafe { store(dst, &y, LANES) };
    }
}

/// Scalar function of two elements of one type.
pub trait Map2 {
    type In: Element;
    type Out: Element;
    fn apply<S: Target>(a: Self::In, b: Self::In) -> Self::Out;
    const COPIES: Copies = <Self::In as Element>::DTYPE.copies();

    /// Processes one block of [`map2`].
    ///
    /// # Safety
    /// A block is readable at `a` and `b` and writable at `dst`.
    #[inline(always)]
    unsafe fn block<S: Target>(a: *const Self::In, b: *const Self::In, dst: *mut Self::Out) {
        // SAFETY: the caller's contract.
        let (x, y) = unsafe { (load::<_, LANES>(a, LANES), load::<_, LANES>(b, LANES)) };
        let mut z = [Self::Out::ZERO; LANES];
        for j in 0..LANES {
            z[j] = Self::apply::<S>(x[j], y[j]);
        }
        // SAFETY: the caller's contract.
        unsafe { store(dst, &z, LANES) };
    }
}

/// Kind of an operand: an array or a broadcast scalar.
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

/// Loads `m` elements into a block; the remaining lanes are zero.
///
/// # Safety
/// `m <= N` elements are readable.
#[inline(always)]
pub(super) unsafe fn load<T: Element, const N: usize>(p: *const T, m: usize) -> [T; N] {
    if m == N {
        // SAFETY: a full block is readable. Unaligned: buffers may be views into files.
        return unsafe { ptr::read_unaligned(p.cast()) };
    }
    let mut block = [T::ZERO; N];
    // SAFETY: m elements are readable and fit. Bytes, because of the alignment.
    unsafe { ptr::copy_nonoverlapping(p.cast::<u8>(), block.as_mut_ptr().cast::<u8>(), m * size_of::<T>()) };
    block
}

/// Stores the first `m` elements of a block.
///
/// # Safety
/// `m <= N` elements are writable.
#[inline(always)]
pub(super) unsafe fn store<T: Element, const N: usize>(p: *mut T, block: &[T; N], m: usize) {
    if m == N {
        // SAFETY: a full block is writable.
        unsafe { ptr::write_unaligned(p.cast(), *block) };
    } else {
        // SAFETY: m elements are writable.
        unsafe { ptr::copy_nonoverlapping(block.as_ptr().cast::<u8>(), p.cast::<u8>(), m * size_of::<T>()) };
    }
}

/// Block of the elements after the last full block.
pub(super) struct Tail<T>(pub(super) MaybeUninit<[T; LANES]>);

impl<T: Element> Tail<T> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Tail(MaybeUninit::uninit())
    }

    /// Loads `m` elements of an operand and returns the block; an operand with step 0 is a block already.
    ///
    /// # Safety
    /// `m` elements are readable at `p`.
    #[inline(always)]
    pub(super) unsafe fn load(&mut self, p: *const T, step: usize, m: usize) -> *const T {
        if step == 0 {
            return p;
        }
        // SAFETY: the caller's contract.
        self.0.write(unsafe { load(p, m) }).as_ptr()
    }

    /// Stores the first `m` elements.
    ///
    /// # Safety
    /// `m` elements are writable at `p`, and the block has been computed.
    #[inline(always)]
    pub(super) unsafe fn store(&self, p: *mut T, m: usize) {
        // SAFETY: the caller's contract.
        unsafe { ptr::copy_nonoverlapping(self.0.as_ptr().cast::<u8>(), p.cast::<u8>(), m * size_of::<T>()) };
    }
}

/// Applies `O`, which does not vectorise, to `n` elements: one copy for all instruction sets, without padded blocks.
///
/// # Safety
/// As for [`map1`].
pub unsafe fn map1_sequential<O: Map1>(src: *const u8, dst: *mut u8, n: usize) {
    let (src, dst) = (src.cast::<O::In>(), dst.cast::<O::Out>());
    for i in 0..n {
        // SAFETY: the caller's contract.
        unsafe {
            let x = ptr::read_unaligned(src.add(i));
            ptr::write_unaligned(dst.add(i), O::apply::<Portable>(x));
        }
    }
}

/// Applies `O` to `n` elements.
///
/// # Safety
/// Both operands have `n` elements.
#[inline(always)]
unsafe fn map1_blocks<S: Target, O: Map1>(src: *const u8, dst: *mut u8, n: usize) {
    // SAFETY: the caller's contract.
    unsafe { for_each_block(src.cast(), dst.cast(), n, |src, dst| O::block::<S>(src, dst)) };
}

/// Calls `body` with each block of `n` elements.
///
/// # Safety
/// Both operands have `n` elements.
#[inline(always)]
unsafe fn for_each_block<I: Element, O: Element>(
    mut src: *const I,
    mut dst: *mut O,
    n: usize,
    body: impl Fn(*const I, *mut O),
) {
    let (mut x, mut y) = (Tail::new(), Tail::new());
    let (mut left, mut rest) = (n / LANES * LANES, n % LANES);
    let end = dst.wrapping_add(left);
    // SAFETY: `rest` elements follow the full blocks.
    let tail = if rest > 0 { unsafe { x.load(src.add(left), 1, rest) } } else { src };
    loop {
        while left > 0 {
            body(src, dst);
            // SAFETY: `left` elements remain, a multiple of the block.
            (src, dst) = unsafe { (src.add(LANES), dst.add(LANES)) };
            left -= LANES;
        }
        if rest == 0 {
            break;
        }
        (src, dst, left, rest) = (tail, y.0.as_mut_ptr().cast(), LANES, 0);
    }
    // SAFETY: as above; the loop has computed the block.
    unsafe { y.store(end, n % LANES) };
}

/// Processes one block of [`map2_scalar`].
///
/// # Safety
/// A block is readable at `src` and writable at `dst`.
#[inline(always)]
unsafe fn block_scalar<S: Target, O: Map2, A: Operand>(scalar: O::In, src: *const O::In, dst: *mut O::Out) {
    // SAFETY: the caller's contract.
    let x = unsafe { load::<_, LANES>(src, LANES) };
    let mut y = [O::Out::ZERO; LANES];
    for j in 0..LANES {
        y[j] = if A::SCALAR { O::apply::<S>(scalar, x[j]) } else { O::apply::<S>(x[j], scalar) };
    }
    // SAFETY: the caller's contract.
    unsafe { store(dst, &y, LANES) };
}

/// Kernel of [`map2`] with a step for each operand.
type StepsFn = unsafe fn(a: *const u8, b: *const u8, steps: [usize; 2], dst: *mut u8, n: usize);

/// Runs `kernel` with scalar operands expanded to a block.
///
/// # Safety
/// Arrays have `n` elements of type `T`, scalars one.
#[inline(always)]
unsafe fn with_blocks<T: Element, A: Operand, B: Operand>(
    kernel: StepsFn,
    a: *const u8,
    b: *const u8,
    dst: *mut u8,
    n: usize,
) {
    let block = |scalar: bool, p: *const u8| {
        // SAFETY: a scalar operand points to one element.
        if scalar {
            [unsafe { ptr::read_unaligned(p.cast::<T>()) }; LANES]
        } else {
            [T::ZERO; LANES]
        }
    };
    let (x, y) = (block(A::SCALAR, a), block(B::SCALAR, b));
    let a = if A::SCALAR { x.as_ptr().cast() } else { a };
    let b = if B::SCALAR { y.as_ptr().cast() } else { b };
    // SAFETY: arrays have n elements by the caller's contract, scalars are one block long.
    unsafe { kernel(a, b, [usize::from(!A::SCALAR), usize::from(!B::SCALAR)], dst, n) };
}

/// Applies `O`, which does not vectorise, to `n` pairs: one copy for all instruction sets, without padded blocks.
///
/// # Safety
/// As for [`map2`].
pub unsafe fn map2_sequential<O: Map2, A: Operand, B: Operand>(a: *const u8, b: *const u8, dst: *mut u8, n: usize) {
    let (a, b, dst) = (a.cast::<O::In>(), b.cast::<O::In>(), dst.cast::<O::Out>());
    for i in 0..n {
        // SAFETY: arrays have n elements by the caller's contract, scalars one.
        unsafe {
            let x = ptr::read_unaligned(a.add(if A::SCALAR { 0 } else { i }));
            let y = ptr::read_unaligned(b.add(if B::SCALAR { 0 } else { i }));
            ptr::write_unaligned(dst.add(i), O::apply::<Portable>(x, y));
        }
    }
}

/// Applies `O` to `n` pairs. `steps` are 1, or 0 for an operand of one block that repeats.
///
/// # Safety
/// `dst` and operands with step 1 have `n` elements, others one block.
#[inline(always)]
unsafe fn map2_blocks<S: Target, O: Map2>(a: *const u8, b: *const u8, steps: [usize; 2], dst: *mut u8, n: usize) {
    let (mut a, mut b, mut dst) = (a.cast::<O::In>(), b.cast::<O::In>(), dst.cast::<O::Out>());
    let (mut x, mut y, mut z) = (Tail::new(), Tail::new(), Tail::new());
    let (mut left, mut rest) = (n / LANES * LANES, n % LANES);
    let end = dst.wrapping_add(left);
    let mut tail = (a, b);
    if rest > 0 {
        // SAFETY: `rest` elements follow the full blocks.
        unsafe {
            tail = (x.load(a.add(left * steps[0]), steps[0], rest), y.load(b.add(left * steps[1]), steps[1], rest));
        }
    }
    loop {
        while left > 0 {
            // SAFETY: an operand has `left` more elements, a multiple of the block, or one block if it repeats.
            unsafe {
                O::block::<S>(a, b, dst);
                (a, b, dst) = (a.add(LANES * steps[0]), b.add(LANES * steps[1]), dst.add(LANES));
            }
            left -= LANES;
        }
        if rest == 0 {
            break;
        }
        ((a, b), dst, left, rest) = (tail, z.0.as_mut_ptr().cast(), LANES, 0);
    }
    // SAFETY: as above; the loop has computed the block.
    unsafe { z.store(end, n % LANES) };
}

multiversion! {
    /// Applies `O` to `n` elements.
    pub unsafe fn map1[S, O: Map1; O::COPIES](src: *const u8, dst: *mut u8, n: usize) {
        // SAFETY: the caller's contract.
        unsafe { map1_blocks::<S, O>(src, dst, n) };
    }

    /// Applies `O` to `n` pairs: see [`map2_blocks`].
    unsafe fn map2_steps(isa)[S, O: Map2; O::COPIES](
        a: *const u8, b: *const u8, steps: [usize; 2], dst: *mut u8, n: usize
    ) {
        // SAFETY: the caller's contract.
        unsafe { map2_blocks::<S, O>(a, b, steps, dst, n) };
    }

    /// Applies `O` to `n` pairs; `A` and `B` are the kinds of the operands.
    pub unsafe fn map2[S, O: Map2, A: Operand, B: Operand; O::COPIES](a: *const u8, b: *const u8, dst: *mut u8, n: usize) {
        // SAFETY: the caller's contract.
        unsafe { with_blocks::<O::In, A, B>(map2_steps::<O>(S::ISA), a, b, dst, n) };
    }

    /// Applies `O` to `n` pairs with swapped operands.
    pub unsafe fn map2_swapped[S, O: Map2, A: Operand, B: Operand; O::COPIES](a: *const u8, b: *const u8, dst: *mut u8, n: usize) {
        // SAFETY: the caller's contract.
        unsafe { with_blocks::<O::In, B, A>(map2_steps::<O>(S::ISA), b, a, dst, n) };
    }

    /// Applies `O` to an array and a scalar, which stays in registers: `A` is the kind of the first operand.
    unsafe fn map2_scalar(isa)[S, O: Map2, A: Operand; O::COPIES](a: *const u8, b: *const u8, dst: *mut u8, n: usize) {
        let (scalar, src) = if A::SCALAR { (a, b) } else { (b, a) };
        // SAFETY: the caller's contract.
        unsafe {
            let scalar = ptr::read_unaligned(scalar.cast::<O::In>());
            for_each_block(src.cast(), dst.cast(), n, |src, dst| block_scalar::<S, O, A>(scalar, src, dst));
        }
    }

    /// Applies `O` to an array and a scalar.
    pub unsafe fn map2_array_scalar[S, O: Map2, A: Operand; O::COPIES](a: *const u8, b: *const u8, dst: *mut u8, n: usize) {
        // SAFETY: the caller's contract.
        unsafe { map2_scalar::<O, A>(S::ISA)(a, b, dst, n) };
    }

    /// Applies `O` to an array and a scalar, with swapped operands.
    pub unsafe fn map2_scalar_swapped[S, O: Map2, A: Operand; O::COPIES](a: *const u8, b: *const u8, dst: *mut u8, n: usize) {
        // SAFETY: the caller's contract.
        unsafe { map2_scalar::<O, A>(S::ISA)(b, a, dst, n) };
    }
}

/// Selects the kernel of [`map2`] for the kinds of its operands.
pub(super) fn with_scalars<O: Map2>(scalars: [bool; 2]) -> BinaryFn {
    // A block of a few registers is computed faster than a repeated scalar is written to memory and loaded again.
    if const { size_of::<O::In>() == 1 } {
        return with_register_scalars::<O>(scalars);
    }
    match scalars {
        [false, false] => map2::<O, Array, Array>(),
        [true, false] => map2::<O, Scalar, Array>(),
        [false, true] => map2::<O, Array, Scalar>(),
        [true, true] => map2::<O, Scalar, Scalar>(),
    }
}

/// Selects the kernel like [`with_scalars`]; a scalar operand stays in registers, by a kernel of its own.
pub(super) fn with_register_scalars<O: Map2>(scalars: [bool; 2]) -> BinaryFn {
    match scalars {
        [false, false] => map2::<O, Array, Array>(),
        [true, false] => map2_array_scalar::<O, Scalar>(),
        [false, true] => map2_array_scalar::<O, Array>(),
        [true, true] => map2::<O, Scalar, Scalar>(),
    }
}

/// Scalar function of a real number, computed in the accumulator type.
pub trait RealUnary {
    fn apply<S: Target, R: Real>(x: R) -> R;
    /// True if results need no rounding to the type of the operand.
    const EXACT: bool = false;
    /// True if rare inputs are passed to `slow`.
    const RARE: bool = false;
    /// True if `slow` may branch, and is called for rare inputs alone. Otherwise it gives the result for any input, and is
    /// called for all of a block that has a rare one.
    const BRANCHES: bool = true;
    #[inline(always)]
    fn is_rare<R: Real>(_: R) -> bool {
        false
    }
    #[inline(always)]
    fn slow<S: Target, R: Real>(x: R) -> R {
        Self::apply::<S, R>(x)
    }
}

/// Scalar function of two real numbers.
pub trait RealBinary {
    fn apply<S: Target, R: Real>(a: R, b: R) -> R;
    /// True if results need no rounding to the type of the operands.
    const EXACT: bool = false;
}

/// [`RealUnary`] or [`RealBinary`] on elements `T`.
pub struct On<O, T>(PhantomData<(O, T)>);

impl<O: RealUnary, T: Float> Map1 for On<O, T> {
    type In = T;
    type Out = T;
    #[inline(always)]
    fn apply<S: Target>(x: T) -> T {
        T::from_acc(O::apply::<S, T::Acc>(x.to_acc()))
    }
    #[inline(always)]
    unsafe fn block<S: Target>(src: *const T, dst: *mut T) {
        // SAFETY: the caller's contract.
        let x = unsafe { T::load::<LANES>(src) };
        let mut y = [T::Acc::ZERO; LANES];
        for j in 0..LANES {
            y[j] = O::apply::<S, T::Acc>(x[j]);
        }
        if O::RARE && x.iter().fold(false, |any, x| any | O::is_rare(*x)) {
            for j in 0..LANES {
                if !O::BRANCHES || O::is_rare(x[j]) {
                    y[j] = O::slow::<S, T::Acc>(x[j]);
                }
            }
        }
        // SAFETY: the caller's contract.
        unsafe { T::store(dst, &if O::EXACT { y } else { T::round::<S, LANES>(y) }) };
    }
}

impl<O: RealBinary, T: Float> Map2 for On<O, T> {
    type In = T;
    type Out = T;
    #[inline(always)]
    fn apply<S: Target>(a: T, b: T) -> T {
        T::from_acc(O::apply::<S, T::Acc>(a.to_acc(), b.to_acc()))
    }
    #[inline(always)]
    unsafe fn block<S: Target>(a: *const T, b: *const T, dst: *mut T) {
        // SAFETY: the caller's contract.
        let (x, y) = unsafe { (T::load::<LANES>(a), T::load::<LANES>(b)) };
        let mut z = [T::Acc::ZERO; LANES];
        for j in 0..LANES {
            z[j] = O::apply::<S, T::Acc>(x[j], y[j]);
        }
        // SAFETY: the caller's contract.
        unsafe { T::store(dst, &if O::EXACT { z } else { T::round::<S, LANES>(z) }) };
    }
}
