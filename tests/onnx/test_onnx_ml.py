"""ONNX files of scikit-learn: the operators of `ai.onnx.ml`, labels that are strings, and maps as results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam.errors import ModelFileError, ValueNeededError
from hornbeam.saving import load_model, load_onnx
from tests.helpers import onnx_bytes as onnx

ML = "ai.onnx.ml"
FLOAT, INT, TEXT = 1, 7, 8
X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], "float32")
STRINGS = np.array([["a"], ["c"], ["?"]], object)
# A type of a sequence of maps, which the reader of files does not look into.
MAPS = onnx.lengthy(1, b"probabilities") + onnx.lengthy(
    2, onnx.lengthy(4, onnx.lengthy(1, onnx.lengthy(5, b"")))
)


def written(path: Path, nodes: list[bytes], ends: Any, inputs: Any = (("x", ["n", 3], FLOAT),)) -> Any:
    """The model of a file that uses operators of scikit-learn alone."""
    listed = {
        key: [x if isinstance(x, bytes) else onnx.value(x[0], x[1], x[2]) for x in values]
        for key, values in (("input", inputs), ("output", ends))
    }
    body = onnx.graph(nodes, **listed)
    domains = [onnx.message("opset", domain=ML, version=3)]
    if any(b"ai.onnx.ml" not in node for node in nodes):
        domains.append(onnx.message("opset", version=20))
    path.write_bytes(onnx.model(body, opset_import=domains))
    return load_onnx(path)


def result(path: Path, op: str, x: Any, code: int = FLOAT, domain: str = ML, **attributes: Any) -> np.ndarray:
    """The result of an operator with one input and one output."""
    x = np.asarray(x)
    kind = {"f": FLOAT, "i": INT, "O": TEXT}[x.dtype.kind]
    node = onnx.node(op, ["x"], ["y"], domain, **attributes)
    model = written(path, [node], [("y", ["n"] * x.ndim, code)], [("x", ["n", *x.shape[1:]], kind)])
    return np.asarray(model(x))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


def test_features_are_scaled(path: Path) -> None:
    scaled = result(path, "Scaler", X, offset=[1.0, 2.0, 3.0], scale=[2.0, 1.0, 0.5])
    np.testing.assert_allclose(scaled, (X - [1, 2, 3]) * [2, 1, 0.5])
    rows = np.vstack([X, np.zeros((1, 3), "float32")])
    unit = rows / np.maximum(np.abs(rows).sum(1, keepdims=True), 1e-9)
    np.testing.assert_allclose(result(path, "Normalizer", rows, norm="L1"), unit, rtol=1e-6)
    np.testing.assert_array_equal(result(path, "Binarizer", X, threshold=0.75), X > 0.75)
    with pytest.raises(ModelFileError, match="norm='L3' is not supported"):
        result(path, "Normalizer", X, norm="L3")


@pytest.mark.parametrize("marker", [float("nan"), 4.0])
def test_missing_values_are_imputed(path: Path, marker: float) -> None:
    x = np.where(X == 4, np.float32(marker), X)
    y = result(path, "Imputer", x, imputed_value_floats=[7.0, 8.0, 9.0], replaced_value_float=marker)
    np.testing.assert_array_equal(y, np.where(X == 4, 8, X))


def test_linear_functions(path: Path) -> None:
    weights, bias = [1.0, 0.0, 2.0, 0.0, 1.0, 0.0], [0.5, -0.5]
    scores = X @ np.reshape(weights, (2, 3)).T + bias
    options: dict[str, Any] = {"coefficients": weights, "intercepts": bias}
    np.testing.assert_allclose(result(path, "LinearRegressor", X, targets=2, **options), scores, rtol=1e-6)
    node = onnx.node("LinearClassifier", ["x"], ["label", "p"], ML, post_transform="SOFTMAX",
                     classlabels_ints=[5, 9], **options)  # fmt: skip
    labels, p = written(path, [node], [("label", ["n"], INT), ("p", ["n", 2], FLOAT)]).predict(X, verbose=0)
    np.testing.assert_array_equal(labels, [5, 9])
    powers = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(p, powers / powers.sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(("known", "unknown"), [(1, [0, 0, 0]), (0, [np.nan] * 3)])
def test_categories_become_vectors(path: Path, known: int, unknown: list[float]) -> None:
    vectors = [[[1, 0, 0]], [[0, 0, 1]], [unknown]]
    y = result(path, "OneHotEncoder", STRINGS, cats_strings=["a", "b", "c"], zeros=known)
    np.testing.assert_array_equal(y, vectors)
    numbers = np.array([[7], [5], [6]])
    y = result(path, "OneHotEncoder", numbers, cats_int64s=[7, 8, 5], zeros=known)
    np.testing.assert_array_equal(y, vectors)


KEYS = [
    (STRINGS, {"keys_strings": ["a", "b", "c"]}),
    (np.array([[3], [1], [2]]), {"keys_int64s": [3, 9, 1]}),
    (np.array([[0.5], [np.nan], [2]], "float32"), {"keys_floats": [0.5, 1.0, float("nan")]}),
]
VALUES: list[tuple[int, dict[str, Any], list[Any]]] = [
    (TEXT, {"values_strings": ["u", "v", "w"]}, ["u", "w", "_Unused"]),
    (INT, {"values_int64s": [4, 5, 6], "default_int64": 3}, [4, 6, 3]),
    (FLOAT, {"values_floats": [0.5, 1.0, 1.5], "default_float": -2.0}, [0.5, 1.5, -2.0]),
]


@pytest.mark.parametrize(("x", "keys"), KEYS)
@pytest.mark.parametrize(("code", "values", "expected"), VALUES)
def test_labels_are_mapped(path: Path, x: Any, keys: Any, code: int, values: Any, expected: Any) -> None:
    y = result(path, "LabelEncoder", x, code, **keys, **values)
    assert y.reshape(-1).tolist() == expected


# Two trees: x0 <= 0.75 ? (x1 > 0 ? 1 : 2) : 4, where a missing x1 counts as a yes; and always 10.
TREES: dict[str, Any] = {
    "nodes_treeids": [0, 0, 0, 0, 0, 1],
    "nodes_nodeids": [0, 1, 2, 3, 4, 0],
    "nodes_featureids": [0, 1, 0, 0, 0, 0],
    "nodes_values": [0.75, 0.0, 0.0, 0.0, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 3, 0, 0, 0, 0],
    "nodes_falsenodeids": [2, 4, 0, 0, 0, 0],
    "nodes_missing_value_tracks_true": [0, 1, 0, 0, 0, 0],
}
LEAVES = {"treeids": [0, 0, 0, 1], "nodeids": [3, 4, 2, 0], "ids": [0, 0, 0, 0]}
ROWS = np.array([[0.5, 1, 0], [0.5, -1, 0], [0.5, np.nan, 0], [1, 0, 0], [np.nan, 1, 0]], "float32")


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("SUM", [11, 12, 11, 14, 14]),
        ("AVERAGE", [5.5, 6, 5.5, 7, 7]),
        ("MIN", [1, 2, 1, 4, 4]),
        ("MAX", [10, 10, 10, 10, 10]),
    ],
)
def test_trees_are_summed_up(path: Path, aggregate: str, expected: list[float]) -> None:
    leaves = {f"target_{key}": values for key, values in LEAVES.items()}
    y = result(path, "TreeEnsembleRegressor", ROWS, n_targets=1, target_weights=[1.0, 2.0, 4.0, 10.0],
               aggregate_function=aggregate, base_values=[0.25], **TREES, **leaves)  # fmt: skip
    np.testing.assert_allclose(y[:, 0], np.array(expected) + 0.25)


def test_a_tree_must_end(path: Path) -> None:
    changed = {**TREES, "nodes_truenodeids": [0, 3, 0, 0, 0, 0]}
    leaves = {f"target_{key}": values for key, values in LEAVES.items()}
    with pytest.raises(ModelFileError, match="comes back to one of its nodes"):
        result(path, "TreeEnsembleRegressor", ROWS, target_weights=[1.0] * 4, **changed, **leaves)
    changed = {**TREES, "nodes_truenodeids": [77, 3, 0, 0, 0, 0]}
    with pytest.raises(ModelFileError, match="refers to a node that it does not have"):
        result(path, "TreeEnsembleRegressor", ROWS, target_weights=[1.0] * 4, **changed, **leaves)


def test_one_score_tells_two_classes_apart(path: Path) -> None:
    """And the results are strings and maps: the model runs on the host, as a call."""
    leaves = {f"class_{key}": values for key, values in LEAVES.items()}
    nodes = [
        onnx.node("TreeEnsembleClassifier", ["x"], ["label", "p"], ML, classlabels_strings=["no", "yes"],
                  class_weights=[0.1, 0.2, 0.4, 0.2], **TREES, **leaves),
        onnx.node("ZipMap", ["p"], ["probabilities"], ML, classlabels_strings=["no", "yes"]),
    ]  # fmt: skip
    model = written(path, nodes, [("label", ["n"], TEXT), MAPS])
    labels, maps = model(ROWS)
    assert labels.tolist() == ["no", "no", "no", "yes", "yes"]
    assert [sorted(row) for row in maps] == [["no", "yes"]] * 5
    np.testing.assert_allclose([row["yes"] for row in maps], [0.3, 0.4, 0.3, 0.6, 0.6], rtol=1e-6)
    model.save(path.with_suffix(".keras"))
    assert load_model(path.with_suffix(".keras"))(ROWS)[0].tolist() == labels.tolist()


def test_leaves_of_version_5(path: Path) -> None:
    """They are listed apart, and a node may test whether a value is in a set."""
    y = result(
        path, "TreeEnsemble", np.array([[1, 0], [7, 0], [4, 0], [4, 3], [9, 9]], "float32"), n_targets=2,
        tree_roots=[0], nodes_featureids=[0, 0, 1], nodes_splits=np.array([0, 0, 2], "float32"),
        nodes_modes=np.array([6, 6, 0], "uint8"), nodes_truenodeids=[0, 2, 1], nodes_trueleafs=[1, 0, 1],
        nodes_falsenodeids=[1, 3, 2], nodes_falseleafs=[0, 1, 1],
        membership_values=np.array([1, 7, np.nan, 4, np.nan], "float32"), leaf_targetids=[0, 1, 0, 1],
        leaf_weights=np.array([1, 10, 100, 1000], "float32"),
    )  # fmt: skip
    np.testing.assert_array_equal(y, [[1, 0], [1, 0], [0, 10], [100, 0], [0, 1000]])


def kernel(x: np.ndarray, vectors: np.ndarray, name: str) -> np.ndarray:
    products = 0.5 * x @ vectors.T + 1
    if name == "RBF":
        return np.exp(-0.5 * np.square(x[:, None] - vectors).sum(-1))
    return {"LINEAR": x @ vectors.T, "POLY": products**2, "SIGMOID": np.tanh(products)}[name]


@pytest.mark.parametrize("name", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_support_vectors(path: Path, name: str) -> None:
    vectors = np.array([[1, 0, 1], [0, 1, -1], [0.5, 0.5, 0]], "float32")
    common: dict[str, Any] = {
        "support_vectors": vectors.reshape(-1).tolist(),
        "kernel_type": name,
        "kernel_params": [0.5, 1.0, 2.0],
    }
    expected = kernel(X.astype("float64"), vectors, name) @ [1, -2, 0.5] + 0.25
    y = result(path, "SVMRegressor", X, n_supports=3, coefficients=[1.0, -2.0, 0.5], rho=[0.25], **common)
    np.testing.assert_allclose(y[:, 0], expected, rtol=1e-5)
    node = onnx.node("SVMClassifier", ["x"], ["label", "p"], ML, classlabels_ints=[3, 4], rho=[0.25],
                     vectors_per_class=[1, 2], coefficients=[1.0, -2.0, 0.5], **common)  # fmt: skip
    labels, scores = written(path, [node], [("label", ["n"], INT), ("p", ["n", 2], FLOAT)])(X)
    np.testing.assert_array_equal(labels, np.where(expected > 0, 3, 4))
    np.testing.assert_allclose(np.abs(scores[:, 0]), np.abs(expected), rtol=1e-5)


def test_probabilities_of_pairs_are_coupled(path: Path) -> None:
    """Pairs that agree with probabilities of three classes give those."""
    goal = np.array([0.2, 0.3, 0.5])
    pairs = [(0, 1), (0, 2), (1, 2)]
    odds = [float(np.log(goal[j] / goal[i])) for i, j in pairs]
    node = onnx.node(
        "SVMClassifier", ["x"], ["label", "p"], ML, classlabels_strings=["a", "b", "c"],
        vectors_per_class=[1, 1, 1], coefficients=[0.0] * 6, support_vectors=[0.0] * 9, rho=[1.0] * 3,
        kernel_type="LINEAR", kernel_params=[0.0] * 3, prob_a=[0.0] * 3, prob_b=odds,
    )  # fmt: skip
    label, p = written(path, [node], [("label", ["n"], TEXT), ("p", ["n", 3], FLOAT)])(X)
    assert label.tolist() == ["a", "a"]  # by votes, as LIBSVM does: all decisions are for the first
    np.testing.assert_allclose(p, [goal, goal], atol=2e-3)


def test_strings_of_labels_are_compiled(path: Path) -> None:
    """They are positions in a table until the model has run, so that predict takes them inside of it."""
    nodes = [
        onnx.node("LinearClassifier", ["x"], ["label", "p"], ML, classlabels_strings=["a", "b"],
                  coefficients=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], intercepts=[0.0, 0.0]),
        onnx.node("LabelEncoder", ["label"], ["y"], ML, keys_strings=["b", "a"], values_int64s=[5, 6]),
    ]  # fmt: skip
    model = written(path, nodes, [("y", ["n"], INT)])
    assert model.predict(X, verbose=0).tolist() == model(X).tolist() == [6, 5]


def test_features_of_several_inputs(path: Path) -> None:
    nodes = [
        onnx.node("FeatureVectorizer", ["x", "z"], ["all"], ML, inputdimensions=[2, 2]),
        onnx.node("ArrayFeatureExtractor", ["all", "at"], ["y"], ML),
        onnx.node("Constant", [], ["at"], value=np.array([2, 0])),
    ]
    inputs = [("x", ["n", 3], FLOAT), ("z", ["n", 1], FLOAT)]
    y = written(path, nodes, [("y", ["n", 2], FLOAT)], inputs)([X, X[:, 2:]])
    np.testing.assert_array_equal(y, np.stack([X[:, 2], X[:, 0]], 1))


def test_an_attribute_that_is_not_read_is_an_error(path: Path) -> None:
    with pytest.raises(ModelFileError, match="attributes that are not supported: flavour"):
        result(path, "Scaler", X, flavour="sweet")


def test_operators_of_the_standard_need_a_version(path: Path) -> None:
    domain = onnx.message("opset", domain=ML, version=3)
    path.write_bytes(onnx.model(onnx.graph([onnx.node("Relu", ["x"], ["y"])]), opset_import=[domain]))
    with pytest.raises(ModelFileError, match="which version of the operators"):
        load_onnx(path)


def test_outputs_of_strings_without_a_shape_are_refused(path: Path) -> None:
    node = onnx.node("LabelEncoder", ["x"], ["y"], ML, keys_floats=[1.0], values_strings=["one"])
    kind = onnx.message("type", tensor_type=onnx.message("tensor_type", elem_type=TEXT))
    ends = [onnx.message("value", name="y", type=kind)]
    with pytest.raises(ModelFileError, match="the output 'y' does not say how many axes it has"):
        written(path, [node], ends)


def test_strings_inside_of_a_model_need_a_call(path: Path) -> None:
    nodes = [
        onnx.node("Cast", ["x"], ["text"], to=8),
        onnx.node("LabelEncoder", ["text"], ["y"], ML, keys_strings=["1", "-2"], values_int64s=[5, 6]),
    ]
    model = written(path, nodes, [("y", ["n", 3], INT)])
    assert model(X).tolist() == [[5, 6, -1], [-1, -1, -1]]
    with pytest.raises(ValueNeededError, match="call the model, as model\\(x\\)"):
        model.predict(X, verbose=0)


@pytest.mark.slow
def test_estimators_agree_with_onnx_runtime(path: Path) -> None:
    """As the usual converter writes them."""
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    runtime = pytest.importorskip("onnxruntime")
    from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, preprocessing, svm
    from sklearn.datasets import load_iris
    from sklearn.pipeline import make_pipeline

    x, y = load_iris(return_X_y=True)
    x, names = x.astype("float32"), np.array(["setosa", "versicolor", "virginica"])[y]
    estimators = [
        linear_model.LogisticRegression(), svm.SVC(probability=True), neighbors.KNeighborsClassifier(),
        ensemble.RandomForestClassifier(10), ensemble.GradientBoostingClassifier(n_estimators=5),
        naive_bayes.GaussianNB(),
        make_pipeline(preprocessing.StandardScaler(), neural_network.MLPClassifier()),
    ]  # fmt: skip
    for estimator in estimators:
        for target in (y, y == 2, names):
            estimator.fit(x, target)
            path.write_bytes(to_onnx(estimator, x[:1]).SerializeToString())
            session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
            labels, maps = session.run(None, {"X": x})
            my_labels, my_maps = load_onnx(path)(x)
            assert np.asarray(my_labels).tolist() == list(labels)
            table, mine = ([[row[key] for key in maps[0]] for row in rows] for rows in (maps, my_maps))
            np.testing.assert_allclose(mine, table, rtol=1e-3, atol=1e-4)
