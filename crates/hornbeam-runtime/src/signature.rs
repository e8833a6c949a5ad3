//! Signatures: a graph with its weights, and the names and types of its inputs and outputs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hornbeam_engine::bound::Bound;
use hornbeam_engine::buffer::Buffer;
use hornbeam_engine::executable::Executable;
use hornbeam_kernels::dtype::DType;
use serde::Deserialize;

use crate::error::{damaged, Error, Result};
use crate::file::File;
use crate::size::{Size, Symbols};
use crate::template::Template;

/// Compiled graphs that a signature keeps, one for each combination of sizes.
const CACHE: usize = 8;

/// One extent of a shape: a number, or a size that depends on those of the inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    Known(usize),
    Unknown(Size),
}

impl Extent {
    fn parse(text: TextExtent) -> Result<Extent> {
        match text {
            TextExtent::Number(n) => Ok(Extent::Known(n)),
            TextExtent::Size(text) => {
                let size = text.strip_prefix('=').ok_or_else(|| damaged!("an extent is {text:?}"))?;
                Size::parse(size).map(Extent::Unknown)
            }
        }
    }
}

/// Name and type of an input or output.
#[derive(Clone, Debug)]
pub struct TensorSpec {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<Extent>,
}

impl TensorSpec {
    fn parse(text: TextSpec) -> Result<TensorSpec> {
        let dtype = DType::parse(&text.dtype).ok_or_else(|| damaged!("{:?} has dtype {:?}", text.name, text.dtype))?;
        let shape = text.shape.into_iter().map(Extent::parse).collect::<Result<_>>()?;
        Ok(TensorSpec { name: text.name, dtype, shape })
    }

    /// The extents; None for those that depend on the inputs.
    pub fn known_shape(&self) -> Vec<Option<usize>> {
        let known = |extent: &Extent| match extent {
            Extent::Known(n) => Some(*n),
            Extent::Unknown(_) => None,
        };
        self.shape.iter().map(known).collect()
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype.name())?;
        for (i, extent) in self.shape.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match extent {
                Extent::Known(n) => write!(f, "{comma}{n}")?,
                Extent::Unknown(size) => write!(f, "{comma}{size}")?,
            }
        }
        f.write_str("]")
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextExtent {
    Number(usize),
    Size(String),
}

#[derive(Deserialize)]
struct TextSpec {
    name: String,
    dtype: String,
    shape: Vec<TextExtent>,
}

/// A signature in the tensor `model`. Its graph takes `weights`, names of tensors, before the inputs; `constants` are
/// the constant buffers of the graph's text.
#[derive(Deserialize)]
pub struct TextSignature {
    inputs: Vec<TextSpec>,
    outputs: Vec<TextSpec>,
    weights: Vec<String>,
    constants: Vec<String>,
}

/// A function of a frozen model. Several threads can run it at once.
pub struct Signature {
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
    template: Template,
    weights: Vec<Buffer>,
    constants: Vec<Buffer>,
    /// The latest used ones last.
    compiled: Mutex<Vec<(Symbols, Arc<Bound>)>>,
}

impl Signature {
    pub fn load(name: &str, text: TextSignature, file: &File) -> Result<Signature> {
        let specs = |texts: Vec<TextSpec>| texts.into_iter().map(TensorSpec::parse).collect::<Result<Vec<_>>>();
        let tensors = |names: &[String]| names.iter().map(|n| file.tensor(n)).collect::<Result<Vec<_>>>();
        Ok(Signature {
            inputs: specs(text.inputs)?,
            outputs: specs(text.outputs)?,
            template: Template::parse(file.text(&format!("graph/{name}"))?)?,
            weights: tensors(&text.weights)?,
            constants: tensors(&text.constants)?,
            compiled: Mutex::new(Vec::new()),
        })
    }

    /// Compute the outputs. Graphs are compiled at their first run on inputs of these sizes.
    pub fn run(&self, inputs: &[Buffer]) -> Result<Vec<Buffer>> {
        let bound = self.bound(self.symbols(inputs)?)?;
        Ok(bound.run(inputs)?)
    }

    /// Check the inputs, and return the values of unknown sizes.
    fn symbols(&self, inputs: &[Buffer]) -> Result<Symbols> {
        if inputs.len() != self.inputs.len() {
            let names: Vec<&str> = self.inputs.iter().map(|spec| spec.name.as_str()).collect();
            let count = self.inputs.len();
            return Err(Error::Argument(format!(
                "expected {count} inputs ({}), got {}",
                names.join(", "),
                inputs.len()
            )));
        }
        let mut symbols = Symbols::new();
        for (spec, input) in self.inputs.iter().zip(inputs) {
            let is_symbol = |extent: &Extent| match extent {
                Extent::Unknown(size) => size.symbol().map(str::to_owned),
                Extent::Known(_) => None,
            };
            for (extent, &found) in spec.shape.iter().zip(&input.tensor.shape) {
                if let Some(name) = is_symbol(extent) {
                    symbols.entry(name).or_insert(found as i64);
                }
            }
        }
        for (spec, input) in self.inputs.iter().zip(inputs) {
            if !fits(spec, input, &symbols)? {
                let (name, found) = (&spec.name, &input.tensor);
                return Err(Error::Argument(format!("the input {name:?} is {found}, it must be {spec}")));
            }
        }
        if let Some((name, size)) = symbols.iter().find(|(_, &size)| size < 1) {
            return Err(Error::Argument(format!("the size {name} is {size}, it must be at least 1")));
        }
        Ok(symbols)
    }

    fn bound(&self, symbols: Symbols) -> Result<Arc<Bound>> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = compiled.iter().position(|(key, _)| *key == symbols) {
            compiled[position..].rotate_left(1);
            return Ok(compiled[compiled.len() - 1].1.clone());
        }
        // Others wait meanwhile: most want the same graph.
        let executable = Executable::compile(&self.template.render(&symbols)?, self.constants.clone())?;
        let bound = Arc::new(Bound::new(Arc::new(executable), self.weights.clone())?);
        if compiled.len() == CACHE {
            compiled.remove(0);
        }
        compiled.push((symbols, bound.clone()));
        Ok(bound)
    }
}

/// Return whether an input has the dtype and the shape of a spec for these sizes.
fn fits(spec: &TensorSpec, input: &Buffer, symbols: &Symbols) -> Result<bool> {
    let found = &input.tensor;
    if spec.dtype != found.dtype || spec.shape.len() != found.shape.len() {
        return Ok(false);
    }
    for (extent, &found) in spec.shape.iter().zip(&found.shape) {
        let expected = match extent {
            Extent::Known(n) => *n as i64,
            Extent::Unknown(size) => size.evaluate(symbols)?,
        };
        if expected != found as i64 {
            return Ok(false);
        }
    }
    Ok(true)
}
