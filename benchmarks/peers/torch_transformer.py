"""A small Transformer text classifier."""

from torch_common import classes_right, keras_weights, measure, samples, sentences, torch

nn = torch.nn
LENGTH, WIDTH, HEADS = 128, 64, 4


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.projections = nn.Linear(WIDTH, 3 * WIDTH)
        self.joined = nn.Linear(WIDTH, WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.norms = nn.ModuleList([nn.LayerNorm(WIDTH, eps=1e-6) for _ in range(2)])
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = self.projections(x).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=0.1 if self.training else 0.0)
        x = self.norms[0](x + self.joined(seen.transpose(1, 2).reshape(batch, length, WIDTH)))
        inner = self.narrow(nn.functional.gelu(self.wide(x)))
        return self.norms[1](x + self.dropout(inner))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(10000, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(WIDTH, 2))

    def forward(self, x):
        x = self.words(x) + self.places.weight
        return self.head(self.blocks(x).mean(1))


x, y = sentences(samples(5120), LENGTH, 10000)
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
