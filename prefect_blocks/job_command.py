"""What a job runs, as fields of a form: the first ones, since they are what a job can't do without."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from prefect_blocks.credentials import Account, OctaCredentials

__all__ = ["JobCommand"]


class JobCommand(BaseModel):
    """A base of its own because forms show the fields of the last base first."""

    # A value that is refused may be a secret.
    model_config = ConfigDict(hide_input_in_errors=True)

    credentials: Account = Field(
        default_factory=OctaCredentials, description="The account that pays; the environment's when left out."
    )
    image: str = Field(description="Container image, such as blender:4.5; may be empty when there is an app.")
    command: str = Field(description="The shell command line to run.")
    envs: dict[str, str] = Field(
        default_factory=dict,
        title="Environment Variables",
        description="Environment variables. The account's sessions show them: no secrets.",
    )
    secret_envs: dict[str, SecretStr] = Field(
        default_factory=dict,
        title="Secret Environment Variables",
        description="Environment variables that go to the machine over SSH alone, never to the API. Needs SSH.",
    )
    name: str = Field(
        default="",
        description="What the work is called in events and artifacts; else as the block, the key or the flow.",
    )
    inputs: dict[str, str] = Field(
        default_factory=dict, description="Files and folders to send: local path to remote path. Needs SSH."
    )
    outputs: dict[str, str] = Field(
        default_factory=dict, description="Files and folders to fetch: remote path to local path. Needs SSH."
    )
    result_file: str | None = Field(
        default=None,
        title="Result File",
        description="A JSON file that the command writes: its value is in the result, as value. Needs SSH.",
    )
