"""What a session is for, in a production's words: nothing in it changes by them, they tell people whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NO_TITLE = "[No Title]"


@dataclass(frozen=True)
class SessionOptions:
    """The options of a session of Arras. None: not said. metadata: anything JSON can tell."""

    production: str | None = None
    sequence: str | None = None
    shot: str | None = None
    asset_group: str | None = None
    asset: str | None = None
    department: str | None = None
    team: str | None = None
    metadata: Mapping[str, Any] | str | None = None

    @property
    def title(self) -> str:
        """Sequence, shot, asset group and asset, as far as they are said."""
        parts = (self.sequence, self.shot, self.asset_group, self.asset)
        return " ".join(part for part in parts if part) or NO_TITLE
