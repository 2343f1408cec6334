"""Asking a cluster's head, without Ray: is it there, and which token does it want?

Ray reads RAY_AUTH_MODE once, when it is imported, so this has to be known before.
"""

from __future__ import annotations

import os
from pathlib import Path

from arras_ray.errors import ClusterError

PROBE_SECONDS = 2.0
"""A cluster that says nothing for so long is dead: with the import of Ray the user knows within 3 s."""

CHECK_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"


def token_path() -> Path | None:
    """The file a cluster's token is read from: $RAY_AUTH_TOKEN_PATH, else Ray's own; None where there is none."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named).expanduser() if named else Path.home() / ".ray" / "auth_token"
    return path if path.is_file() else None


def token() -> str:
    """The token to show a cluster that wants one; empty where there is none. Raise ClusterError."""
    given = os.environ.get("RAY_AUTH_TOKEN", "")
    named = os.environ.get("RAY_AUTH_TOKEN_PATH", "")
    path = token_path()
    if given or (path is None and not named):
        return given
    if path is None:
        raise ClusterError(
            f"there is no token file {named}, which RAY_AUTH_TOKEN_PATH names",
            hint="set RAY_AUTH_TOKEN_PATH to the file with the token the head was started with",
            path=named,
        )
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or "it is not text"
        raise ClusterError(
            f"the token file {path} cannot be read: {why}",
            hint="it must be readable for you and hold the token the head was started with, in one line",
            path=str(path),
        ) from error


def address_on_this_machine() -> str:
    """What `ray start --head` wrote down on this machine last; empty if nothing. It may have died since."""
    root = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    try:
        return (Path(root) / "ray" / "ray_current_cluster").read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return ""


def is_alive(host_port: str) -> bool:
    """Whether a head answers there, with or without a token."""
    try:
        check_alive(host_port, "")
    except ClusterError as error:
        return bool(error.fields.get("refused"))
    return True


def check_alive(host_port: str, token: str) -> None:
    """Ask a head whether it is alive, without Ray. Raise ClusterError; field `refused` when it wants another token.

    The question is Ray's own CheckAlive of the head's node service, an empty message. It takes 2 ms.
    """
    import grpc  # type: ignore[import-untyped]

    host, _, port = host_port.rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(
            f"{host_port!r} is no address of a Ray cluster",
            hint="write HOST:PORT as `ray start --head` prints it, for example 192.0.2.7:6379",
            address=host_port,
        )
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(host_port, options=options) as channel:
        call = channel.unary_unary(CHECK_ALIVE)
        try:
            call(b"", timeout=PROBE_SECONDS, metadata=[("authorization", f"Bearer {token}")] if token else [])
        except grpc.RpcError as error:
            refused = error.code() == grpc.StatusCode.UNAUTHENTICATED
            if refused:
                message = f"the cluster at {host_port} refused the token" if token else f"{host_port} wants a token"
                hint = (
                    "set RAY_AUTH_TOKEN_PATH to the file with the token the head was started with"
                    " (or RAY_AUTH_TOKEN to the token itself)"
                )
            else:
                message = f"no Ray cluster answers at {host_port}"
                hint = "is the head running, is the port open? `ray start --head` prints the address to use"
            raise ClusterError(message, hint=hint, address=host_port, refused=refused or None) from None
