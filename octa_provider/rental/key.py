"""The rental key: a string that names the work, not the try. It travels in the session's environment.

A key is `<namespace>/<work key>`. The namespace tells installations that share an account apart: two Airflows run the
same DAG for the same date, and neither may take the other's machine. A client without a namespace writes the work key
alone.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote

from octa_provider.errors import OctaConfigError
from octa_provider.text.command_line import option_words

NAMESPACE_ENV = "OCTA_NAMESPACE"
#: More than the names of any orchestrator come to, percent-encoded; less than an environment variable can hold.
MAX_KEY_CHARS = 16_384
_PRINTABLE = re.compile(r"[!-~]+")
_KEPT = re.compile(r"[^A-Za-z0-9._:+@=-]")
#: Earlier releases cut a key to so many characters, the last of which were a hash.
_EARLIER_CHARS = 240
#: With one of these in front it could not be told whether a key has its namespace already.
_FIRST_PARTS = frozenset({"airflow", "cli", "prefect"})


def rental_key(*parts: object) -> str:
    """A work key from the parts that name the work, such as `rental_key("airflow", dag, run, task, map_index)`.

    Characters that a key can't hold are percent-encoded, so that different parts never give the same key, and
    `key_parts` gives the parts back.

    Args:
        parts: at least one; their text is joined with `/`.

    Returns:
        Printable ASCII without spaces.

    Raises:
        OctaConfigError: there is no part, one is empty, or the key would be too long.
    """
    if not parts or any(str(part) == "" for part in parts):
        raise OctaConfigError("a rental key needs at least one part, and no part may be empty")
    return checked_key("/".join(_encoded(str(part)) for part in parts))


def key_parts(key: str) -> tuple[str, ...]:
    """The parts that `rental_key` made a key of. Take the namespace off first: `split_namespace`."""
    return tuple(unquote(part, errors="replace") for part in key.split("/"))


def checked_key(key: str) -> str:
    """The key itself; raises OctaConfigError when it can't be one."""
    if not isinstance(key, str) or len(key) > MAX_KEY_CHARS or not _PRINTABLE.fullmatch(key):
        raise OctaConfigError(
            f"a rental key must be 1 to {MAX_KEY_CHARS} printable ASCII characters without spaces: "
            "build it with rental_key(...)"
        )
    return key


def checked_namespace(namespace: object) -> str:
    """A namespace as it stands in keys: one segment, encoded as every part is; empty for none.

    Raises:
        OctaConfigError: it is no text, too long, or what work keys themselves begin with.
    """
    if not isinstance(namespace, str) or len(namespace) > 200:
        raise OctaConfigError("the namespace must be text of at most 200 characters, such as 'prod'")
    encoded = _encoded(namespace.strip())
    if encoded in _FIRST_PARTS:
        raise OctaConfigError(f"the namespace {encoded} is what keys begin with: take another, such as {encoded}-prod")
    return encoded


def namespace_words(namespace: str) -> list[str]:
    """The option that gives a command line a namespace, as words that are still to be quoted.

    Args:
        namespace: as `checked_namespace` gives it; empty for none.
    """
    # The command line encodes what it is given, as everybody who names a namespace does.
    return option_words("--namespace", unquote(namespace, errors="replace")) if namespace else []


def with_namespace(key: str, namespace: str) -> str:
    """The whole key of a work key; one that begins with the namespace already is whole.

    Args:
        key: a work key, or a whole one.
        namespace: as `checked_namespace` gives it; empty for none.
    """
    checked_key(key)
    return key if not namespace or key.startswith(f"{namespace}/") else checked_key(f"{namespace}/{key}")


def split_namespace(key: str, namespace: str) -> str | None:
    """The work key within a namespace; None for a key of another one.

    Args:
        key: a whole key, as a session carries it.
        namespace: the installation's own; empty for none, which takes every key as it is.
    """
    if not namespace:
        return key
    return key.removeprefix(f"{namespace}/") if key.startswith(f"{namespace}/") else None


def earlier_forms(key: str, namespace: str) -> tuple[str, ...]:
    """What an earlier release called the same work: without the namespace, and cut where it was long.

    Args:
        key: the rental key, whole.
        namespace: of this installation; empty for none.
    """
    work = split_namespace(key, namespace) or key
    if len(work) > _EARLIER_CHARS:
        digest = hashlib.sha256(work.encode()).hexdigest()[:32]
        work = f"{work[: _EARLIER_CHARS - 33]}~{digest}"
    return (work,)


def _encoded(part: str) -> str:
    return _KEPT.sub(lambda m: "".join(f"%{b:02X}" for b in m[0].encode("utf-8", "surrogatepass")), part)
