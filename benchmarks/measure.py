"""Times and memory of several ways to do one thing, side by side.  (Not here: the things.)"""

import ctypes
import statistics
import time
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def medians(ways, repeats=5):
    """{name: seconds} of functions without arguments.  They take turns, so that a slow minute of a shared
    machine falls on all of them; the first turn is not counted."""
    times = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def peak(work):
    """Bytes of memory that this needed at its peak beyond what the process held before (Linux, glibc)."""
    work()                                                      # libraries and caches are in memory then
    ctypes.CDLL(None).malloc_trim(0)                            # what was freed is given back,
    CLEAR.write_text("5")                                       # and the high-water mark is what is held now
    before = _kilobytes("VmRSS")
    work()
    return (_kilobytes("VmHWM") - before) * 1024


def _kilobytes(field):
    return int(next(line.split()[1] for line in STATUS.read_text().splitlines() if line.startswith(field)))


def table(columns, rows):
    for cells in (columns, ["---"] * len(columns), *rows):
        print("| " + " | ".join(map(str, cells)) + " |")
    print(flush=True)


def times_faster(theirs, ours):
    return f"**{theirs / ours:.1f}x**"
