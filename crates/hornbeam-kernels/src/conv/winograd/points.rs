//! Matrices of the algorithm as sums of registers, and the transforms of kernels.

// Loops over the columns of small matrices.
#![allow(clippy::needless_range_loop)]

use super::lanes::Lanes;
use super::{IN, OUT};

/// Evaluation points: 0, +-A, +-B, infinity.
const A: f32 = std::f32::consts::FRAC_1_SQRT_2;
const B: f32 = std::f32::consts::SQRT_2;

/// Computes `Bt d`: patches to points.
#[inline(always)]
pub(super) unsafe fn to_points<V: Lanes>(d: [V; IN]) -> [V; IN] {
    // SAFETY: the caller guarantees the ISA.
    unsafe {
        let c = |value: f32| V::splat(value);
        let (even_a, odd_a) = (c(-2.0).mul_add(d[2], d[4]), c(-2.0).mul_add(d[1], d[3]));
        let (even_b, odd_b) = (c(-0.5).mul_add(d[2], d[4]), c(-0.5).mul_add(d[1], d[3]));
        [
            c(-2.5).mul_add(d[2], d[0].add(d[4])),
            c(A).mul_add(odd_a, even_a),
            c(-A).mul_add(odd_a, even_a),
            c(B).mul_add(odd_b, even_b),
            c(-B).mul_add(odd_b, even_b),
            c(-2.5).mul_add(d[3], d[1].add(d[5])),
        ]
    }
}

/// Computes `B p`: gradients of points to gradients of patches, the transpose of [`to_points`].
#[inline(always)]
pub(super) unsafe fn to_points_transposed<V: Lanes>(p: [V; IN]) -> [V; IN] {
    // SAFETY: the caller guarantees the ISA.
    unsafe {
        let c = |value: f32| V::splat(value);
        let (sum_a, dif_a) = (p[1].add(p[2]), p[1].sub(p[2]));
        let (sum_b, dif_b) = (p[3].add(p[4]), p[3].sub(p[4]));
        [
            p[0],
            c(-2.0 * A).mul_add(dif_a, c(-0.5 * B).mul_add(dif_b, p[5])),
            c(-2.0).mul_add(sum_a, c(-0.5).mul_add(sum_b, c(-2.5).mul(p[0]))),
            c(A).mul_add(dif_a, c(B).mul_add(dif_b, c(-2.5).mul(p[5]))),
            p[0].add(sum_a).add(sum_b),
            p[5],
        ]
    }
}

/// Computes `At m`: points to outputs.
#[inline(always)]
pub(super) unsafe fn from_points<V: Lanes>(m: [V; IN]) -> [V; OUT] {
    // SAFETY: the caller guarantees the ISA.
    unsafe {
        let c = |value: f32| V::splat(value);
        let (sum_a, dif_a) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (sum_b, dif_b) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(sum_a).add(sum_b),
            c(A).mul_add(dif_a, c(B).mul(dif_b)),
            c(A * A).mul_add(sum_a, c(B * B).mul(sum_b)),
            c(A * A * A).mul_add(dif_a, c(B * B * B).mul_add(dif_b, m[5])),
        ]
    }
}

/// Computes `A y`: gradients of outputs to points, the transpose of [`from_points`].
#[inline(always)]
pub(super) unsafe fn from_points_transposed<V: Lanes>(y: [V; OUT]) -> [V; IN] {
    // SAFETY: the caller guarantees the ISA.
    unsafe {
        let c = |value: f32| V::splat(value);
        let (even_a, odd_a) = (c(A * A).mul_add(y[2], y[0]), c(A * A * A).mul_add(y[3], c(A).mul(y[1])));
        let (even_b, odd_b) = (c(B * B).mul_add(y[2], y[0]), c(B * B * B).mul_add(y[3], c(B).mul(y[1])));
        [y[0], even_a.add(odd_a), even_a.sub(odd_a), even_b.add(odd_b), even_b.sub(odd_b), y[3]]
    }
}

/// Computes `G g`: kernels to points.
#[inline(always)]
pub(super) unsafe fn kernel_points<V: Lanes>(g: [V; 3]) -> [V; IN] {
    // SAFETY: the caller guarantees the ISA.
    unsafe {
        let c = |value: f32| V::splat(value);
        let (even_a, odd_a) = (c(A * A).mul_add(g[2], g[0]), c(A).mul(g[1]));
        let (even_b, odd_b) = (c(B * B).mul_add(g[2], g[0]), c(B).mul(g[1]));
        let (scale_a, scale_b) = (c(-1.0 / 1.5), c(1.0 / 6.0));
        [
            g[0],
            even_a.add(odd_a).mul(scale_a),
            even_a.sub(odd_a).mul(scale_a),
            even_b.add(odd_b).mul(scale_b),
            even_b.sub(odd_b).mul(scale_b),
            g[2],
        ]
    }
}

/// Computes `Gt s`: points to kernel gradients, the transpose of [`kernel_points`].
#[inline(always)]
pub(super) unsafe fn kernel_points_transposed<V: Lanes>(s: [V; IN]) -> [V; 3] {
    // SAFETY: the caller guarantees the ISA.
    unsafe {
        let c = |value: f32| V::splat(value);
        let (scale_a, scale_b) = (c(-1.0 / 1.5), c(1.0 / 6.0));
        let (sum_a, dif_a) = (s[1].add(s[2]).mul(scale_a), s[1].sub(s[2]).mul(scale_a));
        let (sum_b, dif_b) = (s[3].add(s[4]).mul(scale_b), s[3].sub(s[4]).mul(scale_b));
        [
            s[0].add(sum_a).add(sum_b),
            c(A).mul_add(dif_a, c(B).mul(dif_b)),
            c(A * A).mul_add(sum_a, c(B * B).mul_add(sum_b, s[5])),
        ]
    }
}

/// `count` kernels and their points: tap `t` of kernel `n` at `taps + t * tap_stride + n`, point `p` at
/// `points + p * point_stride + n`. Points are accessed in full vectors.
pub(crate) struct Taps {
    pub taps: *mut f32,
    pub tap_stride: usize,
    pub points: *mut f32,
    pub point_stride: usize,
    pub count: usize,
}

#[inline(always)]
pub(super) unsafe fn taps_to_points<V: Lanes>(t: &Taps) {
    // SAFETY: the caller guarantees the ISA and the extents in `t`.
    unsafe {
        for n in (0..t.count).step_by(V::LANES) {
            let lanes = V::LANES.min(t.count - n);
            let mut intermediate = [[V::zero(); IN]; 3];
            for (j, intermediate) in intermediate.iter_mut().enumerate() {
                let at = |i: usize| V::load_part(t.taps.add((3 * i + j) * t.tap_stride + n), lanes);
                *intermediate = kernel_points([at(0), at(1), at(2)]);
            }
            for i in 0..IN {
                let points = kernel_points([intermediate[0][i], intermediate[1][i], intermediate[2][i]]);
                for (j, point) in points.into_iter().enumerate() {
                    point.store(t.points.add((i * IN + j) * t.point_stride + n));
                }
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn points_to_taps<V: Lanes>(t: &Taps) {
    // SAFETY: the caller guarantees the ISA and the extents in `t`.
    unsafe {
        for n in (0..t.count).step_by(V::LANES) {
            let lanes = V::LANES.min(t.count - n);
            let mut intermediate = [[V::zero(); 3]; IN];
            for (j, intermediate) in intermediate.iter_mut().enumerate() {
                let at = |i: usize| V::load(t.points.add((i * IN + j) * t.point_stride + n));
                *intermediate = kernel_points_transposed([at(0), at(1), at(2), at(3), at(4), at(5)]);
            }
            for i in 0..3 {
                let row = [
                    intermediate[0][i],
                    intermediate[1][i],
                    intermediate[2][i],
                    intermediate[3][i],
                    intermediate[4][i],
                    intermediate[5][i],
                ];
                for (j, tap) in kernel_points_transposed(row).into_iter().enumerate() {
                    tap.store_part(t.taps.add((3 * i + j) * t.tap_stride + n), lanes);
                }
            }
        }
    }
}
