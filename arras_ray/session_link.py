"""A client's link to the supervisor of its session: asking it, and judging what it means that it does not answer."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from arras_ray.errors import ArrasRayError, ClusterError, ComputationError

if TYPE_CHECKING:
    from arras_ray.actors.cluster import Cluster
    from arras_ray.actors.orders import SessionState

CALL_SECONDS = 30.0
"""No call to an actor is waited for longer: its node may be frozen."""

ASK_SECONDS = 3.0
"""For what an actor answers at once, if it is there."""

LOOK_SECONDS = 0.01

HEAD_SECONDS = 5.0
"""A supervisor that was not reached for so long may be away with the head, which is asked then."""

LOST_SECONDS = 30.0
"""A supervisor that was not reached for so long will not come back."""

BY_HAND = "ray.kill"
"""In Ray's words for an actor that somebody has ended."""


def refuse_taken(cluster: Cluster, session: str) -> None:
    """Raise ClusterError if a session of this name runs."""
    from arras_ray.actors import names

    if session in names.sessions():
        raise name_taken(cluster, session)


def name_taken(cluster: Cluster, session: str) -> ClusterError:
    """The error for a second session of a name."""
    return ClusterError(f"a session named {session} runs already", hint="choose another name", address=cluster.address)


class SessionLink:
    """The link to session `name`. error: why the session is lost, as far as is known."""

    def __init__(self, name: str, supervisor: Any, cluster: Cluster) -> None:
        self.name = name
        self.supervisor = supervisor
        self.error: ArrasRayError | None = None
        self.cluster = cluster
        self._reached_at = time.monotonic()

    def keep_alive(self) -> SessionState | None:
        """Tell the supervisor that this client lives, and hear where the session stands; None while it is not reached.

        It may be back within seconds: what cannot is in `error`.
        """
        return self._state(self.supervisor.keep_alive.remote())

    def state(self) -> SessionState | None:
        """The same for somebody who is not its client."""
        return self._state(self.supervisor.state.remote())

    def ask(self, ref: Any, timeout: float = CALL_SECONDS) -> Any:
        """The answer of an actor. Its own errors come as they were raised, others as ArrasRayError."""
        import ray
        from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError, RayTaskError

        from arras_ray.actors.reasons import ended, sentence

        try:
            return ray.get(ref, timeout=timeout)
        except RayTaskError as error:
            if isinstance(error.cause, ArrasRayError):
                raise error.cause from None
            raise ended(error, f"session {self.name}", "failed") from error
        except GetTimeoutError:
            raise ComputationError(f"session {self.name} does not answer", how="silent") from None
        except ActorUnavailableError as error:
            raise ComputationError(f"session {self.name} cannot be reached", how="unreachable") from error
        except RayActorError as error:
            if BY_HAND in str(error):
                raise ComputationError(f"session {self.name} was ended by somebody else", how="ended") from None
            raise ended(error, f"session {self.name}", "ended") from error
        except RayError as error:
            raise ComputationError(f"session {self.name} failed: {sentence(error)}", how="unreachable") from error

    def end(self) -> None:
        """End the session: no actor and no group of it is left."""
        import ray
        from ray.exceptions import RayError

        from arras_ray.actors import names
        from arras_ray.actors.supervisor import take_down

        try:
            ray.get(self.supervisor.end.remote(), timeout=CALL_SECONDS)
        except RayError:  # it is being started again, or is gone: what it has made is found by its name
            with suppress(RayError):
                ray.kill(self.supervisor)
            with suppress(Exception):
                take_down(self.name)
        with suppress(RayError):
            ray.kill(self.supervisor)
        deadline = time.monotonic() + CALL_SECONDS
        with suppress(RayError):
            while self.name in names.sessions() and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)

    def _state(self, ref: Any) -> SessionState | None:
        try:
            state: SessionState = self.ask(ref, ASK_SECONDS)
        except ArrasRayError as error:
            self.error = self.error or self._judge(error)
            return None
        self._reached_at = time.monotonic()
        return state

    def _judge(self, error: ArrasRayError) -> ArrasRayError | None:
        """Whether a supervisor that was not reached means the end."""
        from arras_ray.actors.probe import is_alive

        if isinstance(error, ClusterError) or error.fields.get("how") not in ("silent", "unreachable"):
            return error
        away = time.monotonic() - self._reached_at
        if away > HEAD_SECONDS and not is_alive(self.cluster.address):
            return ClusterError(
                f"the head of the cluster at {self.cluster.address} is lost, and session {self.name} with it",
                hint="a checkpoint (--checkpoint FILE) goes on with --resume FILE once a cluster is there again",
                address=self.cluster.address,
            )
        return error if away > LOST_SECONDS else None
