"""The tables of programs, and what is said while one runs.

A program is a function of the module `keras` and its `layers`, so that any Keras can run it.
"""

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import NamedTuple

Program = Callable[..., object]


class Mistake(NamedTuple):
    program: Program
    # "error" or "warning", with words that prove that the message is about this mistake; or "silent", with
    # the reason.
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


def listen(program: Program, keras) -> Said:
    """Run a program in the current folder and return what is said."""
    raised = ""
    with warnings.catch_warnings(record=True) as heard, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            program(keras, keras.layers)
        except Exception as error:
            raised = str(error)
    return Said(raised, [str(warning.message) for warning in heard])
