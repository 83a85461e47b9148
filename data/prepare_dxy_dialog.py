"""dxy_dialog, parents of sick children and a doctor who asks for symptoms: dxy_dialog_data_dialog_v2.txt of
github.com/lemuria-wchen/imcs21 (task/DDP/KRDS/dataset_dxy).

Lines train@ and test@, each with a list written in Python: {"consult_id", "self_repo", "dialog": [parent,
doctor, ...], "disease_tag", "goal": {"explicit_inform_slots": {symptom: bool}, "implicit_inform_slots"}}.
What the parent says first is real, the rest was written by rules; its Western punctuation is made Chinese.
"""
import ast

from data.dialogue import add_dialogue
from data.releases import clean, command, field, only_file, read_text, split_of

MARKS = str.maketrans({",": "，", "?": "？", ".": "。", " ": ""})


def parse(path):
    """{split: (place, list)}"""
    lists = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        split, _, text = line.partition("@")
        try:
            value = ast.literal_eval(text.strip()) if line.strip() else []
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            value = None
        if not isinstance(value, list) or not all(isinstance(record, dict) for record in value) \
                or value and split not in ("train", "test"):
            raise ValueError(f"{path}:{number}: not train@ or test@ and a list of dicts; download it again")
        if value:
            lists[split] = f"{path}:{number}", value
    return lists


def convert(release, sets):
    """Make dialogue records of dxy_dialog."""
    lists = parse(only_file(release, "dxy_dialog_data_dialog_v2.txt"))
    for name, (place, records) in lists.items():
        for number, record in enumerate(records):
            here = f"{place}: record {number}"
            id, goal = field(record, here, "consult_id"), field(record, here, "goal", dict)
            said = field(record, here, "dialog", list)
            if not all(isinstance(text, str) for text in said):
                raise ValueError(f"{here}: 'dialog' should be texts; repair it")
            texts = [clean(text.translate(MARKS) if i else text) for i, text in enumerate(said)]
            roles = ["user", "assistant"] * len(texts)
            symptoms = {symptom: known for kind in ("explicit", "implicit")
                        for symptom, known in field(goal, here, f"{kind}_inform_slots", dict).items()}
            split = name if len(lists) > 1 else split_of(id)
            add_dialogue(sets, split, list(zip(roles, texts, strict=False)), field(record, here, "self_repo"),
                         task="dialogue", id=id, label=field(record, here, "disease_tag"), symptoms=symptoms)


if __name__ == "__main__":
    command("dxy_dialog", convert)
