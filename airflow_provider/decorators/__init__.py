"""Functions that run on a rented machine."""
