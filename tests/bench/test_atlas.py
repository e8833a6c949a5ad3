"""`python -m benchmarks.atlas`: the table, both sides of it, the protocol, figures and tables."""

from __future__ import annotations

import ast
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.atlas import families, report
from benchmarks.atlas.cases import Case, Operand
from benchmarks.atlas.command import main, selected
from benchmarks.atlas.measure import Row, difference, measure, measure_all
from benchmarks.atlas.session import SIDES, Session, SideError, engine_side, peer_side
from benchmarks.atlas.table import CASES
from hornbeam.cli.bench.competitors import Competitor

PEAK = {"float32": 100e9, "bfloat16": None, "memory": [(1e3, 9e9, 10e9), (1e6, 1e9, 2e9)], "threads": 2}

# Small cases of all families, with every operation of the table.
SMALL = [
    families.conv((9,), 3, 4, (3,), 2, dilation=2),
    families.conv((7, 7), 4, 6, (3, 3), 2, stride=2),
    families.conv((6, 5), 4, 6, (3, 1), 2, groups=2),
    families.conv((4, 5, 3), 2, 3, (3, 1, 3), 1),
    families.depthwise((6, 6), 5, (3, 3), 2),
    families.depthwise((9,), 4, (5,), 2, stride=2),
    families.transposed((3, 4), 4, 2, (4, 4), 2, 2, "same"),
    families.transposed((3, 3), 4, 2, (3, 3), 2, 2),
    families.product(5, 7, 3),
    families.batched(3, 4, 5, 2),
    families.attention(2, 6, 2, 4, causal=True),
    families.attention(2, 6, 2, 4, keys=5, mask=True),
    families.attention(1, 5, 4, 4, key_heads=2),
    families.attention(8, 32, 4, 8, dropout=0.1),
    families.recurrent("lstm", 2, 4, 3, 5),
    families.recurrent("gru", 2, 4, 3, 5),
    families.recurrent("simple_rnn", 2, 4, 3, 5),
    families.pool("max", (7, 7), 3, 3, 2, batch=2),
    families.pool("average", (8,), 3, 2, batch=2),
    families.layer_norm(6, 5),
    families.rms_norm(6, 5),
    families.batch_norm((4, 4), 3, 5),
    families.batch_norm((), 3, 5, training=False),
    families.group_norm((4, 4), 6, 2, 2),
    families.softmax(4, 7),
    families.softmax(4, 7, log=True),
    families.cross_entropy(4, 7),
    families.one_hot(5, 4),
    *(
        families.reduction(operation, (6, 5), (1,))
        for operation in sorted({c.parameters["operation"] for c in CASES if c.family == "reduction"})
    ),
    families.along("cumulative sum", (4, 6), axis=0),
    families.along("sort", (4, 6)),
    families.along("argsort", (4, 6)),
    families.along("top-k", (4, 9), count=3),
    families.embedding(9, 4, (3, 2)),
    families.gather((4, 9), 1, 5),
    families.take_along((4, 9), 2),
    families.scatter(9, 3, 4),
    *(
        families.elementwise(case.parameters["operation"], len(case.operands), (3, 5))
        for case in {c.parameters["operation"]: c for c in CASES if c.family == "elementwise"}.values()
        if case.parameters["operation"] != "where"
    ),
    families.where((3, 8)),
    families.bias("gelu", 4, 5),
    families.transpose((3, 4, 5), (2, 0, 1)),
    families.pad((3, 4), ((0, 1), (2, 0))),
    families.concatenate(((3, 4), (3, 2)), 1),
    *(families.resize((4, 4), 2, (8, 8), name, 1) for name in ("bilinear", "nearest")),
    *(
        families.random(name, (50, 50))
        for name in ("uniform", "normal", "truncated normal", "integers")
    ),
    families.dropout((60, 60), 0.25),
    *(families.optimizer(rule, (4, 3)) for rule in families.RULES),
    families.call("add", (2, 2), (2, 2)),
]  # fmt: skip


@pytest.fixture(scope="module")
def engines() -> Iterator[list[Session]]:
    sessions = [Session(engine_side(name), threads=1) for name in ("native", "reference")]
    yield sessions
    for session in sessions:
        session.close()


@pytest.fixture
def native() -> Iterator[Session]:
    session = Session(engine_side("native"), threads=1)
    yield session
    session.close()


def fake(tmp_path: Path, code: str, name: str = "fake") -> Competitor:
    """A side whose family "call" runs this code, with the operation as `name` and the operands as `xs`."""
    script = tmp_path / f"{name}.py"
    body = "\n        ".join(code.splitlines())
    script.write_text(
        f"import os, sys, time\nsys.path.insert(0, {str(SIDES)!r})\n"
        "import numpy as np\nfrom serving import Program, serve\n"
        "class Side:\n"
        "    def programs(self, request, xs):\n"
        "        name = request['parameters']['operation']\n"
        f"        {body}\n"
        "    def outputs(self, request, result):\n"
        "        return [result]\n"
        "serve(Side())\n"
    )
    return Competitor(name, (sys.executable,), str(script))


def registered(script: str) -> set[str]:
    """Families of a script, by its decorators: the other interpreter's libraries may be missing here."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((SIDES / script).read_text())):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "family":
                    names |= {ast.literal_eval(argument) for argument in decorator.args}
    return names


def test_the_table() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 200
    assert "conv2d 14x14x512 to 512, 3x3, batch 1" in names
    for case in CASES:
        assert json.loads(json.dumps(case.request("float32", False)))["family"] == case.family


def test_both_sides_have_all_families() -> None:
    known = {case.family for case in CASES}
    assert registered("hornbeam_side.py") == known
    assert registered("torch_side.py") == known
    assert {case.family for case in SMALL} == known


def test_flops_are_those_of_the_textbook() -> None:
    assert families.conv((14, 14), 512, 512, (3, 3), 1).flops == 2 * 14 * 14 * 9 * 512 * 512
    assert families.conv((225, 225), 3, 32, (3, 3), 1, stride=2).flops == 2 * 112 * 112 * 27 * 32
    assert families.product(2, 3, 4).flops == 48
    assert families.recurrent("lstm", 1, 10, 3, 5).flops == 2 * 10 * (3 + 5) * 20
    assert families.attention(1, 8, 2, 4).flops == 2 * families.attention(1, 8, 2, 4, causal=True).flops


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_the_native_engine_agrees_with_the_reference(case: Case, engines: list[Session]) -> None:
    for backward in (False, True)[: 1 + case.backward]:
        row = measure(case, "float32", backward, engines, rounds=1, check=True)
        assert row.failures == {}
        assert row.differences["hornbeam-reference"] <= row.difference_allowed()
        assert set(row.seconds) == {"hornbeam-native", "hornbeam-reference"}


@pytest.mark.parametrize("case", SMALL[::7], ids=lambda case: case.name)
def test_bfloat16(case: Case, engines: list[Session]) -> None:
    row = measure(case, "bfloat16", case.backward, engines, rounds=1, check=True)
    assert row.failures == {}
    assert row.differences["hornbeam-reference"] <= 0.03


def test_results_are_those_of_numpy(native: Session, tmp_path: Path) -> None:
    """Operands and the gradient of the result are known, so that any side can be checked by itself."""
    request = families.product(3, 4, 2).request("float32", True) | {"save": str(tmp_path / "product.npz")}
    answer = native.ask(request)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 4), "float32"), rng.standard_normal((4, 2), "float32")
    ct = np.random.default_rng(1).standard_normal((3, 2), "float32")
    with np.load(tmp_path / "product.npz") as saved:
        for name, expected in zip(saved.files, (a @ b, ct @ b.T, a.T @ ct), strict=True):
            np.testing.assert_allclose(saved[name], expected, rtol=1e-5, atol=1e-6)
    # Operands, result and its gradient, gradients of the operands.
    assert answer["bytes"] == 4 * (12 + 8 + 6 + 6 + 12 + 8)


def test_bytes_of_an_update(native: Session) -> None:
    """Variable, gradient and two slots are read; the variable and the slots are written."""
    answer = native.ask(families.optimizer("Adam", (4, 3)).request("bfloat16", False))
    assert answer["bytes"] == 2 * 12 * (4 + 3)


def test_a_failing_case_is_noted_and_the_next_one_runs(native: Session, tmp_path: Path) -> None:
    side = Session(
        fake(
            tmp_path,
            "if name == 'matmul': raise ValueError('out of wood')\n"
            "print('noise of a library')\n"
            "yield Program('plain', lambda: xs[0] + 1)",
        )
    )
    cases = [families.call("matmul", (2, 2), (2, 2)), families.call("negative", (2,))]
    rows = list(measure_all(cases, ["float32"], [False], [native, side], rounds=2))
    assert rows[0].failures == {"fake": "ValueError: out of wood"}
    assert set(rows[0].seconds) == {"hornbeam-native"}
    assert rows[0].ratio("hornbeam-native", ["fake"]) is None
    assert rows[1].failures == {}
    assert rows[1].ratio("hornbeam-native", ["fake"]) > 0  # type: ignore[operator]


def test_a_child_that_ends_is_started_anew(tmp_path: Path) -> None:
    code = (
        "if name == 'exit':\n    print('last words', file=sys.stderr, flush=True)\n    os._exit(3)\n"
        "if name == 'hang': time.sleep(60)\n"
        "yield Program('plain', lambda: xs[0])"
    )
    session = Session(fake(tmp_path, code), timeout=20)
    request = families.call("negative", (2,)).request("float32", False)
    try:
        with pytest.raises(SideError, match="ended with 3: last words"):
            session.ask(families.call("exit", (2,)).request("float32", False))
        assert session.ask(request)["setting"] == "plain"
        assert session._process is not None
        session._process.kill()
        session._process.wait()
        with pytest.raises(SideError, match="ended with"):
            session.ask({"do": "time"})
        assert session.ask(request)["bytes"] == 16
        session.timeout = 0.2
        with pytest.raises(SideError, match="no answer in"):
            session.ask(families.call("hang", (2,)).request("float32", False))
        session.timeout = 20
        assert session.ask({"do": "time"} | request)["setting"] == "plain"
    finally:
        session.close()


def test_other_work_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = fake(tmp_path, "yield Program('plain', lambda: xs[0])")
    arguments = ["--family", "call", "--match", "negative", "--rounds", "1", "--check"]
    peer = ["--peer", f"fake={sys.executable}:{wrong.script}"]
    assert main([*arguments, "--threads", "1", "--forward", *peer]) == 1
    assert "results differ by 2.0e+00" in capsys.readouterr().err


def test_differences() -> None:
    row = Row(families.product(2, 2, 2), "float32", False)
    ones = np.ones((2, 2), "float32")
    assert difference([ones], [ones], row) == 0
    assert difference([ones * 1.5], [ones], row) == pytest.approx(0.5)
    assert difference([ones], [ones[:1]], row) == math.inf
    assert difference([ones * np.nan], [ones], row) == math.inf
    integers = np.arange(3)
    assert difference([integers], [integers + 1], row) == math.inf
    noise = np.random.default_rng(0).random((2, 10_000))
    random = Row(families.random("uniform", (10_000,)), "float32", False)
    assert difference([noise[0]], [noise[1]], random) < 0.05 < difference([noise[0]], [noise[1] * 2], random)


def row(name: str, ours: float, theirs: float | None, flops: float = 0.0, backward: bool = False) -> Row:
    seconds = {"us": ours} | ({} if theirs is None else {"them": theirs})
    case = Case("call", name, (Operand((2,)),), flops=flops)
    return Row(case, "float32", backward, seconds, {"them": "eager"}, nbytes=2e6)


def test_tables_files_and_the_heat_map(tmp_path: Path) -> None:
    rows = [row("a", 1e-3, 2e-3), row("b", 1e-3, 0.5e-3, 5e7), row("b", 1e-3, 4e-3, 5e7, backward=True)]
    atlas = report.Atlas(rows, "us", ["them"], PEAK)
    assert [atlas.ratio(r) for r in rows] == [2.0, 0.5, 4.0]
    # 2 MB at 2 GB/s; 50 MFLOPs at 100 GFLOP/s would be shorter; the gradient has three times as many.
    assert [atlas.roof_share(r) for r in rows] == pytest.approx([1.0, 1.0, 1.5])
    assert report.summary(atlas) == (
        "3 rows beside them: geometric mean 1.59 times quicker, median 2.00, 1 slower, 1 below 0.8, "
        "worst 0.50"
    )
    assert [r.name for r in atlas.worst(2)] == ["call b, float32, forward", "call a, float32, forward"]
    text = report.markdown(atlas, "a machine")
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 100
    assert "| call | 2 | 1.00 | 4.00 | 1 of 3 |" in text
    assert (
        "| call b | float32 | forward | 1.00 ms | 500.0 µs | 0.50 | 50 GFLOP/s | 100% | them, eager |" in text
    )
    assert "100 GFLOP/s and 2 GB/s" in text
    alone = report.Atlas([row("a", 1e-3, None), row("b", 4e-3, None)], "us", [], PEAK)
    assert [r.case.label for r in alone.worst()] == ["b", "a"]
    assert report.summary(alone) == "2 rows, without a peer"
    pytest.importorskip("matplotlib")
    report.heat_map(atlas, "a machine").save(tmp_path / "atlas.png")
    assert (tmp_path / "atlas.png").read_bytes().startswith(b"\x89PNG")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "atlas.json"
    arguments = [
        "--family",
        "call",
        "--threads",
        "1",
        "--rounds",
        "2",
        "--dtype",
        "float32",
    ]
    copy = f"copy={sys.executable}:{SIDES / 'hornbeam_side.py'}"
    assert main([*arguments, "--forward", "--check", "--peer", copy, "--json", str(out)]) == 0
    shown = capsys.readouterr()
    assert "5 cases on hornbeam-native, copy" in shown.err
    assert "5 rows beside copy: geometric mean" in shown.out
    written = json.loads(out.read_text())
    assert [r["backward"] for r in written["rows"]] == [False] * 5
    for measured in written["rows"]:
        assert measured["times_quicker"] > 0
        assert measured["differences"] == {"copy": 0.0}
        assert measured["roof"] > 0
    assert main([*arguments, "--match", "softmax", "--markdown"]) == 0
    assert "## call" in capsys.readouterr().out
    # The same rows again, without measuring.
    assert main(["--from", str(out), "--json", str(tmp_path / "again.json")]) == 0
    assert "5 rows beside copy: geometric mean" in capsys.readouterr().out
    assert json.loads((tmp_path / "again.json").read_text()) == written


def test_runs_in_pieces(tmp_path: Path) -> None:
    matmul, softmax = (
        case for case in CASES if case.name in ("matmul 256x256x256", "softmax 128 rows of 10")
    )
    paths = []
    for case, peers in ((matmul, ["them"]), (softmax, ["them"]), (softmax, [])):
        rows = [Row(case, "float32", False, {"us": 1e-3, "them": 2e-3}, {"them": "eager"}, nbytes=8.0)]
        paths.append(str(tmp_path / f"{len(paths)}.json"))
        report.write_json(paths[-1], report.Atlas(rows, "us", peers, PEAK), "a machine")
    atlas, about = report.read_json(paths[:2])
    assert about == "a machine"
    assert [row.name for row in atlas.rows] == [
        "matmul 256x256x256, float32, forward", "softmax 128 rows of 10, float32, forward",
    ]  # fmt: skip
    assert atlas.ratios(atlas.rows) == [2.0, 2.0]
    with pytest.raises(ValueError, match=r"2\.json compares us with \[\]"):
        report.read_json(paths)
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ValueError, match=r"other\.json is no atlas"):
        report.read_json([str(tmp_path / "other.json")])


def test_an_interrupted_run_shows_its_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = []

    def interrupted(*args: Any) -> Row:
        if measured:
            raise KeyboardInterrupt
        measured.append(row("a", 1e-3, None))
        return measured[0]

    monkeypatch.setattr("benchmarks.atlas.measure.measure", interrupted)
    assert main(["--family", "call"]) == 0
    assert "1 rows, without a peer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--family", "layernorm"], "Did you mean 'layer norm'?"),
        (["--match", "no such text"], "no case contains 'no such text'"),
        (["--dtype", "float16"], "float32 or bfloat16"),
        (["--rounds", "0"], "at least 1"),
        (["--peer", "torch"], "NAME=PYTHON[:SCRIPT]"),
        (["--peer", "torch=/no/such/python"], "no file /no/such/python"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments]) == 2
    assert message in capsys.readouterr().err


def test_selection_and_peers() -> None:
    assert {case.family for case in selected(["lstm", "gru"], None)} == {"lstm", "gru"}
    assert all("batch 1" in case.name for case in selected(None, "batch 1"))
    assert peer_side(f"torch={sys.executable}", compiled=True).line("") == [
        sys.executable, str(SIDES / "torch_side.py"), "--compile",
    ]  # fmt: skip
