//! The parameters of an operation: a JSON object whose entries are taken one by one.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::error::{malformed, Result};

pub type Params = Map<String, Json>;

/// Remove and return a parameter.
pub fn take<T: DeserializeOwned>(params: &mut Params, key: &str) -> Result<T> {
    let value = params.remove(key).ok_or_else(|| malformed!("parameter {key:?} is missing"))?;
    serde_json::from_value(value).map_err(|e| malformed!("parameter {key:?}: {e}"))
}

/// Remove and return a parameter that has a default.
pub fn take_or<T: DeserializeOwned>(params: &mut Params, key: &str, default: T) -> Result<T> {
    if params.contains_key(key) {
        take(params, key)
    } else {
        Ok(default)
    }
}
