"""Names of TensorFlow that Keras tutorials use: supported by `hornbeam run`, or refused by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hornbeam
from hornbeam.errors import MissingNameError, ShapeError
from hornbeam_compat.tensorflow import distribute, math, nn, saved_model
from hornbeam_compat.tensorflow import tensors as tf_tensors
from hornbeam_compat.tensorflow.ragged import RaggedTensor
from hornbeam_compat.tensorflow.ragged_names import accepting_ragged
from hornbeam_compat.tensorflow.saved_names import find_class, find_function

SUPPORTED = {
    "tf": (
        "initializers losses metrics optimizers constant Variable Tensor cast convert_to_tensor identity "
        "shape rank size reshape transpose expand_dims squeeze concat stack unstack split tile repeat pad "
        "gather gather_nd scatter_nd tensor_scatter_nd_update tensor_scatter_nd_add boolean_mask where cond "
        "while_loop map_fn vectorized_map scan foldl range linspace zeros ones zeros_like ones_like fill eye "
        "one_hot meshgrid sort argsort searchsorted unique reverse roll slice broadcast_to sequence_mask add "
        "subtract multiply divide pow abs sqrt square exp sign round floor maximum minimum equal not_equal "
        "greater greater_equal less less_equal logical_and logical_or logical_not reduce_sum reduce_mean "
        "reduce_max reduce_min reduce_prod reduce_any reduce_all reduce_logsumexp argmax argmin cumsum "
        "matmul einsum tensordot norm clip_by_value clip_by_norm clip_by_global_norm global_norm "
        "stop_gradient GradientTape function py_function numpy_function custom_gradient Module TensorSpec "
        "TensorShape name_scope device group no_op print executing_eagerly is_tensor newaxis float32 float16 "
        "bfloat16 int32 int64 uint8 bool string TensorArray ensure_shape get_static_value "
        "random_normal_initializer zeros_initializer ones_initializer saturate_cast nest sigmoid tanh sin "
        "cos saved_model profiler RaggedTensorSpec SparseTensorSpec TypeSpec type_spec_from_value "
        "foldr timestamp"
    ),
    "tf.math": (
        "log log1p exp sqrt rsqrt pow square abs sign sigmoid softplus reduce_sum reduce_mean reduce_std "
        "reduce_variance reduce_logsumexp reduce_euclidean_norm argmax top_k in_top_k l2_normalize "
        "confusion_matrix bincount count_nonzero divide_no_nan multiply_no_nan squared_difference is_nan "
        "is_inf is_finite floormod floordiv ceil cumsum cumprod erf erfinv segment_sum segment_mean "
        "unsorted_segment_sum unsorted_segment_max unsorted_segment_mean maximum minimum logical_and "
        "logical_not logical_xor sin cos atan2 tanh add_n accumulate_n zero_fraction xlogy log_softmax "
        "softmax polyval greater less equal"
    ),
    "tf.nn": (
        "relu relu6 leaky_relu elu selu gelu silu swish sigmoid softmax log_softmax softplus tanh dropout "
        "l2_loss l2_normalize conv1d conv2d conv2d_transpose conv3d depthwise_conv2d max_pool2d avg_pool2d "
        "max_pool avg_pool batch_normalization moments bias_add embedding_lookup top_k in_top_k "
        "softmax_cross_entropy_with_logits sparse_softmax_cross_entropy_with_logits "
        "sigmoid_cross_entropy_with_logits weighted_cross_entropy_with_logits ctc_loss space_to_depth "
        "depth_to_space compute_average_loss scale_regularization_loss zero_fraction crelu"
    ),
    "tf.linalg": (
        "matmul norm inv det diag diag_part set_diag band_part eye trace cholesky qr svd eigh solve "
        "triangular_solve matvec matrix_transpose normalize slogdet pinv einsum tensordot lstsq cross logdet "
        "expm eig eigvals"
    ),
    "tf.random": (
        "normal uniform truncated_normal shuffle categorical gamma set_seed stateless_uniform "
        "stateless_normal Generator get_global_generator split fold_in set_global_generator experimental"
    ),
    "tf.image": (
        "resize resize_with_pad resize_with_crop_or_pad decode_image decode_jpeg decode_png encode_jpeg "
        "encode_png random_flip_left_right random_flip_up_down flip_left_right flip_up_down random_crop "
        "central_crop crop_to_bounding_box pad_to_bounding_box random_brightness random_contrast "
        "random_saturation random_hue adjust_brightness adjust_contrast adjust_saturation adjust_hue "
        "adjust_gamma rgb_to_grayscale grayscale_to_rgb rgb_to_hsv hsv_to_rgb convert_image_dtype "
        "per_image_standardization rot90 transpose psnr ssim total_variation extract_patches sobel_edges "
        "ResizeMethod stateless_random_flip_left_right crop_and_resize rgb_to_yuv yuv_to_rgb "
        "stateless_random_brightness stateless_random_contrast stateless_random_hue "
        "stateless_random_saturation"
    ),
    "tf.io": "read_file write_file decode_image decode_jpeg decode_png decode_raw encode_jpeg gfile",
    "tf.strings": (
        "lower upper split join length strip regex_replace regex_full_match substr to_number as_string "
        "reduce_join unicode_split to_hash_bucket_fast format"
    ),
    "tf.data.experimental": (
        "AutoShardPolicy Counter DistributeOptions dense_to_ragged_batch make_csv_dataset"
    ),
    "tf.data": "Dataset AUTOTUNE Options TextLineDataset cardinality experimental INFINITE_CARDINALITY",
    "tf.lookup": "StaticHashTable KeyValueTensorInitializer TextFileInitializer",
    "tf.summary": "create_file_writer scalar image histogram text flush trace_on trace_export",
    "tf.config": (
        "list_physical_devices list_logical_devices run_functions_eagerly set_visible_devices experimental "
        "functions_run_eagerly optimizer"
    ),
    "tf.debugging": (
        "assert_equal assert_greater assert_less assert_rank assert_shapes assert_type check_numerics "
        "assert_all_finite assert_near assert_non_negative enable_check_numerics disable_traceback_filtering"
    ),
    "tf.autograph": "experimental set_verbosity",
    "tf.autograph.experimental": "do_not_convert",
    "tf.distribute": (
        "get_strategy MirroredStrategy OneDeviceStrategy MultiWorkerMirroredStrategy InputContext "
        "InputOptions HierarchicalCopyAllReduce NcclAllReduce ReductionToOneDevice ReduceOp "
        "get_replica_context in_cross_replica_context has_strategy experimental"
    ),
    "tf.distribute.experimental": (
        "CentralStorageStrategy MultiWorkerMirroredStrategy CommunicationOptions CommunicationImplementation"
    ),
    "tf.distribute.cluster_resolver": "TPUClusterResolver TFConfigClusterResolver",
    "tf.saved_model": "save load contains_saved_model SaveOptions LoadOptions",
    "tf.profiler.experimental": "start stop Profile Trace",
    "tf.compat": "as_bytes as_str as_text",
    "tf.train": "Checkpoint CheckpointManager latest_checkpoint list_variables load_checkpoint load_variable",
    "tf.keras": (
        "layers models losses metrics optimizers callbacks datasets utils preprocessing applications "
        "initializers regularizers constraints activations backend Sequential Model Input mixed_precision"
    ),
    "tf.keras.utils": (
        "to_categorical get_file image_dataset_from_directory text_dataset_from_directory plot_model "
        "set_random_seed Sequence pad_sequences normalize register_keras_serializable Progbar"
    ),
    "tf.dtypes": "float32 cast as_dtype",
    "tf.errors": "OutOfRangeError InvalidArgumentError NotFoundError",
    "tf.test": "TestCase is_gpu_available is_built_with_cuda",
    "tf.types": "experimental",
    "tf.types.experimental": "TensorLike TraceType SupportsTracingProtocol",
    "tf.version": "VERSION",
    "tf.nest": "map_structure flatten",
    "tf.ragged": "boolean_mask constant map_flat_values range row_splits_to_segment_ids stack",
    "tf.sparse": (
        "add concat expand_dims from_dense map_values reorder slice sparse_dense_matmul split to_dense"
    ),
    "tf.sets": "difference intersection size union",
    "tf.queue": "FIFOQueue PriorityQueue RandomShuffleQueue",
    "tf.signal": "fft frame hann_window inverse_stft irfft linear_to_mel_weight_matrix rfft stft",
    "tf.audio": "decode_wav encode_wav",
    "tf.experimental": (
        "numpy ExtensionType BatchableExtensionType dispatch_for_api dispatch_for_unary_elementwise_apis "
        "dispatch_for_binary_elementwise_apis unregister_dispatch_for"
    ),
    "tf.experimental.numpy": "arange array concatenate float32 ndarray pi random sum",
    "tf.compat.v1": "reduce_sum scan",
}

# Each raises an error that names it.
REFUSED = {
    "tf": ("strided_slice bitcast lite sysconfig bitwise estimator quantization"),
    "tf.raw_ops": "AddV2 MatMul",
    "tf.math": "cumulative_logsumexp lgamma digamma",
    "tf.nn": "max_pool1d ctc_greedy_decoder ctc_beam_search_decoder pool",
    "tf.random": "poisson stateless_truncated_normal log_uniform_candidate_sampler",
    "tf.image": ("draw_bounding_boxes combined_non_max_suppression stateless_random_crop image_gradients"),
    "tf.io": ("decode_gif decode_proto"),
    "tf.data": "FixedLengthRecordDataset",
    "tf.lookup": "StaticVocabularyTable",
    "tf.autograph.experimental": "set_loop_options",
    "tf.distribute": "TPUStrategy coordinator ParameterServerStrategy",
    "tf.train": "ClusterSpec",
    "tf.experimental": "DynamicRaggedShape StructuredTensor dtensor",
    "tf.compat.v1": "disable_eager_execution placeholder Session",
}

PROBE = """
import importlib, json, sys

states = {}
for namespace, names in json.load(open(sys.argv[1])).items():
    module = importlib.import_module(namespace.replace("tf", "tensorflow", 1))
    for name in names.split():
        try:
            states[f"{namespace}.{name}"] = getattr(module, name) is None and name != "newaxis"
        except Exception as error:
            states[f"{namespace}.{name}"] = f"{type(error).__name__}: {error}"
print(json.dumps(states))
"""


def states(table: dict[str, str], folder: Path) -> dict[str, str | bool]:
    """State of each name under `hornbeam run`: the text of an error, or False if it is supported."""
    (folder / "names.json").write_text(json.dumps(table))
    (folder / "probe.py").write_text(PROBE)
    command = [sys.executable, "-m", "hornbeam", "run", str(folder / "probe.py"), str(folder / "names.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_supported_names(tmp_path: Path) -> None:
    results = states(SUPPORTED, tmp_path)
    assert len(results) > 400
    assert {name: state for name, state in results.items() if state is not False} == {}


def test_refused_names(tmp_path: Path) -> None:
    for name, state in states(REFUSED, tmp_path).items():
        full = name.replace("tf", "tensorflow", 1)
        assert str(state).startswith(f"MissingNameError: the script uses {full}, which `hornbeam run`"), name


@pytest.mark.parametrize("line", ["import tensorflow.dtensor", "from tensorflow.lite import Interpreter"])
def test_refused_modules(line: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(line)
    done = subprocess.run(
        [sys.executable, "-m", "hornbeam", "run", str(script)], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "which `hornbeam run` does not have" in done.stderr


IMAGES = np.ones((1, 4, 4, 2), "float32")
KERNEL = np.ones((2, 2, 2, 3), "float32")


def test_unsupported_options_of_layer_operations_are_errors() -> None:
    with pytest.raises(NotImplementedError, match=r"data_format='NCHW' is not supported"):
        nn.conv2d(IMAGES, KERNEL, 1, "SAME", data_format="NCHW")
    with pytest.raises(NotImplementedError, match=r"Use 'SAME' or 'VALID', after tf\.pad"):
        nn.max_pool(IMAGES, 2, 2, [[0, 0], [1, 1], [1, 1], [0, 0]])
    with pytest.raises(NotImplementedError, match=r"data_format='NCHW' is not supported"):
        nn.max_pool(IMAGES, 2, 2, "VALID", data_format="NCHW")
    assert nn.conv2d(IMAGES, KERNEL, 1, "SAME", "NHWC").shape == (1, 4, 4, 3)


@pytest.mark.parametrize("name", ["bincount", "count_nonzero", "cumsum", "zero_fraction"])
def test_functions_of_whole_tensors_refuse_ragged_ones(name: str) -> None:
    """Applied to the values, they would return a ragged tensor with rows of something else."""
    rows = RaggedTensor.from_row_lengths([1, 0, 2], [2, 1])
    with pytest.raises(TypeError, match=rf"tf.{name} takes no ragged tensors here: pass x.to_tensor\(\)"):
        accepting_ragged(name, getattr(math, name))(rows)


def test_sparse_tensors_and_unknown_lengths_are_not_counted() -> None:
    with pytest.raises(TypeError, match=r"takes no sparse tensors here: pass arr.values"):
        math.bincount(RaggedTensor.from_row_lengths([1, 0, 2], [2, 1]).to_sparse())
    counts = hornbeam.jit(lambda x: math.bincount(x, minlength=2, maxlength=3))
    with pytest.raises(ShapeError, match="the length must be known: pass minlength=maxlength"):
        counts(hornbeam.ops.array([0, 1, 1]))


def test_folders_name_functions_of_the_script_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "system", os.system, raising=False)
    for text in ("__main__:system", "os:system", "__main__:missing", "tensorflow.io:write_file"):
        with pytest.raises(MissingNameError, match="files have no code"):
            find_function(text)
    with pytest.raises(MissingNameError, match="which this program does not define"):
        find_class("os:_Environ", tf_tensors.Module)
    with pytest.raises(MissingNameError, match="which this program does not define"):
        find_class("elsewhere:Net", tf_tensors.Module)


def test_folders_of_tensorflow_are_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match="TFSMLayer"):
        saved_model.load(tmp_path)
    with pytest.raises(TypeError, match=r"takes a tf\.Module, a model or a layer, got int"):
        saved_model.save(3, tmp_path / "x")  # type: ignore[arg-type]


def test_several_workers_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}}))
    with pytest.raises(NotImplementedError, match="TF_CONFIG lists 2 workers"):
        distribute.MultiWorkerMirroredStrategy()
