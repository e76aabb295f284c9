"""The fingerprint of a batch: what its frames are made of, so that frames of another scene are never taken for its."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import LocalTree, digest_of, shown

__all__ = ["Inputs", "fingerprint_of"]

_NAMED = 5


@dataclass(frozen=True)
class Inputs:
    """What the frames of a batch are made of.

    Attributes:
        main: the scene's file, relative to what is sent.
        settings: of the renderer, as a JSON value.
        files: the SHA-256 of each file that is sent, by its name there.
    """

    main: str
    settings: Mapping[str, Any]
    files: Mapping[str, str]

    @classmethod
    def of(cls, scene: Path, main: str, renderer: Renderer) -> Inputs:
        """Look at a scene.

        Args:
            scene: its file or folder.
            main: the scene's file, relative to what is sent.
            renderer: what renders it.

        Raises:
            OctaConfigError: there is none, or it can't be read.
        """
        tree = LocalTree.at(scene)
        files = {os.fsdecode(file.name) or scene.name: digest_of(file.path) for file in tree.files}
        # As it will be when it has been written and read again: tuples are lists then.
        settings = json.loads(json.dumps(renderer.settings()))
        return cls(main, settings, dict(sorted(files.items())))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of it all, in hexadecimal. Which frames are asked for, and where they go, is not in it."""
        value = {"main": self.main, "settings": self.settings, "files": self.files}
        return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def changes_since(self, earlier: Inputs) -> str:
        """What is not as it was, by name, as one clause; empty when all is.

        Args:
            earlier: what it was made of then.
        """
        said: list[str] = []
        if self.main != earlier.main:
            said.append(f"the scene's file is {shown(self.main)}, and was {shown(earlier.main)}")
        for name in sorted(self.settings.keys() | earlier.settings.keys()):
            now, then = self.settings.get(name), earlier.settings.get(name)
            if now != then:
                said.append(f"{name} is {shown(json.dumps(now))}, and was {shown(json.dumps(then))}")
        both = self.files.keys() & earlier.files.keys()
        for verb, names in (
            ("changed", [name for name in both if self.files[name] != earlier.files[name]]),
            ("is new", [*self.files.keys() - both]),
            ("is gone", [*earlier.files.keys() - both]),
        ):
            said += [f"{shown(name)} {verb}" for name in sorted(names)[:_NAMED]]
            if len(names) > _NAMED:
                said.append(f"{len(names) - _NAMED} more files like it")
        return ", ".join(said)


def fingerprint_of(scene: Path, main: str, renderer: Renderer) -> str:
    """The fingerprint of a batch: SHA-256 over what is sent, its names, the image, the command and the settings.

    Args:
        scene: the scene's file or folder.
        main: the scene's file, relative to what is sent.
        renderer: what renders it.

    Returns:
        64 hexadecimal digits.

    Raises:
        OctaConfigError: there is no such scene, or a file of it can't be read.
    """
    if not scene.exists():
        raise OctaConfigError(f"there is no scene {shown(scene)}")
    return Inputs.of(scene, main, renderer).fingerprint
