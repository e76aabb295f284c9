"""Prefect's commands that the documents and our messages tell are understood by Prefect when they are pasted."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from prefect.cli._app import _app
from prefect_server import PrefectServer

from prefect_blocks import OctaWorker
from prefect_blocks.doctor import prefect_findings
from tests.pasted_commands import DOCUMENTS, commands_of, names_a_command, pasted

pytestmark = pytest.mark.e2e


def understood(words: list[str]) -> dict[str, Any]:
    """The arguments that Prefect's own parser makes of the words; it raises where it does not understand them."""
    if names_a_command(words):
        words = [*words, "--help"]
    return dict(_app.parse_args(words, exit_on_error=False, print_error=False)[1].arguments)


def test_commands_of_the_documents_are_understood(tmp_path: Path) -> None:
    told = [one for path in DOCUMENTS if path.name != "CHANGELOG.md" for one in commands_of(path, "prefect")]
    found = pasted("\n".join(told), tmp_path)
    assert ["prefect", "worker", "start", "--pool", "machines"] in found
    for _, *words in found:
        understood(words)


@pytest.mark.parametrize("name", ["-rf", "--pool", 'a pool\'s `name` $HOME; "x"'])
def test_what_the_doctor_has_one_type_names_the_pool_whatever_it_is_called(
    server: PrefectServer, tmp_path: Path, name: str
) -> None:
    name += f" {uuid.uuid4().hex[:6]}"
    template = OctaWorker.get_default_base_job_template()
    # As an earlier release had it.
    del template["variables"]["if"], template["variables"]["else"]
    server.post("/work_pools/", name=name, type="octa", base_job_template=template, is_paused=True)
    try:
        told = [text[text.index(": prefect ") + 2 :] for _, text in prefect_findings() if name[-6:] in text]
    finally:
        server.delete(f"/work_pools/{quote(name)}")
    found = [understood(words) for _, *words in pasted("\n".join(told), tmp_path)]
    named = [one.get("name", one.get("work_pool_name")) for one in found if {"name", "work_pool_name"} & one.keys()]
    assert named == 3 * [name]
