from hornbeam.tuning.confirmation import Confirmation as Confirmation
from hornbeam.tuning.hyperparameters import HyperParameters as HyperParameters
from hornbeam.tuning.result import Trial as Trial
from hornbeam.tuning.result import TuningResult as TuningResult
from hornbeam.tuning.tuner import tune as tune
