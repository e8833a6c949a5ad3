//! Chains: what one operation gives goes straight into the next. The value stays in registers, where a kernel for each
//! operation would write it to memory and read it again.

use super::loops::{load, store, LANES};
use crate::math::Real;
use crate::multiversion;

/// The longest chain.
pub const MAX_LINKS: usize = 16;

/// What a link makes of the chain's value `v` and its operand `y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainOp {
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
    /// Of `v` alone, as those below.
    Sqrt,
    Neg,
}

impl ChainOp {
    /// The operation with this name of a primitive, `v` being operand number `position`.
    pub fn of(name: &str, position: usize) -> Option<ChainOp> {
        Some(match (name, position) {
            ("add", _) => ChainOp::Add,
            ("sub", 0) => ChainOp::Sub,
            ("sub", _) => ChainOp::SubFrom,
            ("mul", _) => ChainOp::Mul,
            ("div", 0) => ChainOp::Div,
            ("div", _) => ChainOp::DivInto,
            // Of two equal zeros the second counts: turned round, these would give another sign.
            ("max", 0) => ChainOp::Max,
            ("min", 0) => ChainOp::Min,
            ("sqrt", _) => ChainOp::Sqrt,
            ("neg", _) => ChainOp::Neg,
            _ => return None,
        })
    }

    pub fn has_operand(self) -> bool {
        !matches!(self, ChainOp::Sqrt | ChainOp::Neg)
    }
}

/// One operation of a chain. `y` is not read where the operation has no operand.
#[derive(Clone, Copy)]
pub struct Link {
    pub op: ChainOp,
    pub y: *const u8,
    /// Elements that `y` moves on by with each element: 1, or 0 where it holds [`CONSTANT`] equal ones.
    pub step: usize,
}

/// Elements of an operand that is the same for all.
pub const CONSTANT: usize = LANES;

/// `n` elements of `x` through the links to `dst`, which may be the same memory as any operand that advances.
pub type ChainFn = unsafe fn(x: *const u8, links: &[Link], dst: *mut u8, n: usize);

/// The kernel of chains of `f32`.
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

/// One block.
///
/// # Safety
/// `m <= LANES` elements are readable at `x` and every operand, `i` elements on, and writable at `dst`.
#[inline(always)]
unsafe fn block(x: *const f32, links: &[Link], dst: *mut f32, i: usize, m: usize) {
    // SAFETY: the caller's promise.
    let mut v = unsafe { load(x, m) };
    for link in links {
        let y = link.y.cast::<f32>().wrapping_add(i * link.step);
        // SAFETY: the caller's promise; operations without an operand do not ask.
        let y = || unsafe { load(y, m) };
        match link.op {
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
    // SAFETY: the caller's promise.
    unsafe { store(dst, &v, m) };
}

multiversion! {
    unsafe fn run[S](x: *const u8, links: &[Link], dst: *mut u8, n: usize) {
        let (x, dst) = (x.cast::<f32>(), dst.cast::<f32>());
        let whole = n / LANES * LANES;
        let mut i = 0;
        while i < whole {
            // SAFETY: i + LANES <= n.
            unsafe { block(x.add(i), links, dst.add(i), i, LANES) };
            i += LANES;
        }
        if i < n {
            // SAFETY: n - i elements are left.
            unsafe { block(x.add(i), links, dst.add(i), i, n - i) };
        }
    }
}
