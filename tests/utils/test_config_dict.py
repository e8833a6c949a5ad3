"""`utils.Config`."""

from __future__ import annotations

import pytest

from hornbeam.utils import Config


def test_a_dict_with_attributes_that_can_be_frozen() -> None:
    config = Config(rate=0.1)
    config.momentum = 0.9
    config["seed"] = 3
    config.update(name="x")
    assert config.pop("name") == "x"
    assert list(config) == ["momentum", "rate", "seed"]
    assert (config.rate, config["seed"], config.get("none", 5), len(config)) == (0.1, 3, 5, 3)
    assert config.as_dict() == {"rate": 0.1, "momentum": 0.9, "seed": 3}
    config.freeze()
    for change in (
        lambda: setattr(config, "rate", 1),
        lambda: config.pop("rate"),
        lambda: config.update(a=1),
    ):
        with pytest.raises(ValueError, match="frozen"):
            change()
    config.unfreeze()
    del config["seed"]
    assert "seed" not in config
    with pytest.raises(AttributeError, match="Did you mean 'rate'"):
        _ = config.rat
    with pytest.raises(AttributeError, match="choose another name"):
        config.items = 3
