"""The classes of large modules by family, for the reference. The tests hold the table to be complete."""

from __future__ import annotations

# Module -> family -> names of its classes. Other names for the same class are listed beside it.
FAMILIES = {
    "layers": {
        "Base classes": "Layer InputSpec InputLayer Lambda Identity Wrapper",
        "Core": "Dense EinsumDense Embedding ReversibleEmbedding Masking",
        "Convolution": """
            Conv1D Conv2D Conv3D SeparableConv1D SeparableConv2D DepthwiseConv1D DepthwiseConv2D
            Conv1DTranspose Conv2DTranspose Conv3DTranspose""",
        "Pooling": """
            MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D
            GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
            GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
            AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D
            AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D""",
        "Recurrent": """
            LSTM GRU SimpleRNN RNN LSTMCell GRUCell SimpleRNNCell StackedRNNCells
            Bidirectional TimeDistributed ConvLSTM1D ConvLSTM2D ConvLSTM3D""",
        "Attention": "MultiHeadAttention GroupedQueryAttention Attention AdditiveAttention",
        "Normalization": """
            BatchNormalization LayerNormalization GroupNormalization RMSNormalization UnitNormalization
            SpectralNormalization""",
        "Regularization": """
            Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout AlphaDropout
            GaussianNoise ActivityRegularization""",
        "Activation": "Activation ReLU LeakyReLU PReLU ELU Softmax",
        "Reshaping": """
            Flatten Reshape Permute RepeatVector Cropping1D Cropping2D Cropping3D
            ZeroPadding1D ZeroPadding2D ZeroPadding3D UpSampling1D UpSampling2D UpSampling3D""",
        "Merging": "Add Subtract Multiply Average Maximum Minimum Concatenate Dot",
        "Preprocessing": """
            Normalization Rescaling Discretization CategoryEncoding Hashing HashedCrossing StringLookup
            IntegerLookup TextVectorization""",
        "Images": """
            Resizing CenterCrop Pipeline AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization
            CutMix Equalization MaxNumBoundingBoxes MixUp RandAugment RandomBrightness RandomColorDegeneration
            RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip
            RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization
            RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom
            Solarization""",
        "Audio": "STFTSpectrogram MelSpectrogram",
        "Other libraries": "TorchModuleWrapper JaxLayer FlaxLayer TFSMLayer OnnxGraph",
    },
    "losses": {
        "Base classes": "Loss LossFunctionWrapper",
        "Classification": """
            BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy
            CategoricalGeneralizedCrossEntropy SparseCategoricalCrossentropy KLDivergence Poisson CTC""",
        "Regression": """
            MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError Huber
            LogCosh""",
        "Hinge": "Hinge SquaredHinge CategoricalHinge",
        "Similarity and segmentation": "CosineSimilarity Circle Dice Tversky",
    },
    "metrics": {
        "Base classes": "Metric Mean Sum MeanMetricWrapper",
        "Accuracy": """
            Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy TopKCategoricalAccuracy
            SparseTopKCategoricalAccuracy""",
        "Classification": """
            Precision Recall F1Score FBetaScore AUC TruePositives TrueNegatives FalsePositives FalseNegatives
            PrecisionAtRecall RecallAtPrecision SensitivityAtSpecificity SpecificityAtSensitivity""",
        "Probabilities": """
            BinaryCrossentropy CategoricalCrossentropy SparseCategoricalCrossentropy KLDivergence Poisson""",
        "Regression": """
            MeanSquaredError RootMeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError
            MeanSquaredLogarithmicError LogCoshError R2Score CosineSimilarity PearsonCorrelation
            ConcordanceCorrelation""",
        "Hinge": "Hinge SquaredHinge CategoricalHinge",
        "Segmentation": "IoU BinaryIoU OneHotIoU MeanIoU OneHotMeanIoU",
    },
    "optimizers": {
        "Base class": "Optimizer",
        "Gradient descent": "SGD",
        "Adaptive": """
            Adam AdamW Adamax Nadam RMSprop Adagrad Adadelta Adafactor Ftrl Lamb Lion Muon
            ScheduleFreeAdamW""",
        "Combinations": "LossScaleOptimizer MultiOptimizer OptimizerMap",
    },
    "callbacks": {
        "Base classes": "Callback CallbackList LambdaCallback History ProgbarLogger",
        "Stopping and rates": "EarlyStopping TerminateOnNaN ReduceLROnPlateau LearningRateScheduler",
        "Saving and resuming": "ModelCheckpoint Checkpoint OrbaxCheckpoint BackupAndRestore SwapEMAWeights",
        "Recording": "RunRecorder Certificate LivePlot TensorBoard CSVLogger RemoteMonitor",
        "Trackers": "MlflowTracker WandbTracker Tracker",
        "Diagnosing": "Doctor",
    },
    "quantizers": {
        "Configs": """
            Int8QuantizationConfig Int4QuantizationConfig Float8QuantizationConfig GPTQConfig AWQConfig
            QuantizationConfig""",
        "Quantizers": "Quantizer AbsMaxQuantizer",
    },
    "initializers": {
        "Base classes": "Initializer RandomInitializer",
        "By the size of the layer": """
            GlorotUniform GlorotNormal HeUniform HeNormal LecunUniform LecunNormal
            VarianceScaling Orthogonal""",
        "By a fixed scale": "RandomNormal RandomUniform TruncatedNormal",
        "Not random": "Zeros Ones Constant Identity STFT",
    },
}
