//! What can go wrong, as values. Nothing in this crate panics on bad input.

use std::fmt;

/// An error of the engine. The binding turns each kind into one Python exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The graph's text is not well formed, or breaks a type rule.
    Decode(String),
    /// A primitive, or a dtype of one, has no kernel here.
    Unsupported(String),
    /// Buffers given to a run do not fit the executable, or a setting cannot be followed.
    Argument(String),
    /// There is no room for a value of a run, or for all that it computes on the way.
    Memory(String),
    /// The caller asked for the run to end (Ctrl-C).
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
    /// The same error; what is missing is missing in the layer called `scope`, if that is known.
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
