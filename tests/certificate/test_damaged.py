"""A certificate from a stranger, whatever it holds, is checked or refused: nothing else is raised."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hornbeam.certificate import read, verify
from hornbeam.certificate.hashing import canonical, head_of
from hornbeam.certificate.statement import start_of
from hornbeam.errors import CertificateError, ModelFileError

pytestmark = pytest.mark.filterwarnings("ignore")  # of odd learning rates, no trainable weights and the like
VALUES = [
    0, -1, 1, 10**6, 10**12, 1 << 70, "", "x", "0.5", "nan", "1e999", "-1", None, [], {}, True, [1], ["a", 2],
    [["a", 1]], {"a": 1}, "batch", "../../file", "\x00",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key in value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0):
        yield from places(value[key], (*path, key))


def damage(value: Any, generator: random.Random) -> tuple[Any, ...]:
    """Put a value of another kind somewhere into a tree of lists and dicts; return the place."""
    # A place is drawn by its length first, or most of them would be in the chain.
    all_places = list(places(value))
    length = generator.choice(sorted({len(path) for path in all_places}))
    path = generator.choice([path for path in all_places if len(path) == length])
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = copy.deepcopy(generator.choice(VALUES))
    return path


def damaged(statement: dict[str, Any], generator: random.Random) -> list[tuple[Any, ...]]:
    """Damage a statement, half of the time its model, and compute the chain again where there is one."""
    changed = []
    if generator.random() < 0.5:
        parameters = statement["predicate"]["buildDefinition"]["externalParameters"]
        model = json.loads(parameters["model"])
        changed.append(("model", *damage(model, generator)))
        parameters["model"] = json.dumps(model)
    if not changed or generator.random() < 0.3:
        changed.append(damage(statement, generator))
    try:
        predicate = statement["predicate"]
        predicate["chain"]["head"] = head_of(
            predicate["chain"]["entries"], start_of(predicate["buildDefinition"])
        )
    except (TypeError, KeyError, AttributeError):  # there is no chain any more
        pass
    return changed


def check(run: Path, seed: int) -> None:
    generator = random.Random(seed)
    honest = read(run / "run.cert")
    statement = copy.deepcopy(honest)
    changed = damaged(statement, generator)
    path = run / "damaged.cert"
    path.write_bytes(canonical(statement) + b"\n")
    steps = generator.choice([0.2, 1.0])
    try:
        result = verify(path, run / "data.npz", steps=steps, generator=generator)
    except (CertificateError, ModelFileError):
        return
    except Exception as error:
        raise AssertionError(f"seed {seed}: {changed} raised {error!r}") from error
    if result.holds:
        assert checked_part(statement, steps) == checked_part(honest, steps), f"seed {seed}: {changed}"


def checked_part(statement: dict[str, Any], steps: float) -> Any:
    """Return what cannot be edited in a certificate that holds: hashes, and entries that were made again."""
    predicate = statement["predicate"]
    entries = predicate["chain"]["entries"]
    dependencies = predicate["buildDefinition"]["resolvedDependencies"]
    return statement["subject"][0]["digest"], dependencies, entries if steps == 1 else entries[-1]


@pytest.mark.parametrize("first", range(0, 150, 50))
def test_a_damaged_certificate(run: Path, first: int) -> None:
    for seed in range(first, first + 50):
        check(run, seed)


@pytest.mark.slow
def test_many_damaged_certificates(run: Path) -> None:
    for seed in range(1_000, 6_000):
        check(run, seed)
