"""Clients of others: that of Triton speaks the Open Inference Protocol, with binary tensors by default."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.served_models import Server

triton = pytest.importorskip("tritonclient.http", reason="pip install tritonclient[http]")


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_of_triton(server: Server, binary: bool) -> None:
    client = triton.InferenceServerClient(server.address.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("two_inputs")
    arrays = {"x": np.array([[1, 2], [3, 4]], "float32"), "n": np.array([1, 2])}
    inputs = []
    for described in client.get_model_metadata("two_inputs")["inputs"]:
        array = arrays[described["name"]]
        inputs.append(triton.InferInput(described["name"], array.shape, described["datatype"]))
        inputs[-1].set_data_from_numpy(array, binary_data=binary)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("sum", "odd")]
    answer = client.infer("two_inputs", inputs, outputs=outputs)
    np.testing.assert_array_equal(answer.as_numpy("sum"), [[2, 3], [5, 6]])
    np.testing.assert_array_equal(answer.as_numpy("odd"), [True, False])
    with pytest.raises(Exception, match=r"inputs \['n'\] are missing"):
        client.infer("two_inputs", inputs[:1])
    client.close()
