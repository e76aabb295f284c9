"""The site's list of what is public, which is beside the documents and imports nothing but Python's own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def _loaded() -> ModuleType:
    path = Path(__file__).parents[1] / "docs" / "public_names.py"
    spec = importlib.util.spec_from_file_location("public_names_of_the_site", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_SITE = _loaded()
#: Of each package the names with a page of their own, and the module that a user imports each from.
IMPORTED_FROM: dict[str, dict[str, str]] = {
    package: {name.rpartition(".")[2]: str(_SITE.imported_from(name)) for names in kinds.values() for name in names}
    for package, kinds in _SITE.public_names().items()
}
