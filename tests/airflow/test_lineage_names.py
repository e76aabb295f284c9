"""How files are named for OpenLineage, how many are told, and that what is odd or missing ends no task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider.lineage.batch_machines import add_machines
from airflow_provider.lineage.dataset_name import dataset_name
from airflow_provider.lineage.job_lineage import bill_of_event, made_files
from airflow_provider.lineage.run_bill import RunBill


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("/studio/shot/", ("file", "/studio/shot")),
        ("/studio/../etc/x", ("file", "/etc/x")),
        ("a.txt", ("file", str(Path.cwd() / "a.txt"))),
        ("~/a.txt", ("file", str(Path.home() / "a.txt"))),
        (Path("/studio/a b"), ("file", "/studio/a b")),
        ("/studio/caf\udce9", ("file", "/studio/caf\ufffd")),
        ("/studio/two\nlines\x1b[2J", ("file", "/studio/two lines")),
        ("file:///studio/a%20b", ("file", "/studio/a b")),
        ("file://store/studio", ("file://store", "/studio")),
        ("s3://bucket/logs/a.log", ("s3://bucket", "logs/a.log")),
        ("s3a://aws_default@bucket/a.log", ("s3://bucket", "a.log")),
        ("gcs://bucket", ("gs://bucket", "/")),
        ("hdfs://name:8020/user/a", ("hdfs://name:8020", "/user/a")),
        ("abfss://box@account.dfs.core.windows.net/a", ("abfss://box@account.dfs.core.windows.net", "/a")),
        ("abfs://azure_default@box/a", ("abfs://box", "/a")),
        ("https://user:pass@host:8443/a/b?X-Amz-Signature=abc#part", ("https://host:8443", "/a/b")),
        ("https://[broken/a", None),
        ("", None),
        (None, None),
        ("~nobody-of-that-name/a", None),
    ],
)
def test_a_file_has_one_name_and_a_url_tells_no_secret(place: object, name: tuple[str, str] | None) -> None:
    assert dataset_name(place) == name


def test_what_an_author_names_is_told_with_what_it_holds_and_what_lies_elsewhere_by_itself() -> None:
    bill = RunBill(outcome="failed", log="/logs/a.log")
    bill.fetched = ("/out/frames/1.png", "/out/frames/deep/2.png", "/tmp/saved/one.txt")
    declared = ["/out/frames/", "/out/one.txt"]
    assert made_files(bill, declared) == [("/out/frames", 2), ("/tmp/saved/one.txt", 1), ("/logs/a.log", None)]
    bill.outcome = "succeeded"
    assert ("/out/one.txt", 0) in made_files(bill, declared)


def test_of_more_files_than_a_triggerer_hands_over_no_wrong_number_is_told() -> None:
    bill = RunBill()
    names = [f"/out/frames/{number:05}.png" for number in range(50)]
    ended = {"outcome": "succeeded", "exit_code": 0, "attempts": 1, "logs_path": None}
    bill.job_ended({**ended, "outputs": names, "outputs_count": 10_000})
    assert made_files(bill, ["/out/frames"]) == [("/out/frames", 10_000)]
    assert made_files(bill, ["/out/frames", "/out/more"]) == [("/out/frames", None), ("/out/more", None)]


def test_so_many_names_and_no_more_are_told() -> None:
    pytest.importorskip("airflow.providers.openlineage")
    from airflow_provider.lineage.open_lineage import lineage_of

    many = lineage_of([f"/in/{number}" for number in range(1000)], [("/out/x" * 900, 1), ("/out/y" * 900, 1)], None)
    assert len(many.inputs) == 50
    assert len(many.outputs) == 1
    assert lineage_of(["/in/a", "/in/a/"], (), None).inputs[0].name == "/in/a"
    for number in range(60):
        (bill := RunBill()).session(str(number)).cost_wei = 10**30
    bill = RunBill(outcome="whole", cost_wei=10**30)
    for number in range(60):
        bill.session(str(number)).cost_wei = 10**30
    facet = lineage_of((), (), bill).run_facets["octaspace_rental"]
    assert (len(facet.sessions), facet.machines, facet.costWei) == (50, 60, "1" + "0" * 30)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"job": None},
        {"job": {"rental": 3}},
        {"job": {"rental": {"uuid": "u"}}, "bill": {"charge_wei": "many"}},
        {"job": {"rental": {"uuid": "u"}}, "bill": "none", "gpu": 3},
    ],
)
def test_what_a_trigger_of_another_version_tells_ends_no_task(event: dict[str, object]) -> None:
    bill_of_event(RunBill(), event)


def test_a_result_of_another_version_ends_no_task() -> None:
    bill = RunBill()
    bill.job_ended({"outcome": "succeeded"})
    bill.batch_ended({})
    bill.had_before({})
    bill.seen(None)  # type: ignore[arg-type]
    assert bill.sessions == {}


@pytest.mark.parametrize("text", [None, "", "[]", '{"machines": 3}', '{"machines": [3]}', "[" * 100_000])
def test_a_manifest_that_is_none_tells_no_machines(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    bill = RunBill()
    add_machines(bill, tmp_path / "manifest.json")
    assert bill.sessions == {}


def test_without_openlineage_nothing_of_it_is_asked_for_and_an_operator_tells_nothing() -> None:
    script = """
import sys
class Gone:
    asked = []
    def find_spec(self, name, path=None, target=None):
        # Airflow itself reads the information of every provider.
        if name.split(".")[0] == "openlineage" or name == "airflow.providers.openlineage.extractors":
            self.asked.append(name)
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Gone())
from airflow_provider.decorators import octa
from airflow_provider.operators import job, plan_render, render_animation, start, stop, vpn
from airflow_provider.sensors import job as sensor
operator = job.OctaRunJobOperator(task_id="job", image="alpine:3", command="true")
assert Gone.asked == [], Gone.asked
assert operator.get_openlineage_facets_on_start() is None
assert operator.get_openlineage_facets_on_complete(None) is None
assert operator.get_openlineage_facets_on_failure(None) is None
print("told nothing")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "told nothing" in ended.stdout
