"""The rental key: a string that names the work, not the try. It travels in the session's environment."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote

from octa_provider.errors import OctaConfigError

RENTAL_KEY_ENV = "OCTA_RENTAL_KEY"
MAX_KEY_CHARS = 240
_PRINTABLE = re.compile(r"[!-~]+")
_KEPT = re.compile(r"[^A-Za-z0-9._:+@=-]")


def rental_key(*parts: object) -> str:
    """A rental key from the parts that name the work, such as `rental_key("airflow", dag, run, task, map_index)`.

    Characters that a key can't hold are percent-encoded, so that different parts never give the same key. A key that
    would be too long keeps its beginning and ends in a hash of the whole.

    Args:
        parts: at least one; their text is joined with `/`.

    Returns:
        Printable ASCII, at most 240 characters.
    """
    if not parts or any(str(part) == "" for part in parts):
        raise OctaConfigError("a rental key needs at least one part, and no part may be empty")
    key = "/".join(
        _KEPT.sub(lambda m: "".join(f"%{b:02X}" for b in m[0].encode("utf-8", "surrogatepass")), str(part))
        for part in parts
    )
    if len(key) <= MAX_KEY_CHARS:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"{key[: MAX_KEY_CHARS - 33]}~{digest}"


def key_parts(key: str) -> tuple[str, ...] | None:
    """The parts that `rental_key` made a key of; None for one that was too long to hold them all."""
    if re.search(r"~[0-9a-f]{32}$", key):
        return None
    return tuple(unquote(part, errors="replace") for part in key.split("/"))


def checked_key(key: str) -> str:
    """The key itself; raises OctaConfigError when it can't be one."""
    if not isinstance(key, str) or len(key) > MAX_KEY_CHARS or not _PRINTABLE.fullmatch(key):
        raise OctaConfigError(
            f"a rental key must be 1 to {MAX_KEY_CHARS} printable ASCII characters without spaces: "
            "build it with rental_key(...)"
        )
    return key
