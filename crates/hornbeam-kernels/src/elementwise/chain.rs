//! Chains of operations: the result of each operation is an operand of the next and stays in registers, whereas separate
//! kernels would store and reload it.
//!
//! A chain can store its value and go on with another one, so that a loop with several results is one kernel. It then
//! advances through all its operands together, which the hardware's prefetchers can follow.
//!
//! The value is of the accumulator type, and is rounded to the dtype after each operation.

use std::ptr;

use super::float::Float;
use super::loops::{load, store, LANES};
#[cfg(feature = "all-dtypes")]
use crate::dtype::bf16;
use crate::dtype::{DType, Element};
use crate::math::Real;
#[cfg(target_arch = "x86_64")]
use crate::simd::isa;
use crate::simd::{Isa, Target};
use crate::{multiversion, rare_dtype};

/// Maximum length of a chain.
pub const MAX_LINKS: usize = 64;

/// Operation of a link on the value `v` of the chain and its operand `y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainOp {
    /// `y` becomes the value. Every chain begins with it.
    Load,
    /// The value is written to `y`, and stays.
    Store,
    Add,
    /// `v - y`
    Sub,
    /// `y - v`
    SubFrom,
    Mul,
    /// `v / y`
    Div,
    /// `y / v`
    DivInto,
    Max,
    Min,
    /// Unary, like the following.
    Sqrt,
    Neg,
    Abs,
}

impl ChainOp {
    /// Operation for the name of a primitive whose operand number `position` is `v`.
    pub fn of(name: &str, position: usize) -> Option<ChainOp> {
        Some(match (name, position) {
            ("add", _) => ChainOp::Add,
            ("sub", 0) => ChainOp::Sub,
            ("sub", _) => ChainOp::SubFrom,
            ("mul", _) => ChainOp::Mul,
            ("div", 0) => ChainOp::Div,
            ("div", _) => ChainOp::DivInto,
            // Of two equal zeros the second is returned, so swapped operands could give another sign.
            ("max", 0) => ChainOp::Max,
            ("min", 0) => ChainOp::Min,
            ("sqrt", _) => ChainOp::Sqrt,
            ("neg", _) => ChainOp::Neg,
            ("abs", _) => ChainOp::Abs,
            _ => return None,
        })
    }

    /// Returns true if the operation has an operand `y`.
    pub fn has_operand(self) -> bool {
        !matches!(self, ChainOp::Sqrt | ChainOp::Neg | ChainOp::Abs)
    }
}

/// Operation of a chain. `y` is not accessed if the operation has no operand.
#[derive(Clone, Copy)]
pub struct Link {
    pub op: ChainOp,
    pub y: *mut u8,
    /// `y` has an element of the dtype for each of the chain. Otherwise it is one block of [`BLOCK`] accumulators: a number
    /// repeated, or a value on its way from one link to another.
    pub advances: bool,
}

/// Accumulators of an operand that does not advance.
pub const BLOCK: usize = 2 * LANES;

/// Kernel that applies the links to `n` elements, a block at a time. A link may store to any operand: later links then load
/// what was stored.
pub type ChainFn = unsafe fn(links: &[Link], n: usize);

/// Kernel of chains of a dtype, or `None` if there is none.
pub fn chain(dtype: DType) -> Option<ChainFn> {
    match dtype {
        DType::F32 => Some(run::<f32>()),
        #[cfg(target_arch = "x86_64")]
        DType::BF16 if isa() == Isa::Avx512 && is_x86_feature_detected!("avx512vnni") => {
            rare_dtype!({ Some(vnni::run as ChainFn) })
        }
        DType::BF16 => rare_dtype!({ Some(run::<bf16>()) }),
        _ => None,
    }
}

/// Operand `y` of a link at offset `i`, as accumulators.
///
/// # Safety
/// As for [`block`].
#[inline(always)]
unsafe fn operand<T: Float, const N: usize>(link: &Link, i: usize, m: usize) -> [T::Acc; N] {
    // SAFETY: the caller's contract.
    unsafe {
        if !link.advances {
            return ptr::read_unaligned(link.y.cast());
        }
        let at = link.y.cast::<T>().wrapping_add(i).cast_const();
        if m == N {
            T::load(at)
        } else {
            T::load(load::<T, N>(at, m).as_ptr())
        }
    }
}

/// Stores the value to operand `y` of a link at offset `i`.
///
/// # Safety
/// As for [`block`].
#[inline(always)]
unsafe fn store_value<T: Float, const N: usize>(link: &Link, i: usize, m: usize, v: &[T::Acc; N]) {
    // SAFETY: the caller's contract.
    unsafe {
        if !link.advances {
            return ptr::write_unaligned(link.y.cast(), *v);
        }
        let at = link.y.cast::<T>().wrapping_add(i);
        if m == N {
            return T::store(at, v);
        }
        let mut elements = [T::ZERO; N];
        T::store(elements.as_mut_ptr(), v);
        store(at, &elements, m);
    }
}

#[inline(always)]
fn with<R: Copy, const N: usize>(mut v: [R; N], y: [R; N], f: impl Fn(R, R) -> R) -> [R; N] {
    for j in 0..N {
        v[j] = f(v[j], y[j]);
    }
    v
}

/// Processes one block.
///
/// # Safety
/// At offset `i`, `m <= N` elements are readable at every operand, and writable where the links store. Operands that do not
/// advance have `N`.
#[inline(always)]
unsafe fn block<S: Target, T: Float, const N: usize>(links: &[Link], i: usize, m: usize) {
    let mut v = [T::Acc::ZERO; N];
    for link in links {
        // SAFETY: the caller's contract; operations without an operand do not call this.
        let y = || unsafe { operand::<T, N>(link, i, m) };
        match link.op {
            ChainOp::Load => v = y(),
            // SAFETY: the caller's contract.
            ChainOp::Store => unsafe { store_value::<T, N>(link, i, m, &v) },
            ChainOp::Add => v = T::round::<S, N>(with(v, y(), |v, y| v + y)),
            ChainOp::Sub => v = T::round::<S, N>(with(v, y(), |v, y| v - y)),
            ChainOp::SubFrom => v = T::round::<S, N>(with(v, y(), |v, y| y - v)),
            ChainOp::Mul => v = T::round::<S, N>(with(v, y(), |v, y| v * y)),
            ChainOp::Div => v = T::round::<S, N>(with(v, y(), |v, y| v / y)),
            ChainOp::DivInto => v = T::round::<S, N>(with(v, y(), |v, y| y / v)),
            ChainOp::Max => v = with(v, y(), Real::max),
            ChainOp::Min => v = with(v, y(), Real::min),
            ChainOp::Sqrt => v = T::round::<S, N>(v.map(Real::sqrt)),
            ChainOp::Neg => v = v.map(|v| -v),
            ChainOp::Abs => v = v.map(Real::abs),
        }
    }
}

/// Processes `n` elements in blocks of `N`.
///
/// # Safety
/// As for [`ChainFn`].
#[inline(always)]
unsafe fn blocks<S: Target, T: Float, const N: usize>(links: &[Link], n: usize) {
    let full = n / N * N;
    for i in (0..full).step_by(N) {
        // SAFETY: i + N <= n.
        unsafe { block::<S, T, N>(links, i, N) };
    }
    if full < n {
        // SAFETY: n - full elements remain.
        unsafe { block::<S, T, N>(links, full, n - full) };
    }
}

multiversion! {
    pub(super) unsafe fn run[S, T: Float](links: &[Link], n: usize) {
        // As many as the registers hold twice.
        // SAFETY: the caller's contract.
        unsafe {
            match S::ISA {
                Isa::Avx512 => blocks::<S, T, BLOCK>(links, n),
                _ => blocks::<S, T, LANES>(links, n),
            }
        }
    }
}

/// Chains of `bfloat16` for AVX-512 with VNNI, whose products of words round.
#[cfg(all(target_arch = "x86_64", feature = "all-dtypes"))]
mod vnni {
    use super::*;

    #[derive(Clone, Copy)]
    struct Vnni;

    impl Target for Vnni {
        const ISA: Isa = Isa::Avx512;
        const FMA: bool = true;
        const VNNI: bool = true;
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,bmi1,bmi2")]
    pub(super) unsafe fn run(links: &[Link], n: usize) {
        // SAFETY: the caller's contract.
        unsafe { blocks::<Vnni, bf16, BLOCK>(links, n) };
    }
}
