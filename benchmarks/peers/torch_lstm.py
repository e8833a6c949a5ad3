"""An LSTM text classifier."""

from torch_common import keras_weights, measure, samples, sentences, torch

nn = torch.nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20000, 128)
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        self.head = nn.Linear(128, 1)

    def forward(self, x):
        _, (state, _) = self.lstm(self.words(x))
        return self.head(state[-1])[:, 0]


x, y = sentences(samples(5120), 80, 20000)
model = Classifier()
keras_weights(model)
measure(
    model,
    lambda parameters: torch.optim.Adam(parameters, lr=1e-3, eps=1e-7),
    nn.functional.binary_cross_entropy_with_logits,
    lambda scores, y: ((scores > 0) == (y > 0.5)).sum(),
    x,
    y.float(),
    32,
    head=torch.sigmoid,
)
