//! Shared by the fuzz targets and the engine's test of mutated graphs.

pub mod drive;
pub mod mutate;
