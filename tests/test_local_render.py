"""LocalRender against an engine whose samples are known numbers."""

from __future__ import annotations

import numpy as np
import pytest
from counting_engine import HEIGHT, SPP, WIDTH, CountingEngine, expected

from arras_ray.frame_receiver import FrameReceiver
from arras_ray.local_render import LocalRender
from arras_ray.messages import BadSample


def test_every_sample_of_every_pixel_is_rendered_once() -> None:
    with LocalRender(CountingEngine(), threads=2) as render:
        np.testing.assert_array_equal(render.final(), expected())
        status = render.status()
    assert status.stage == "finished"
    assert status.samples == status.total_samples == WIDTH * HEIGHT * SPP
    assert [(row.name, row.threads, row.samples) for row in status.mcrts] == [("mcrt_i0", 2, status.samples)]
    assert render.where()[0]["samples"] == status.samples


def test_frames_add_up_to_the_final_picture() -> None:
    receiver = FrameReceiver(WIDTH, HEIGHT)
    version = 0
    with LocalRender(CountingEngine(), threads=1) as render:
        while (frame := render.frame(version, timeout=60)) is not None:
            version = frame.version
            receiver.receive(frame)
        np.testing.assert_array_equal(receiver.rgba, render.final())


def test_no_frame_when_nothing_is_new() -> None:
    with LocalRender(CountingEngine(), threads=1) as render:
        render.final()
        last = render.frame(0, timeout=60)
        assert last is not None
        assert last.status == "FINISHED"
        assert last.progress == 1
        assert render.frame(last.version, timeout=60) is None


def test_the_end_is_told_even_if_every_tile_was_fetched_before() -> None:
    engine = CountingEngine(hold_after=2)
    receiver = FrameReceiver(WIDTH, HEIGHT)
    with LocalRender(engine, threads=1) as render:
        assert engine.holding.wait(60)
        first = render.frame(0, timeout=60)
        assert first is not None
        assert render.frame(first.version, timeout=0) is None
        render.stop()
        last = render.frame(render_version(render), timeout=60)
        assert last is not None
        receiver.receive(last)
        assert (len(last.tiles), receiver.status) == (0, "CANCELLED")
        assert render.frame(last.version, timeout=60) is None


def render_version(render: LocalRender) -> int:
    """The newest version there is."""
    return render._film.version


def test_stop_keeps_what_a_cancelled_lease_finished() -> None:
    engine = CountingEngine(hold_after=2)
    with LocalRender(engine, threads=4) as render:
        assert engine.holding.wait(60)
        before = render.status()
        render.stop()
        after = render.status()
        picture = render.final()
    assert before.stage == "rendering"
    assert after.stage == "cancelled"
    assert before.samples <= after.samples < after.total_samples
    assert picture.shape == (HEIGHT, WIDTH, 4)
    assert picture[0, 0, 3] == 1


def test_a_time_limit_ends_a_render_as_finished() -> None:
    engine = CountingEngine(hold_after=3)
    with LocalRender(engine, threads=1, time_limit=0.3) as render:
        render.final()
        status = render.status()
    assert status.stage == "finished"
    assert 0 < status.samples < status.total_samples


def test_stopping_a_finished_render_changes_nothing() -> None:
    with LocalRender(CountingEngine(), threads=1) as render:
        render.final()
        render.stop()
        assert render.status().stage == "finished"


def test_an_engine_that_breaks_is_told_and_keeps_the_samples() -> None:
    with LocalRender(CountingEngine(fail_after=2), threads=1) as render:
        render.final()
        status = render.status()
    assert status.stage == "failed"
    assert status.error == "RuntimeError: the engine broke"
    assert str(render.error) == "the engine broke"
    assert status.samples > 0


@pytest.mark.parametrize("bad", [None, BadSample(3, 4, 5)])
def test_bad_samples_are_counted_with_the_first_one(bad: BadSample | None) -> None:
    with LocalRender(CountingEngine(bad=bad), threads=1) as render:
        render.final()
        assert render.status().first_bad == bad
        assert render.status().bad_samples == int(bad is not None)
