"""
Joining converted sets into the files that training and evaluation read.  (Not here: reading releases.)

    train, valid                          every task mixed, in an order that the ids alone decide
    test_<task>                           what no other file asks, whatever release it came from
    preferences_train, preferences_valid  all preferences
    prompts                               questions for PPO: those of one release's training set
    pretrain.txt                          the text of the training records, a paragraph a line
"""
import argparse
import itertools
from pathlib import Path

from data.releases import SETS, apart, digest, json_lines, read_records, report_errors, write_files

TASKS = ("dialogue", "exam", "diagnosis", "qa")


def paragraph(record):
    return " ".join(" ".join(message["content"] for message in record["messages"]).split()) + "\n"


def asked(record):
    """The messages up to the first answer."""
    return list(itertools.takewhile(lambda message: message["role"] != "assistant", record["messages"]))


def combine(folder, names, prompts_from):
    """Join the sets folder/<name>_<set>.jsonl into files beside them; returns the line of counts."""
    sets = {}
    for kind in SETS:
        paths = [path for name in names if (path := folder / f"{name}_{kind}.jsonl").exists()]
        records = [record for path in paths for _, record in read_records(path)]
        sets[kind] = sorted(records, key=lambda record: digest(record["id"]))
    kept, dropped = apart(sets)
    files = {kind: kept[kind] for kind in SETS if kind != "test"}
    files |= {f"test_{task}": [record for record in kept["test"]
                               if {"kg": "qa"}.get(record["task"], record["task"]) == task] for task in TASKS}
    questions = {asked(record)[-1]["content"]: record for record in kept["train"]
                 if record["source"] == prompts_from}
    files["prompts"] = [{"id": record["id"], "source": record["source"], "messages": asked(record)}
                        for record in questions.values()]
    texts = {f"{name}.jsonl": json_lines(records) for name, records in files.items()}
    write_files(folder, texts | {"pretrain.txt": "".join(paragraph(record) for record in kept["train"])})
    counts = ", ".join(f"{name} {len(records)}" for name, records in files.items())
    dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items())) or "none"
    return f"{folder}: {counts}; dropped between sources: {dropped}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m data.combine", description=combine.__doc__)
    parser.add_argument("folder", type=Path, help="where the converters wrote")
    parser.add_argument("names", nargs="+", help="the names of the sets to join")
    parser.add_argument("--prompts-from", default="cmedqa2", help="whose training questions PPO answers")
    args = parser.parse_args()
    report_errors(lambda: combine(args.folder, args.names, args.prompts_from))
