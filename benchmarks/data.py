"""
Time and memory of data.build on made-up dialogues.

    python benchmarks/data.py [--records 1000000 ...] [--workers 2] [--folder DIR]

A dialogue is two to four turns, some 300 Chinese characters: words of a made-up lexicon, often the same.
5 % of the records are copies of earlier ones with other punctuation, 5 % with one sentence changed.  The ids
decide the split.  The build runs in a process of its own; memory is the greatest sum over it and its workers
of what each holds, shared pages divided among those that share them (PSS, Linux), looked at every 0.1 s.
"""
import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.measure import table  # noqa: E402

ROOT = Path(__file__).parents[1]


def write(path, records, seed=0):
    """The made-up dialogues; copies are of one of the last thousand."""
    rng = random.Random(seed)
    lexicon = ["".join(chr(0x4e00 + rng.randrange(3000)) for _ in range(rng.choice((1, 2, 2, 3))))
               for _ in range(20_000)]
    weights = [1 / (rank + 20) for rank in range(len(lexicon))]
    cumulative, total = [], 0.0
    for weight in weights:
        cumulative.append(total := total + weight)

    def sentence():
        return "".join(rng.choices(lexicon, cum_weights=cumulative, k=14)) + "。"
    recent = []
    with open(path, "w", encoding="utf-8") as file:
        for i in range(records):
            chance = rng.random()
            if chance < 0.1 and recent:
                turns = [list(turn) for turn in rng.choice(recent)]
                if chance < 0.05:
                    turns[0][0] = turns[0][0].replace("。", "！ ")
                else:
                    turns[-1][-1] = sentence()
            else:
                turns = [[sentence() for _ in range(rng.randint(1, 5))] for _ in range(rng.choice((2, 4, 4)))]
                recent = [*recent[-999:], turns]
            messages = [{"role": ("user", "assistant")[n % 2], "content": "".join(turn)}
                        for n, turn in enumerate(turns)]
            record = {"id": f"made-{i}", "source": "made", "task": "dialogue", "messages": messages}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def family(pid):
    """The process and all that come from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:                                         # it ended meanwhile
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for member in found:
        found += parents.get(member, [])
    return found


def held(pid):
    """Bytes that the family of a process holds."""
    total = 0
    for member in family(pid):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total * 1024


def measured(command):
    """(seconds, greatest bytes held, what it printed)."""
    start, most = time.perf_counter(), [0]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def watch():
        while child.poll() is None:
            most[0] = max(most[0], held(child.pid))
            time.sleep(0.1)
    watcher = threading.Thread(target=watch)
    watcher.start()
    said = child.communicate()[0]
    watcher.join()
    if child.returncode:
        sys.exit(f"{' '.join(command)}: exit status {child.returncode}")
    return time.perf_counter() - start, most[0], said


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--records", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", help="where to write (default: a temporary folder)")
    args = parser.parse_args()
    rows = []
    for records in args.records:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            made = Path(folder) / "made.jsonl"
            write(made, records)
            size = made.stat().st_size
            seconds, memory, said = measured([
                sys.executable, "-m", "data.build", "--out", f"{folder}/out", "--source", f"made={made}",
                "--workers", str(args.workers)])
            print(said.replace(folder, "").strip(), flush=True)
        rows.append([f"{records:,}", f"{size / 2**20:.0f}", f"{seconds:.1f}", f"{records / seconds:,.0f}",
                     f"{memory / 2**20:.0f}"])
    table(["records", "MiB", "s", "records / s", "MiB held at most"], rows)


if __name__ == "__main__":
    main()
