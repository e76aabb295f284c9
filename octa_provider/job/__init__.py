"""A command run to completion on a rented machine."""
