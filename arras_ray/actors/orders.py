"""What a client and a supervisor tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from arras_ray.actors.ends import End
from arras_ray.actors.handshake import Joined, Loaded
from arras_ray.errors import ArrasRayError
from arras_ray.session.computation_spec import ComputationSpec
from arras_ray.session.endings import Stopped
from arras_ray.session.host import Part
from arras_ray.session.routing import Rule

if TYPE_CHECKING:
    from arras_ray.messages import FilmState, RDLMessage
    from arras_ray.pace import Deadlines


def usual_deadlines() -> Deadlines:
    """Those of leases where nobody asks for others. Imported here: sessions without a ledger start quicker."""
    from arras_ray.pace import Deadlines

    return Deadlines()


class AnyOrder(Protocol):
    """What every order has; see Order."""

    @property
    def computations(self) -> tuple[ComputationSpec, ...]: ...

    @property
    def num_cores(self) -> int | None: ...

    @property
    def client_seconds(self) -> float: ...

    @property
    def client_node(self) -> str: ...


@dataclass(frozen=True)
class Order:
    """What a client asks of a render.

    message: the scene, None if it comes later. versions: its own. engine: module:function that makes an mcrt's engine.
    most_mcrts: as many may join by themselves where there is room. resumed: what the picture begins with, of a run
    whose passes ended at earlier_ends. enforce_memory: computations that take more than their bundle has are ended.
    client_seconds: a client tells every second that it is there; one that is silent for so long is gone.
    """

    computations: tuple[ComputationSpec, ...]
    message: RDLMessage | None
    versions: dict[str, str]
    engine: str
    num_cores: int | None = None
    time_limit: float | None = None
    most_mcrts: int = 0
    resumed: FilmState | None = None
    earlier_ends: tuple[int, ...] = ()
    deadlines: Deadlines = field(default_factory=usual_deadlines)
    enforce_memory: bool = False
    save_seconds: float = 5.0
    client_seconds: float = 10.0
    client_node: str = ""
    """Id of the node the client is on, for computations that are to be there, or not to."""
    user: str = ""
    """Whose it is: users have equal shares of a cluster that has a registry."""
    interactive: bool = False
    """Somebody looks on, and may change the scene: a preview comes first, leases are short, films are not saved."""


@dataclass(frozen=True)
class SessionOrder:
    """What a client asks of a session of users' computations. parts: what each is to run, by name. client_routes: who
    accepts what from the client. stop_seconds: for each step of the stop sequence.

    Otherwise as Order.
    """

    computations: tuple[ComputationSpec, ...]
    parts: Mapping[str, Part]
    client_routes: Mapping[str, Rule]
    versions: dict[str, str]
    enforce_memory: bool = False
    client_seconds: float = 10.0
    num_cores: int | None = None
    client_node: str = ""
    stop_seconds: float = 5.0


@dataclass(frozen=True)
class Parties:
    """The computations a client talks to: actor handles. lives tell whether they are others than before."""

    dispatch: Any
    merges: tuple[Any, ...]
    lives: tuple[int, ...]


@dataclass(frozen=True)
class ComputationRow:
    """A computation as `arras-ray ps` shows it. memory: private bytes; cpu: seconds so far; age: of its process."""

    name: str
    node: str
    pid: int
    state: str
    cpus: float
    memory: int
    cpu: float
    age: float


@dataclass(frozen=True)
class SessionState:
    """Where a session stands: placing, loading, compiling, rendering or failed; loaded once an mcrt is ready.

    silent: seconds since an mcrt last said that it is loading or compiling. parties: None until they are there.
    """

    stage: str
    computations: tuple[Joined, ...] = ()
    loaded: Loaded | None = None
    error: ArrasRayError | None = None
    silent: float = 0.0
    parties: Parties | None = None
    warnings: tuple[str, ...] = ()
    ends: tuple[End, ...] = ()
    """How computations ended that were not meant to."""
    stopped: Stopped | None = None
    """How a session of users' computations has ended, once all of them have."""
    sync_id: int = 0
    """Of the scene, with all edits that are known."""
