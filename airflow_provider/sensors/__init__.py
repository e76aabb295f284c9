"""Waiting for a session."""
