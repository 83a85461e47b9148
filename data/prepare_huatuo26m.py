"""huatuo26M, questions to doctors with their answers: huatuo26M*.json of github.com/SupritYoung/Zhongjing.

A JSON list of {"id", "instruction": [question], "input", "output": [answer]}; the ids are empty, so the text
makes one.
"""
from data.releases import clean, command, digest, field, only_file, read_records, split_of


def convert(release, sets):
    """Make QA records of huatuo26M."""
    for place, record in read_records(only_file(release, "huatuo26M*.json")):
        texts = field(record, place, "instruction", list) + field(record, place, "output", list)
        if len(texts) != 2 or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{place}: 'instruction' and 'output' should hold one text each; repair it")
        texts = [clean(text) for text in texts]
        id = digest(*texts)[:16]
        sets.add_task(split_of(id), "qa", id, texts)


if __name__ == "__main__":
    command("huatuo26m", convert)
