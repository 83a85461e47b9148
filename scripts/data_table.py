"""
Every converter on every release at hand: the table of docs/data.md.

    python scripts/data_table.py RELEASES OUT          RELEASES as data/README.md names its folders; a minute
"""

import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from data import FOLDERS  # noqa: E402

MORE = [("medqa", ["--part", "us"])]                            # other parts of a release


def main(releases, out):
    print("| converter | release | in | out | made | dropped | besides | s |\n" + "| --- " * 8 + "|")
    for name, flags in sorted([*((name, []) for name in FOLDERS), *MORE], key=lambda row: row[0].lower()):
        folder = releases / FOLDERS[name]
        if not folder.is_dir():
            continue
        start = time.perf_counter()
        ended = subprocess.run([sys.executable, "-m", f"data.prepare_{name}", folder, "--out", out, *flags],
                               capture_output=True, text=True, cwd=ROOT)
        counts = re.match(r"[^:]*: in (\d+), out (\d+)(?: \((.*?)\))?, dropped \d+ \((.*?)\)(?:; (.*))?$",
                          ended.stdout)
        cells = counts.groups("") if counts else [ended.stderr.strip(), *[""] * 4]
        title = " ".join([name, *flags])
        print(f"| {title} | {FOLDERS[name]} | {' | '.join(cells)} | {time.perf_counter() - start:.1f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
