"""Whoever answers a task that asks a person, as a click on one of its buttons does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

import airflow

CAN_ASK = not airflow.__version__.startswith("2.")


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
    from airflow.models import import_all_models

    import_all_models()
    from airflow.models.hitl import HITLDetail
    from airflow.utils.session import create_session

    with create_session() as session:
        open_ones = session.query(HITLDetail).filter(HITLDetail.responded_at.is_(None)).all()
        for one in open_ones:
            one.chosen_options, one.params_input = [option], {}
            one.responded_at, one.responded_by = datetime.now(timezone.utc), {"id": "anna", "name": "Anna"}
        return [(str(one.subject), str(one.body)) for one in open_ones]
