"""CMtMedQA, conversations of several turns: CMtMedQA*.json of github.com/SupritYoung/Zhongjing.

A JSON list of {"id", "cate1", "cate2", "instruction", "input", "output", "history": [[patient, doctor]...]},
and of safety prompts {"instruct", "output"}: superstition and the like, with a doctor's answer.
"""
from data.releases import clean, command, digest, field, only_file, read_records, split_of


def convert(release, sets):
    """Make dialogue records of CMtMedQA, and QA records of its safety prompts."""
    for place, record in read_records(only_file(release, "CMtMedQA*.json")):
        if "instruct" in record:
            texts = [field(record, place, "instruct"), field(record, place, "output")]
            id = digest(*texts)[:16]
            sets.add_task(split_of(id), "qa", id, texts, category="safety")
        else:
            id, texts = field(record, place, "id"), []
            for pair in field(record, place, "history", list):
                if not isinstance(pair, list) or [type(text) for text in pair] != [str, str]:
                    raise ValueError(f"{place}: 'history' should be pairs of texts; repair the record")
                texts += map(clean, pair)
            texts += [field(record, place, "instruction"), field(record, place, "output")]
            sets.add_task(split_of(id), "dialogue", id, texts, category=field(record, place, "cate1"))


if __name__ == "__main__":
    command("cmtmedqa", convert)
