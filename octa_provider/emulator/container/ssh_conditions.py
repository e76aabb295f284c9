"""What life does to SSH: an sshd that comes late, a closed port, a long line, a full disk, a hostile machine."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from octa_provider.errors import OctaConfigError

READS = ("", "stuck", "short", "wrong")
WRITES = ("", "stuck", "full")
LISTINGS = ("", "endless", "nested", "huge", "outside")


@dataclass(frozen=True)
class SshConditions:
    """How the machines of an emulator answer over SSH.

    Attributes:
        listens_after_s: seconds that sshd comes up later than the session is ready.
        knows_key_after_s: seconds after its first login attempt that a session learns the account's key.
        refusals: so many logins are refused from now on, and then the key is known again.
        direct_is_closed: only the proxy's address answers.
        round_trip_s: seconds that a packet takes there and back.
        reads: what reading a file gives: `stuck` (no answer), `short` or `wrong` contents.
        bad_reads: so many files are read so; after that all is well.
        writes: what writing gives: `stuck`, or `full` for a disk without room.
        listing: what a folder's listing gives: `endless` names, folders `nested` without end, a `huge` file, a name
            that leads `outside`.

    The first five hold for sessions that come up from then on, but `refusals`; the rest at once.
    """

    listens_after_s: float = 0.0
    knows_key_after_s: float = 0.0
    refusals: int = 0
    direct_is_closed: bool = False
    round_trip_s: float = 0.0
    reads: str = ""
    bad_reads: int = 2**31
    writes: str = ""
    listing: str = ""

    def __post_init__(self) -> None:
        for one in fields(self):
            value, wanted = getattr(self, one.name), type(one.default)
            if isinstance(value, bool) != (wanted is bool) or not isinstance(value, (wanted, int)):
                raise OctaConfigError(f"{one.name} must be of the type {wanted.__name__}, not {value!r}")
        for name, known in (("reads", READS), ("writes", WRITES), ("listing", LISTINGS)):
            if getattr(self, name) not in known:
                raise OctaConfigError(f"{name} must be one of {', '.join(filter(None, known))}, or empty")


@dataclass
class SshWeather:
    """The conditions that hold now; one value for all sessions of an emulator."""

    now: SshConditions = field(default_factory=SshConditions)

    def change(self, values: dict[str, Any]) -> None:
        """Put conditions in force; what is not named is as it should be.

        Raises:
            OctaConfigError: there is no such condition.
        """
        try:
            self.now = SshConditions(**values)
        except TypeError as error:
            raise OctaConfigError(f"no condition of SSH: {error}") from None

    def refuses(self) -> bool:
        """Whether this login is one of those that are refused."""
        if self.now.refusals <= 0:
            return False
        self.now = replace(self.now, refusals=self.now.refusals - 1)
        return True

    def next_read(self) -> str:
        """What becomes of the file that is opened now."""
        if not self.now.reads or self.now.bad_reads <= 0:
            return ""
        self.now = replace(self.now, bad_reads=self.now.bad_reads - 1)
        return self.now.reads
