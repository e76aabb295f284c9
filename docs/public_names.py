"""The names that a user imports, by package and kind: each has a page in the site's reference, and nothing else has.

Read out of the source, which is not imported, so that one environment knows all three packages. What a package lists is
public; beside it what the documents import from a module of its own. All else in these modules, and all other modules,
may change.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Of the core, beside what its package lists: modules, with the name where not all of a module's are meant.
CORE = {
    "Frames, pictures, progress, keys": "frames pictures progress rental_key batch.film.sheet.contact_sheet "
    "batch.film.video.make_video batch.film.video.FramesNotWholeError",
    "In your own tests": "emulator.testing.start_emulator emulator.testing.octa_emulator "
    "emulator.testing.EmulatorHandle",
}
#: What an Airflow user writes into a DAG, by its kind: files below the package.
AIRFLOW = {
    "Operators": "operators/*.py",
    "Sensors": "sensors/*.py",
    "Decorator and task group": "decorators/*.py task_group.py",
    "Hook": "hooks/*.py",
    "Triggers": "triggers/*.py",
    "Links and errors": "links.py exceptions.py",
}
#: How these begin.
OF_AIRFLOW = ("Octa", "octa_")
#: What a Prefect user writes into a flow: as for the core.
PREFECT = {
    "Blocks": "credentials.OctaCredentials job.OctaJob job_run.OctaJobRun render_batch.OctaRenderBatch "
    "rented_machine.RentedMachine rented_machine.rented_machine",
    "Tasks": "tasks",
    "Flows": "flows left_sessions.stop_left_sessions",
    "Worker and decorator": "worker.OctaWorker worker_configuration.OctaJobVariables decorators.octa",
    "Errors": "job_run.JobFailedError frames_missing.FramesMissingError",
}


def public_names() -> dict[str, dict[str, list[str]]]:
    """By package and kind: where each name is found, such as `airflow_provider.operators.job.OctaRunJobOperator`."""
    return {"octa_provider": _core(), "airflow_provider": _airflow(), "prefect_blocks": _prefect()}


def imported_from(name: str) -> str:
    """The module that a user writes into the import of a name.

    Args:
        name: one of `public_names`.
    """
    package, _, rest = name.partition(".")
    module, _, short = rest.rpartition(".")
    return package if module in _home_of(package).get(short, ()) else f"{package}.{module}"


def _home_of(package: str) -> dict[str, tuple[str, ...]]:
    """The modules of what a package gives of itself, by name."""
    for node in ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")).body:
        kept = getattr(node.targets[0], "id", "") if isinstance(node, ast.Assign) else ""
        if isinstance(node, ast.Assign) and kept == "_HOME":
            homes = ast.literal_eval(node.value)
            return {name: (home.partition(".")[2],) for home, names in homes.items() for name in names}
        if isinstance(node, ast.Assign) and kept == "_MODULE_OF":
            return {name: (home,) for name, home in ast.literal_eval(node.value).items()}
    return {}


def _core() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"Client, jobs, batches": [], "Errors": []}
    for name, (module,) in sorted(_home_of("octa_provider").items(), key=lambda one: one[1]):
        found["Errors" if module == "errors" else "Client, jobs, batches"].append(f"octa_provider.{module}.{name}")
    return found | {kind: list(_in_package("octa_provider", parts)) for kind, parts in CORE.items()}


def _airflow() -> dict[str, list[str]]:
    package = ROOT / "airflow_provider"
    return {
        kind: [
            f"airflow_provider.{'.'.join(path.relative_to(package).with_suffix('').parts)}.{name}"
            for pattern in patterns.split()
            for path in sorted(package.glob(pattern))
            if path.stem != "__init__"
            for name in names_of(path)
            if name.startswith(OF_AIRFLOW)
        ]
        for kind, patterns in AIRFLOW.items()
    }


def _prefect() -> dict[str, list[str]]:
    return {kind: list(_in_package("prefect_blocks", parts)) for kind, parts in PREFECT.items()}


def _in_package(package: str, parts: str) -> Iterator[str]:
    for part in parts.split():
        module = ROOT.joinpath(package, *part.split(".")).with_suffix(".py")
        yield from (
            [f"{package}.{part}.{name}" for name in names_of(module)] if module.exists() else [f"{package}.{part}"]
        )


def names_of(path: Path) -> list[str]:
    """What a module's `__all__` lists.

    Args:
        path: a Python file.
    """
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    return []
