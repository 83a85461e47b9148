"""CMExam, questions of the Chinese medical licensing examination: data/ of github.com/williamliujl/CMExam.

train.csv, val.csv, test.csv: columns Question, Options (lines "A text"), Answer (a letter, or several),
Explanation; where test.csv is absent, half of val.csv is the test.
"""
import re

from data.exam import add_exam
from data.releases import command, field, find, read_records


def read_options(text, place):
    options = {}
    for line in text.split("\n"):
        match = re.fullmatch(r"([A-Z])[\s.．、]+(.*)", line.strip())
        if not match or match[1] in options:
            raise ValueError(f"{place}: option {line[:20]!r} is not a new letter, a space, a text; repair it")
        options[match[1]] = match[2]
    return options


def convert(release, sets):
    """Make exam records of CMExam."""
    for split, name in {"train": "train.csv", "valid": "val.csv", "test": "test.csv"}.items():
        path = find(release, name, required=split != "test")
        for place, record in read_records(path) if path else ():
            options = read_options(field(record, place, "Options"), place)
            question, answer = field(record, place, "Question"), field(record, place, "Answer")
            add_exam(sets, split, place, question, options, answer)
    if not path:
        sets.halve_valid()


if __name__ == "__main__":
    command("cmexam", convert)
