"""The objects in one image, with their properties."""

from typing import Any

from vps_d2.d2.embedded.structures.boxes import Index

__all__ = ["Instances"]


class Instances:
    """Fields of equal length, one entry for each object of an image.

    Fields are set and read as attributes (``instances.gt_boxes = Boxes(...)``), and indexing acts
    on all of them (``instances[instances.scores > 0.5]``). Names with a leading underscore are
    ordinary attributes.

    Args:
        image_size: height and width of the image.
        kwargs: fields.
    """

    def __init__(self, image_size: tuple[int, int], **kwargs: Any):
        self._image_size = image_size
        self._fields: dict[str, Any] = {}
        for name, value in kwargs.items():
            self.set(name, value)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self._image_size

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            self.set(name, value)

    def __getattr__(self, name: str) -> Any:
        # Only called for missing attributes; _fields itself is missing while unpickling.
        fields = self.__dict__.get("_fields", {})
        if name not in fields:
            raise AttributeError(f"these Instances have no field {name!r}, but only {list(fields)}")
        return fields[name]

    def set(self, name: str, value: Any) -> None:
        """Set a field, whose length must be that of the others."""
        if self._fields and len(value) != len(self):
            raise AssertionError(f"field {name!r} has length {len(value)}, others {len(self)}")
        self._fields[name] = value

    def has(self, name: str) -> bool:
        """Return whether there is a field of this name."""
        return name in self._fields

    def get_fields(self) -> dict[str, Any]:
        """Return the fields; a change of this dict is a change of the instances."""
        return self._fields

    def to(self, *args: Any, **kwargs: Any) -> "Instances":
        """Return instances with ``to`` called on every field that has it."""
        moved = Instances(self._image_size)
        for name, value in self._fields.items():
            moved.set(name, value.to(*args, **kwargs) if hasattr(value, "to") else value)
        return moved

    def __getitem__(self, item: Index) -> "Instances":
        if isinstance(item, int):
            if not -len(self) <= item < len(self):
                raise IndexError(f"index {item} for {len(self)} instances")
            item = slice(item, item + 1 or None)
        chosen = Instances(self._image_size)
        for name, value in self._fields.items():
            chosen.set(name, value[item])
        return chosen

    def __len__(self) -> int:
        for value in self._fields.values():
            return len(value)
        raise TypeError("Instances without fields have no length")

    def __iter__(self) -> Any:
        raise TypeError("Instances cannot be iterated over; index them instead")

    def __repr__(self) -> str:
        height, width = self._image_size
        count = len(self) if self._fields else 0
        fields = ", ".join(f"{name}: {value}" for name, value in self._fields.items())
        return (
            f"Instances(num_instances={count}, image_height={height}, image_width={width}, "
            f"fields=[{fields}])"
        )
