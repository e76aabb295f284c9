"""What is used of Airflow that it never promised, looked for before anything is rented.

What no name tells, such as that `execute` goes on behind `on_kill`, is tried on a whole Airflow: `tests/airflow/e2e`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import BaseOperator

__all__ = ["PRIVATE_NAMES", "PrivateName", "check_private_names", "is_made_anew"]

TESTED = "apache-airflow>=2.11,<3.4"
_COMMS = "airflow.sdk.execution_time.comms"
_SECURITY = "airflow.api_fastapi.core_api.security"
_MANAGERS = "airflow.api_fastapi.auth.managers"


@dataclass(frozen=True)
class PrivateName:
    """One name.

    Attributes:
        module: the module that has it.
        name: in the module; with a dot, of a class.
        what_for: what it is for here.
        where: the issue or pull request at github.com/apache/airflow, or the file, that tells how it behaves.
        since: the first Airflow that has it.
        on_worker: whether a task's process needs it, and so looks for it; else only a triggerer or the API server does.
    """

    module: str
    name: str
    what_for: str
    where: str
    since: tuple[int, int] = (3, 0)
    on_worker: bool = True

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def is_expected(self) -> bool:
        """Whether this Airflow should have it."""
        return tuple(int(part) for part in airflow_version.split(".")[:2]) >= self.since

    def is_there(self) -> bool:
        """Whether it has."""
        try:
            found: object = import_module(self.module)
        except ImportError:
            return False
        for part in self.name.split("."):
            if not hasattr(found, part) and part not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, part, None)
        return True


def _question(name: str, what_for: str) -> PrivateName:
    return PrivateName(_COMMS, name, what_for, "task-sdk/src/airflow/sdk/execution_time/comms.py")


def _page(module: str, name: str, what_for: str) -> PrivateName:
    return PrivateName(module, name, what_for, f"airflow-core/src/{module.replace('.', '/')}.py", (3, 1), False)


PRIVATE_NAMES: tuple[PrivateName, ...] = (
    PrivateName(
        "airflow.sdk.execution_time.task_runner",
        "SUPERVISOR_COMMS",
        "whom a task or a trigger asks",
        "task-sdk/src/airflow/sdk/execution_time/task_runner.py",
    ),
    PrivateName(
        "airflow.jobs.triggerer_job_runner",
        "TriggerCommsDecoder.asend",
        "asks on the triggerer's loop: asked from a thread, a triggerer before 3.2.2 ends",
        "#64620, #66412",
        on_worker=False,
    ),
    _question("GetVariable", "the installation's namespace, and what is about to be rented"),
    _question("PutVariable", "the same, written down"),
    _question("DeleteVariable", "the same, forgotten"),
    _question("GetTaskStates", "whether a task whose trigger ends is over, and which tasks of a run have failed"),
    _question("GetDagRunState", "whether the run is over whose session is left"),
    _question("GetXCom", "which try a trigger is of"),
    _question("SetXCom", "links to a session, from a trigger"),
    _question("ErrorResponse", "why Airflow does not answer"),
    PrivateName(
        "airflow.sdk.exceptions",
        "AirflowRuntimeError",
        "how it says so",
        "task-sdk/src/airflow/sdk/exceptions.py",
    ),
    PrivateName(
        "airflow.sdk.exceptions",
        "AirflowRescheduleException",
        "a sensor that comes back later has not failed; before, `airflow.exceptions` has it",
        "task-sdk/src/airflow/sdk/exceptions.py",
        (3, 2),
    ),
    PrivateName(
        "airflow.sdk.execution_time.xcom",
        "XCom.deserialize_value",
        "which try a trigger is of, with any XCom backend",
        "task-sdk/src/airflow/sdk/bases/xcom.py",
    ),
    PrivateName(
        "airflow.sdk.execution_time.xcom",
        "XCom.serialize_value",
        "links to a session, with any XCom backend",
        "task-sdk/src/airflow/sdk/bases/xcom.py",
    ),
    PrivateName(
        "airflow.triggers.base",
        "BaseTrigger.on_kill",
        "tells a user's act from a triggerer that shuts down; before, the task's state is asked",
        "#36090, #65590",
        (3, 3),
        False,
    ),
    PrivateName(
        "airflow.providers.common.compat.sdk",
        "BaseOperator.resume_execution",
        "stops the session where Airflow itself ends a wait: nothing else is called then",
        "#69678; task-sdk/src/airflow/sdk/bases/operator.py, TRIGGER_FAIL_REPR",
        (2, 11),
    ),
    PrivateName(
        "airflow.providers.common.compat.sdk",
        "BaseOperator._BaseOperator__from_mapped",
        "whether an operator was made anew from what other tasks returned",
        "task-sdk/src/airflow/sdk/bases/operator.py",
        (2, 11),
    ),
    PrivateName(
        "airflow.providers.common.compat.sdk",
        "BaseOperatorLink.xcom_key",
        "under which key a link's address lies",
        "task-sdk/src/airflow/sdk/bases/operatorlink.py",
    ),
    PrivateName(
        "airflow.sdk.definitions.mappedoperator",
        "MappedOperator.expand_input",
        "what another task gave to expand_kwargs is no template",
        "task-sdk/src/airflow/sdk/definitions/mappedoperator.py",
    ),
    PrivateName(
        "airflow.sdk.bases.decorator",
        "DecoratedMappedOperator.op_kwargs_expand_input",
        "the same, of @task.octa",
        "task-sdk/src/airflow/sdk/bases/decorator.py",
    ),
    _page(_SECURITY, "get_user", "who looks at the page of sessions"),
    _page(_SECURITY, "resolve_user_from_token", "the same, on the first releases of 3.1"),
    _page(f"{_MANAGERS}.base_auth_manager", "COOKIE_NAME_JWT_TOKEN", "the same"),
    _page(f"{_MANAGERS}.models.resource_details", "AccessView.PLUGINS", "who may see the page"),
    _page(f"{_MANAGERS}.models.resource_details", "ConnectionDetails", "whose account it is"),
    _page(f"{_MANAGERS}.models.resource_details", "DagAccessEntity.TASK_INSTANCE", "who may stop a task's session"),
    _page(f"{_MANAGERS}.models.resource_details", "DagDetails", "the same"),
    _page("airflow.api_fastapi.app", "get_auth_manager", "who decides that"),
)


def is_made_anew(operator: BaseOperator) -> bool:
    """Whether an operator is a mapped task's, made when it runs from what other tasks returned.

    Args:
        operator: the operator.
    """
    return bool(getattr(operator, "_BaseOperator__from_mapped", False))


@cache
def check_private_names(names: Iterable[PrivateName] = PRIVATE_NAMES) -> None:
    """Refuse an Airflow that lacks one which a task needs; looked for once in a process.

    Args:
        names: which.

    Raises:
        ImportError: says which is missing, what for, and what to install.
    """
    for one in names:
        if one.on_worker and one.is_expected and not one.is_there():
            raise ImportError(
                f"Airflow {airflow_version} has no {one}, which octa-provider needs ({one.what_for}): "
                f"pip install '{TESTED}'"
            )
