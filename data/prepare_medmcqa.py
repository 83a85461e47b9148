"""MedMCQA, entrance examinations of Indian medical schools, in English: github.com/medmcqa/medmcqa.

train.json, dev.json, test.json, a line each: {"question", "opa".."opd", "cop", "subject_name", ...}, or, in
copies, {"question", "options": {letter: text}, "answer_idx"}.  "cop", the correct option, is 1 to 4 in this
release; the authors' loader on the Hugging Face hub takes 1 away: 0 to 3 in copies from there, -1 in their
test.  The values in a file show which it is.  The test has no answers: it is dropped, and half of dev is the
test.  Records of choice_type "multi" name one right option as well.
"""
from data.exam import LETTERS, add_exam, read_options
from data.releases import command, field, find, read_records

FILES = {"train.json*": "train", "dev.json*": "valid", "validation.json*": "valid", "test.json*": "test"}


def first_option(path, records):
    """What "cop" is for option A: 0 or 1."""
    found = {field(record, place, "cop", int) for place, record in records if "cop" in record} - {-1}
    if found <= {0, 1, 2, 3} and 0 in found:
        return 0
    if found <= {1, 2, 3, 4} and (4 in found or not found):
        return 1
    raise ValueError(f"{path}:1: 'cop' takes the values {', '.join(map(str, sorted(found)))}, neither 0 to 3 "
                     "nor 1 to 4; take the whole file of one release")


def convert(release, sets):
    """Make exam records of MedMCQA."""
    for name, split in FILES.items():
        path = find(release, name, required=False)
        records = list(read_records(path)) if path else []
        first = first_option(path, records)
        for place, record in records:
            if "options" in record:
                options, answer = read_options(record, place), field(record, place, "answer_idx")
            else:
                options = {letter: field(record, place, f"op{letter.lower()}") for letter in LETTERS}
                answer = LETTERS[record["cop"] - first] if record.get("cop", -1) >= 0 else ""
            category = field(record, place, "subject_name") if "subject_name" in record else ""
            add_exam(sets, split, place, field(record, place, "question"), options, answer, category)
    if "test" not in sets.records:
        sets.halve_valid()


if __name__ == "__main__":
    command("medmcqa", convert, max_chars=4000)      # English takes more characters for the same tokens
