"""The page of `hornbeam watch`, in Node and in a browser, with a training in another process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hornbeam.insight import read_run
from hornbeam.web import WATCH, read
from tests.helpers.browser import CONTRASTS, OUTSIDE, chromium, opened
from tests.helpers.run_folders import append_epoch, write_run
from tests.helpers.watching import watching

NODE = shutil.which("node")
in_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")

HOSTILE = "<img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script>"

TRAINING = """
import sys, time
import numpy as np
import hornbeam as hb

class Wait(hb.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        time.sleep(0.3)

hb.utils.set_random_seed(3)
x = np.random.default_rng(0).normal(size=(256, 4)).astype("float32")
model = hb.Sequential([hb.Input((4,)), hb.layers.Dense(1)])
model.compile("sgd", "mse")
recorder = hb.callbacks.RunRecorder("live", sys.argv[1], explain=False)
kept = hb.callbacks.ModelCheckpoint(sys.argv[2])
model.fit(x, x[:, :1], epochs=400, validation_split=0.25, verbose=0, callbacks=[Wait(), kept, recorder])
"""


def run_script(expression: str, **values: Any) -> Any:
    """Return the value of a JavaScript expression, which may use the page's functions and the values."""
    scripts = [read(name).decode() for name in WATCH if name != "watch.js"]
    constants = [f"const {name} = {json.dumps(value)};" for name, value in values.items()]
    program = "\n".join([*scripts, *constants, f"console.log(JSON.stringify({expression}))"])
    assert NODE is not None
    done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def wait_until(is_true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.05)


def curve_length(page: Any) -> int:
    """Points of the validation loss of the run that was chosen second."""
    count = "document.querySelector('.chart .line.dashed.series-1')?.points.numberOfItems ?? 0"
    return page.evaluate(count)


def test_the_page_contains_the_scripts_in_their_order() -> None:
    page = read("watch.html").decode()
    assert [part.split('"')[0] for part in page.split('src="/web/')[1:]] == list(WATCH)


@in_node
def test_bands_have_the_epochs_that_all_runs_have() -> None:
    curves = [[[1, 1.0], [2, 2.0], [3, 3.0]], [[1, 3.0], [3, 5.0]], [[3, 1.0], [1, 2.0]]]
    assert run_script("Hornbeam.band(curves)", curves=curves) == [[1, 2, 1, 3], [3, 3, 1, 5]]


@in_node
def test_axes_contain_all_values() -> None:
    cases: list[list[float]] = [[0.5], [0, 0], [0.2, 0.9], [-3, 5], [1e-6, 3], [1e9, 1.1e9], [-1e-3, -1e-3]]
    axes = run_script("cases.map(Hornbeam.valueAxis)", cases=cases)
    assert [axis["log"] for axis in axes] == [False, False, False, False, True, False, False]
    for values, axis in zip(cases, axes, strict=True):
        assert axis["low"] <= min(values) <= max(values) <= axis["high"], values
        assert axis["low"] < axis["high"]
        assert 2 <= len(axis["ticks"]) <= 8


@in_node
def test_texts() -> None:
    values = [None, 0, 0.5, 123456.0, 1e-7, 2.5e8]
    assert run_script("values.map((value) => Hornbeam.metricText('loss', value))", values=values) == [
        "–", "0", "0.5", "123500", "1e-7", "2.5e+8",
    ]  # fmt: skip
    assert run_script("Hornbeam.metricText('val_accuracy', 0.98765)") == "98.77 %"
    assert run_script("[3.21, 42, 245, 3600 * 5 + 60, 86400 * 3].map(Hornbeam.timeText)") == [
        "3.2 s", "42 s", "4 min 05 s", "5 h 01 min", "3 days",
    ]  # fmt: skip


@in_node
def test_the_order_and_the_filter() -> None:
    def run(name: str, score: float | None, metric: str = "val_loss", **more: Any) -> dict[str, Any]:
        shown = {"run": name, "name": name, "best_metric": metric, "best_value": score, "seconds": 1}
        return {**shown, "started": 1, "state": "finished", "larger_is_better": "acc" in metric, **more}

    runs = [
        run("a", 0.2, started=3),
        run("b", 0.1, state="running"),
        run("c", 0.7, "val_accuracy", seconds=9),
        run("d", 0.9, "val_accuracy", started=2),
    ]
    orders = ["newest", "state", "score", "name", "time"]
    names = "orders.map((order) => Hornbeam.sorted(runs, order).map(({ run }) => run).join(''))"
    assert run_script(names, runs=runs, orders=orders) == ["adcb", "badc", "dcba", "abcd", "cadb"]
    about = {**run("a", 1), "command": "python train.py", "engine": "native", "notes": "Good one"}
    filters = ["", "GOOD native", "train.py a", "torch"]
    matches = run_script("filters.map((text) => Hornbeam.matches(about, text))", filters=filters, about=about)
    assert matches == [True, True, True, False]


@pytest.mark.long
def test_a_training_in_another_process_is_followed_and_stopped(tmp_path: Path) -> None:
    runs, kept = tmp_path / "runs", tmp_path / "kept.keras"
    old = write_run(runs, "old", status="finished", name=HOSTILE, command=HOSTILE)
    (old / "notes.txt").write_text(HOSTILE)
    with watching(runs, "--control") as server, chromium() as browser:
        page, heard = opened(browser, f"{server.address}/#token={server.token}", "light", 1200)
        page.on("dialog", lambda dialog: dialog.accept())
        page.wait_for_selector(".run.chosen")
        command = [sys.executable, "-c", TRAINING, str(runs), str(kept)]
        with subprocess.Popen(command) as training:
            try:
                row = page.locator(".run", has_text="running")
                row.wait_for(timeout=30_000)
                row.locator("input").check()
                wait_until(lambda: curve_length(page) >= 3)
                before = curve_length(page)
                wait_until(lambda: curve_length(page) >= before + 3)
                card = page.locator(".details .card", has_text="live")
                card.locator("textarea").fill("watched <b>live</b>")
                card.get_by_role("button", name="Save the note").click()
                card.get_by_text("saved", exact=True).wait_for()
                card.get_by_role("button", name="Stop the training").click()
                card.locator(".state", has_text="stopped").wait_for(timeout=20_000)
                assert training.wait(30) == 0
            finally:
                training.kill()
        # Texts of files are texts.
        assert page.title() == "hornbeam watch"
        assert page.locator(".run img, .details img, #table img, #table script").count() == 0
        assert page.locator(".details textarea").first.input_value() == HOSTILE
        assert not [line for line in heard if not line.startswith(f"request: {server.address}")]
    (path,) = [folder for folder in runs.iterdir() if folder.name != "old"]
    run = read_run(path)
    assert run.info["stopped"] == "on request"
    assert 3 <= len(run.epochs) < 400
    assert (path / "notes.txt").read_text() == "watched <b>live</b>"
    assert kept.is_file()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1360])
@pytest.mark.parametrize("options", [[], ["--control"]])
def test_the_page_can_be_read(tmp_path: Path, scheme: str, width: int, options: list[str]) -> None:
    for seed in range(3):
        path = write_run(tmp_path, f"seed-{seed}", 8, seed=seed, status="finished")
        (path / "notes.txt").write_text("a note " * 30)
    write_run(tmp_path, "a-long-name-without-any-space-" + "x" * 60, 4, units=99)
    with watching(tmp_path, *options) as server, chromium() as browser:
        page, heard = opened(browser, f"{server.address}/#token={server.token}", scheme, width)
        page.wait_for_selector(".run.chosen")
        page.locator(".seeds:visible").first.click()
        page.wait_for_selector(".chart .band")
        page.wait_for_selector("#table tbody tr")
        assert page.evaluate(OUTSIDE) == []
        assert [text for ratio, text in page.evaluate(CONTRASTS) if ratio < 4.5] == []
        assert page.locator("textarea:visible").count() == (4 if options else 0)
        assert not [line for line in heard if not line.startswith(f"request: {server.address}")]


@pytest.mark.slow
def test_the_page_is_used_by_keyboard(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path, name, 5, status="finished")
    with watching(tmp_path) as server, chromium() as browser:
        page, _ = opened(browser, server.address, "light", 1200)
        page.wait_for_selector(".run.chosen")
        page.locator("#filter").press_sequentially("one")
        assert page.locator(".run").count() == 1
        page.keyboard.press("Tab")  # the order
        page.keyboard.press("Tab")  # the only run
        page.keyboard.press("Space")
        page.wait_for_selector(".run.chosen")
        page.locator(".chart svg").first.focus()
        page.keyboard.press("ArrowLeft")
        page.get_by_text("epoch 4", exact=True).first.wait_for()
        page.keyboard.press("Escape")
        page.get_by_text("last epoch", exact=True).first.wait_for()
        append_epoch(tmp_path / "one", 6, {"loss": 1.0})  # a run that has ended is not followed
        time.sleep(1)
        assert page.locator(".run", has_text="epoch 6").count() == 0
