"""The paths that users import from: they stay, and give the very things that the rooms behind them own."""

from __future__ import annotations

import importlib

import pytest

import octa_provider
import octa_provider.errors
import octa_provider.models

#: What is imported, and the room that owns it.
PATHS = {
    "octa_provider.OctaClient": "octa_provider.client",
    "octa_provider.Clock": "octa_provider.timing.clock",
    "octa_provider.Batch": "octa_provider.batch.batch",
    "octa_provider.BatchEvent": "octa_provider.batch.events",
    "octa_provider.BatchOutcome": "octa_provider.batch.result",
    "octa_provider.BatchResult": "octa_provider.batch.result",
    "octa_provider.Check": "octa_provider.batch.check",
    "octa_provider.LogRule": "octa_provider.batch.renderers.log_rule",
    "octa_provider.Renderer": "octa_provider.batch.renderers.renderer",
    "octa_provider.blender": "octa_provider.batch.renderers.blender",
    "octa_provider.OctaPlanError": "octa_provider.errors.batch",
    "octa_provider.OctaSceneError": "octa_provider.errors.batch",
    "octa_provider.OctaError": "octa_provider.errors.root",
    "octa_provider.JobSpec": "octa_provider.job.spec",
    "octa_provider.JobState": "octa_provider.job.state",
    "octa_provider.JobResult": "octa_provider.job.result",
    "octa_provider.JobOutcome": "octa_provider.job.result",
    "octa_provider.Requirements": "octa_provider.market.requirements",
    "octa_provider.MachineRequest": "octa_provider.market.request",
    "octa_provider.RenderRequest": "octa_provider.market.request",
    "octa_provider.VpnRequest": "octa_provider.market.request",
    "octa_provider.Rental": "octa_provider.rental.rental",
    "octa_provider.Bill": "octa_provider.rental.terms",
    "octa_provider.Refusal": "octa_provider.errors.rental",
    "octa_provider.RequestContext": "octa_provider.http.hooks",
    "octa_provider.ResponseContext": "octa_provider.http.hooks",
    "octa_provider.errors.OctaError": "octa_provider.errors.root",
    "octa_provider.errors.OctaApiError": "octa_provider.errors.api",
    "octa_provider.errors.OctaNoMachineError": "octa_provider.errors.rental",
    "octa_provider.errors.OctaSshError": "octa_provider.errors.ssh",
    "octa_provider.models.Session": "octa_provider.models.session",
    "octa_provider.models.Machine": "octa_provider.models.machine",
    "octa_provider.models.Records": "octa_provider.wire.records",
    "octa_provider.emulator.testing.start_emulator": "octa_provider.emulator.testing",
    "octa_provider.emulator.testing.octa_emulator": "octa_provider.emulator.testing",
    "octa_provider.emulator.testing.EmulatorHandle": "octa_provider.emulator.testing",
    "octa_provider.rental_key.rental_key": "octa_provider.rental.key",
    "octa_provider.rental_key.MAX_KEY_CHARS": "octa_provider.rental.key",
    "octa_provider.rental_key.RENTAL_KEY_ENV": "octa_provider.wire.session_envs",
    "octa_provider.progress.ProgressTracker": "octa_provider.render.progress",
    "octa_provider.pictures.broken_frames": "octa_provider.render.pictures",
    "octa_provider.pictures.flaw_of": "octa_provider.render.pictures",
    "octa_provider.pictures.png_size": "octa_provider.render.pictures",
    "octa_provider.pictures.BrokenPictureError": "octa_provider.render.picture",
    "octa_provider.pictures.check_frames": "octa_provider.render.frames_check",
    "octa_provider.frames.parse": "octa_provider.render.frames",
    "octa_provider.frames.chunks": "octa_provider.render.frames",
    "octa_provider.frames.Frames": "octa_provider.render.frames",
    "octa_provider.frames.MAX_FRAMES": "octa_provider.render.frames",
}


@pytest.mark.parametrize(("path", "room"), PATHS.items())
def test_a_users_path_gives_what_its_room_owns(path: str, room: str) -> None:
    module, _, name = path.rpartition(".")
    given = getattr(importlib.import_module(module), name)
    assert given is getattr(importlib.import_module(room), name)
    assert getattr(given, "__module__", room) in {room, "builtins"}


@pytest.mark.parametrize(
    "module",
    [
        octa_provider,
        octa_provider.errors,
        octa_provider.models,
        *map(importlib.import_module, ("octa_provider.frames", "octa_provider.pictures", "octa_provider.progress")),
        importlib.import_module("octa_provider.rental_key"),
    ],
    ids=lambda module: module.__name__,
)
def test_every_name_that_a_users_path_lists_is_there(module: object) -> None:
    names = module.__all__  # type: ignore[attr-defined]
    assert names
    assert [name for name in names if not hasattr(module, name)] == []
