"""The hook: an Airflow connection turned into the core's client, and into SSH to a session."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider.connection_form import CONN_FIELDS, DEFAULT_CONN_ID, UI_FIELD_BEHAVIOUR
from airflow_provider.connection_settings import ConnectionSettings
from airflow_provider.private_names import check_private_names
from airflow_provider.secret_texts import mask_part

if TYPE_CHECKING:
    from octa_provider import OctaClient
    from octa_provider.remote.machine import RemoteMachine

__all__ = ["OctaHook", "mask_secrets"]


class OctaHook(BaseHook):
    """OctaSpace through an Airflow connection.

    The connection: type `octa`, host = base URL (several separated by commas, empty for the default), password = API
    key, extra = `timeout` (seconds), `retries`, `ssh_key_file` or `ssh_private_key`, `allow_http`, `namespace`,
    `organization_id` and `project_id` (who pays).

    Args:
        octa_conn_id: the connection's id.

    Example:
        >>> hook = OctaHook()
        >>> hook.get_conn().accounts.balance().balance_wei
    """

    conn_name_attr = "octa_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "octa"
    hook_name = "OctaSpace"

    def __init__(self, octa_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.octa_conn_id = octa_conn_id

    @cached_property
    def settings(self) -> ConnectionSettings:
        """The connection's settings, asked of Airflow once. Its secrets are masked in every log from here on."""
        check_private_names()
        try:
            settings = ConnectionSettings.from_connection(self.get_connection(self.octa_conn_id))
        except ValueError as error:
            raise ValueError(f"Connection {self.octa_conn_id!r}: {error}") from error
        mask_secrets(settings)
        return settings.named()

    @cached_property
    def _client(self) -> OctaClient:
        from airflow_provider.intents import VariableIntents

        return self.settings.client(intents=VariableIntents())

    def get_conn(self) -> OctaClient:
        """The core's client for this connection, the same one each time.

        Raises:
            OctaConfigError: the connection cannot work: no key, or a base URL that is none.
        """
        return self._client

    def get_ssh(self, session_uuid: str) -> RemoteMachine:
        """SSH into a session that is ready: run commands, put and get files. Use it in a `with`.

        Args:
            session_uuid: the session.

        Raises:
            OctaSshError: the session tells no SSH address.
            OctaConfigError: the private key cannot be read, or asyncssh is not installed.
            OctaError: the session could not be read.
        """
        from octa_provider.remote.machine import RemoteMachine
        from octa_provider.remote.target import SshTarget

        session = self.get_conn().services.session(session_uuid).info()
        return RemoteMachine(SshTarget.of(session, private_key=self.settings.ssh_private_key))

    def test_connection(self) -> tuple[bool, str]:
        """Ask for the account: what the connection form's Test button shows."""
        from octa_provider.errors import OctaAuthenticationError, OctaError, OctaForbiddenError, OctaTimeoutError
        from octa_provider.wire.money import octa_text

        try:
            settings = self.settings
            where = settings.base_url or "OctaSpace"
            with settings.client(retries=0) as client:
                account = client.accounts.get()
            if settings.ssh_private_key is not None:
                from octa_provider.remote.target import check_key

                check_key(settings.ssh_private_key)
        except OctaAuthenticationError:
            return (
                False,
                f"{where} refused the API key: copy it again from your OctaSpace account into the password field.",
            )
        except OctaForbiddenError:
            return False, f"{where} knows the API key, but the key may not read its account."
        except OctaTimeoutError:
            return (
                False,
                f"{where} did not answer within {settings.timeout:g} seconds: check the base URL and the network.",
            )
        except (OctaError, ValueError) as error:
            return False, str(error)
        who = account.email or account.account_uuid or "an account without a name"
        balance = "" if account.balance_wei is None else f", balance {octa_text(account.balance_wei, 2)}"
        return True, f"Connected to {where} as {who}, namespace {settings.namespace}{balance}."

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The form's own fields, for Airflow below 3.2; newer ones read `conn-fields` of the provider info."""
        # Only where Airflow draws its form with them are these installed.
        from flask_appbuilder.fieldwidgets import (  # type: ignore[import-not-found]
            BS3PasswordFieldWidget,
            BS3TextFieldWidget,
        )
        from flask_babel import lazy_gettext  # type: ignore[import-not-found]
        from wtforms import (  # type: ignore[import-untyped]
            BooleanField,
            IntegerField,
            PasswordField,
            StringField,
        )
        from wtforms.validators import Optional  # type: ignore[import-untyped]

        kinds = {"number": StringField, "integer": IntegerField, "string": StringField, "boolean": BooleanField}
        widgets: dict[str, Any] = {}
        for name, conn_field in CONN_FIELDS.items():
            schema = conn_field["schema"]
            secret = schema.get("format") == "password"
            kind = PasswordField if secret else kinds[schema["type"][0]]
            arguments: dict[str, Any] = {"description": conn_field["description"], "validators": [Optional()]}
            if kind is not BooleanField:
                arguments["widget"] = BS3PasswordFieldWidget() if secret else BS3TextFieldWidget()
            widgets[name] = kind(lazy_gettext(conn_field["label"]), **arguments)
        return widgets

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Which of the form's usual fields are hidden or named otherwise."""
        return UI_FIELD_BEHAVIOUR


def mask_secrets(settings: ConnectionSettings) -> None:
    """Mask a connection's secrets in every log from here on.

    Args:
        settings: the connection's.
    """
    from airflow.providers.common.compat.sdk import mask_secret

    if settings.api_key:
        mask_secret(settings.api_key)
    key = settings.ssh_private_key or ""
    # A path is no secret. A PEM text shows in logs line by line, so each line is masked too; a browser that pastes it
    # into the form makes one line of it, with spaces in between.
    if "PRIVATE KEY-----" in key:
        mask_secret(key)
        for line in key.rpartition("-----END")[0].partition("KEY-----")[2].replace("\\n", "\n").split():
            mask_part(line)
