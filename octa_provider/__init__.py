"""GPU rendering and compute rentals on the OctaSpace marketplace.

The public names are listed here; everything else may change. They are loaded when first used, so that importing this
package (or a DAG that does) imports no HTTP library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octa_provider.batch.batch import Batch as Batch
    from octa_provider.batch.batch_quote import BatchQuote as BatchQuote
    from octa_provider.batch.check import Check as Check
    from octa_provider.batch.events import BatchEvent as BatchEvent
    from octa_provider.batch.events import BatchProgress as BatchProgress
    from octa_provider.batch.renderers.blender import blender as blender
    from octa_provider.batch.renderers.log_rule import LogRule as LogRule
    from octa_provider.batch.renderers.renderer import Renderer as Renderer
    from octa_provider.batch.result import BatchOutcome as BatchOutcome
    from octa_provider.batch.result import BatchResult as BatchResult
    from octa_provider.client import OctaClient as OctaClient
    from octa_provider.errors import OctaApiError as OctaApiError
    from octa_provider.errors import OctaAuthenticationError as OctaAuthenticationError
    from octa_provider.errors import OctaBudgetError as OctaBudgetError
    from octa_provider.errors import OctaCancelledError as OctaCancelledError
    from octa_provider.errors import OctaConfigError as OctaConfigError
    from octa_provider.errors import OctaDecodeError as OctaDecodeError
    from octa_provider.errors import OctaError as OctaError
    from octa_provider.errors import OctaForbiddenError as OctaForbiddenError
    from octa_provider.errors import OctaLocalFileError as OctaLocalFileError
    from octa_provider.errors import OctaNetworkError as OctaNetworkError
    from octa_provider.errors import OctaNoMachineError as OctaNoMachineError
    from octa_provider.errors import OctaNotFoundError as OctaNotFoundError
    from octa_provider.errors import OctaPlanError as OctaPlanError
    from octa_provider.errors import OctaRateLimitError as OctaRateLimitError
    from octa_provider.errors import OctaRejectedError as OctaRejectedError
    from octa_provider.errors import OctaSceneError as OctaSceneError
    from octa_provider.errors import OctaServerError as OctaServerError
    from octa_provider.errors import OctaSessionFailedError as OctaSessionFailedError
    from octa_provider.errors import OctaSshError as OctaSshError
    from octa_provider.errors import OctaStartUnclearError as OctaStartUnclearError
    from octa_provider.errors import OctaStopError as OctaStopError
    from octa_provider.errors import OctaTimeoutError as OctaTimeoutError
    from octa_provider.errors import OctaUnfetchedError as OctaUnfetchedError
    from octa_provider.errors import OctaValidationError as OctaValidationError
    from octa_provider.errors import OctaWaitTimeoutError as OctaWaitTimeoutError
    from octa_provider.errors import Refusal as Refusal
    from octa_provider.http.hooks import RequestContext as RequestContext
    from octa_provider.http.hooks import ResponseContext as ResponseContext
    from octa_provider.job.events import JobEvent as JobEvent
    from octa_provider.job.result import JobOutcome as JobOutcome
    from octa_provider.job.result import JobResult as JobResult
    from octa_provider.job.spec import JobSpec as JobSpec
    from octa_provider.job.state import JobState as JobState
    from octa_provider.market.request import MachineRequest as MachineRequest
    from octa_provider.market.request import RenderRequest as RenderRequest
    from octa_provider.market.request import VpnRequest as VpnRequest
    from octa_provider.market.requirements import Requirements as Requirements
    from octa_provider.rental.rental import Rental as Rental
    from octa_provider.rental.terms import Bill as Bill
    from octa_provider.timing.clock import Clock as Clock

_HOME = {
    "octa_provider.client": ("OctaClient",),
    "octa_provider.batch.batch": ("Batch",),
    "octa_provider.batch.batch_quote": ("BatchQuote",),
    "octa_provider.batch.check": ("Check",),
    "octa_provider.batch.events": ("BatchEvent", "BatchProgress"),
    "octa_provider.batch.result": ("BatchOutcome", "BatchResult"),
    "octa_provider.batch.renderers.blender": ("blender",),
    "octa_provider.batch.renderers.log_rule": ("LogRule",),
    "octa_provider.batch.renderers.renderer": ("Renderer",),
    "octa_provider.timing.clock": ("Clock",),
    "octa_provider.errors": (
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
    ),
    "octa_provider.http.hooks": ("RequestContext", "ResponseContext"),
    "octa_provider.job.spec": ("JobSpec",),
    "octa_provider.job.events": ("JobEvent",),
    "octa_provider.job.result": ("JobOutcome", "JobResult"),
    "octa_provider.job.state": ("JobState",),
    "octa_provider.market.requirements": ("Requirements",),
    "octa_provider.rental.rental": ("Rental",),
    "octa_provider.rental.terms": ("Bill",),
    "octa_provider.market.request": ("MachineRequest", "RenderRequest", "VpnRequest"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'octa_provider' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
