"""The table of cases: shapes of known nets and of everyday data."""

from __future__ import annotations

from benchmarks.atlas import families as f
from benchmarks.atlas.cases import Case

CONVOLUTIONS = [
    # ResNet-50
    f.conv((230, 230), 3, 64, (7, 7), stride=2),
    f.conv((56, 56), 64, 64, (3, 3)),
    f.conv((28, 28), 128, 128, (3, 3)),
    f.conv((14, 14), 256, 256, (3, 3)),
    f.conv((7, 7), 512, 512, (3, 3)),
    f.conv((56, 56), 64, 64, (3, 3), batch=1),
    f.conv((57, 57), 128, 128, (3, 3), stride=2),
    f.conv((15, 15), 512, 512, (3, 3), stride=2),
    f.conv((56, 56), 64, 256, (1, 1)),
    f.conv((56, 56), 256, 64, (1, 1)),
    f.conv((28, 28), 512, 128, (1, 1)),
    f.conv((14, 14), 1024, 256, (1, 1)),
    f.conv((7, 7), 2048, 512, (1, 1), batch=1),
    f.conv((56, 56), 256, 512, (1, 1), stride=2),
    f.conv((14, 14), 1024, 2048, (1, 1), stride=2),
    # VGG
    f.conv((224, 224), 3, 64, (3, 3), batch=1),
    f.conv((112, 112), 64, 128, (3, 3), batch=1),
    f.conv((28, 28), 256, 512, (3, 3), batch=1),
    f.conv((14, 14), 512, 512, (3, 3), batch=1),
    # ResNet-20
    f.conv((32, 32), 3, 16, (3, 3), batch=128),
    f.conv((32, 32), 16, 16, (3, 3), batch=128),
    f.conv((16, 16), 32, 32, (3, 3), batch=128),
    f.conv((8, 8), 64, 64, (3, 3), batch=128),
    # digits: the tutorial's net, LeNet-5
    f.conv((28, 28), 1, 32, (3, 3), batch=128),
    f.conv((26, 26), 32, 64, (3, 3), batch=128),
    f.conv((28, 28), 1, 6, (5, 5), batch=128),
    f.conv((14, 14), 6, 16, (5, 5), batch=128),
    # AlexNet, Inception
    f.conv((227, 227), 3, 96, (11, 11), stride=4),
    f.conv((27, 27), 96, 256, (5, 5)),
    f.conv((35, 35), 48, 64, (5, 5)),
    f.conv((17, 17), 192, 192, (1, 7)),
    f.conv((17, 17), 192, 192, (7, 1)),
    f.conv((8, 8), 384, 384, (1, 3)),
    # stems: MobileNet, ConvNeXt, ViT, PatchGAN
    f.conv((225, 225), 3, 32, (3, 3), stride=2),
    f.conv((224, 224), 3, 96, (4, 4), stride=4),
    f.conv((224, 224), 3, 768, (16, 16), stride=16),
    f.conv((130, 130), 3, 64, (4, 4), stride=2),
    f.conv((34, 34), 128, 256, (4, 4), stride=2),
    # MobileNetV2
    f.conv((56, 56), 24, 144, (1, 1)),
    f.conv((56, 56), 144, 24, (1, 1)),
    f.conv((14, 14), 64, 384, (1, 1)),
    # U-Net, style transfer, super-resolution, large kernels
    f.conv((128, 128), 64, 64, (3, 3), batch=1),
    f.conv((64, 64), 128, 64, (3, 3), batch=4),
    f.conv((64, 64), 64, 1, (1, 1)),
    f.conv((64, 64), 64, 1, (3, 3)),
    f.conv((64, 64), 1, 64, (3, 3), batch=16),
    f.conv((128, 128), 3, 32, (9, 9), batch=4),
    f.conv((64, 64), 64, 12, (3, 3), batch=4),
    f.conv((32, 32), 32, 32, (11, 11)),
    f.conv((28, 28), 64, 64, (7, 7)),
    # dilated: DeepLab
    f.conv((33, 33), 256, 256, (3, 3), batch=2, dilation=2),
    f.conv((33, 33), 512, 256, (3, 3), batch=1, dilation=12),
    # grouped: ResNeXt, ShuffleNet, AlexNet
    f.conv((56, 56), 128, 128, (3, 3), groups=32),
    f.conv((14, 14), 512, 512, (3, 3), groups=32),
    f.conv((28, 28), 240, 240, (1, 1), groups=3),
    f.conv((27, 27), 96, 256, (5, 5), groups=2),
    # sequences: text, WaveNet, speech, electrocardiograms
    f.conv((400,), 128, 128, (5,), batch=32),
    f.conv((128,), 64, 64, (3,), batch=32),
    f.conv((8192,), 64, 64, (2,), batch=1),
    f.conv((8192,), 64, 128, (3,), batch=1, dilation=2),
    f.conv((8192,), 64, 128, (3,), batch=1, dilation=64),
    f.conv((3000,), 80, 384, (3,), batch=1),
    f.conv((3001,), 384, 384, (3,), batch=1, stride=2),
    f.conv((16000,), 1, 64, (80,), stride=4),
    f.conv((1024,), 1, 32, (15,), batch=32),
    f.conv((1024,), 256, 512, (1,), batch=8),
    f.conv((1000,), 32, 32, (31,), batch=8),
    # volumes: video, medicine
    f.conv((16, 56, 56), 3, 64, (3, 3, 3), batch=2),
    f.conv((16, 28, 28), 64, 128, (3, 3, 3), batch=1),
    f.conv((32, 32, 32), 16, 32, (3, 3, 3), batch=2),
    f.conv((32, 32, 32), 1, 16, (3, 3, 3), batch=4),
    f.conv((33, 33, 33), 32, 64, (3, 3, 3), batch=2, stride=2),
    f.conv((16, 28, 28), 64, 64, (3, 1, 1), batch=2),
    f.conv((16, 28, 28), 128, 64, (1, 1, 1), batch=2),
]

DEPTHWISE = [
    f.depthwise((112, 112), 32, (3, 3)),
    f.depthwise((113, 113), 96, (3, 3), stride=2),
    f.depthwise((56, 56), 144, (3, 3)),
    f.depthwise((28, 28), 192, (3, 3)),
    f.depthwise((14, 14), 384, (3, 3)),
    f.depthwise((7, 7), 960, (3, 3)),
    f.depthwise((14, 14), 384, (3, 3), batch=1),
    f.depthwise((28, 28), 240, (5, 5)),
    f.depthwise((31, 31), 240, (5, 5), stride=2),
    f.depthwise((14, 14), 672, (5, 5)),
    f.depthwise((56, 56), 96, (7, 7)),
    f.depthwise((28, 28), 192, (7, 7)),
    f.depthwise((14, 14), 384, (7, 7)),
    f.depthwise((7, 7), 768, (7, 7)),
    f.depthwise((1000,), 256, (31,), batch=4),
]

TRANSPOSED = [
    f.transposed((4, 4), 512, 256, (4, 4), 2, 32, "same"),
    f.transposed((8, 8), 256, 128, (4, 4), 2, 32, "same"),
    f.transposed((16, 16), 128, 64, (4, 4), 2, 32, "same"),
    f.transposed((32, 32), 64, 3, (4, 4), 2, 32, "same"),
    f.transposed((7, 7), 256, 128, (5, 5), 2, 32),
    f.transposed((14, 14), 64, 1, (5, 5), 2, 32),
    f.transposed((32, 32), 128, 64, (2, 2), 2),
    f.transposed((64, 64), 64, 32, (2, 2), 2),
    f.transposed((14, 14), 64, 32, (3, 3), 2, 32),
    f.transposed((28, 28), 64, 64, (3, 3), 1, 8, "same"),
    f.transposed((1000,), 128, 64, (16,), 8, 4, "same"),
    f.transposed((16, 16, 16), 64, 32, (2, 2, 2), 2, 2),
]

PRODUCTS = [
    *(f.product(n, n, n) for n in (256, 512, 1024, 2048)),
    f.product(128, 784, 512),
    f.product(128, 512, 10),
    f.product(32, 2048, 1000),
    f.product(512, 13, 256),
    f.product(2048, 256, 1),
    f.product(100_000, 16, 8),
    f.product(512, 512, 8000),
    f.product(128, 768, 32000),
    f.product(1, 768, 3072),
    f.product(1, 4096, 4096),
    f.product(8, 1024, 1024),
    f.product(2048, 64, 2048),
    f.product(64, 20_000, 64),
    f.product(2048, 768, 768),
    f.product(2048, 768, 3072),
    f.product(2048, 3072, 768),
    f.batched(96, 128, 64, 128),
    f.batched(96, 128, 128, 64),
    f.batched(12, 1024, 64, 1024),
    f.batched(384, 49, 32, 49),
    f.batched(1024, 8, 8, 8),
    f.batched(256, 16, 64, 16),
    f.batched(512, 1, 64, 128),
    f.batched(8, 256, 256, 256),
]

ATTENTION = [
    f.attention(8, 128, 12, 64),
    f.attention(8, 128, 12, 64, mask=True),
    f.attention(8, 128, 12, 64, dropout=0.1),
    f.attention(64, 128, 4, 16),
    f.attention(64, 128, 4, 16, dropout=0.1),
    f.attention(4, 256, 8, 64, causal=True),
    f.attention(4, 256, 8, 64, causal=True, mask=True),
    f.attention(4, 256, 8, 64, causal=True, dropout=0.1),
    f.attention(2, 512, 12, 64, causal=True),
    f.attention(1, 2048, 12, 64, causal=True),
    f.attention(1, 2048, 8, 64),
    f.attention(1, 4096, 4, 64, causal=True),
    f.attention(8, 197, 3, 64),
    f.attention(128, 49, 3, 32),
    f.attention(32, 16, 32, 16),
    f.attention(1, 512, 32, 128, key_heads=8, causal=True),
    f.attention(8, 256, 16, 64, key_heads=1, causal=True),
    f.attention(1, 1, 12, 64, keys=1024),
    f.attention(8, 1, 32, 128, keys=512),
    f.attention(4, 64, 8, 64, keys=512, mask=True),
]

RECURRENT = [
    f.recurrent("lstm", 32, 80, 128, 128),
    f.recurrent("lstm", 64, 50, 256, 256),
    f.recurrent("lstm", 1, 100, 64, 128),
    f.recurrent("lstm", 128, 28, 28, 128),
    f.recurrent("lstm", 16, 400, 8, 32),
    f.recurrent("lstm", 8, 35, 650, 650),
    f.recurrent("gru", 64, 63, 64, 64),
    f.recurrent("gru", 32, 100, 128, 256),
    f.recurrent("gru", 1, 200, 32, 64),
    f.recurrent("gru", 128, 24, 10, 32),
    f.recurrent("simple_rnn", 32, 50, 64, 64),
    f.recurrent("simple_rnn", 64, 100, 128, 256),
    f.recurrent("simple_rnn", 1, 200, 16, 32),
]

POOLS = [
    f.pool("max", (112, 112), 64, 2),
    f.pool("max", (113, 113), 64, 3, 2),
    f.pool("max", (24, 24), 64, 2, batch=128),
    f.pool("max", (28, 28), 256, 2, batch=1),
    f.pool("max", (400,), 128, 2, batch=32),
    f.pool("max", (16, 28, 28), 64, 2, batch=2),
    f.pool("average", (112, 112), 64, 2),
    f.pool("average", (57, 57), 256, 3, 2),
    f.pool("average", (28, 28), 6, 2, batch=128),
    f.pool("average", (7, 7), 1024, 7),
    f.pool("average", (400,), 128, 4, batch=32),
]

NORMALIZATION = [
    f.layer_norm(2048, 768),
    f.layer_norm(4096, 1024),
    f.layer_norm(8192, 64),
    f.layer_norm(25_088, 96),
    f.layer_norm(1, 768),
    f.rms_norm(2048, 768),
    f.rms_norm(512, 4096),
    f.rms_norm(1, 4096),
    f.batch_norm((112, 112), 64, 8),
    f.batch_norm((28, 28), 128, 8),
    f.batch_norm((7, 7), 512, 8),
    f.batch_norm((32, 32), 16, 128),
    f.batch_norm((8, 8), 64, 128),
    f.batch_norm((), 512, 256),
    f.batch_norm((56, 56), 64, 8, training=False),
    f.group_norm((64, 64), 128, 32, 2),
    f.group_norm((32, 32), 64, 8),
    f.group_norm((16, 16), 256, 32),
    f.group_norm((8, 8), 512, 32),
]

CLASSES = [
    f.softmax(128, 10),
    f.softmax(256, 1000),
    f.softmax(2000, 8000),
    f.softmax(12_288, 128),
    f.softmax(12_288, 512),
    f.softmax(128, 32_000),
    f.softmax(256, 1000, log=True),
    f.softmax(512, 8000, log=True),
    f.cross_entropy(128, 10),
    f.cross_entropy(256, 1000),
    f.cross_entropy(2048, 8000),
    f.cross_entropy(512, 32_000),
    f.one_hot(128, 10),
    f.one_hot(8192, 1000),
    f.one_hot(512, 32_000),
]

REDUCTIONS = [
    f.reduction("sum", (4_000_000,), (0,)),
    f.reduction("sum", (2048, 2048), (0,)),
    f.reduction("sum", (2048, 2048), (1,)),
    f.reduction("sum", (100_000, 32), (1,)),
    f.reduction("mean", (32, 14, 14, 512), (1, 2)),
    f.reduction("mean", (8, 128, 768), (1,)),
    f.reduction("max", (2048, 2048), (1,)),
    f.reduction("max", (32, 400, 128), (1,)),
    f.reduction("var", (2048, 1024), (1,)),
    f.reduction("var", (64, 28, 28, 64), (0, 1, 2)),
    f.reduction("logsumexp", (512, 8000), (1,)),
    f.reduction("argmax", (4096, 1000), (1,)),
    f.reduction("argmax", (64, 32_000), (1,)),
    f.along("cumulative sum", (1024, 1024)),
    f.along("cumulative sum", (1024, 1024), axis=0),
    f.along("cumulative sum", (1_000_000,)),
    f.along("sort", (1_000_000,)),
    f.along("sort", (4096, 256)),
    f.along("argsort", (100_000,)),
    f.along("argsort", (1024, 512)),
    f.along("top-k", (128, 1000), count=5),
    f.along("top-k", (16, 32_000), count=40),
    f.along("top-k", (1_000_000,), count=100),
]

INDEXING = [
    f.embedding(20_000, 128, (32, 80)),
    f.embedding(32_000, 768, (4, 256)),
    f.embedding(50_000, 64, (64, 128)),
    f.embedding(1000, 16, (1024, 26)),
    f.embedding(100_000, 32, (4096,)),
    f.gather((60_000, 784), 0, 128),
    f.gather((12_800, 784), 0, 2048),
    f.gather((512, 1024), 1, 256),
    f.take_along((4096, 1000), 1),
    f.take_along((1024, 1024), 512),
    f.scatter(100_000, 16, 1000),
    f.scatter(20_000, 64, 2708),
    f.scatter(1_000_000, 1, 256),
]

ELEMENTWISE = [
    *(
        f.elementwise(operation)
        for operation in (
            "relu", "gelu", "gelu tanh", "silu", "sigmoid", "tanh", "exp", "log", "erf", "softplus", "rsqrt",
            "sin",
        )
    ),
    *(f.elementwise(operation, 2) for operation in ("add", "multiply", "divide", "maximum")),
    f.where((2000, 2000)),
    f.elementwise("relu", shape=(128, 512)),
    f.elementwise("gelu", shape=(2048, 3072)),
    f.elementwise("sigmoid", shape=(64, 1000)),
    f.bias("relu", 128 * 26 * 26, 32),
    f.bias("gelu", 2048, 3072),
    f.bias("relu", 128, 512),
]  # fmt: skip

MOVEMENT = [
    f.transpose((2048, 2048), (1, 0)),
    f.transpose((8, 128, 12, 64), (0, 2, 1, 3)),
    f.transpose((8, 12, 64, 128), (0, 1, 3, 2)),
    f.transpose((32, 3, 224, 224), (0, 2, 3, 1)),
    f.transpose((8, 56, 56, 64), (0, 3, 1, 2)),
    f.transpose((100_000, 8), (1, 0)),
    f.pad((8, 56, 56, 64), ((0, 0), (1, 1), (1, 1), (0, 0))),
    f.pad((8, 224, 224, 3), ((0, 0), (3, 3), (3, 3), (0, 0))),
    f.pad((32, 400, 64), ((0, 0), (4, 0), (0, 0))),
    f.concatenate(((8, 56, 56, 64), (8, 56, 56, 64)), 3),
    f.concatenate(((8, 28, 28, 128), (8, 28, 28, 32)), 3),
    f.concatenate(((8, 512, 768), (8, 1, 768)), 1),
    f.concatenate(tuple((1024, 16) for _ in range(4)), 1),
    f.resize((32, 32), 64, (64, 64), "bilinear"),
    f.resize((32, 32), 64, (64, 64), "nearest"),
    f.resize((224, 224), 3, (96, 96), "bilinear"),
    f.resize((96, 96), 3, (224, 224), "bilinear"),
    f.resize((64, 64), 3, (256, 256), "bilinear", batch=4),
]

RANDOM = [
    f.random("uniform", (4_000_000,)),
    f.random("normal", (4_000_000,)),
    f.random("truncated normal", (1024, 1024)),
    f.random("integers", (1_000_000,)),
    f.random("uniform", (128, 512)),
    f.dropout((128, 9216), 0.25),
    f.dropout((8, 512, 768), 0.1),
    f.dropout((128, 128), 0.5),
]

OPTIMIZERS = [
    *(f.optimizer(rule, (1024, 1024)) for rule in f.RULES),
    f.optimizer("SGD momentum", (3, 3, 64, 64), copies=50),
    f.optimizer("Adam", (3, 3, 64, 64), copies=50),
    f.optimizer("Adam", (784, 128), (128,), (128, 10), (10,)),
    f.optimizer("AdamW", (32_000, 256)),
]

CALLS = [
    f.call("negative", ()),
    f.call("add", (10, 10), (10, 10)),
    f.call("matmul", (64, 64), (64, 64)),
    f.call("matmul", (1, 32), (32, 10)),
    f.call("softmax", (1, 10)),
]

CASES: list[Case] = [
    *CONVOLUTIONS, *DEPTHWISE, *TRANSPOSED, *PRODUCTS, *ATTENTION, *RECURRENT, *POOLS, *NORMALIZATION,
    *CLASSES, *REDUCTIONS, *INDEXING, *ELEMENTWISE, *MOVEMENT, *RANDOM, *OPTIMIZERS, *CALLS,
]  # fmt: skip
