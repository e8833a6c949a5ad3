from hornbeam.quantization.calibration import Calibration as Calibration
from hornbeam.quantization.calibration import calibrate as calibrate
