"""The Open Inference Protocol and TensorFlow Serving's, as their clients use them."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest


def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


X = tensor("x", "FP32", [2, 3], [1, 2.5, 3, 4, 5, 6])


def infer(
    client: httpx.Client, *inputs: dict[str, Any], model: str = "scaled", **more: Any
) -> httpx.Response:
    return client.post(f"/v2/models/{model}/infer", json={"inputs": list(inputs), **more})


# -- Open Inference Protocol ---------------------------------------------------------------------------------


def test_health_and_metadata(client: httpx.Client) -> None:
    assert client.get("/v2/health/live").json()["live"]
    assert client.get("/v2/health/ready").json()["ready"]
    assert client.get("/v2").json()["name"] == "hornbeam"
    assert client.get("/v2/models/scaled/ready").json() == {"name": "scaled", "ready": True}
    metadata = client.get("/v2/models/scaled/versions/1").json()
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
    assert {"name": "words", "version": "1", "state": "READY", "reason": ""} in client.post(
        "/v2/repository/index"
    ).json()


@pytest.mark.parametrize("data", [[1, 2.5, 3, 4, 5, 6], [[1, 2.5, 3], [4, 5, 6]]], ids=["flat", "nested"])
def test_infer(client: httpx.Client, data: Any) -> None:
    answer = infer(client, {**X, "data": data}, id="7").json()
    assert answer == {
        "model_name": "scaled",
        "model_version": "1",
        "id": "7",
        "outputs": [tensor("y", "FP32", [2, 3], [2, 5, 6, 8, 10, 12])],
    }
    assert client.post("/v2/models/scaled/versions/1/infer", json={"inputs": [X]}).json()["outputs"]


def test_several_inputs_and_chosen_outputs(client: httpx.Client) -> None:
    inputs = tensor("n", "INT64", [2], [1, 2]), tensor("x", "FP32", [2, 2], [0, 0, 1, 1])
    answer = infer(client, *inputs, model="two_inputs").json()
    assert answer["outputs"] == [
        tensor("sum", "FP32", [2, 2], [1, 1, 3, 3]),
        tensor("odd", "BOOL", [2], [True, False]),
    ]
    answer = infer(client, *inputs, model="two_inputs", outputs=[{"name": "odd"}]).json()
    assert [output["name"] for output in answer["outputs"]] == ["odd"]


def test_binary_tensors_both_ways(client: httpx.Client) -> None:
    values = np.array([[1, np.nan, 3]], "<f4")
    described = {"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}
    head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}}).encode()
    answer = client.post(
        "/v2/models/scaled/infer",
        content=head + values.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    size = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.content[:size])["outputs"]
    assert output["parameters"] == {"binary_data_size": 12}
    np.testing.assert_array_equal(np.frombuffer(answer.content[size:], "<f4"), [2, np.nan, 6])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "z"}, "no input is named 'z'"),
        ({"datatype": "FP64"}, "expected 'FP32'"),
        ({"shape": [2, 4]}, "does not fit [-1, 3]"),
        ({"shape": [0, 3], "data": []}, "does not fit"),
        ({"shape": [2.0, 3]}, "list of integers"),
        ({"shape": [True, 3], "data": [1, 2, 3]}, "list of integers"),
        ({"shape": [2, -3]}, "does not fit"),
        ({"data": [1, 2, 3]}, "3 values came for shape [2, 3], which has 6"),
        ({"data": [[1, 2, 3], [4, 5]]}, "a list of 2 came where axis 1"),
        ({"data": [[1, 2, 3], 4]}, "a number came where axis 1"),
        ({"data": ["1", 2, 3, 4, 5, 6]}, "numbers are expected"),
        ({"data": [True, 2, 3, 4, 5, 6]}, "a boolean came"),
        ({"data": [None, 2, 3, 4, 5, 6]}, "numbers are expected"),
        ({"data": [1e39, 2, 3, 4, 5, 6]}, "out of range"),
        ({"data": 1}, "a list of values was expected"),
        ({"data": {}}, "an object came"),
        ({"parameters": []}, "parameters is an object"),
        ({"parameters": {"binary_data_size": 24}}, "both data and binary_data_size"),
    ],
)
def test_wrong_tensors_are_refused_with_a_sentence(
    client: httpx.Client, change: dict[str, Any], sentence: str
) -> None:
    answer = infer(client, {**X, **change})
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"inputs": [', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"inputs": 3}', 'needs "inputs"'),
        (b'{"inputs": [3]}', 'needs "inputs"'),
        (b'{"inputs": []}', "inputs ['x'] are missing"),
        (json.dumps({"inputs": [X, X]}).encode(), "came twice"),
        (json.dumps({"inputs": [X], "outputs": [{"name": "q"}]}).encode(), "no output is named 'q'"),
        (json.dumps({"inputs": [X], "id": 3}).encode(), "id is a string"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_wrong_bodies_are_refused_with_a_sentence(client: httpx.Client, body: bytes, sentence: str) -> None:
    answer = client.post("/v2/models/scaled/infer", content=body)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


@pytest.mark.parametrize(
    ("size", "header", "binary", "sentence"),
    [
        (12, None, b"\0" * 8, "8 bytes are left after the JSON"),
        (12, None, b"\0" * 13, "1 bytes after the JSON belong to no input"),
        (11, None, b"\0" * 11, "11 bytes came, FP32 of shape [1, 3] has 12"),
        (-1, None, b"", "binary_data_size is -1"),
        (True, None, b"\0", "binary_data_size is True"),
        (12, "x", b"\0" * 12, "Inference-Header-Content-Length is 'x'"),
        (12, "100000", b"\0" * 12, "Inference-Header-Content-Length is '100000'"),
        (12, "1" * 5000, b"\0" * 12, "Inference-Header-Content-Length is '11111111111111111111'"),
    ],
)
def test_wrong_binary_tensors_are_refused(
    client: httpx.Client, size: Any, header: str | None, binary: bytes, sentence: str
) -> None:
    described = {"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [described]}).encode()
    headers = {"Inference-Header-Content-Length": header or str(len(head))}
    answer = client.post("/v2/models/scaled/infer", content=head + binary, headers=headers)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


def test_numbers_of_samples_must_agree(client: httpx.Client) -> None:
    answer = infer(
        client, tensor("n", "INT64", [1], [1]), tensor("x", "FP32", [2, 2], [0] * 4), model="two_inputs"
    )
    assert "different numbers of samples: [1, 2]" in answer.json()["error"]


@pytest.mark.parametrize("value", [1.0, 2**63, -(2**63) - 1, "1", True])
def test_integers_are_integers_in_range(client: httpx.Client, value: Any) -> None:
    answer = infer(
        client, tensor("n", "INT64", [1], [value]), tensor("x", "FP32", [1, 2], [0, 0]), model="two_inputs"
    )
    assert answer.status_code == 400
    assert "INT64" in answer.json()["error"]


# -- TensorFlow Serving --------------------------------------------------------------------------------------


def predict(client: httpx.Client, model: str = "scaled", **body: Any) -> httpx.Response:
    return client.post(f"/v1/models/{model}:predict", json=body)


def test_rows_and_columns(client: httpx.Client) -> None:
    assert predict(client, instances=[[1, 2, 3]]).json() == {"predictions": [[2, 4, 6]]}
    assert predict(client, inputs=[[1, 2, 3]]).json() == {"outputs": [[2, 4, 6]]}
    assert predict(client, inputs={"x": [[1, 2, 3]]}, signature_name="serving_default").json() == {
        "outputs": [[2, 4, 6]]
    }
    rows = [{"x": [1, 2], "n": 3}, {"x": [0, 0], "n": 2}]
    assert predict(client, "two_inputs", instances=rows).json() == {
        "predictions": [{"sum": [4, 5], "odd": True}, {"sum": [2, 2], "odd": False}]
    }
    assert client.post("/v1/models/scaled/versions/1:predict", json={"instances": [[1, 2, 3]]}).is_success


def test_status_and_metadata(client: httpx.Client) -> None:
    (state,) = client.get("/v1/models/scaled").json()["model_version_status"]
    assert (state["version"], state["state"]) == ("1", "AVAILABLE")
    signatures = client.get("/v1/models/scaled/metadata").json()["metadata"]["signature_def"]["signature_def"]
    x = signatures["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert [size["size"] for size in x["tensor_shape"]["dim"]] == ["-1", "3"]


@pytest.mark.parametrize(
    ("model", "body", "sentence"),
    [
        ("scaled", {}, 'either "instances"'),
        ("scaled", {"instances": [[1, 2, 3]], "inputs": [[1, 2, 3]]}, 'either "instances"'),
        ("scaled", {"instances": []}, "at least one row"),
        ("scaled", {"instances": 1}, "at least one row"),
        ("scaled", {"instances": [[1, 2]]}, "does not fit [-1, 3]"),
        ("scaled", {"instances": [[1, 2, 3], [1, 2]]}, "a list of 2 came where axis 1"),
        ("scaled", {"instances": [[1, [2], 3]]}, "numbers are expected"),
        ("scaled", {"instances": [[1, 2, 3]], "signature_name": "other"}, "no signature 'other'"),
        ("scaled", {"instances": [[1, 2, 3]], "signature_name": []}, "no signature []"),
        ("two_inputs", {"instances": [[1, 2]]}, "the model has 2 inputs"),
        ("two_inputs", {"instances": [{"x": [1, 2]}]}, "expected the inputs ['x', 'n']"),
        ("two_inputs", {"instances": [{"x": [1, 2], "n": 1}, 3]}, "row 1 of instances"),
        ("two_inputs", {"inputs": {"x": [[1, 2]]}}, "expected ['x', 'n']"),
    ],
)
def test_wrong_requests_are_refused(
    client: httpx.Client, model: str, body: dict[str, Any], sentence: str
) -> None:
    answer = predict(client, model, **body)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


# -- strings, without a server -------------------------------------------------------------------------------


def test_strings_as_text_base64_and_bytes() -> None:
    from hornbeam.serving import tensorflow_serving, tensors
    from tests.helpers.served_models import Pair, Spec

    spec = Spec("text", "string", (None,))
    signatures = {"predict": Pair((spec,), (Spec("y", "float32", (None,)),))}
    encoded = base64.b64encode("zwölf".encode()).decode()
    body = json.dumps({"instances": ["one", {"b64": encoded}]}).encode()
    request = tensorflow_serving.parse(body, signatures)
    assert request.inputs["text"].tolist() == ["one", "zwölf"]
    data = tensors.to_bytes(request.inputs["text"])
    assert data == struct.pack("<I", 3) + b"one" + struct.pack("<I", 6) + "zwölf".encode()
    assert tensors.from_bytes(spec, memoryview(data), (2,)).tolist() == ["one", "zwölf"]
    for wrong in (data[:-1], data + b"\0", data[:2], data.replace(b"one", b"\xff\xff\xff")):
        with pytest.raises(tensors.RequestError):
            tensors.from_bytes(spec, memoryview(wrong), (2,))
