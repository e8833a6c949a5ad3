"""The file of a certificate: an in-toto statement in canonical JSON, read within limits."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hornbeam.certificate.hashing import canonical, digest, head_of
from hornbeam.certificate.signing import payload_of
from hornbeam.errors import CertificateError, ModelFileError
from hornbeam.saving.files import parse_json
from hornbeam.training.checkpoint_schema import (
    boolean,
    dict_of,
    list_of,
    mismatches,
    natural,
    optional,
    string,
)

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://github.com/hornbeam-dl/hornbeam/certificate/v1"
BUILD_TYPE = "https://github.com/hornbeam-dl/hornbeam/fit/v1"
BUILDER = "https://github.com/hornbeam-dl/hornbeam"
MAX_BYTES = 64 << 20
_MAX_NESTING = 40
_HASH = re.compile(r"[0-9a-f]{64}")


def _hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _equal(expected: str) -> Callable[[Any], bool]:
    return lambda value: bool(value == expected)


def _entry(value: Any) -> bool:
    schema = {"epoch": natural, "done": natural, "step": natural, "state": _hash}
    if not isinstance(value, dict) or not set(value) <= {*schema, "metrics", "batches", "learningRate"}:
        return False
    if not dict_of(string)(value.get("learningRate", {})):
        return False
    batches = value.get("batches")
    fits = not list(mismatches(value, schema, "")) and isinstance(value.get("metrics", {}), dict)
    return fits and (batches is None or _hash(batches))


def _dependency(value: Any) -> bool:
    digests = value.get("digest") if isinstance(value, dict) else None
    return isinstance(digests, dict) and string(value.get("name")) and all(map(_hash, digests.values()))


def _words(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(natural(x) and x < 1 << 32 for x in value)


def _named(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and string(value[0]) and isinstance(value[1], dict)


def _evaluation(value: Any) -> bool:
    schema = {
        "batchSize": lambda v: natural(v) and v > 0,
        "data": list_of(_dependency),
        "metrics": dict_of(lambda _: True),
    }
    return isinstance(value, dict) and not list(mismatches(value, schema, ""))


_PREDICATE = {
    "buildDefinition": {
        "buildType": _equal(BUILD_TYPE),
        "externalParameters": {
            "model": string, "seed": optional(natural), "start": _words, "callbacks": list_of(_named),
            "validation": optional(string),
            "fit": {
                "batch_size": optional(natural), "class_weight": optional(lambda v: isinstance(v, list)),
                "epochs": natural, "initial_epoch": natural,
                "shuffle": lambda v: v in (True, False, None, "batch"), "steps": optional(natural),
                "validation_batch_size": optional(natural),
                "validation_freq": lambda v: natural(v) or list_of(natural)(v),
                "validation_split": string, "validation_split_mode": string,
                "validation_steps": optional(natural),
            },
        },
        "internalParameters": {"engine": string, "floatx": string, "graph": string, "kernels": string},
        "resolvedDependencies": list_of(_dependency),
    },
    "runDetails": {
        "builder": {"id": string, "version": dict_of(string)},
        "metadata": {"complete": boolean},
    },
    "chain": {
        "every": lambda v: natural(v) and v > 0, "entries": list_of(_entry), "head": _hash,
        "states": optional(string),
    },
    "evaluations": list_of(_evaluation),
    "needsProgram": list_of(string),
    "caveats": list_of(string),
}  # fmt: skip
_STATEMENT = {
    "_type": _equal(STATEMENT),
    "predicateType": _equal(PREDICATE),
    "subject": list_of(_dependency),
    "predicate": _PREDICATE,
}


def build(predicate: dict[str, Any], weights: str) -> dict[str, Any]:
    """Return the statement that weights, by their hash, come from the training of a predicate."""
    subject = [{"name": "weights", "digest": {"hornbeamArrays1": weights}}]
    return {"_type": STATEMENT, "predicateType": PREDICATE, "subject": subject, "predicate": predicate}


def start_of(definition: dict[str, Any]) -> str:
    """Return the hash with which the chain begins: that of everything that was fixed before the training."""
    return digest(definition)


def parse(data: bytes, source: str) -> dict[str, Any]:
    """Return the statement of a certificate, signed or not. Its hashes are not compared with anything.

    Args:
        data: Contents of the file.
        source: Name of the file in errors.

    Raises:
        CertificateError: If it is not a certificate.
    """
    value = _parsed(data, source)
    if "payloadType" in value:
        data = payload_of(value)
        value = _parsed(data, source)
    if value.get("predicateType") != PREDICATE:
        raise CertificateError(
            f"{source} is not a certificate of this version: predicateType is "
            f"{value.get('predicateType')!r:.100}, expected {PREDICATE!r}"
        )
    wrong = list(mismatches(value, _STATEMENT, ""))
    if wrong or len(value["subject"]) != 1 or not value["subject"][0]["digest"].get("hornbeamArrays1"):
        raise CertificateError(f"{source}: missing or not valid: {', '.join(wrong[:5]) or 'subject'}")
    if canonical(value) != data.rstrip(b"\n"):
        raise CertificateError(f"{source} is not in canonical form: its writer was not Hornbeam")
    return value


def _parsed(data: bytes, source: str) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise CertificateError(f"{source} has {len(data):,} bytes, a certificate has at most {MAX_BYTES:,}")
    try:
        value = parse_json(data, source)
        nested = _nesting(value)
    except (ModelFileError, UnicodeDecodeError) as error:
        raise CertificateError(f"{source} is not a certificate: {error}") from None
    if not isinstance(value, dict) or nested > _MAX_NESTING:
        raise CertificateError(
            f"{source} is not a certificate: expected a JSON object of at most {_MAX_NESTING} levels"
        )
    try:
        canonical(value)
    except ValueError as error:  # a float, or half of a surrogate pair
        raise CertificateError(f"{source} is not a certificate: {error}") from None
    return value


def _nesting(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= _MAX_NESTING:
        depth += 1
        parts = (c.values() if isinstance(c, dict) else c for c in level if isinstance(c, (dict, list)))
        level = [child for part in parts for child in part]
    return depth


def chain_problems(statement: dict[str, Any]) -> list[str]:
    """List the contradictions inside of a statement: an edited chain, entries out of order."""
    predicate = statement["predicate"]
    chain = predicate["chain"]
    entries, problems = chain["entries"], []
    if head_of(entries, start_of(predicate["buildDefinition"])) != chain["head"]:
        problems.append("the chain is broken: an entry, a setting or a hash of the data was changed")
    positions = [(entry["epoch"], entry["done"]) for entry in entries]
    steps = [entry["step"] for entry in entries]
    if positions != sorted(set(positions)) or steps != sorted(steps):
        problems.append("the entries of the chain are not in order")
    for before, after in itertools.pairwise(entries):
        same, count = after["epoch"] == before["epoch"], after["step"] - before["step"]
        if not 0 < count <= chain["every"]:
            problems.append(f"steps are missing before step {after['step']} of the chain")
        elif after["done"]:
            if after["done"] % chain["every"] or count != after["done"] - (before["done"] if same else 0):
                problems.append(f"the steps do not fit the epoch at step {after['step']} of the chain")
        elif after["epoch"] != before["epoch"] + 1 or "metrics" not in after:
            problems.append(f"an epoch is missing before epoch {after['epoch']} of the chain")
    problems += [*_end_problems(predicate), *_rate_problems(predicate)]
    return problems[:10]


def _end_problems(predicate: dict[str, Any]) -> Iterator[str]:
    """Yield what contradicts the end of the training that is stated."""
    entries = predicate["chain"]["entries"]
    parameters = predicate["buildDefinition"]["externalParameters"]
    if not predicate["runDetails"]["metadata"]["complete"]:
        if predicate["evaluations"]:
            yield "there is an evaluation, though the training is said to be interrupted"
        return
    if len(entries) < 2 or entries[-1]["done"]:
        yield "the chain ends in the middle of an epoch, though the training is said to be complete"
        return
    epochs, last = parameters["fit"]["epochs"], entries[-1]["epoch"]
    # A callback may have stopped it.
    if last > epochs or (last < epochs and not parameters["callbacks"] and not predicate["needsProgram"]):
        yield f"the chain ends after epoch {last}, the training was to have {epochs}"


def _rate_problems(predicate: dict[str, Any]) -> Iterator[str]:
    """Yield learning rates that change though nothing in the training changes them."""
    callbacks = [name for name, _ in predicate["buildDefinition"]["externalParameters"]["callbacks"]]
    if "ReduceLROnPlateau" in callbacks or predicate["needsProgram"]:
        return
    for entry in predicate["chain"]["entries"][1:]:
        if "learningRate" in entry:
            yield f"the learning rate changes at step {entry['step']}, and no callback is stated that does it"


def stated_rates(entries: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the learning rates at each entry of a chain, of which those that changed them have a field."""
    rates: list[dict[str, str]] = []
    for entry in entries:
        rates.append(entry.get("learningRate", rates[-1] if rates else {}))
    return rates


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a certificate: the in-toto statement as a dict. No code in it is run, and no hash is checked.

    Args:
        path: Path of the file.

    Returns:
        Dict with "subject" (the weights) and "predicate" (see docs/certificate.md).

    Raises:
        CertificateError: If the file is not a certificate.
        FileNotFoundError: If it does not exist.

    Example:
        >>> hornbeam.certificate.read("run.cert")["subject"]  # doctest: +SKIP
    """
    return parse(read_bytes(path), os.fspath(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a file of at most as many bytes as a certificate may have, and one more."""
    with Path(path).open("rb") as file:
        return file.read(MAX_BYTES + 1)
