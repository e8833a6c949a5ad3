"""A convolutional autoencoder."""

from torch_common import images, keras_weights, measure, samples, torch

nn = torch.nn
x, _ = images(samples(12800), 28, 1)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, 2, 1),
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, 2, 1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(7 * 7 * 32, 32),
    nn.Linear(32, 7 * 7 * 32),
    nn.ReLU(),
    nn.Unflatten(1, (32, 7, 7)),
    nn.ConvTranspose2d(32, 16, 3, 2, 1, 1),
    nn.ReLU(),
    nn.ConvTranspose2d(16, 1, 3, 2, 1, 1),
)
keras_weights(model)
measure(
    model,
    lambda parameters: torch.optim.Adam(parameters, lr=1e-3, eps=1e-7),
    nn.functional.mse_loss,
    lambda scores, y: (scores - y).abs().mean() * len(y),
    x,
    x,
    128,
    head=lambda scores: scores,
)
