"""What life does to machines that render, with a renderer that takes no time."""

from __future__ import annotations

import time

import pytest
from tenancy import eventually

from octa_provider.emulator.faults.faults import RENDER_FORMS, parse_fault
from octa_provider.errors import OctaConfigError
from octa_provider.render.containers import read_picture
from octa_provider.render.picture import BrokenPictureError


class Farm:
    """Machines of a tenant that render."""

    def __init__(self, tenant):
        self.tenant = tenant

    def out(self, uuid):
        return self.tenant.emulator.state / "sessions" / uuid / "out"

    def begin(self, words, **fields):
        command = f"octa-fake-renderer --output $HOME/out {words}; echo ended with $?"
        return self.tenant.ready(command, image="frames", **fields)

    def render(self, words, **fields):
        uuid = self.begin(words, **fields)
        return uuid, self.tenant.printed(uuid, "ended with")

    def files(self, uuid):
        return {path.name: path.read_bytes() for path in sorted(self.out(uuid).iterdir())}

    def fault(self, form, **options):
        self.tenant.emulator.faults({"kind": "render", "form": form, **options})


@pytest.fixture
def farm(tenant):
    return Farm(tenant)


def looked_at(farm, uuid):
    """What a look at each file tells: its picture, or its flaw."""
    seen = {}
    for path in sorted(farm.out(uuid).iterdir()):
        try:
            seen[path.name] = read_picture(path)
        except BrokenPictureError as error:
            seen[path.name] = error.flaw
    return seen


def test_the_fake_renderer_makes_whole_pictures_that_say_which_frame_they_are(farm):
    uuid, log = farm.render("--frames 1,3..4 --scene Shot --size 48x20")
    seen = looked_at(farm, uuid)
    assert list(seen) == ["frame_0001.png", "frame_0003.png", "frame_0004.png"]
    assert [(p.width, p.height, p.stamp.frame, p.stamp.scene) for p in seen.values()] == [
        (48, 20, frame, "Shot") for frame in (1, 3, 4)
    ]
    assert len(set(farm.files(uuid).values())) == 3
    assert f"Saved: '{farm.out(uuid)}/frame_0003.png'" in log
    assert "ended with 0" in log


def test_the_fake_renderer_skips_what_is_there_and_lays_an_empty_file_when_it_begins(farm):
    uuid = farm.begin("--frames 1..2 --seconds 1000")
    eventually(lambda: farm.out(uuid).is_dir() and farm.files(uuid) == {"frame_0001.png": b""})
    again = farm.tenant.emulator
    other, log = farm.render("--frames 1..3; octa-fake-renderer --output $HOME/out --frames 3..4", node_id=1003)
    assert "skipping existing frame" in log
    assert list(looked_at(farm, other)) == [f"frame_000{frame}.png" for frame in (1, 2, 3, 4)]
    assert again.ledger()["running"] == 2


def test_slow_frames_take_so_many_times_as_long(farm):
    farm.fault("slow", factor=4, times=None, after=1)
    uuid, _ = farm.render("--frames 1..2 --seconds 0.2")
    first, second = looked_at(farm, uuid).values()
    assert second.stamp.render_time_s >= 0.8
    assert first.stamp.render_time_s < second.stamp.render_time_s


def test_black_frames_are_whole_and_take_no_time(farm):
    farm.fault("black", times=2)
    began = time.monotonic()
    uuid, _ = farm.render("--frames 1..2 --seconds 1000")
    assert time.monotonic() - began < 1000
    assert [picture.stamp.frame for picture in looked_at(farm, uuid).values()] == [1, 2]


def test_a_cut_frame_is_told_as_saved(farm):
    farm.fault("cut", frame=2)
    uuid, log = farm.render("--frames 1..3")
    assert looked_at(farm, uuid)["frame_0002.png"] == "is cut off"
    assert (log.count("Saved:"), log.count("ended with 0")) == (3, 1)


def test_a_full_disk_looks_like_success(farm):
    farm.fault("disk_full", node_id=1001, after=1, times=None)
    uuid, log = farm.render("--frames 1..4")
    sizes = [len(data) for data in farm.files(uuid).values()]
    assert sizes[0] > sizes[1] > 0
    assert sizes[2:] == [0, 0]
    assert (log.count("Saved:"), log.count("ended with 0")) == (4, 1)
    elsewhere, _ = farm.render("--frames 1..4", node_id=1003)
    assert all(farm.files(elsewhere).values())


def test_a_machine_may_have_no_device_or_not_that_one(farm):
    farm.fault("no_device", devices=["OPTIX"], times=None)
    uuid, log = farm.render(
        "--frames 1 --device OPTIX || octa-fake-renderer --output $HOME/out --frames 1 --device CUDA"
    )
    assert "Found no Cycles device of the specified type" in log
    assert "ended with 0" in log
    assert len(farm.files(uuid)) == 1
    farm.fault("no_device", times=None)
    assert "ended with 1" in farm.render("--frames 1 --device CUDA", node_id=1003)[1]


def test_a_node_dies_while_it_renders_a_frame(farm):
    farm.fault("node_dies", node_id=1003, after=2)
    uuid = farm.begin("--frames 1..4", node_id=1003)
    eventually(lambda: farm.tenant.entry(uuid)["stopped_ms"] is not None)
    assert farm.tenant.entry(uuid)["stopped_by"] == "fault"
    files = farm.files(uuid)
    assert list(files) == ["frame_0001.png", "frame_0002.png", "frame_0003.png"]
    assert files["frame_0003.png"] == b""
    assert 1003 not in [record and record["node_id"] for record in farm.tenant.get("/services/mr")]


def test_who_met_a_render_fault_is_counted_and_lifting_it_ends_it(farm):
    farm.fault("cut", times=None)
    farm.render("--frames 1..3")
    (report,) = farm.tenant.get("/_emulator/faults")
    assert (report["seen"], report["met"]) == (3, 3)
    farm.tenant.emulator.clear_faults()
    uuid, _ = farm.render("--frames 1..3")
    assert not [flaw for flaw in looked_at(farm, uuid).values() if isinstance(flaw, str)]


def test_a_render_fault_has_a_form():
    for spec in ({"kind": "render"}, {"kind": "render", "form": "sunny"}, {"kind": "cut"}):
        with pytest.raises(OctaConfigError):
            parse_fault(spec)
    for form in RENDER_FORMS:
        assert parse_fault({"kind": "render", "form": form}).takes("POST", "/services/mr", {1001}) is False
