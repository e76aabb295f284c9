"""Where a job's ports can be reached: told once, when its command runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from octa_provider.cli.output.wording import shown_text
from octa_provider.errors import OctaError
from octa_provider.job.state import JobPhase

if TYPE_CHECKING:
    from octa_provider import OctaClient
    from octa_provider.job.spec import JobSpec
    from octa_provider.job.state import JobState

__all__ = ["PublishedPorts"]


class PublishedPorts:
    """The addresses of a job's ports.

    Args:
        octa: the account's client.
        spec: the job.
        show: gets a line for a person.
    """

    def __init__(self, octa: OctaClient, spec: JobSpec, show: Callable[[str], object]) -> None:
        self._octa = octa
        self._show = show
        self._asked_for = spec.ports
        self._awaited = bool(spec.ports or spec.http_ports)

    def state(self, state: JobState) -> None:
        """How far the job has come.

        Args:
            state: the job's.
        """
        if not self._awaited or state.phase is not JobPhase.RUNNING:
            return
        self._awaited = False
        try:
            session = self._octa.services.session(state.rental.uuid).info(retries=0)
        except OctaError:
            self._show("hint: its ports' addresses can't be asked for now; later: octa-provider sessions --json")
            return
        for port, url in session.urls.items():
            self._show(f"port {port}: {shown_text(url)}")
        for inside, outside in session.ports.items():
            # Others, such as that of SSH, are there unasked.
            if inside not in self._asked_for:
                continue
            self._show(f"port {inside}: {shown_text(session.public_ip or 'the machine')}:{outside}")
