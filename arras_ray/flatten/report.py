"""What could not be drawn as the scene asks: told once a kind, with a count and the first name."""

from __future__ import annotations


class Report:
    """Collects remarks; the same remark about many objects becomes one line."""

    def __init__(self) -> None:
        self._seen: dict[str, list[str]] = {}

    def note(self, remark: str, name: str) -> None:
        """Remember that `remark` holds of the object `name`."""
        names = self._seen.setdefault(remark, [])
        if name not in names:
            names.append(name)

    def lines(self) -> list[str]:
        """One sentence a remark, in the order they first came."""
        return [
            f"{remark}: {names[0]}" if len(names) == 1 else f"{remark}: {names[0]} and {len(names) - 1} more"
            for remark, names in self._seen.items()
        ]
