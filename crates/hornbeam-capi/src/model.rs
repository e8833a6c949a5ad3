//! Models and their signatures.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_void, CStr, CString};
use std::sync::Arc;

use hornbeam_runtime::{FrozenModel, TensorSpec};

use crate::error::{guarded, HornbeamError};
use crate::outputs::HornbeamOutputs;
use crate::tensor::{slice, HornbeamDtype, HornbeamTensor};

/// A model that was read.
pub struct HornbeamModel {
    description: CString,
    signatures: BTreeMap<String, HornbeamSignature>,
}

/// A function of a model.
pub struct HornbeamSignature {
    model: Arc<FrozenModel>,
    name: String,
    inputs: Vec<Spec>,
    outputs: Vec<Spec>,
}

/// Name and type of an input or output.
#[repr(C)]
pub struct HornbeamSpec {
    /// The name, in UTF-8.
    pub name: *const c_char,
    /// A `HornbeamDtype`.
    pub dtype: u32,
    /// Number of axes.
    pub rank: usize,
    /// Size of each axis; -1 for those that depend on the inputs, such as the batch size.
    pub shape: *const i64,
}

struct Spec {
    name: CString,
    dtype: HornbeamDtype,
    shape: Vec<i64>,
}

impl Spec {
    fn new(spec: &TensorSpec) -> Spec {
        let shape = spec.known_shape().into_iter().map(|n| n.map_or(-1, |n| n as i64)).collect();
        Spec { name: text(&spec.name), dtype: HornbeamDtype::new(spec.dtype), shape }
    }
}

/// A text for C, which ends at its first NUL.
fn text(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

impl HornbeamModel {
    fn new(model: FrozenModel) -> HornbeamModel {
        let model = Arc::new(model);
        let signature = |(name, signature): (&str, &hornbeam_runtime::Signature)| {
            let specs = |specs: &[TensorSpec]| specs.iter().map(Spec::new).collect();
            let signature = HornbeamSignature {
                model: model.clone(),
                name: name.to_owned(),
                inputs: specs(&signature.inputs),
                outputs: specs(&signature.outputs),
            };
            (name.to_owned(), signature)
        };
        let signatures = model.signatures().map(signature).collect();
        HornbeamModel { description: text(model.description()), signatures }
    }
}

fn not_null<T>(pointer: *const T, name: &str) -> Result<(), HornbeamError> {
    match pointer.is_null() {
        true => Err(HornbeamError::argument(format!("{name} is NULL"))),
        false => Ok(()),
    }
}

/// # Safety
/// `pointer` is NULL or a text that ends with a NUL.
unsafe fn utf8<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, HornbeamError> {
    not_null(pointer, name)?;
    // SAFETY: guaranteed by the caller.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| HornbeamError::argument(format!("{name} is not UTF-8")))
}

/// Read the file at `path` (UTF-8) and set `*model`. The file is mapped into memory: do not write into it while the model
/// lives.
///
/// # Safety
/// `path` is a text, and `model` points to a pointer.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_model_open(
    path: *const c_char,
    model: *mut *mut HornbeamModel,
) -> *mut HornbeamError {
    guarded(|| {
        not_null(model, "model")?;
        // SAFETY: guaranteed by the caller.
        let opened = HornbeamModel::new(FrozenModel::open(unsafe { utf8(path, "path") }?)?);
        // SAFETY: as above.
        unsafe { *model = Box::into_raw(Box::new(opened)) };
        Ok(())
    })
}

/// Read the contents of a file, which are copied, and set `*model`.
///
/// # Safety
/// `data` points to `size` bytes, and `model` to a pointer.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_model_from_memory(
    data: *const c_void,
    size: usize,
    model: *mut *mut HornbeamModel,
) -> *mut HornbeamError {
    guarded(|| {
        not_null(model, "model")?;
        // SAFETY: guaranteed by the caller.
        let bytes = unsafe { slice(data.cast::<u8>(), size) }.to_vec();
        let opened = HornbeamModel::new(FrozenModel::from_bytes(bytes)?);
        // SAFETY: as above.
        unsafe { *model = Box::into_raw(Box::new(opened)) };
        Ok(())
    })
}

/// Free a model that no thread uses any more. Outputs of its runs stay valid. NULL is ignored.
///
/// # Safety
/// `model` came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_model_free(model: *mut HornbeamModel) {
    if !model.is_null() {
        // SAFETY: guaranteed by the caller.
        drop(unsafe { Box::from_raw(model) });
    }
}

/// Signatures and metadata of a model as JSON: names of inputs and outputs, labels of classes, preprocessing.
///
/// # Safety
/// `model` came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_model_description(model: *const HornbeamModel) -> *const c_char {
    // SAFETY: guaranteed by the caller.
    unsafe { (*model).description.as_ptr() }
}

/// Find a function of the model, such as "predict", and set `*signature`.
///
/// # Safety
/// `model` came from this library, `name` is a text, and `signature` points to a pointer.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_model_signature(
    model: *const HornbeamModel,
    name: *const c_char,
    signature: *mut *const HornbeamSignature,
) -> *mut HornbeamError {
    guarded(|| {
        not_null(model, "model")?;
        not_null(signature, "signature")?;
        // SAFETY: guaranteed by the caller.
        let (name, model) = unsafe { (utf8(name, "name")?, &*model) };
        let found = model.signatures.get(name).ok_or_else(|| {
            let names: Vec<&str> = model.signatures.keys().map(String::as_str).collect();
            HornbeamError::argument(format!("the model has no signature {name:?}, it has {}", names.join(", ")))
        })?;
        // SAFETY: as above.
        unsafe { *signature = found };
        Ok(())
    })
}

/// The number of inputs.
///
/// # Safety
/// `signature` came from a model that lives.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_signature_input_count(signature: *const HornbeamSignature) -> usize {
    // SAFETY: guaranteed by the caller.
    unsafe { &*signature }.inputs.len()
}

/// The number of outputs.
///
/// # Safety
/// `signature` came from a model that lives.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_signature_output_count(signature: *const HornbeamSignature) -> usize {
    // SAFETY: guaranteed by the caller.
    unsafe { &*signature }.outputs.len()
}

/// Set `*spec` to name and type of an input.
///
/// # Safety
/// `signature` came from a model that lives, and `spec` points to a `HornbeamSpec`.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_signature_input(
    signature: *const HornbeamSignature,
    index: usize,
    spec: *mut HornbeamSpec,
) -> *mut HornbeamError {
    // SAFETY: guaranteed by the caller.
    guarded(|| unsafe { write_spec(&(*signature).inputs, index, spec) })
}

/// Set `*spec` to name and type of an output.
///
/// # Safety
/// `signature` came from a model that lives, and `spec` points to a `HornbeamSpec`.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_signature_output(
    signature: *const HornbeamSignature,
    index: usize,
    spec: *mut HornbeamSpec,
) -> *mut HornbeamError {
    // SAFETY: guaranteed by the caller.
    guarded(|| unsafe { write_spec(&(*signature).outputs, index, spec) })
}

/// # Safety
/// `target` is NULL or points to a `HornbeamSpec`.
unsafe fn write_spec(specs: &[Spec], index: usize, target: *mut HornbeamSpec) -> Result<(), HornbeamError> {
    not_null(target, "spec")?;
    let count = specs.len();
    let spec = specs.get(index).ok_or_else(|| HornbeamError::argument(format!("index {index} of {count}")))?;
    let Spec { name, dtype, shape } = spec;
    let spec = HornbeamSpec { name: name.as_ptr(), dtype: *dtype as u32, rank: shape.len(), shape: shape.as_ptr() };
    // SAFETY: guaranteed by the caller.
    unsafe { *target = spec };
    Ok(())
}

/// Run a signature on `count` inputs, in its order, and set `*outputs`. Several threads may run it at once. The first run
/// on inputs of new sizes compiles the graph for them, in milliseconds.
///
/// # Safety
/// `signature` came from a model that lives, `inputs` points to `count` tensors, and `outputs` to a pointer.
#[no_mangle]
pub unsafe extern "C" fn hornbeam_run(
    signature: *const HornbeamSignature,
    inputs: *const HornbeamTensor,
    count: usize,
    outputs: *mut *mut HornbeamOutputs,
) -> *mut HornbeamError {
    guarded(|| {
        not_null(signature, "signature")?;
        not_null(outputs, "outputs")?;
        // SAFETY: guaranteed by the caller.
        let (signature, tensors) = unsafe { (&*signature, slice(inputs, count)) };
        // SAFETY: as above.
        let copies = tensors.iter().enumerate().map(|(i, tensor)| unsafe { tensor.copy(i) });
        let buffers = copies.collect::<Result<Vec<_>, _>>()?;
        let results = signature.model.signature(&signature.name)?.run(&buffers)?;
        // SAFETY: as above.
        unsafe { *outputs = Box::into_raw(Box::new(HornbeamOutputs::new(results))) };
        Ok(())
    })
}
