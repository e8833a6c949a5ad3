//! A frozen model: its signatures and its metadata.

use std::collections::BTreeMap;
#[cfg(not(target_family = "wasm"))]
use std::path::Path;
use std::sync::Arc;

use hornbeam_engine::types::TensorType;
use serde::Deserialize;

use crate::error::{damaged, Error, Result};
use crate::file::{Bytes, File};
use crate::signature::{Signature, TextSignature};

#[derive(Deserialize)]
struct TextModel {
    signatures: BTreeMap<String, TextSignature>,
}

/// A model that was exported. Several threads can run it at once.
pub struct FrozenModel {
    description: String,
    weights: Vec<(String, TensorType)>,
    signatures: BTreeMap<String, Signature>,
}

impl FrozenModel {
    /// Read a file, which is mapped into memory: while the model lives, replace the file if you must, but do not change
    /// its bytes.
    #[cfg(not(target_family = "wasm"))]
    pub fn open(path: impl AsRef<Path>) -> Result<FrozenModel> {
        FrozenModel::load(&File::open(path.as_ref())?)
    }

    /// Read the contents of a file, such as those of `include_bytes!`.
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<FrozenModel> {
        let bytes: Bytes = Arc::new(bytes);
        FrozenModel::load(&File::new(bytes)?)
    }

    fn load(file: &File) -> Result<FrozenModel> {
        let weights = file.weights()?;
        let description = file.text("model")?.to_owned();
        let model: TextModel = serde_json::from_str(&description).map_err(|e| damaged!("the tensor \"model\": {e}"))?;
        let load = |(name, text): (String, TextSignature)| {
            let signature = Signature::load(&name, text, file)?;
            Ok((name, signature))
        };
        let signatures = model.signatures.into_iter().map(load).collect::<Result<_>>()?;
        Ok(FrozenModel { description, weights, signatures })
    }

    /// The JSON of the file: `signatures`, and `metadata` such as the name of the model and labels of classes.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Name and type of every weight.
    pub fn weights(&self) -> &[(String, TensorType)] {
        &self.weights
    }

    pub fn signatures(&self) -> impl Iterator<Item = (&str, &Signature)> {
        self.signatures.iter().map(|(name, signature)| (name.as_str(), signature))
    }

    pub fn signature(&self, name: &str) -> Result<&Signature> {
        self.signatures.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.signatures.keys().map(String::as_str).collect();
            Error::Argument(format!("the model has no signature {name:?}, it has {}", names.join(", ")))
        })
    }
}
