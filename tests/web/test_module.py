"""The shipped module: its size, what it exports, and a page in a browser."""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hornbeam.export.frozen import VERSION, freeze
from hornbeam.runtime import FrozenModel
from tests.helpers.browser import BROWSER
from tests.helpers.model_zoo import perceptron
from tests.helpers.web_engine import FOLDER, NODE, WebEngine, WebModel
from tools import build_web

MODULE = gzip.decompress(build_web.MODULE.read_bytes())
# Bytes of the compressed module. A feature may cost some; a loop that is unrolled in vain costs more.
LARGEST = 850_000


def test_the_size_is_fit_for_a_page() -> None:
    assert build_web.MODULE.stat().st_size < LARGEST


INTERFACE = """const { Module, Instance } = WebAssembly;
const module = new Module(require("zlib").gunzipSync(require("fs").readFileSync(process.argv[1])));
const exports = Object.entries(new Instance(module, {}).exports).map(([name, { length }]) => [name, length]);
const lengths = Object.fromEntries(exports.filter(([name]) => name.startsWith("hornbeam_")));
console.log(JSON.stringify([Module.imports(module), lengths]));"""


def arguments_in_sources() -> dict[str, int]:
    """Number of arguments of each function that the crate exports."""
    crate = build_web.ROOT / "crates" / "hornbeam-web" / "src"
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(crate.glob("*.rs")))
    functions = re.findall(r'extern "C" fn (hornbeam_\w+)\(([^)]*)\)', text)
    return {name: len(re.findall(r"\w:(?!:)", arguments)) for name, arguments in functions}


@pytest.mark.skipif(NODE is None, reason="needs Node.js (node on the PATH)")
def test_the_module_has_the_interface_of_the_sources() -> None:
    """It is not built anew for each change of a kernel, but for each of what it exports."""
    command = [str(NODE), "--eval", INTERFACE, str(build_web.MODULE)]
    imports, exports = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    script = (FOLDER / "engine.js").read_text(encoding="utf-8")
    assert imports == []
    assert exports == arguments_in_sources(), "the interface has changed: make web"
    assert set(exports) == set(re.findall(r"\bhornbeam_\w+", script))


@pytest.mark.skipif(NODE is None, reason="needs Node.js (node on the PATH)")
def test_the_module_reads_the_format_of_frozen_models() -> None:
    data = freeze(perceptron()[0])
    assert f'"version": "{VERSION}"'.encode() in data.replace(b'":"', b'": "')
    engine = WebEngine()
    try:
        assert list(WebModel(engine, data).signatures) == ["predict"], "the format has changed: make web"
    finally:
        engine.close()


PAGE = """<body><script>
%s
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const engine = new Engine(new WebAssembly.Instance(new WebAssembly.Module(bytes("%s")), {}));
const outputs = engine.load(bytes("%s")).run(%s);
document.body.textContent = JSON.stringify(Object.values(outputs).map(({ data }) => Array.from(data)));
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome on the PATH")
def test_a_page_computes_what_predict_computes(tmp_path: Path) -> None:
    model, (x,) = perceptron()
    data = freeze(model)
    frozen = FrozenModel.from_bytes(data)
    (name,) = (spec.name for spec in frozen.signatures["predict"].inputs)
    script = re.sub(r"^export ", "", (FOLDER / "engine.js").read_text(encoding="utf-8"), flags=re.M)
    value = f"{{ {name}: {{ shape: {list(x.shape)}, data: Float32Array.from({x.ravel().tolist()}) }} }}"
    encoded = [base64.b64encode(part).decode() for part in (MODULE, data)]
    page = tmp_path / "page.html"
    page.write_text(PAGE % (script, *encoded, value), encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [str(BROWSER), *options, "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    (text,) = re.findall(r"<body>(\[.*\])</body>", shown)
    for got, expected in zip(json.loads(text), frozen.run({name: x}).values(), strict=True):
        np.testing.assert_allclose(np.reshape(got, expected.shape), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(NODE is None, reason="needs Node.js (node on the PATH)")
@pytest.mark.skipif(build_web.toolchain() is None, reason="needs a Rust toolchain for wasm32-unknown-unknown")
def test_the_sources_build(tmp_path: Path) -> None:
    module = tmp_path / "engine.wasm.gz"
    module.write_bytes(gzip.compress(build_web.build(tmp_path / "target")))
    engine = WebEngine(module)
    model, (x,) = perceptron()
    data = freeze(model)
    (name,) = (spec.name for spec in FrozenModel.from_bytes(data).signatures["predict"].inputs)
    got, _ = WebModel(engine, data).run({name: x})
    engine.close()
    for output, expected in zip(
        got.values(), FrozenModel.from_bytes(data).run({name: x}).values(), strict=True
    ):
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)
