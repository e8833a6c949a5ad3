"""Shared code of the PyTorch peers: the data, the work and the JSON line of the package's workloads.

Fast PyTorch for a CPU: tensors in memory, batches by one shuffled index, channels_last for images, losses and
accuracies summed on tensors and read once per epoch, `inference_mode` for predictions.

--compile: torch.compile for forward pass and loss of the training step, and for prediction. --bf16: autocast
to bfloat16. --contiguous: images in the default layout. BENCH_THREADS: threads, by default one per CPU.
"""

import argparse
import functools
import json
import os
import resource
import sys
import time

START = float(os.environ.get("BENCH_START", time.time()))
import torch  # noqa: E402

IMPORT_SECONDS = time.time() - START
import numpy as np  # noqa: E402

EPOCHS = int(os.environ.get("EPOCHS", "4"))
torch.set_num_threads(int(os.environ.get("BENCH_THREADS", os.cpu_count() or 1)))
torch.manual_seed(0)

parser = argparse.ArgumentParser()
parser.add_argument("--compile", action="store_true")
parser.add_argument("--bf16", action="store_true")
parser.add_argument("--contiguous", action="store_true")
options = parser.parse_args()
BFLOAT16 = options.bf16 or os.environ.get("BENCH_DTYPE") == "mixed_bfloat16"


def samples(usual):
    return min(usual, int(os.environ.get("SAMPLES", usual)))


data_seconds = 0.0  # excluded from the time to the first step


def timed(make):
    """Add the time of calls of `make` to `data_seconds`."""

    @functools.wraps(make)
    def wrapped(*args, **kwargs):
        global data_seconds
        start = time.perf_counter()
        data = make(*args, **kwargs)
        data_seconds += time.perf_counter() - start
        return data

    return wrapped


@timed
def images(count, size, channels, classes=10, seed=0):
    """Return the images of the workloads, channels first."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(scale=0.5, size=(classes, size, size, channels)).astype("float32")
    y = rng.integers(0, classes, count)
    x = rng.normal(size=(count, size, size, channels)).astype("float32")
    x += patterns[y]
    return in_layout(torch.from_numpy(x).permute(0, 3, 1, 2)), torch.from_numpy(y)


def in_layout(x):
    """Return images in the layout for convolutions."""
    return x.contiguous() if options.contiguous else x.contiguous(memory_format=torch.channels_last)


@timed
def sentences(count, length, words, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    marks = rng.integers(0, words, (classes, 8))
    y = rng.integers(0, classes, count)
    marked = np.take_along_axis(marks[y], rng.integers(0, 8, (count, length)), axis=1)
    x = np.where(rng.random((count, length)) < 0.15, marked, rng.integers(0, words, (count, length)))
    return torch.from_numpy(x.astype("int64")), torch.from_numpy(y)


def keras_weights(model):
    """Start as the workloads do: Glorot's uniform weights, zero biases, embeddings in +-0.05."""
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            torch.nn.init.uniform_(module.weight, -0.05, 0.05)
        elif isinstance(module, (torch.nn.Linear, torch.nn.modules.conv._ConvNd)):
            torch.nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
        elif isinstance(module, torch.nn.RNNBase):
            for name, value in module.named_parameters():
                if "bias" in name:
                    torch.nn.init.zeros_(value)
                elif "weight_hh" in name:
                    torch.nn.init.orthogonal_(value)
                else:
                    torch.nn.init.xavier_uniform_(value)


def classes_right(scores, y):
    return (scores.argmax(1) == y).sum()


def peak_mib():
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 2**10
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)


def seconds_of(call, times):
    call()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[times // 2]


class Training:
    """Batches, steps and metrics as in Keras's `fit`: shuffled, the last batch smaller, values averaged."""

    def __init__(self, model, optimizer, loss, metric, x, y, batch_size):
        self.model, self.optimizer, self.metric = model, optimizer, metric
        self.x, self.y, self.batch_size = x, y, batch_size

        def forward(x, y):
            with torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
                scores = model(x)
                return loss(scores.float(), y), scores

        self.forward = torch.compile(forward) if options.compile else forward

    def epoch(self, count=None):
        self.model.train()
        order = torch.randperm(len(self.x))[:count]
        total, right = torch.zeros(()), torch.zeros(())
        for rows in order.split(self.batch_size):
            x, y = self.x[rows], self.y[rows]
            self.optimizer.zero_grad(set_to_none=True)
            loss, scores = self.forward(x, y)
            loss.backward()
            self.optimizer.step()
            with torch.no_grad():
                total += loss.detach() * len(rows)
                right += self.metric(scores.detach(), y)
        return float(total) / len(order), float(right) / len(order)

    def prediction(self):
        """Return a function that predicts: the output of the head as NumPy."""
        self.model.eval()
        inner = torch.compile(self.model) if options.compile else self.model

        @torch.inference_mode()
        def predict(x, batch_size=256):
            with torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
                return torch.cat([self.head(inner(part)).float() for part in x.split(batch_size)]).numpy()

        return predict

    head = staticmethod(lambda scores: scores.softmax(1))


def measure(model, optimizer, loss, metric, x, y, batch_size, head=None):
    """Train and predict, and print the figures as one line of JSON.

    `optimizer` returns an optimizer for parameters.
    """
    if x.dim() == 4 and not options.contiguous:
        model = model.to(memory_format=torch.channels_last)
    training = Training(model, optimizer(model.parameters()), loss, metric, x, y, batch_size)
    if head is not None:
        training.head = head
    training.epoch(batch_size)
    start = time.time() - START - data_seconds
    seconds = []
    for _ in range(EPOCHS):
        begun = time.perf_counter()
        last, _ = training.epoch()
        seconds.append(time.perf_counter() - begun)
    predict = training.prediction()
    one = seconds_of(lambda: predict(x[:1]), 50)
    some = x[:2048]
    many = seconds_of(lambda: predict(some), 3)
    print(
        json.dumps(
            {
                "import_s": IMPORT_SECONDS,
                "start_s": start,
                "first_epoch_s": seconds[0],
                "epoch_s": min(seconds[1:] or seconds),
                "predict_one_us": one * 1e6,
                "predict_per_s": len(some) / many,
                "peak_mib": peak_mib(),
                "loss": last,
                "samples": len(x),
                "steps": -(-len(x) // batch_size),
            }
        ),
        flush=True,
    )
