"""The steps of a rental: start, logs, stop."""
