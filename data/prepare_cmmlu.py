"""CMMLU, the medical subjects of a Chinese examination of general knowledge: github.com/haonan-li/CMMLU.

dev/<subject>.csv, five examples each, and test/<subject>.csv: columns (number), Question, A, B, C, D, Answer.
The examples are the training set, the tests stay tests.  (Not here: the other 58 subjects.)
"""
from data.exam import add_exam_table
from data.releases import command, find

SUBJECTS = ("anatomy", "clinical_knowledge", "college_medical_statistics", "college_medicine", "genetics",
            "nutrition", "professional_medicine", "traditional_chinese_medicine", "virology")


def convert(release, sets):
    """Make exam records of CMMLU's medical subjects."""
    for split, folder in {"train": "dev", "test": "test"}.items():
        for subject in SUBJECTS:
            if path := find(release, f"{folder}/{subject}.csv", required=False):
                add_exam_table(sets, split, path, subject, "Question", "Answer")


if __name__ == "__main__":
    command("cmmlu", convert)
