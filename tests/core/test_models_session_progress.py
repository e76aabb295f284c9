"""A session that is being stopped, told by its progress text: nothing is begun on it, and it is not ready."""

from __future__ import annotations

import pytest

from octa_provider.models import Session, SessionPhase

ENDING = [
    "stopping",
    "Stopping",
    "STOPPING",
    " stopping...",
    "Stop requested",
    "stop requested by user",
    "stop_requested",
    "StopRequested",
    "stop-requested",
    "terminating",
    "Terminating instance",
    "terminating pulled image",
    "shutting down",
    "Shutting-down",
    "service is shutting down",
    "shutdown in progress",
    "shutdown",
    "shut down requested",
    "removing",
    "removing container",
    "removing configuration",
    "Removing build cache",
    "deleting",
    "deleting created volumes",
    "destroying",
    "destroy",
    "cleaning up",
    "cleanup",
    "clean-up",
    "cleaning up configuration",
    "running, stop requested",
    "Running: stopping",
    "service configured, stopping",
    "ready (stopping)",
    "starting service, stop requested",
    "starting shutdown",
    "initiating shutdown",
    "preparing to stop",
    "pending termination",
    "queued for deletion",
    "queued for removal",
    "termination pending",
    "deletion scheduled",
    "being stopped",
    "container is being removed",
    "stopped",
    "Stopped",
    "terminated",
    "container removed",
    "deprovisioning",
    "undeploying",
    "tearing down",
    "teardown",
    "killing container",
    "cancelling",
    "ending session",
    "draining node",
    "stopping: pending",
    "stopping after start",
    "stop",
    "waiting for stop",
    "session is going down",
    "powering off",
    "stop sent",
    "about to stop",
    "stopping old session",
    "destroying created resources",
    "Stopping service, creating bill",
    "decommissioning",
    "container deletion",
    "releasing node",
    "Session stopped by user",
    "user asked to stop",
    "stop in progress",
    "expired",
    "evicted by the owner",
]

NOT_ENDING = [
    "starting",
    "starting (stopping the old container first)",
    "Starting service stop-hook",
    "preparing node: removing old images",
    "preparing node, cleaning up",
    "removing old container, pulling image",
    "cleaning up old containers",
    "removed old container, pulling image",
    "starting stopped container",
    "restarting stopped service",
    "service configured",
    "running",
    "ready",
    "READY",
    "pulling image",
    "queued",
    "pending",
    "create container",
    "provisioning",
    "running, will stop in 60 minutes",
    "running; stops at noon",
    "auto-stop in 1 h",
    "unstoppable",
    "nonstop",
    "meditating",
    "Removing intermediate container 1a2b3c",
    "deleting temporary files",
    "cleaning up cache",
    "ready, idle stop in 15 min",
    "running, stop at 18:00",
    "not running",
    "configuring the stopwatch",
    "init terminal",
    "rendering",
    "building, then stopping",
    "failed",
    "error: out of memory",
    "crashed",
    "aborted",
    "45",
]


@pytest.mark.parametrize("progress", ENDING)
@pytest.mark.parametrize("is_ready", [True, False, None])
def test_a_session_whose_progress_tells_of_its_end_is_stopping_whatever_is_ready_says(
    progress: str, is_ready: bool | None
) -> None:
    session = Session.from_payload({"uuid": "u", "progress": progress, "is_ready": is_ready})
    assert session.phase is SessionPhase.STOPPING


@pytest.mark.parametrize("progress", NOT_ENDING)
def test_a_progress_of_anything_else_is_not_stopping(progress: str) -> None:
    assert Session.from_payload({"uuid": "u", "progress": progress}).phase is not SessionPhase.STOPPING
    assert Session.from_payload({"uuid": "u", "progress": progress, "is_ready": True}).phase is SessionPhase.READY


def test_a_session_with_an_end_is_finished_not_stopping() -> None:
    ended = {"uuid": "u", "progress": "stopping", "finished_at": 1714564800000}
    assert Session.from_payload(ended).phase is SessionPhase.FINISHED
