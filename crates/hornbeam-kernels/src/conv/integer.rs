//! Integer convolutions: plain loops with wrapping arithmetic.

use super::{Context, ConvShape};
use crate::gemm::integer::{apply_epilogue, Integer};
use crate::gemm::Epilogue;
use crate::pool::SharedMut;

/// Returns `(d, h, w)` of a flat index.
fn unflatten(index: usize, extent: [usize; 3]) -> [usize; 3] {
    [index / (extent[1] * extent[2]), index / extent[2] % extent[1], index % extent[2]]
}

fn flatten(at: [usize; 3], extent: [usize; 3]) -> usize {
    (at[0] * extent[1] + at[1]) * extent[2] + at[2]
}

/// Returns the input position that output `o` reads at tap `t`, or `None` in the padding.
fn input_position(shape: &ConvShape, o: [usize; 3], t: [usize; 3]) -> Option<usize> {
    let mut at = [0; 3];
    for axis in 0..3 {
        let p = (o[axis] * shape.strides[axis] + t[axis] * shape.dilation[axis]).checked_sub(shape.pad[axis])?;
        if p >= shape.input[axis] {
            return None;
        }
        at[axis] = p;
    }
    Some(flatten(at, shape.input))
}

pub(super) fn forward<T: Integer>(context: Context, x: &[T], w: &[T], y: &mut [T], epilogue: Epilogue<T>) {
    let Context { pool, shape, .. } = context;
    let (outputs, inputs) = (shape.output.iter().product::<usize>(), shape.input.iter().product::<usize>());
    let (group_in, group_out, all) = (shape.group_in(), shape.group_out(), shape.out_channels);
    pool.run_chunks(y, all, &|pixel, y| {
        if !epilogue.accumulate {
            y.fill(T::ZERO);
        }
        let (n, o) = (pixel / outputs, unflatten(pixel % outputs, shape.output));
        for tap in 0..shape.taps() {
            let Some(at) = input_position(shape, o, unflatten(tap, shape.kernel)) else { continue };
            let x = &x[(n * inputs + at) * shape.in_channels..][..shape.in_channels];
            for (group, y) in y.chunks_mut(group_out).enumerate() {
                for c in 0..group_in {
                    let w = &w[(tap * group_in + c) * all + group * group_out..][..group_out];
                    for (y, w) in y.iter_mut().zip(w) {
                        *y = x[group * group_in + c].wrapping_mul_add(*w, *y);
                    }
                }
            }
        }
        apply_epilogue(y, epilogue.bias, epilogue.activation);
    });
}

pub(super) fn input_grad<T: Integer>(context: Context, dy: &[T], w: &[T], dx: &mut [T]) {
    let Context { pool, shape, .. } = context;
    let outputs = shape.output.iter().product::<usize>();
    let (group_in, group_out, all) = (shape.group_in(), shape.group_out(), shape.out_channels);
    let image = shape.input.iter().product::<usize>() * shape.in_channels;
    // One image per task, so that outputs may be scattered into it.
    pool.run_chunks(dx, image, &|n, dx| {
        dx.fill(T::ZERO);
        for pixel in 0..outputs {
            let dy = &dy[(n * outputs + pixel) * all..][..all];
            for tap in 0..shape.taps() {
                let o = unflatten(pixel, shape.output);
                let Some(at) = input_position(shape, o, unflatten(tap, shape.kernel)) else { continue };
                for c in 0..shape.in_channels {
                    let group = c / group_in;
                    let w = &w[(tap * group_in + c % group_in) * all + group * group_out..][..group_out];
                    let to = &mut dx[at * shape.in_channels + c];
                    for (dy, w) in dy[group * group_out..].iter().zip(w) {
                        *to = dy.wrapping_mul_add(*w, *to);
                    }
                }
            }
        }
    });
}

pub(super) fn kernel_grad<T: Integer>(context: Context, x: &[T], dy: &[T], dw: &mut [T]) {
    let Context { pool, shape, .. } = context;
    let (outputs, inputs) = (shape.output.iter().product::<usize>(), shape.input.iter().product::<usize>());
    let (group_in, group_out, all) = (shape.group_in(), shape.group_out(), shape.out_channels);
    let dw = SharedMut::new(dw);
    pool.run(shape.taps(), &|tap| {
        // SAFETY: one task per tap.
        let dw = unsafe { dw.range(tap * group_in * all..(tap + 1) * group_in * all) };
        dw.fill(T::ZERO);
        for pixel in 0..shape.batch * outputs {
            let (n, o) = (pixel / outputs, unflatten(pixel % outputs, shape.output));
            let Some(at) = input_position(shape, o, unflatten(tap, shape.kernel)) else { continue };
            let x = &x[(n * inputs + at) * shape.in_channels..][..shape.in_channels];
            for (o, dy) in dy[pixel * all..(pixel + 1) * all].iter().enumerate() {
                for c in 0..group_in {
                    let to = &mut dw[c * all + o];
                    *to = x[o / group_out * group_in + c].wrapping_mul_add(*dy, *to);
                }
            }
        }
    });
}
