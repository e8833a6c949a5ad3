"""ResNet-20 on 32x32x3 images."""

from torch_common import classes_right, images, keras_weights, measure, samples, torch

nn = torch.nn


def convolved(channels, filters, size=3, stride=1):
    convolution = nn.Conv2d(channels, filters, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01))


class Block(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.first = convolved(channels, filters, stride=stride)
        self.second = convolved(filters, filters)
        self.aside = convolved(channels, filters, 1, stride) if stride != 1 else nn.Identity()

    def forward(self, x):
        inner = self.second(torch.relu(self.first(x)))
        return torch.relu(inner + self.aside(x))


x, y = images(samples(5120), 32, 3)
parts = [convolved(3, 16), nn.ReLU()]
channels = 16
for filters in (16, 32, 64):
    for number in range(3):
        parts.append(Block(channels, filters, 2 if filters > 16 and number == 0 else 1))
        channels = filters
model = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
keras_weights(model)
measure(
    model,
    lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    nn.functional.cross_entropy,
    classes_right,
    x,
    y,
    128,
    head=lambda scores: scores,
)
