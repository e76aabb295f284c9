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

They are loaded when first used: a DAG file that is parsed raises none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octa_provider.errors.api import OctaApiError as OctaApiError
    from octa_provider.errors.api import OctaAuthenticationError as OctaAuthenticationError
    from octa_provider.errors.api import OctaForbiddenError as OctaForbiddenError
    from octa_provider.errors.api import OctaNetworkError as OctaNetworkError
    from octa_provider.errors.api import OctaNotFoundError as OctaNotFoundError
    from octa_provider.errors.api import OctaRateLimitError as OctaRateLimitError
    from octa_provider.errors.api import OctaRejectedError as OctaRejectedError
    from octa_provider.errors.api import OctaServerError as OctaServerError
    from octa_provider.errors.api import OctaTimeoutError as OctaTimeoutError
    from octa_provider.errors.api import OctaValidationError as OctaValidationError
    from octa_provider.errors.batch import OctaPlanError as OctaPlanError
    from octa_provider.errors.batch import OctaSceneError as OctaSceneError
    from octa_provider.errors.rental import OctaBudgetError as OctaBudgetError
    from octa_provider.errors.rental import OctaCancelledError as OctaCancelledError
    from octa_provider.errors.rental import OctaNoMachineError as OctaNoMachineError
    from octa_provider.errors.rental import OctaSessionFailedError as OctaSessionFailedError
    from octa_provider.errors.rental import OctaStartUnclearError as OctaStartUnclearError
    from octa_provider.errors.rental import OctaStopError as OctaStopError
    from octa_provider.errors.rental import OctaWaitTimeoutError as OctaWaitTimeoutError
    from octa_provider.errors.rental import Refusal as Refusal
    from octa_provider.errors.root import MAX_BODY_CHARS as MAX_BODY_CHARS
    from octa_provider.errors.root import OctaConfigError as OctaConfigError
    from octa_provider.errors.root import OctaDecodeError as OctaDecodeError
    from octa_provider.errors.root import OctaError as OctaError
    from octa_provider.errors.root import clip_body as clip_body
    from octa_provider.errors.root import tell_also as tell_also
    from octa_provider.errors.root import without_user_info as without_user_info
    from octa_provider.errors.ssh import OctaLocalFileError as OctaLocalFileError
    from octa_provider.errors.ssh import OctaSshError as OctaSshError
    from octa_provider.errors.ssh import OctaUnfetchedError as OctaUnfetchedError

_HOME = {
    "octa_provider.errors.api": (
        "OctaApiError",
        "OctaAuthenticationError",
        "OctaForbiddenError",
        "OctaNetworkError",
        "OctaNotFoundError",
        "OctaRateLimitError",
        "OctaRejectedError",
        "OctaServerError",
        "OctaTimeoutError",
        "OctaValidationError",
    ),
    "octa_provider.errors.batch": ("OctaPlanError", "OctaSceneError"),
    "octa_provider.errors.rental": (
        "OctaBudgetError",
        "OctaCancelledError",
        "OctaNoMachineError",
        "OctaSessionFailedError",
        "OctaStartUnclearError",
        "OctaStopError",
        "OctaWaitTimeoutError",
        "Refusal",
    ),
    "octa_provider.errors.root": (
        "MAX_BODY_CHARS",
        "OctaConfigError",
        "OctaDecodeError",
        "OctaError",
        "clip_body",
        "tell_also",
        "without_user_info",
    ),
    "octa_provider.errors.ssh": ("OctaLocalFileError", "OctaSshError", "OctaUnfetchedError"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'octa_provider.errors' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
