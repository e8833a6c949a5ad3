//! Dropout of attention weights: the mask is a range of the random stream, computed where it is needed.

use crate::multiversion;
use crate::random::fill_bits;
use crate::tiles::Float;

/// Dropout of the weights, `[batch, heads, queries, keys]` in the order of the random stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Key of the random stream.
    pub key: [u32; 2],
    /// Fraction of the weights that become 0, in (0, 1).
    pub rate: f64,
}

impl Dropout {
    /// Bound of the random words of the weights that stay.
    pub(super) fn bound(&self) -> u32 {
        ((1.0 - self.rate) * 2f64.powi(32)) as u32
    }

    /// Factor of the weights that stay.
    pub(super) fn factor<T: Float>(&self) -> T {
        T::from_f64(1.0 / (1.0 - self.rate))
    }

    /// Draws the words of the weights of rows `first ..` and the first `columns` of the keys from `start`: a row of
    /// `words` for each row, `columns` apart.
    pub(super) fn fill(&self, first: usize, keys: usize, start: usize, columns: usize, words: &mut [u32]) {
        let at = |row: usize| (row * keys + start) as u64;
        if columns == keys {
            return fill_bits(self.key, at(first), words); // rows follow each other in the stream
        }
        for (row, words) in words.chunks_exact_mut(columns).enumerate() {
            fill_bits(self.key, at(first + row), words);
        }
    }
}

pub(super) type DropRow<T> = unsafe fn(&mut [T], &[u32], u32, T);

multiversion! {
    /// Sets the values whose word is not below `bound` to 0, and multiplies the others by `factor`.
    pub(super) unsafe fn drop_row[S, T: Float; T::DTYPE.copies()](values: &mut [T], words: &[u32], bound: u32, factor: T) {
        for (value, word) in values.iter_mut().zip(words) {
            *value = if *word < bound { *value * factor } else { T::ZERO };
        }
    }
}
