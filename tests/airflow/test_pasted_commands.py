"""Airflow's commands that the documents and our messages tell are understood by Airflow when they are pasted."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser

from airflow_provider.doctor import airflow_findings
from tests.pasted_commands import DOCUMENTS, commands_of, names_a_command, pasted


def understood(words: list[str]) -> None:
    if names_a_command(words):
        words = [*words, "--help"]
        with pytest.raises(SystemExit, match=r"^0$"):
            get_parser().parse_args(words)
    else:
        get_parser().parse_args(words)


def test_commands_of_the_documents_are_understood(tmp_path: Path) -> None:
    told = [one for path in DOCUMENTS if path.name != "CHANGELOG.md" for one in commands_of(path, "airflow")]
    found = pasted("\n".join(told), tmp_path)
    assert ["airflow", "connections", "test", "octa_default"] in found
    for _, *words in found:
        understood(words)


def test_what_the_doctor_has_one_type_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_OCTA_DEFAULT", raising=False)
    told = [text.partition(": ")[2] for _, text in airflow_findings() if "airflow connections add" in text]
    ((_, *words),) = pasted("\n".join(told), tmp_path)
    assert words[:2] == ["connections", "add"]
    understood(words)
