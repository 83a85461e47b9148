"""Instructions in the shape of Alpaca, of whatever source: *.json or *.jsonl, a list or lines of
{"instruction", "input", "output"}, and perhaps "system" and "history": [[user, assistant], ...].

The user says instruction and input, a line break between.  Files called train, valid or dev, and test keep
their splits.  Where an answer is a choice, see prepare_ranked.py.
"""
from data.dialogue import NAME, add_dialogue, optional, pairs, rename
from data.releases import command, field, find_all, official_splits, read_records


def asked(record, place):
    """The turns up to the answer."""
    texts = field(record, place, "instruction"), optional(record, place, "input")
    return [*pairs(record.get("history"), place), ("user", "\n".join(filter(None, texts)))]


def convert(release, sets, name=""):
    """Make QA and dialogue records of Alpaca's instructions."""
    rename(sets, name)
    for split, path in official_splits(find_all(release, "*.json", "*.jsonl")):
        for place, record in read_records(path):
            turns = [*asked(record, place), ("assistant", field(record, place, "output"))]
            add_dialogue(sets, split, turns, system=optional(record, place, "system"))


if __name__ == "__main__":
    command("alpaca", convert, name=NAME)
