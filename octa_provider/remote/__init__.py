"""The rented machine over SSH: connecting, running, moving files."""
