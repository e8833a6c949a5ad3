"""Build the engine in WebAssembly, which web pages of models contain.

    python tools/build_web.py            # write src/hornbeam/web/engine.wasm.gz and its sources' fingerprint
    python tools/build_web.py --check    # fail if the sources have changed since

Needs a Rust toolchain with the target (`rustup target add wasm32-unknown-unknown`), or with the sources of
its standard library, such as Debian's cargo-web, rustc-web, rust-web-src and lld.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "src" / "hornbeam" / "web"
MODULE, FINGERPRINT = FOLDER / "engine.wasm.gz", FOLDER / "engine.sources"
CRATES = ("hornbeam-kernels", "hornbeam-engine", "hornbeam-runtime", "hornbeam-web")
TARGET = "wasm32-unknown-unknown"


def sources() -> list[Path]:
    """Return the files that decide what the module does, in order: sources of its crates, without tests."""
    files = [ROOT / "Cargo.toml", *(ROOT / "crates" / crate / "Cargo.toml" for crate in CRATES)]
    for crate in CRATES:
        files += (ROOT / "crates" / crate / "src").rglob("*.rs")
    return sorted(file for file in files if file.stem != "tests" and "tests" not in file.parts)


def fingerprint() -> str:
    """Return the SHA-256 of the sources without tests and comments."""
    digest = hashlib.sha256()
    for file in sources():
        code, _, _ = file.read_text(encoding="utf-8").partition("#[cfg(test)]\nmod tests {")
        lines = [line for line in code.splitlines() if line.strip() and not line.lstrip().startswith("//")]
        digest.update("\n".join([file.relative_to(ROOT).as_posix(), *lines, "\0"]).encode())
    return digest.hexdigest()


def is_current() -> bool:
    """Return whether the module was built from these sources."""
    return FINGERPRINT.exists() and FINGERPRINT.read_text(encoding="utf-8").strip() == fingerprint()


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
    parser.add_argument(
        "--check", action="store_true", help="build nothing, fail if the sources have changed"
    )
    parser.add_argument("--target-dir", type=Path, default=ROOT / "target", help="outputs of the compiler")
    options = parser.parse_args()
    if options.check:
        sys.exit(None if is_current() else "src/hornbeam/web/engine.wasm.gz has other sources: make web")
    module = build(options.target_dir.resolve())
    FOLDER.mkdir(exist_ok=True)
    packed = gzip.compress(module, mtime=0)
    MODULE.write_bytes(packed)
    FINGERPRINT.write_text(fingerprint() + "\n", encoding="utf-8")
    print(f"{MODULE.relative_to(ROOT)}: {len(packed):,} bytes of {len(module):,}")


if __name__ == "__main__":
    main()
