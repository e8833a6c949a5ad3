"""tf.image, tf.io, tf.strings, tf.data, tf.function. Passes under TensorFlow and `hornbeam run`."""

import os
import tempfile

import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)


def same(actual, expected, tolerance=1e-4):
    np.testing.assert_allclose(np.array(actual), expected, rtol=tolerance, atol=tolerance)


# Images.
image = rng.random((6, 8, 3)).astype("float32")
pixels = (image * 255).astype("uint8")
same(tf.image.flip_left_right(image), image[:, ::-1])
same(tf.image.flip_up_down(image), image[::-1])
same(tf.image.rot90(image), np.rot90(image))
same(tf.image.transpose(image), image.transpose(1, 0, 2))
same(tf.image.central_crop(image, 0.5), image[1:5, 2:6])
same(tf.image.crop_to_bounding_box(image, 1, 2, 3, 4), image[1:4, 2:6])
assert tf.image.resize(pixels, (3, 4)).shape == (3, 4, 3)
assert tf.image.resize(pixels, (3, 4)).dtype == tf.float32
same(tf.image.resize(np.array([[[0.0], [1.0]]]), (1, 4))[0, :, 0], [0, 0.25, 0.75, 1])
same(tf.image.resize(image, (3, 4), method="nearest"), image[1::2, 1::2])
same(tf.image.resize_with_crop_or_pad(image, 4, 10), np.pad(image[1:5], [(0, 0), (1, 1), (0, 0)]))
same(tf.image.resize_with_pad(image, 12, 8).shape, (12, 8, 3))
same(tf.image.rgb_to_grayscale(image)[..., 0], image @ [0.2989, 0.587, 0.114])
same(tf.image.grayscale_to_rgb(tf.constant(image[..., :1])), np.repeat(image[..., :1], 3, axis=-1))
same(tf.image.adjust_brightness(image, 0.2), image + 0.2)
mean = image.mean((0, 1))
same(tf.image.adjust_contrast(image, 2.0), (image - mean) * 2 + mean)
same(tf.image.adjust_saturation(image, 1.0), image)
same(tf.image.adjust_hue(tf.constant([[[1.0, 0.0, 0.0]]]), 1 / 3), [[[0, 1, 0]]])
same(tf.image.adjust_gamma(image, 2.0), image**2)
same(tf.image.per_image_standardization(image), (image - image.mean()) / image.std())
same(tf.image.convert_image_dtype(pixels, tf.float32), pixels / 255)
same(tf.image.convert_image_dtype(image, tf.uint8), np.floor(image * 255.5), 1.01)
assert tf.image.random_crop(image, (2, 2, 3)).shape == (2, 2, 3)
flipped = np.array(tf.image.random_flip_left_right(image))
assert np.allclose(flipped, image) or np.allclose(flipped, image[:, ::-1])
same(tf.image.psnr(image, image + 0.1, 1.0), 20.0, 1e-3)
for name, low, high in [("brightness", None, 0.1), ("contrast", 0.9, 1.1), ("saturation", 0.9, 1.1)]:
    args = [high] if low is None else [low, high]
    assert getattr(tf.image, f"random_{name}")(image, *args).shape == image.shape

same(tf.image.resize(image, (3, 4), method="area"), image.reshape(3, 2, 4, 2, 3).mean((1, 3)))
same(
    tf.image.resize(image[None, :3, :1], (2, 1), method="area")[0, 0, 0],
    (image[0, 0] + image[1, 0] / 2) / 1.5,
)
yuv = tf.image.rgb_to_yuv(image)
same(yuv[..., 0], image @ [0.299, 0.587, 0.114])
same(yuv[..., 1], 0.492 * (image[..., 2] - yuv[..., 0]), 1e-3)
same(tf.image.yuv_to_rgb(yuv), image, 1e-5)

# Boxes of images: all of it, a part, and one that exceeds the image.
ramp = np.arange(30, dtype="float32").reshape(1, 5, 6, 1)
boxes = np.array([[0, 0, 1, 1], [0.25, 0.2, 0.75, 0.6], [0, 0, 2, 1], [1, 1, 0, 0]], "float32")
crops = tf.image.crop_and_resize(ramp, boxes, [0, 0, 0, 0], (5, 6))
same(crops[0, ..., 0], ramp[0, ..., 0])
same(crops[1, 0, :, 0], 6 + np.linspace(1, 3, 6))
same(crops[2, :, 0, 0], [0, 12, 24, 0, 0])
same(crops[3, ..., 0], ramp[0, ::-1, ::-1, 0])
same(tf.image.crop_and_resize(ramp, boxes[1:2], [0], (1, 1)), [[[[14.0]]]])
same(tf.image.crop_and_resize(ramp, boxes[2:3], [0], (2, 2), extrapolation_value=-1.0)[0, 1, :, 0], [-1, -1])
same(tf.image.crop_and_resize(ramp, boxes[1:2], [0], (2, 2), method="nearest")[0, ..., 0], [[7, 9], [19, 21]])

# Files.
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "image.png")
    tf.io.write_file(path, tf.io.encode_png(pixels))
    same(tf.io.decode_png(tf.io.read_file(path)), pixels)
    same(tf.image.decode_image(tf.io.read_file(path), channels=1).shape, (6, 8, 1))

    def load(name, label):
        decoded = tf.image.decode_png(tf.io.read_file(name), channels=3)
        return tf.image.resize(tf.cast(decoded, tf.float32) / 255, (2, 2)), label

    dataset = tf.data.Dataset.from_tensor_slices(([path] * 3, [0, 1, 2])).map(load).batch(2)
    shapes = [tuple(x.shape) for x, _ in dataset]
    assert shapes == [(2, 2, 2, 3), (1, 2, 2, 3)]
    assert tf.io.gfile.exists(path)

# Text.
texts = tf.constant(["Hello, World!", "ab c"])
assert texts.dtype == tf.string or texts.dtype == object
assert texts.numpy().tolist() == [b"Hello, World!", b"ab c"]
assert tf.strings.lower(texts)[0].numpy() == b"hello, world!"
assert tf.strings.regex_replace(texts, "[,!]", "").numpy()[0] == b"Hello World"
assert tf.strings.regex_replace(texts, "(,)", r" \1").numpy()[0] == b"Hello , World!"
assert tf.strings.regex_replace(texts, ",", r"\1").numpy()[0] == b"Hello, World!"  # there is no group 1
lists = tf.strings.split(tf.constant(["3,1,2", "7"]), ",")
assert lists.to_tensor().numpy().tolist() == [[b"3", b"1", b"2"], [b"7", b"", b""]]
assert lists.to_tensor()[:, -1].numpy().tolist() == [b"2", b""]
assert tf.strings.to_number(lists).to_tensor(-1).numpy().tolist() == [[3, 1, 2], [7, -1, -1]]
assert [part.numpy().tolist() for part in tf.strings.split(texts)] == [[b"Hello,", b"World!"], [b"ab", b"c"]]
assert tf.strings.length(texts).numpy().tolist() == [13, 4]
assert tf.strings.join(["a", "b"], separator="-").numpy() == b"a-b"
assert tf.strings.strip("  x ").numpy() == b"x"
assert tf.strings.substr("abcdef", 1, 3).numpy() == b"bcd"
assert tf.strings.reduce_join(["a", "b"]).numpy() == b"ab"
same(tf.strings.to_number(["1.5", "2"]), [1.5, 2])
assert (texts == "ab c").numpy().tolist() == [False, True]


# Pipelines.
x, y = np.arange(10, dtype="float32"), np.arange(10)
dataset = tf.data.Dataset.from_tensor_slices((x, y))
doubled = dataset.map(lambda a, b: (a * 2, tf.one_hot(b, 10)), num_parallel_calls=tf.data.AUTOTUNE)
batches = list(doubled.batch(4, drop_remainder=True).prefetch(tf.data.AUTOTUNE))
same(batches[1][0], [8, 10, 12, 14])
assert batches[0][1].shape == (4, 10)
assert int(dataset.cardinality()) == 10
assert [int(b) for b in tf.data.Dataset.range(5).filter(lambda n: n % 2 == 0)] == [0, 2, 4]
assert [b.numpy().tolist() for b in tf.data.Dataset.range(4).window(2).flat_map(lambda w: w.batch(2))] == [
    [0, 1],
    [2, 3],
]
assert sorted(int(b) for b in tf.data.Dataset.range(6).shuffle(6, seed=1)) == list(range(6))
generated = tf.data.Dataset.from_generator(
    lambda: iter([(1.0, 2), (3.0, 4)]),
    output_signature=(tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32)),
)
assert [float(a) for a, _ in generated] == [1.0, 3.0]
zipped = tf.data.Dataset.zip((tf.data.Dataset.range(3), tf.data.Dataset.range(3, 6)))
assert [(int(a), int(b)) for a, b in zipped] == [(0, 3), (1, 4), (2, 5)]


# Functions.
@tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
def total(values):
    return tf.reduce_sum(values)


assert float(total(tf.constant([1.0, 2.0]))) == 3.0
assert float(total(tf.constant([1.0, 2.0, 3.0]))) == 6.0


@tf.function
def collatz(n):
    steps = tf.constant(0)
    while n != 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


assert int(collatz(tf.constant(6))) == 8
counter = tf.Variable(0)


@tf.function
def count():
    counter.assign_add(1)
    return counter.read_value()


assert [int(count()) for _ in range(3)] == [1, 2, 3]


class Scaler(tf.Module):
    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(2.0)

    @tf.function
    def __call__(self, value):
        return value * self.factor


scaler = Scaler()
assert float(scaler(tf.constant(3.0))) == 6.0
scaler.factor.assign(5.0)
assert float(scaler(tf.constant(3.0))) == 15.0
assert len(scaler.trainable_variables) == 1
print("ok")
