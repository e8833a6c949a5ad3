//! Attention and its gradient as operations: decoding, shapes, and type checks.
//!
//! Operands: queries `[batch, queries, heads, depth]`, keys `[batch, keys, key_heads, depth]`, values
//! `[batch, keys, key_heads, width]`, then a bias `[batch, heads, queries, keys]` if any, and the key of dropout `[2]` if
//! any. The gradient also takes the three results of the forward pass and the gradient of the first one.

use hornbeam_kernels::attention::AttentionShape;
use hornbeam_kernels::dtype::DType;

use crate::decode::params::{take, Params};
use crate::error::{malformed, Result};
use crate::graph::{Attention, Op, Value};
use crate::passes::builder::Builder;
use crate::types::TensorType;

pub(super) fn emit_kernel(b: &mut Builder, name: &str, p: &mut Params, x: &[Value]) -> Result<Option<Vec<Value>>> {
    let backward = name == "attention_grad";
    let (scale, rate) = (take::<f64>(p, "scale")?, take::<f64>(p, "rate")?);
    let without_bias = if backward { 7 } else { 3 } + usize::from(rate > 0.0);
    let op = Attention {
        backward,
        biased: x.len() > without_bias,
        causal: take(p, "causal")?,
        scale: scale.to_bits(),
        rate: rate.to_bits(),
    };
    let operands: Vec<&TensorType> = x.iter().map(|&v| b.type_of(v)).collect();
    if operands.iter().any(|t| t.count() == 0) {
        return Ok(None);
    }
    let shape = op.shape(&operands)?;
    let types = op.types(&shape, operands[0].dtype);
    Ok(Some(b.emit(Op::Attention(op), x.to_vec(), types)?))
}

impl Attention {
    pub fn name(&self) -> &'static str {
        if self.backward {
            "attention_grad"
        } else {
            "attention"
        }
    }

    /// True if weights are dropped, by the random bits of an operand.
    pub fn drops(&self) -> bool {
        f64::from_bits(self.rate) != 0.0
    }

    /// The operand of the backward pass that is the output of the forward pass: it follows queries, keys, values, the bias
    /// and the key of dropout. Its softmax statistics and its gradient follow it.
    pub fn output_operand(&self) -> usize {
        3 + usize::from(self.biased) + usize::from(self.drops())
    }

    /// The number of results of the dtype of the queries; the others are at least `float32`.
    pub fn narrow_results(&self) -> usize {
        if self.backward {
            3
        } else {
            1
        }
    }

    /// The shape that the first three operands declare; [`Attention::check`] compares all others with it.
    pub fn shape(&self, x: &[&TensorType]) -> Result<AttentionShape> {
        let extents = |i: usize| x.get(i).map(|t: &&TensorType| &t.shape[..]);
        match (extents(0), extents(1), extents(2)) {
            (Some(&[batch, queries, heads, depth]), Some(&[_, keys, key_heads, _]), Some(&[_, _, _, width]))
                if key_heads > 0 && heads % key_heads == 0 =>
            {
                let (scale, causal) = (f64::from_bits(self.scale), self.causal);
                Ok(AttentionShape { batch, heads, key_heads, queries, keys, depth, width, scale, causal })
            }
            _ => Err(malformed!("{}: {x:?} are not queries, keys and values", self.name())),
        }
    }

    /// The types of the results.
    pub fn types(&self, h: &AttentionShape, dtype: DType) -> Vec<TensorType> {
        let [q, k, v, out, statistic, bias] = operand_types(h, dtype);
        match (self.backward, self.biased) {
            (false, _) => vec![out, statistic.clone(), statistic],
            (true, false) => vec![q, k, v],
            (true, true) => vec![q, k, v, bias],
        }
    }

    /// Check the types of operands and results against the shape that they declare.
    pub fn check(&self, x: &[&TensorType], outputs: &[TensorType]) -> Result<()> {
        let shape = self.shape(x)?;
        let dtype = x[0].dtype;
        let [q, k, v, out, statistic, bias] = operand_types(&shape, dtype);
        let mut expected = vec![q, k, v];
        expected.extend(self.biased.then_some(bias));
        expected.extend(self.drops().then(|| TensorType::new(DType::U32, vec![2])));
        if self.backward {
            expected.extend([out.clone(), statistic.clone(), statistic, out]);
        }
        let rate = f64::from_bits(self.rate);
        if !(0.0..1.0).contains(&rate) {
            return Err(malformed!("{}: the dropout rate {rate} is not in [0, 1)", self.name()));
        }
        let fits = expected.len() == x.len() && expected.iter().zip(x).all(|(e, x)| e == *x);
        if !(fits && dtype.is_float() && self.types(&shape, dtype) == outputs) {
            return Err(malformed!("{} of {x:?} cannot return {outputs:?}", self.name()));
        }
        Ok(())
    }
}

/// The types of queries, keys, values, output, softmax statistics (row max, row sum) and bias. Beside 16-bit operands, the
/// last two are `float32`.
fn operand_types(h: &AttentionShape, dtype: DType) -> [TensorType; 6] {
    let wide = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
    [
        (dtype, vec![h.batch, h.queries, h.heads, h.depth]),
        (dtype, vec![h.batch, h.keys, h.key_heads, h.depth]),
        (dtype, vec![h.batch, h.keys, h.key_heads, h.width]),
        (dtype, vec![h.batch, h.queries, h.heads, h.width]),
        (wide, vec![h.batch, h.heads, h.queries]),
        (wide, vec![h.batch, h.heads, h.queries, h.keys]),
    ]
    .map(|(dtype, shape)| TensorType::new(dtype, shape))
}
