"""Read by Python itself when this folder is in PYTHONPATH."""

import more_time

more_time.install()
