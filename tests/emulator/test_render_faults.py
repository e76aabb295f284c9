"""What life does to machines that render, with a renderer that takes no time."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import stat
import time
from pathlib import Path

import asyncssh
import pytest
from tenancy import eventually

from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.emulator.container.hostile_frames import HUGE_BYTES, NAMES
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


def connected(farm, uuid):
    """A connection to a machine."""
    return asyncssh.connect(
        "127.0.0.1",
        farm.tenant.info(uuid)["ssh_direct"]["port"],
        username="root",
        client_keys=[str(farm.tenant.emulator.ssh_private_key)],
        known_hosts=None,
    )


def pixels(png):
    """What is in a PNG's pixels, packed."""
    return png[png.index(b"IDAT") :]


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
    _, second = looked_at(farm, uuid).values()
    assert second.stamp.render_time_s >= 0.8


def test_black_frames_are_whole_and_take_no_time(farm):
    farm.fault("black", times=2)
    uuid, _ = farm.render("--frames 1..2 --seconds 100000")
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


def test_every_form_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()
    assert [form for form in RENDER_FORMS if f"`{form}`" not in page] == []


def test_what_is_no_question_of_a_machine_has_no_answer(farm):
    farm.fault("cut", times=None)
    port = json.loads((farm.tenant.emulator.state / "render-faults.json").read_text())["port"]
    for line in (b"[]", b"{", b'{"session": []}', b'{"session": "nobody", "event": "frame"}'):
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(line + b"\n")
            assert connection.makefile("rb").read() in (b"", b"{}\n")
    uuid, _ = farm.render("--frames 1")
    assert looked_at(farm, uuid) == {"frame_0001.png": "is cut off"}


def test_a_render_fault_has_a_form():
    for spec in ({"kind": "render"}, {"kind": "render", "form": "sunny"}, {"kind": "cut"}):
        with pytest.raises(OctaConfigError):
            parse_fault(spec)
    for form in RENDER_FORMS:
        assert parse_fault({"kind": "render", "form": form}).takes("POST", "/services/mr", {1001}) is False


def test_another_frame_s_picture_lies_under_this_frame_s_name(farm):
    farm.fault("wrong_number", frame=2)
    uuid, log = farm.render("--frames 1..3")
    assert [picture.stamp.frame for picture in looked_at(farm, uuid).values()] == [1, 3, 3]
    assert pixels(farm.files(uuid)["frame_0002.png"]) == pixels(farm.files(uuid)["frame_0003.png"])
    assert f"Saved: '{farm.out(uuid)}/frame_0002.png'" in log


@pytest.mark.parametrize("suffix", ["png", "exr"])
def test_a_wrong_scene_is_a_whole_picture_that_says_so(farm, suffix):
    farm.fault("wrong_scene", after=1, scene="Take 2")
    uuid, _ = farm.render(f"--frames 1..2 --scene Take01 --name 'frame_{{frame:04d}}.{suffix}'")
    assert [picture.stamp.scene for picture in looked_at(farm, uuid).values()] == ["Take01", "Take 2"]


def test_a_png_lies_under_the_name_of_an_exr(farm):
    farm.fault("wrong_format", after=1)
    uuid, _ = farm.render("--frames 1..2 --name 'frame_{frame:04d}.exr' --size 40x30")
    first, second = looked_at(farm, uuid).values()
    assert (first.format, first.width, first.height, first.stamp.frame) == ("EXR", 40, 30, 1)
    assert (second.format, second.width, second.height) == ("PNG", 40, 30)


def test_a_process_that_takes_too_much_memory_is_killed_in_its_frame(farm):
    farm.fault("killed", after=2)
    uuid, log = farm.render("--frames 1..4")
    assert "ended with 137" in log
    assert list(map(len, farm.files(uuid).values()))[2:] == [0]
    assert "ended with 0" in farm.render("--frames 1..4", node_id=1003)[1]


def test_a_full_graphics_card_ends_the_process_and_leaves_no_file_of_its_frame(farm):
    farm.fault("out_of_memory", after=2)
    uuid, log = farm.render("--frames 1..4")
    assert "Error: System is out of GPU and shared host memory" in log
    assert "ended with 1" in log
    assert list(farm.files(uuid)) == ["frame_0001.png", "frame_0002.png"]


def test_the_log_has_the_form_of_blender_5(farm):
    farm.fault("log_of_5")
    uuid, log = farm.render("--frames 1")
    assert re.search(r"^\d\d:\d\d\.\d\d\d  render           \| Saved: '.*/frame_0001\.png'$", log, re.MULTILINE)
    assert "Fra:" not in log
    assert list(looked_at(farm, uuid)) == ["frame_0001.png"]


def test_a_renderer_hangs_with_all_of_its_files_there(farm):
    farm.fault("hangs")
    uuid = farm.begin("--frames 1..2")
    log = farm.tenant.printed(uuid, "frame_0002.png'")
    assert [picture.stamp.frame for picture in looked_at(farm, uuid).values()] == [1, 2]
    assert "quit" not in log
    assert "ended with" not in farm.tenant.logs(uuid)
    farm.tenant.stop(uuid)
    assert farm.tenant.listed() == []


def test_a_hostile_machine_has_names_that_break_what_shows_them(farm):
    farm.fault("hostile_names")
    uuid, _ = farm.render("--frames 1")
    names = [os.fsencode(path.name) for path in farm.out(uuid).iterdir()]
    assert sorted(names) == sorted([*NAMES, b"frame_0001.png"])


def test_a_hostile_machine_has_links_that_lead_out(farm):
    farm.fault("hostile_links")
    uuid, _ = farm.render("--frames 1")
    out = farm.out(uuid)
    assert (out / "frame_0001.png").readlink() == Path("/etc/passwd")
    assert (out / "up").readlink() == Path("/")
    assert (out / "self").readlink() == Path("self")


def test_a_hostile_machine_tells_of_sizes_that_nobody_has_room_for(farm):
    farm.fault("hostile_size", frame=1)
    farm.fault("hostile_pixels", frame=2)
    uuid, _ = farm.render("--frames 1..2")
    huge, wide = (farm.out(uuid) / f"frame_000{frame}.png" for frame in (1, 2))
    assert huge.stat().st_size == HUGE_BYTES
    assert huge.stat().st_blocks * 512 < 2**20
    assert read_picture(wide).width == 320_000
    assert wide.stat().st_size < 2**20


def test_a_file_grows_without_an_end_until_its_machine_is_gone(farm):
    farm.fault("endless_file")
    uuid, _ = farm.render("--frames 1")
    path = farm.out(uuid) / "frame_0001.png"
    before = path.stat().st_size
    assert before >= 2**24
    eventually(lambda: path.stat().st_size > before)
    farm.tenant.stop(uuid)
    after = path.stat().st_size
    time.sleep(0.1)
    assert path.stat().st_size == after


def test_who_opens_a_pipe_over_sftp_waits_and_nobody_else(farm):
    farm.fault("hostile_pipe")
    uuid, _ = farm.render("--frames 1..2")
    assert stat.S_ISFIFO((farm.out(uuid) / "frame_0001.png").lstat().st_mode)

    async def look():
        async with connected(farm, uuid) as connection:
            sftp = await connection.start_sftp_client()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(sftp.open("out/frame_0001.png", "rb"), 0.2)
            # As with OpenSSH, this client waits for good; others do not.
            connection.abort()
        async with connected(farm, uuid) as connection, connection.start_sftp_client() as sftp:
            assert (await sftp.stat("out/frame_0002.png")).size

    asyncio.run(look())
    assert farm.tenant.listed() == [uuid]


def test_a_site_vanishes_with_all_of_its_nodes_at_once(hire):
    tenant = hire(machines=8, room=2, quirks=False)
    place = {record["node_id"]: record["country_iso"] for record in tenant.get("/services/mr")}
    country = place[1001]
    there = [node_id for node_id, iso in place.items() if iso == country]
    elsewhere = next(node_id for node_id in place if node_id not in there)
    assert len(there) > 1
    stay, *gone = [tenant.start(node_id=node_id) for node_id in (elsewhere, *there)]
    tenant.emulator.faults({"kind": "site_vanishes", "country": country, "seconds": 0})
    eventually(lambda: tenant.listed() == [stay])
    assert {tenant.entry(uuid)["termination_reason"] for uuid in gone} == {"node offline"}
    assert not {record["node_id"] for record in tenant.get("/services/mr")} & set(there)
    with pytest.raises(OctaConfigError, match="country"):
        parse_fault({"kind": "site_vanishes"})


def test_a_node_that_dies_asks_no_process_to_end(farm):
    uuid = farm.tenant.ready("trap 'echo asked > $HOME/asked' TERM; echo up; while :; do sleep 0.01; done")
    farm.tenant.printed(uuid, "up")
    farm.tenant.emulator.faults({"kind": "node_dies", "node_id": 1001, "seconds": 0})
    eventually(lambda: farm.tenant.listed() == [])
    assert not (farm.tenant.emulator.state / "sessions" / uuid / "asked").exists()


def test_how_many_gpus_a_node_has_is_an_option_and_its_price_goes_along(hire):
    drawn, told = hire(machines=6, quirks=False), hire(machines=6, gpus=6, quirks=False)
    for one, other in zip(drawn.get("/services/mr"), told.get("/services/mr"), strict=True):
        assert len(other["gpus"]) == 6
        assert other["gpus"][0] == one["gpus"][0]
        assert (other["total_price_usd"] > one["total_price_usd"]) == (len(one["gpus"]) < 6)


def test_the_fake_renderer_refuses_what_is_no_frame(farm):
    _, log = farm.render("--frames 1..x")
    assert "invalid" in log
    assert "ended with 2" in log


@pytest.mark.parametrize("command", ["--frames {frames}", "--frames {frame}"])
def test_a_batch_s_process_renders_with_it_and_meets_its_faults(farm, command):
    renderer = Renderer("frames:1", f"octa-fake-renderer --output {{output}} {command}", can_skip=True)
    script = renderer.process_script([1, 2, 3], "scene.txt")
    farm.fault("cut", frame=2)
    command = (
        f"mkdir -p octa-batch/scene octa-batch/out; cd octa-batch/scene; export OUT=$HOME/octa-batch/out; {script}"
    )
    uuid = farm.tenant.ready(f"({command}\n); echo ended with $?", image=renderer.image)
    assert "ended with 0" in farm.tenant.printed(uuid, "ended with")
    out = farm.out(uuid).parent / "octa-batch" / "out"
    flaws = {}
    for path in sorted(out.glob("frame_*")):
        try:
            flaws[path.name] = read_picture(path).stamp.frame
        except BrokenPictureError as error:
            flaws[path.name] = error.flaw
    assert flaws == {"frame_0001.png": 1, "frame_0002.png": "is cut off", "frame_0003.png": 3}
