"""Write today's figures into the sentences of README.md and docs/features.md that state them.

Names are counted in the record of Keras's public names and in our modules; checks are those of
docs/parity.md.

    python tools/figures.py            # name the sentences that are stale
    python tools/figures.py --write    # write the figures
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.helpers.keras_signatures import NAMES, module_of, reasons  # noqa: E402

# Files, and sentences in them, in which # stands for a figure.
SENTENCES: dict[str, dict[str, tuple[str, ...]]] = {
    "README.md": {
        "Of # checks beside Keras 3.15.1, # are equal; # differ": ("checked", "equal", "different")
    },
    "docs/features.md": {
        "# of the # public names of Keras 3.15.1 exist": ("existing", "names"),
        "# checks beside real Keras: # are equal, and # differ": ("checked", "equal", "different"),
    },
}


def existing_names() -> tuple[int, int]:
    """Return how many of Keras's public names are here, and how many there are."""
    existing = total = 0
    for namespace, names in NAMES.items():
        total += len(names)
        try:
            module, missing = module_of(namespace), reasons(namespace)
        except ImportError:
            continue
        existing += sum(name not in missing and hasattr(module, name) for name in names)
    return existing, total


def figures() -> dict[str, int]:
    """Return all figures by name."""
    parity = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    row = re.search(r"^\| \*\*all\*\* \| " + r" \| ".join([r"\*\*(\d+)\*\*"] * 4), parity, re.M)
    if row is None:
        raise ValueError("docs/parity.md has no row of all checks")
    checked, equal, different, _ = map(int, row.groups())
    existing, names = existing_names()
    return {
        "checked": checked, "equal": equal, "different": different, "existing": existing, "names": names,
    }  # fmt: skip


def updated(text: str, sentences: dict[str, tuple[str, ...]], values: dict[str, int]) -> str:
    """Return a text with the figures of its sentences; line breaks stay where they are."""
    for sentence, names in sentences.items():
        parts = [r"\s+".join(map(re.escape, part.split(" "))) for part in sentence.split("#")]
        match = re.search(r"([\d,]+\d|\d)".join(parts), text)
        if match is None:
            raise ValueError(f"no sentence {sentence!r}")
        new, start = "", match.start()
        for index, name in enumerate(names, 1):
            new += text[start : match.start(index)] + f"{values[name]:,}"
            start = match.end(index)
        text = text[: match.start()] + new + text[start:]
    return text


def stale(write: bool = False) -> list[str]:
    """Return the files with other figures than today's, after writing these if asked to."""
    values, files = figures(), []
    for name, sentences in SENTENCES.items():
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        new = updated(text, sentences, values)
        if new != text:
            files.append(name)
            if write:
                path.write_text(new, encoding="utf-8")
    return files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the figures")
    write = parser.parse_args().write
    files = stale(write)
    print("\n".join(f"{'written' if write else 'stale'}: {name}" for name in files) or "up to date")
    return int(bool(files) and not write)


if __name__ == "__main__":
    raise SystemExit(main())
