"""medicai: a UNet over a ResNet with the Dice loss and metric."""

import numpy as np
from medicai.losses import BinaryDiceLoss
from medicai.metrics import BinaryDiceMetric
from medicai.models import UNet

model = UNet(encoder_name="resnet18", input_shape=(32, 32, 1), num_classes=1, classifier_activation="sigmoid")
rng = np.random.default_rng(0)
x = rng.random((4, 32, 32, 1), "float32")
y = (x > 0.5).astype("float32")
model.compile(
    "adam",
    loss=BinaryDiceLoss(from_logits=False, num_classes=1),
    metrics=[BinaryDiceMetric(from_logits=False, num_classes=1, name="dice")],
)
history = model.fit(x, y, epochs=1, batch_size=2, verbose=0).history
assert 0 <= history["dice"][-1] <= 1
assert model.predict(x, verbose=0).shape == (4, 32, 32, 1)
