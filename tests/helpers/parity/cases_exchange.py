"""Layers whose models change hands: those of the table of layers, and others that have no case there."""

from __future__ import annotations

import re

from tests.helpers.layer_cases import CASES, OURS, Case
from tests.helpers.parity.reasons import KERAS_CANNOT_RUN

IMAGES = (2, 8, 8, 3)
BOXES = "{'images': x, 'bounding_boxes': {'boxes': b, 'labels': c}}"

# By Keras too.
ADDED = [
    Case("SpectralNormalization(Dense(4))", [(2, 3)]),
    Case("lambda q, k: MultiHeadAttention(2, 4)(q, k, use_causal_mask=True)", [(2, 5, 6), (2, 5, 6)]),
    Case("lambda x: LSTM(3)(Masking()(x))", [(2, 5, 3)]),
    Case("lambda x: Bidirectional(GRU(3))(Embedding(5, 4, mask_zero=True)(x))", [(2, 6)], high=5),
]

# By ONNX alone. Random layers do nothing to what is predicted, or always the same; Keras's go on being random
# in a model that is not saved and loaded.
SERVED_ONLY = [
    Case("IntegerLookup(vocabulary=[3, 5])", [(2, 4)], high=7),
    *(
        Case(make, [IMAGES])
        for make in (
            "AugMix(seed=1)", "AutoContrast()", "CutMix(seed=1)", "Equalization()", "MixUp(seed=1)",
            "RandAugment(seed=1)", "RandomBrightness(0.2)", "RandomColorDegeneration(0.3)",
            "RandomColorJitter()", "RandomContrast(0.2)", "RandomCrop(5, 4)", "RandomElasticTransform()",
            "RandomErasing()", "RandomFlip()", "RandomGaussianBlur()", "RandomGrayscale()",
            "RandomHue(0.2)", "RandomInvert()", "RandomPerspective()", "RandomPosterization(4)",
            "RandomRotation(0.2)", "RandomSaturation(0.2)", "RandomSharpness(0.2)", "RandomShear(0.2)",
            "RandomTranslation(0.2, 0.2)", "RandomZoom(0.2)", "Solarization(threshold_factor=0.5)",
            "Pipeline([Rescaling(0.5), RandomFlip(), CenterCrop(4, 5)])",
        )
    ),
    Case("ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))", [IMAGES]),
    Case(
        f"lambda x, b, c: MaxNumBoundingBoxes(3, bounding_box_format='xyxy')({BOXES})",
        [IMAGES, (2, 5, 4), (2, 5)],
    ),
]  # fmt: skip

ALL = [*CASES, *ADDED, *SERVED_ONLY, *OURS]
# Cases with settings of the call are those of test_layers: a file keeps none.
SERVED = [i for i, case in enumerate(ALL) if not case.call]
EXCHANGED = [i for i in SERVED if i < len(CASES) + len(ADDED) and not re.match(KERAS_CANNOT_RUN, ALL[i].make)]

# Layers that no ONNX file holds, why, and what an attempt says.
NOT_SERVED = {
    "Hashing": ("hashes", "Hashing(5)", "int64"),
    "HashedCrossing": ("strings", "HashedCrossing(5)", "string"),
    "StringLookup": ("strings", "StringLookup(vocabulary=['a'])", "string"),
    "TextVectorization": ("strings", "TextVectorization(vocabulary=['a'])", "string"),
}


def layer_of(case: Case) -> str:
    """The layer that a case is for."""
    match = re.search(r"[A-Z]\w+", case.make)
    assert match is not None
    return match[0]
