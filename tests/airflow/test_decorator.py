"""`@task.octa`: a function runs on a rented machine."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow_runs import Renting, run

from airflow_provider.decorators.octa import octa_task


@pytest.fixture(params=[False, True], ids=["worker", "deferred"])
def deferrable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(autouse=True)
def _temporary_files_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests make and remove such folders at the same time."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("octa-task-*"))


def test_a_function_runs_there_and_its_result_comes_back(
    renting: Renting, deferrable: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    before = folders()
    with DAG("function", schedule=None) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, deferrable=deferrable, envs={"WHO": "there"})
        def describe(name: str, *, factor: int = 2) -> dict[str, Any]:
            # A comment, "quotes" and a {brace} survive the way.
            import os

            print("at work")
            return {"name": name.upper(), "factors": [factor] * 2, "who": os.environ["WHO"], "brace": "{x}"}

        @task
        def double(described: dict[str, Any]) -> int:
            return int(described["factors"][0]) * 2

        double(describe("{{ dag.dag_id }}", factor=21))
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("describe") == {"name": "FUNCTION", "factors": [21, 21], "who": "there", "brace": "{x}"}
    assert ended.result("double") == 42
    assert int(ended.result("describe", "cost")["cost_wei"]) > 0
    log = capfd.readouterr()
    assert "[job] at work" in log.out + log.err
    assert len(renting.sessions) == 1
    assert renting.running() == []
    assert folders() == before


def test_a_traceback_comes_back(renting: Renting, deferrable: bool, capfd: pytest.CaptureFixture[str]) -> None:
    before = folders()
    with DAG("raises", schedule=None) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, deferrable=deferrable)
        def fails() -> None:
            raise LookupError("no such scene")

        fails()
    assert run(dag).state == "failed"
    log = capfd.readouterr()
    told = (log.out + log.err).split("Its last lines:")[1]
    assert "LookupError: no such scene" in told
    assert "Traceback" in told
    assert renting.running() == []
    assert folders() == before


def test_an_exit_code_can_skip(renting: Renting) -> None:
    with DAG("exits", schedule=None) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, skip_on_exit_code=99)
        def skips() -> None:
            import sys

            sys.exit(99)

        skips()
    assert run(dag).tasks == {"skips": "skipped"}


def test_several_outputs_and_files(renting: Renting, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("7")
    with DAG("outputs", schedule=None) as dag:

        @task.octa(
            image="python:3.12",
            poll_interval=0.2,
            multiple_outputs=True,
            inputs={str(tmp_path / "in.txt"): "in.txt"},
            outputs={"out.txt": str(tmp_path / "out.txt")},
        )
        def both() -> dict[str, int]:
            with open("in.txt") as read, open("out.txt", "w") as written:
                number = int(read.read())
                written.write(str(number + 1))
            return {"number": number, "next": number + 1}

        both()
    ended = run(dag)
    assert ended.result("both", "next") == 8
    assert (tmp_path / "out.txt").read_text() == "8"


def test_functions_are_mapped(renting: Renting) -> None:
    with DAG("mapped_functions", schedule=None) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2)
        def square(number: int) -> int:
            return number * number

        square.expand(number=[2, 3])
    ended = run(dag)
    assert [ended.result(f"square[{index}]") for index in (0, 1)] == [4, 9]
    assert renting.running() == []


@pytest.mark.parametrize(
    ("result", "deferred"),
    [
        ("object()", False),
        ("{1, 2}", False),
        ("float('nan')", False),
        ("{'__type': 'set', '__var': [1]}", False),
        # Neither is the triggerer's to hand over.
        ("[float('inf'), {'__id__': 1}]", True),
        ("{'__id__': 1}", True),
    ],
)
def test_a_result_that_is_no_json_fails(renting: Renting, result: str, deferred: bool) -> None:
    with DAG("no_json", schedule=None) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, deferrable=deferred)
        def gives(expression: str) -> Any:
            return eval(expression)

        gives(result)
    assert run(dag).state == "failed"
    assert renting.running() == []


def test_the_results_of_a_mapped_task_are_a_list_there(renting: Renting) -> None:
    with DAG("lazy", schedule=None) as dag:

        @task
        def one(number: int) -> int:
            return number

        @task.octa(image="python:3.12", poll_interval=0.2)
        def total(numbers: list[int]) -> int:
            return sum(numbers)

        total(one.expand(number=[1, 2, 3]))
    assert run(dag).result("total") == 6


def test_an_argument_that_is_no_json_rents_nothing(renting: Renting) -> None:
    with DAG("no_json_in", schedule=None) as dag:

        @task.octa(image="python:3.12")
        def takes(what: Any) -> None:
            print(what)

        takes({1, 2})
    assert run(dag).state == "failed"
    assert renting.sessions == []


def test_what_the_decorator_decides_is_refused() -> None:
    def refused() -> None: ...

    with (
        DAG("refused", schedule=None),
        pytest.raises(ValueError, match=r"command is not for @task\.octa"),
    ):
        octa_task(image="python:3.12", command="true")(refused)()


def test_what_the_function_leaves_beside_its_result_is_the_users(renting: Renting, tmp_path: Path) -> None:
    (tmp_path / "precious.csv").write_text("mine")
    with DAG("own_result", schedule=None) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, outputs={"result.json": str(tmp_path / "result.json")})
        def leaves_a_file() -> str:
            with open("result.json", "w") as file:
                file.write('"of the file"')
            return "of the function"

        leaves_a_file()
    ended = run(dag)
    assert ended.result("leaves_a_file") == "of the function"
    assert (tmp_path / "result.json").read_text() == '"of the file"'
    assert (tmp_path / "precious.csv").read_text() == "mine"


def test_a_coroutine_function_is_refused_when_parsed() -> None:
    async def waits() -> int:
        return 1

    async def yields() -> Any:
        yield 1

    for function in (waits, yields):
        with pytest.raises(ValueError, match=f"calls {function.__name__} as it is, and nobody awaits it") as told:
            octa_task(image="python:3.12")(function)
        assert "\n" not in str(told.value)
        with pytest.raises(ValueError, match="nobody awaits it"):
            octa_task(function, image="python:3.12")


def needs_task_instance(ti: Any, number: int = 1) -> int:
    return number


def needs_connections(*, conn: Any) -> str:
    return str(conn)


def needs_the_run(dag_run: Any, /) -> str:
    return str(dag_run)


@pytest.mark.parametrize(
    ("function", "name"), [(needs_task_instance, "ti"), (needs_connections, "conn"), (needs_the_run, "dag_run")]
)
def test_a_function_that_needs_what_stays_in_airflow_rents_nothing(
    renting: Renting, capfd: pytest.CaptureFixture[str], function: Any, name: str
) -> None:
    with DAG("stays_here", schedule=None) as dag:
        octa_task(image="python:3.12", retries=1)(function)()
    ended = run(dag)
    assert ended.state == "failed"
    assert renting.sessions == []
    log = capfd.readouterr()
    assert f"The function of @task.octa needs {name}, which a rented machine can't have" in log.out + log.err


def test_what_a_function_may_have_of_the_context_arrives_as_it_is(renting: Renting, deferrable: bool) -> None:
    with DAG("has_params", schedule=None, params={"size": [64, 36], "scene": {"name": "cube", "ü": None}}) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, deferrable=deferrable)
        def tells(number: int, params: Any, run_id: str, dag: Any = None, *, ti: Any = None) -> dict[str, Any]:
            return {"number": number, "params": params, "run_id": run_id, "left": [dag, ti]}

        tells(7)
    ended = run(dag)
    assert ended.state == "success"
    told = ended.result("tells")
    assert told.pop("run_id")
    assert told == {
        "number": 7,
        "params": {"size": [64, 36], "scene": {"name": "cube", "ü": None}},
        "left": [None, None],
    }


def test_a_context_argument_that_is_given_is_the_one_given(renting: Renting) -> None:
    with DAG("given_params", schedule=None, params={"size": 1}) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2)
        def tells(params: Any) -> Any:
            return params

        tells({"size": 2})
    assert run(dag).result("tells") == {"size": 2}


def test_params_that_are_no_json_are_refused_where_they_are_needed(
    renting: Renting, capfd: pytest.CaptureFixture[str]
) -> None:
    def put(context: Any) -> None:
        context["params"] = {"folder": Path("/data")}

    with DAG("odd_params", schedule=None) as dag:

        @task.octa(image="python:3.12", pre_execute=put)
        def tells(params: Any) -> Any:
            return params

        tells()
    assert run(dag).state == "failed"
    assert renting.sessions == []
    assert "needs params, which a rented machine can't have" in "".join(capfd.readouterr())


def test_what_is_read_from_the_whole_context_arrives_and_nothing_else(renting: Renting) -> None:
    with DAG("whole_context", schedule=None, params={"frame": 7, "unread": "stays here"}) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2)
        def tells(scene: str, **context: Any) -> Any:
            return [scene, context["run_id"], context.get("ti"), context["quality"], sorted(context)]

        tells("shot", quality=3)
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("tells") == ["shot", ended.run_id, None, 3, ["quality", "run_id"]]


def test_a_function_that_reads_what_stays_in_airflow_from_the_whole_context_rents_nothing(
    renting: Renting, capfd: pytest.CaptureFixture[str]
) -> None:
    with DAG("whole_context_in_vain", schedule=None) as dag:

        @task.octa(image="python:3.12")
        def tells(**context: Any) -> Any:
            return context["ti"].try_number

        tells()
    assert run(dag).state == "failed"
    assert renting.sessions == []
    assert "needs ti, which a rented machine can't have" in "".join(capfd.readouterr())


OF_THE_MODULE = 7


def uses_the_module() -> int:
    return OF_THE_MODULE


def uses_what_nobody_defines() -> int:
    return missing + 1  # type: ignore[name-defined]  # noqa: F821


def has_a_default_of_the_module(number: int = OF_THE_MODULE) -> int:
    return number


def imports_nothing() -> bytes:
    class Inner:
        field: Path = tempfile.gettempdir()  # type: ignore[assignment]

    return bytes(Inner.field)


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (uses_the_module, "OF_THE_MODULE"),
        (uses_what_nobody_defines, "missing"),
        (has_a_default_of_the_module, "OF_THE_MODULE"),
        (imports_nothing, "tempfile"),
    ],
)
def test_a_function_that_uses_what_it_leaves_behind_is_refused_when_parsed(function: Any, names: str) -> None:
    for decorate in (octa_task(image="python:3.12"), lambda given: octa_task(given, image="python:3.12")):
        with pytest.raises(ValueError, match=f"where {names} would be unknown: import or define it inside") as told:
            decorate(function)
        assert "\n" not in str(told.value)


def test_a_free_variable_is_refused_when_parsed() -> None:
    frames = [1, 2]
    with DAG("free_variable", schedule=None), pytest.raises(ValueError, match="where frames would be unknown"):

        @task.octa(image="python:3.12")
        def count() -> int:
            return len(frames)


def test_names_that_a_function_makes_itself_are_its_own() -> None:
    def whole(numbers: Any, *more: Path, factor: int = max(1, 2)) -> OnlyAName:  # type: ignore[name-defined]  # noqa: F821
        import math as maths
        from os import path

        global made_there
        made_there = 3

        class Inner:
            first = 1
            second = first

        def again(left: int) -> Any:
            nonlocal numbers
            numbers = [one for one in numbers if (twice := one * 2)]
            return again(left - 1) if left else (whole, Inner, __file__, made_there, twice)

        try:
            return again(factor), maths.pi, path.sep
        except OSError as error:
            return error, (lambda given: given)(more)

    octa_task(image="python:3.12")(whole)


def test_a_function_is_called_there_whatever_its_decorator_is_called_here_and_its_text_stays_as_it_is(
    renting: Renting,
) -> None:
    with DAG("by_another_name", schedule=None) as dag:

        @octa_task(image="python:3.12", poll_interval=0.2)
        def says() -> str:
            # Airflow would leave out the lines that begin with a hash, and could not move the others to the left.
            return """#!/bin/sh
# to the left
    echo ok
"""

        says()
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("says") == "#!/bin/sh\n# to the left\n    echo ok\n"
    assert len(renting.sessions) == 1


def _numbers() -> Any:
    yield 1


class _Scene:
    def render(self) -> int:
        return 1

    def __call__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (functools.lru_cache(uses_the_module), "a decorator between them would stay here"),
        (functools.wraps(uses_the_module)(lambda: 1), "a decorator between them would stay here"),
        (_numbers, "it yields instead"),
        (lambda: 1, "write it as a def"),
        (functools.partial(uses_the_module), "write it as a def"),
        (_Scene().render, "write it as a def"),
        (_Scene(), "write it as a def"),
        (_Scene, "write it as a def"),
        (len, "write it as a def"),
        (eval("lambda: 1").__class__(compile("1", "nowhere", "eval"), {}, "nowhere"), "can't be found"),
    ],
)
def test_what_can_not_be_called_by_its_source_is_refused_when_parsed(function: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why) as told:
        octa_task(image="python:3.12")(function)
    assert "\n" not in str(told.value)
