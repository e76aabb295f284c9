"""What stands in for a session's container: a folder, local processes, an SSH server, proxied ports."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from octa_provider.emulator.container.free_port import free_port
from octa_provider.emulator.container.images import ImageEnvironment
from octa_provider.emulator.container.process import (
    SESSION_MARK,
    STATE_MARK,
    ProcessTable,
    end_processes,
    wait_for_exit,
)
from octa_provider.emulator.container.proxy import HttpPortProxy
from octa_provider.emulator.container.ssh import RunningCommand, SessionSsh
from octa_provider.emulator.container.ssh_conditions import SshWeather
from octa_provider.emulator.platform.session import Session
from octa_provider.emulator.platform.state import StateFolder

#: Sessions listen here whatever the API listens on: other machines never reach them.
SESSION_HOST = "127.0.0.1"

_NO_SHELL = 'OCI runtime exec failed: exec: "{0}": stat {0}: no such file or directory: unknown'


class Container:
    """The running part of a session.

    Args:
        session: the session; its ports, URLs and pid are written here.
        image: what its commands find.
        state: the emulator's folder.
        processes: finds the session's processes.
        note: writes a line into the session's system log.
        weather: how its SSH answers.
    """

    def __init__(
        self,
        session: Session,
        image: ImageEnvironment,
        state: StateFolder,
        processes: ProcessTable,
        note: Callable[[str], None],
        weather: SshWeather | None = None,
    ) -> None:
        self.folder = state.sessions / session.uuid
        self.log_path = state.logs / f"{session.uuid}.log"
        self._session = session
        self._image = image
        self._state = state
        self._processes = processes
        self._note = note
        self._weather = weather
        self._ssh: SessionSsh | None = None
        self._proxies: list[HttpPortProxy] = []
        self._command: subprocess.Popen[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._execs: set[RunningCommand] = set()
        self._ran = session.pid != 0
        self._closing = False

    def environment(self) -> dict[str, str]:
        """The whole environment of the session's processes; nothing of the emulator's own leaks into it.

        `OCTA_HTTP_PORT_<n>` (for each http port) and `OCTA_PORT_<n>` (for each port but 22) name the local port that a
        process has to bind for `<n>` to reach it: all sessions share this machine's network. `PORT` is the first of
        the http ports.
        """
        session = self._session
        ports = {f"OCTA_HTTP_PORT_{port}": str(target) for port, target in session.http_targets.items()}
        if session.order.http_ports:
            ports["PORT"] = str(session.http_targets[str(session.order.http_ports[0])])
        ports |= {f"OCTA_PORT_{port}": str(target) for port, target in session.ports_matrix.items() if port != "22"}
        return {
            "HOME": str(self.folder),
            "USER": "root",
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.folder / "tmp"),
            **ports,
            **session.order.envs,
            # The image's own commands come first whatever the caller's PATH says, or `blender` would not be found.
            "PATH": ":".join((*self._image.path, *filter(None, [session.order.envs.get("PATH")]))),
            SESSION_MARK: session.uuid,
            STATE_MARK: str(self._state.root),
        }

    async def open(self) -> None:
        """Take ports, serve SSH, start the command. A container of an earlier emulator keeps its ports and process."""
        session = self._session
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        for port in session.order.ports:
            if port != 22:
                session.ports_matrix.setdefault(str(port), free_port())
        for port in session.order.http_ports:
            target = session.http_targets.setdefault(str(port), free_port())
            proxy = HttpPortProxy(target, str(port))
            before = session.urls.get(str(port), "http://x:0").rstrip("/")
            taken = await proxy.start(int(before.rpartition(":")[2]))
            session.urls[str(port)] = f"http://{SESSION_HOST}:{taken}/"
            self._proxies.append(proxy)
        self._ssh = SessionSsh(
            self._state.host_key(session.uuid), self._state.public_key, self.folder, self.run_over_ssh, self._weather
        )
        session.ssh_port = session.ports_matrix["22"] = await self._ssh.start(session.ssh_port)
        session.ssh_proxy_port = self._ssh.proxy_port or session.ssh_port
        if session.pid:
            self._watching = asyncio.create_task(self._watch(session.pid))
        else:
            self._start_command()

    async def close(self, grace_s: float | None) -> None:
        """End everything that runs in it, and free its ports.

        Args:
            grace_s: seconds for its processes to end by themselves; None cuts the power: its connections first, and no
                process is asked.
        """
        self._closing = True
        if grace_s is None and self._ssh is not None:
            await self._ssh.close()
            self._ssh = None
        if self._ran:
            leaders = [command.pid for command in self._execs if not command.ended]
            if self._command is not None and self._command.returncode is None:
                leaders.append(self._command.pid)
            await end_processes(self._processes, self._session.uuid, leaders, grace_s)
        if self._ssh is not None:
            await self._ssh.close()
        for proxy in self._proxies:
            await proxy.close()
        if self._watching is not None:
            await self._watching

    async def abandon(self) -> None:
        """Free the ports, but let the processes run on."""
        self._ran = False
        if self._watching is not None:
            self._watching.cancel()
        if self._ssh is not None:
            await self._ssh.close()
        for proxy in self._proxies:
            await proxy.close()

    def read_log(self, limit_bytes: int | None) -> str:
        """What the container printed: all of it, or its last `limit_bytes`."""
        if not self.log_path.exists():
            return ""
        with open(self.log_path, "rb") as file:
            if limit_bytes is not None:
                size = file.seek(0, 2)
                file.seek(max(0, size - limit_bytes))
            return file.read().decode("utf-8", errors="replace")

    async def run_over_ssh(self, command: str | None) -> RunningCommand | tuple[str, int]:
        """Start a command (None: a shell that reads its input), as `SessionSsh` wants it."""
        argv = ("/bin/sh",) if command is None else ("/bin/sh", "-c", command)
        missing = self._image.missing_program(argv)
        if missing is not None:
            return _NO_SHELL.format(missing) + "\n", 127
        self._ran = True
        try:
            running = await RunningCommand.start(argv, self.folder, self.environment())
        except (OSError, ValueError) as error:
            return f"{error}\n", 126
        self._execs = {running} | {other for other in self._execs if not other.ended}
        return running

    def _start_command(self) -> None:
        session = self._session
        argv = session.order.argv
        if argv is None:
            self._note("container started without a command")
            return
        missing = self._image.missing_program(argv)
        if missing is not None:
            self._note(_NO_SHELL.replace("exec failed", "create failed").format(missing))
            return
        self._ran = True
        try:
            with open(self.log_path, "ab") as log:
                self._command = subprocess.Popen(
                    argv,
                    cwd=self.folder,
                    env=self.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    executable=self._which(argv[0]),
                )
        except (OSError, ValueError) as error:
            self._note(f"OCI runtime create failed: {error}")
            return
        session.pid = self._command.pid
        self._watching = asyncio.create_task(self._watch(session.pid))

    def _which(self, program: str) -> str:
        # Popen would look along the emulator's PATH, not the session's.
        if "/" not in program:
            for folder in self.environment()["PATH"].split(":"):
                if (Path(folder) / program).is_file():
                    return str(Path(folder) / program)
        return program

    async def _watch(self, pid: int) -> None:
        await wait_for_exit(pid)
        if self._command is None:
            how = "with a status that nobody saw"
        else:
            code = self._command.poll()
            # The descriptor tells of the end a moment before the status can be read, if ever.
            deadline = time.monotonic() + 1
            while code is None and time.monotonic() < deadline:
                await asyncio.sleep(0.005)
                code = self._command.poll()
            how = f"with status {code}"
        if not self._closing:
            # The API has no field for it, and the session is billed until it is stopped (evidence S).
            self._note(f"the container's command ended {how}; the session stays until it is stopped")
