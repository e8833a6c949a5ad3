from hornbeam.layers.activation import ELU as ELU
from hornbeam.layers.activation import Activation as Activation
from hornbeam.layers.activation import LeakyReLU as LeakyReLU
from hornbeam.layers.activation import PReLU as PReLU
from hornbeam.layers.activation import ReLU as ReLU
from hornbeam.layers.activation import Softmax as Softmax
from hornbeam.layers.attention import GroupedQueryAttention as GroupedQueryAttention
from hornbeam.layers.attention import MultiHeadAttention as MultiHeadAttention
from hornbeam.layers.attention_plain import AdditiveAttention as AdditiveAttention
from hornbeam.layers.attention_plain import Attention as Attention
from hornbeam.layers.augmentation import AugMix as AugMix
from hornbeam.layers.augmentation import AutoContrast as AutoContrast
from hornbeam.layers.augmentation import CenterCrop as CenterCrop
from hornbeam.layers.augmentation import (
    ContrastLimitedAdaptiveHistogramEqualization as ContrastLimitedAdaptiveHistogramEqualization,
)
from hornbeam.layers.augmentation import CutMix as CutMix
from hornbeam.layers.augmentation import Equalization as Equalization
from hornbeam.layers.augmentation import MaxNumBoundingBoxes as MaxNumBoundingBoxes
from hornbeam.layers.augmentation import MixUp as MixUp
from hornbeam.layers.augmentation import Pipeline as Pipeline
from hornbeam.layers.augmentation import RandAugment as RandAugment
from hornbeam.layers.augmentation import RandomBrightness as RandomBrightness
from hornbeam.layers.augmentation import RandomColorDegeneration as RandomColorDegeneration
from hornbeam.layers.augmentation import RandomColorJitter as RandomColorJitter
from hornbeam.layers.augmentation import RandomContrast as RandomContrast
from hornbeam.layers.augmentation import RandomCrop as RandomCrop
from hornbeam.layers.augmentation import RandomElasticTransform as RandomElasticTransform
from hornbeam.layers.augmentation import RandomErasing as RandomErasing
from hornbeam.layers.augmentation import RandomFlip as RandomFlip
from hornbeam.layers.augmentation import RandomGaussianBlur as RandomGaussianBlur
from hornbeam.layers.augmentation import RandomGrayscale as RandomGrayscale
from hornbeam.layers.augmentation import RandomHue as RandomHue
from hornbeam.layers.augmentation import RandomInvert as RandomInvert
from hornbeam.layers.augmentation import RandomPerspective as RandomPerspective
from hornbeam.layers.augmentation import RandomPosterization as RandomPosterization
from hornbeam.layers.augmentation import RandomRotation as RandomRotation
from hornbeam.layers.augmentation import RandomSaturation as RandomSaturation
from hornbeam.layers.augmentation import RandomSharpness as RandomSharpness
from hornbeam.layers.augmentation import RandomShear as RandomShear
from hornbeam.layers.augmentation import RandomTranslation as RandomTranslation
from hornbeam.layers.augmentation import RandomZoom as RandomZoom
from hornbeam.layers.augmentation import Resizing as Resizing
from hornbeam.layers.augmentation import Solarization as Solarization
from hornbeam.layers.batch_normalization import BatchNormalization as BatchNormalization
from hornbeam.layers.conv import Conv1D as Conv1D
from hornbeam.layers.conv import Conv2D as Conv2D
from hornbeam.layers.conv import Conv3D as Conv3D
from hornbeam.layers.conv_separable import DepthwiseConv1D as DepthwiseConv1D
from hornbeam.layers.conv_separable import DepthwiseConv2D as DepthwiseConv2D
from hornbeam.layers.conv_separable import SeparableConv1D as SeparableConv1D
from hornbeam.layers.conv_separable import SeparableConv2D as SeparableConv2D
from hornbeam.layers.conv_transpose import Conv1DTranspose as Conv1DTranspose
from hornbeam.layers.conv_transpose import Conv2DTranspose as Conv2DTranspose
from hornbeam.layers.conv_transpose import Conv3DTranspose as Conv3DTranspose
from hornbeam.layers.core import Dense as Dense
from hornbeam.layers.core import Identity as Identity
from hornbeam.layers.core import Lambda as Lambda
from hornbeam.layers.core import Masking as Masking
from hornbeam.layers.core import Wrapper as Wrapper
from hornbeam.layers.einsum_dense import EinsumDense as EinsumDense
from hornbeam.layers.embedding import Embedding as Embedding
from hornbeam.layers.embedding import ReversibleEmbedding as ReversibleEmbedding
from hornbeam.layers.input import Input as Input
from hornbeam.layers.input import InputLayer as InputLayer
from hornbeam.layers.input_spec import InputSpec as InputSpec
from hornbeam.layers.jax_layer import FlaxLayer as FlaxLayer
from hornbeam.layers.jax_layer import JaxLayer as JaxLayer
from hornbeam.layers.layer import Layer as Layer
from hornbeam.layers.merging import Add as Add
from hornbeam.layers.merging import Average as Average
from hornbeam.layers.merging import Concatenate as Concatenate
from hornbeam.layers.merging import Dot as Dot
from hornbeam.layers.merging import Maximum as Maximum
from hornbeam.layers.merging import Minimum as Minimum
from hornbeam.layers.merging import Multiply as Multiply
from hornbeam.layers.merging import Subtract as Subtract
from hornbeam.layers.merging import add as add
from hornbeam.layers.merging import average as average
from hornbeam.layers.merging import concatenate as concatenate
from hornbeam.layers.merging import dot as dot
from hornbeam.layers.merging import maximum as maximum
from hornbeam.layers.merging import minimum as minimum
from hornbeam.layers.merging import multiply as multiply
from hornbeam.layers.merging import subtract as subtract
from hornbeam.layers.normalization import GroupNormalization as GroupNormalization
from hornbeam.layers.normalization import LayerNormalization as LayerNormalization
from hornbeam.layers.normalization import RMSNormalization as RMSNormalization
from hornbeam.layers.normalization import SpectralNormalization as SpectralNormalization
from hornbeam.layers.normalization import UnitNormalization as UnitNormalization
from hornbeam.layers.pooling import AveragePooling1D as AveragePooling1D
from hornbeam.layers.pooling import AveragePooling2D as AveragePooling2D
from hornbeam.layers.pooling import AveragePooling3D as AveragePooling3D
from hornbeam.layers.pooling import MaxPooling1D as MaxPooling1D
from hornbeam.layers.pooling import MaxPooling2D as MaxPooling2D
from hornbeam.layers.pooling import MaxPooling3D as MaxPooling3D
from hornbeam.layers.pooling_adaptive import AdaptiveAveragePooling1D as AdaptiveAveragePooling1D
from hornbeam.layers.pooling_adaptive import AdaptiveAveragePooling2D as AdaptiveAveragePooling2D
from hornbeam.layers.pooling_adaptive import AdaptiveAveragePooling3D as AdaptiveAveragePooling3D
from hornbeam.layers.pooling_adaptive import AdaptiveMaxPooling1D as AdaptiveMaxPooling1D
from hornbeam.layers.pooling_adaptive import AdaptiveMaxPooling2D as AdaptiveMaxPooling2D
from hornbeam.layers.pooling_adaptive import AdaptiveMaxPooling3D as AdaptiveMaxPooling3D
from hornbeam.layers.pooling_global import GlobalAveragePooling1D as GlobalAveragePooling1D
from hornbeam.layers.pooling_global import GlobalAveragePooling2D as GlobalAveragePooling2D
from hornbeam.layers.pooling_global import GlobalAveragePooling3D as GlobalAveragePooling3D
from hornbeam.layers.pooling_global import GlobalMaxPooling1D as GlobalMaxPooling1D
from hornbeam.layers.pooling_global import GlobalMaxPooling2D as GlobalMaxPooling2D
from hornbeam.layers.pooling_global import GlobalMaxPooling3D as GlobalMaxPooling3D
from hornbeam.layers.preprocessing import CategoryEncoding as CategoryEncoding
from hornbeam.layers.preprocessing import Discretization as Discretization
from hornbeam.layers.preprocessing import HashedCrossing as HashedCrossing
from hornbeam.layers.preprocessing import Hashing as Hashing
from hornbeam.layers.preprocessing import IntegerLookup as IntegerLookup
from hornbeam.layers.preprocessing import Normalization as Normalization
from hornbeam.layers.preprocessing import Rescaling as Rescaling
from hornbeam.layers.preprocessing import StringLookup as StringLookup
from hornbeam.layers.preprocessing import TextVectorization as TextVectorization
from hornbeam.layers.regularization import ActivityRegularization as ActivityRegularization
from hornbeam.layers.regularization import AlphaDropout as AlphaDropout
from hornbeam.layers.regularization import Dropout as Dropout
from hornbeam.layers.regularization import GaussianDropout as GaussianDropout
from hornbeam.layers.regularization import GaussianNoise as GaussianNoise
from hornbeam.layers.regularization import SpatialDropout1D as SpatialDropout1D
from hornbeam.layers.regularization import SpatialDropout2D as SpatialDropout2D
from hornbeam.layers.regularization import SpatialDropout3D as SpatialDropout3D
from hornbeam.layers.reshaping import Cropping1D as Cropping1D
from hornbeam.layers.reshaping import Cropping2D as Cropping2D
from hornbeam.layers.reshaping import Cropping3D as Cropping3D
from hornbeam.layers.reshaping import Flatten as Flatten
from hornbeam.layers.reshaping import Permute as Permute
from hornbeam.layers.reshaping import RepeatVector as RepeatVector
from hornbeam.layers.reshaping import Reshape as Reshape
from hornbeam.layers.reshaping import ZeroPadding1D as ZeroPadding1D
from hornbeam.layers.reshaping import ZeroPadding2D as ZeroPadding2D
from hornbeam.layers.reshaping import ZeroPadding3D as ZeroPadding3D
from hornbeam.layers.rnn import RNN as RNN
from hornbeam.layers.rnn_cells import GRUCell as GRUCell
from hornbeam.layers.rnn_cells import LSTMCell as LSTMCell
from hornbeam.layers.rnn_cells import SimpleRNNCell as SimpleRNNCell
from hornbeam.layers.rnn_conv import ConvLSTM1D as ConvLSTM1D
from hornbeam.layers.rnn_conv import ConvLSTM2D as ConvLSTM2D
from hornbeam.layers.rnn_conv import ConvLSTM3D as ConvLSTM3D
from hornbeam.layers.rnn_layers import GRU as GRU
from hornbeam.layers.rnn_layers import LSTM as LSTM
from hornbeam.layers.rnn_layers import SimpleRNN as SimpleRNN
from hornbeam.layers.rnn_stacked_cells import StackedRNNCells as StackedRNNCells
from hornbeam.layers.rnn_wrappers import Bidirectional as Bidirectional
from hornbeam.layers.rnn_wrappers import TimeDistributed as TimeDistributed
from hornbeam.layers.serialization import deserialize as deserialize
from hornbeam.layers.serialization import serialize as serialize
from hornbeam.layers.spectrogram import MelSpectrogram as MelSpectrogram
from hornbeam.layers.spectrogram import STFTSpectrogram as STFTSpectrogram
from hornbeam.layers.tfsm_layer import TFSMLayer as TFSMLayer
from hornbeam.layers.torch_module import TorchModuleWrapper as TorchModuleWrapper
from hornbeam.layers.upsampling import UpSampling1D as UpSampling1D
from hornbeam.layers.upsampling import UpSampling2D as UpSampling2D
from hornbeam.layers.upsampling import UpSampling3D as UpSampling3D
from hornbeam.onnx.operators import OnnxGraph as OnnxGraph

GroupQueryAttention = GroupedQueryAttention
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D
Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
