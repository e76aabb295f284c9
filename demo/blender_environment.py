"""Make the environment that has Blender: ``bpy`` for a Python it is made for, else a ``blender`` that is installed.

``make`` runs this with whatever Python there is, before any environment exists: standard library only.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

#: The Pythons that bpy is published for (see constraints/blender.txt).
VERSIONS = ("3.11", "3.13")

NOTHING_FITS = (
    "Blender is missing: install Python 3.11 or 3.13 (bpy from PyPI is made for these), or put a `blender` on the PATH."
)

#: Debian's and Ubuntu's packages of the system libraries that bpy is linked to.
PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libICE.so.6": "libice6",
    "libSM.so.6": "libsm6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
    "libxkbcommon.so.0": "libxkbcommon0",
}


class NoBlenderError(Exception):
    """There is no Blender and none could be made; the text says what to install."""


def make_environment(folder: Path, uv: Path, constraints: Path) -> str:
    """Make ``folder`` an environment with bpy.

    Returns:
        What renders, in words.

    Raises:
        NoBlenderError: nothing here can render.
    """
    python = find_python(uv)
    if python is None:
        installed = shutil.which("blender")
        if installed is None:
            raise NoBlenderError(NOTHING_FITS)
        folder.mkdir(parents=True, exist_ok=True)
        return f"the installed {installed}"
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", python, folder], check=True)
    own_python = folder / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", own_python, "-r", constraints], check=True)
    check_import(own_python)
    return f"bpy on {python}"


def find_python(uv: Path) -> str | None:
    """The first interpreter that bpy is made for: this one, one on the PATH, one that uv knows."""
    if version_of(sys.executable) in VERSIONS:
        return sys.executable
    for version in VERSIONS:
        found = shutil.which(f"python{version}")
        if found is not None and version_of(found) == version:
            return found
        answer = subprocess.run([uv, "python", "find", version], capture_output=True, text=True, check=False)
        if answer.returncode == 0 and version_of(answer.stdout.strip()) == version:
            return answer.stdout.strip()
    return None


def version_of(python: str) -> str | None:
    """``3.11`` and the like, or None when it does not run (pyenv leaves such commands on the PATH)."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None


def check_import(python: Path) -> None:
    """Import bpy once.

    Raises:
        NoBlenderError: it does not load; says which system packages are missing when that is why.
    """
    attempt = subprocess.run([python, "-c", "import bpy"], capture_output=True, text=True, check=False)
    if attempt.returncode == 0:
        return
    libraries = missing_libraries(python.parent.parent) or first_missing(attempt.stderr)
    if libraries:
        raise NoBlenderError(missing_libraries_sentence(libraries))
    reason = attempt.stderr.strip().splitlines()[-1:] or [f"exit code {attempt.returncode}"]
    raise NoBlenderError(f"bpy was installed but does not load here: {reason[0]}")


def missing_libraries_sentence(libraries: list[str]) -> str:
    """What to install for these, in one sentence."""
    packages = sorted({PACKAGES[name] for name in libraries if name in PACKAGES})
    others = [name for name in libraries if name not in PACKAGES]
    steps = []
    if packages:
        steps.append(f"run `apt-get install --no-install-recommends {' '.join(packages)}`")
    if others:
        steps.append(f"install the system packages that provide {', '.join(others)}")
    return f"Blender needs system libraries that are missing here ({', '.join(libraries)}): {' and '.join(steps)}."


def missing_libraries(environment: Path) -> list[str]:
    """The libraries that the loader does not find for bpy, all at once rather than one an attempt."""
    ldd = shutil.which("ldd")
    modules = sorted(environment.glob("lib/python*/site-packages/bpy/__init__*.so"))
    if ldd is None or not modules:
        return []
    listing = subprocess.run([ldd, modules[0]], capture_output=True, text=True, check=False).stdout
    return sorted({line.split()[0] for line in listing.splitlines() if line.endswith("not found")})


def first_missing(error: str) -> list[str]:
    """The library that an ImportError names: ``libXrender.so.1: cannot open shared object file``."""
    before, found, _ = error.partition(": cannot open shared object file")
    return [before.split()[-1]] if found else []


def main() -> int:
    """Command line; the exit status is 0 when something here can render."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--uv", type=Path, required=True)
    parser.add_argument("--constraints", type=Path, required=True)
    options = parser.parse_args()
    try:
        make_environment(options.folder, options.uv, options.constraints)
    except NoBlenderError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError:
        print("Blender's environment could not be made: what failed stands above; then try again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
