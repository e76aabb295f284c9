"""Whoever answers a task that asks a person, as a click on one of its buttons does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import airflow

#: An answer that comes before Airflow waits for it is lost in Airflow itself.
_WAITS = ("awaiting_input", "deferred")
CAN_ASK = not airflow.__version__.startswith(("2.", "3.0."))


@contextmanager
def answering(option: str) -> Iterator[list[tuple[str, str]]]:
    """Answer each question for a `with` block; yields them: subject and body. Before Airflow 3.1 there is none.

    Args:
        option: such as `Approve`.
    """
    asked: list[tuple[str, str]] = []
    is_over = threading.Event()

    def answer() -> None:
        while not is_over.wait(0.2):
            # A database that is busy is asked again: a question that nobody answers would be waited for without end.
            with suppress(Exception):
                asked.extend(_answer_all(option))

    thread = threading.Thread(target=answer, daemon=True)
    if CAN_ASK:
        # Once here: two threads that import Airflow's models for the first time wait for each other.
        _answer_all(option)
        thread.start()
    try:
        yield asked
    finally:
        is_over.set()
        if CAN_ASK:
            thread.join()


def _answer_all(option: str) -> list[tuple[str, str]]:
    """As the API does it that the button calls."""
    from types import SimpleNamespace

    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.models import import_all_models
    from airflow.utils.session import create_session

    import_all_models()
    from airflow.models.hitl import HITLDetail

    user: Any = SimpleNamespace(get_id=lambda: "anna", get_name=lambda: "Anna")
    asked = []
    with create_session() as session:
        for one in [one for one in session.query(HITLDetail) if not one.response_received]:
            if str(one.task_instance.state) not in _WAITS:
                continue
            ti, payload = one.task_instance, UpdateHITLDetailPayload(chosen_options=[option])
            asked.append((str(one.subject), str(one.body)))
            update_hitl_detail(ti.dag_id, ti.run_id, ti.task_id, payload, user, session)
    return asked
