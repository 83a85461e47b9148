"""C-Eval, the medical subjects of a Chinese examination of general knowledge: github.com/hkust-nlp/ceval.

dev/<subject>_dev.csv, five examples each, val/<subject>_val.csv, test/<subject>_test.csv: columns id,
question, A, B, C, D, answer (not in the test), explanation (dev only).  The examples are the training set;
the questions of the test are dropped, as their answers are not public, and half of val is the test.
(Not here: the other subjects.)
"""
from data.exam import add_exam_table
from data.releases import command, find

SUBJECTS = "basic_medicine", "clinical_medicine", "physician"


def convert(release, sets):
    """Make exam records of C-Eval's medical subjects."""
    for split, name in {"train": "dev", "valid": "val", "test": "test"}.items():
        for subject in SUBJECTS:
            if path := find(release, f"{subject}_{name}.csv", required=False):
                add_exam_table(sets, split, path, subject)
    if "test" not in sets.records:
        sets.halve_valid()


if __name__ == "__main__":
    command("ceval", convert)
