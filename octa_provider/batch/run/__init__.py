"""A batch that runs: one coordinator, a thread for each machine."""
