"""A sensor that is to be skipped where it would fail: Airflow looks after that in its own loop, and of what resumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseSensorOperator

__all__ = ["fails_softly"]


def fails_softly(sensor: BaseSensorOperator) -> bool:
    """Whether a sensor has `soft_fail` or `never_fail`, which the look before a deferral has to mind itself.

    Args:
        sensor: the sensor.
    """
    return bool(sensor.soft_fail or sensor.never_fail)
