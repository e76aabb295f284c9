"""Stopping for certain: a session counts as stopped when it has been seen gone, not when the API said yes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from octa_provider.errors import (
    OctaConfigError,
    OctaError,
    OctaNotFoundError,
    OctaStopError,
)
from octa_provider.rental.kept import kept_now
from octa_provider.rental.key import namespace_words
from octa_provider.rental.mark import replaced_by, runs_under
from octa_provider.text.command_line import option_words
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import is_transient
from octa_provider.timing.backoff import pauses
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.limits import usable_seconds
from octa_provider.timing.outage import outages
from octa_provider.timing.refusals import Refusals, is_refused_key

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.models import Records, Session
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.terms import Bill, Terms

log = plain_logger("octa_provider.rental.stop")

#: So many sessions are asked to stop at the same time: one that hangs must not let the others bill on.
AT_ONCE = 16
#: A stop tries for so long where the caller's deadline is none: it is sent, and soon told when it was not seen to help.
STOP_S = 3.0
SECOND_LOOK_S = 1.0


def sweep(
    api: RentalApi,
    *,
    uuids: Iterable[str],
    key: str | None,
    score: int | None = None,
    deadline_s: float,
    leaves_replacement: bool = False,
    leaves_kept: bool = True,
) -> dict[str, Session | None]:
    """Stop these sessions and every active one of the key; return when all have been seen gone.

    Seen gone means: not in the list of active sessions, and either with its end in the list of recent ones or unknown
    to `/info`. (A 404 to `stop` alone proves nothing, and a list can miss an entry.)

    Args:
        api: the API.
        uuids: sessions to stop.
        key: the rental key to sweep, whole; None for none.
        score: what the machines were worth, 1 to 5; anything else is left out: nothing keeps a stop from happening.
        deadline_s: seconds to try for; a few where it is no number, since nothing keeps a stop from happening.
        leaves_replacement: whether what was started in the place of one of `uuids` is somebody else's: it may be, where
            two watch the same session, and the one has seen another one started.
        leaves_kept: whether sessions of the key that are kept for a look are left; see `octa_provider.rental.kept`.

    Returns:
        What the API last told of each session; None where it tells nothing any more.

    Raises:
        OctaStopError: some were not seen gone in time; its cause is what stood in the way.
        OctaError: the API refused the key, for some time where it had taken it before.
    """
    deadline_s = usable_seconds("deadline_s", deadline_s, STOP_S)
    deadline = Deadline(api.clock, deadline_s)
    octa = api.within(deadline)
    score = _usable_score(score)
    pause = pauses()
    running = dict.fromkeys(uuids)
    asked = frozenset(running)
    ended: dict[str, Session | None] = {}
    looked_twice = False
    refusals = Refusals(api.clock)
    while True:
        try:
            problem = _ask_to_stop(octa, list(running), score)
            active = octa.sessions.list()
            mates = {
                s.uuid
                for s in active
                if key is not None
                and runs_under(s, key, api.namespace)
                and not (leaves_replacement and asked & replaced_by(s))
            }
            found = mates - running.keys()
            if found and key is not None and leaves_kept:
                found -= kept_now(api, key)
            running.update(dict.fromkeys(found))
            if not found:
                gone = [uuid for uuid in running if not _is_listed(uuid, active)]
                if gone:
                    ended.update(_confirmed_gone(octa, gone))
                running = {uuid: None for uuid in running if uuid not in ended}
            if not running and (ended or key is None or looked_twice):
                return ended
            if not running:
                # A list can miss an entry: that there is nothing to stop takes two.
                looked_twice = True
                deadline.pause(SECOND_LOOK_S)
                continue
            if found and not deadline.passed:
                continue
            refusals.over()
        except OctaError as error:
            slips = refusals.may_pass(error, key_was_accepted=octa.transport.key_was_accepted)
            if not is_transient(error) and not slips:
                error.also(f"Perhaps still billing: {_left(api, running, key)}")
                raise
            problem = error
        if deadline.passed:
            raise OctaStopError(
                f"not seen gone within {deadline_s:g} s, so perhaps still billing: {_left(api, running, key)}",
                uuids=tuple(running),
            ) from problem
        deadline.pause(pause(problem))


def stop(
    api: RentalApi,
    terms: Terms,
    *,
    score: int | None = None,
    deadline_s: float = 300.0,
    leaves_replacement: bool = False,
) -> Bill:
    """Stop a rental's session and every other one of its key; see `Rental.stop`."""
    ended = sweep(
        api,
        uuids=(terms.uuid,),
        key=terms.key,
        score=score,
        deadline_s=deadline_s,
        leaves_replacement=leaves_replacement,
    )
    if terms.claim is not None and terms.key is not None:
        api.intents.remove(terms.key, terms.claim)
    return terms.bill(ended.get(terms.uuid))


def stop_command(uuids: Sequence[str], key: str | None = None) -> str:
    """The command line that stops these sessions, to be pasted into a shell; that of the key when there are none."""
    words = option_words("--key", key) if key is not None and not uuids else uuids
    return shlex.join(["octa-provider", "stop", *words])


def may_bill_text(uuid: str) -> str:
    """The sentence for a session that could not be stopped, with the command that stops it."""
    return f"Session {uuid} may still run and bill. Stop it: {stop_command([uuid])}"


def _left(api: RentalApi, running: Iterable[str], key: str | None) -> str:
    uuids = list(running)
    what = ", ".join(uuids) or f"the sessions of {key}"
    reap = shlex.join(["octa-provider", "reap", *namespace_words(api.namespace)])
    return f"{what}. Run: {stop_command(uuids, key)}, or find what is left: {reap}"


def _usable_score(score: object) -> int | None:
    if score is None or (isinstance(score, int) and not isinstance(score, bool) and 1 <= score <= 5):
        return score
    log.warning("the score %r is left out: it must be a whole number from 1 to 5", score)
    return None


def _ask_to_stop(octa: Api, uuids: Sequence[str], score: int | None) -> OctaError | None:
    """Ask once for each, at the same time; whether it helped is what the lists tell. Returns what last went wrong.

    Raises:
        OctaError: the API refused the key.
    """
    ask = partial(_ask_one_to_stop, octa, score)
    if len(uuids) <= 1:
        problems = [ask(uuid) for uuid in uuids]
    else:
        with ThreadPoolExecutor(min(AT_ONCE, len(uuids)), "octa-stop") as threads:
            problems = list(threads.map(ask, uuids))
    for problem in problems:
        if problem is not None and is_refused_key(problem):
            raise problem
    return next((problem for problem in reversed(problems) if problem is not None), None)


def _ask_one_to_stop(octa: Api, score: int | None, uuid: str) -> OctaError | None:
    try:
        octa.services.session(uuid).stop(score=score)
    except OctaNotFoundError:
        return None
    except OctaError as error:
        # Also a uuid that can't be one: what a stranger's list says must not keep the others running.
        if is_transient(error):
            outages.failed(error, octa.clock, f"session {uuid} is asked to stop")
        else:
            log.warning("asked %s to stop: %s", uuid, error)
        return error
    return None


def _is_listed(uuid: str, active: Records[Session]) -> bool:
    """In the list, be it as a record too odd to read."""
    return any(s.uuid == uuid for s in active) or any(uuid in repr(record) for record in active.odd)


def _confirmed_gone(octa: Api, uuids: list[str]) -> dict[str, Session | None]:
    """Of sessions that are not listed as active: those that have certainly ended, and what they came to."""
    # The list of recent sessions holds active ones too (C): only `finished_at` says that one has ended.
    ended = {s.uuid: s for s in octa.sessions.list(recent=True) if s.finished_at is not None}
    gone: dict[str, Session | None] = {}
    for uuid in uuids:
        if uuid in ended:
            gone[uuid] = ended[uuid]
            continue
        try:
            session = octa.services.session(uuid).info()
        except OctaNotFoundError:
            gone[uuid] = None
        except OctaConfigError:
            # No uuid, so no session that anybody could bill: what listed it has left it out now.
            gone[uuid] = None
        else:
            if session.finished_at is not None:
                gone[uuid] = session
    return gone
