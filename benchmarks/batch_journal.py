"""How long a batch of a million accepted frames takes to be gone on with, and how much memory its process has then.

python benchmarks/batch_journal.py                    a million frames, each with its (empty) file
python benchmarks/batch_journal.py --frames 100000    fewer

Prints the journal's size, the time of its replay alone, the time of the whole opening (each file looked for), of what
the coordinator keeps beside it, of the results, of the status, and the peak resident memory of the process that did it.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from octa_provider.batch.batch import Batch
from octa_provider.batch.folder.batch_folder import BatchFolder
from octa_provider.batch.folder.fingerprint import fingerprint_of
from octa_provider.batch.folder.history import History
from octa_provider.batch.folder.journal import JournalLines
from octa_provider.batch.folder.layout import Layout
from octa_provider.batch.folder.lines import OF_DIGITS, FileLine, FrameLine
from octa_provider.batch.folder.status import status
from octa_provider.batch.folder.work import Spans
from octa_provider.batch.run.places import Places
from octa_provider.batch.state import BatchState
from octa_provider.batch.terms import BatchTerms
from octa_provider.rental.terms import Bill

MB = 1024 * 1024
MACHINES = 100
#: Written at once: what a real run does frame by frame.
PIECE = 10_000


def batch_in(root: Path, frames: int) -> Batch:
    """The batch of the benchmark."""
    return Batch(root / "scene.blend", f"1-{frames}", root / "out")


def fingerprint_in(root: Path, frames: int) -> str:
    """Its fingerprint."""
    batch = batch_in(root, frames)
    return fingerprint_of(batch.scene_path, batch.main_file, batch.renderer)


def opened(root: Path, frames: int) -> BatchFolder:
    """Its folder, opened as the coordinator does."""
    return BatchFolder.open(batch_in(root, frames), fingerprint_in(root, frames), "bench/journal")


def fill(root: Path, frames: int) -> None:
    """Lay down what a run that accepted all frames leaves behind."""
    (root / "scene.blend").write_bytes(b"a scene")
    with opened(root, frames) as folder:
        for slot in range(MACHINES):
            folder.renting(slot, 1000 + slot, f"bench/journal/batch/m{slot}")
            folder.rented(slot, f"uuid-{slot}", 1000 + slot, 10**18, 0.4)
            folder.ended(
                slot, Bill(f"uuid-{slot}", 10**18 + slot, 0.4, 3600.0, "done"), Spans(100, 10, 3400, 90), "done"
            )
        of = fingerprint_in(root, frames)[:OF_DIGITS]
        lines: list[FrameLine] = []
        for frame in range(1, frames + 1):
            path = folder.path / f"frame_{frame:04d}.png"
            path.touch()
            # Sums of files differ; that all of these are empty would make the memory look smaller than it is.
            digest = hashlib.sha256(b"%d" % frame).hexdigest()
            file = FileLine(0, path.stat().st_mtime_ns, digest)
            slot = frame % MACHINES
            lines.append(FrameLine(frame, slot, 1000 + slot, of, (file,), 3.0 + frame % 7, 1, f"m{slot}"))
            if len(lines) == PIECE or frame == frames:
                folder.add(*lines)
                lines.clear()


def peak_mb() -> float:
    """The most memory that this process has had, in MB; what getrusage tells is its parent's too."""
    told = Path("/proc/self/status").read_text().partition("VmHWM:")[2]
    return int(told.split()[0]) / 1024


def measure(root: Path, frames: int) -> None:
    """Go on with it, and tell what that took."""
    layout = Layout.of(root / "out")
    print(f"{frames} frames, journal {layout.journal.stat().st_size / MB:.0f} MB")
    before = peak_mb()
    begin, busy = time.perf_counter(), time.process_time()
    history = History(fingerprint_in(root, frames), tuple(range(1, frames + 1)), 1)
    history.replay(JournalLines(layout.journal))
    took, busy = time.perf_counter() - begin, time.process_time() - busy
    print(f"replay alone       {took:6.2f} s, of which {busy:.2f} s of a processor ({len(history.accepted)} frames)")
    del history
    begin = time.perf_counter()
    batch = batch_in(root, frames)
    with BatchFolder.open(batch, fingerprint_in(root, frames), "bench/journal") as folder:
        print(f"opening, all of it {time.perf_counter() - begin:6.2f} s ({len(folder.accepted)} frames)")
        print(f"peak memory        {peak_mb():6.0f} MB, of which {before:.0f} MB before the first line")
        begin = time.perf_counter()
        places = Places(batch.numbers)
        state = BatchState(BatchTerms(frames, 10, 0.0, 3600.0), (), places.places(folder.accepted))
        print(f"coordinator        {time.perf_counter() - begin:6.2f} s ({state.left} frames are left)")
        print(f"peak memory        {peak_mb():6.0f} MB with the coordinator's own")
        begin = time.perf_counter()
        folder.write_results()
        print(f"results            {time.perf_counter() - begin:6.2f} s")
        print(f"peak memory        {peak_mb():6.0f} MB with results")
    del folder, places, state, batch
    begin = time.perf_counter()
    told = status(root / "out")
    print(f"status             {time.perf_counter() - begin:6.2f} s ({told.done} frames)")
    print(f"peak memory        {peak_mb():6.0f} MB with results and status")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        measure(Path(options.folder), options.frames)
        return
    root = Path(tempfile.mkdtemp(prefix="octa-bench-"))
    try:
        fill(root, options.frames)
        # A process of its own: what the filling took is no part of it.
        subprocess.run([sys.executable, __file__, "--folder", root, "--frames", str(options.frames)], check=True)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
