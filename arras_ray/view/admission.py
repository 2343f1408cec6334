"""Who may look and who may steer: one-time tokens in links become cookies."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

MOST_COOKIES = 4096
"""Watchers that are let in by one server in all: a link that is passed on without end is not."""


@dataclass(frozen=True)
class Role:
    """What a viewer may do."""

    steers: bool


class Admission:
    """Tokens and cookies of one server. steer: opens once, for who may steer; watch: for any number of watchers."""

    def __init__(self, steerable: bool = True) -> None:
        self.steer = secrets.token_urlsafe(24) if steerable else ""
        self.watch = secrets.token_urlsafe(24)
        self._roles: dict[str, Role] = {}

    def enter(self, token: str) -> str | None:
        """The cookie for a token, None for one that does not open, or does not any more."""
        steers = bool(self.steer) and secrets.compare_digest(token.encode(), self.steer.encode())
        if steers:
            self.steer = ""
        elif not secrets.compare_digest(token.encode(), self.watch.encode()) or len(self._roles) >= MOST_COOKIES:
            return None
        cookie = secrets.token_urlsafe(24)
        self._roles[cookie] = Role(steers)
        return cookie

    def role(self, cookie: str | None) -> Role | None:
        """Whose cookie this is; None for nobody's."""
        return self._roles.get(cookie or "")
