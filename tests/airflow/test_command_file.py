"""`command="render.sh"` reads a file beside the DAG, as `BashOperator` does, where the author says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, task
from airflow_runs import Renting, run

from airflow_provider.operators.job import OctaRunJobOperator

SECRET_FILE = "strangers_choice.sh"


class Rendered:
    """What the command of each task was when it was about to run; it does not run."""

    def __init__(self) -> None:
        self.commands: list[Any] = []

    def __call__(self, context: Any) -> None:
        self.commands.append(context["task"].command)
        raise AirflowSkipException("seen enough")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "render.sh").write_text("echo {{ params.who }} of $HOME\nexit 0\n")
    (tmp_path / "arrays.bash").write_text("a=(1 2); echo ${a[1]}\n")
    (tmp_path / "shebang.sh").write_text("#!/usr/bin/env bash\necho $RANDOM\n")
    (tmp_path / "train.py").write_text("print(1 + 2)\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "deep.sh").write_text("echo deep\n")
    (tmp_path / SECRET_FILE).write_text("echo not for strangers\n")
    return tmp_path


def dag_with(folder: Path, name: str = "command_files", **options: Any) -> DAG:
    return DAG(name, schedule=None, template_searchpath=[str(folder)], params={"who": "me"}, **options)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("command", "runs"),
    [
        ("render.sh", "echo me of $HOME\nexit 0"),
        ("below/deep.sh", "echo deep"),
        ("arrays.bash", ["bash", "-c", "a=(1 2); echo ${a[1]}"]),
        ("shebang.sh", ["bash", "-c", "#!/usr/bin/env bash\necho $RANDOM"]),
        ("train.py", ["python3", "-c", "print(1 + 2)"]),
        # None of these is the name of a file.
        ("bash render.sh", "bash render.sh"),
        ("render.sh ", "render.sh "),
        ("./render.sh", "./render.sh"),
        ("/srv/render.sh", "/srv/render.sh"),
        ("python {{ params.who }}.py", "python me.py"),
        ("{{ params.who }}.sh", "me.sh"),
        (["bash", "render.sh"], ["bash", "render.sh"]),
    ],
)
def test_a_name_is_read_and_a_call_stays(folder: Path, command: Any, runs: Any, native: bool) -> None:
    seen = Rendered()
    with dag_with(folder, render_template_as_native_obj=native) as dag:
        OctaRunJobOperator(task_id="job", image="alpine:3", command=command, pre_execute=seen)
        OctaRunJobOperator.partial(task_id="mapped", image="alpine:3", command=command, pre_execute=seen).expand(
            envs=[{"A": "1"}]
        )
        OctaRunJobOperator.partial(task_id="known", image="alpine:3", pre_execute=seen).expand(command=[command])
    assert run(dag).state == "success"
    assert seen.commands == [runs] * 3


def returned(task_id: str, value: Any) -> Any:
    return task(task_id=task_id)(lambda: value)()


def as_given(seen: Rendered) -> None:
    OctaRunJobOperator(task_id="job", image="alpine:3", command=returned("of", SECRET_FILE), pre_execute=seen)


def as_template(seen: Rendered) -> None:
    returned("of", SECRET_FILE) >> OctaRunJobOperator(
        task_id="job", image="alpine:3", command="{{ ti.xcom_pull(task_ids='of') }}", pre_execute=seen
    )


def as_expanded(seen: Rendered) -> None:
    made = returned("of", [SECRET_FILE])
    OctaRunJobOperator.partial(task_id="job", image="alpine:3", pre_execute=seen).expand(command=made)


def as_expanded_kwargs(seen: Rendered) -> None:
    made = returned("of", [{"command": SECRET_FILE}])
    OctaRunJobOperator.partial(task_id="job", image="alpine:3", pre_execute=seen).expand_kwargs(made)


def as_one_of_several(seen: Rendered) -> None:
    made = returned("of", {"command": SECRET_FILE})
    OctaRunJobOperator.partial(task_id="job", image="alpine:3", pre_execute=seen).expand_kwargs([made])


@pytest.mark.parametrize("way", [as_given, as_template, as_expanded, as_expanded_kwargs, as_one_of_several])
def test_what_another_task_returned_reads_no_file(folder: Path, way: Callable[[Rendered], None]) -> None:
    seen = Rendered()
    with dag_with(folder, "strangers_command") as dag:
        way(seen)
    assert run(dag).state == "success"
    assert seen.commands == [SECRET_FILE]


def test_a_file_that_is_sent_under_the_same_name_is_sent_as_it_is(folder: Path) -> None:
    seen: list[Any] = []

    def look(context: Any) -> None:
        seen.append(context["task"].inputs)
        raise AirflowSkipException("seen enough")

    with dag_with(folder) as dag:
        OctaRunJobOperator(
            task_id="job", image="alpine:3", command="render.sh", inputs={"render.sh": "render.sh"}, pre_execute=look
        )
    assert run(dag).state == "success"
    assert seen == [{"render.sh": "render.sh"}]


def parsed(folder: Path, command: str) -> Any:
    """A DAG file beside the files of `folder`, as Airflow reads it."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    (folder / "dag_of_file.py").write_text(
        "from airflow.providers.common.compat.sdk import DAG\n"
        "from airflow_provider.operators.job import OctaRunJobOperator\n"
        "with DAG('of_file', schedule=None):\n"
        f"    OctaRunJobOperator(task_id='job', image='alpine:3', command={command!r})\n"
    )
    return DagBag(dag_folder=str(folder / "dag_of_file.py"))


def test_a_file_beside_the_dag_is_found(folder: Path) -> None:
    bag = parsed(folder, "below/deep.sh")
    assert not bag.import_errors
    assert bag.dags["of_file"].get_task("job").command == "below/deep.sh"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("missing.sh", "there is none of that name in the DAG's folder or its template_searchpath"),
        ("missing.sh", "put a blank behind it: 'missing.sh '"),
        ("below/../../passwd.sh", "there is none of that name"),
        ("empty.sh", "command='empty.sh': the file is empty"),
        ("latin.sh", "command='latin.sh': the file is no UTF-8 text"),
    ],
)
def test_a_file_that_is_no_command_is_told_when_the_dag_is_parsed(folder: Path, command: str, said: str) -> None:
    (folder / "empty.sh").write_text("\n")
    (folder / "latin.sh").write_bytes("echo é\n".encode("latin-1"))
    (folder.parent / "passwd.sh").write_text("echo beyond the folder\n")
    (error,) = parsed(folder, command).import_errors.values()
    assert said in error


def test_a_mapped_task_whose_file_is_missing_rents_nothing(renting: Renting, folder: Path) -> None:
    with dag_with(folder, "missing_file") as dag:
        OctaRunJobOperator.partial(task_id="job", image="alpine:3", command="missing.sh").expand(envs=[{"A": "1"}])
    assert run(dag).state == "failed"
    assert renting.sessions == []


def test_a_file_that_is_too_long_for_a_command_rents_nothing(
    renting: Renting, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "long.sh").write_text("true\n" * 30_000)
    with dag_with(folder, "long_file") as dag:
        OctaRunJobOperator(task_id="job", image="alpine:3", command="long.sh")
    assert run(dag).state == "failed"
    assert renting.sessions == []
    assert "Send it with inputs, and call it." in "".join(capfd.readouterr())


def test_a_file_runs_there(renting: Renting, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "hello.py").write_text("import sys\nprint('{{ params.who }}', [1, 2][1], sys.argv)\n")
    with dag_with(folder, "runs_files") as dag:
        OctaRunJobOperator.partial(task_id="job", image="python:3.12").expand(command=["hello.py", "arrays.bash"])
    done = run(dag)
    assert done.state == "success"
    assert "[job] me 2 ['-c']" in "".join(capfd.readouterr())
    assert len(renting.sessions) == 2
    assert renting.running() == []
