"""Build the C library (crates/hornbeam-capi) into src/hornbeam/_c, for the wheel and `hornbeam link`.

python tools/build_c_library.py
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CRATE = ROOT / "crates" / "hornbeam-capi"
FOLDER = ROOT / "src" / "hornbeam" / "_c"


def library_names(platform: str) -> list[str]:
    """Return the files that a program is linked with and runs with."""
    if platform == "win32":
        return ["hornbeam.dll", "hornbeam.dll.lib"]
    return ["libhornbeam.dylib" if platform == "darwin" else "libhornbeam.so"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--target", metavar="TRIPLE", help="platform to compile for; by default this one")
    parser.add_argument("--glibc", metavar="VERSION", help="oldest glibc to run on, by zig (cargo-zigbuild)")
    arguments = parser.parse_args()
    target, glibc = arguments.target, arguments.glibc
    command = ["cargo-zigbuild" if glibc else "cargo", "rustc", "--release", "--quiet", "-p", "hornbeam-capi"]
    command += ["--crate-type", "cdylib"]
    command += ["--target", f"{target}.{glibc}" if glibc else target] if target else []
    subprocess.run([*command, "--", "-C", "strip=symbols"], cwd=ROOT, check=True)
    built = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / (target or "") / "release"
    FOLDER.mkdir(exist_ok=True)
    files = [CRATE / "include" / "hornbeam.h", ROOT / "examples" / "embed" / "digits.c"]
    files += [built / name for name in library_names(sys.platform)]
    for file in files:
        # Replaced as a whole: a program may have the old one open.
        staged = FOLDER / f".{file.name}"
        shutil.copyfile(file, staged)
        staged.replace(FOLDER / file.name)


if __name__ == "__main__":
    main()
