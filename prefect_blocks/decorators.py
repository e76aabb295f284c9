"""`@octa`: a flow that runs on a rented machine of its own when it is called or submitted, without a deployment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from octa_provider.errors import OctaConfigError
from prefect_blocks.secret_values import refuse_in_clear

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.flows import InfrastructureBoundFlow

__all__ = ["octa"]

P = ParamSpec("P")
R = TypeVar("R")


def octa(
    work_pool: str,
    *,
    include_files: Sequence[str] | None = None,
    include_files_base_dir: Path | str | None = None,
    launcher: Any = None,
    **job_variables: Any,
) -> Callable[[Flow[P, R]], InfrastructureBoundFlow[P, R]]:
    """Bind a flow to rented machines: each call, and each `.submit()`, rents one for the flow run.

    The work pool is of type `octa` and knows where bundles are kept (`prefect work-pool storage configure`). The flow
    run is followed by this process, which does not end before it does; should the process die, by the next worker of
    the pool. `.submit()` returns as soon as the machine is rented, `.submit_to_work_pool()` leaves that to a worker.

    Args:
        work_pool: its name.
        include_files: patterns of files beside the flow's that it needs.
        include_files_base_dir: the folder that these are relative to; the flow file's when left out. Prefect
            3.8.0 has none.
        launcher: Prefect's: a command to run the bundle's steps with instead of `uv run`.
        job_variables: what the flow needs of its machine, such as `gpu_model`, `max_cost_usd`, `credentials`.

    Returns:
        A decorator for flows.

    Raises:
        OctaConfigError: at once: an account or a secret that is a value, which Prefect would store, a base folder that
            this Prefect does not know, what is no flow; when it is called or submitted: a job variable that the work
            pool does not have.

    Example:
        >>> @octa(work_pool="machines", gpu_model="4090", max_cost_usd=5.0)
        ... @flow
        ... def train(epochs: int = 3): ...
        >>> future = train.submit(epochs=5)
        >>> future.result()
    """

    named: object = work_pool
    if not isinstance(named, str):
        raise OctaConfigError('octa takes the name of a work pool: write @octa(work_pool="NAME") above @flow')
    refuse_in_clear(job_variables)

    options: dict[str, Any] = {}
    if include_files_base_dir is not None:
        import prefect
        from prefect.flows import bind_flow_to_infrastructure

        # Newer than the oldest Prefect that is allowed.
        if "include_files_base_dir" not in signature(bind_flow_to_infrastructure).parameters:
            raise OctaConfigError(f"Prefect {prefect.__version__} has no include_files_base_dir: take a newer one")
        options["include_files_base_dir"] = include_files_base_dir

    def bind(flow: Flow[P, R]) -> InfrastructureBoundFlow[P, R]:
        from prefect import Flow
        from prefect.flows import bind_flow_to_infrastructure

        from prefect_blocks.bound_flow import OctaBoundFlow
        from prefect_blocks.worker import OctaWorker

        given: object = flow
        if not isinstance(given, Flow):
            raise OctaConfigError(f"{getattr(given, '__name__', given)!r} is no flow: write @octa(...) above @flow")
        made = bind_flow_to_infrastructure(
            flow,
            work_pool=work_pool,
            worker_cls=OctaWorker,
            job_variables=job_variables,
            launcher=launcher,
            include_files=include_files,
            **options,
        )
        return OctaBoundFlow.of(made)

    return bind
