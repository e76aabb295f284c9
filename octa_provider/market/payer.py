"""Who pays for a machine, where that is an organisation, and for which of its projects."""

from __future__ import annotations

import os

from octa_provider.errors import OctaConfigError

__all__ = ["ORGANIZATION_ENV", "PROJECT_ENV", "checked_payer_id", "payer_of"]

ORGANIZATION_ENV = "OCTA_ORGANIZATION_ID"
PROJECT_ENV = "OCTA_PROJECT_ID"


def checked_payer_id(name: str, value: object) -> int | str | None:
    """An id of an organisation or a project as the API takes it; None for none.

    Args:
        name: the argument's, for the error.
        value: a whole number or text; text of digits, as forms and environments give it, is a number.

    Raises:
        OctaConfigError: it is neither.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        text = value.strip()
        if not text.isprintable() or not text.isascii() or " " in text:
            raise OctaConfigError(f"{name} is no id: copy it again, without spaces")
        return int(text) if text.isdigit() else text
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise OctaConfigError(f"{name} must be a whole number or text, not {value!r}")
    return value


def payer_of(organization_id: object, project_id: object) -> tuple[int | str | None, int | str | None]:
    """The organisation and the project of a client: those that are given, else those of the environment.

    Args:
        organization_id: who pays; None leaves both to `OCTA_ORGANIZATION_ID` and `OCTA_PROJECT_ID`.
        project_id: what for.

    Raises:
        OctaConfigError: one can't be an id, or there is a project without its organisation.
    """
    if organization_id is None and project_id is None:
        organization_id, project_id = os.environ.get(ORGANIZATION_ENV), os.environ.get(PROJECT_ENV)
    organization = checked_payer_id("organization_id", organization_id)
    project = checked_payer_id("project_id", project_id)
    if project is not None and organization is None:
        raise OctaConfigError("project_id names a project of no organisation: give organization_id too")
    return organization, project
