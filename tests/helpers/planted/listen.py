"""The tables of programs, and what is said while one runs.

A program is a function of the module `keras` and its `layers`, so that any Keras can run it.
"""

import contextlib
import io
import linecache
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

Program = Callable[..., object]


class Mistake(NamedTuple):
    program: Program
    # "error", "warning" or "line" (of progress), with words that prove that it is about this mistake;
    # "misleading", with
    # words of an error about something else; or "silent", with the reason.
    by: str
    words: str


MISTAKES: dict[str, Mistake] = {}
RIGHT: dict[str, Program] = {}


def _mistake(by: str, words: str) -> Callable[[Program], Program]:
    def keep(program: Program) -> Program:
        MISTAKES[program.__name__] = Mistake(program, by, words)
        return program

    return keep


def error(words: str) -> Callable[[Program], Program]:
    """Enter a program that an error stops."""
    return _mistake("error", words)


def warning(words: str) -> Callable[[Program], Program]:
    """Enter a program that runs with a warning."""
    return _mistake("warning", words)


def line(words: str) -> Callable[[Program], Program]:
    """Enter a program whose printed line says it."""
    return _mistake("line", words)


def misleading(words: str) -> Callable[[Program], Program]:
    """Enter a program that an error stops whose words lead elsewhere."""
    return _mistake("misleading", words)


def silent(reason: str) -> Callable[[Program], Program]:
    """Enter a program whose mistake is not mentioned, for `reason`, or not yet."""
    return _mistake("silent", reason)


def right(program: Program) -> Program:
    """Enter a program without a mistake."""
    RIGHT[program.__name__] = program
    return program


class Said(NamedTuple):
    error: str
    warnings: list[str]
    # The call of the program that it is said at; "" if that is not known.
    at: str
    printed: str


# Longer names first.
_CALLS = (
    *("fit", "evaluate", "predict_classes", "predict", "compile", "load_weights", "load_model"),
    *("save_weights", "save"),
)


def _call(lines: list[tuple[str, int | None]]) -> str:
    """Return the method called at the last of (file, line) that is a line of these programs."""
    folder = Path(__file__).parent
    here = [(file, line) for file, line in lines if Path(file).parent == folder and file != __file__]
    if not here:
        return ""
    line = linecache.getline(here[-1][0], here[-1][1] or 0)
    return next((name for name in _CALLS if f".{name}(" in line), "build")


def listen(program: Program, keras) -> Said:
    """Run a program in the current folder and return what is said."""
    raised, at = "", ""
    with warnings.catch_warnings(record=True) as heard, contextlib.redirect_stdout(io.StringIO()) as printed:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DeprecationWarning)  # of libraries beneath Keras
        try:
            program(keras, keras.layers)
        except Exception as error:
            raised = str(error)
            frames = traceback.extract_tb(error.__traceback__)
            at = _call([(frame.filename, frame.lineno) for frame in frames])
    at = at or _call([(warning.filename, warning.lineno) for warning in heard])
    return Said(raised, [str(warning.message) for warning in heard], at, printed.getvalue())
