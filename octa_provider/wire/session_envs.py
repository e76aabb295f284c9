"""The environment variables by which a session tells whose it is. Imports nothing: command lines and DAGs read it."""

from __future__ import annotations

__all__ = ["JOB_ENV", "RENTAL_KEY_ENV"]

#: In which a rental key travels; the API echoes it as `user_envs`.
RENTAL_KEY_ENV = "OCTA_RENTAL_KEY"
#: Carries `<nonce>:<fingerprint>` of a job, so that the next try knows what it adopts.
JOB_ENV = "OCTA_JOB"
