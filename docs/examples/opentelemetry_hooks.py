"""Spans and metrics for every request of an `OctaClient`. Needs `opentelemetry-api`, and an SDK that exports them.

Example:
    telemetry = RequestTelemetry()
    octa = OctaClient(on_request=telemetry.on_request, on_response=telemetry.on_response)
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from octa_provider import RequestContext, ResponseContext


class RequestTelemetry:
    """The two hooks. Holds no state of a request, so threads may share it.

    Args:
        tracer_provider: where spans go; the global one when left out.
        meter_provider: where metrics go; the global one when left out.
    """

    def __init__(
        self, tracer_provider: trace.TracerProvider | None = None, meter_provider: metrics.MeterProvider | None = None
    ) -> None:
        self._tracer = trace.get_tracer("octa_provider", tracer_provider=tracer_provider)
        meter = metrics.get_meter("octa_provider", meter_provider=meter_provider)
        self._active = meter.create_up_down_counter("http.client.active_requests", "{request}")
        self._duration = meter.create_histogram("http.client.request.duration", "s")

    def on_request(self, context: RequestContext) -> None:
        """An attempt begins."""
        self._active.add(1, {"http.request.method": context.method})

    def on_response(self, context: ResponseContext) -> None:
        """An attempt has ended: its span is made now, with the times it had."""
        self._active.add(-1, {"http.request.method": context.method})
        attributes: dict[str, str | int] = {
            "http.request.method": context.method,
            "server.address": urlsplit(context.url).hostname or "",
        }
        if context.status is not None:
            attributes["http.response.status_code"] = context.status
        self._duration.record(context.duration_s, attributes)
        end_ns = time.time_ns()
        span = self._tracer.start_span(
            context.method,
            kind=SpanKind.CLIENT,
            start_time=end_ns - int(context.duration_s * 1e9),
            attributes={**attributes, "url.full": context.url, "http.request.resend_count": context.attempt - 1},
        )
        if context.request_id is not None:
            span.set_attribute("octa.request_id", context.request_id)
        if context.error is not None:
            span.set_status(Status(StatusCode.ERROR, context.error))
        span.end(end_ns)
