"""Who may see and stop what, as Airflow's own auth manager says. Only for the API server of Airflow 3.1 and newer."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["Permissions", "current_user"]


def current_user() -> Any:
    """The dependency that gives FastAPI the user of a request: Airflow's own, by bearer token or by its cookie."""
    from airflow.api_fastapi.core_api.security import get_user

    if "request" in inspect.signature(get_user).parameters:
        return get_user
    return _user_of_cookie()


class Permissions:
    """What one user may do; Airflow is asked once for each thing.

    Args:
        user: as `current_user` gave it.
    """

    def __init__(self, user: Any) -> None:
        self._user = user
        self._known: dict[tuple[str, ...], bool] = {}

    def may_see_page(self) -> bool:
        """Whether the page is for this user: what shows the menu entry, reading Airflow's plugins, shows the page."""
        from airflow.api_fastapi.auth.managers.models.resource_details import AccessView

        return bool(_manager().is_authorized_view(access_view=AccessView.PLUGINS, user=self._user))

    def may_see_tasks(self, dag_id: str) -> bool:
        """Whether the user may read the task instances of a DAG.

        Args:
            dag_id: the DAG's.
        """
        return self._dag("GET", dag_id)

    def may_clear_tasks(self, dag_id: str) -> bool:
        """Whether the user may clear the task instances of a DAG, and so may stop their machines.

        Args:
            dag_id: the DAG's.
        """
        return self._dag("PUT", dag_id)

    def may_edit_connection(self, connection_id: str) -> bool:
        """Whether the user may edit a connection, and so has its account anyway.

        Args:
            connection_id: the connection's.
        """
        from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails
        from airflow.models.connection import Connection

        asked = ("connection", connection_id)
        if asked not in self._known:
            details = ConnectionDetails(conn_id=connection_id, team_name=Connection.get_team_name(connection_id))
            may = _manager().is_authorized_connection(method="PUT", details=details, user=self._user)
            self._known[asked] = bool(may)
        return self._known[asked]

    def _dag(self, method: Any, dag_id: str) -> bool:
        from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
        from airflow.models.dag import DagModel

        asked = ("dag", method, dag_id)
        if asked not in self._known:
            may = _manager().is_authorized_dag(
                method=method,
                access_entity=DagAccessEntity.TASK_INSTANCE,
                details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
                user=self._user,
            )
            self._known[asked] = bool(may)
        return self._known[asked]


def _manager() -> Any:
    from airflow.api_fastapi.app import get_auth_manager

    return get_auth_manager()


def _user_of_cookie() -> Any:
    """The first releases of 3.1 know only the bearer token, which a page in a frame does not send."""
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
    from airflow.api_fastapi.core_api.security import resolve_user_from_token
    from fastapi import Request

    async def user(request: Any) -> Any:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        given = token if kind.lower() == "bearer" else request.cookies.get(COOKIE_NAME_JWT_TOKEN)
        return await resolve_user_from_token(given)

    user.__annotations__["request"] = Request
    return user
