"""Every error this library raises on purpose.

    OctaError
    ├── OctaConfigError (also a ValueError)   arguments or settings are wrong; no request was made
    ├── OctaNetworkError                      no answer arrived
    │   └── OctaTimeoutError                  no answer arrived in time
    ├── OctaApiError                          the API answered with an error status
    │   ├── OctaAuthenticationError           401
    │   ├── OctaForbiddenError                403
    │   ├── OctaNotFoundError                 404
    │   ├── OctaValidationError               422
    │   ├── OctaRateLimitError                429
    │   └── OctaServerError                   5xx
    ├── OctaRejectedError                     a 2xx answer that starts nothing
    ├── OctaDecodeError                       an answer that is not what it must be
    ├── OctaNoMachineError                    no machine fits, or every one that fits refused
    ├── OctaStartUnclearError                 whether a lost request started something can't be told
    ├── OctaSessionFailedError                the session ended while we waited for it
    ├── OctaWaitTimeoutError                  the deadline passed before the session was ready
    ├── OctaSshError                          the rented machine could not be reached, or used, over SSH
    │   ├── OctaLocalFileError                a file of this machine can't be read or written
    │   └── OctaUnfetchedError                some files could not be fetched; the others are here
    ├── OctaStopError                         sessions still run after the stop's deadline
    ├── OctaBudgetError                       a spending cap or the balance refused, or a cap was reached
    │   └── OctaPlanError                     no plan meets the deadline or the budget
    ├── OctaSceneError                        the scene can't be rendered, on whatever machine
    └── OctaCancelledError                    the caller took it back while it was being started

Airflow and Prefect send errors between processes, so each one can be pickled with its attributes intact. That is why
every argument but the message is a keyword with a default: `pickle` calls the class with the message alone and then
restores the rest. No error holds the API key: user info is cut from URLs here, and whoever passes a body has masked the
key in it. Messages quote strangers (file names, answers of the API, what a machine says), so each is made plain here:
text that every log, terminal and database can take, in which no line passes for another message.
"""

from __future__ import annotations

from octa_provider.errors.api import (
    OctaApiError,
    OctaAuthenticationError,
    OctaForbiddenError,
    OctaNetworkError,
    OctaNotFoundError,
    OctaRateLimitError,
    OctaRejectedError,
    OctaServerError,
    OctaTimeoutError,
    OctaValidationError,
)
from octa_provider.errors.batch import OctaPlanError, OctaSceneError
from octa_provider.errors.rental import (
    OctaBudgetError,
    OctaCancelledError,
    OctaNoMachineError,
    OctaSessionFailedError,
    OctaStartUnclearError,
    OctaStopError,
    OctaWaitTimeoutError,
    Refusal,
)
from octa_provider.errors.root import (
    MAX_BODY_CHARS,
    OctaConfigError,
    OctaDecodeError,
    OctaError,
    clip_body,
    tell_also,
    without_user_info,
)
from octa_provider.errors.ssh import (
    OctaLocalFileError,
    OctaSshError,
    OctaUnfetchedError,
)

__all__ = [
    "MAX_BODY_CHARS",
    "OctaApiError",
    "OctaAuthenticationError",
    "OctaBudgetError",
    "OctaCancelledError",
    "OctaConfigError",
    "OctaDecodeError",
    "OctaError",
    "OctaForbiddenError",
    "OctaLocalFileError",
    "OctaNetworkError",
    "OctaNoMachineError",
    "OctaNotFoundError",
    "OctaPlanError",
    "OctaRateLimitError",
    "OctaRejectedError",
    "OctaSceneError",
    "OctaServerError",
    "OctaSessionFailedError",
    "OctaSshError",
    "OctaStartUnclearError",
    "OctaStopError",
    "OctaTimeoutError",
    "OctaUnfetchedError",
    "OctaValidationError",
    "OctaWaitTimeoutError",
    "Refusal",
    "clip_body",
    "tell_also",
    "without_user_info",
]
