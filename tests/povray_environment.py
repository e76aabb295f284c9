"""POV-Ray for the tests without root: the one that is installed, else Debian's package, unpacked into a folder.

python tests/povray_environment.py .venvs/povray
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path


def unpacked(folder: Path, status: str) -> list[str]:
    """Download POV-Ray and what it lacks here with apt's own configuration, unpack it, and say how to start it.

    Args:
        folder: where to; apt's lists and archives lie there too, since those of the system are root's.
        status: what is installed, as dpkg keeps it.
    """
    for name in ("lists/partial", "cache/archives/partial", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    apt = [
        *("apt-get", "-qq", "-o", "Debug::NoLocking=1", "-o", f"Dir::State::Lists={folder / 'lists'}"),
        *("-o", f"Dir::Cache={folder / 'cache'}", "-o", f"Dir::State::Status={status}"),
    ]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "-y", "--no-install-recommends", "--download-only", "install", "povray"], check=True)
    for package in sorted((folder / "cache" / "archives").glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
    libraries = {path.parent for path in (folder / "root").rglob("*.so*")}
    shutil.rmtree(folder / "cache")
    shutil.rmtree(folder / "lists")
    paths = ":".join(sorted(map(str, libraries)))
    return [f"LD_LIBRARY_PATH={shlex.quote(paths)}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}", "export LD_LIBRARY_PATH"]


def main(arguments: list[str]) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--status", default="/var/lib/dpkg/status", help="what is installed, as dpkg keeps it")
    parser.add_argument("--unpack", action="store_true", help="although one is installed")
    options = parser.parse_args(arguments)
    folder = options.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    installed = None if options.unpack else shutil.which("povray")
    if not installed and shutil.which("apt-get") is None:
        print("POV-Ray is missing: put a `povray` on the PATH.", file=sys.stderr)
        return 1
    lines = [] if installed else unpacked(folder, options.status)
    program = installed or str(folder / "root" / "usr" / "bin" / "povray")
    command = folder / "bin" / "povray"
    command.write_text("\n".join(["#!/bin/sh", *lines, f'exec {shlex.quote(program)} "$@"', ""]))
    command.chmod(0o755)
    done = subprocess.run([command, "--version"], capture_output=True, text=True, env={**os.environ}, check=False)
    if done.returncode:
        print(f"POV-Ray does not start: {done.stderr}", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
