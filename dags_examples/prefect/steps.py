"""The single steps, for what neither a job nor a `with` block fits: a server that is up while others use it.

The steps are one transaction: when one of them fails, what was started is stopped.
"""

from __future__ import annotations

from typing import Any

import requests
from prefect import flow, task
from prefect.transactions import transaction

from prefect_blocks.tasks import fetch_logs, start_machine, stop_session, wait_until_ready

PORT = 8080
#: $PORT where the machine says what to listen on, as on the emulator; else the port itself.
SERVE = f"echo hello > index.html; exec python3 -m http.server ${{PORT:-{PORT}}}"


@task(retries=10, retry_delay_seconds=2)
def ask(url: str) -> str:
    """Ask the server; again while it comes up."""
    answer = requests.get(url, timeout=10)
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
