"""What a job over SSH has made: its outputs, its log and its return value, fetched from the machine."""

from __future__ import annotations

import json
import os
import posixpath
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaLocalFileError, OctaSshError, OctaUnfetchedError
from octa_provider.files.limits import TransferLimits
from octa_provider.files.local_files import shown
from octa_provider.files.scratch import SCRATCH_PLACES, in_scratch
from octa_provider.job.log import save_fetched_log
from octa_provider.job.over_ssh import job_machine
from octa_provider.job.return_value import MOST_VALUE_BYTES, read_value
from octa_provider.job.script import LOG_FILE, SENT_FILE, WORK_FOLDER
from octa_provider.remote.machine import RemoteMachine
from octa_provider.remote.remote_files import RemoteFile
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.job.state import JobState
    from octa_provider.models import Session
    from octa_provider.remote.transfer import OnTransfer

__all__ = ["OutputFetch"]

log = plain_logger("octa_provider.job.outputs")

#: The log of a command, and the list of what was sent: beyond that it is no log, and no list.
LOG_BYTES = 16 * 1024**3
LIST_BYTES = 64 * 1024**2
#: They are read and gone at once, so that they need no room left beside them.
LIST_LIMITS = TransferLimits(max_bytes=LIST_BYTES, keep_free_bytes=0)
VALUE_LIMITS = TransferLimits(max_bytes=MOST_VALUE_BYTES, keep_free_bytes=0)


class OutputFetch:
    """The outputs of a job on their way here; asked again, it fetches those that are not here yet.

    Args:
        state: the job.
        private_key: as in `Jobs.run`.
        log_path: the file that gets the whole log; None when nobody wants it.
        on_progress: called now and then with how far a transfer is.
        is_cancelled: asked again and again; when it says yes the transfer is given up.

    Attributes:
        errors: what can't be had, each as a sentence.
        value: what the command has returned, once that is read.
    """

    def __init__(
        self,
        state: JobState,
        private_key: str | Path | None,
        log_path: str | os.PathLike[str] | None,
        *,
        on_progress: OnTransfer | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._state = state
        self._private_key = private_key
        self._log_path = log_path
        self._on_progress = on_progress
        self._is_cancelled = is_cancelled
        self._fetched: dict[str, tuple[str, ...]] = {}
        self._instead: dict[tuple[str, object], Path] = {}
        self._has_value = state.result_file is None
        self.value: Any = None
        self.errors: list[str] = []

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are here."""
        return tuple(path for remote in self._state.outputs for path in self._fetched.get(remote, ()))

    def once(self, session: Session) -> None:
        """Fetch what is not here yet, and the whole log when a path is given.

        Of a command that failed, what is there is fetched; of one that succeeded, everything must be. What can't be
        written where it should go is saved elsewhere on this machine.

        Args:
            session: as the API tells it now.

        Raises:
            OctaLocalFileError: nothing can be written anywhere here.
            OctaSshError: the machine can't be reached.
            OctaCancelledError: `is_cancelled` said yes.
        """
        with job_machine(session, self._state, self._private_key) as machine:
            if self._log_path is not None:
                _fetch_log(machine, self._state, self._log_path, self._is_cancelled)
                self._log_path = None
            is_left = not self._has_value or set(self._state.outputs) - self._fetched.keys()
            sent = _sent(machine, self._is_cancelled) if is_left else {}
            for remote, local in self._state.outputs.items():
                if remote not in self._fetched:
                    self._fetched[remote] = self._fetch(machine, remote, local, sent)
            if not self._has_value:
                assert self._state.result_file is not None
                self.value = self._read_value(machine, self._state.result_file, sent)
                self._has_value = True

    def _fetch(
        self, machine: RemoteMachine, remote: str, local: str, sent: Mapping[str, tuple[int, int]]
    ) -> tuple[str, ...]:
        succeeded, inputs = self._state.exit_code == 0, 0

        def is_made(file: RemoteFile) -> bool:
            nonlocal inputs
            if not file.name:
                # Asked for by its own name, it is wanted as it is.
                return True
            name = posixpath.normpath(posixpath.join(remote, os.fsdecode(file.name)))
            given = sent.get(name) == (file.size, file.mtime)
            inputs += given
            return not given

        def fetch(place: str | Path) -> tuple[str, ...]:
            found = machine.get(
                _in_work_folder(remote),
                place,
                within=None if remote.startswith("/") else WORK_FOLDER,
                on_progress=self._on_progress,
                is_cancelled=self._is_cancelled,
                is_wanted=is_made,
            )
            return tuple(str(path) for path in found)

        try:
            try:
                found = fetch(local)
            except OctaLocalFileError as error:
                # What is wrong here won't pass while the machine bills; its results must not be lost for it.
                log.warning("%s; fetching %s to another place", error, shown(remote))
                place, found = self._fetch_elsewhere(fetch, remote)
                self.errors.append(f"{error}: what the job made was saved as {shown(place)} instead")
        except OctaUnfetchedError as error:
            self._fail(succeeded, str(error))
            return error.fetched
        except OctaLocalFileError:
            raise
        except OctaSshError as error:
            if error.lost:
                raise
            said = f"the command succeeded but left no {shown(remote)}: {error}"
            self._fail(succeeded, said if "No such file" in str(error) else str(error))
            return ()
        if not found:
            only = " but what was sent" if inputs else ""
            self._fail(succeeded, f"the command succeeded but left nothing in {shown(remote)}{only}")
        return found

    def _read_value(self, machine: RemoteMachine, name: str, sent: Mapping[str, tuple[int, int]]) -> Any:
        """The value of the result file. Of a command that failed, one that can't be read is none.

        What came among the inputs, of an earlier run for one, is not what the command has returned.
        """
        given, is_old = sent.get(posixpath.normpath(name)), False

        def is_written(file: RemoteFile) -> bool:
            nonlocal is_old
            is_old = not file.name and given == (file.size, file.mtime)
            return not is_old

        def value(folder: Path) -> Any:
            path = folder / "result"
            machine.get(
                _in_work_folder(name),
                path,
                limits=VALUE_LIMITS,
                is_cancelled=self._is_cancelled,
                is_wanted=is_written,
                checks_pictures=False,
            )
            if is_old:
                raise ValueError("is the one that was sent with the inputs, since the command has written none")
            if not path.is_file():
                raise ValueError("is a folder")
            return read_value(path.read_bytes())

        try:
            return in_scratch(value)
        except OctaSshError as error:
            if error.lost or isinstance(error, OctaLocalFileError):
                raise
            why = f"left no result file {shown(name)}" if "No such file" in str(error) else f"its result file: {error}"
        except ValueError as error:
            why = f"its result file {shown(name)} {error}"
        except OSError as error:
            raise OctaLocalFileError(f"can't read a temporary file: {error.strerror}") from error
        if self._state.exit_code == 0:
            self.errors.append(f"the command succeeded, but {why}")
        return None

    def _fail(self, succeeded: bool, why: str) -> None:
        if succeeded:
            self.errors.append(why)
        else:
            log.warning("the command failed: %s", why)

    def _fetch_elsewhere(self, fetch: Callable[[Path], tuple[str, ...]], remote: str) -> tuple[Path, tuple[str, ...]]:
        """Fetch an output to a folder of this user's own, on the first disk that has room for it."""
        refused: OctaLocalFileError | None = None
        for make in SCRATCH_PLACES:
            # One for each output: two may have the same name. Asked again, it is the same.
            folder = self._instead.get((remote, make))
            try:
                folder = folder or Path(tempfile.mkdtemp(prefix="octa-results-", dir=make()))
            except (OSError, RuntimeError):
                continue
            self._instead[remote, make] = folder
            place = folder / (posixpath.basename(remote.rstrip("/")) or "output")
            try:
                return place, fetch(place)
            except OctaLocalFileError as error:
                refused = error
                with suppress(OSError):
                    # What has arrived stays.
                    folder.rmdir()
                    del self._instead[remote, make]
        raise refused or OctaLocalFileError("no folder of this machine can be written to")


def _sent(machine: RemoteMachine, is_cancelled: Callable[[], bool]) -> dict[str, tuple[int, int]]:
    """What was sent: size and time of change, by name. Nothing where the machine does not know it any more.

    Raises:
        OctaLocalFileError: it can't be written down here: what was sent would pass for what was made.
    """

    def fetched(folder: Path) -> str:
        path = folder / "sent"
        machine.get(SENT_FILE, path, limits=LIST_LIMITS, is_cancelled=is_cancelled)
        return path.read_text()

    def read() -> str:
        # One round trip; a transfer takes a dozen, and the machine bills meanwhile.
        try:
            size, data = machine.read_part(SENT_FILE, 0, is_cancelled=is_cancelled)
        except OctaSshError:
            return in_scratch(fetched)
        return data.decode() if len(data) == size else in_scratch(fetched)

    try:
        sent = json.loads(read())
        return {str(name): (int(size), int(mtime)) for name, (size, mtime) in sent.items()}
    except OctaSshError as error:
        if error.lost or isinstance(error, OctaLocalFileError):
            raise
        return {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        # The command may do with it what it likes.
        return {}


def _fetch_log(
    machine: RemoteMachine,
    state: JobState,
    log_path: str | os.PathLike[str],
    is_cancelled: Callable[[], bool],
) -> None:
    def fetch(folder: Path) -> None:
        fetched = folder / "job.log"
        machine.get(LOG_FILE, fetched, limits=TransferLimits(max_bytes=LOG_BYTES), is_cancelled=is_cancelled)
        save_fetched_log(fetched, state, log_path)

    try:
        in_scratch(fetch)
    except OctaSshError as error:
        if error.lost:
            raise
        # What the command did to its log is not what became of it.
        log.warning("the log of %s can't be fetched: %s", state.key, error)
    except OSError as error:
        log.warning("the log of %s can't be written: %s", state.key, error)


def _in_work_folder(remote: str) -> str:
    """Where an output is, from the login folder."""
    return remote if remote.startswith("/") else posixpath.join(WORK_FOLDER, remote)
