"""
One data set from many sources: filtered, without copies and leaks, mixed by weight, with its card.
(Not here: what a stage does, see stages.py; what is a copy or a leak, see hygiene.py; the card, see card.py.)

    python -m data.build --out DIR --source NAME=FILES[:WEIGHT] ...      FILES: a file, or "x/*.jsonl"

A file's name says its split (x_train.jsonl, x_preferences_valid.jsonl, test_qa.jsonl); else the hash of each
id does.  A weight is for training alone: 2 writes each record twice, 0.5 a fixed half, 0 none (tests stay).
Of two records that collide, that of a test stays, then of valid, then of the source named first.

    scan      each piece of each file: records checked, filtered, ROW and signature kept       a file a piece
    settle    answers of many questions, weights, exact copies, questions of held-out sets     in memory
    leaks     each piece again: runs of held-out questions in what is left                     a file a piece
    near      pairs that may be near copies, compared text by text                             a file a slice
    write     lines in an order that seed and id decide; rejects; the card; then all renamed   a file a slice

What a stage made lies in OUT/.build until the end, each file there by renaming: --resume goes on from it.
Pieces and slices do not depend on the number of processes, so nothing else does.
"""
import argparse
import glob
import hashlib
import json
import os
import re
import shutil
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from data import hygiene, stages
from data.releases import report_errors

PIECE, SLICE = 8 << 20, 20_000                       # bytes, records
RECORDS = re.compile(r"(train|valid|test_[A-Za-z0-9_-]+|preferences_(train|valid))\.jsonl")
FINAL = re.compile(RECORDS.pattern + r"|(prompts|rejects)\.jsonl|card\.(md|html)|pretrain\.txt")


@dataclass(frozen=True)
class Rules:
    seed: int = 0
    max_chars: int = 6000
    min_chars: int = 1
    languages: tuple = ("zh", "en")
    same_answer: int = 20
    near: float = 0.7
    leak: float = 0.7
    prompts_from: str = ""
    pretrain: bool = False


# ---- the plan

def sources_of(words):
    """[(name, files, weight)] of NAME=FILES[:WEIGHT]."""
    sources = []
    for word in words:
        name, equals, pattern = word.partition("=")
        weight, colon = 1.0, re.search(r":(\d+(\.\d*)?|\.\d+)$", pattern)
        if colon:
            pattern, weight = pattern[:colon.start()], float(colon[1])
        if not equals or not re.fullmatch(r"[\w.-]+", name) or not pattern:
            raise ValueError(f"--source {word}: not NAME=FILES or NAME=FILES:WEIGHT")
        if weight > 100:
            raise ValueError(f"--source {word}: weight {weight:g}; give 0 to 100")
        files = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
        if not files:
            raise FileNotFoundError(f"--source {word}: no file is called {pattern}")
        sources.append((name, files, weight))
    return sources


def pieces(path):
    """(start, size, number of the first line) of pieces that end with a line."""
    start, line = 0, 1
    with open(path, "rb") as file:
        while block := file.read(PIECE):
            block += file.readline(stages.LONGEST)
            yield start, len(block), line
            start, line = start + len(block), line + block.count(b"\n")


def plan(sources, rules):
    """All that the result depends on, and the pieces: [source, file, start, size, line]."""
    names = ("build", "card", "hygiene", "releases", "stages")
    code = (Path(__file__).with_name(f"{name}.py") for name in names)
    stats = {path: os.stat(path) for _, files, _ in sources for path in files}
    return {"rules": json.loads(json.dumps(asdict(rules))), "sources": [list(source) for source in sources],
            "inputs": {path: [stat.st_size, stat.st_mtime_ns] for path, stat in stats.items()},
            "code": hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest(),
            "pieces": [[number, path, *piece] for number, (_, files, _) in enumerate(sources)
                       for path in files for piece in pieces(path)]}


# ---- what goes where

def outputs(rows, source_N, weight_N, tasks, names, rules):
    """{file name: (records in the order of the file, form of a line)}."""
    files = {}

    def in_order(index, copies=None):
        key = hygiene.mix(rows["order"][index] + (0 if copies is None else copies * hygiene.BASE))
        return index[np.argsort(key, kind="stable")]
    for number, name in enumerate(stages.SETS):
        index = np.flatnonzero((rows["set"] == number) & (rows["reason"] == 0))
        if name == "test":
            kinds = {task: "qa" if task == "kg" else task for task in sorted(tasks)}
            for kind in dict.fromkeys(kinds.values()):
                codes = [code for code, task in enumerate(tasks) if kinds[task] == kind]
                files[f"test_{kind}.jsonl"] = in_order(index[np.isin(rows["task"][index], codes)]), None
        elif stages.SPLIT[number] < 2:
            files[f"{name}.jsonl"] = in_order(index), None
        else:                                        # a copy for each whole of the weight, perhaps one more
            chance = hygiene.mix(rows["order"][index] ^ hygiene.BASE) / 2.0**64
            times = np.floor(weight_N[index]) + (chance < weight_N[index] % 1)
            times = times.astype(np.int64)
            copy = np.arange(times.sum()) - np.repeat(hygiene.first_of(times), times)
            files[f"{name}.jsonl"] = in_order(np.repeat(index, times), copy.astype(np.uint64)), None
            if name == "train":
                once = in_order(index)
                if rules.pretrain:
                    files["pretrain.txt"] = once, stages.as_paragraph
                if rules.prompts_from:
                    asker = [number for number, name in enumerate(names) if name == rules.prompts_from]
                    ours = once[np.isin(source_N[once], asker)]
                    ours = ours[np.sort(np.unique(rows["asked"][ours], return_index=True)[1])]
                    files["prompts.jsonl"] = ours, stages.as_prompt
    return {name: file for name, file in files.items() if len(file[0])}


def shown(line, most=160):
    """A record as an example on the card: its turns, shortened."""
    record = json.loads(line)
    turns = [(turn["role"], turn["content"]) for turn in record["messages"] if turn["role"] != "system"]
    if hygiene.is_preference(record):
        turns += zip(("better", "worse"), (hygiene.answers_of(record)[0], hygiene.answers_of(record)[-1]))
    turns = turns if len(turns) <= 4 else [*turns[:2], ("", f"({len(turns) - 4} turns)"), *turns[-2:]]
    return record["id"], [(role, " ".join(text.split())) for role, text in turns], most


def count(rows, repeats, source_N, files, tasks, groups, names):
    """What the card shows, as plain numbers by name."""
    def by(codes, labels, of=slice(None)):
        counts = np.bincount(codes[of], minlength=len(labels)).tolist()
        return {label: count for label, count in zip(labels, counts) if count}
    kept = np.flatnonzero(rows["reason"] == 0)
    counts = {"sources": {}, "files": {name: len(index) for name, (index, _) in files.items()}}
    for number, name in enumerate(names):
        ours = source_N == number
        here = counts["sources"].setdefault(name, {"in": 0, "dropped": Counter(), "out": Counter()})
        here["in"] += int(ours.sum())
        here["dropped"].update(by(rows["reason"], stages.REASONS, ours & (rows["reason"] > 0)))
        here["out"].update({file: int(ours[index].sum()) for file, (index, _) in files.items()
                            if ours[index].any() and RECORDS.fullmatch(file)})
    repeated = np.flatnonzero(repeats >= 0)
    pairs = Counter((names[source_N[i]], names[source_N[repeats[i]]], stages.REASONS[rows["reason"][i]])
                    for i in repeated)
    return counts | {
        "dropped": by(rows["reason"], stages.REASONS, rows["reason"] > 0),
        "languages": by(rows["language"], hygiene.LANGUAGES, kept),
        "tasks": by(rows["task"], tasks, kept), "groups": by(rows["group"], groups, kept),
        "lengths": np.sort(rows["chars"][kept]),
        "repeats": sorted(([*pair, count] for pair, count in pairs.items()), key=lambda row: (-row[3], row))}


# ---- all of it

def slices(index):
    return [index[at:at + SLICE] for at in range(0, len(index), SLICE)]


def build(out, words, rules, workers=2, resume=False, licences=None, privacy=None):
    """Returns the line of counts.  words: NAME=FILES[:WEIGHT] each."""
    for cache in (stages.opened, stages.read_index, stages.fives_at):
        cache.cache_clear()                          # of an earlier build in this process
    sources = sources_of(words)
    names = [name for name, _, _ in sources]
    if rules.prompts_from and rules.prompts_from not in names:
        raise ValueError(f"--prompts-from {rules.prompts_from}: no such source; there are {', '.join(names)}")
    for path in (path for _, files, _ in sources for path in files):
        if Path(path).resolve().parent == out.resolve() and FINAL.fullmatch(Path(path).name):
            raise ValueError(f"{path}: the build writes a file of this name here; choose another --out")
    planned, work = plan(sources, rules), out / ".build"
    if resume and (work / "plan.json").exists():
        if json.loads((work / "plan.json").read_text(encoding="utf-8")) != planned:
            raise ValueError(f"{work}: begun from other files, flags or code; without --resume begins anew")
    else:
        shutil.rmtree(work, ignore_errors=True)
    new = not out.exists()
    work.mkdir(parents=True, exist_ok=True)
    with stages.appearing(work / "plan.json") as file:
        file.write(json.dumps(planned, ensure_ascii=False).encode(errors="surrogateescape"))
    try:
        return carry_out(out, work, planned, rules, workers, licences, privacy)
    except ValueError as error:                      # nothing to go on from: the files must change first
        shutil.rmtree(work)
        if new:
            out.rmdir()
        check_unchanged(planned, error)
        raise


def check_unchanged(planned, cause=None):
    for path, (size, changed) in planned["inputs"].items():
        stat = os.stat(path)
        if [stat.st_size, stat.st_mtime_ns] != [size, changed]:
            raise ValueError(f"{path}: changed while it was read; build again") from cause


def carry_out(out, work, planned, rules, workers, licences, privacy):
    pieces, names = planned["pieces"], [name for name, _, _ in planned["sources"]]
    files = [f"{number:06d}.npz" for number in range(len(pieces))]
    for folder in ("scan", "leaks", "near", "out", "final"):
        (work / folder).mkdir(exist_ok=True)
    scans = [work / "scan" / file for file in files]
    stages.each(stages.scan, [(path, piece, rules) for path, piece in zip(scans, pieces)], workers)
    if not scans:
        raise ValueError(f"{next(iter(planned['inputs']))}:1: no records in any file; see data/README.md")
    rows, tasks, groups, first = stages.gather(scans)
    if not len(rows):
        raise ValueError(f"{pieces[0][1]}:1: no records in any file; see data/README.md")
    piece_N = np.repeat(np.arange(len(pieces)), np.diff(first))
    source_N = np.array([piece[0] for piece in pieces])[piece_N]
    weight_N = np.array([weight for _, _, weight in planned["sources"]])[source_N]
    repeats = stages.settle(rows, weight_N, tasks, rules.same_answer)

    paths = list(planned["inputs"])
    path_N = np.array([paths.index(piece[1]) for piece in pieces])[piece_N]

    def places(record):
        return np.stack([path_N[record], rows["start"][record], rows["size"][record]], -1).astype(np.int64)

    if not (work / "leaks/index_split.npy").exists():
        stages.write_index(work / "leaks", scans, rows, first)
    jobs = []
    for number, (file, piece) in enumerate(zip(files, pieces)):
        record = first[number] + np.flatnonzero(rows["reason"][first[number]:first[number + 1]] == 0)
        record = record[rows["set"][record] > 0]
        some = [record, rows["start"][record], rows["size"][record], stages.SPLIT[rows["set"][record]]]
        jobs.append((work / "leaks" / file, piece, np.stack(some, 1).astype(np.int64), rules.leak))
    stages.each(stages.find_leaks, jobs, workers)
    for path, *_ in jobs:
        with np.load(path) as leaks:
            later, earlier = leaks["found"].T
        split = stages.SPLIT[rows["set"][earlier]]
        rows["reason"][later], repeats[later] = stages.REASON["text of a test question"] + split, earlier
    del jobs

    if not (work / "pairs.npz").exists():
        stages.candidates(work / "pairs.npz", scans, rows, rules.near)
    with np.load(work / "pairs.npz") as saved:
        pairs = saved["pairs"]
    compared = [work / "near" / f"{number:06d}.npz" for number in range(len(slices(pairs)))]
    stages.each(stages.compare, [(path, paths, places(some[:, 0]), places(some[:, 1]))
                   for path, some in zip(compared, slices(pairs))], workers)
    jaccard = [np.load(path)["jaccard"] for path in compared]
    if len(pairs):
        stages.judge_pairs(rows, repeats, pairs, np.concatenate(jaccard), rules.near)

    made = outputs(rows, source_N, weight_N, tasks, names, rules)
    parts, jobs = {}, []
    for name, (index, form) in made.items():
        parts[name] = [work / "out" / f"{name}.{number:06d}" for number in range(len(slices(index)))]
        jobs += [(path, paths, places(some), form) for path, some in zip(parts[name], slices(index))]
    stages.each(stages.write_lines, jobs, workers)
    dropped, jobs = np.flatnonzero(rows["reason"]), []
    parts["rejects.jsonl"] = [work / "out" / f"rejects.{n:06d}" for n in range(len(slices(dropped)))]
    for path, some in zip(parts["rejects.jsonl"], slices(dropped)):
        others = places(repeats[some]) * (repeats[some] >= 0)[:, None]
        jobs.append((path, paths, places(some), rows["line"][some], rows["reason"][some], others,
                     rows["line"][repeats[some]]))
    stages.each(stages.write_rejects, jobs, workers)
    del jobs

    for name, slices_of_it in parts.items():
        with stages.appearing(work / "final" / name) as file:
            for path in slices_of_it:
                with open(path, "rb") as part:
                    shutil.copyfileobj(part, file)
    counts = count(rows, repeats, source_N, made, tasks, groups, names)
    counts["examples"] = {}
    for task in sorted(counts["tasks"]):
        for name, (index, _) in reversed(made.items()):              # training first
            ours = index[rows["task"][index] == tasks.index(task)][:3]
            if len(ours) and RECORDS.fullmatch(name):
                counts["examples"].setdefault(task, [shown(stages.read_at(paths[file], start, size))
                                                      for file, start, size in places(ours).tolist()])
    from data.card import card  # only now: torch comes with it, and no worker should hold that

    weights = {name: weight for name, _, weight in planned["sources"]}
    for name, text in card(counts, asdict(rules) | {"weights": weights}, licences, privacy).items():
        with stages.appearing(work / "final" / name) as file:
            file.write(text.encode(errors="replace"))
    check_unchanged(planned)
    names = {path.name for path in (work / "final").iterdir() if FINAL.fullmatch(path.name)}
    for path in out.iterdir():
        if FINAL.fullmatch(path.name) and path.name not in names:
            path.unlink()                            # what an earlier build left
    for name in sorted(names):
        os.replace(work / "final" / name, out / name)
    shutil.rmtree(work)
    said = ", ".join(f"{name} {number}" for name, number in counts["files"].items())
    reasons = ", ".join(f"{reason} {number}" for reason, number in counts["dropped"].items()) or "none"
    return f"{out}: in {len(rows)}; out {said}; dropped {len(dropped)} ({reasons})"


def read_table(path, kind):
    """{source: ...} of a JSON file for the card."""
    try:
        value = json.loads(path.read_text(encoding="utf-8")) if path else {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}:1: not JSON ({str(error)[:200]}); repair it") from None
    inner = [count for counts in value.values() if isinstance(counts, dict) for count in counts.values()] \
        if isinstance(value, dict) else []
    if not isinstance(value, dict) or not all(isinstance(item, kind) for item in value.values()) \
            or not all(isinstance(count, int) for count in inner):
        raise ValueError(f"{path}:1: not an object with a {kind.__name__} for each source; see --help")
    return value


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m data.build", description=__doc__.split("\n")[1])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--source", nargs="+", action="extend", required=True, metavar="NAME=FILES[:WEIGHT]")
    parser.add_argument("--seed", type=int, default=0, help="decides order and what a part weight takes")
    parser.add_argument("--max-chars", type=int, default=6000, help="drop longer records (default 6000)")
    parser.add_argument("--min-chars", type=int, default=1, help="drop shorter answers (default 1)")
    parser.add_argument("--languages", nargs="+", default=["zh", "en"], choices=hygiene.LANGUAGES)
    parser.add_argument("--same-answer", type=int, default=20,
                        help="drop an answer that more different questions than this get (default 20)")
    parser.add_argument("--near", type=float, default=0.7, help="drop copies as near as this (default 0.7)")
    parser.add_argument("--leak", type=float, default=0.7,
                        help="drop what holds this share of a held-out question (default 0.7)")
    parser.add_argument("--prompts-from", default="", help="the source whose training questions PPO answers")
    parser.add_argument("--pretrain", action="store_true", help="write pretrain.txt as well")
    parser.add_argument("--licences", type=Path, help="JSON: {source: licence as stated}, for the card")
    parser.add_argument("--privacy", type=Path, help="JSON: {source: {kind: count}}, for the card")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--resume", action="store_true", help="go on with a build that was stopped")
    args = parser.parse_args(argv)
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(args).items()}
    rules = Rules(**{name: given[name] for name in Rules.__dataclass_fields__})

    def run():
        for name in ("near", "leak"):
            if not 0.3 <= given[name] <= 1:
                raise ValueError(f"--{name} {given[name]}: choose from 0.3 to 1")
        if args.workers < 1:
            raise ValueError(f"--workers {args.workers}: choose 1 or more")
        return build(args.out, args.source, rules, args.workers, args.resume,
                     read_table(args.licences, str), read_table(args.privacy, dict))
    try:
        report_errors(run)
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; --resume continues", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
