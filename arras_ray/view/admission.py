"""Who may look and who may steer: one-time tokens in links become cookies."""

from __future__ import annotations

import secrets
from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """What a viewer may do."""

    steers: bool


class Admission:
    """Tokens and cookies of one server. steer: opens once, for who may steer; watch: for any number of watchers, who
    all get the same cookie."""

    def __init__(self, steerable: bool = True) -> None:
        self.steer = secrets.token_urlsafe(24) if steerable else ""
        self.watch = secrets.token_urlsafe(24)
        self._watcher = secrets.token_urlsafe(24)
        self._roles = {self._watcher: Role(False)}

    def enter(self, token: str) -> str | None:
        """The cookie for a token, None for one that does not open, or does not any more."""
        if secrets.compare_digest(token.encode(), self.watch.encode()):
            return self._watcher
        if not self.steer or not secrets.compare_digest(token.encode(), self.steer.encode()):
            return None
        self.steer, cookie = "", secrets.token_urlsafe(24)
        self._roles[cookie] = Role(True)
        return cookie

    def role(self, cookie: str | None) -> Role | None:
        """Whose cookie this is; None for nobody's."""
        return self._roles.get(cookie or "")
