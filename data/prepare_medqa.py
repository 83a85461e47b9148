"""MedQA, medical board examinations of China, the USA and Taiwan: github.com/jind11/MedQA.

A part of data_clean/questions (--part, see PARTS) is train, dev and test: {"question", "options": {letter:
text}, "answer_idx", "meta_info"} a line.  All parts but mainland are written to medqa_<part>_<set>.jsonl.  us
and us5 ask the same questions with four and with five options, taiwan_zh and taiwan_en those of taiwan in
translation: join one of each only.  Where the file of the test is absent, half of dev is the test.
"""
from data.exam import add_exam, read_options
from data.releases import command, field, find, read_records

PARTS = {"mainland": "Mainland/4_options/{}.jsonl", "mainland5": "Mainland/{}.jsonl",
         "us": "US/4_options/phrases_no_exclude_{}.jsonl", "us5": "US/{}.jsonl", "taiwan": "Taiwan/{}.jsonl",
         "taiwan_zh": "Taiwan/tw_translated_jsonl/zh/{}-2zh.jsonl",
         "taiwan_en": "Taiwan/tw_translated_jsonl/en/{}-2en.jsonl"}


def convert(release, sets, part="mainland"):
    """Make exam records of one part of MedQA."""
    if part != "mainland":
        sets.source = f"medqa_{part}"
    for split, name in {"train": "train", "valid": "dev", "test": "test"}.items():
        path = find(release, PARTS[part].format(name), required=False)
        for place, record in read_records(path) if path else ():
            question, answer = field(record, place, "question"), field(record, place, "answer_idx")
            add_exam(sets, split, place, question, read_options(record, place), answer,
                     field(record, place, "meta_info"))
    if not path:
        sets.halve_valid()


if __name__ == "__main__":
    command("medqa", convert, max_chars=4000,        # English takes more characters for the same tokens
            part=dict(default="mainland", choices=PARTS, help="which examination (default mainland)"))
