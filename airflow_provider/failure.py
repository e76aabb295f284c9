"""The core's errors as Airflow's: which of them a retry can mend."""

from __future__ import annotations

from typing import NoReturn

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider.exceptions import OctaTaskError
from octa_provider.errors import (
    OctaAuthenticationError,
    OctaBudgetError,
    OctaError,
    OctaForbiddenError,
    OctaSceneError,
    OctaSessionFailedError,
    OctaValidationError,
)
from octa_provider.text.plain_text import plain_message

__all__ = ["fail_task"]

#: The same again gives the same answer: these fail the task at once, whatever `retries` says.
_RETRY_IS_USELESS = (
    OctaAuthenticationError,
    OctaBudgetError,
    OctaForbiddenError,
    OctaSceneError,
    OctaSessionFailedError,
    OctaValidationError,
    ValueError,
)


def fail_task(error: OctaError | ValueError) -> NoReturn:
    """Raise the Airflow error for an error of the core, or for an argument that turned out wrong.

    Args:
        error: what happened.

    Raises:
        AirflowFailException: no retry can help.
        OctaTaskError: one may.
    """
    if isinstance(error, _RETRY_IS_USELESS):
        raise AirflowFailException(plain_message(str(error))) from error
    raise OctaTaskError(plain_message(f"{type(error).__name__}: {error}")) from error
