"""
How much of a test stands in the training texts.  (Not here: taking it out, which data/build.py does.)

    share    of a test text, which of its runs of 13 units occur in the training texts
    stem     a question without its options, spaces and punctuation (exam.stem): asked in training as well?

Units and runs are those of data/hygiene.py: Chinese characters, words of other letters and digits, of normal
text.  A run that more than COMMON tests have is a turn of phrase and does not count.  A text of fewer units
has no run, and no share.  Only the tests are held in memory, as sorted hashes of 64 bits; the training texts
pass once, a part at a time.  Each line of a plain text file is a text: a run over two is not seen.
"""

from pathlib import Path

import numpy as np

from clinicalgpt.exam import stem
from clinicalgpt.files import read_jsonl
from data.hygiene import COMMON, RUN, key, normal, runs

CHARACTERS = 1 << 18                                   # of training text looked at together
SIEVE = np.uint64(2**24 - 1)                           # by these bits most runs are told from those of tests
THRESHOLDS = (0.2, 0.5, 0.8, 1.0)


def turns(record, role):
    return [turn["content"] for turn in record["messages"] if turn["role"] == role]


def texts_of(path):
    """(texts, the questions among them) of each record of JSON lines; each line of another file is a text."""
    if Path(path).suffix == ".jsonl":
        for line, record in read_jsonl(path):
            try:
                texts = [turn["content"] for turn in record["messages"]] + record.get("answers", [])
                texts += [record[name] for name in ("chosen", "rejected") if name in record]
                questions = turns(record, "user")
                "".join(texts)
            except (KeyError, TypeError):
                raise ValueError(f"{path}:{line}: no 'messages' of role and content; "
                                 "data/README.md describes the format") from None
            yield texts, questions
    else:
        with open(path, "rb") as file:
            for line, data in enumerate(file, 1):
                try:
                    yield [data.decode("utf-8")], []
                except UnicodeDecodeError:
                    raise ValueError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None


def overlap(texts, training):
    """The share of each text, nan where it has no run; training: texts, read once."""
    hash_N, text_N, _ = runs([normal(text) for text in texts])
    pairs = np.unique(np.stack([hash_N, text_N.astype(np.uint64)]), axis=1)
    known_H, tests_H = np.unique(pairs[0], return_counts=True)
    known_H = known_H[tests_H <= COMMON]
    seen_H, sieve = np.zeros(len(known_H), bool), np.zeros(int(SIEVE) + 1, bool)
    sieve[known_H & SIEVE] = True
    for batch in batches(training):
        found = runs([normal(text) for text in batch])[0]
        place, is_known = find(known_H, found[sieve[found & SIEVE]])
        seen_H[place[is_known]] = True
    at_N, counted = find(known_H, hash_N)
    total = np.bincount(text_N[counted], minlength=len(texts))
    hits = np.bincount(text_N[counted], seen_H[at_N[counted]], minlength=len(texts))
    return np.where(total > 0, hits / np.maximum(total, 1), np.nan)


def find(sorted_H, wanted):
    """(its place, whether it is there) of each."""
    place = np.searchsorted(sorted_H, wanted)
    place[place == len(sorted_H)] = 0
    return place, sorted_H[place] == wanted if len(sorted_H) else np.zeros(len(wanted), bool)


def batches(texts):
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def contamination(records, paths):
    """A row a test record: the shares of its questions and of its answers, and whether training asks its last
    question; and the counts of rows."""
    asked = [key(stem(turns(record, "user")[-1])) for record in records]
    wanted, found = set(asked), set()

    def training():
        for path in paths:
            for texts, questions in texts_of(path):
                found.update(wanted.intersection(key(stem(question)) for question in questions))
                yield from texts
    sides = ["\n".join(turns(record, role)) for role in ("user", "assistant") for record in records]
    question, answer = np.split(overlap(sides, training()), 2)
    rows = [{"id": record.get("id"), "question": share, "answer": other, "asked": stem in found}
            for record, share, other, stem in zip(records, question.tolist(), answer.tolist(), asked)]
    return rows, counted(rows)


def counted(rows):
    """{what: how many of these rows}, for a test of the rows of several."""
    sides = {side: np.array([row[side] for row in rows], dtype=float) for side in ("question", "answer")}
    return {"records": len(rows), "asked": sum(row["asked"] for row in rows),
            **{f"{name} under {RUN} units": int(np.isnan(shares).sum()) for name, shares in sides.items()},
            **{f"{name} >= {threshold:.0%}": int((shares >= threshold).sum())
               for name, shares in sides.items() for threshold in THRESHOLDS}}
