"""Bytes and JSON to clean values. Every oddity of the wire ends here."""
