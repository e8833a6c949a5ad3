//! Vector registers of floats for each instruction set, under one trait.
//!
//! Kernels are written once over [`Vector`] as `#[inline(always)]` bodies, then instantiated inside functions that
//! carry the matching `#[target_feature]`; the trait's methods are never called outside them.

/// Declares methods of an implementation of [`Vector`], whose contract is that of the intrinsics in their bodies.
macro_rules! methods {
    ($($name:ident($($argument:tt)*) $(-> $result:ty)? { $($body:tt)* })*) => {$(
        #[inline(always)]
        unsafe fn $name($($argument)*) $(-> $result)? {
            // SAFETY: the contract of the trait.
            unsafe { $($body)* }
        }
    )*};
}

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod bf16_halves;
#[cfg(not(target_arch = "wasm32"))]
mod portable;
#[cfg(target_arch = "wasm32")]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(crate) use arm::{F32x4, F64x2};
#[cfg(target_arch = "x86_64")]
pub(crate) use bf16_halves::Halves;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use portable::Lanes;
#[cfg(target_arch = "wasm32")]
pub(crate) use wasm::Lanes;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{F32x16, F32x8, F64x4, F64x8, Pairs};

use crate::dtype::{bf16, f16, Element};

/// Computes `min(max(x, 0), limit)`. NaN fails the comparisons and stays.
#[inline(always)]
pub(crate) fn clamp<E: PartialOrd + From<f32>>(x: E, limit: E) -> E {
    let x = if x < E::from(0.0) { E::from(0.0) } else { x };
    if x > limit {
        limit
    } else {
        x
    }
}

/// Prefetches the cache line at `p`, which need not be valid.
#[inline(always)]
pub(crate) fn prefetch<E>(p: *const E) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint available on every x86-64 CPU.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast())
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Prefetches into the L2 cache, so that the L1 cache keeps its contents.
#[inline(always)]
pub(crate) fn prefetch_far<E>(p: *const E) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(p.cast())
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Register of `LANES` floats.
///
/// # Safety
/// The methods use instructions of one ISA: callers run inside a function compiled for it, on a machine that has it.
/// Pointers need no alignment; `*_first` accesses only the first `n` elements.
#[allow(dead_code)] // A complete set of operations, of which each target uses a part.
pub(crate) trait Vector: Copy {
    type Element: Copy + std::ops::Add<Output = Self::Element> + From<f32>;
    const LANES: usize;

    unsafe fn splat(value: Self::Element) -> Self;
    unsafe fn zero() -> Self;
    unsafe fn load(p: *const Self::Element) -> Self;
    unsafe fn store(self, p: *mut Self::Element);
    unsafe fn load_first(p: *const Self::Element, n: usize) -> Self;
    unsafe fn store_first(self, p: *mut Self::Element, n: usize);
    /// Computes `self * b + c`, fused if the ISA supports it.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// Computes `min(max(self, 0), limit)`; NaN stays NaN.
    unsafe fn relu(self, limit: Self) -> Self;
    /// Loads 16-bit floats, widened.
    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> Self {
        // SAFETY: the caller's contract.
        unsafe { widen(p, bf16::to_acc) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const f16) -> Self {
        // SAFETY: the caller's contract.
        unsafe { widen(p, f16::to_acc) }
    }
    #[inline(always)]
    unsafe fn load_bf16_first(p: *const bf16, n: usize) -> Self {
        // SAFETY: the caller's contract.
        unsafe { Self::load_bf16(first(p, n, bf16::ZERO).as_ptr()) }
    }
    #[inline(always)]
    unsafe fn load_f16_first(p: *const f16, n: usize) -> Self {
        // SAFETY: the caller's contract.
        unsafe { Self::load_f16(first(p, n, f16::ZERO).as_ptr()) }
    }
    /// Adds up the lanes: the upper half to the lower one, until one is left.
    #[inline(always)]
    unsafe fn sum(self) -> Self::Element {
        let mut lanes = self;
        let lane = (&raw mut lanes).cast::<Self::Element>();
        let mut count = Self::LANES;
        while count > 1 {
            count /= 2;
            for i in 0..count {
                // SAFETY: a register consists of `LANES` elements.
                unsafe { *lane.add(i) = *lane.add(i) + *lane.add(i + count) };
            }
        }
        // SAFETY: as above.
        unsafe { *lane }
    }
    /// Returns the lanes in the order of `lanes`, each below `LANES`.
    #[inline(always)]
    unsafe fn permute(self, lanes: *const u32) -> Self {
        let (from, mut to) = (self, self);
        let (from, lane) = ((&raw const from).cast::<Self::Element>(), (&raw mut to).cast::<Self::Element>());
        for i in 0..Self::LANES {
            // SAFETY: a register consists of `LANES` elements.
            unsafe { *lane.add(i) = *from.add(*lanes.add(i) as usize) };
        }
        to
    }
}

/// Loads `LANES` elements one by one, widened.
#[inline(always)]
unsafe fn widen<T: Copy, V: Vector>(p: *const T, convert: fn(T) -> f32) -> V {
    // SAFETY: the caller's pointer holds the elements; a register consists of `LANES` elements.
    unsafe {
        let mut to = V::zero();
        let lane = (&raw mut to).cast::<V::Element>();
        for i in 0..V::LANES {
            *lane.add(i) = convert(*p.add(i)).into();
        }
        to
    }
}

/// Copies a few elements inline: a call of `memcpy` would take longer than the copy.
///
/// # Safety
/// Both pointers must be valid for `n` elements.
#[inline(always)]
pub(super) unsafe fn copy<E: Copy>(mut from: *const E, mut to: *mut E, n: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        for _ in 0..n / 8 {
            to.cast::<[E; 8]>().write_unaligned(from.cast::<[E; 8]>().read_unaligned());
            (from, to) = (from.add(8), to.add(8));
        }
        if n & 4 != 0 {
            to.cast::<[E; 4]>().write_unaligned(from.cast::<[E; 4]>().read_unaligned());
            (from, to) = (from.add(4), to.add(4));
        }
        if n & 2 != 0 {
            to.cast::<[E; 2]>().write_unaligned(from.cast::<[E; 2]>().read_unaligned());
            (from, to) = (from.add(2), to.add(2));
        }
        if n & 1 != 0 {
            to.write(from.read());
        }
    }
}

/// Copies `n` elements, followed by zeros.
///
/// # Safety
/// The pointer must hold `n <= MAX_LANES` elements.
#[inline(always)]
unsafe fn first<T: Copy>(p: *const T, n: usize, zero: T) -> [T; MAX_LANES] {
    let mut part = [zero; MAX_LANES];
    // SAFETY: the caller's contract.
    unsafe { copy(p, part.as_mut_ptr(), n) };
    part
}

/// Lanes of the widest register of `f32`.
const MAX_LANES: usize = 16;

/// Float with registers of every instruction set.
pub(crate) trait Registers: crate::dtype::Element + std::ops::Add<Output = Self> {
    #[cfg(target_arch = "x86_64")]
    type Avx512: Vector<Element = Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2: Vector<Element = Self>;
    #[cfg(target_arch = "aarch64")]
    type Neon: Vector<Element = Self>;
    type Portable: Vector<Element = Self>;
}

macro_rules! registers {
    ($element:ty: $avx512:ident $avx2:ident $neon:ident $lanes:literal) => {
        impl Registers for $element {
            #[cfg(target_arch = "x86_64")]
            type Avx512 = $avx512;
            #[cfg(target_arch = "x86_64")]
            type Avx2 = $avx2;
            #[cfg(target_arch = "aarch64")]
            type Neon = $neon;
            type Portable = Lanes<$element, $lanes>;
        }
    };
}
registers!(f32: F32x16 F32x8 F32x4 4);
registers!(f64: F64x8 F64x4 F64x2 2);
