"""What the packages beside the core find out about their orchestrator, each asked in a process of its own.

The core imports no orchestrator; and one that hangs, or dies when it is imported, costs its own findings alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from octa_provider.cli.output.finding import Finding

__all__ = ["Told", "orchestrator_findings", "tell_doctor", "version_findings"]

#: Whether it is good, None for what only informs, and what was found: a `Finding` without its name.
Told = tuple[bool | None, str]

#: Orchestrator to its package, and to what looks at it.
ORCHESTRATORS = {"Airflow": ("airflow", "airflow_provider.doctor"), "Prefect": ("prefect", "prefect_blocks.doctor")}
#: The first import of an orchestrator takes long.
ASK_S = 120.0


def orchestrator_findings() -> Iterator[Finding]:
    """What was found out about each orchestrator that is installed here."""
    for name, (package, module) in ORCHESTRATORS.items():
        if _is_installed(package) and _is_installed(module.partition(".")[0]):
            yield from _asked(name, module)


def tell_doctor(look: Callable[[], Iterable[Told]]) -> None:
    """Look, and tell `orchestrator_findings`, by a line of standard output for each thing, as soon as it is known.

    Args:
        look: gives what is found, without secrets.
    """
    for ok, text in look():
        print(json.dumps({"octa-provider": {"ok": ok, "text": text}}), flush=True)


def version_findings(name: str, extra: str) -> Iterator[Told]:
    """Whether what is installed here is within the bounds of one of our extras.

    Args:
        name: the orchestrator's.
        extra: the extra.
    """
    # Each orchestrator has it.
    from packaging.requirements import Requirement

    try:
        bounds = [Requirement(text) for text in requires("octa-provider") or ()]
    except PackageNotFoundError:
        yield None, f"which versions of {name} will do can't be told: octa-provider is not installed"
        return
    found: list[str] = []
    is_good = True
    for bound in bounds:
        if bound.marker is None or bound.marker.evaluate({"extra": ""}) or not bound.marker.evaluate({"extra": extra}):
            continue
        try:
            installed = version(bound.name)
        except PackageNotFoundError:
            installed = "missing"
        if installed == "missing" or not bound.specifier.contains(installed, prereleases=True):
            is_good = False
            yield (
                False,
                f"{bound.name} is {installed}, which does not work: pip install '{bound.name}{bound.specifier}'",
            )
        found.append(f"{bound.name} {installed}")
    if is_good:
        yield True, ", ".join(found)


def _is_installed(package: str) -> bool:
    """A folder of that name, such as Airflow's own in somebody's home, is found too, and has no origin."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def _asked(name: str, module: str) -> Iterator[Finding]:
    command = [sys.executable, "-m", module]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", timeout=ASK_S
        )
    except subprocess.TimeoutExpired:
        yield Finding(False, name, f"did not answer within {ASK_S:.0f} s: see why by python -m {module}")
        return
    found = [told for line in done.stdout.splitlines() if (told := _read(line)) is not None]
    yield from (Finding(ok, name, text) for ok, text in found)
    if done.returncode != 0:
        # What it says about its end may be anything, secrets too.
        yield Finding(False, name, f"could not be looked at: see why by python -m {module}")


def _read(line: str) -> Told | None:
    """What a line tells; None for what the orchestrator itself prints."""
    try:
        told = json.loads(line)["octa-provider"]
        return told["ok"], str(told["text"])
    except (ValueError, TypeError, KeyError):
        return None
