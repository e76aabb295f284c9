"""The namespace of an Airflow's rental keys: what tells its machines from those of other Airflows on the same account.

Two Airflows may run the same DAG for the same date, and have the same URL, the same folders and the same-looking
database (`docker compose` gives all of these alike). What is really one for each is what the database holds, and every
process of an Airflow reaches that: workers and triggerers over the API, where they may not see the database itself. So
an id is made once, and kept as an Airflow Variable. A URL that was configured for the API server tells apart what has
a copy of another's database.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import conf

from airflow_provider.exceptions import OctaAirflowUnreachableError
from airflow_provider.variables import read_variable, write_variable
from octa_provider.text.loggers import plain_logger

__all__ = ["NAMESPACE_VARIABLE", "default_namespace", "forget_namespace", "shares_namespace_text"]

log = plain_logger(__name__)

#: The Variable that keeps the id. One that somebody set to a text of their own is the namespace itself.
NAMESPACE_VARIABLE = "octa_namespace"
_DESCRIPTION = (
    "Tells the OctaSpace machines of this Airflow from those of others on the same account. "
    "Change it only while none of its machines runs."
)
_MADE = re.compile(r"airflow-[0-9a-f]{12}")
_NO_TABLE = re.compile(r"no such table|does not exist|doesn't exist")
_USER_INFO = re.compile(r"//[^/@]*@")
_SALT = "octa-provider namespace"
#: What Airflow's URL is where nobody configured one: the same in every installation.
_ANYWHERE = frozenset({"", "/", "http://localhost:8080", "http://localhost:8080/", "http://0.0.0.0:8080"})
#: Two tries at once may each make an id; whoever is read twice, so many seconds apart, has won.
_SETTLED_S = 0.5
#: All triggers of a triggerer may want it at once: one of them asks.
_asking = threading.Lock()
_WHAT_TO_DO = "Name one in the connection's extra (namespace), or in the environment variable OCTA_NAMESPACE."


def default_namespace() -> str:
    """The namespace of this Airflow, where neither the connection nor `OCTA_NAMESPACE` names one.

    It is the same in every process of one Airflow, and never asked for while a DAG file is parsed.

    Raises:
        OctaAirflowUnreachableError: Airflow can't be asked now: what was rented under another name would not be found
            again.
    """
    with _asking:
        kept = _kept(os.getpid())
    url = _configured_url()
    if _MADE.fullmatch(kept) is None or not url:
        return kept
    return _made_of(kept, url)


def shares_namespace_text(namespace: str) -> str:
    """What explains a machine that this Airflow does not know of, as the middle of a sentence.

    Args:
        namespace: of the client.
    """
    return f"it is the machine of another Airflow on this account that has the namespace {namespace!r} too"


def forget_namespace() -> None:
    """Ask Airflow again the next time: a process asks once, and so keeps to what it was told."""
    _kept.cache_clear()


@cache
def _kept(process: int) -> str:
    """The Variable's value, made when there is none; asked once in a process."""
    given = os.environ.get(f"AIRFLOW_VAR_{NAMESPACE_VARIABLE.upper()}", "").strip()
    try:
        return given or read_variable(NAMESPACE_VARIABLE) or _made()
    except PermissionError as error:
        log.warning("%s. %s", error, _WHAT_TO_DO)
        return _made_of("task", str(conf.get("core", "execution_api_server_url", fallback="")), _configured_url())
    except Exception as error:
        if _NO_TABLE.search(str(error)):
            # There is no Airflow here, only its library: a script, or a test.
            log.warning("This Airflow has no database, so its machines are told by its configuration. %s", _WHAT_TO_DO)
            return _made_of("configuration", *_configuration())
        raise OctaAirflowUnreachableError(
            f"Which machines are this Airflow's can't be asked now ({type(error).__name__}: {error}). {_WHAT_TO_DO}"
        ) from error


def _made() -> str:
    """Make an id and keep it, and take the one that stays when several are made at once."""
    write_variable(NAMESPACE_VARIABLE, _new(), _DESCRIPTION, only_new=True)
    last = read_variable(NAMESPACE_VARIABLE)
    while True:
        time.sleep(_SETTLED_S)
        now = read_variable(NAMESPACE_VARIABLE)
        if now and now == last:
            return now
        last = now


def _new() -> str:
    """An id for an Airflow that has none: tasks of one DAG that begin at once all make the same one."""
    # Airflow 3 drew it by chance when it first stored the DAG. Airflow 2 has none, and its database keeps two apart.
    return _made_of("new", str(_dag_version() or uuid.uuid4()))


def _dag_version() -> object:
    try:
        from airflow.sdk import get_current_context
    except ImportError:
        return None
    try:
        ti: Any = get_current_context()["ti"]
    except Exception:  # noqa: BLE001 - each Airflow has its own for: this is no task
        return None
    return getattr(ti, "dag_version_id", None)


def _configured_url() -> str:
    section = "webserver" if airflow_version.startswith("2.") else "api"
    url = str(conf.get(section, "base_url", fallback="") or "").strip()
    return "" if url in _ANYWHERE else url.rstrip("/")


def _configuration() -> tuple[str, ...]:
    """What tells Airflows apart that have no database to ask. All of it ends in a salted hash."""
    database = str(conf.get("database", "sql_alchemy_conn", fallback=""))
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser().resolve()
    return (str(home), _USER_INFO.sub("//", database), str(conf.get("core", "fernet_key", fallback="")))


def _made_of(*parts: str) -> str:
    return f"airflow-{hashlib.sha256(chr(0).join((_SALT, *parts)).encode()).hexdigest()[:12]}"


def _text(value: object) -> str:
    return str(value or "").strip()
