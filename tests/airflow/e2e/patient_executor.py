"""Airflow's own executor on a slow machine: no healthy task is failed, and none killed before it has had its turn.

Its workers are forked from the scheduler, and the tasks from those: what all tasks import is imported here.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import asyncssh  # noqa: F401
from airflow.executors.local_executor import LocalExecutor
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.sdk.execution_time.supervisor import WatchedSubprocess
from airflow.utils.session import create_session
from sqlalchemy import select

import airflow_provider.job_on_worker
import airflow_provider.operators.job
import airflow_provider.operators.reap
import airflow_provider.operators.render_animation
import airflow_provider.running_batch
import airflow_provider.running_job
import airflow_provider.sensors.job  # noqa: F401
import octa_provider.client  # noqa: F401

#: A task that is killed gets so many seconds from SIGTERM to SIGKILL. That `on_kill` needs less than Airflow's 5 s is
#: shown in `tests/airflow/test_on_kill.py`; on a busy machine they may be over before the process has had its turn.
KILLED_TASK_S = 300.0
_LOOK_S = 0.5
#: Of the same try, after the end of a process: one that is killed leaves its task running.
_IS_TO_GO_ON = {"deferred", "scheduled", "queued"}
_kill = WatchedSubprocess.kill


def _kill_patiently(
    self: Any, signal_to_send: signal.Signals = signal.SIGINT, escalation_delay: float = 5.0, force: bool = False
) -> None:
    if force and self._exit_code is None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal_to_send)
        until = time.monotonic() + KILLED_TASK_S
        # In short turns: once it has ended nothing else ends such a turn.
        while self._exit_code is None and time.monotonic() < until:
            self._service_subprocess(max_wait_time=_LOOK_S, raise_on_timeout=False, expect_signal=signal_to_send)
    _kill(self, signal_to_send, escalation_delay, force)


# What supervises the tasks is forked from the scheduler, which imports this.
WatchedSubprocess.kill = _kill_patiently  # type: ignore[method-assign]


class PatientExecutor(LocalExecutor):
    """Tells the end of a process only while no other one goes on with the same try, nor is about to.

    A scheduler that was stopped for a while hears of a task's deferral when it has resumed that task already, takes the
    first process's end for that of the second, and fails the task: it "finished with state success, but the task
    instance's state attribute is running". Only of what runs while its last process is gone is that true.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._at_work: Counter[Any] = Counter()

    def _process_workloads(self, workload_list: Any) -> None:
        for workload in workload_list:
            self._at_work[_key(workload)] += 1
        super()._process_workloads(workload_list)

    def change_state(self, key: Any, state: Any, *arguments: Any, **options: Any) -> None:
        """As in every executor."""
        if state in {"success", "failed"} and self._at_work[key] > 0:
            self._at_work[key] -= 1
            if self._at_work[key] > 0:
                return
            del self._at_work[key]
        super().change_state(key, state, *arguments, **options)
        if state == "success" and isinstance(key, TaskInstanceKey) and _state(key) in _IS_TO_GO_ON:
            self.event_buffer.pop(key, None)


def _state(key: TaskInstanceKey) -> Any:
    with create_session() as session:
        return session.scalar(select(TaskInstance.state).where(TaskInstance.filter_for_tis([key])))


def _key(workload: Any) -> Any:
    return getattr(workload, "key", None) or workload.ti.key
