"""What asyncssh raises, as one sentence of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

from octa_provider.errors import OctaError, OctaSshError
from octa_provider.files.local_files import shown

if TYPE_CHECKING:
    from octa_provider.remote.connection import SshConnection

__all__ = ["with_ssh_errors"]

T = TypeVar("T")


async def with_ssh_errors(work: Awaitable[T], what: str, connection: SshConnection) -> T:
    """Do something over a connection; what asyncssh raises becomes one sentence.

    Args:
        work: what is done.
        what: the same in words, up to the machine's name: `run a command on`.
        connection: to the machine.

    Raises:
        OctaSshError: it failed.
    """
    import asyncssh

    where = connection.where
    try:
        return await work
    except OctaError:
        raise
    except asyncssh.SFTPError as error:
        lost = isinstance(error, (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection))
        raise OctaSshError(f"can't {what} {where}: {shown(error.reason)}", lost=lost) from error
    except (TimeoutError, asyncio.TimeoutError) as error:
        why = connection.trouble
        raise OctaSshError(f"can't {what} {where}: {why or 'it took too long'}", lost=True) from error
    except (OSError, asyncssh.Error, ValueError, MemoryError) as error:
        said = shown(str(error)) or type(error).__name__
        raise OctaSshError(f"can't {what} {where}: {said}", lost=True) from error
