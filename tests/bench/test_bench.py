"""`hornbeam bench`: workloads run, competitors are told apart, medians and ratios are right."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from hornbeam.cli import main
from hornbeam.cli.bench import report, runner
from hornbeam.cli.bench.competitors import Competitor, engine_competitor, environment_of, peer, workload_names

FAST = {"EPOCHS": "1", "SAMPLES": "64", "HORNBEAM_THREADS": "1"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in FAST.items():
        monkeypatch.setenv(key, value)


def fake(tmp_path: Path, name: str, **figures: float) -> Competitor:
    """A competitor that prints these figures, one of a list for each run."""
    script = tmp_path / f"{name}_tutorial.py"
    script.write_text(f"print('noise')\nprint({json.dumps(json.dumps(figures))})\n")
    return Competitor(name, (sys.executable,), str(tmp_path / f"{name}_{{}}.py"))


def test_workloads_are_in_the_package() -> None:
    names = workload_names()
    assert names[0] == "tutorial"
    assert {"mlp", "resnet20", "lstm", "transformer", "separable", "autoencoder", "gru"} <= set(names)
    assert "common" not in names


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("workload", ["tutorial", "mlp", "autoencoder"])
def test_a_workload_runs_on_the_native_engine(workload: str) -> None:
    result = runner.run_once(engine_competitor("native"), workload)
    for measurement in runner.MEASUREMENTS:
        assert result[measurement.key] > 0
    assert result["samples"] == 64
    assert result["step_flops"] > 1e6
    assert result["import_s"] < result["start_s"]


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("workload", workload_names())
def test_every_workload_runs(workload: str) -> None:
    assert runner.run_once(engine_competitor("native"), workload)["epoch_s"] > 0


@pytest.mark.usefixtures("quick")
def test_the_dtype_reaches_the_workload() -> None:
    result = runner.run_once(engine_competitor("native"), "mlp", threads=1, dtype="mixed_bfloat16")
    assert result["loss"] > 0
    with pytest.raises(runner.WorkloadError, match="mixed_float7"):
        runner.run_once(engine_competitor("native"), "mlp", dtype="mixed_float7")


def test_flops_of_the_tutorial_are_those_of_the_textbook() -> None:
    """A step: forward, and back through everything but the first layer's input."""
    result = runner.Result("tutorial", {"us": [{"step_flops": 8.0e9, "steps": 100, "epoch_s": 2.0}]})
    assert result.gflops("us") == pytest.approx(400)
    assert runner.Result("tutorial", {"us": [{"epoch_s": 2.0}]}).gflops("us") is None


def test_medians_and_ratios(tmp_path: Path) -> None:
    figures = {measurement.key: measurement for measurement in runner.MEASUREMENTS}
    result = runner.Result("tutorial")
    result.runs = {
        "us": [{"epoch_s": s, "predict_per_s": 900} for s in (1.0, 9.0, 2.0)],
        "one": [{"epoch_s": 5.0, "predict_per_s": 100}],
        "two": [{"epoch_s": 4.0, "predict_per_s": 300}],
    }
    assert result.median("us", "epoch_s") == 2.0
    assert result.median("us", "import_s") is None
    assert result.ratio(figures["epoch_s"], "us", ["one", "two"]) == 2.0
    assert result.ratio(figures["predict_per_s"], "us", ["one", "two"]) == 3.0
    assert result.ratio(figures["epoch_s"], "us", []) is None


def test_sides_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"
    competitors = []
    for name in ("a", "b"):
        code = f"open({str(log)!r}, 'a').write({name!r}); print('{{\"epoch_s\": 1}}')"
        (tmp_path / f"{name}_tutorial.py").write_text(code)
        competitors.append(Competitor(name, (sys.executable,), str(tmp_path / f"{name}_{{}}.py")))
    (result,) = runner.compare(["tutorial"], competitors, runs=3)
    assert log.read_text() == "ababab"
    assert [len(runs) for runs in result.runs.values()] == [3, 3]
    (other,) = runner.compare(["mlp"], competitors, runs=1)
    assert other.runs == {}  # they have no such script


def test_what_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad_tutorial.py").write_text("raise SystemExit('out of wood')")
    competitor = Competitor("bad", (sys.executable,), str(tmp_path / "bad_{}.py"))
    with pytest.raises(runner.WorkloadError, match="out of wood"):
        runner.run_once(competitor, "tutorial")


def test_peers_are_read() -> None:
    python = sys.executable
    keras = peer(f"tf={python}")
    assert keras.environment["KERAS_BACKEND"] == "tensorflow"
    assert keras.runs("tutorial")
    assert peer(f"j={python}:jax").environment["KERAS_BACKEND"] == "jax"
    own = peer(f"t={python}:some/torch_{{}}.py --compile")
    assert own.line("mlp") == [python, "some/torch_mlp.py", "--compile"]
    assert not own.runs("mlp")
    for bad, message in [
        ("tf", "a peer must be"),
        ("tf=/no/such/python", "no file"),
        (f"tf={python}:theano", "neither a backend"),
    ]:
        with pytest.raises(ValueError, match=message):
            peer(bad)


def test_threads_are_for_everybody() -> None:
    environment = environment_of(engine_competitor("native"), 3, "mixed_bfloat16", 1.5)
    assert {environment[name] for name in ("HORNBEAM_THREADS", "OMP_NUM_THREADS", "BENCH_THREADS")} == {"3"}
    assert environment["BENCH_DTYPE"] == "mixed_bfloat16"
    assert environment["BENCH_START"] == "1.5"
    assert environment["CUDA_VISIBLE_DEVICES"] == ""


def test_tables_bars_files_and_charts(tmp_path: Path) -> None:
    from rich.console import Console

    competitors = [
        Competitor("us", (sys.executable,), ours=True),
        fake(tmp_path, "them", epoch_s=4.0, loss=0.5),
    ]
    runs = {
        "us": [{"epoch_s": 2.0, "loss": 0.25, "step_flops": 3e9, "steps": 10}],
        "them": [runner.run_once(competitors[1], "tutorial")],
    }
    results = [runner.Result("tutorial", runs)]
    peak = {"float32": 100e9, "bfloat16": None, "memory": [], "threads": 1}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(report.table(results[0], competitors, peak))
    text = console.export_text()
    row = next(line.split() for line in text.splitlines() if line.strip().startswith("epoch"))
    assert row[-3:] == ["2.00", "4.00", "2.00"]
    assert "15%" in text  # 3e9 * 10 FLOPs in 2 s, of 100 GFLOP/s
    console.print(report.overview(results, competitors[0], peak))
    assert "15%" in console.export_text()
    bars = report.bars(results, competitors, width=10).splitlines()
    assert [line.count("█") for line in bars[2:]] == [5, 10]
    assert "| epoch, s | 2.00 | 4.00 | 2.00 |" in report.markdown(results, competitors)
    report.write_json(str(tmp_path / "all.json"), results, competitors, {"about": "x"})
    written = json.loads((tmp_path / "all.json").read_text())
    assert written["workloads"]["tutorial"]["times_better"]["epoch_s"] == 2.0
    pytest.importorskip("matplotlib")
    report.chart(results, competitors, "heading").save(tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("quick")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert main(["bench", "mlp", "--runs", "1", "--threads", "1", "--json", str(out)]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("1 workload x 1 run, about 9 seconds on two cores")
    printed = shown.out
    assert "GFLOP/s" in printed
    assert json.loads(out.read_text())["workloads"]["mlp"]["runs"]["hornbeam-native"][0]["samples"] == 64
    assert main(["bench", "mpl"]) == 2
    assert "no workload 'mpl'. Did you mean 'mlp'?" in capsys.readouterr().err
    assert main(["bench", "mlp", "--peer", "unknown"]) == 2
