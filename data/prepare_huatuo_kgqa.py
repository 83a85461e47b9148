"""Huatuo_KGQA, questions and answers that GPT-3.5 wrote from a medical knowledge graph: llama_data.json of
github.com/SCIR-HI/Huatuo-Llama-Med-Chinese, JSON lines of {"instruction", "input", "output"}.
"""
from data.releases import command, digest, field, only_file, read_records, split_of


def convert(release, sets):
    """Make QA records of Huatuo_KGQA."""
    for place, record in read_records(only_file(release, "llama_data.json")):
        question, more, answer = (field(record, place, name) for name in ("instruction", "input", "output"))
        question = f"{question}\n{more}".strip()
        id = digest(question, answer)[:16]
        sets.add_task(split_of(id), "qa", id, [question, answer])


if __name__ == "__main__":
    command("huatuo_kgqa", convert)
