"""The single steps, for what neither a job nor a `with` block fits: a server that is up while others use it.

The steps are one transaction: when one of them fails, what was started is stopped. Prefect rolls back at the first try
that fails, also where another would follow, so what may fail at first tries again by itself, without `retries=`.
"""

from __future__ import annotations

from typing import Any

import requests
from prefect import flow, task
from prefect.transactions import transaction
from urllib3 import Retry

from prefect_blocks.tasks import fetch_logs, start_machine, stop_session, wait_until_ready

PORT = 8080
#: $PORT where the machine says what to listen on, as on the emulator; else the port itself.
SERVE = f"echo hello > index.html; exec python3 -m http.server ${{PORT:-{PORT}}}"

#: For some two minutes, every few seconds.
UNTIL_IT_IS_UP = Retry(40, backoff_factor=0.5, backoff_max=3, status_forcelist=[502, 503, 504])


@task
def ask(url: str) -> str:
    """Ask the server; again while it comes up."""
    with requests.Session() as session:
        session.mount(url, requests.adapters.HTTPAdapter(max_retries=UNTIL_IT_IS_UP))
        answer = session.get(url, timeout=10)
        answer.raise_for_status()
        return answer.text


@flow
def server_for_a_while(image: str = "python:3.12", max_cost_usd: float = 1.0) -> dict[str, Any]:
    """Serve, ask, read the log, stop."""
    with transaction():
        session = start_machine(image, start_command=SERVE, http_ports=[PORT], max_cost_usd=max_cost_usd)
        ready = wait_until_ready(session)
        answer = ask(ready["urls"][str(PORT)])
        logs = fetch_logs(ready)
        bill = stop_session(ready, score=5)
    return {"answer": answer, "log": logs["tail"], "bill": bill}


if __name__ == "__main__":
    print(server_for_a_while())
