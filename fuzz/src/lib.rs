//! What the fuzz targets share; the engine's own test of mutated graphs includes the same files.

pub mod drive;
pub mod mutate;
