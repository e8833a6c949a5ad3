from hornbeam.certificate.recorder import Certificate as Certificate
from hornbeam.certificate.statement import read as read
from hornbeam.certificate.submissions import Submission as Submission
from hornbeam.certificate.submissions import verify_folder as verify_folder
from hornbeam.certificate.verification import Verification as Verification
from hornbeam.certificate.verifying import verify as verify
