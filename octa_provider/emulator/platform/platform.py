"""The platform: nodes, and the sessions from their start to their end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection, Coroutine
from typing import Any

from octa_provider.emulator.container.container import Container
from octa_provider.emulator.container.images import Images
from octa_provider.emulator.container.process import ProcessTable
from octa_provider.emulator.container.ssh_conditions import SshWeather
from octa_provider.emulator.http.quirks import Quirks
from octa_provider.emulator.platform.apps import make_apps
from octa_provider.emulator.platform.billing import BillingClock, wall_ns
from octa_provider.emulator.platform.catalogue import make_nodes
from octa_provider.emulator.platform.end_reasons import BROKEN, CLOSED, OFFLINE, UNPAID
from octa_provider.emulator.platform.funds import Funds
from octa_provider.emulator.platform.ledger import Ledger
from octa_provider.emulator.platform.own_nodes import make_own_nodes
from octa_provider.emulator.platform.progress_texts import READY_TEXTS, STARTING_TEXTS, STOPPING_TEXT, come_up
from octa_provider.emulator.platform.room import OutOfFundsError, node_with_room
from octa_provider.emulator.platform.session import Order, Session
from octa_provider.emulator.platform.start_faults import NO_FAULTS, StartFaults
from octa_provider.emulator.platform.state import StateFolder
from octa_provider.emulator.settings import EmulatorSettings

#: How many sessions `GET /sessions?recent=true` shows (evidence C: "last 50 completed + active").
RECENT_LIMIT = 50


class Platform:
    """The state of the emulated network and account. All of it lives on one event loop.

    Attributes:
        settings: what the emulator was started with.
        state: its folder.
        quirks: which oddities the answers show.
        nodes: the machines on offer, by id.
        own_nodes: the account's own nodes, by id.
        apps: the catalogue of apps.
        clock: the billing clock.
        ssh_weather: how machines answer over SSH.
        ledger: what happened.
        funds: the account's money.
        wallets: deposit wallets handed out.
    """

    def __init__(self, settings: EmulatorSettings, state: StateFolder) -> None:
        self.settings = settings
        self.state = state
        self.quirks = Quirks(settings.quirks, settings.seed)
        self.nodes = make_nodes(settings.machines, self.quirks, settings.seed, settings.room, settings.gpus)
        self.own_nodes = make_own_nodes(self.nodes, wall_ns() // 1_000_000)
        self.apps = make_apps(self.quirks)
        self._images = Images(state.images, settings.blender_python)
        self.clock = BillingClock(settings.speed)
        self.ledger = Ledger(state.ledger, settings.balance_wei)
        self.wallets: list[str] = []
        self._running: dict[str, Session] = {s.uuid: s for s in self.ledger.sessions.values() if s.running}
        self._processes = ProcessTable()
        self._containers: dict[str, Container] = {}
        self.ssh_weather = SshWeather()
        self._bringing_up: dict[str, asyncio.Task[None]] = {}
        self._stopping: dict[str, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self.funds = Funds(self.ledger, self.clock, self._running, self._end_unpaid)
        if self.ledger.clock is not None:
            self.clock.resume(self.ledger.clock)
        self.ledger.write_clock(self.clock.snapshot())

    async def open(self) -> None:
        """Adopt the sessions that an emulator which was killed left running, and watch the balance.

        They keep their processes, ports and bill; one that was still coming up carries on with it.
        """
        for session in tuple(self._running.values()):
            self.note(session, "the emulator was restarted and adopted this session")
            if session.is_ready and session.order.service != "vpn":
                container = self._containers[session.uuid] = self._container(session)
                await container.open()
            elif not session.is_ready:
                self._bring_up_later(session, self.settings.start_delay_s)
            self.ledger.write_session(session)
        self.in_background(self.funds.watch())

    async def close(self) -> None:
        """End every session, and with it every process."""
        await self._cancel(self._background)
        await asyncio.gather(
            *(self.end(session, by="platform", reason=CLOSED) for session in tuple(self._running.values()))
        )
        self.ledger.close()

    async def abandon(self) -> None:
        """Leave everything as kill -9 would: sessions and their processes run on without an emulator."""
        await self._cancel(self._background)
        await self._cancel(self._bringing_up.values())
        self.ledger.close()
        for container in self._containers.values():
            await container.abandon()

    async def advance_clock(self, seconds: float) -> None:
        """Let billing time pass at once."""
        self.clock.advance(seconds)
        self.ledger.write_clock(self.clock.snapshot())
        await self.funds.settle()
        self.funds.look_again()

    def active(self) -> list[Session]:
        """The sessions that `GET /sessions` shows, oldest first."""
        now_ns = wall_ns()
        return [session for session in self._running.values() if session.listed_from_ns <= now_ns]

    def recent(self) -> list[Session]:
        """The last sessions, active and ended ones: by the moment of their end, or of their start, newest first."""
        now_ns = wall_ns()
        known = [s for s in self.ledger.sessions.values() if not s.running or s.listed_from_ns <= now_ns]
        return sorted(known, key=lambda session: session.stopped_ns or session.started_ns, reverse=True)[:RECENT_LIMIT]

    def running_count(self) -> int:
        """How many sessions are billed now, shown or not."""
        return len(self._running)

    def started_ms(self, session: Session) -> int:
        """A session's start as the API shows it: Unix milliseconds, earlier by what the clock was advanced since."""
        return session.started_ns // 1_000_000 - (self.clock.advanced_ms - session.advanced_ms)

    def finished_ms(self, session: Session) -> int:
        """A session's end as the API shows it, earlier by what the clock was advanced since."""
        return (session.stopped_ns or 0) // 1_000_000 - (self.clock.advanced_ms - session.advanced_at_stop_ms)

    def start(self, order: Order, faults: StartFaults = NO_FAULTS) -> Session:
        """Start a session.

        Raises:
            OutOfFundsError: the balance is empty.
            RefusedError: the node does not exist, has no room, or is unavailable.
        """
        if self.funds.balance_wei() <= 0:
            raise OutOfFundsError
        node = node_with_room(order, self.nodes, self._running.values())
        if faults.price_factor != 1:
            node.raise_price(faults.price_factor)
        now_ns = wall_ns()
        session = Session(
            uuid=str(uuid.uuid4()),
            ordinal=len(self.ledger.sessions),
            order=order,
            price_wei=0 if order.service == "vpn" else node.price_wei,
            traffic_price_wei=node.traffic_price_wei if order.service == "vpn" else 0,
            started_ns=now_ns,
            billed_from_ms=self.clock.now_ms(),
            advanced_ms=self.clock.advanced_ms,
            never_ready=faults.never_ready,
            listed_from_ns=now_ns + int(faults.hidden_s * 1e9),
        )
        self._running[session.uuid] = session
        self.note(session, STARTING_TEXTS[0])
        self.funds.look_again()
        self._bring_up_later(session, self.settings.start_delay_s + faults.slow_s)
        if faults.dies_after_s is not None:
            self.in_background(self.let_nodes_die([node.node_id], faults.dies_after_s))
        return session

    async def stop(self, session: Session, score: int | None) -> None:
        """Stop a session for its owner; it is gone when this returns, unless a stop delay was asked for."""
        if score is not None:
            session.score = score
        if not self.settings.stop_delay_s:
            await self.end(session, by="api", reason="stopped by user")
        elif session.running:
            self.note(session, "stop requested")
            session.progress = STOPPING_TEXT
            self.in_background(self._end_later(session))

    async def end(self, session: Session, *, by: str, reason: str | int, billed_until_ms: int | None = None) -> None:
        """End a session and its processes. Whoever comes second waits for the first."""
        if session.uuid not in self._running:
            return
        ending = self._stopping.get(session.uuid)
        if ending is None:
            ending = asyncio.create_task(self._end(session, by, reason, billed_until_ms))
            self._stopping[session.uuid] = ending
        await asyncio.shield(ending)

    async def let_nodes_die(self, node_ids: Collection[int], after_s: float) -> None:
        """Take nodes off the network after `after_s` seconds, all at once; their sessions end with them."""
        await asyncio.sleep(after_s)
        for node_id in node_ids:
            if node_id in self.nodes:
                self.nodes[node_id].online = False
        gone = [session for session in self._running.values() if session.order.node_id in node_ids]
        for session in gone:
            self.note(session, "node is offline")
        await asyncio.gather(*(self.end(session, by="fault", reason=OFFLINE) for session in gone))

    def read_log(self, session: Session) -> str:
        """What a session's container printed, also after its end."""
        return self._container(session).read_log(self.settings.log_limit_bytes)

    def note(self, session: Session, text: str) -> None:
        """Write a line into a session's system log."""
        session.system.append((wall_ns() // 1_000_000, text))
        self.ledger.write_session(session)

    def in_background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something that nobody waits for; it is cancelled when the platform closes."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _container(self, session: Session) -> Container:
        image = "blender" if session.order.service == "render" else session.order.image
        return self._containers.get(session.uuid) or Container(
            session,
            self._images.environment(image),
            self.state,
            self._processes,
            lambda text: self.note(session, text),
            self.ssh_weather,
        )

    def _bring_up_later(self, session: Session, within_s: float) -> None:
        task = asyncio.create_task(self._bring_up(session, within_s))
        self._bringing_up[session.uuid] = task
        task.add_done_callback(lambda _: self._bringing_up.pop(session.uuid, None))

    async def _bring_up(self, session: Session, within_s: float) -> None:
        pause_s = within_s / len(STARTING_TEXTS)
        texts = STARTING_TEXTS[:4] if session.never_ready else STARTING_TEXTS
        for text in texts:
            come_up(session, text)
            if text != STARTING_TEXTS[0]:
                self.note(session, text)
            await asyncio.sleep(pause_s)
        if session.never_ready:
            return
        if session.order.service != "vpn":
            container = self._containers[session.uuid] = self._container(session)
            try:
                await container.open()
            except OSError as error:
                # This machine has no room for it: full disk, too many open files.
                self.note(session, f"node error: {error}")
                self.in_background(self.end(session, by="platform", reason=BROKEN))
                return
        session.is_ready, session.ready_ns = True, wall_ns()
        which = session.ordinal % len(READY_TEXTS) if self.quirks.enabled else 0
        come_up(session, READY_TEXTS[which])
        self.note(session, "service configured")

    async def _end_later(self, session: Session) -> None:
        await asyncio.sleep(self.settings.stop_delay_s)
        await self.end(session, by="api", reason="stopped by user")

    async def _end(self, session: Session, by: str, reason: str | int, billed_until_ms: int | None) -> None:
        bringing_up = self._bringing_up.get(session.uuid)
        if bringing_up is not None and session.uuid in self._containers:
            # Half-open listeners cannot be closed: let it open first, which takes milliseconds.
            await asyncio.wait([bringing_up])
        elif bringing_up is not None:
            await self._cancel([bringing_up])
        container = self._containers.pop(session.uuid, None)
        if container is not None:
            # Who pulls the plug asks no process to end.
            await container.close(None if reason == OFFLINE else self.settings.stop_grace_s)
        now_ms = self.clock.now_ms()
        until_ms = now_ms if billed_until_ms is None else min(now_ms, billed_until_ms)
        session.billed_until_ms = max(session.billed_from_ms, until_ms)
        session.stopped_ns = wall_ns()
        session.advanced_at_stop_ms = self.clock.advanced_ms
        session.stopped_by = by
        session.termination_reason = reason
        session.progress = "stopped"
        session.is_ready = False
        del self._running[session.uuid]
        self._stopping.pop(session.uuid, None)
        self.funds.take_in(session)
        self.note(session, f"session ended: {reason}")

    async def _end_unpaid(self, paid_until_ms: int) -> None:
        for session in tuple(self._running.values()):
            self.note(session, "the balance is empty")
        await asyncio.gather(
            *(
                self.end(session, by="platform", reason=UNPAID, billed_until_ms=paid_until_ms)
                for session in tuple(self._running.values())
            )
        )

    async def _cancel(self, tasks: Any) -> None:
        waiting = [task for task in tuple(tasks) if task is not asyncio.current_task()]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
