"""The doctor asks orchestrators that are installed, each in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import octa_provider.cli.output.orchestrator_findings as findings

Cli = Callable[..., Any]

TELLS = """
from octa_provider.cli.output.orchestrator_findings import tell_doctor
print("a banner of its own, {not JSON}")
print('{"of": "somebody else"}')
tell_doctor(lambda: [(True, "is there"), (None, "could be more"), (False, "do this")])
"""
DIES = TELLS + 'raise ValueError("sentinel-of-a-key")\n'
HANGS = TELLS + "import time; time.sleep(600)\n"


@pytest.fixture
def orchestrator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """One that is installed, with a doctor of this text."""

    def install(text: str) -> None:
        (tmp_path / "some_orchestrator").mkdir()
        (tmp_path / "some_orchestrator" / "__init__.py").touch()
        (tmp_path / "some_orchestrator" / "doctor.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
        known = {"Some": ("some_orchestrator", "some_orchestrator.doctor"), "None": ("not_here", "some_orchestrator.x")}
        monkeypatch.setattr(findings, "ORCHESTRATORS", known)

    return install


def of_orchestrators(cli: Cli) -> tuple[int, list[tuple[str, object, str]]]:
    shown = cli("doctor", "--json")
    assert "sentinel" not in shown.out + shown.err
    told = [(one["name"], one["ok"], one["text"]) for one in json.loads(shown.out)]
    return shown.status, [one for one in told if one[0] in ("Some", "None")]


TOLD = [("Some", True, "is there"), ("Some", None, "could be more"), ("Some", False, "do this")]


def test_what_they_find_is_told(cli: Cli, orchestrator: Callable[[str], None]) -> None:
    orchestrator(TELLS)
    assert of_orchestrators(cli) == (1, TOLD)
    assert "✗ Some       do this" in cli("doctor").out


def test_one_that_dies_costs_its_own_findings_alone(cli: Cli, orchestrator: Callable[[str], None]) -> None:
    """What it says about that may be anything, a key too."""
    orchestrator(DIES)
    why = "could not be looked at: see why by python -m some_orchestrator.doctor"
    assert of_orchestrators(cli) == (1, [*TOLD, ("Some", False, why)])


def test_one_that_hangs_is_left(cli: Cli, orchestrator: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    orchestrator(HANGS)
    monkeypatch.setattr(findings, "ASK_S", 2.0)
    status, told = of_orchestrators(cli)
    assert status == 1
    assert told[-1] == ("Some", False, "did not answer within 2 s: see why by python -m some_orchestrator.doctor")


def test_versions_are_compared_with_our_own_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = ["rich>=13", 'prefect>=3.8; extra == "some"', 'fastapi<0.151; extra == "some"', 'b; extra == "other"']
    installed = {"prefect": "3.8.8", "fastapi": "0.150"}
    monkeypatch.setattr(findings, "requires", lambda name: bounds)

    def version(name: str) -> str:
        if name not in installed:
            raise findings.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(findings, "version", version)
    assert list(findings.version_findings("Some", "some")) == [(True, "prefect 3.8.8, fastapi 0.150")]
    del installed["prefect"]
    installed["fastapi"] = "0.165.0"
    assert [text for _, text in findings.version_findings("Some", "some")] == [
        "prefect is missing, which does not work: pip install 'prefect>=3.8'",
        "fastapi is 0.165.0, which does not work: pip install 'fastapi<0.151'",
    ]
