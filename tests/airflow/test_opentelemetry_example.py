"""The OpenTelemetry example of the documents, with the real SDK: Airflow's environment has it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from octa_provider import OctaClient, OctaNotFoundError
from octa_provider.emulator.testing import EmulatorHandle

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def test_requests_and_retries_become_spans_and_metrics_without_the_key(
    shared_emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "opentelemetry_hooks", raising=False)
    from opentelemetry_hooks import RequestTelemetry

    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = RequestTelemetry(traces, MeterProvider(metric_readers=[reader]))
    shared_emulator.faults({"kind": "status", "status": 503, "path": "/sessions", "retry_after": 0})
    with OctaClient(
        shared_emulator.api_key,
        base_url=shared_emulator.base_url,
        on_request=telemetry.on_request,
        on_response=telemetry.on_response,
    ) as octa:
        with traces.get_tracer("test").start_as_current_span("task") as task:
            octa.sessions.list()
        with pytest.raises(OctaNotFoundError):
            octa.services.session("no-such").info()

    failed, retried, parent, missing = exporter.get_finished_spans()
    assert parent.name == "task"
    assert [span.attributes["http.request.resend_count"] for span in (failed, retried)] == [0, 1]
    assert [span.attributes["http.response.status_code"] for span in (failed, retried, missing)] == [503, 200, 404]
    assert [span.status.status_code for span in (failed, retried)] == [StatusCode.ERROR, StatusCode.UNSET]
    assert {span.parent.span_id for span in (failed, retried)} == {task.get_span_context().span_id}
    assert retried.attributes["url.full"] == f"{shared_emulator.base_url}/sessions"
    assert retried.end_time > retried.start_time
    assert shared_emulator.api_key not in " ".join(span.to_json() for span in exporter.get_finished_spans())

    found = {
        metric.name: list(metric.data.data_points)
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert sum(point.count for point in found["http.client.request.duration"]) == 3
    assert sum(point.value for point in found["http.client.active_requests"]) == 0
