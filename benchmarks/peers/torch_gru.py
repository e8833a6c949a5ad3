"""Conv1D and GRU on signals."""

from torch_common import classes_right, images, keras_weights, measure, samples, torch

nn = torch.nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv1d(8, 32, 5, 2), nn.Conv1d(32, 64, 5, 2)
        self.gru = nn.GRU(64, 64, batch_first=True)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.second(torch.relu(self.first(x))))
        _, state = self.gru(x.transpose(1, 2))
        return self.head(state[-1])


x, y = images(samples(5120), 16, 8)
x = x.permute(0, 2, 3, 1).reshape(len(x), 256, 8).transpose(1, 2).contiguous()
model = Classifier()
keras_weights(model)
measure(
    model,
    lambda parameters: torch.optim.Adam(parameters, lr=1e-3, eps=1e-7),
    nn.functional.cross_entropy,
    classes_right,
    x,
    y,
    64,
)
