"""Build the engine in WebAssembly, which web pages of models contain.

    python tools/build_web.py    # write src/hornbeam/web/engine.wasm.gz

A checkout has the module of the last release, or of the last change of what it can do: its exports, the
format of frozen models, the primitives. Faster kernels do not change it; wheels are built with a new one.

Needs a Rust toolchain with the target (`rustup target add wasm32-unknown-unknown`), or with the sources of
its standard library, such as Debian's cargo-web, rustc-web, rust-web-src and lld.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "src" / "hornbeam" / "web"
MODULE = FOLDER / "engine.wasm.gz"
TARGET = "wasm32-unknown-unknown"


def _toolchains() -> Iterator[tuple[Path, list[str]]]:
    """Yield the compilers that can build the module, each with the options that cargo needs."""
    for folder in os.get_exec_path():
        compiler = Path(folder) / "rustc"
        if not compiler.is_file() or not compiler.with_name("cargo").is_file():
            continue
        asked = subprocess.run([compiler, "--print", "sysroot"], capture_output=True, text=True, check=False)
        libraries = Path(asked.stdout.strip()) / "lib" / "rustlib"
        if (libraries / TARGET).is_dir():
            yield compiler, []
        elif (libraries / "src" / "rust" / "library" / "std").is_dir():
            yield compiler, ["-Zbuild-std=std,panic_abort"]


def toolchain() -> tuple[Path, list[str]] | None:
    """Return the first compiler that can build the module with its options, or None."""
    return next(_toolchains(), None)


def build(target: Path) -> bytes:
    """Compile the module.

    Args:
        target: Folder of the compiler's outputs.

    Raises:
        SystemExit: If no toolchain can.
    """
    usable = toolchain()
    if usable is None:
        sys.exit(
            f"no Rust toolchain for {TARGET}: rustup target add {TARGET}, or Debian's cargo-web rustc-web "
            "rust-web-src lld"
        )
    compiler, options = usable
    # Loops whose length is not known are vectorized, but neither unrolled nor vectorized again for the rest.
    flags = (
        "-Ctarget-feature=+simd128 -Cllvm-args=-unroll-runtime=0 -Cllvm-args=-enable-epilogue-vectorization=0"
    )
    if linker := shutil.which("wasm-ld"):
        flags += f" -Clinker={linker}"
    environment = {
        **os.environ,
        "RUSTC": str(compiler),
        "RUSTFLAGS": flags,
        # The attribute `optimize`, and a standard library from its sources, are unstable.
        "RUSTC_BOOTSTRAP": "1",
    }
    command = [str(compiler.with_name("cargo")), "build", "--profile", "web", "--target", TARGET]
    command += ["--package", "hornbeam-web", "--target-dir", str(target), *options]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return (target / TARGET / "web" / "hornbeam_web.wasm").read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--target-dir", type=Path, default=ROOT / "target", help="outputs of the compiler")
    options = parser.parse_args()
    module = build(options.target_dir.resolve())
    FOLDER.mkdir(exist_ok=True)
    packed = gzip.compress(module, mtime=0)
    MODULE.write_bytes(packed)
    print(f"{MODULE.relative_to(ROOT)}: {len(packed):,} bytes of {len(module):,}")


if __name__ == "__main__":
    main()
