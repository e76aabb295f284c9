"""`client.idle_jobs`: what a node of ours does while nobody rents it."""

from __future__ import annotations

from octa_provider.http.transport import Transport
from octa_provider.http.urls import path_of
from octa_provider.models import IdleJob, IdleJobLogs


class IdleJobs:
    """Jobs that a node runs when idle."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, node_id: int, job_id: str, *, retries: int | None = None, timeout: float | None = None) -> IdleJob:
        """The job's state: `GET /idle_jobs/{node_id}/{job_id}`.

        Args:
            node_id: the node.
            job_id: the job.
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        path = path_of("idle_jobs", node_id, job_id)
        return IdleJob.from_payload(self._transport.get(path, retries=retries, timeout=timeout).json())

    def logs(
        self, node_id: int, job_id: str, *, retries: int | None = None, timeout: float | None = None
    ) -> IdleJobLogs:
        """The job's log as text: `GET /idle_jobs/{node_id}/{job_id}/logs`, unpacked from gzip and base64.

        Args:
            node_id: the node.
            job_id: the job.
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        path = path_of("idle_jobs", node_id, job_id, "logs")
        return IdleJobLogs.from_payload(self._transport.get(path, retries=retries, timeout=timeout).json())
