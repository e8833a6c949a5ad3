//! Type rules of data movement and of indexing.

use super::{axis_in, ensure, expect_shape, integer, same, same_dtype, strictly_increasing};
use crate::error::{malformed, Result};
use crate::graph::Op;
use crate::types::TensorType;

fn is_permutation(perm: &[usize], rank: usize) -> bool {
    let mut seen = vec![false; rank];
    perm.len() == rank && perm.iter().all(|&p| p < rank && !std::mem::replace(&mut seen[p], true))
}

pub fn check(op: &Op, x: &[&TensorType], out: &TensorType) -> Result<()> {
    match op {
        Op::Reshape => {
            ensure!(x[0].count() == out.count(), "reshape of {} to {out}", x[0]);
            same_dtype(op, &[x[0], out])?;
        }
        Op::Transpose { perm } => {
            ensure!(is_permutation(perm, x[0].rank()), "{perm:?} does not permute the axes of {}", x[0]);
            expect_shape(op, out, &perm.iter().map(|&p| x[0].shape[p]).collect::<Vec<_>>())?;
            same_dtype(op, &[x[0], out])?;
        }
        Op::Broadcast { dims } => {
            ensure!(dims.len() == x[0].rank() && strictly_increasing(dims), "broadcast dims {dims:?} of {}", x[0]);
            for (&dim, &extent) in dims.iter().zip(&x[0].shape) {
                axis_in(op, dim, out)?;
                ensure!(extent == 1 || extent == out.shape[dim], "broadcast of {} to {out} along {dims:?}", x[0]);
            }
            same_dtype(op, &[x[0], out])?;
        }
        Op::Pad { low, high, interior } => {
            let rank = x[0].rank();
            ensure!(x[1].rank() == 0, "the pad value must be a scalar, got {}", x[1]);
            same_dtype(op, &[x[0], x[1], out])?;
            ensure!(low.len() == rank && high.len() == rank && interior.len() == rank, "pad of {}: rank", x[0]);
            let (mut grown, mut shape) = (Vec::with_capacity(rank), Vec::with_capacity(rank));
            for axis in 0..rank {
                let [extent, interior] = [x[0].shape[axis], interior[axis]].map(|n| n as i128);
                let [low, high] = [low[axis], high[axis]].map(i128::from);
                let spread = extent + (extent - 1).max(0) * interior;
                ensure!(spread + low + high >= 0, "pad of {} removes more of axis {axis} than its extent", x[0]);
                grown.push(usize::try_from(spread + low.max(0) + high.max(0)).unwrap_or(usize::MAX));
                shape.push((spread + low + high) as usize);
            }
            // The extents before any removal, so that offsets of single elements do not overflow either.
            TensorType::new(out.dtype, grown).validate()?;
            expect_shape(op, out, &shape)?;
        }
        Op::Slice { start, step } => {
            let rank = x[0].rank();
            ensure!(start.len() == rank && step.len() == rank && out.rank() == rank, "slice of {}: rank", x[0]);
            for axis in 0..rank {
                let count = out.shape[axis];
                let reach = |count: usize| (count - 1).checked_mul(step[axis])?.checked_add(start[axis]);
                let inside = |last: usize| last < x[0].shape[axis];
                let ends =
                    count == 0 && start[axis] <= x[0].shape[axis] || count > 0 && reach(count).is_some_and(inside);
                let fits = step[axis] > 0 && ends;
                ensure!(fits, "slice of {} from {start:?} by {step:?} to {out}", x[0]);
            }
            same_dtype(op, &[x[0], out])?;
        }
        Op::Concatenate { axis } => {
            axis_in(op, *axis, out)?;
            let mut shape = x[0].shape.clone();
            axis_in(op, *axis, x[0])?;
            shape[*axis] = 0;
            for part in x {
                axis_in(op, *axis, part)?;
                shape[*axis] = shape[*axis].saturating_add(part.shape[*axis]);
                let mut like = part.shape.clone();
                like[*axis] = shape[*axis];
                ensure!(like == shape, "concatenate of {} and {part}", x[0]);
            }
            expect_shape(op, out, &shape)?;
            same_dtype(op, x)?;
            same_dtype(op, &[x[0], out])?;
        }
        Op::Reverse { axes } => {
            axes.iter().try_for_each(|&a| axis_in(op, a, x[0]))?;
            same(op, "operand and result", x[0], out)?;
        }
        Op::DynamicSlice => {
            check_starts(op, x[0], &x[1..])?;
            ensure!(out.rank() == x[0].rank(), "dynamic_slice of {} to {out}", x[0]);
            ensure!(out.shape.iter().zip(&x[0].shape).all(|(o, i)| o <= i), "dynamic_slice of {} to {out}", x[0]);
            same_dtype(op, &[x[0], out])?;
        }
        Op::DynamicUpdateSlice => {
            check_starts(op, x[0], &x[2..])?;
            ensure!(x[1].rank() == x[0].rank(), "dynamic_update_slice of {} by {}", x[0], x[1]);
            let fits = x[1].shape.iter().zip(&x[0].shape).all(|(u, i)| u <= i);
            ensure!(fits, "dynamic_update_slice of {} by {}", x[0], x[1]);
            same_dtype(op, &[x[0], x[1], out])?;
            same(op, "operand and result", x[0], out)?;
        }
        Op::Literal(_) => expect_shape(op, out, &[])?,
        Op::Input(_) | Op::Constant(_) => {}
        other => return Err(malformed!("{other:?} has no type rule")),
    }
    Ok(())
}

fn check_starts(op: &Op, x: &TensorType, starts: &[&TensorType]) -> Result<()> {
    ensure!(starts.len() == x.rank(), "{op:?} of {x} with {} starts", starts.len());
    ensure!(starts.iter().all(|s| s.rank() == 0 && s.dtype.is_int()), "{op:?}: starts are integer scalars");
    Ok(())
}

pub fn check_index(op: &Op, x: &[&TensorType], out: &TensorType) -> Result<()> {
    let (source, indices) = (x[0], x[1]);
    integer(op, indices)?;
    let batch = match op {
        Op::Gather { batch_dims } | Op::Scatter { batch_dims, .. } => *batch_dims,
        _ => 0,
    };
    ensure!(indices.rank() > batch, "{op:?} of {source} by {indices}");
    let k = indices.shape[indices.rank() - 1];
    ensure!(batch + k <= source.rank(), "{op:?} of {source} by {indices}");
    ensure!(source.shape[..batch] == indices.shape[..batch], "{op:?}: batch axes of {source} and {indices}");
    let mut picked = indices.shape[..indices.rank() - 1].to_vec();
    picked.extend_from_slice(&source.shape[batch + k..]);
    // Indices are clamped to the extents, which therefore must not be 0.
    let empty = source.shape[batch..batch + k].contains(&0);
    let slices = if let Op::Scatter { .. } = op { x[2] } else { out };
    ensure!(!empty || slices.count() == 0, "{op:?} of {source}, which has no elements");
    same_dtype(op, &[source, slices])?;
    expect_shape(op, slices, &picked)?;
    if let Op::Scatter { .. } = op {
        same(op, "operand and result", source, out)?;
    }
    Ok(())
}
