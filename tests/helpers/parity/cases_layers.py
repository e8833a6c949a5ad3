"""More settings of the layers than the tables of tests/layers have."""

from __future__ import annotations

from tests.helpers.layer_cases import LEFT, MASK, SEQUENCE, Case

IMAGE = (2, 6, 5, 3)
VOLUME = (1, 4, 3, 4, 2)
SCORES = {"return_attention_scores": True}
FIRST = "data_format='channels_first'"

MORE: list[Case] = [
    Case("Dense(3, 'softmax', kernel_regularizer='l2', bias_regularizer='l1')", [(2, 3)]),
    Case("Dense(3, activity_regularizer='l2', kernel_constraint='max_norm')", [SEQUENCE]),
    Case("Dense(3, kernel_initializer='he_normal', bias_initializer='ones', trainable=False)", [(2, 3)]),
    Case("Embedding(7, 4, mask_zero=True)", [(2, 5)], high=7),
    Case("Embedding(7, 4, embeddings_regularizer='l2')", [(2, 5)], high=7),
    Case("Masking(mask_value=0.5)", [SEQUENCE]),
    Case("Activation('softmax')", [SEQUENCE]),
    Case("LeakyReLU(negative_slope=0.2)", [SEQUENCE]),
    Case("PReLU(alpha_initializer='ones')", [SEQUENCE]),
    Case("ReLU(max_value=1.0)", [SEQUENCE]),
    Case("Softmax(axis=1)", [SEQUENCE], {"mask": MASK[:, :, None].repeat(3, 2)}),
    # convolutions: every padding, step, dilation, group and order of axes that both sides run on a CPU
    *(
        Case(f"Conv1D(4, 2, padding={padding!r}, {more})", [(2, 6, 4)])
        for padding in ("valid", "same", "causal")
        for more in ("strides=2", "dilation_rate=2", "groups=2")
    ),
    *(
        Case(f"Conv2D(4, {size}, padding={padding!r}, {more})", [IMAGE])
        for padding in ("valid", "same")
        for size, more in (("(2, 3)", "strides=2"), ("3", "dilation_rate=(1, 2)"), ("1", "use_bias=False"))
    ),
    Case("Conv2D(4, 2, strides=(2, 1), kernel_regularizer='l1', activation='relu')", [IMAGE]),
    Case("Conv3D(3, 2, padding='same', strides=2)", [VOLUME]),
    Case("Conv1DTranspose(4, 2, strides=2, padding='same', dilation_rate=1)", [SEQUENCE]),
    Case("Conv1DTranspose(4, 3, dilation_rate=2)", [SEQUENCE]),
    Case("Conv2DTranspose(4, 3, padding='same', use_bias=False)", [(2, 5, 4, 3)]),
    Case("Conv3DTranspose(2, 2, strides=2, padding='same')", [(1, 2, 3, 2, 2)]),
    Case("DepthwiseConv1D(2, strides=2, padding='same')", [(2, 6, 3)]),
    Case("DepthwiseConv2D(2, dilation_rate=2)", [IMAGE]),
    Case("DepthwiseConv2D(2, strides=2, depth_multiplier=2, use_bias=False)", [IMAGE]),
    Case("SeparableConv1D(4, 2, strides=2, depth_multiplier=2)", [(2, 6, 3)]),
    Case("SeparableConv2D(4, 2, padding='same', dilation_rate=2)", [IMAGE]),
    # pooling
    *(
        Case(f"{kind}Pooling{rank}D({size}, {more})", [shape])
        for kind in ("Max", "Average")
        for rank, size, shape in ((1, 2, (2, 6, 4)), (2, (2, 3), IMAGE), (3, 2, VOLUME))
        for more in ("strides=1, padding='same'", FIRST)
    ),
    *(
        Case(f"Global{kind}Pooling{rank}D({more})", [shape])
        for kind in ("Max", "Average")
        for rank, shape in ((1, (2, 6, 4)), (2, IMAGE), (3, VOLUME))
        for more in ("keepdims=True", FIRST)
    ),
    Case("GlobalAveragePooling1D()", [SEQUENCE], {"mask": MASK}),
    # shapes
    Case("Flatten()", [(2,)]),
    Case("Reshape((-1,))", [SEQUENCE]),
    Case("Permute((3, 1, 2))", [(2, 3, 4, 5)]),
    Case("ZeroPadding3D(((1, 0), (0, 2), (1, 1)))", [VOLUME]),
    Case("Cropping3D(((1, 0), (0, 2), (1, 1)))", [VOLUME]),
    Case("UpSampling2D(2, data_format='channels_first')", [IMAGE]),
    Case("UpSampling2D(2, interpolation='lanczos3')", [(2, 3, 4, 2)]),
    # merging
    Case("Add()", [[(2, 3), (2, 4, 3)]]),
    Case("Concatenate()", [[(2, 3, 4), (2, 3, 2), (2, 3, 1)]]),
    Case("Dot(axes=-1)", [[(2, 5, 3), (2, 5, 3)]]),
    Case("Multiply()", [[(2, 3), (1, 3)]]),
    # normalization
    Case("BatchNormalization(momentum=0.9, epsilon=1e-2)", [SEQUENCE], {"training": True}),
    Case("BatchNormalization(center=False, scale=False)", [SEQUENCE], {"training": True}),
    Case("BatchNormalization()", [SEQUENCE], {"training": True, "mask": MASK}),
    Case("BatchNormalization(trainable=False)", [SEQUENCE], {"training": True}),
    Case("BatchNormalization(renorm=True)", [SEQUENCE], {"training": True}),
    Case("BatchNormalization(renorm=True)", [SEQUENCE]),
    Case(
        "BatchNormalization(renorm=True, renorm_momentum=0.5)", [SEQUENCE], {"training": True, "mask": MASK}
    ),
    Case(
        "BatchNormalization(1, renorm=True, scale=0, renorm_clipping={'rmin': 1, 'rmax': 1.1, 'dmax': 0.1})",
        [IMAGE],
        {"training": True},
    ),
    Case("BatchNormalization(center=False, renorm=True)", [(4, 3)], {"training": True}),
    Case("LayerNormalization(center=False, epsilon=1e-2)", [SEQUENCE]),
    Case("LayerNormalization(axis=1)", [SEQUENCE]),
    Case("GroupNormalization(1, center=False, scale=False)", [(2, 3, 4)]),
    Case("GroupNormalization(3, epsilon=1e-2)", [IMAGE]),
    Case("RMSNormalization(axis=(1, 2))", [SEQUENCE]),
    Case("RMSNormalization(epsilon=1e-2)", [SEQUENCE]),
    Case("SpectralNormalization(Conv2D(4, 2), power_iterations=2)", [IMAGE], {"training": True}),
    # recurrent
    *(
        Case(f"{kind}(4, {more})", [SEQUENCE], call)
        for kind in ("SimpleRNN", "LSTM", "GRU")
        for more, call in (
            ("activation='relu', kernel_regularizer='l2'", {}),
            ("return_sequences=True, return_state=True", {"mask": MASK}),
            ("go_backwards=True, return_sequences=True", {"mask": MASK}),
            ("unroll=True", {"mask": LEFT}),
            ("stateful=True", {}),
            ("use_bias=False, zero_output_for_mask=True, return_sequences=True", {"mask": MASK}),
        )
    ),
    Case("GRU(4, reset_after=False)", [SEQUENCE], {"mask": MASK}),
    Case("RNN(StackedRNNCells([LSTMCell(2), SimpleRNNCell(3)]), return_state=True)", [SEQUENCE]),
    Case("Bidirectional(LSTM(4), merge_mode='mul')", [SEQUENCE], {"mask": MASK}),
    Case("Bidirectional(GRU(4, return_sequences=True), merge_mode='ave')", [SEQUENCE]),
    Case("Bidirectional(LSTM(4, return_state=True))", [SEQUENCE]),
    Case("Bidirectional(LSTM(4), backward_layer=GRU(4, go_backwards=True))", [SEQUENCE]),
    Case("TimeDistributed(BatchNormalization())", [SEQUENCE], {"training": True}),
    Case("TimeDistributed(LSTM(2))", [(2, 3, 4, 2)]),
    # attention
    Case("MultiHeadAttention(2, 3, use_bias=False, value_dim=2)", [(2, 4, 6), (2, 4, 6)]),
    Case("MultiHeadAttention(2, 3, output_shape=(2, 2))", [(2, 4, 6), (2, 4, 6)]),
    Case("MultiHeadAttention(2, 3, kernel_regularizer='l2')", [(2, 5, 6), (2, 5, 6)], {"query_mask": MASK}),
    Case("MultiHeadAttention(2, 3, use_gate=True)", [(2, 4, 6), (2, 5, 6)]),
    Case("MultiHeadAttention(2, 3, value_dim=4, use_gate=True)", [(2, 5, 6), (2, 5, 6)], SCORES),
    Case(
        "MultiHeadAttention(2, 3, use_gate=True, use_bias=False, attention_axes=2)",
        [(2, 3, 4, 6), (2, 3, 2, 6)],
    ),
    Case("MultiHeadAttention(2, 3, sliding_window=2)", [(2, 5, 6), (2, 5, 6)]),
    Case("MultiHeadAttention(2, 3, sliding_window=2)", [(2, 5, 6), (2, 4, 6)], {"use_causal_mask": True}),
    Case("MultiHeadAttention(2, 3, sliding_window=1)", [(2, 5, 6), (2, 5, 6)], {"value_mask": LEFT}),
    Case("MultiHeadAttention(2, 3, sliding_window=3)", [(2, 5, 6), (2, 5, 6)], SCORES),
    Case("GroupQueryAttention(3, 4, 2, use_gate=True)", [(2, 5, 6), (2, 3, 6)]),
    Case("GroupQueryAttention(3, 4, 2, use_gate=True, use_bias=False)", [(2, 5, 6), (2, 3, 6)], SCORES),
    Case("GroupQueryAttention(3, 4, 2, sliding_window=2)", [(2, 5, 6), (2, 5, 6)], {"use_causal_mask": True}),
    Case("GroupQueryAttention(3, 4, 2, use_bias=False)", [(2, 5, 6), (2, 3, 6), (2, 3, 6)]),
    Case("Attention(score_mode='concat', use_scale=True)", [[(2, 5, 6), (2, 3, 6)]]),
    Case("AdditiveAttention(use_scale=False)", [[(2, 5, 6), (2, 5, 6)]], {"mask": [MASK, LEFT]}),
    Case("AdditiveAttention()", [[(2, 5, 6), (2, 5, 6)]], {"use_causal_mask": True}),
    # numbers in, numbers out
    Case("Rescaling(1 / 255, offset=-1)", [IMAGE]),
    Case("Normalization(axis=1, mean=[1.0, 2.0, 3.0, 4.0, 5.0], variance=[1.0] * 5)", [SEQUENCE]),
    Case("Resizing(4, 4, interpolation='bicubic', antialias=True)", [IMAGE]),
    Case("Resizing(4, 4, data_format='channels_first')", [IMAGE]),
    Case("AutoContrast()", [IMAGE]),
    Case("ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))", [(1, 8, 8, 3)]),
    Case("Equalization(bins=16)", [IMAGE]),
    Case("Solarization(addition_factor=0.0, threshold_factor=0.0)", [IMAGE]),
    Case("CategoryEncoding(5, 'multi_hot', sparse=False)", [(2, 3)], high=5),
    Case("Discretization([0.0, 0.5], output_mode='count')", [(2, 3)]),
    Case("Discretization([0.0, 0.5], output_mode='multi_hot')", [(2, 3)]),
    Case("BatchNormalization(1)", [SEQUENCE], {"training": True, "mask": MASK}),
    Case("LayerNormalization(rms_scaling=True, axis=[1, 2])", [SEQUENCE]),
    Case("Attention(use_scale=True)", [[(2, 3, 5, 6), (2, 3, 4, 6)]]),
    Case("Softmax()", [SEQUENCE], {"mask": MASK[:, :, None]}),
    Case("Discretization([0.0, 1.0], output_mode='count')", [SEQUENCE]),
]
