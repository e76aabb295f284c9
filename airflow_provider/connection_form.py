"""The connection's form, described once: Airflow below 3.2 asks the hook for it, newer ones read the provider info."""

from __future__ import annotations

from typing import Any

__all__ = ["CONN_FIELDS", "DEFAULT_CONN_ID", "UI_FIELD_BEHAVIOUR"]

DEFAULT_CONN_ID = "octa_default"

#: The fields kept in the connection's extra, as `conn-fields` of the provider info.
CONN_FIELDS: dict[str, dict[str, Any]] = {
    "timeout": {
        "label": "Timeout (seconds)",
        "description": "How long to wait for one answer of the API. Default: 30.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "retries": {
        "label": "Retries",
        "description": "How often a failed read is repeated; a start is never repeated blindly. Default: 2.",
        "schema": {"type": ["integer", "null"], "minimum": 0},
    },
    "ssh_key_file": {
        "label": "SSH private key file",
        "description": "Path, on workers and triggerers, of the key whose public half is in your OctaSpace account.",
        "schema": {"type": ["string", "null"]},
    },
    "ssh_private_key": {
        "label": "SSH private key",
        "description": "The private key itself (PEM), instead of a file.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "namespace": {
        "label": "Namespace",
        "description": "What every rental key begins with. It tells this Airflow's machines from those of others on "
        "the same account. Default: one of this Airflow's own, kept in its Variable octa_namespace.",
        "schema": {"type": ["string", "null"], "maxLength": 200},
    },
    "organization_id": {
        "label": "Organization",
        "description": "Id of the organization that pays for machines. Default: the account itself.",
        "schema": {"type": ["string", "null"]},
    },
    "project_id": {
        "label": "Project",
        "description": "Id of the organization's project that they are for.",
        "schema": {"type": ["string", "null"]},
    },
    "allow_http": {
        "label": "Allow plain http",
        "description": "Also to hosts other than this one. The API key then crosses the network unencrypted.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
}

#: What `get_ui_field_behaviour` returns.
UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden_fields": ["login", "schema", "port"],
    "relabeling": {"host": "Base URL", "password": "API key"},
    "placeholders": {
        "host": "https://api.octa.computer (several: separate them by commas)",
        "password": "the key from your OctaSpace account",
        "timeout": "30",
        "retries": "2",
        "ssh_key_file": "/home/airflow/.ssh/id_ed25519",
        "namespace": "prod",
    },
}
