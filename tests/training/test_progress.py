"""The bar, on a terminal and in a log file."""

from __future__ import annotations

import io
import re

import pytest

from hornbeam.training.progress import Bar, duration, metric_texts, per_step, resolve_verbose


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_durations() -> None:
    assert [duration(s) for s in (0.34, 4.21, 42.4, 67, 7380)] == ["340ms", "4.2s", "42s", "1:07", "2:03:00"]
    assert [per_step(s) for s in (2.5, 0.0123, 0.000045)] == ["2.5s/step", "12ms/step", "45us/step"]


def test_logs() -> None:
    assert (
        " - ".join(metric_texts({"loss": 0.5, "tiny": 1e-7, "none": 0.0}))
        == "loss: 0.5000 - tiny: 1.0000e-07 - none: 0.0000"
    )


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    bar = Bar(10, stream)
    bar.update(4, {"loss": 1.0})  # too soon
    bar._drawn -= 1.0
    bar.update(5, {"loss": 1.0})
    bar.update(6, {"loss": 0.9})  # too soon to be drawn
    bar.close({"loss": 0.5})
    first, last = stream.getvalue().split("\r")[1:]
    assert first.startswith("5/10 \x1b[36m━━━━━━━━━━━━\x1b[0m\x1b[2m────────────\x1b[0m ")
    assert "ETA" in first
    assert "loss: 1.0000" in first
    assert last.startswith("6/10 - ")
    assert last.rstrip().endswith("loss: 0.5000")
    assert last.endswith("\n")


METRICS = {"accuracy": 0.5, "loss": 1.0, "top_5_categorical_accuracy": 0.9}
LINE = "accuracy: 0.5000 - loss: 1.0000 - top_5_categorical_accuracy: 0.9000"


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (120, f"5/10 {'━' * 12}{'─' * 12} RATE {LINE}"),
        (100, f"5/10 ━━━─── RATE {LINE}"),
        (80, f"5/10 {LINE}"),
        (60, "5/10 accuracy: 0.5000 - loss: 1.0000 - top_5_…uracy: 0.9000"),
        (45, "5/10 a…y: 0.5000 - l…s: 1.0000 - t…y: 0.9000"),
        (40, "5/10 a…y: 0.5000 - l…s: 1.0000 …"),
    ],
)
def test_the_bar_and_names_shrink_numbers_stay(
    monkeypatch: pytest.MonkeyPatch, columns: int, line: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    bar = Bar(10, stream)
    bar.update(4, METRICS)
    bar._drawn -= 1.0
    bar.update(5, METRICS)
    drawn = stream.getvalue().strip("\r")
    assert len(drawn) < columns
    assert re.sub(r"\S+/step ETA \S+", "RATE", drawn) == line


def test_the_first_steps_do_not_count_for_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """They compile: an ETA from them was twenty minutes for a run of one."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    bar = Bar(1001, stream)
    bar.start -= 60.0
    bar._drawn -= 60.0
    bar.update(1, {"loss": 1.0})
    assert "1/1001" in stream.getvalue()
    assert "ETA" not in stream.getvalue()
    bar._first = (1, bar._first[1] - 1.0)  # type: ignore[index]
    bar._drawn -= 1.0
    bar.update(101, {"loss": 1.0})
    assert "10ms/step ETA 9" in stream.getvalue()  # 900 steps of 10 ms


def test_finished_lines_break_between_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    bar = Bar(10, stream)
    bar.step = 10
    bar.close(METRICS, notes={"accuracy": "95% interval 0.40 to 0.60"})
    lines = stream.getvalue().strip("\r\n").split("\n")
    assert lines[1] == "    accuracy: 0.5000 (95% interval 0.40 to 0.60)"
    assert lines[2] == "    loss: 1.0000 - top_5_categorical_accuracy: 0.9000"


def test_a_log_file_gets_a_line() -> None:
    stream = io.StringIO()
    bar = Bar(None, stream)
    bar.update(3, {"loss": 1.0})
    bar.close({"loss": 0.5}, "Epoch 1/2")
    line = stream.getvalue()
    assert line.startswith("Epoch 1/2 - 3 - ")
    assert line.endswith("loss: 0.5000\n")


def test_verbose() -> None:
    assert [resolve_verbose(v) for v in ("auto", 0, 1, 2, True)] == [1, 0, 1, 2, 1]
    with pytest.raises(ValueError, match="verbose must be"):
        resolve_verbose(3)
