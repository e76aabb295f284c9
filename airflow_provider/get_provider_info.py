"""What this package tells Airflow about itself, found through the `apache_airflow_provider` entry point."""

from __future__ import annotations

from typing import Any

from airflow_provider.connection_form import CONN_FIELDS, UI_FIELD_BEHAVIOUR

__all__ = ["get_provider_info"]

_INTEGRATION = "OctaSpace"


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata in the shape of Airflow's `provider_info.schema.json`."""
    return {
        "package-name": "octa-provider",
        "name": "OctaSpace",
        "description": "GPU rendering and compute rentals on the OctaSpace marketplace.",
        "integrations": [
            {"integration-name": _INTEGRATION, "external-doc-url": "https://octa.space", "tags": ["service"]},
        ],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_provider.hooks.octa"]}],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_provider.operators.job",
                    "airflow_provider.operators.logs",
                    "airflow_provider.operators.machines",
                    "airflow_provider.operators.plan_render",
                    "airflow_provider.operators.reap",
                    "airflow_provider.operators.render_animation",
                    "airflow_provider.operators.start",
                    "airflow_provider.operators.stop",
                    "airflow_provider.operators.vpn",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_provider.sensors.job",
                    "airflow_provider.sensors.machine",
                    "airflow_provider.sensors.session",
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_provider.triggers.batch",
                    "airflow_provider.triggers.job",
                    "airflow_provider.triggers.machine",
                    "airflow_provider.triggers.session",
                ],
            }
        ],
        "task-decorators": [{"name": "octa", "class-name": "airflow_provider.decorators.octa.octa_task"}],
        "extra-links": [
            "airflow_provider.links.OctaContactSheetLink",
            "airflow_provider.links.OctaManifestLink",
            "airflow_provider.links.OctaSessionLink",
        ],
        "connection-types": [
            {
                "connection-type": "octa",
                "hook-name": "OctaSpace",
                "hook-class-name": "airflow_provider.hooks.octa.OctaHook",
                # Airflow 3.2 and newer draw the form from these; older ones ask the hook.
                "conn-fields": CONN_FIELDS,
                "ui-field-behaviour": {
                    "hidden-fields": UI_FIELD_BEHAVIOUR["hidden_fields"],
                    "relabeling": UI_FIELD_BEHAVIOUR["relabeling"],
                    "placeholders": UI_FIELD_BEHAVIOUR["placeholders"],
                },
            }
        ],
    }
