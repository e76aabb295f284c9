"""A file as OpenLineage names it: `file` and its absolute path, or the store and its key."""

from __future__ import annotations

import os
from urllib.parse import SplitResult, unquote, urlsplit

from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import expanded
from octa_provider.text.plain_text import plain_words

__all__ = ["dataset_name"]

#: What Airflow's object storage calls by another name than OpenLineage.
_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
#: Stores whose names are keys: they begin with no slash.
_OF_KEYS = frozenset({"s3", "gs", "wasb", "wasbs"})
_OF_AZURE = frozenset({"abfs", "abfss", "wasb", "wasbs"})


def dataset_name(place: object) -> tuple[str, str] | None:
    """The namespace and the name of a file or a folder; None for what is neither.

    A path of the worker is in the namespace `file`, without its host, as Airflow names a `file://` asset: on storage
    that all workers share one file has one name. Of a URL nothing is told that may be secret: no login, no query.

    Args:
        place: a path, a URL such as `s3://bucket/key`, or an `ObjectStoragePath`.
    """
    text = str(place).strip()
    if not text or text == "None":
        return None
    if "://" not in text:
        try:
            path = os.path.abspath(expanded(text))  # noqa: PTH100 - resolve() would follow links
        except (OctaConfigError, OSError, ValueError):
            return None
        return "file", plain_words(path)
    try:
        url = urlsplit(text)
    except ValueError:
        return None
    scheme = _SCHEMES.get(url.scheme.lower(), url.scheme.lower())
    path = url.path
    if scheme == "file":
        host = _host(url, scheme)
        return "file" if host in {"", "localhost"} else f"file://{host}", plain_words(unquote(path))
    name = path.lstrip("/") if scheme in _OF_KEYS else path
    return plain_words(f"{scheme}://{_host(url, scheme)}"), plain_words(name) or "/"


def _host(url: SplitResult, scheme: str) -> str:
    login, _, host = url.netloc.rpartition("@")
    # Azure's container stands where others have a login.
    is_container = scheme in _OF_AZURE and "." in host and login and ":" not in login
    return f"{login}@{host}" if is_container else host
