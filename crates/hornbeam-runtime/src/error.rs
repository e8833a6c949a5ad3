//! Errors as values. Nothing in this crate panics on bad files or bad input.

use std::fmt;

#[derive(Debug)]
pub enum Error {
    /// The file cannot be read.
    Io(std::io::Error),
    /// The bytes are not a frozen model, are damaged, or were written by a newer version.
    File(String),
    /// The inputs of a run do not fit the signature, or there is no such signature.
    Argument(String),
    /// The engine refused the graph, or had not enough memory.
    Engine(hornbeam_engine::error::Error),
}

pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => error.fmt(f),
            Error::File(text) | Error::Argument(text) => f.write_str(text),
            Error::Engine(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::Io(error)
    }
}

impl From<hornbeam_engine::error::Error> for Error {
    fn from(error: hornbeam_engine::error::Error) -> Self {
        Error::Engine(error)
    }
}

/// An error about the file from a format string.
macro_rules! damaged {
    ($($arg:tt)*) => { $crate::error::Error::File(format!($($arg)*)) };
}
pub(crate) use damaged;
