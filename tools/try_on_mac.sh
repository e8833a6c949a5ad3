#!/usr/bin/env bash
# Try the mlx engine on a Mac, in about five minutes: tools/try_on_mac.sh [WHEEL]
#
# Installs Hornbeam (a wheel, by default this checkout, which needs Rust) with MLX into a fresh environment,
# checks every primitive, trains four models beside the native engine (with TORCH=1 on torch:mps, too),
# and writes mac_report.md, to be pasted into an issue. PYTHON=... selects another Python than python3.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
report=$PWD/mac_report.md
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
python=$environment/bin/python

section() {  # TITLE COMMAND...: run a command and report what it prints, even if it fails
  printf '\n### %s\n\n```text\n' "$1" >>"$report"
  shift
  "$@" 2>&1 | tail -n 60 | tee -a "$report" || true
  printf '```\n' >>"$report"
}

machine() {
  sw_vers 2>/dev/null || uname -sr
  sysctl -n machdep.cpu.brand_string hw.ncpu hw.memsize 2>/dev/null || uname -m
  git -C "$root" log -1 --format='commit %h'
  "$python" -c '
import platform, mlx.core as mx
print("Python", platform.python_version(), "MLX", mx.__version__, mx.default_device(), mx.device_info())'
}

training() {  # ENGINE: losses and weights beside the native engine, milliseconds a step, memory
  "$python" - "$1" "$root/benchmarks/engines.py" <<'PY'
import resource, runpy, sys
engine, program = sys.argv[1:]
sys.argv = [program, engine, "--steps", "20", "--runs", "3"]
runpy.run_path(program, run_name="__main__")
unit = 2**20 if sys.platform == "darwin" else 2**10
print(f"largest resident memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit:.0f} MiB")
if "mlx" in engine:
    import mlx.core as mx
    print(f"largest memory of MLX: {mx.get_peak_memory() / 2**20:.0f} MiB")
PY
}

"${PYTHON:-python3}" -m venv "$environment"
"$python" -m pip install --quiet "${1:-$root}[mlx]" ${TORCH:+torch}
printf '## The mlx engine on a Mac\n' >"$report"
section "Machine" machine
section "Primitives" "$python" -m hornbeam.engines.conformance mlx
for engine in mlx ${TORCH:+torch:mps}; do
  section "Training on $engine" training "$engine"
done
echo "Please paste $report into an issue."
