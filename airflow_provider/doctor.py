"""What `octa-provider doctor` asks about Airflow, by `python -m airflow_provider.doctor`: no money, no key shows."""

from __future__ import annotations

import os
from collections.abc import Iterator

from octa_provider.cli.output.orchestrator_findings import Told, tell_doctor, version_findings

__all__ = ["airflow_findings"]


def airflow_findings() -> Iterator[Told]:
    """Whether Airflow is in place: versions, the provider, the connection `octa_default`."""
    yield from version_findings("Airflow", "airflow")
    # As `airflow connections` does: connections in Airflow's own database count too.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    from airflow.providers_manager import ProvidersManager

    from airflow_provider.connection_form import DEFAULT_CONN_ID
    from airflow_provider.hooks.octa import OctaHook

    hooks = ProvidersManager().hooks  # type: ignore[no-untyped-call]
    if OctaHook.conn_type in hooks and hooks[OctaHook.conn_type] is not None:
        yield True, f"knows the provider, and connections of type {OctaHook.conn_type}"
    else:
        yield (
            False,
            "does not know the provider: pip install octa-provider where Airflow is, and start it again",
        )
    add = f"airflow connections add {DEFAULT_CONN_ID} --conn-type octa --conn-password YOUR-API-KEY"
    try:
        ok, text = OctaHook().test_connection()
    except Exception as error:  # noqa: BLE001 - Airflow has an error of another kind for each release and backend
        yield None, f"has no connection {DEFAULT_CONN_ID} here ({type(error).__name__}), which operators take: {add}"
    else:
        yield ok, f"connection {DEFAULT_CONN_ID}: {text}"


if __name__ == "__main__":
    tell_doctor(airflow_findings)
