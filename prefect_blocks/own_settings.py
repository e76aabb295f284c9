"""What of a worker's own settings travels to a stranger's machine, and what never does in the open."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["KEYS_TO_API", "goes_along", "is_secret"]

#: What a flow run on a machine needs of the worker's own settings, and what harms nobody there. The machine is a
#: stranger's, and OctaSpace stores and echoes what it is told: everything else stays here, unless a job variable asks
#: for it.
_GOES_ALONG = frozenset(
    {
        "PREFECT_API_URL",
        "PREFECT_API_REQUEST_TIMEOUT",
        "PREFECT_API_ENABLE_HTTP2",
        "PREFECT_CLIENT_MAX_RETRIES",
        "PREFECT_CLOUD_API_URL",
        "PREFECT_CLOUD_UI_URL",
        "PREFECT_DEBUG_MODE",
        "PREFECT_LOGGING_LEVEL",
        "PREFECT_LOGGING_LOG_PRINTS",
        "PREFECT_LOGGING_EXTRA_LOGGERS",
        "PREFECT_LOGGING_TO_API_ENABLED",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER",
        "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT",
        "PREFECT_UI_URL",
    }
)
#: Names of one flow run, which Prefect makes up for it; `PREFECT_FLOWS_` and `PREFECT_TASKS_` hold retries and pauses.
_GOES_ALONG_BEGINS = ("PREFECT__", "PREFECT_FLOWS_", "PREFECT_TASKS_")
#: Without these a flow run can't ask an API that wants them. OctaSpace is never told them: SSH alone carries them.
KEYS_TO_API = frozenset({"PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"})
#: Secrets whoever gives them, and wherever.
_SECRETS = KEYS_TO_API | {"PREFECT_SERVER_API_AUTH_STRING", "OCTA_API_KEY"}


def goes_along(name: str) -> bool:
    """Whether a setting of the worker's own travels to the machine.

    Args:
        name: the environment variable.
    """
    return name in _GOES_ALONG or name.startswith(_GOES_ALONG_BEGINS)


def is_secret(name: str, value: str | None) -> bool:
    """Whether a variable is a secret although it was given as a plain one.

    Args:
        name: the environment variable.
        value: its value.
    """
    if name in _SECRETS:
        return True
    try:
        # Such as https://user:password@prefect.example/api.
        return name.startswith("PREFECT_") and urlsplit(value or "").password is not None
    except ValueError:
        return False
