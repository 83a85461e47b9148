"""
Who has which of 45 known bugs: the table of docs/conformance.md, by the items of tests/conformance.

    python scripts/conformance.py                          this project, and the peers that are installed
    python scripts/conformance.py --with FOLDER ...        and those that lie in these folders, made by, say,
                                                           pip install --no-deps --target FOLDER trl==1.12.0

Each set of peers is asked in a process of its own.  The same projects give the same bytes.  It takes a minute
and, for each set, half a minute more.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
import torch  # noqa: E402

from tests.conformance import peers  # noqa: E402
from tests.conformance.interface import ITEMS, outcome  # noqa: E402
from tests.conformance.ours import Ours  # noqa: E402

HEAD = """# Conformance

Known bugs of PPO implementations for language models, 45 of them, each with a check that finds it
(`tests/conformance/`; `bugs.py` there plants each bug, and its check fails). The same checks are put to what
TRL and OpenRLHF publish: functions are called as they are, methods of trainers on a stand-in for the trainer
that has the settings they read. Conventions that differ (a sum for a mean, n - 1 for n, where padding stands)
are translated; what is computed is not.

- **pass**: asked, and found right.
- **fails**: asked, and found otherwise; below it says on what and what was seen.
- **·**: there is no such function, or none that can be called alone: *inline* is code in the middle of a
  trainer's loop, *left to* is another library's. It says nothing about whether the loop is right.

What a peer is not asked is no merit of ours: most items here are asked of a whole loop, and only ours is at
hand as one. The checks of one process shared by two (22, 37) run in one process here;
`tests/test_parallel.py` runs this project in several.
"""
SIGNS = {"pass": "pass", "fails": "**fails**", "none": "·"}


def asked(adapters):
    """[{"name", "said": {item: [outcome, what was seen or why, remark]}}] of adapters."""
    return [{"name": f"{a.name} {a.version}".strip(),
             "said": {n: [*outcome(a, n), a.remarks.get(n, "")] for n in sorted(ITEMS)}} for a in adapters]


def in_a_process(folder):
    """The same of the peers in a folder, or of those installed (no folder)."""
    ended = subprocess.run([sys.executable, __file__, "--peers", folder], stdout=subprocess.PIPE, text=True,
                           check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return [{**row, "said": {int(n): said for n, said in row["said"].items()}}
            for row in json.loads(ended.stdout.splitlines()[-1])]


def table(columns):
    yield f"| | what breaks | {' | '.join(column['name'] for column in columns)} |"
    yield "| --- " * (len(columns) + 2) + "|"
    for number, item in sorted(ITEMS.items()):
        cells = [SIGNS[column["said"][number][0]] for column in columns]
        yield f"| {number} | {item.breaks} | {' | '.join(cells)} |"
    signs = [[said[0] for said in column["said"].values()] for column in columns]
    counts = [" / ".join(str(column.count(sign)) for sign in SIGNS) for column in signs]
    yield f"| | pass / fails / · | {' | '.join(counts)} |"


def versions():
    yield f"Python {platform.python_version()}"
    for name in ("torch", "transformers", "peft"):
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue


def details(column):
    """A line for each item that is not a plain pass."""
    for number, (sign, seen, remark) in sorted(column["said"].items()):
        if sign != "pass" or seen or remark:
            said = f"{seen} ({remark})" if seen and remark else seen or remark
            yield f"- {number}, {SIGNS[sign] if sign != 'none' else 'not asked'}: {said}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().partition("\n")[0])
    parser.add_argument("--with", dest="folders", nargs="*", default=[], type=Path, metavar="FOLDER",
                        help="folders with a peer in each")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "conformance.md", help="file to write")
    parser.add_argument("--peers", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.peers is not None:                              # the process of some peers
        if args.peers:
            sys.path.insert(1, args.peers)
        warnings.simplefilter("ignore")
        print(json.dumps(asked(peers.installed())))
        return
    for folder in args.folders:
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; pip install --target makes one")
    with tempfile.TemporaryDirectory() as folder:
        columns = asked([Ours(folder)])
    for folder in ["", *map(str, args.folders)]:
        known = [column["name"] for column in columns]
        found = [column for column in in_a_process(folder) if column["name"] not in known]
        if folder and not found:
            raise ValueError(f"{folder}: no peer that can be imported, and that is not there already "
                             f"({', '.join(known)})")
        columns += found
    made = f"{', '.join(versions())}. `python scripts/conformance.py` writes this file.\n"
    lines = [HEAD, made, *table(columns)]
    for column in columns:
        lines += [f"\n## {column['name']}\n", *details(column)]
    args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    failed = [number for number, said in columns[0]["said"].items() if said[0] != "pass"]
    print(f"{args.out}: {len(ITEMS)} items, {len(columns)} columns; ours fails {failed or 'none'}")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
