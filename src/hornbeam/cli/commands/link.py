"""`hornbeam link`: how a C compiler links a program to the C library."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from hornbeam._internal.terminal import command
from hornbeam.cli.arguments import print_error

FOLDER = Path(__file__).parents[2] / "_c"


HELP = "print the flags with which a C compiler links a program to libhornbeam"
DESCRIPTION = (
    "Print the flags with which a C or C++ compiler finds hornbeam.h and libhornbeam: "
    "`cc digits.c $(hornbeam link) -o digits`. The library runs models that were exported with "
    'format="hornbeam", without Python.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--cflags", action="store_true", help="print the flags of the compiler alone")
    parser.add_argument("--libs", action="store_true", help="print the flags of the linker alone")
    parser.add_argument("--example", action="store_true", help="print a program in C, which names a digit")


def run(args: argparse.Namespace) -> int:
    """Print the flags, or the example."""
    if not (FOLDER / "hornbeam.h").exists():
        print_error("hornbeam link", f"this installation has no C library. {_remedy()}")
        return 1
    if args.example:
        print((FOLDER / "digits.c").read_text(encoding="utf-8"), end="")
        return 0
    if sys.platform == "win32":
        print_error(
            "hornbeam link", f"compilers for Windows have flags of their own: the files are in {FOLDER}"
        )
        return 1
    cflags = [f"-I{FOLDER}"]
    libs = [f"-L{FOLDER}", f"-Wl,-rpath,{FOLDER}", "-lhornbeam"]
    chosen = (cflags if args.cflags or not args.libs else []) + (libs if args.libs or not args.cflags else [])
    print(shlex.join(chosen))
    return 0


def _remedy() -> str:
    """Return how to get the library: a checkout builds it, wheels contain it."""
    checkout = FOLDER.parents[2]
    if (checkout / "tools" / "build_c_library.py").exists():
        build = shlex.join(["make", "-C", str(checkout), "c-library"])
        return f"`{build}` builds it in a minute; then repeat `{command('link')}`"
    return "Wheels contain it: `pip install --force-reinstall --only-binary hornbeam hornbeam`"
