"""A flow that `@octa` has bound: its job variables are looked at on every way by which Prefect's server gets them."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect.flows import InfrastructureBoundFlow
from prefect.settings import get_current_settings
from prefect.utilities.asyncutils import run_coro_as_sync

from prefect_blocks.awaitable import as_awaitable
from prefect_blocks.job_variables import check_for_pool, check_names
from prefect_blocks.secret_values import refuse_in_clear

__all__ = ["OctaBoundFlow"]

P = ParamSpec("P")
R = TypeVar("R")


class OctaBoundFlow(InfrastructureBoundFlow[P, R]):
    """As Prefect's. Its worker looks at what is called, submitted or tried again; this at all else.

    Accounts and secrets that are values are refused at once: for that the work pool need not be asked.
    """

    @classmethod
    def of(cls, flow: InfrastructureBoundFlow[P, R]) -> OctaBoundFlow[P, R]:
        """The flow itself, as one of ours.

        Args:
            flow: as Prefect has bound it, which knows its own class alone.
        """
        flow.__class__ = cls
        return flow  # type: ignore[return-value]

    if not TYPE_CHECKING:

        def with_options(self, **options):
            refuse_in_clear(options.get("job_variables") or {})
            return self.of(super().with_options(**options))

        def submit(self, *args, **kwargs):
            return as_awaitable(super().submit(*args, **kwargs))

        def submit_to_work_pool(self, *args, **kwargs):
            run_coro_as_sync(check_for_pool(self.work_pool, self.job_variables or {}))
            return as_awaitable(super().submit_to_work_pool(*args, **kwargs))

        def deploy(self, *args, **kwargs):
            run_coro_as_sync(self._check_deployment(super().adeploy, args, kwargs, takes_default=True))
            return super().deploy(*args, **kwargs)

        async def adeploy(self, *args, **kwargs):
            await self._check_deployment(super().adeploy, args, kwargs, takes_default=True)
            return await super().adeploy(*args, **kwargs)

        def to_deployment(self, *args, **kwargs):
            run_coro_as_sync(self._check_deployment(super().ato_deployment, args, kwargs))
            return super().to_deployment(*args, **kwargs)

        async def ato_deployment(self, *args, **kwargs):
            await self._check_deployment(super().ato_deployment, args, kwargs)
            return await super().ato_deployment(*args, **kwargs)

    async def _check_deployment(
        self, of: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, takes_default: bool = False
    ) -> None:
        given = signature(of).bind(*args, **kwargs).arguments
        values = given.get("job_variables") or {}
        if not values:
            return
        default = get_current_settings().deployments.default_work_pool_name if takes_default else None
        if pool_name := given.get("work_pool_name") or default:
            await check_names(pool_name, values)
        else:
            # `prefect.deploy` says which.
            refuse_in_clear(values)
