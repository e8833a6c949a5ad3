//! Reads frozen models and runs them with the native engine. No Python.
//!
//! A frozen model is what `model.export(path, format="hornbeam")` writes: graphs of its signatures (`predict`, ...)
//! after folding, their weights, names and types of inputs and outputs, and metadata. [`FrozenModel`] reads one from a
//! file or from memory; `file` describes the format.
//!
//! ```no_run
//! use hornbeam_runtime::{Buffer, DType, FrozenModel, TensorType};
//!
//! let model = FrozenModel::open("digits.hornbeam")?;
//! let pixels = vec![0u8; 28 * 28 * 4];
//! let image = Buffer::from_bytes(TensorType::new(DType::F32, vec![1, 28, 28, 1]), &pixels);
//! let outputs = model.signature("predict")?.run(&[image])?;
//! # Ok::<(), hornbeam_runtime::Error>(())
//! ```

mod error;
mod file;
mod model;
mod signature;
mod size;
mod template;

pub use error::{Error, Result};
pub use hornbeam_engine::buffer::Buffer;
pub use hornbeam_engine::types::TensorType;
pub use hornbeam_kernels::dtype::DType;
pub use model::FrozenModel;
pub use signature::{Signature, TensorSpec};
