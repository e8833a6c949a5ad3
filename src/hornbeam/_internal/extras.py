"""Commands that install the libraries of an extra, for messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# Extra -> the libraries that pyproject.toml lists for it.
EXTRAS = {
    "audio": "scipy",
    "auto": "lightgbm",
    "frames": "narwhals",
    "hub": "huggingface_hub",
    "huggingface": "datasets",
    "image": "pillow scipy",
    "jax": "jax",
    "mlflow": "mlflow",
    "mlx": '"mlx[cpu]"',
    "onnx": "onnx onnxruntime",
    "orbax": "orbax-checkpoint",
    "parquet": "pyarrow",
    "plot": "matplotlib",
    "pytensor": "pytensor",
    "safetensors": "safetensors",
    "serve": "starlette uvicorn httptools uvloop orjson prometheus_client pillow",
    "signing": "cryptography",
    "sklearn": "scikit-learn",
    "stablehlo": "jax flatbuffers",
    "tensorboard": "tensorboard",
    "tensorflow": "tensorflow",
    "text": "tokenizers jinja2",
    "tfrecord": "protobuf",
    "torch": "torch",
    "tune": "optuna",
    "wandb": "wandb",
}


@contextmanager
def required(purpose: str, extra: str) -> Iterator[None]:
    """Import libraries of an extra in a `with` block; without them, ImportError says what needs them.

    Args:
        purpose: Beginning of the message: "drawing needs Matplotlib".
        extra: Extra that installs the libraries.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{purpose}: {install_command(extra)}") from error


def install_command(extra: str, *, upgrade: bool = False) -> str:
    """Return the command that installs an extra, such as `pip install matplotlib`.

    `pip install "hornbeam[plot]"` would look for Hornbeam in an index, so it is named only where Hornbeam
    came from one: pip records any other origin, such as a checkout or a wheel, in `direct_url.json`.
    """
    packages = f'"hornbeam[{extra}]"' if _is_from_index() else EXTRAS.get(extra, extra)
    return f"pip install {'--upgrade ' if upgrade else ''}{packages}"


def _is_from_index() -> bool:
    import importlib.metadata  # it takes 10 ms

    try:
        distribution = importlib.metadata.distribution("hornbeam")
    except importlib.metadata.PackageNotFoundError:  # sources on the path
        return False
    return distribution.read_text("direct_url.json") is None
