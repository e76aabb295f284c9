"""Where Prefect's UI finds the picture of our blocks and our work pool."""

from __future__ import annotations

__all__ = ["LOGO_URL"]

#: Prefect takes an http(s) URL and nothing else, so the picture can't travel with the package.
LOGO_URL = "https://github.com/octaspace.png?size=200"
