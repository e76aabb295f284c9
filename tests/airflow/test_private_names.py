"""What is used of Airflow that it never promised: an Airflow that lacks one fails here by its name."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import airflow
import pytest

from airflow_provider import private_names
from airflow_provider.private_names import PRIVATE_NAMES, PrivateName, check_private_names, is_made_anew

PACKAGE = Path(private_names.__file__).parent
ON_TWO = airflow.__version__.startswith("2.")
#: What is imported from there is promised, or read by Airflow 2 alone, which changes no more.
PROMISED = {"airflow.sdk", "airflow.providers.common.compat"}
OF_TWO = {"airflow.models", "airflow.utils.session", "airflow.exceptions"}


@pytest.mark.parametrize("name", PRIVATE_NAMES, ids=str)
def test_airflow_has(name: PrivateName) -> None:
    if name.is_expected:
        assert name.is_there(), f"{name} is gone: {name.what_for} ({name.where})"


def test_a_missing_one_is_told_in_a_sentence_before_anything_is_rented() -> None:
    missing = replace(PRIVATE_NAMES[-1], name="no_such_name", since=(2, 11), on_worker=True)
    with pytest.raises(ImportError, match=rf"has no {missing}, which octa-provider needs \({missing.what_for}\): pip"):
        check_private_names((missing,))
    no_module = replace(missing, module="airflow.no_such_module")
    with pytest.raises(ImportError, match="no_such_module"):
        check_private_names((no_module,))
    check_private_names((replace(missing, since=(99, 0)), replace(missing, on_worker=False)))


def test_each_that_is_imported_is_listed() -> None:
    listed = {(one.module, one.name.partition(".")[0]) for one in PRIVATE_NAMES}
    used = {
        (node.module or "", alias.name): path.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if (node.module or "").startswith(("airflow.sdk.", "airflow.api_fastapi.", "airflow.jobs."))
    }
    # A module is listed by what is read of it.
    modules = {tuple(module.rpartition(".")[::2]) for module, _ in listed}
    assert {use: file for use, file in used.items() if use not in listed and use not in modules} == {}


def test_a_mapped_task_is_told_from_one_that_is_written_down() -> None:
    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider.operators.stop import OctaStopSessionOperator

    with DAG("told", schedule=None):
        written = OctaStopSessionOperator(task_id="written", session="{{ 1 }}")
        mapped = OctaStopSessionOperator.partial(task_id="mapped").expand(session=["a", "b"])
    assert not is_made_anew(written)
    made = mapped.unmap({"session": "a"})
    assert is_made_anew(made)


def test_a_wait_that_airflow_ends_resumes_with_the_name_that_is_looked_for() -> None:
    """`resume_execution` is all that is called then; see `TaskDeferralTimeout`."""
    operators = [PACKAGE / "running_job.py", PACKAGE / "operators" / "render_animation.py"]
    sensors = [PACKAGE / "sensors" / "job.py", PACKAGE / "sensors" / "session.py"]
    for path in operators + sensors:
        assert '"__fail__"' in path.read_text()
    if ON_TWO:
        return
    from airflow.sdk.bases import operator

    assert operator.TRIGGER_FAIL_REPR == "__fail__"
