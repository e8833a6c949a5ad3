"""Names of Keras's sources that are not public, and that packages import all the same."""

from __future__ import annotations


def _in(file: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), file)


# Module below `keras.src` -> name -> the file in this folder that has it.
PRIVATE: dict[str, dict[str, str]] = {
    "api_export": _in("decorators", "keras_export"),
    "applications.imagenet_utils": _in("arguments", "obtain_input_shape"),
    "backend.common.keras_tensor": _in("tensors", "any_symbolic_tensors"),
    "backend.common.masking": _in("tensors", "get_keras_mask set_keras_mask"),
    "backend.common.stateless_scope": _in("scopes", "get_stateless_scope in_stateless_scope"),
    "backend.common.symbolic_scope": _in("scopes", "in_symbolic_scope"),
    "backend.common.variables": _in("tensors", "standardize_shape"),
    "backend.config": _in("arguments", "standardize_data_format"),
    "backend.jax.core": _in("tensors", "compute_output_spec convert_to_numpy"),
    "layers.attention.multi_head_attention": _in(
        "einsum", "_build_attention_equation _build_proj_equation _get_output_shape"
    ),
    "layers.convolutional.base_conv": _in("classes", "BaseConv"),
    "layers.core.einsum_dense": _in("einsum", "_analyze_einsum_string _analyze_quantization_info"),
    "layers.merging.base_merge": _in("classes", "Merge"),
    "layers.pooling.base_global_pooling": _in("classes", "BaseGlobalPooling"),
    "layers.pooling.base_pooling": _in("classes", "BasePooling"),
    "layers.rnn.dropout_rnn_cell": _in("classes", "DropoutRNNCell"),
    "losses.losses": _in("classes", "LossFunctionWrapper"),
    "models.functional": _in("classes", "Functional"),
    "ops.operation_utils": _in("arguments", "compute_conv_output_shape"),
    "random.seed_generator": _in("scopes", "draw_seed global_seed_generator make_default_seed"),
    "saving.saving_lib": _in("saving", "H5IOStore load_model save_model"),
    "saving.serialization_lib": _in("saving", "SafeModeScope in_safe_mode"),
    "testing.test_case": _in(
        "testing",
        "TestCase jax_uses_gpu jax_uses_tpu tensorflow_uses_gpu tensorflow_uses_tpu torch_uses_gpu "
        "uses_gpu uses_tpu",
    ),
    "testing.test_utils": _in("testing", "get_test_data named_product"),
    "trainers.data_adapters.data_adapter_utils": _in("arguments", "class_weight_to_sample_weights"),
    "utils.argument_validation": _in("arguments", "standardize_tuple"),
    "utils.backend_utils": _in("scopes", "in_grain_data_pipeline"),
    "utils.module_utils": _in("modules", "LazyModule jax tensorflow"),
    "utils.naming": _in("arguments", "auto_name to_snake_case"),
    "utils.tracking": _in("decorators", "no_automatic_dependency_tracking"),
    "version": _in("scopes", "__version__"),
}
PRIVATE[""] = PRIVATE["version"]
PRIVATE["backend"] = PRIVATE["backend.jax.core"]

# Public names that Hornbeam refuses to have.
REFUSED = frozenset({"enable_unsafe_deserialization"})

# Modules of Keras's engines, which have operations under one name each -> Hornbeam's modules to ask.
BACKEND_MODULES: dict[str, tuple[str, ...]] = {
    "backend": ("ops", "core.scopes"),
    "backend.common": ("ops",),
    "ops": ("ops",),
    **{
        f"backend.{engine}{module}": ("random",) if module == ".random" else ("ops",)
        for engine in ("jax", "numpy", "tensorflow", "torch")
        for module in ("", ".core", ".image", ".linalg", ".math", ".nn", ".numpy", ".random")
    },
}
