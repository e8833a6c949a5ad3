"""A multi-layer perceptron, 784-512-512-10."""

from torch_common import classes_right, images, keras_weights, measure, samples, torch

nn = torch.nn
x, y = images(samples(60000), 28, 1)
model = nn.Sequential(
    nn.Linear(784, 512),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(512, 512),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(512, 10),
)
keras_weights(model)
measure(
    model,
    lambda parameters: torch.optim.RMSprop(parameters, lr=1e-3, alpha=0.9, eps=1e-7),
    nn.functional.cross_entropy,
    classes_right,
    x.reshape(len(x), 784),
    y,
    128,
)
