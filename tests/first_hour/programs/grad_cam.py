"""Grad-CAM on ResNet50: gradients of a class with respect to the last feature maps."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

model = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=10)
rng = np.random.default_rng(0)
image = rng.uniform(0, 255, (64, 64, 3)).astype("float32")
array = keras.applications.resnet50.preprocess_input(np.expand_dims(image, axis=0))


def make_gradcam_heatmap(img_array, model, last_conv_layer_name, pred_index=None):
    grad_model = keras.models.Model(
        model.inputs, [model.get_layer(last_conv_layer_name).output, model.output]
    )
    with tf.GradientTape() as tape:
        last_conv_layer_output, preds = grad_model(img_array)
        if pred_index is None:
            pred_index = tf.argmax(preds[0])
        class_channel = preds[:, pred_index]
    grads = tape.gradient(class_channel, last_conv_layer_output)
    pooled_grads = tf.reduce_mean(grads, axis=(0, 1, 2))
    last_conv_layer_output = last_conv_layer_output[0]
    heatmap = last_conv_layer_output @ pooled_grads[..., tf.newaxis]
    heatmap = tf.squeeze(heatmap)
    heatmap = tf.maximum(heatmap, 0) / tf.math.reduce_max(heatmap)
    return heatmap.numpy()


model.layers[-1].activation = None
preds = model.predict(array, verbose=0)
heatmap = make_gradcam_heatmap(array, model, "conv5_block3_out")
assert preds.shape == (1, 10)
assert heatmap.shape == (2, 2)
assert np.isfinite(heatmap).all()
