"""Named values with attribute access that can be frozen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from hornbeam._internal.naming import nearest
from hornbeam._internal.typing import Tree


class Config(MutableMapping[str, Any]):
    """Dict whose values are also attributes, and which can be frozen against changes.

    Args:
        **kwargs: Names and values.

    Raises:
        AttributeError: On access to a missing name.
        ValueError: On a change while frozen.

    Example:
        >>> config = Config(rate=0.1)
        >>> config.momentum = 0.9
        >>> config["rate"], config.momentum, config.to_json()
        (0.1, 0.9, '{"rate": 0.1, "momentum": 0.9}')
    """

    def __init__(self, **kwargs: Any) -> None:
        object.__setattr__(self, "_config", kwargs)
        object.__setattr__(self, "_frozen", False)

    @property
    def frozen(self) -> bool:
        """True if changes are refused."""
        return bool(self._frozen)

    def freeze(self) -> None:
        """Refuse changes from now on."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self) -> None:
        """Allow changes again."""
        object.__setattr__(self, "_frozen", False)

    def as_dict(self) -> dict[str, Any]:
        """Return a dict of the values."""
        return dict(self._config)

    def to_json(self) -> str:
        """Return the values as JSON."""
        return json.dumps(self._config)

    def __getitem__(self, name: str) -> Tree:
        return self._config[name]

    def __setitem__(self, name: str, value: object) -> None:
        self._check_not_frozen()
        self._config[name] = value

    def __delitem__(self, name: str) -> None:
        self._check_not_frozen()
        del self._config[name]

    def __getattr__(self, name: str) -> Any:
        config: Mapping[str, Any] = self.__dict__.get("_config", {})
        if name not in config:
            raise AttributeError(f"the config has no {name!r}.{nearest(name, config)}")
        return config[name]

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(type(self), name):
            raise AttributeError(f"{name!r} is an attribute of every Config: choose another name")
        self[name] = value

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._config))

    def __len__(self) -> int:
        return len(self._config)

    def __repr__(self) -> str:
        return f"<Config {self._config}>"

    def _check_not_frozen(self) -> None:
        if self._frozen:
            raise ValueError("the config is frozen: call unfreeze() before changing it")
