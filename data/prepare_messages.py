"""Conversations as chat models have them, of whatever source: *.json or *.jsonl, a list or lines of
{"messages": [{"role": "system" | "user" | "assistant", "content"}, ...]}.

Records in which a tool speaks, whose content is no text (pictures, calls of functions), or with words of the
system amid the turns are dropped.  Files called train, valid or dev, and test keep their splits.

Records in the form of data/README.md keep their task and what META names of their meta, in which names and
dates are replaced as in the messages.  Other fields of meta may hold what no rule knows without a label (a
number, a name alone): they are left out, and counted.  meta's "patient" is not written; as in
prepare_records.py it decides the set, and all of a patient is replaced alike.
"""
import re

from data.dialogue import NAME, add_dialogue, conversation, optional, rename
from data.prepare_records import value
from data.privacy import refill, strings
from data.releases import clean, command, digest, field, find_all, official_splits, read_records

SHAPE = "messages", "role", "content"
META = ("head", "relation", "tails", "options", "answer", "category", "label", "group", "aliases",
        "kind", "must", "must_not", "why")           # the last four: of safety


def own(sets, record, place):
    """(task, meta, patient) of a record in the form of data/README.md, each empty where it has none."""
    task, meta = record.get("task"), record.get("meta")
    task = task if isinstance(task, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,40}", task) else ""
    meta = meta if isinstance(meta, dict) else {}
    sets.cleaned["fields of meta left out"] += len(meta.keys() - {*META, "patient"})
    patient = value(meta, place, "patient")
    meta = {name: meta[name] for name in META if name in meta}
    return task, refill(meta, map(clean, strings(meta))), patient and digest(patient)


def convert(release, sets, name="", shape=SHAPE):
    """Make QA and dialogue records of conversations."""
    rename(sets, name)
    turns, *keys = shape
    for split, path in official_splits(find_all(release, "*.json", "*.jsonl")):
        for place, record in read_records(path):
            found = conversation(field(record, place, turns, list), place, *keys)
            if found:
                system, said = found
                task, meta, patient = own(sets, record, place)
                add_dialogue(sets, split, said, task=task, patient=patient,
                             system=system or optional(record, place, "system"), **meta)
            else:
                sets.drop("more than words of user and assistant")


if __name__ == "__main__":
    command("messages", convert, name=NAME)
