"""Types of the results of calls: a comment holds what a type checker must reveal."""

import numpy as np
from typing_extensions import reveal_type

import hornbeam as keras
from hornbeam import layers, ops

array = np.ones((2, 4), "float32")
tensor = ops.convert_to_tensor(array)
symbol = keras.Input((4,))
model = keras.Sequential([layers.Dense(1)])

# Layers
reveal_type(symbol)  # KerasTensor
reveal_type(layers.Dense(3))  # Dense
reveal_type(layers.Dense(3)(array))  # Tensor
reveal_type(layers.Dense(3)(tensor))  # Tensor
reveal_type(layers.Dense(3)(symbol))  # KerasTensor
reveal_type(layers.MaxPool2D()(tensor))  # Tensor
reveal_type(layers.Add()([symbol, symbol]))  # KerasTensor
reveal_type(layers.concatenate([tensor, tensor]))  # Tensor
reveal_type(layers.LSTM(3)(tensor))  # Tensor | Any
reveal_type(layers.Dense.from_config({}))  # Dense
reveal_type(layers.Dense(3).weights)  # list[Variable]

# Operations
reveal_type(ops.matmul(array, tensor))  # Tensor
reveal_type(ops.mean(array, axis=1) + 1)  # Tensor
reveal_type(1 - tensor[:, 0] ** 2)  # Tensor
reveal_type(symbol * 2)  # KerasTensor
reveal_type(tensor == tensor)  # Tensor
reveal_type(ops.where(tensor > 0, tensor, 0.0))  # Tensor
reveal_type(ops.where(tensor > 0))  # tuple[Tensor, ...]
reveal_type(ops.top_k(tensor, 2))  # tuple[Tensor, Tensor]
reveal_type(ops.linspace(0.0, 1.0, 5))  # Tensor
reveal_type(ops.linspace(0.0, 1.0, 5, retstep=True))  # tuple[Tensor, Tensor]
reveal_type(ops.unique(tensor))  # Tensor
reveal_type(ops.unique(tensor, return_counts=True))  # tuple[Tensor, ...]
reveal_type(ops.svd(tensor))  # tuple[Tensor, Tensor, Tensor]
reveal_type(ops.svd(tensor, compute_uv=False))  # Tensor

# Tensors and variables
reveal_type(tensor.shape)  # tuple[int, ...]
reveal_type(tensor.numpy())  # ndarray
reveal_type(np.asarray(tensor))  # ndarray
reveal_type(float(tensor[0, 0]))  # float
reveal_type(tensor.astype("float16"))  # Tensor
reveal_type(keras.Variable(1.0).assign(2.0))  # Tensor
reveal_type(keras.random.normal((2, 2)))  # Tensor

# Models
reveal_type(model.fit(array, array))  # History
reveal_type(model.evaluate(array, array, return_dict=True))  # dict[str, float]
reveal_type(model.inputs)  # list[KerasTensor]
reveal_type(model.optimizer)  # Optimizer
reveal_type(keras.models.load_model("model.keras"))  # Model
reveal_type(keras.models.load_model("model.keras", weights_only=True))  # Model | dict[str, ndarray]
reveal_type(keras.applications.VGG16(weights=None))  # Model
reveal_type(keras.applications.vgg16.preprocess_input(array))  # ndarray
reveal_type(keras.applications.vgg16.preprocess_input(symbol))  # KerasTensor
reveal_type(model.layers)  # list[Layer]
reveal_type(model.get_layer("dense"))  # Layer
reveal_type(model.count_params())  # int
reveal_type(keras.models.clone_model(model))  # Model

# Parts of a training
reveal_type(keras.losses.MeanSquaredError()(array, array))  # Tensor
reveal_type(keras.losses.mean_squared_error(array, array))  # Tensor
reveal_type(keras.metrics.get("mse"))  # Metric
reveal_type(keras.metrics.Mean().result())  # Tensor
reveal_type(keras.initializers.get("zeros"))  # Initializer
reveal_type(keras.initializers.get(None))  # None
reveal_type(keras.initializers.HeNormal()((2, 2)))  # Tensor
reveal_type(keras.regularizers.L2(0.1)(tensor))  # Tensor
reveal_type(keras.constraints.MaxNorm(1.0)(tensor))  # Tensor
reveal_type(keras.activations.relu(array))  # Tensor
reveal_type(keras.optimizers.Adam(1e-3).learning_rate)  # Variable
reveal_type(keras.optimizers.schedules.CosineDecay(0.1, 10)(3))  # Tensor
reveal_type(keras.utils.to_categorical([1, 2], 3))  # ndarray
reveal_type(keras.data.Dataset.from_tensor_slices(array).batch(2))  # Dataset
reveal_type(keras.datasets.mnist.load_data()[0][0])  # ndarray

# Data
reveal_type(keras.data.images_from_folder("photos"))  # Dataset
reveal_type(keras.data.images_from_folder("photos", validation=0.2))  # Split
reveal_type(keras.data.images_from_folder("photos", validation=0.2).train)  # Any
