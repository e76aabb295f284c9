"""The command line, `octa-provider`: its commands, the options that they share, and what they show."""

from octa_provider.cli.program import main

__all__ = ["main"]
