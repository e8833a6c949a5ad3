from hornbeam.certificate.recorder import Certificate as Certificate
from hornbeam.certificate.statement import read as read
from hornbeam.certificate.verification import Verification as Verification
from hornbeam.certificate.verifying import verify as verify
