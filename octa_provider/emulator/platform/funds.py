"""The account's money: what its sessions have cost, what is left, and what ends when nothing is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from octa_provider.emulator.platform.billing import BYTES_PER_GB, MS_PER_HOUR, BillingClock
from octa_provider.emulator.platform.ledger import Ledger
from octa_provider.emulator.platform.session import Session


class Funds:
    """The balance of one account.

    Args:
        ledger: where the sessions and the first balance are written.
        clock: the billing clock.
        running: the sessions that are billed now, by uuid; the platform's own, which changes.
        end_unpaid: ends every session, billed until that billing time.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: BillingClock,
        running: Mapping[str, Session],
        end_unpaid: Callable[[int], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._running = running
        self._end_unpaid = end_unpaid
        self._settled_wei = sum(s.charge_wei(0) for s in ledger.sessions.values() if not s.running)
        self._changed = asyncio.Event()

    def billed_wei(self, now_ms: int | None = None) -> int:
        """What every session together has cost until now, or until a billing time."""
        now_ms = self._clock.now_ms() if now_ms is None else now_ms
        return self._settled_wei + sum(session.charge_wei(now_ms) for session in self._running.values())

    def balance_wei(self) -> int:
        """What is left of the account's balance."""
        return self._ledger.balance_start_wei - self.billed_wei()

    def take_in(self, ended: Session) -> None:
        """Keep what a session has cost, once it has ended and runs no more."""
        self._settled_wei += ended.charge_wei(0)
        self.look_again()

    def look_again(self) -> None:
        """Have `watch` look at once: a session began or ended, or billing time passed."""
        self._changed.set()

    async def settle(self) -> None:
        """End every session at the billing time at which the balance ran out, if it did."""
        now_ms = self._clock.now_ms()
        overdrawn_wei = self.billed_wei(now_ms) - self._ledger.balance_start_wei
        if overdrawn_wei < 0 or not self._running:
            return
        # Back to the last millisecond that was paid for: the bill never exceeds what there was.
        paid_until_ms = now_ms - -(-overdrawn_wei * MS_PER_HOUR // max(1, self._idle_hour_wei()))
        while self.billed_wei(paid_until_ms) > self._ledger.balance_start_wei:
            # Each session's charge is rounded by itself.
            paid_until_ms -= 1
        await self._end_unpaid(paid_until_ms)

    async def let_traffic_flow(self, session: Session, *, tx_bytes: int, rx_bytes: int) -> None:
        """Let bytes go through a session; those that the balance does not pay for stay out, and end everything."""
        most = tx_bytes + rx_bytes
        if session.traffic_price_wei:
            most = min(most, max(0, self.balance_wei()) * BYTES_PER_GB // session.traffic_price_wei)
        unpaid = tx_bytes + rx_bytes - most
        session.rx_flowed += max(0, rx_bytes - unpaid)
        session.tx_flowed += tx_bytes - max(0, unpaid - rx_bytes)
        self._ledger.write_session(session)
        if unpaid:
            await self._end_unpaid(self._clock.now_ms())
        self.look_again()

    async def watch(self) -> None:
        """Settle whenever the balance may have run out, for ever."""
        while True:
            await self.settle()
            rate_wei = self._idle_hour_wei()
            wait_s = None
            if rate_wei and self._clock.speed:
                wait_s = max(0.005, self.balance_wei() * 3600 / rate_wei / self._clock.speed)
            self._changed.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                # Half a minute at most, so that float rounding of a long wait never matters.
                await asyncio.wait_for(self._changed.wait(), None if wait_s is None else min(wait_s, 30))

    def _idle_hour_wei(self) -> int:
        return sum(session.idle_hour_wei for session in self._running.values())
