"""Separable convolutions in the manner of MobileNet."""

from torch_common import classes_right, images, keras_weights, measure, samples, torch

nn = torch.nn


def convolved(channels, filters, size, stride=1, groups=1):
    convolution = nn.Conv2d(channels, filters, size, stride, size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01), nn.ReLU()]


x, y = images(samples(5120), 32, 3)
parts = convolved(3, 32, 3)
channels = 32
for filters, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1)]:
    parts += convolved(channels, channels, 3, stride, channels)
    parts += convolved(channels, filters, 1)
    channels = filters
model = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))
keras_weights(model)
measure(
    model,
    lambda parameters: torch.optim.Adam(parameters, lr=1e-3, eps=1e-7),
    nn.functional.cross_entropy,
    classes_right,
    x,
    y,
    128,
)
