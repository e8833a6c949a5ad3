//! Executables whose first inputs are weights that stay the same over many runs.

use std::sync::Arc;

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::executable::Executable;
use crate::weight_cache::WeightCache;

/// An executable together with its first inputs.
pub struct Bound {
    executable: Arc<Executable>,
    weights: Vec<Buffer>,
    cache: WeightCache,
}

impl Bound {
    /// Bind `weights` to the first inputs of all runs. They must not be donated while the result lives.
    pub fn new(executable: Arc<Executable>, weights: Vec<Buffer>) -> Result<Bound> {
        if weights.len() > executable.inputs().len() {
            let expected = executable.inputs().len();
            return Err(Error::Argument(format!("got {} weights for {expected} inputs", weights.len())));
        }
        executable.check_inputs_from(0, &weights)?;
        let cache = WeightCache::new(executable.program(), &weights);
        Ok(Bound { executable, weights, cache })
    }

    /// Run on the inputs that follow the weights.
    pub fn run(&self, inputs: &[Buffer]) -> Result<Vec<Buffer>> {
        let (count, expected) = (self.weights.len() + inputs.len(), self.executable.inputs().len());
        if count != expected {
            return Err(Error::Argument(format!("expected {expected} inputs, got {count}")));
        }
        self.executable.check_inputs_from(self.weights.len(), inputs)?;
        self.executable.launch([&self.weights, inputs], &[], &self.cache)
    }
}
