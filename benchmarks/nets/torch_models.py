"""The nets of keras_models.py in PyTorch: name -> (module, x, y, loss(outputs, y))."""

import itertools

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

NETS = {}
cross_entropy = F.cross_entropy


def net(builder):
    NETS[builder.__name__] = builder
    return builder


def images(count, size, channels=3):
    return torch.randn(count, channels, size, size).contiguous(memory_format=torch.channels_last)


def labels(shape, classes):
    return torch.randint(0, classes, shape if isinstance(shape, tuple) else (shape,))


def resnet50(count, size):
    model = torchvision.models.resnet50()
    for module in model.modules():  # the first version, as Keras has it: the 1x1 kernels have the stride
        if isinstance(module, torchvision.models.resnet.Bottleneck) and module.stride == 2:
            module.conv1.stride, module.conv2.stride = (2, 2), (1, 1)
    return model, images(count, size), labels(count, 1000), cross_entropy


@net
def resnet50_96(count):
    return resnet50(count, 96)


@net
def resnet50_224(count):
    return resnet50(count, 224)


@net
def mobilenet_v2(count):
    return (
        torchvision.models.mobilenet_v2(dropout=0.0),
        images(count, 224),
        labels(count, 1000),
        cross_entropy,
    )


@net
def efficientnet_b0(count):
    return torchvision.models.efficientnet_b0(), images(count, 224), labels(count, 1000), cross_entropy


@net
def convnext_tiny(count):
    model = torchvision.models.convnext_tiny(stochastic_depth_prob=0.0)
    return model, images(count, 224), labels(count, 1000), cross_entropy


class Block(nn.Module):
    def __init__(self, width, heads, first, causal=False):
        super().__init__()
        self.heads, self.first, self.causal = heads, first, causal
        self.projections, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])

    def attended(self, x, mask):
        count, length, width = x.shape
        q, k, v = self.projections(x).view(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        return self.joined(seen.transpose(1, 2).reshape(count, length, width))

    def inner(self, x):
        return self.narrow(F.gelu(self.wide(x)))

    def forward(self, x, mask=None):
        if self.first:
            x = x + self.attended(self.norms[0](x), mask)
            return x + self.inner(self.norms[1](x))
        x = self.norms[0](x + self.attended(x, mask))
        return self.norms[1](x + self.inner(x))


class Vit(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 192, 16, 16)
        self.positions = nn.Parameter(torch.randn(196, 192))
        self.blocks = nn.Sequential(*[Block(192, 3, True) for _ in range(12)])
        self.norm, self.head = nn.LayerNorm(192), nn.Linear(192, 1000)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(x)).mean(1))


@net
def vit_tiny(count):
    return Vit(), images(count, 224), labels(count, 1000), cross_entropy


class Gpt(nn.Module):
    def __init__(self, depth, width, length, words):
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.positions = nn.Parameter(torch.randn(length, width))
        self.blocks = nn.Sequential(*[Block(width, width // 64, True, causal=True) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.words(x) + self.positions)))


def gpt(count, depth, width, length, words):
    def loss(outputs, y):
        return cross_entropy(outputs.flatten(0, 1), y.flatten())

    return (
        Gpt(depth, width, length, words),
        labels((count, length), words),
        labels((count, length), words),
        loss,
    )


@net
def gpt_4(count):
    return gpt(count, 4, 256, 128, 8000)


@net
def gpt_12(count):
    return gpt(count, 12, 384, 256, 8000)


class Bert(nn.Module):
    def __init__(self, depth, width, heads, masked, pooled):
        super().__init__()
        self.words, self.positions = nn.Embedding(30_000, width), nn.Parameter(torch.randn(128, width))
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList([Block(width, heads, False) for _ in range(depth)])
        self.pooler = nn.Sequential(nn.Linear(width, width), nn.Tanh()) if pooled else nn.Identity()
        self.head, self.masked = nn.Linear(width, 2), masked

    def forward(self, ids):
        x = self.norm(self.words(ids) + self.positions)
        mask = (ids != 0)[:, None, None, :] if self.masked else None
        for block in self.blocks:
            x = block(x, mask)
        return self.head(self.pooler(x[:, 0]))


@net
def bert_small(count):
    ids = labels((count, 128), 30_000)
    ids[torch.arange(128) >= torch.randint(64, 129, (count, 1))] = 0
    return Bert(4, 512, 8, True, True), ids, labels(count, 2), cross_entropy


@net
def bert_base(count):
    return Bert(12, 768, 12, False, False), labels((count, 128), 30_000), labels(count, 2), cross_entropy


class Unet(nn.Module):
    def __init__(self, width):
        super().__init__()

        def twice(inputs, width):
            parts = []
            for channels in (inputs, width):
                parts += [
                    nn.Conv2d(channels, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(True),
                ]
            return nn.Sequential(*parts)

        widths = [width << level for level in range(5)]
        self.down = nn.ModuleList([twice(a, b) for a, b in zip([3, *widths], widths, strict=False)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[:4]])
        self.joined = nn.ModuleList([twice(2 * w, w) for w in widths[:4]])
        self.head = nn.Conv2d(width, 3, 1)

    def forward(self, x):
        skips = []
        for stage in self.down[:4]:
            x = stage(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.down[4](x)
        for level in reversed(range(4)):
            x = self.joined[level](torch.cat([skips[level], self.up[level](x)], 1))
        return self.head(x)


@net
def unet_64(count):
    return Unet(32), images(count, 64), labels((count, 64, 64), 3), cross_entropy


@net
def unet_256(count):
    return Unet(16), images(count, 256), labels((count, 256, 256), 3), cross_entropy


class Gan(nn.Module):
    def __init__(self):
        super().__init__()
        parts = [nn.Linear(100, 4 * 4 * 256, bias=False), nn.Unflatten(1, (256, 4, 4))]
        for a, b in ((256, 128), (128, 64), (64, 32)):
            parts += [nn.BatchNorm2d(a), nn.ReLU(True), nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False)]
        parts += [nn.BatchNorm2d(32), nn.ReLU(True), nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Tanh()]
        self.generator = nn.Sequential(*parts)
        parts = []
        for a, b in ((3, 32), (32, 64), (64, 128), (128, 256)):
            parts += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2, True)]
        self.discriminator = nn.Sequential(*parts, nn.Flatten(), nn.Linear(4096, 1))


@net
def dcgan(count):
    return Gan(), torch.tanh(images(count, 64)), None, None


class Wavenet(nn.Module):
    def __init__(self, width=64, values=256):
        super().__init__()
        self.dilations = [2**i for i in range(10)] * 2
        self.first = nn.Conv1d(1, width, 2)
        self.signals, self.gates, self.skips, self.joins = (
            nn.ModuleList(
                [nn.Conv1d(width, width, size, dilation=d if size == 2 else 1) for d in self.dilations]
            )
            for size in (2, 2, 1, 1)
        )
        self.head = nn.Sequential(
            nn.ReLU(True), nn.Conv1d(width, width, 1), nn.ReLU(True), nn.Conv1d(width, values, 1)
        )

    def forward(self, x):
        x, skips = self.first(F.pad(x, (1, 0))), 0
        for i, dilation in enumerate(self.dilations):
            padded = F.pad(x, (dilation, 0))
            gated = torch.tanh(self.signals[i](padded)) * torch.sigmoid(self.gates[i](padded))
            skips = skips + self.skips[i](gated)
            x = x + self.joins[i](gated)
        return self.head(skips)


@net
def wavenet(count):
    return Wavenet(), torch.randn(count, 1, 2048), labels((count, 2048), 256), cross_entropy


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.lstm = nn.Embedding(10_000, 128), nn.LSTM(128, 256, 2, batch_first=True)
        self.head = nn.Linear(256, 2)

    def forward(self, x):
        return self.head(self.lstm(self.words(x))[0][:, -1])


@net
def lstm_2(count):
    return Lstm(), labels((count, 100), 10_000), labels(count, 2), cross_entropy


class Tabular(nn.Module):
    def __init__(self):
        super().__init__()

        def layers(widths, norms):
            parts = []
            for a, b in itertools.pairwise(widths):
                parts += [nn.Linear(a, b), nn.ReLU(True), *([nn.BatchNorm1d(b)] if norms else [])]
            return parts

        self.bottom = nn.Sequential(nn.BatchNorm1d(13), *layers([13, 256, 64, 16], False))
        self.columns = nn.ModuleList([nn.Embedding(1000, 16) for _ in range(26)])
        self.top = nn.Sequential(*layers([16 + 351, 256, 128], True), nn.Linear(128, 1))
        self.register_buffer("pairs", torch.tril_indices(27, 27, -1))

    def forward(self, x):
        numbers, ids = x
        x = self.bottom(numbers)
        vectors = torch.stack([x, *[column(ids[:, i]) for i, column in enumerate(self.columns)]], 1)
        products = vectors @ vectors.transpose(1, 2)
        return self.top(torch.cat([x, products[:, self.pairs[0], self.pairs[1]]], 1))


@net
def tabular(count):
    x = (torch.randn(count, 13), labels((count, 26), 1000))
    y = labels((count, 1), 2).float()
    return Tabular(), x, y, F.binary_cross_entropy_with_logits


@net
def lenet5(count):
    model = nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(True), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5), nn.ReLU(True), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(1600, 120), nn.ReLU(True), nn.Linear(120, 84), nn.ReLU(True), nn.Linear(84, 10),
    )  # fmt: skip
    return model, images(count, 28, 1), labels(count, 10), cross_entropy


@net
def mnist(count):
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(True), nn.Conv2d(32, 64, 3), nn.ReLU(True), nn.MaxPool2d(2),
        nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(True), nn.Dropout(0.5),
        nn.Linear(128, 10),
    )  # fmt: skip
    return model, images(count, 28, 1), labels(count, 10), cross_entropy


def auc_counts(scores, y, thresholds=200):
    """Counts of positive and negative samples above each of 200 thresholds, as Keras's AUC keeps them."""
    slots = (torch.sigmoid(scores) * (thresholds - 1)).ceil().long().flatten()
    ones = torch.zeros(thresholds + 1).index_add_(0, slots, y.flatten())
    return ones, torch.zeros(thresholds + 1).index_add_(0, slots, torch.ones_like(y.flatten()))


def numpy(value):
    return np.asarray(value.detach())
