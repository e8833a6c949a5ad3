"""The tutorial's convnet."""

from torch_common import classes_right, images, keras_weights, measure, samples, torch

nn = torch.nn
x, y = images(samples(12800), 28, 1)
model = nn.Sequential(
    nn.Conv2d(1, 32, 3),
    nn.ReLU(),
    nn.Conv2d(32, 64, 3),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Dropout(0.25),
    nn.Flatten(),
    nn.Linear(12 * 12 * 64, 128),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(128, 10),
)
keras_weights(model)
measure(
    model,
    lambda parameters: torch.optim.Adadelta(parameters, lr=1.0, rho=0.95, eps=1e-7),
    nn.functional.cross_entropy,
    classes_right,
    x,
    y,
    128,
)
