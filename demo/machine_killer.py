"""The accident: a machine that renders is gone in the middle, as a host that pulls the plug."""

from __future__ import annotations

from demo.emulator_process import Emulator


class MachineKiller:
    """Has the platform end one machine, once, while all of them render.

    Args:
        emulator: the marketplace.
        at_frames: so many frames are there at least.
        machines: so many machines run at least; two, once twice as many frames are there.

    Attributes:
        killed: the session that was ended; empty before.
        node_id: its machine.
    """

    def __init__(self, emulator: Emulator, *, at_frames: int, machines: int) -> None:
        self.emulator = emulator
        self.at_frames = at_frames
        self.machines = machines
        self.killed = ""
        self.node_id = 0

    def look(self, done: int) -> bool:
        """Look whether it is time, and do it; returns whether it was done now.

        Args:
            done: how many frames are there.

        Raises:
            EmulatorError: it does not answer.
        """
        if self.killed or done < self.at_frames:
            return False
        running = self.emulator.running()
        if len(running) < (self.machines if done < 2 * self.at_frames else 2):
            return False
        # Not one that is still starting: it has frames, and is at another.
        at_work = {uuid: count for uuid in running if (count := self.emulator.frames_of(uuid)) > 1}
        if not at_work:
            return False
        victim = min(at_work, key=lambda uuid: (at_work[uuid], uuid))
        self.emulator.end_session(victim, "Node is offline")
        self.killed, self.node_id = victim, running[victim]
        return True
