"""`OctaCredentials`: the account's key and how to reach the API, kept as a Prefect block."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from prefect.blocks.abstract import CredentialsBlock
from prefect.exceptions import ObjectNotFound
from pydantic import BeforeValidator, Field, HttpUrl, SecretStr, field_validator

from octa_provider.errors import OctaConfigError
from octa_provider.text.plain_text import plain_words
from prefect_blocks.known_names import KnownFields
from prefect_blocks.logo import LOGO_URL
from prefect_blocks.namespace import namespace_here

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

    from octa_provider import OctaClient

__all__ = ["Account", "OctaCredentials", "account_of", "acredentials_named", "credentials_named"]


class OctaCredentials(KnownFields, CredentialsBlock):
    """An OctaSpace account, for tasks, jobs and work pools. Without fields it reads the environment.

    Attributes:
        api_key: the account's key; else the environment variable `OCTA_API_KEY`.
        base_url: where the API is served, one URL or several separated by commas; else `OCTA_BASE_URL`.
        timeout_s: seconds to wait for a connection, and for an answer.
        retries: how many more times a read is tried.
        ssh_private_key: the private half of the account's SSH key, as PEM text, for jobs that move files.
        allow_http: permit plain http to other machines than this one.
        namespace: tells this installation of Prefect from others that rent on the same account; else the environment
            variable `OCTA_NAMESPACE`, else it is made of the address of Prefect's API.
        organization_id: the organisation that pays for machines; else `OCTA_ORGANIZATION_ID`, else the account itself.
        project_id: what for, in that organisation.

    Example:
        ```python
        from prefect_blocks import OctaCredentials

        credentials = OctaCredentials.load("BLOCK_NAME")
        with credentials.get_client() as octa:
            print(len(octa.services.mr.available()), "machines on offer")
        ```
    """

    _block_type_name = "OctaSpace Credentials"
    _block_type_slug = "octaspace-credentials"
    _logo_url = HttpUrl(LOGO_URL)
    _documentation_url = HttpUrl("https://octa.space")

    # Empty instead of None: Prefect's form shows a choice of types for each field that may be None.
    api_key: SecretStr = Field(
        default=SecretStr(""),
        title="API Key",
        description="The account's API key; when empty, the environment variable OCTA_API_KEY where the flow runs.",
    )
    base_url: str = Field(
        default="",
        title="Base URL",
        description="Where the API is served; several URLs with commas between. Empty for OctaSpace itself.",
    )
    timeout_s: float = Field(
        default=30.0, title="Timeout", gt=0, description="Seconds to wait for a connection, and for an answer."
    )
    retries: int = Field(default=2, ge=0, le=100, description="How many more times a read is tried.")
    ssh_private_key: SecretStr = Field(
        default=SecretStr(""),
        title="SSH Private Key",
        description="The private half of the account's SSH key, as PEM text; needed by jobs that move files.",
    )
    allow_http: bool = Field(
        default=False, title="Allow HTTP", description="Permit plain http to other machines than this one."
    )

    namespace: str = Field(
        default="",
        description="Tells this installation of Prefect from others that rent on the same account; when empty, "
        "OCTA_NAMESPACE where the flow runs, else it is made of the address of Prefect's API.",
    )

    organization_id: str = Field(
        default="",
        title="Organization",
        description="Id of the organization that pays for machines; when empty, OCTA_ORGANIZATION_ID where the flow "
        "runs, else the account itself pays.",
    )
    project_id: str = Field(
        default="", title="Project", description="Id of the organization's project that they are for."
    )

    @field_validator("api_key", "base_url", "ssh_private_key", "namespace", mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: object) -> object:
        return "" if value is None else value

    @field_validator("organization_id", "project_id", mode="before")
    @classmethod
    def _a_number_is_text(cls, value: object) -> object:
        return "" if value is None else str(value) if type(value) is int else value

    def get_client(self) -> OctaClient:
        """A new client of the API; close it, or use it in a `with` block.

        Raises:
            OctaConfigError: a field holds something it can't.
        """
        from octa_provider import OctaClient
        from prefect_blocks.intents import PrefectIntents

        make = partial(
            OctaClient,
            self.api_key.get_secret_value() or None,
            base_url=self.base_url or None,
            timeout=self.timeout_s,
            retries=self.retries,
            allow_http=self.allow_http,
            namespace=namespace_here(self.namespace),
            organization_id=self.organization_id or None,
            project_id=self.project_id or None,
        )
        with make() as plain:
            # Of this computer, which the store on Prefect's server falls back on.
            folder = plain.intents
        return make(intents=PrefectIntents(folder))

    @property
    def private_key(self) -> str | None:
        """The SSH private key as text; None leaves it to `OCTA_SSH_KEY_FILE`, the agent and the default files."""
        return self.ssh_private_key.get_secret_value() or None


def credentials_named(name: str) -> OctaCredentials:
    """The saved block of that name; for an empty name the environment's account.

    Flows take a name instead of a block: their parameters are stored by the API, where a key has no place.

    Args:
        name: of a saved block of type OctaSpace Credentials; may be empty.

    Raises:
        OctaConfigError: there is no such block.
    """
    if not name:
        return OctaCredentials()
    try:
        # Whatever kind of flow this thread works for, a plain call is wanted here.
        block: OctaCredentials = OctaCredentials.load(name, _sync=True)  # type: ignore[call-arg, assignment]
    except ValueError as error:
        raise _no_such_account(name, error) from error
    return block


async def acredentials_named(name: str, client: PrefectClient | None = None) -> OctaCredentials:
    """As `credentials_named`, for coroutines.

    Args:
        name: of a saved block of type OctaSpace Credentials; may be empty.
        client: Prefect's API; a new one when left out.

    Raises:
        OctaConfigError: there is no such block.
    """
    if not name:
        return OctaCredentials()
    try:
        return await OctaCredentials.aload(name, client=client)
    except ValueError as error:
        raise _no_such_account(name, error) from error


def _no_such_account(name: str, error: ValueError) -> OctaConfigError:
    # Prefect raises the same for one that can't be read.
    if not isinstance(error.__cause__, ObjectNotFound):
        return OctaConfigError(f"the OctaSpace Credentials block {plain_words(name)!r} can't be read: {error}")
    return OctaConfigError(
        f"there is no OctaSpace Credentials block named {plain_words(name)!r}: save one in the UI under Blocks, or by "
        f"OctaCredentials(api_key=...).save({plain_words(name)!r})"
    )


def account_of(given: OctaCredentials | str | None) -> OctaCredentials:
    """The account that is meant.

    Args:
        given: a block, the name of a saved one, or None for the environment's account.

    Raises:
        OctaConfigError: there is no block of that name.
    """
    return given if isinstance(given, OctaCredentials) else credentials_named(given or "")


#: A field of a block, which takes the name of a saved block as well.
Account = Annotated[
    OctaCredentials, BeforeValidator(lambda given: credentials_named(given) if isinstance(given, str) else given)
]
