"""
Do the converters survive damaged releases?  Takes small pieces of real ones, damages a file in one of some
twenty ways, and runs the converter on it.

    python scripts/mutate.py RELEASES --count 10000          RELEASES as data/README.md names its folders;
                                                             three minutes

A trial ends well if there are records that training can read, and the command ends with 0; or if one line
says what is wrong with which file, nothing is written, and it ends with 2.  Within ten seconds, either way.
Whatever ends otherwise is printed, with the number that repeats it (--only).
"""

import argparse
import contextlib
import io
import json
import lzma
import random
import re
import runpy
import signal
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from clinicalgpt.dataset import check_messages, ranked_answers  # noqa: E402
from data import FOLDERS  # noqa: E402

PIECE = 12_000                                                  # characters of a file that are kept
SECONDS = 10


# ---- small pieces of releases ----------------------------------------------------------------------------

def unpacked(path, data):
    """(what a file holds, the function that packs it again)."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            name, = (name for name in archive.namelist() if name[-1] != "/")
            return archive.read(name), partial(zipped, name)
    if path.suffix == ".xz":
        return lzma.decompress(data), partial(lzma.compress, preset=0)
    return data, bytes


def zipped(name, data):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, data)
    return packed.getvalue()


def piece_of(data):
    """Some whole records of a file."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("gb18030")
    if len(text) <= PIECE:
        return data
    if text.lstrip().startswith("<"):                           # XML: to the end of an element, and closed
        end = text.rindex("</Question>", 0, 5 * PIECE) + len("</Question>")
        return (text[:end] + re.findall(r"</\w+>", text)[-1]).encode()
    with contextlib.suppress(json.JSONDecodeError):
        records = json.loads(text)
        if isinstance(records, list):
            records = records[:max(3, len(records) * PIECE // len(text))]
            return json.dumps(records, ensure_ascii=False).encode()
    if text.lstrip()[0] == "[":                                 # a list that is not quite JSON's
        return data
    lines, kept = text.splitlines(keepends=True), []
    blocks = text.startswith("id=")                             # MedDialog's
    while lines and (sum(map(len, kept)) < PIECE or blocks and not lines[0].startswith("id=")):
        kept.append(lines.pop(0))
    while '"' in "".join(kept) and "".join(kept).count('"') % 2 and lines:      # not inside a cell of CSV
        kept.append(lines.pop(0))
    return "".join(kept).encode()


def small(release):
    """{path within the release: bytes}, each file a piece of itself."""
    files = {}
    for path in sorted(release.rglob("*")):
        if path.is_file():
            data, pack = unpacked(path, path.read_bytes())
            files[path.relative_to(release)] = pack(piece_of(data))
    return files


# ---- damage ----------------------------------------------------------------------------------------------

def swap_names(data, rng):
    """Two columns of a table, or two keys of JSON, have each other's name."""
    first = data.split(b"\n", 1)[0]
    names = re.findall(rb'"(\w+)" ?:', data) or re.findall(rb"[\w-]+", first)
    if len(set(names)) < 2:
        return data
    a, b = rng.sample(sorted(set(names)), 2)
    swap = {a: b, b: a}
    if b":" in first[:200]:
        return re.sub(rb'"(\w+)"(?= ?:)', lambda m: b'"' + swap.get(m[1], m[1]) + b'"', data)
    return re.sub(rb"[\w-]+", lambda m: swap.get(m[0], m[0]), first) + data[len(first):]


def recode(data, rng):
    other = rng.choice(["utf-16", "gb18030", "utf-8-sig", "latin-1", "utf-32", "shift-jis"])
    return data.decode("utf-8", "replace").encode(other, "replace")


def bit(data, rng):
    at = rng.randrange(max(1, len(data)))
    return data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at:at + 1]) + data[at + 1:]


def put(data, rng, what):
    at = rng.randrange(len(data) + 1)
    return data[:at] + what + data[at:]


def without(data, rng, longest):
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randrange(1, longest):]


def lines_changed(data, rng):
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at:at + 1] = rng.choice([[], [lines[at]] * 2, [b""], [lines[at][:len(lines[at]) // 2]]])
    return b"\n".join(lines)


def value_changed(data, rng):
    """One value of JSON is something else."""
    other = rng.choice([b"null", b"1", b"-1e999", b"[]", b"{}", b"true", b'""', b'"\\ud800"', b'[["x"]]'])
    found = list(re.finditer(rb'(?<=: )("[^"]*"|\[[^\[\]]*\]|\d+)', data))
    if not found:
        return data
    match = rng.choice(found)
    return data[:match.start()] + other + data[match.end():]


DAMAGE = {
    "cut": lambda d, r: d[:r.randrange(len(d) + 1)], "empty": lambda d, r: b"",
    "blank": lambda d, r: b" \n\n",
    "a bit": bit, "a hole": lambda d, r: without(d, r, 200), "a large hole": lambda d, r: without(d, r, 5000),
    "a line": lines_changed, "another value": value_changed, "names swapped": swap_names, "recoded": recode,
    "CRLF": lambda d, r: d.replace(b"\n", b"\r\n"), "CR": lambda d, r: d.replace(b"\n", b"\r"),
    "twice": lambda d, r: d + d,
    "a lone byte": lambda d, r: put(d, r, bytes([r.randrange(128, 256)])),
    "a mark": lambda d, r: put(d, r, r.choice([b'"', b",", b"\t", b"[", b"]", b"{", b"}", b"<", b">", b"("])),
    "NUL": lambda d, r: put(d, r, b"\0"), "control characters": lambda d, r: put(d, r, b"\x08\x1b[2J\x7f"),
    "a long field": lambda d, r: put(d, r, b"x" * 300_000),
    "a long number": lambda d, r: put(d, r, b"9" * 5000),
    "deep lists": lambda d, r: put(d, r, b"[" * 50_000),
    "deep objects": lambda d, r: put(d, r, b'{"a":' * 50_000)}


def damaged(path, data, rng):
    """(what was done, the file so damaged): the file itself, or what is packed in it."""
    kind = rng.choice(sorted(DAMAGE))
    inside, pack = unpacked(path, data) if rng.random() < 0.7 else (data, bytes)
    return kind, pack(DAMAGE[kind](inside, rng))


# ---- a trial ---------------------------------------------------------------------------------------------

def run(name, release, out):
    """(exit status, stderr) of the converter's command."""
    said, before = io.StringIO(), sys.argv
    sys.argv = [name, str(release), "--out", str(out)]
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()), \
                warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runpy.run_module(f"data.prepare_{name}", run_name="__main__")
        return 0, said.getvalue()
    except SystemExit as ended:
        return ended.code or 0, said.getvalue()
    finally:
        signal.alarm(0)
        sys.argv = before


def faults(status, said, release, out):
    """What is wrong with how it ended, or None."""
    written = [path for path in out.rglob("*") if path.is_file()] if out.is_dir() else []
    if status:
        if status != 2 or len(said.splitlines()) != 1 or len(said) > 2000:
            return f"status {status}, {len(said.splitlines())} lines: {said[:300]}"
        if str(release) not in said:
            return f"no file named: {said[:300]}"
        return f"{len(written)} files written in spite of an error" if written else None
    for path in written:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], 1):
            where = f"{path.name}:{number}"
            if re.search("[\0-\x08\x0e-\x1f\x7f]", line):
                return f"{where}: a control character: {line[:200]!r}"
            if path.suffix == ".jsonl":
                record = json.loads(line)
                check_messages(record, where)
                if path.name.split("_")[-2] == "preferences":
                    ranked_answers(record, where)
            elif len(line.split("\t")) != 5:
                return f"{where}: {len(line.split(chr(9)))} columns"
    return None if written else "neither records nor an error"


def trial(seed, number, releases):
    """(converter, damage, fault or None, whether it was refused)."""
    rng = random.Random(f"{seed}/{number}")
    name = rng.choice(sorted(releases))
    files = dict(releases[name])
    path = rng.choice(sorted(files))
    kind, files[path] = damaged(path, files[path], rng)
    with tempfile.TemporaryDirectory() as folder:
        release, out = Path(folder, "release"), Path(folder, "out")
        for part, data in files.items():
            (release / part).parent.mkdir(parents=True, exist_ok=True)
            (release / part).write_bytes(data)
        signal.signal(signal.SIGALRM, too_long)
        try:
            status, said = run(name, release, out)
            return name, kind, faults(status, said, release, out), status == 2
        except BaseException as error:                          # whatever it is: that is what is looked for
            return name, kind, f"{type(error).__name__}: {str(error)[:300]}", False


def too_long(signal, frame):
    raise TimeoutError(f"more than {SECONDS} seconds")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("releases", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of trials")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    releases = {name: small(args.releases / folder) for name, folder in FOLDERS.items()
                if (args.releases / folder).is_dir()}
    numbers = args.only or range(args.count)
    refused, faulty = Counter(), 0
    with ProcessPoolExecutor(args.workers) as pool:
        work = partial(trial, args.seed, releases=releases)
        for number, (name, kind, fault, was_refused) in zip(numbers, pool.map(work, numbers, chunksize=20)):
            refused[kind] += was_refused
            if fault:
                faulty += 1
                print(f"{number}: {name}, {kind}: {fault}", flush=True)
    print(f"{len(numbers)} trials of {len(releases)} converters, {refused.total()} refused, "
          f"{faulty} with faults")
    sys.exit(faulty > 0)


if __name__ == "__main__":
    main()
