"""A clock on which time runs faster, so that starts and deadlines of minutes are shown in seconds.

A busy computer lets nobody work for seconds, which would be minutes here, and end what is right: so time passes only
while this process, and the emulator, get to do something.
"""

from __future__ import annotations

import http.client
import threading
import time
import weakref
from urllib.parse import urlsplit

from octa_provider import Clock

#: Real seconds between two beats, and how many of them count when a beat comes late.
BEAT_S = 0.1
MOST_S = 0.25


class FastClock(Clock):
    """Everything takes `1 / speed` of its time.

    Args:
        speed: how many seconds pass in a real one.
        base_url: of an emulator: no time passes while it does not answer; None asks nobody.
    """

    def __init__(self, speed: float, base_url: str | None = None) -> None:
        self.speed = speed
        self._lock = threading.Lock()
        self._wall_s = time.time()
        self._passed_s = 0.0
        self._beat_at = time.monotonic()
        threading.Thread(target=_beat, args=(weakref.ref(self), base_url), name="fast-clock", daemon=True).start()

    def monotonic(self) -> float:
        with self._lock:
            return (self._passed_s + self._since_beat_s()) * self.speed

    def time(self) -> float:
        return self._wall_s + self.monotonic()

    def sleep(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:
            time.sleep(min(left / self.speed, BEAT_S))

    def is_ahead(self, seconds: float) -> None:
        """The wall clock is so many seconds ahead of everybody else's; below 0 behind. Before it is first read."""
        self._wall_s, self._began = time.time() + seconds, None

    def beat(self) -> None:
        """This process, and the emulator, have got to do something."""
        with self._lock:
            self._passed_s += self._since_beat_s()
            self._beat_at = time.monotonic()

    def _since_beat_s(self) -> float:
        return min(time.monotonic() - self._beat_at, MOST_S)


def _beat(clock: weakref.ref[FastClock], base_url: str | None) -> None:
    emulator = None if base_url is None else http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=600)
    while True:
        time.sleep(BEAT_S)
        if emulator is not None:
            try:
                # Any answer will do.
                emulator.request("GET", "/_emulator/faults")
                emulator.getresponse().read()
            except (OSError, http.client.HTTPException):
                # It is gone, or not there yet.
                emulator.close()
        if (alive := clock()) is None:
            return
        alive.beat()
        del alive
