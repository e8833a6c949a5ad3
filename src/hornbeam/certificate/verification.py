"""The result of checking a certificate, for one screen."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Verification:
    """Result of `verify`; print it.

    Args:
        path: Path of the certificate.
        checked: Sentences about what was made again or compared, and was equal.
        unchecked: Sentences about what was not checked, and why.
        problems: Sentences about what differs. Empty if the certificate holds.
        findings: Sentences about the data for the reader, such as test samples in the training data.
        conclusion: Sentence about what follows from the checked part.
        metrics: Metrics on the test data, as they were computed here; empty without test data.
    """

    path: str
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    conclusion: str = ""
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """True if everything that was checked was equal."""
        return not self.problems

    def __str__(self) -> str:
        state = "everything that was checked holds" if self.holds else "the certificate does NOT hold"
        lines = [f"{self.path}: {state}"]
        parts = (
            ("differs", self.problems),
            ("equal", self.checked),
            ("found", self.findings),
            ("not checked", self.unchecked),
        )
        for title, sentences in parts:
            lines += [f"  {title}: {sentence}" for sentence in sentences]
        if self.conclusion:
            lines.append(f"  it follows: {self.conclusion}")
        lines.append(
            "  never proven: that the data are honest, that the seed was not chosen, that nothing was tried "
            "before"
        )
        return "\n".join(lines)
