"""The link on a task's page: to its session, wherever that answers; of a batch to what it has made.

Airflow 3 shows what lies in XCom under a link's key, so that it is put there as soon as it is known, while the task
runs. Airflow 2.11 asks the link itself, which reads the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

    from octa_provider.models import Session

__all__ = [
    "ACCOUNT_URL",
    "BATCH_LINKS",
    "LINKS",
    "OctaContactSheetLink",
    "OctaManifestLink",
    "OctaSessionLink",
    "push",
    "push_addresses",
    "push_batch",
    "push_from_trigger",
    "session_address",
]

#: Where an account's sessions are shown (evidence C).
ACCOUNT_URL = "https://cube.octa.computer"


class _FromXCom(BaseOperatorLink):
    """A link whose address lies in XCom."""

    name = "OctaSpace"

    @property
    def xcom_key(self) -> str:
        """Where the address lies."""
        return f"octa_link_{type(self).__name__}"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """The address; empty as long as there is none."""
        from airflow.providers.common.compat.sdk import XCom

        found = XCom.get_value(key=self.xcom_key, ti_key=ti_key)
        return str(found or "")


class OctaSessionLink(_FromXCom):
    """The session: the first page that it publishes (`http_ports`), a terminal on its machine, or the account."""

    name = "OctaSpace session"


class OctaContactSheetLink(_FromXCom):
    """The frames of a batch on one picture: a file, for whoever has the same storage."""

    name = "Contact sheet"


class OctaManifestLink(_FromXCom):
    """What a batch came to: a file, for whoever has the same storage."""

    name = "Manifest"


LINKS = (OctaSessionLink(),)
BATCH_LINKS = (OctaContactSheetLink(), OctaManifestLink())


def push(ti: Any, session: Session | None) -> None:
    """Put what is known behind the link of a task that runs.

    Args:
        ti: the task instance, on a worker.
        session: its session, as the API shows it; None before that.
    """
    from octa_provider.rental.json_values import addresses_json

    push_addresses(ti, {} if session is None else addresses_json(session))


def push_addresses(ti: Any, addresses: Mapping[str, Any]) -> None:
    """The same where its addresses are known as XCom has them.

    Args:
        ti: the task instance, on a worker.
        addresses: as `addresses_json` gives them, also among others.
    """
    ti.xcom_push(key=OctaSessionLink().xcom_key, value=session_address(addresses))


def push_batch(ti: Any, manifest: Path, sheet: Path) -> None:
    """Put the files of a batch behind the links of its task, also before they are written.

    Args:
        ti: the task instance, on a worker.
        manifest: its manifest, absolute.
        sheet: its contact sheet, absolute; where none can be made, its folder.
    """
    ti.xcom_push(key=OctaManifestLink().xcom_key, value=manifest.as_uri())
    ti.xcom_push(key=OctaContactSheetLink().xcom_key, value=sheet.as_uri())


def push_from_trigger(ti: Any, session: Session) -> None:
    """The same for a task that is deferred; before Airflow 3 a trigger cannot, and the link waits for the worker.

    Args:
        ti: the trigger's task instance.
        session: its session, as the API shows it.
    """
    try:
        from airflow.sdk.execution_time.comms import SetXCom
        from airflow.sdk.execution_time.xcom import XCom as XComOnThree
    except ImportError:
        return
    from airflow_provider.supervisor import ask
    from octa_provider.rental.json_values import addresses_json

    key, url = OctaSessionLink().xcom_key, session_address(addresses_json(session))
    where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
    ask(SetXCom(key=key, value=XComOnThree.serialize_value(url, key=key, **where), **where))


def session_address(addresses: Mapping[str, Any]) -> str:
    """Where the link to a session leads.

    What has no address, or none yet, leads to the account, which shows it too.

    Args:
        addresses: as `addresses_json` gives them, also among others.
    """
    pages = addresses.get("urls")
    page = next(iter(pages.values()), None) if isinstance(pages, Mapping) else None
    return str(page or addresses.get("ssh_web") or ACCOUNT_URL)
