"""PyTorch's side: python torch_side.py NET train|predict BATCH STEPS [--compile]; see serving.py."""

import sys

import serving

import torch  # isort: skip - after serving, which measures the imports
import os

from torch.nn import functional as F
from torch_models import NETS, Gan, auc_counts, numpy

torch.set_num_threads(int(os.environ.get("BENCH_THREADS", os.cpu_count() or 1)))
torch.manual_seed(0)
name, mode, batch, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
model, x, y, loss_of = NETS[name](batch)
model = model.to(memory_format=torch.channels_last)
compiled = torch.compile if "--compile" in sys.argv else lambda function: function


def adam(parameters, rate=1e-3, beta=0.9):
    return torch.optim.Adam(parameters, rate, (beta, 0.999), eps=1e-7, fused=True)


if mode == "predict":
    model.eval()
    forward = compiled(model)

    def work(times):
        with torch.inference_mode():
            for _ in range(times):
                scores = forward(x)
                numpy(torch.sigmoid(scores) if name == "tabular" else torch.softmax(scores, 1))

elif isinstance(model, Gan):
    generator, discriminator = compiled(model.generator), compiled(model.discriminator)
    optimizers = (
        adam(model.generator.parameters(), 2e-4, 0.5),
        adam(model.discriminator.parameters(), 2e-4, 0.5),
    )
    targets = torch.ones(2 * batch, 1)
    targets[batch:] = 0

    def work(times):
        for _ in range(times):
            noise = torch.randn(batch, 100)
            model.generator.eval()
            with torch.no_grad():
                fake = generator(noise)
            model.generator.train()
            optimizers[1].zero_grad()
            loss = F.binary_cross_entropy_with_logits(discriminator(torch.cat([x, fake])), targets)
            loss.backward()
            optimizers[1].step()
            optimizers[0].zero_grad()
            # Frozen: its batch normalization infers, as in Keras.
            model.discriminator.eval().requires_grad_(False)
            F.binary_cross_entropy_with_logits(discriminator(generator(noise)), targets[:batch]).backward()
            model.discriminator.train().requires_grad_(True)
            optimizers[0].step()

else:
    optimizer = adam(model.parameters())
    forward = compiled(lambda x, y: (lambda scores: (scores, loss_of(scores, y)))(model(x)))
    parts = x if isinstance(x, tuple) else (x,)
    rows = torch.randint(0, batch, (batch * steps,))
    data = [a[rows] for a in parts]
    data = [a.contiguous(memory_format=torch.channels_last) if a.ndim == 4 else a for a in data]
    target = y[rows]

    def work(times):
        order = torch.randperm(batch * times)
        total, right = torch.zeros(()), torch.zeros(())
        for first in range(0, batch * times, batch):
            chosen = order[first : first + batch]
            inputs, labels = [a[chosen] for a in data], target[chosen]
            optimizer.zero_grad()
            scores, loss = forward(tuple(inputs) if isinstance(x, tuple) else inputs[0], labels)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                total += loss
                if name == "tabular":
                    auc_counts(scores, labels)
                else:
                    classes = scores.argmax(-1) if name.startswith("gpt") else scores.argmax(1)
                    right += (classes == labels).sum()
        float(total), float(right)


serving.serve(work, steps)
