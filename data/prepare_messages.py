"""Conversations as chat models have them, of whatever source: *.json or *.jsonl, a list or lines of
{"messages": [{"role": "system" | "user" | "assistant", "content"}, ...]}.

Records in which a tool speaks, whose content is no text (pictures, calls of functions), or with words of the
system amid the turns are dropped.  Files called train, valid or dev, and test keep their splits.
"""
from data.dialogue import NAME, add_dialogue, conversation, optional, rename
from data.releases import command, field, find_all, official_splits, read_records

SHAPE = "messages", "role", "content"


def convert(release, sets, name="", shape=SHAPE):
    """Make QA and dialogue records of conversations."""
    rename(sets, name)
    turns, *keys = shape
    for split, path in official_splits(find_all(release, "*.json", "*.jsonl")):
        for place, record in read_records(path):
            found = conversation(field(record, place, turns, list), place, *keys)
            if found:
                system, said = found
                add_dialogue(sets, split, said, system=system or optional(record, place, "system"))
            else:
                sets.drop("more than words of user and assistant")


if __name__ == "__main__":
    command("messages", convert, name=NAME)
