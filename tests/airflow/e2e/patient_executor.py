"""Airflow's own executor on a slow machine: no healthy task is failed, and none killed before it has had its turn."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from airflow.executors.local_executor import LocalExecutor
from airflow.sdk.execution_time.supervisor import WatchedSubprocess

#: A task that is killed gets so many seconds from SIGTERM to SIGKILL. That `on_kill` needs less than Airflow's 5 s is
#: shown in `tests/airflow/test_on_kill.py`; on a busy machine they may be over before the process has had its turn.
KILLED_TASK_S = 300.0
_LOOK_S = 0.5
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
    """Tells the end of the process that deferred a task only while no other one goes on with the same try.

    A scheduler that was stopped for a while hears of both at once, takes the first one's end for that of the second,
    and fails the task: it "finished with state success, but the task instance's state attribute is running".
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


def _key(workload: Any) -> Any:
    return getattr(workload, "key", None) or workload.ti.key
