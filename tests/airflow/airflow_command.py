"""A command of Airflow's, for a test that forks the process which runs it."""

from __future__ import annotations

import json
import sys


def airflow_command(told: str) -> None:
    """Run `airflow`, and end.

    Args:
        told: its arguments, as JSON.
    """
    from airflow.__main__ import main

    sys.argv = ["airflow", *json.loads(told)]
    main()
