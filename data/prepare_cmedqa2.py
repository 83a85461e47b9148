"""cMedQA2, forum questions, doctors' answers and answers to other questions: github.com/zhangsheng93/cMedQA2.

question.csv (question_id, content), answer.csv (ans_id, question_id, content), train_candidates.txt
(question_id, pos_ans_id, neg_ans_id), dev_candidates.txt and test_candidates.txt (question_id, ans_id, cnt,
label), each in a zip archive or unpacked.
"""
from data.releases import command, field, find, read_records

PAIRS = 4                                            # preferences a question: its answer over so many others


def read_texts(path, key):
    records = read_records(path)
    return {field(record, place, key): field(record, place, "content") for place, record in records}


def read_candidates(path):
    """{question_id: (place, right ans_ids, wrong ans_ids)}; ids are keys of dicts: ordered sets."""
    found = {}
    for place, record in read_records(path):
        _, right, wrong = found.setdefault(field(record, place, "question_id"), (place, {}, {}))
        if "label" in record:
            (right if field(record, place, "label") == "1" else wrong)[field(record, place, "ans_id")] = None
        else:
            right[field(record, place, "pos_ans_id")] = None
            wrong[field(record, place, "neg_ans_id")] = None
    return found


def convert(release, sets):
    """Make QA records of cMedQA2, and preferences: a question's answer over answers to other questions."""
    questions = read_texts(find(release, "question.*"), "question_id")
    answers = read_texts(find(release, "answer.*"), "ans_id")
    names = {"train": "train_candidates.*", "valid": "dev_candidates.*", "test": "test_candidates.*"}
    splits = {split: read_candidates(find(release, name)) for split, name in names.items()}
    held_out = {id for split in ("valid", "test") for _, right, _ in splits[split].values() for id in right}
    for split, candidates in splits.items():
        for question, (place, right, wrong) in candidates.items():
            if not right or question not in questions or any(id not in answers for id in (*right, *wrong)):
                raise ValueError(f"{place}: question {question} lacks a right answer or a text; "
                                 "take all five files from one release")
            right_ids = list(right) if split == "train" else list(right)[:1]    # one answer to compare with
            wrong_ids = [id for id in wrong if id not in right and (split == "valid" or id not in held_out)]
            for id in right_ids:
                sets.add_task(split, "qa", f"{question}-{id}", [questions[question], answers[id]])
            for id in wrong_ids[:PAIRS] if split != "test" else ():
                sets.add_preference(split, f"{question}-{right_ids[0]}-{id}",
                                    [{"role": "user", "content": questions[question]}],
                                    answers[right_ids[0]], answers[id])


if __name__ == "__main__":
    command("cmedqa2", convert)
