"""How far a job is by what it prints, where users find it: see `octa_provider.render.progress`."""

from octa_provider.render.progress import ProgressTracker

__all__ = ["ProgressTracker"]
