"""
The stages of data.build, each a function of files and numbers.  (Not here: their order, what goes to which
file, the card: see build.py; what is a copy or a leak: hygiene.py.)

What a stage makes is a file that is there under its name only when it is whole, so a stage that is asked for
again does what is missing.  Pieces of files and slices of records are fixed beforehand: no result depends on
how many processes share the work.

Letters: N records in the order of the pieces; a row is what is known of one (ROW).
"""
import contextlib
import functools
import json
import os
import re
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from data import hygiene
from data.releases import split_of

LONGEST, BATCH = 16 << 20, 200                       # bytes of a line; records at a time
SETS = ("test", "valid", "preferences_valid", "train", "preferences_train")        # in order of precedence
SPLIT, PREFERENCES = np.array([0, 1, 1, 2, 2]), (2, 4)             # test, valid, train; sets of preferences
REASONS = ("", "empty", "broken Unicode", "control characters", "turns out of order",
           "answer equal to the question or to the other answer", "too long", "answer too short",
           "test without the meta that scores it", "language",
           "left out by weight", "answer of many questions", "repeated", "asked in test", "asked in valid",
           "text of a test question", "text of a valid question", "near copy", "near copy in test",
           "near copy in valid")
REASON = {reason: code for code, reason in enumerate(REASONS)}
ROW = np.dtype([(name, "u8") for name in ("start", "order", "asked", "whole", "answer")]
               + [(name, "u4") for name in ("size", "line", "chars", "group")]
               + [(name, "u1") for name in ("task", "set", "reason", "language")])


# ---- files and processes

@contextlib.contextmanager
def appearing(path):
    """A file to write that is there under its name only when it is whole."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(aside, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def save(path, **arrays):
    with appearing(path) as file:
        np.savez(file, **arrays)


def end_with(parent):
    """A worker whose parent was killed would wait for work for ever."""
    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()


def each(work, jobs, workers):
    """work(path, ...) for each job (path, ...) whose file is not there yet."""
    jobs = [job for job in jobs if not job[0].exists()]
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            work(*job)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), initializer=end_with, initargs=(os.getpid(),)) as pool:
        try:
            for done in [pool.submit(work, *job) for job in jobs]:
                done.result()
        except BrokenProcessPool:
            raise OSError("a worker process was killed (out of memory?); --resume continues") from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@functools.lru_cache(64)
def opened(path):
    return open(path, "rb")


def read_at(path, start, size):
    return os.pread(opened(path).fileno(), int(size), int(start))


# ---- scan

def split_in(path):
    """The split that a file's name says, or ''."""
    found = re.search(r"(?:^|_)(train|valid|test)$", Path(path).stem) or re.match(r"(test)_", Path(path).stem)
    return found[1] if found else ""


def lines_of(piece):
    """(start in the file, bytes, line number) of each line that is not blank."""
    _, path, at, size, number = piece
    for line in read_at(path, at, size).split(b"\n"):
        if len(line) > LONGEST:
            raise ValueError(f"{path}:{number}: a line of over {LONGEST >> 20} MiB; one record a line")
        skip = 3 if at == 0 and line.startswith(b"\xef\xbb\xbf") else 0
        skip += len(line) - skip - len(line[skip:].lstrip())
        if text := line[skip:].rstrip():
            yield at + skip, text, number
        at, number = at + len(line) + 1, number + 1


def scan(path, piece, rules):
    """ROWs, signatures, bands and the runs of held-out questions of a piece."""
    rows, texts, asked, tasks, groups = [], [], [], {"": 0}, {"": 0}
    split = split_in(piece[1])
    for start, line, number in lines_of(piece):
        record = hygiene.parse(line, f"{piece[1]}:{number}")
        reason = hygiene.unusable(record, rules.max_chars, rules.min_chars)
        ranked, where = hygiene.is_preference(record), split or split_of(record["id"])
        if ranked:
            where = "preferences_train" if where == "train" else "preferences_valid"
        if not reason and where == "test" and not hygiene.can_be_scored(record):
            reason = "test without the meta that scores it"
        keys, group = (0, 0, 0, 0), 0
        if not reason:
            answers, question = hygiene.answers_of(record), hygiene.question(record)
            keys = (hygiene.key(str(rules.seed), record["id"]), hygiene.key(question),
                    hygiene.key(where, question, *map(hygiene.normal, answers)),
                    hygiene.key(hygiene.normal("\n".join(answers))))
            group = groups.setdefault(record.get("meta", {}).get("group", ""), len(groups))
            texts.append(hygiene.told(record, 1))
            if SPLIT[SETS.index(where)] < 2:
                asked.append((len(rows), hygiene.normal("\n".join(hygiene.asked_by(record)))))
        task = tasks.setdefault("preference" if ranked else record["task"], len(tasks))
        rows.append((start, *keys, len(line), number, hygiene.length(record), group, task, SETS.index(where),
                     REASON[reason or ""], 0))
    rows = np.array(rows, ROW)
    usable = np.flatnonzero(rows["reason"] == 0)
    low_bits = np.zeros((len(rows), hygiene.ROWS * hygiene.BANDS), np.uint8)
    bands = np.zeros((hygiene.BANDS, len(rows)), np.uint32)
    for at in range(0, len(usable), BATCH):
        batch, some = usable[at:at + BATCH], texts[at:at + BATCH]
        least = hygiene.signatures(some)
        low_bits[batch] = (least & 255).T
        bands[:, batch] = hygiene.bands(least, np.isin(rows["set"][batch], PREFERENCES))
        rows["language"][batch] = hygiene.languages(some)
    wanted = [hygiene.LANGUAGES.index(language) for language in rules.languages]
    rows["reason"][usable[~np.isin(rows["language"][usable], wanted)]] = REASON["language"]
    runs = [(np.empty(0, np.uint64), np.empty(0, np.uint32), np.empty(0, np.uint32))]
    for at in range(0, len(asked), BATCH):
        row, some = zip(*asked[at:at + BATCH])
        run, which, place = hygiene.runs(some)
        runs.append((run, np.array(row, np.uint32)[which], place.astype(np.uint32)))
    run, question, place = map(np.concatenate, zip(*runs))
    save(path, rows=rows, low_bits=low_bits, tasks=list(tasks), groups=list(groups),
         run=run, question=question, place=place, **{f"band{b}": band for b, band in enumerate(bands)})


# ---- settle

def gather(scans):
    """All ROWs, with tasks and groups as indices in two lists; where the rows of each piece begin."""
    rows, names, first = [], {"task": [], "group": []}, [0]
    for path in scans:
        with np.load(path) as scanned:
            some = scanned["rows"]
            for name, known in names.items():
                here = scanned[f"{name}s"].tolist()
                known += [word for word in here if word not in known]
                some[name] = np.array([known.index(word) for word in here])[some[name]]
        rows.append(some)
        first.append(first[-1] + len(some))
    return np.concatenate(rows), names["task"], names["group"], np.array(first)


def settle(rows, weight_N, tasks, same_answer):
    """Sets reasons in rows; returns, for each record, the one that it repeats, or -1."""
    repeats = np.full(len(rows), -1)
    by_rank = np.argsort(rows["set"], kind="stable")

    def drop(index, reason, of=None):
        rows["reason"][index] = reason
        if of is not None:
            repeats[index] = of

    def left():
        return by_rank[rows["reason"][by_rank] == 0]

    free = [number for number, task in enumerate(tasks) if task not in (*hygiene.ONE_ANSWER, "preference")]
    index = left()[np.isin(rows["task"][left()], free) & (rows["set"][left()] > 0)]
    many = hygiene.same_answers(rows["answer"][index], rows["asked"][index], same_answer)
    drop(index[many], REASON["answer of many questions"])

    training = left()[SPLIT[rows["set"][left()]] == 2]
    chance = hygiene.mix(rows["order"][training] ^ hygiene.BASE) / 2.0**64
    drop(training[chance >= weight_N[training]], REASON["left out by weight"])

    index = left()
    first = hygiene.repeats(rows["whole"][index])
    again = first != np.arange(len(index))
    drop(index[again], REASON["repeated"], index[first[again]])

    index = left()[np.argsort(SPLIT[rows["set"][left()]], kind="stable")]
    first = hygiene.repeats(rows["asked"][index])
    earlier = SPLIT[rows["set"][index[first]]]
    asked = earlier < SPLIT[rows["set"][index]]
    drop(index[asked], (REASON["asked in test"] + earlier)[asked], index[first[asked]])
    return repeats


# ---- leaks

def write_index(folder, scans, rows, first):
    """The runs of held-out questions that are left, as arrays that all workers share."""
    kept, size = [], 0
    for at, path in zip(first, scans):
        with np.load(path) as scanned:
            kept.append(rows["reason"][scanned["question"] + np.uint32(at)] == 0)
            size += np.count_nonzero(kept[-1])
    run, question, place = np.empty(size, np.uint64), np.empty(size, np.uint32), np.empty(size, np.uint32)
    records = np.flatnonzero((rows["reason"] == 0) & (SPLIT[rows["set"]] < 2))
    records = records[np.argsort(rows["set"][records], kind="stable")]           # test before valid
    number, end = np.zeros(len(rows), np.uint32), 0
    number[records] = np.arange(len(records))
    for at, path, some in zip(first, scans, kept):
        with np.load(path) as scanned:
            end, start = end + np.count_nonzero(some), end
            run[start:end], place[start:end] = scanned["run"][some], scanned["place"][some]
            question[start:end] = number[scanned["question"][some] + np.uint32(at)]
    index = hygiene.index_of(run, question, place, len(records))
    for name, array in (index | {"record": records, "split": SPLIT[rows["set"][records]]}).items():
        with appearing(folder / f"index_{name}.npy") as file:
            np.save(file, array)


@functools.cache
def read_index(folder):
    names = ("hash", "question", "place", "units", "sieve", "record", "split")
    return {name: np.load(folder / f"index_{name}.npy", mmap_mode="r") for name in names}


def find_leaks(path, piece, rows, share):
    """(record, held-out record) of leaks; rows: (record, start, size, split) of those to search."""
    index, (file, at, size) = read_index(path.parent), piece[1:4]
    block, found = read_at(file, at, size), [np.empty((0, 2), np.int64)]
    for begin in range(0, len(rows), BATCH):
        some = rows[begin:begin + BATCH]
        texts = [hygiene.told(json.loads(block[start - at:start - at + size])) for _, start, size, _ in some]
        text, asked, _ = hygiene.leaks(index, texts, share)
        earlier = index["split"][asked] < some[text, 3]
        text, best = np.unique(text[earlier], return_index=True)
        found.append(np.stack([some[text, 0], index["record"][asked[earlier][best]]], 1))
    save(path, found=np.concatenate(found))


# ---- near copies

def candidates(path, scans, rows, near):
    """(later, earlier) records that may be near copies.  Held-out sets lose exact copies only, so that the
    test of a release stays whole; and preferences that ask the same are meant to be alike."""
    by_rank = np.argsort(rows["set"], kind="stable")
    chosen = by_rank[rows["reason"][by_rank] == 0]

    def load(name, shape=()):
        array, at = np.empty((len(rows), *shape), np.uint8 if shape else np.uint32), 0
        for scanned in map(np.load, scans):
            with scanned:
                some = scanned[name]
                array[at:at + len(some)] = some
                at += len(some)
        return array
    low_bits = load("low_bits", (hygiene.ROWS * hygiene.BANDS,))
    pairs = hygiene.near_candidates(lambda b: load(f"band{b}")[chosen], low_bits, chosen, near - 0.2)
    later, earlier = rows[pairs[:, 0]], rows[pairs[:, 1]]
    matters = (SPLIT[later["set"]] == 2) | (SPLIT[earlier["set"]] < SPLIT[later["set"]])
    matters &= ~(np.isin(later["set"], PREFERENCES) & (later["asked"] == earlier["asked"]))
    save(path, pairs=pairs[matters])


@functools.lru_cache(256)
def fives_at(path, start, size):
    return hygiene.fives(hygiene.told(json.loads(read_at(path, start, size)), 1))


def compare(path, paths, later, earlier):
    """The Jaccard index of pairs; later, earlier: rows of (index in paths, start, size)."""
    def sets(places):
        return (fives_at(paths[file], start, size) for file, start, size in places.tolist())
    save(path, jaccard=np.array([*map(hygiene.jaccard, sets(later), sets(earlier))]))


def judge_pairs(rows, repeats, pairs, jaccard, near):
    """Pairs come in the order of precedence of the later; the earlier must itself have stayed."""
    for later, earlier in pairs[jaccard >= near].tolist():
        if not rows["reason"][later] and not rows["reason"][earlier]:
            splits = SPLIT[rows["set"][[earlier, later]]].tolist()
            reason = "near copy" if splits[0] == splits[1] else f"near copy in {('test', 'valid')[splits[0]]}"
            rows["reason"][later], repeats[later] = REASON[reason], earlier


# ---- write

def as_prompt(line):
    record = json.loads(line)
    asked = next(number for number, turn in enumerate(record["messages"], 1) if turn["role"] == "user")
    prompt = {name: record[name] for name in ("id", "source", "task", "meta") if name in record}
    return json.dumps(prompt | {"messages": record["messages"][:asked]}, ensure_ascii=False).encode()


def as_paragraph(line):
    return " ".join(" ".join(turn["content"] for turn in json.loads(line)["messages"]).split()).encode()


def write_lines(path, paths, places, form):
    with appearing(path) as written:
        for file, start, size in places.tolist():
            line = read_at(paths[file], start, size)
            written.write((form(line) if form else line) + b"\n")


def write_rejects(path, paths, places, numbers, reasons, others, other_numbers):
    """others: the places of what they repeat; a size of 0 where they repeat nothing."""
    def id_at(file, start, size):
        return json.loads(read_at(paths[file], start, size))["id"]
    columns = (column.tolist() for column in (places, numbers, reasons, others, other_numbers))
    with appearing(path) as written:
        for place, number, reason, other, other_number in zip(*columns):
            reject = {"file": paths[place[0]], "line": number, "id": id_at(*place), "reason": REASONS[reason]}
            if other[2]:
                reject |= {"repeats": id_at(*other), "at": f"{paths[other[0]]}:{other_number}"}
            written.write(json.dumps(reject, ensure_ascii=False).encode(errors="replace") + b"\n")
