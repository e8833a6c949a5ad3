//! Errors as values. Nothing in this crate panics on bad input.

use std::fmt;

/// An error of the engine. The binding turns each kind into one Python exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The graph's text is not well formed, or breaks a type rule.
    Decode(String),
    /// The engine has no kernel for a primitive, or for one of its dtypes.
    Unsupported(String),
    /// The buffers of a run do not fit the executable, or a setting is invalid.
    Argument(String),
    /// Memory is exhausted: for a value of a run, or for its intermediate results.
    Memory(String),
    /// The caller ended the run (Ctrl-C).
    Interrupted,
}

pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Decode(text) => write!(f, "malformed graph: {text}"),
            Error::Unsupported(text) | Error::Argument(text) | Error::Memory(text) => f.write_str(text),
            Error::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl Error {
    /// Add the name of the layer to an error about an unsupported operation, if the name is known.
    pub(crate) fn inside(self, scope: Option<&String>) -> Error {
        match (self, scope) {
            (Error::Unsupported(text), Some(name)) if !text.contains(" (in ") => {
                Error::Unsupported(format!("{text} (in {name})"))
            }
            (other, _) => other,
        }
    }
}

impl std::error::Error for Error {}

/// A decode error from a format string.
macro_rules! malformed {
    ($($arg:tt)*) => { $crate::error::Error::Decode(format!($($arg)*)) };
}
pub(crate) use malformed;
