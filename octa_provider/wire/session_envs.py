"""The environment variables by which a session tells whose it is. Imports nothing: command lines and DAGs read it."""

from __future__ import annotations

__all__ = ["JOB_ENV", "RENTAL_KEY_ENV", "RENTAL_MARK_ENV", "REPLACES_ENV", "TRIED_ENV"]

#: In which a rental key travels; the API echoes it as `user_envs`.
RENTAL_KEY_ENV = "OCTA_RENTAL_KEY"
#: Carries `<nonce>:<fingerprint>` of a job, so that the next try knows what it adopts.
JOB_ENV = "OCTA_JOB"
#: Carries what was asked for, by which try, of which installation: see `octa_provider.rental.mark`.
RENTAL_MARK_ENV = "OCTA_RENTAL"
#: The uuids of stopped sessions that the one that carries it took the place of, with a blank between two.
REPLACES_ENV = "OCTA_REPLACES"
#: Carries the machines before: see `octa_provider.rental.tried_machine`.
TRIED_ENV = "OCTA_TRIED"
