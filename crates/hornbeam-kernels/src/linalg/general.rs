//! Eigenvalues and eigenvectors of any square matrix, real or complex: rotations to Hessenberg form, then QR steps with
//! Wilkinson's shifts to Schur's triangular form (Golub & Van Loan, "Matrix Computations", chapter 7). In `f64`.

use super::{for_each_matrix, Scalar};
use crate::pool::ThreadPool;
use crate::scratch::{with_local, Plain};

/// Maximum number of QR steps for one eigenvalue: two or three are usual.
const STEPS: usize = 60;

#[derive(Clone, Copy, PartialEq)]
struct Complex {
    re: f64,
    im: f64,
}

// SAFETY: two numbers without padding.
unsafe impl Plain for Complex {}

const ZERO: Complex = Complex { re: 0.0, im: 0.0 };
const ONE: Complex = Complex { re: 1.0, im: 0.0 };

impl std::ops::Add for Complex {
    type Output = Complex;
    fn add(self, other: Complex) -> Complex {
        Complex { re: self.re + other.re, im: self.im + other.im }
    }
}

impl std::ops::Sub for Complex {
    type Output = Complex;
    fn sub(self, other: Complex) -> Complex {
        Complex { re: self.re - other.re, im: self.im - other.im }
    }
}

impl std::ops::Mul for Complex {
    type Output = Complex;
    fn mul(self, other: Complex) -> Complex {
        Complex { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }
}

impl std::ops::Div for Complex {
    type Output = Complex;
    fn div(self, other: Complex) -> Complex {
        let size = other.abs();
        self.scaled(1.0 / size) * other.conj().scaled(1.0 / size)
    }
}

impl Complex {
    fn conj(self) -> Complex {
        Complex { re: self.re, im: -self.im }
    }

    fn abs(self) -> f64 {
        self.re.hypot(self.im)
    }

    fn scaled(self, factor: f64) -> Complex {
        Complex { re: self.re * factor, im: self.im * factor }
    }

    fn sqrt(self) -> Complex {
        let root = ((self.re.abs() + self.abs()) / 2.0).sqrt();
        if root == 0.0 {
            return ZERO;
        }
        let other = self.im / (2.0 * root);
        if self.re >= 0.0 {
            Complex { re: root, im: other }
        } else {
            Complex { re: other.abs(), im: root.copysign(self.im) }
        }
    }
}

/// Computes eigenvalues `w` of `[batch, n]` and eigenvectors, the columns of `v` of `[batch, n, n]`, of `x`; of each the
/// real and the imaginary parts. Vectors have the norm 1, and their largest element is real.
pub fn eig<T: Scalar>(pool: &ThreadPool, n: usize, x: [&[T]; 2], w: [&mut [T]; 2], v: [&mut [T]; 2]) {
    let ([w_re, w_im], [v_re, v_im]) = (w, v);
    for_each_matrix(pool, [w_re, w_im, v_re, v_im], [n, n, n * n, n * n], &|i, [w_re, w_im, v_re, v_im]| {
        with_local(|scratch| {
            let (a, z) = scratch.take2::<Complex, Complex>(n * n, n * n);
            let part = |k: usize| x[k][i * n * n..][..n * n].iter().map(|x| x.to_f64());
            for (at, (re, im)) in part(0).zip(part(1)).enumerate() {
                a[at] = Complex { re, im };
                z[at] = if at % (n + 1) == 0 { ONE } else { ZERO };
            }
            if !schur(a, z, n) {
                for out in [w_re, w_im, v_re, v_im] {
                    out.fill(T::NAN);
                }
                return;
            }
            for k in 0..n {
                let vector = eigenvector(a, z, n, k);
                w_re[k] = T::from_f64(a[k * n + k].re);
                w_im[k] = T::from_f64(a[k * n + k].im);
                for (row, value) in vector.into_iter().enumerate() {
                    v_re[row * n + k] = T::from_f64(value.re);
                    v_im[row * n + k] = T::from_f64(value.im);
                }
            }
        });
    });
}

/// Rotation `[[c', s'], [-s, c]]` of rows `p` and `q` that turns the elements `x` and `y` into `(r, 0)`.
#[derive(Clone, Copy)]
struct Rotation {
    c: Complex,
    s: Complex,
    p: usize,
    q: usize,
}

impl Rotation {
    fn new(x: Complex, y: Complex, p: usize, q: usize) -> Rotation {
        let r = x.abs().hypot(y.abs());
        let (c, s) = if r == 0.0 { (ONE, ZERO) } else { (x.scaled(1.0 / r), y.scaled(1.0 / r)) };
        Rotation { c, s, p, q }
    }

    /// Multiplies by the rotation from the left.
    fn rows(self, a: &mut [Complex], n: usize, columns: std::ops::Range<usize>) {
        for j in columns {
            let (x, y) = (a[self.p * n + j], a[self.q * n + j]);
            a[self.p * n + j] = self.c.conj() * x + self.s.conj() * y;
            a[self.q * n + j] = self.c * y - self.s * x;
        }
    }

    /// Multiplies by the inverse rotation from the right.
    fn columns(self, a: &mut [Complex], n: usize, rows: std::ops::Range<usize>) {
        for i in rows {
            let (x, y) = (a[i * n + self.p], a[i * n + self.q]);
            a[i * n + self.p] = x * self.c + y * self.s;
            a[i * n + self.q] = y * self.c.conj() - x * self.s.conj();
        }
    }
}

/// Turns `a` into its triangular form `t` with `a = z t z^H`, for `z` that is the identity. Returns false if it contains NaN
/// or infinity, or does not converge.
fn schur(a: &mut [Complex], z: &mut [Complex], n: usize) -> bool {
    if !a.iter().all(|x| x.re.is_finite() && x.im.is_finite()) {
        return false;
    }
    for k in 0..n.saturating_sub(2) {
        for i in k + 2..n {
            if a[i * n + k] != ZERO {
                let rotation = Rotation::new(a[(k + 1) * n + k], a[i * n + k], k + 1, i);
                rotation.rows(a, n, k..n);
                rotation.columns(a, n, 0..n);
                rotation.columns(z, n, 0..n);
                a[i * n + k] = ZERO;
            }
        }
    }
    let largest = a.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let (mut high, mut steps) = (n, 0);
    let mut rotations = Vec::with_capacity(n);
    while high > 1 {
        // The block low..high has no negligible element below its diagonal.
        let mut low = high - 1;
        while low > 0 {
            let neighbours = a[low * n + low].abs() + a[(low - 1) * n + low - 1].abs();
            let size = if neighbours == 0.0 { largest } else { neighbours };
            if a[low * n + low - 1].abs() <= f64::EPSILON * size {
                a[low * n + low - 1] = ZERO;
                break;
            }
            low -= 1;
        }
        if low == high - 1 {
            (high, steps) = (low, 0);
            continue;
        }
        steps += 1;
        if steps > STEPS {
            return false;
        }
        let shift = shift(a, n, high, steps);
        for i in low..high {
            a[i * n + i] = a[i * n + i] - shift;
        }
        rotations.clear();
        for k in low..high - 1 {
            let rotation = Rotation::new(a[k * n + k], a[(k + 1) * n + k], k, k + 1);
            rotation.rows(a, n, k..n);
            rotations.push(rotation);
        }
        for rotation in &rotations {
            rotation.columns(a, n, 0..rotation.q + 1);
            rotation.columns(z, n, 0..n);
        }
        for i in low..high {
            a[i * n + i] = a[i * n + i] + shift;
        }
    }
    true
}

/// Returns the eigenvalue of the last 2x2 block that is closer to its last element; now and then another number, which ends
/// cycles.
fn shift(a: &[Complex], n: usize, high: usize, steps: usize) -> Complex {
    let (p, q) = (high - 2, high - 1);
    let last = a[q * n + q];
    if steps.is_multiple_of(10) {
        return last + Complex { re: a[q * n + p].abs(), im: 0.0 };
    }
    let product = a[p * n + q] * a[q * n + p];
    let half = (a[p * n + p] - last).scaled(0.5);
    let root = (half * half + product).sqrt();
    let (plus, minus) = (half + root, half - root);
    let far = if plus.abs() >= minus.abs() { plus } else { minus };
    if far == ZERO {
        last
    } else {
        last - product / far
    }
}

/// Returns eigenvector `k` of `z t z^H`, by substitution in the triangle.
fn eigenvector(t: &[Complex], z: &[Complex], n: usize, k: usize) -> Vec<Complex> {
    let size = t.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let mut y = vec![ZERO; k + 1];
    y[k] = ONE;
    for i in (0..k).rev() {
        let total = (i + 1..=k).fold(ZERO, |sum, j| sum + t[i * n + j] * y[j]);
        let gap = t[k * n + k] - t[i * n + i];
        // Of equal eigenvalues: the vector of a matrix that is one rounding error away.
        let least = (f64::EPSILON * size).max(f64::MIN_POSITIVE);
        let gap = if gap.abs() < least { Complex { re: least, im: 0.0 } } else { gap };
        y[i] = total / gap;
        let large = y[i].abs();
        if large > 1e100 {
            y.iter_mut().for_each(|y| *y = y.scaled(1.0 / large));
        }
    }
    let mut vector: Vec<Complex> = (0..n).map(|i| (0..=k).fold(ZERO, |sum, j| sum + z[i * n + j] * y[j])).collect();
    let largest = vector.iter().fold(ZERO, |m, x| if x.abs() > m.abs() { *x } else { m });
    let turn = largest.conj().scaled(1.0 / largest.abs());
    vector.iter_mut().for_each(|x| *x = x.scaled(1.0 / largest.abs()) * turn);
    let norm = vector.iter().map(|x| x.re * x.re + x.im * x.im).sum::<f64>().sqrt();
    vector.iter_mut().for_each(|x| *x = x.scaled(1.0 / norm));
    vector
}
