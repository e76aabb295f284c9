"""Whether it is the scene that can't be rendered, or the machine that can't render it."""

from __future__ import annotations

import re

from octa_provider.errors import OctaSceneError

__all__ = ["SceneErrors"]

_CHANGING = re.compile(r"[0-9]+")


class SceneErrors:
    """What renderers said before any whole frame came. The same on two nodes is the scene's."""

    def __init__(self) -> None:
        self._nodes: dict[str, set[int]] = {}

    def failed(self, node_id: int, message: str) -> None:
        """A renderer failed.

        Args:
            node_id: on which node.
            message: what it said.

        Raises:
            OctaSceneError: another node said the same.
        """
        # Numbers in it, such as times, process ids and frames, are others on another node.
        nodes = self._nodes.setdefault(_CHANGING.sub("#", message.strip()), set())
        nodes.add(node_id)
        if len(nodes) > 1:
            raise OctaSceneError(f"{message.strip()} (the same on nodes {', '.join(map(str, sorted(nodes)))})")
