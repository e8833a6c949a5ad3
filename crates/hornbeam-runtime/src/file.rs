//! The format of a frozen model: a safetensors file.
//!
//! Its metadata has `format` ("hornbeam"), `version`, and `crc32`, the checksum of all tensors' bytes in hexadecimal. The
//! tensor `model` is a JSON text that describes signatures (see [`crate::signature`]), `graph/NAME` the text of the graph
//! of a signature (see the engine's `decode`) with sizes that depend on those of the inputs (see [`crate::template`]).
//! All other tensors are weights.

#[cfg(not(target_family = "wasm"))]
use std::path::Path;
use std::sync::Arc;

use hornbeam_engine::buffer::Buffer;
use hornbeam_engine::types::TensorType;
use hornbeam_kernels::dtype::DType;
use safetensors::tensor::{Dtype, Metadata, SafeTensors};

use crate::error::{damaged, Result};

/// The version of the format that this crate reads.
const VERSION: u32 = 1;

/// Bytes of the longest text: some hundred times that of a large model.
const MAX_TEXT: usize = 1 << 26;

/// Bytes of a file in memory, or mapped.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A checked file.
pub struct File {
    bytes: Bytes,
    table: Metadata,
    /// Position of the first tensor.
    start: usize,
}

impl File {
    #[cfg(not(target_family = "wasm"))]
    pub fn open(path: &Path) -> Result<File> {
        let file = std::fs::File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(damaged!("{} is not a file", path.display()));
        }
        // SAFETY: `FrozenModel::open` tells its callers not to change the file while the model lives.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        File::new(Arc::new(map)).map_err(|error| damaged!("{}: {error}", path.display()))
    }

    pub fn new(bytes: Bytes) -> Result<File> {
        let data = (*bytes).as_ref();
        let (length, table) = SafeTensors::read_metadata(data).map_err(|e| damaged!("not a frozen model: {e}"))?;
        let start = length + 8;
        let entry = |key: &str| table.metadata().as_ref().and_then(|m| m.get(key)).map_or("", String::as_str);
        if entry("format") != "hornbeam" {
            return Err(damaged!("not a frozen model: export(format=\"hornbeam\") writes those"));
        }
        let version = entry("version");
        if version.parse() != Ok(VERSION) {
            return Err(damaged!("a frozen model of version {version}; this Hornbeam reads version {VERSION}"));
        }
        let (stored, found) = (entry("crc32"), format!("{:08x}", crc32fast::hash(&data[start..])));
        if stored != found {
            return Err(damaged!("the file is damaged: its checksum is {found}, it should be {stored}"));
        }
        Ok(File { bytes, table, start })
    }

    /// Names and types of all tensors but those of text, in the order of the file.
    pub fn weights(&self) -> Result<Vec<(String, TensorType)>> {
        let names = self.table.offset_keys();
        let is_weight = |name: &String| name != "model" && !name.starts_with("graph/");
        names.into_iter().filter(is_weight).map(|name| self.bytes_of(&name).map(|(_, t)| (name.clone(), t))).collect()
    }

    fn bytes_of(&self, name: &str) -> Result<(&[u8], TensorType)> {
        let info = self.table.info(name).ok_or_else(|| damaged!("the file has no tensor {name:?}"))?;
        let dtype = dtype(info.dtype).ok_or_else(|| damaged!("{name:?} has the dtype {:?}", info.dtype))?;
        let tensor = TensorType::new(dtype, info.shape.clone());
        tensor.validate()?;
        let (begin, end) = info.data_offsets;
        let bytes = (*self.bytes).as_ref().get(self.start + begin..self.start + end);
        match bytes.filter(|b| b.len() == tensor.bytes()) {
            Some(bytes) => Ok((bytes, tensor)),
            None => Err(damaged!("{name:?} has not the bytes of {tensor}")),
        }
    }

    /// A tensor of text. A parsed text takes several times its memory, so its length is limited.
    pub fn text(&self, name: &str) -> Result<&str> {
        let (bytes, _) = self.bytes_of(name)?;
        if bytes.len() > MAX_TEXT {
            return Err(damaged!("{name:?} has {} bytes, which is more than {MAX_TEXT}", bytes.len()));
        }
        std::str::from_utf8(bytes).map_err(|e| damaged!("{name:?} is not text: {e}"))
    }

    /// A tensor of numbers, on the memory of the file where it is aligned.
    pub fn tensor(&self, name: &str) -> Result<Buffer> {
        let (bytes, tensor) = self.bytes_of(name)?;
        if bytes.is_empty() || bytes.as_ptr().align_offset(tensor.dtype.size()) != 0 {
            return Ok(Buffer::copied(tensor, bytes)?);
        }
        // SAFETY: aligned, as long as the type needs, and kept by the owner.
        Ok(unsafe { Buffer::borrow(tensor, bytes.as_ptr(), Box::new(self.bytes.clone())) })
    }
}

fn dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::BOOL => DType::Bool,
        Dtype::U8 => DType::U8,
        Dtype::I8 => DType::I8,
        Dtype::I16 => DType::I16,
        Dtype::U16 => DType::U16,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I32 => DType::I32,
        Dtype::U32 => DType::U32,
        Dtype::F32 => DType::F32,
        Dtype::I64 => DType::I64,
        Dtype::U64 => DType::U64,
        Dtype::F64 => DType::F64,
        _ => return None,
    })
}
