"""Parsing an example costs little, asks nobody, and says nothing wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SCRIPT = """
import json, pathlib, runpy, socket, sys, warnings

def refuse(*arguments, **options):
    raise AssertionError("network")

socket.socket.connect = refuse
warnings.simplefilter("error", DeprecationWarning)
dags = {}
for path in map(pathlib.Path, sys.argv[1:]):
    with warnings.catch_warnings():
        # Airflow's own, and its libraries': only what stands in the example is ours.
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module=path.stem)
        names = runpy.run_path(str(path), run_name=path.stem)
    dags[path.stem] = [key for key, value in names.items() if key[0] != "_" and isinstance(value, list | dict)]
heavy = [name for name in sys.modules if name.startswith(("octa_provider.", "asyncssh", "fileseq"))]
print(json.dumps({"globals": dags, "modules": heavy}))
"""

#: What an example may load of the core while it is parsed: plain values.
LIGHT = {
    *("errors", "files", "frames", "http", "http.web_address", "job", "job.events", "job.result", "job.return_value"),
    *("job.secret_envs", "job.spec", "job.spec_checks", "market", "market.request_checks", "market.requirement_checks"),
    *(
        "market.payer",
        "market.request",
        "market.requirements",
        "pictures",
        "render",
        "rental",
        "rental.json_values",
        "rental.key",
    ),
    *(
        "rental.mark",
        "rental.session_text",
        "rental.start_attempts",
        "rental.tried_machine",
        "text",
        "timing",
        "timing.limits",
        "wire",
        "wire.labels",
        "wire.money",
        "wire.session_envs",
    ),
}
#: Rooms without anything that takes long: of a batch, what is asked for, and what makes a plan of it.
LIGHT_ROOMS = ("batch", "errors.", "files.", "render.", "text.")
HEAVY_ROOMS = ("batch.batches", "batch.film", "batch.folder", "batch.machine", "batch.run")


def test_parsing_the_examples_asks_nobody_and_loads_only_plain_values() -> None:
    examples = [str(path) for path in sorted((ROOT / "dags_examples" / "airflow").glob("*.py")) if path.stem != "train"]
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *examples], capture_output=True, text=True, check=False, timeout=800
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    loaded = {name.removeprefix("octa_provider.") for name in told["modules"]}
    assert {name for name in loaded - LIGHT if not name.startswith(LIGHT_ROOMS)} == set()
    assert {name for name in loaded if name.startswith(HEAVY_ROOMS)} == set()
    assert len(told["globals"]) == len(examples) == 10
    assert [name for name, found in told["globals"].items() if found] == []


ONE_TASK = """
import sys
from airflow_provider.operators.job import OctaRunJobOperator
from airflow.providers.common.compat.sdk import DAG
with DAG("dag", schedule=None):
    OctaRunJobOperator(task_id="task", image="alpine:3", command="true", gpu_model="4090", envs={"A": "{{ ds }}"})
print(*(name for name in sys.modules if name.startswith(("airflow_provider.", "octa_provider."))))
"""
#: What a job needs when it runs, or when something is wrong with it.
ONLY_WHEN_IT_RUNS = {
    *("airflow_provider.job_on_worker", "airflow_provider.kill_switch", "airflow_provider.private_names"),
    *("airflow_provider.stop_on_failure", "airflow_provider.supervisor", "octa_provider.errors.api"),
    *("octa_provider.errors.rental", "octa_provider.job.spec", "octa_provider.market.requirements"),
    *("octa_provider.market.request", "octa_provider.text.loggers", "octa_provider.text.odd_text"),
    *("octa_provider.errors.root", "octa_provider.job.return_value", "octa_provider.rental.start_attempts"),
    *("octa_provider.text.carried", "octa_provider.text.plain_text"),
}


def test_a_task_with_a_job_is_made_without_what_it_needs_when_it_runs() -> None:
    ended = subprocess.run([sys.executable, "-c", ONE_TASK], capture_output=True, text=True, check=False, timeout=800)
    assert ended.returncode == 0, ended.stderr
    loaded = set(ended.stdout.splitlines()[-1].split())
    assert loaded & ONLY_WHEN_IT_RUNS == set()
    # 28 of them; 70 when each module took all that it may need. A DAG file is parsed every half minute.
    assert len(loaded) < 45
