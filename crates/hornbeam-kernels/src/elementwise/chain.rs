//! Chains of operations: the result of each operation is an operand of the next and stays in registers, whereas separate
//! kernels would store and reload it.
//!
//! A chain can store its value and go on with another one, so that a loop with several results is one kernel. It then
//! advances through all its operands together, which the hardware's prefetchers can follow.

use super::loops::{load, store, LANES};
use crate::math::Real;
use crate::multiversion;

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
            _ => return None,
        })
    }

    /// Returns true if the operation has an operand `y`.
    pub fn has_operand(self) -> bool {
        !matches!(self, ChainOp::Sqrt | ChainOp::Neg)
    }
}

/// Operation of a chain. `y` is not accessed if the operation has no operand.
#[derive(Clone, Copy)]
pub struct Link {
    pub op: ChainOp,
    pub y: *mut u8,
    /// Step of `y` per element: 1, or 0 if it holds [`CONSTANT`] equal elements.
    pub step: usize,
}

/// Elements of a broadcast operand.
pub const CONSTANT: usize = LANES;

/// Kernel that applies the links to `n` elements, [`LANES`] at a time. A link may store to any operand with step 1: later
/// links then load what was stored.
pub type ChainFn = unsafe fn(links: &[Link], n: usize);

/// Kernel of chains of `f32`.
pub fn chain() -> ChainFn {
    run()
}

#[inline(always)]
fn with(mut v: [f32; LANES], y: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    for j in 0..LANES {
        v[j] = f(v[j], y[j]);
    }
    v
}

/// Processes one block.
///
/// # Safety
/// At offset `i`, `m <= LANES` elements are readable at every operand, and writable where the links store.
#[inline(always)]
unsafe fn block(links: &[Link], i: usize, m: usize) {
    let mut v = [0.0; LANES];
    for link in links {
        let at = link.y.cast::<f32>().wrapping_add(i * link.step);
        // SAFETY: the caller's contract; operations without an operand do not call this.
        let y = || unsafe { load(at.cast_const(), m) };
        match link.op {
            ChainOp::Load => v = y(),
            // SAFETY: the caller's contract.
            ChainOp::Store => unsafe { store(at, &v, m) },
            ChainOp::Add => v = with(v, y(), |v, y| v + y),
            ChainOp::Sub => v = with(v, y(), |v, y| v - y),
            ChainOp::SubFrom => v = with(v, y(), |v, y| y - v),
            ChainOp::Mul => v = with(v, y(), |v, y| v * y),
            ChainOp::Div => v = with(v, y(), |v, y| v / y),
            ChainOp::DivInto => v = with(v, y(), |v, y| y / v),
            ChainOp::Max => v = with(v, y(), Real::max),
            ChainOp::Min => v = with(v, y(), Real::min),
            ChainOp::Sqrt => {
                for v in &mut v {
                    *v = Real::sqrt(*v);
                }
            }
            ChainOp::Neg => {
                for v in &mut v {
                    *v = -*v;
                }
            }
        }
    }
}

multiversion! {
    unsafe fn run[S](links: &[Link], n: usize) {
        let full = n / LANES * LANES;
        let mut i = 0;
        while i < full {
            // SAFETY: i + LANES <= n.
            unsafe { block(links, i, LANES) };
            i += LANES;
        }
        if i < n {
            // SAFETY: n - i elements remain.
            unsafe { block(links, i, n - i) };
        }
    }
}
