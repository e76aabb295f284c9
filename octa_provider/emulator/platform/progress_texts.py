"""The texts in which a session says how far it is."""

from __future__ import annotations

from octa_provider.emulator.platform.session import Session

__all__ = ["READY_TEXTS", "STARTING_TEXTS", "STOPPING_TEXT", "come_up"]

#: The progress texts of a session that comes up, in order; the last one stays until it is ready.
STARTING_TEXTS = ("queued", "preparing node", "provisioning", "pulling image", "create container", "starting service")
#: The texts of a session that is ready: which one, is an oddity.
READY_TEXTS = ("service configured", "Configured", "running", "READY")
#: The text of a session whose stop takes a while.
STOPPING_TEXT = "stopping"


def come_up(session: Session, text: str) -> None:
    """Let a session say how far it has come up; one that is on its way out already does not say so any more."""
    if session.progress != STOPPING_TEXT:
        session.progress = text
