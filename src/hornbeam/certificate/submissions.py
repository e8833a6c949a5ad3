"""Certificates of many people, such as the homework of a class, checked in one table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hornbeam.certificate.statement import read
from hornbeam.certificate.verification import Verification
from hornbeam.certificate.verifying import DataLike, load_data, stated_weights, verify
from hornbeam.errors import CertificateError, ModelFileError


@dataclass
class Submission:
    """One certificate of a folder, checked.

    Args:
        name: Its file without the ending, or its folder where that has no other certificate.
        verification: What was checked; None if it could not be.
        remarks: Sentences for the reader: what differs, what was found, why it could not be checked.
    """

    name: str
    verification: Verification | None
    remarks: list[str]

    @property
    def state(self) -> str:
        """'holds', 'does NOT hold', or 'cannot be checked'."""
        if self.verification is None:
            return "cannot be checked"
        return "holds" if self.verification.holds else "does NOT hold"

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics on the test data, as they were computed here; empty without them."""
        return self.verification.metrics if self.verification is not None and self.verification.holds else {}


def certificates_of(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Return the certificates in a folder and in its folders, by the names of their submissions."""
    paths = [path for pattern in ("*.cert", "*/*.cert") for path in Path(folder).glob(pattern)]
    alone = {path.parent for path in paths if sum(other.parent == path.parent for other in paths) == 1}

    def name(path: Path) -> str:
        inner = path.relative_to(folder).with_suffix("")
        return (inner.parent if inner.parent.name and path.parent in alone else inner).as_posix()

    return {name(path): path for path in sorted(paths)}


def verify_folder(
    folder: str | os.PathLike[str],
    data: DataLike = None,
    steps: float = 1.0,
) -> Iterator[Submission]:
    """Check each certificate in a folder and in its folders, as `verify` does. No code in them is run.

    A certificate that cannot be checked does not end the others. Where two name the same weights, both say
    so: a copy, or the same program, data and seed.

    Args:
        folder: Folder with `anna.cert`, or `anna/run.cert`, and so on.
        data: As in `verify`. Its `x_test` may be unknown to the authors: those without an evaluation of
            their own are evaluated on it.
        steps: As in `verify`.

    Yields:
        A `Submission` for each, sorted by name.

    Raises:
        CertificateError: If there is no certificate in the folder, or no known array in the data.

    Example:
        >>> for one in hornbeam.certificate.verify_folder("homework", "digits.npz"):  # doctest: +SKIP
        ...     print(one.name, one.state, one.metrics)
    """
    paths = certificates_of(folder)
    if not paths:
        raise CertificateError(f"there is no .cert file in {os.fspath(folder)}, or in a folder of it")
    arrays = None if data is None else load_data(data)
    stated = {name: _weights(path) for name, path in paths.items()}
    for name, path in paths.items():
        others = [other for other, weights in stated.items() if weights == stated[name] and other != name]
        same = [f"the same weights as {', '.join(others[:5])}"] if others and stated[name] else []
        try:
            result = verify(path, arrays, steps=steps)
        except Exception as error:  # of whatever kind: a file from a stranger ends its own row alone
            kind = "" if isinstance(error, (CertificateError, OSError)) else f"{type(error).__name__}: "
            yield Submission(name, None, [f"{kind}{error}", *same])
        else:
            unsure = [sentence for sentence in result.unchecked if "not signed" not in sentence]
            # That no test sample was trained on is the rule, and the metrics have a column of their own.
            findings = [
                sentence
                for sentence in result.findings
                if not sentence.startswith(("0 of", "evaluated here"))
            ]
            yield Submission(name, result, [*same, *result.problems, *findings, *unsure])


def _weights(path: Path) -> str | None:
    try:
        return stated_weights(read(path))
    except (CertificateError, ModelFileError, OSError):
        return None  # `verify` will say why
