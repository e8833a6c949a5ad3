"""The nets of benchmarks/memory.py in PyTorch, plain or with `torch.utils.checkpoint` by hand.

python torch_memory.py gpt|resnet BATCH plain|checkpoint STEPS   prints a line of JSON
"""

import json
import resource
import sys
import time

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

LAYERS, WIDTH, HEADS, LENGTH, VOCABULARY, SIDE, CLASSES = 12, 256, 8, 128, 8000, 96, 100


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(WIDTH, eps=1e-3) for _ in range(2)])
        self.projections, self.joined = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        batch, length, _ = x.shape
        parts = self.projections(self.norms[0](x)).view(batch, length, 3, HEADS, WIDTH // HEADS)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.joined(seen.transpose(1, 2).reshape(batch, length, WIDTH)))
        return x + self.dropout(self.narrow(nn.functional.gelu(self.wide(self.norms[1](x)))))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.parts = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.head = nn.Sequential(nn.LayerNorm(WIDTH, eps=1e-3), nn.Linear(WIDTH, VOCABULARY))

    def forward(self, x, run):
        x = self.words(x) + self.places.weight
        for part in self.parts:
            x = run(part, x)
        return self.head(x).transpose(1, 2)


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride, projects):
        super().__init__()
        steps = [(inputs, width, 1, stride), (width, width, 3, 1), (width, 4 * width, 1, 1)]
        self.convolutions = nn.ModuleList([nn.Conv2d(i, o, k, s, padding=k // 2) for i, o, k, s in steps])
        self.norms = nn.ModuleList([nn.BatchNorm2d(o, eps=1.001e-5, momentum=0.01) for _, o, _, _ in steps])
        self.shortcut = nn.Identity()
        if projects:
            norm = nn.BatchNorm2d(4 * width, eps=1.001e-5, momentum=0.01)
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride), norm)

    def forward(self, x):
        y = x
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            y = norm(convolution(y))
            if index < 2:
                y = nn.functional.relu(y, inplace=True)
        return nn.functional.relu(y + self.shortcut(x))


class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        norm = nn.BatchNorm2d(64, eps=1.001e-5, momentum=0.01)
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3), norm, nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        parts, inputs = [], 64
        for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for index in range(count):
                parts.append(Bottleneck(inputs, width, stride if index == 0 else 1, index == 0))
                inputs = 4 * width
        self.parts = nn.ModuleList(parts)
        self.head = nn.Linear(2048, CLASSES)

    def forward(self, x, run):
        x = self.stem(x)
        for part in self.parts:
            x = run(part, x)
        return self.head(x.mean((2, 3)))


def main(net, batch, mode, steps):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    before = peak_bytes()
    if net == "gpt":
        model = Gpt()
        x = y = torch.randint(VOCABULARY, (batch, LENGTH))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
    else:
        model = ResNet50().to(memory_format=torch.channels_last)
        x = torch.randn(batch, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
        y = torch.randint(CLASSES, (batch,))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def run(part, x):
        return checkpoint(part, x, use_reentrant=False) if mode == "checkpoint" else part(x)

    times = []
    for _ in range(steps):
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x, run), y).backward()
        optimizer.step()
        times.append(time.perf_counter() - started)
    print(json.dumps({"bytes": peak_bytes() - before, "seconds": min(times)}))


main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
