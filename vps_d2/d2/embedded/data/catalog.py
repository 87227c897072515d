"""Data sets and their Metadata, by name."""

from collections import UserDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

__all__ = ["DatasetCatalog", "Metadata", "MetadataCatalog"]


class _DatasetCatalog(UserDict):
    """From a name to the function that returns the data set."""

    def register(self, name: str, func: Callable[[], list[dict[str, Any]]]) -> None:
        """Give a data set a name.

        Args:
            name: the name, which must be free.
            func: returns the records, the same ones whenever it is called.
        """
        assert callable(func), f"data set {name} must be registered as a function"
        assert name not in self, f"data set {name} is already registered"
        self[name] = func

    def get(self, name: str) -> list[dict[str, Any]]:  # type: ignore[override]
        """Return the records of a data set.

        Raises:
            KeyError: if none has this name.
        """
        if name not in self:
            raise KeyError(f"data set {name} is not registered; there are {', '.join(self)}")
        return self[name]()

    def list(self) -> list[str]:
        """Return the names."""
        return list(self)

    def remove(self, name: str) -> None:
        """Forget a data set."""
        del self[name]


class Metadata(SimpleNamespace):
    """What is known about a data set, as attributes that can be set once."""

    name: str = "N/A"

    def __setattr__(self, key: str, value: Any) -> None:
        if key in self.__dict__ and self.__dict__[key] != value:
            raise AssertionError(
                f"metadata {key} of {self.name} is already {self.__dict__[key]!r}; it cannot "
                f"become {value!r}"
            )
        super().__setattr__(key, value)

    def __getattr__(self, key: str) -> Any:
        raise AttributeError(
            f"the metadata of {self.name} has no {key}, only {', '.join(self.__dict__)}"
        )

    def set(self, **kwargs: Any) -> "Metadata":
        """Set several attributes, and return this object."""
        for key, value in kwargs.items():
            setattr(self, key, value)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute, or ``default`` where there is none."""
        return getattr(self, key, default)


class _MetadataCatalog(UserDict):
    """From the name of a data set to its only :class:`Metadata`."""

    def get(self, name: str) -> Metadata:  # type: ignore[override]
        """Return the metadata of a data set, which are made if there are none."""
        if name not in self:
            self[name] = Metadata(name=name)
        return self[name]

    def remove(self, name: str) -> None:
        """Forget the metadata of a data set."""
        del self[name]


DatasetCatalog = _DatasetCatalog()
"""The data sets of this process."""

MetadataCatalog = _MetadataCatalog()
"""The metadata of this process's data sets."""
