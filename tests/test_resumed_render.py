"""LocalRender saved and gone on with: the same picture as one run, whatever was done by then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from counting_engine import HEIGHT, SPP, WIDTH, CountingEngine, expected
from small_scenes import SmallScene, translate

from arras_ray.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from arras_ray.engine import Engine
from arras_ray.errors import CheckpointError
from arras_ray.frame_receiver import FrameReceiver
from arras_ray.identity import Identity
from arras_ray.local_render import LeaseEngine, LocalRender
from arras_ray.messages import BadSample
from arras_ray.unit_plan import UnitPlan


def kept(render: LocalRender, path: Path, earlier: tuple[int, ...] = ()) -> Checkpoint:
    """A render's checkpoint, through a file."""
    ends = UnitPlan(render.width, render.height, render.spp, earlier).ends
    write_checkpoint(path, render.save(), ends=ends, spp=render.spp, identity=Identity("scene"))
    return read_checkpoint(path)


def stopped(engine: CountingEngine, path: Path) -> Checkpoint:
    """The checkpoint of a render that is stopped in the middle of a lease."""
    with LocalRender(engine, threads=2) as render:
        assert engine.holding.wait(60)
        render.stop()
        return kept(render, path)


def with_spp(spp: int) -> CountingEngine:
    engine = CountingEngine()
    engine.spp = spp
    return engine


@pytest.mark.parametrize("hold_after", [1, 2, 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_sample_is_rendered_once_in_both_runs(tmp_path: Path, threads: int, hold_after: int) -> None:
    earlier = stopped(CountingEngine(hold_after=hold_after), tmp_path / "c.exr")
    assert 0 < earlier.spp_so_far < SPP
    with LocalRender(CountingEngine(), threads, resume=earlier) as render:
        np.testing.assert_array_equal(render.final(), expected())
        status = render.status()
    assert status.stage == "finished"
    assert status.samples == status.total_samples == WIDTH * HEIGHT * SPP


def test_a_render_may_be_stopped_many_times(tmp_path: Path) -> None:
    earlier: Checkpoint | None = None
    so_far = []
    for _ in range(4):
        engine = CountingEngine(hold_after=1)
        with LocalRender(engine, threads=2, resume=earlier) as render:
            assert engine.holding.wait(60)
            render.stop()
            earlier = kept(render, tmp_path / "c.exr", earlier.begun if earlier is not None else ())
        so_far.append(earlier.spp_so_far)
    assert so_far == sorted(set(so_far))
    assert so_far[-1] < SPP
    with LocalRender(CountingEngine(), 1, resume=earlier) as render:
        np.testing.assert_array_equal(render.final(), expected())


@pytest.mark.parametrize("spp", [20, 21, 64])
def test_a_finished_render_gets_more_samples(tmp_path: Path, spp: int) -> None:
    with LocalRender(CountingEngine(), threads=1) as render:
        render.final()
        earlier = kept(render, tmp_path / "c.exr")
    with LocalRender(with_spp(spp), 2, resume=earlier) as render, LocalRender(with_spp(spp), 2) as once:
        np.testing.assert_array_equal(render.final(), once.final())
        again = kept(render, tmp_path / "c.exr", earlier.begun)
    assert again.ends == {20: (1, 4, 16, 20), 21: (1, 4, 16, 20, 21), 64: (1, 4, 16, 20, 32, 48, 64)}[spp]
    assert again.spp_so_far == spp


def test_a_finished_render_that_is_gone_on_with_is_finished(tmp_path: Path) -> None:
    with LocalRender(CountingEngine(), threads=1) as render:
        render.final()
        earlier = kept(render, tmp_path / "c.exr")
    engine = CountingEngine()
    with LocalRender(engine, 1, resume=earlier) as render:
        np.testing.assert_array_equal(render.final(), expected())
        status = render.status()
    assert engine.calls == 0
    assert (status.stage, status.samples, status.seconds, status.rate) == ("finished", status.total_samples, 0, 0)


def test_the_rate_counts_this_run_and_progress_all(tmp_path: Path) -> None:
    earlier = stopped(CountingEngine(hold_after=3), tmp_path / "c.exr")
    before = sum(earlier.state.tally.samples.values())
    engine = CountingEngine(hold_after=1)
    with LocalRender(engine, 1, resume=earlier) as render:
        assert engine.holding.wait(60)
        render.stop()
        status = render.status()
        frame = render.frame(0, timeout=60)
    assert before < status.samples < status.total_samples
    assert status.rate * status.seconds == pytest.approx(status.samples - before)
    assert frame is not None
    assert frame.progress == status.samples / status.total_samples


def test_frames_show_what_was_there_before(tmp_path: Path) -> None:
    earlier = stopped(CountingEngine(hold_after=2), tmp_path / "c.exr")
    engine = CountingEngine(hold_after=0)
    receiver = FrameReceiver(WIDTH, HEIGHT)
    with LocalRender(engine, 1, resume=earlier) as render:
        assert engine.holding.wait(60)
        frame = render.frame(0, timeout=60)
        assert frame is not None
        receiver.receive(frame)
        render.stop()
        np.testing.assert_array_equal(receiver.rgba, render.final())
    assert receiver.rgba[0, 0, 3] == 1


def test_what_is_saved_while_it_renders_fits_together(tmp_path: Path) -> None:
    """Of every state: each pixel has as many samples as its tile's units, and the tally as many as all of them."""
    plan = UnitPlan(WIDTH, HEIGHT, 512)
    lengths = np.diff([0, *plan.ends])
    states = []
    with LocalRender(with_spp(512), threads=1) as render:
        while render.status().stage == "rendering":
            states += render.save()
        states += render.save()
    for state in states:
        count = lengths[: len(state.order)] @ (state.order > 0)
        np.testing.assert_array_equal(state.sums[..., 4].max(axis=1), count)
        assert state.sums[..., 4].sum() == sum(state.tally.samples.values())
    assert states[-1].tally.samples == {"mcrt_i0": plan.total_samples}


def test_who_rendered_earlier_is_remembered(tmp_path: Path) -> None:
    earlier = stopped(CountingEngine(hold_after=2, bad=BadSample(3, 4, 5)), tmp_path / "c.exr")
    mine = earlier.state.tally.samples["mcrt_i0"]
    earlier.state.tally.samples.update({"mcrt_i0": mine - 100, "mcrt_i1": 100})
    with LocalRender(CountingEngine(bad=BadSample(3, 4, 4)), 1, resume=earlier) as render:
        render.final()
        (state,) = render.save()
        assert render.status().bad_samples == 2
    assert state.tally.samples == {"mcrt_i0": WIDTH * HEIGHT * SPP - 100, "mcrt_i1": 100}
    assert (state.tally.bad_samples, state.tally.first_bad) == (2, BadSample(3, 4, 4))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with LocalRender(CountingEngine(), threads=1) as render:
        render.final()
        earlier = kept(render, tmp_path / "c.exr")
    with pytest.raises(CheckpointError, match="holds 20 spp; fewer cannot be taken away"):
        LocalRender(with_spp(19), 1, resume=earlier)
    other = CountingEngine()
    other.width = WIDTH + 1
    with pytest.raises(ValueError, match="does not fit"):
        LocalRender(other, 1, resume=earlier)


# With the kernels


@pytest.fixture(scope="module")
def scene() -> SmallScene:
    """A ball and a wall under a sky and a lamp."""
    small = SmallScene(image_width=150, image_height=70)
    small.light("EnvLight", "sky", intensity=0.3)
    small.light("SphereLight", "lamp", radius=0.3, intensity=5.0, node_xform=translate(2.0, 2.0, 2.0))
    small.put(small.wall(z=-1.5), small.matte("grey", (0.5, 0.6, 0.7)))
    small.put(small.sphere("ball", 0.7), small.make("DwaBaseMaterial", "metal", metallic=1.0, roughness=0.3))
    return small


class Held:
    """An engine that is held from some call on, until it is cancelled."""

    def __init__(self, engine: Engine, hold_after: int) -> None:
        self.width, self.height, self.spp = engine.width, engine.height, engine.spp
        self._engine = engine
        self._gate = CountingEngine(hold_after=hold_after)
        self.holding = self._gate.holding

    def render(
        self, units: np.ndarray, cancel: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, int, int, BadSample | None]:
        done = self._gate.render(units, cancel)[0]
        return self._engine.render(units[: len(done)], np.zeros(1, "u4"))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("spp", [20, 40])
def test_the_picture_has_the_bits_of_one_run(scene: SmallScene, tmp_path: Path, threads: int, spp: int) -> None:
    def rendered(engine: LeaseEngine, resume: Checkpoint | None = None) -> np.ndarray:
        with LocalRender(engine, threads, resume=resume) as render:
            return render.final()

    first = Held(scene.engine(spp=20), hold_after=2)
    with LocalRender(first, threads=3 - threads) as render:
        assert first.holding.wait(60)
        render.stop()
        earlier = kept(render, tmp_path / "c.exr")
    assert 0 < earlier.spp_so_far < 20
    once = rendered(scene.engine(spp=spp))
    assert rendered(scene.engine(spp=spp, threads=threads), earlier).tobytes() == once.tobytes()
