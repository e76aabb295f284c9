"""The connection to OctaSpace."""
