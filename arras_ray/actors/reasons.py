"""What is told of an error Ray reports: one sentence instead of a page."""

from __future__ import annotations

import re

from arras_ray.errors import ArrasRayError, ClusterError, ComputationError

NO_IMPORT = "failed to import on the worker"
"""Ray's words for an actor whose class cannot be loaded on its node."""

EXIT_DETAIL = "Worker exit detail:"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
MAX_LENGTH = 300


def sentence(error: BaseException) -> str:
    """The part of an error's text that tells the cause: of an exception in an actor its type and first line, of a
    process that died how it ended."""
    from ray.exceptions import RayActorError, RayError, RayTaskError

    if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        error = error.cause
    lines = [line.strip() for line in ESCAPES.sub("", str(error)).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if any(NO_IMPORT in line for line in lines):
        return lines[-1][:MAX_LENGTH]
    if not isinstance(error, RayError):
        return f"{type(error).__name__}: {lines[0]}"[:MAX_LENGTH]
    for line in lines:
        if EXIT_DETAIL in line:
            return line.partition(EXIT_DETAIL)[2].strip().partition(". ")[0].rstrip(".")[:MAX_LENGTH]
    told_last = isinstance(error, RayActorError | RayTaskError)  # what they begin with is the same for all causes
    return lines[-1 if told_last else 0].rstrip(".")[:MAX_LENGTH]


def ended(error: BaseException, who: str, what: str, **fields: str) -> ArrasRayError:
    """The error of a session whose computation `who` ended as `what` says: "died" or "failed".

    ClusterError when its node has no arras-ray (or another one that lacks a module), else ComputationError.
    """
    if NO_IMPORT in str(error):
        return ClusterError(
            f"{who} could not start, its node lacks a package: {sentence(error)}",
            hint="install the same arras-ray on every node",
            **fields,
        )
    return ComputationError(f"{who} {what}: {sentence(error)}", how=what, **fields)
