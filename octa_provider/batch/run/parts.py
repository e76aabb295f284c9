"""What all machines of a batch that runs share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.batch.batch import Batch
from octa_provider.batch.folder.fingerprint import fingerprint_of
from octa_provider.batch.run.logins import Logins
from octa_provider.errors import OctaError
from octa_provider.files.local_files import shown
from octa_provider.remote.machine import CONNECT_WITHIN_S
from octa_provider.timing.clock import Clock

if TYPE_CHECKING:
    from octa_provider.batch.batch_quote import BatchQuote
    from octa_provider.batch.folder.batch_folder import BatchFolder
    from octa_provider.files.local_files import LocalTree
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.rentals import Rentals

__all__ = ["BatchParts", "Pacing"]

#: Our line is shared: a scene is useful on one machine sooner when few are sent it at the same time.
SENT_AT_ONCE = 2


@dataclass(frozen=True)
class Pacing:
    """How often is looked, and for how long is waited.

    Attributes:
        poll_s: seconds between two looks at a machine, and between two decisions.
        quiet_s: a file that was not written to for so many seconds may be whole.
        lost_after_s: a machine that does not answer over SSH for so many seconds is given up.
        settle_s: a file that is not whole, and was not written to for so many seconds, will not become so.
        stop_s: seconds to try to stop a machine for.
        login_s: a machine that is up, and does not answer over SSH or take the key, is asked for so many seconds.
    """

    poll_s: float = 2.0
    quiet_s: float = 2.0
    lost_after_s: float = 120.0
    settle_s: float = 60.0
    stop_s: float = 300.0
    login_s: float = CONNECT_WITHIN_S


@dataclass
class BatchParts:
    """What all machines of a batch share.

    Attributes:
        api: the API.
        rentals: what starts and stops on it.
        batch: what is rendered.
        folder: where frames go; what changes it is called under `lock` once machines have threads.
        tree: the scene, as it was looked at.
        main: the scene's file within it.
        key: the rental key of the whole, of which each machine's begins.
        fingerprint: of the batch.
        private_key: for SSH.
        pacing: how often is looked.
        quote: what was approved before; None for nothing.
        lock: held for whatever changes the folder.
        sending: held by who sends a scene.
        logins: which machines have let us in.
    """

    api: RentalApi
    rentals: Rentals
    batch: Batch
    folder: BatchFolder
    tree: LocalTree
    main: str
    key: str
    fingerprint: str
    private_key: str | Path | None
    pacing: Pacing
    quote: BatchQuote | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    sending: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(SENT_AT_ONCE))
    logins: Logins = field(default_factory=Logins)

    @property
    def clock(self) -> Clock:
        """Where the time comes from."""
        return self.api.clock

    @property
    def prefix(self) -> str:
        """What the keys of the batch's machines begin with, without the namespace."""
        return f"{self.key}/batch/{self.fingerprint[:8]}"

    @property
    def scene_change(self) -> str:
        """Why no machine can be given the scene any more, as one clause; empty as long as it is what was looked at."""
        scene = self.batch.scene_path
        try:
            if fingerprint_of(scene, self.main, self.batch.renderer) == self.fingerprint:
                return ""
        except OctaError as error:
            return str(error)
        return (
            f"{shown(scene)} was changed while it was rendered, so no other machine can be given it: bring back what "
            "it was and run it again, or render the new one into another folder"
        )

    def machine_key(self, number: int) -> str:
        """The rental key of a machine.

        Args:
            number: the machine's in the batch.
        """
        return f"{self.prefix}/m{number}"
