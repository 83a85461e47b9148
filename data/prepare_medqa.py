"""MedQA, the Mainland examination with four options: github.com/jind11/MedQA, the folder Mainland/4_options.

train.jsonl, dev.jsonl, test.jsonl: {"question", "options": {letter: text}, "answer_idx", "meta_info"}.
Where test.jsonl is absent, half of dev.jsonl is the test.
"""
from data.exam import add_exam
from data.releases import clean, command, field, find, read_records


def convert(release, sets):
    """Make exam records of MedQA's Mainland questions."""
    for split, name in {"train": "train.jsonl", "valid": "dev.jsonl", "test": "test.jsonl"}.items():
        path = find(release, f"Mainland/4_options/{name}", required=split != "test")
        for place, record in read_records(path) if path else ():
            options = {key: clean(str(text)) for key, text in field(record, place, "options", dict).items()}
            question, answer = field(record, place, "question"), field(record, place, "answer_idx")
            add_exam(sets, split, place, question, options, answer, field(record, place, "meta_info"))
    if not path:
        sets.halve_valid()


if __name__ == "__main__":
    command("medqa", convert)
