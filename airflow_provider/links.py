"""Links on a task's page: a terminal in the browser, the session's own pages, the account.

Airflow 3 shows what lies in XCom under a link's key, so that it is put there as soon as it is known, while the task
runs. Airflow 2.11 asks the link itself, which reads the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider.supervisor import ask
from octa_provider.http.web_address import web_address

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

    from octa_provider.models import Session

__all__ = [
    "ACCOUNT_URL",
    "BATCH_LINKS",
    "LINKS",
    "OctaAccountLink",
    "OctaContactSheetLink",
    "OctaManifestLink",
    "OctaSessionLink",
    "OctaWebSshLink",
    "link_addresses",
    "push",
    "push_batch",
    "push_from_trigger",
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


class OctaWebSshLink(_FromXCom):
    """A terminal on the rented machine, in the browser."""

    name = "Terminal on the machine"


class OctaSessionLink(_FromXCom):
    """The first page that the session publishes (`http_ports`)."""

    name = "Session's page"


class OctaAccountLink(_FromXCom):
    """The account, with all sessions and what they cost."""

    name = "OctaSpace account"


class OctaContactSheetLink(_FromXCom):
    """The frames of a batch on one picture: a file, for whoever has the same storage."""

    name = "Contact sheet"


class OctaManifestLink(_FromXCom):
    """What a batch came to: a file, for whoever has the same storage."""

    name = "Manifest"


LINKS = (OctaWebSshLink(), OctaSessionLink(), OctaAccountLink())
BATCH_LINKS = (OctaContactSheetLink(), OctaManifestLink(), OctaAccountLink())


def push(ti: Any, session: Session | None) -> None:
    """Put what is known behind the links of a task that runs.

    Args:
        ti: the task instance, on a worker.
        session: its session, as the API shows it; None before that.
    """
    for key, url in link_addresses(session).items():
        ti.xcom_push(key=key, value=url)


def push_batch(ti: Any, manifest: Path, sheet: Path) -> None:
    """Put the files of a batch behind the links of its task, also before they are written.

    Args:
        ti: the task instance, on a worker.
        manifest: its manifest, absolute.
        sheet: its contact sheet, absolute; where none can be made, its folder.
    """
    ti.xcom_push(key=OctaManifestLink().xcom_key, value=manifest.as_uri())
    ti.xcom_push(key=OctaContactSheetLink().xcom_key, value=sheet.as_uri())
    ti.xcom_push(key=OctaAccountLink().xcom_key, value=ACCOUNT_URL)


def push_from_trigger(ti: Any, session: Session) -> None:
    """The same for a task that is deferred; before Airflow 3 a trigger cannot, and the links wait for the worker.

    Args:
        ti: the trigger's task instance.
        session: its session, as the API shows it.
    """
    try:
        from airflow.sdk.execution_time.comms import SetXCom
        from airflow.sdk.execution_time.xcom import XCom as XComOnThree
    except ImportError:
        return
    where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
    for key, url in link_addresses(session).items():
        ask(SetXCom(key=key, value=XComOnThree.serialize_value(url, key=key, **where), **where))


def link_addresses(session: Session | None) -> dict[str, str]:
    """Where each link leads, by its XCom key.

    What the session does not have, or not yet, leads to the account, which shows it too.

    Args:
        session: as the API shows it; None before that.
    """
    terminal = None if session is None else web_address(session.ssh_web)
    pages = () if session is None else map(web_address, session.urls.values())
    page = next((address for address in pages if address is not None), None)
    return {
        OctaWebSshLink().xcom_key: terminal or ACCOUNT_URL,
        OctaSessionLink().xcom_key: page or ACCOUNT_URL,
        OctaAccountLink().xcom_key: ACCOUNT_URL,
    }
