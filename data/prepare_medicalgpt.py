"""MedicalGPT, instruction and preference samples of github.com/shibing624/MedicalGPT, some or all.

medical_sft_1K_format.jsonl: {"conversations": [{"from": "human" | "gpt" | "system", "value"}]};
reward/test.json: {"question", "response_chosen", "response_rejected"};
dpo_zh_500.jsonl, general and not medical: {"conversations", "chosen", "rejected"}.
"""
from data.releases import command, digest, field, find, read_records, split_of

FILES = "medical_sft_1K_format.jsonl", "reward/test.json", "dpo_zh_500.jsonl"
ROLES = {"human": "user", "gpt": "assistant", "system": "system"}


def conversation(record, place):
    messages = []
    for turn in field(record, place, "conversations", list):
        if not isinstance(turn, dict) or turn.get("from") not in ROLES:
            raise ValueError(f"{place}: a turn of 'conversations' is not from {', '.join(ROLES)}; repair it")
        messages.append({"role": ROLES[turn["from"]], "content": field(turn, place, "value")})
    return messages


def convert(release, sets):
    """Make QA and dialogue records, and preferences, of MedicalGPT's samples."""
    for path in filter(None, (find(release, name, required=False) for name in FILES)):
        for place, record in read_records(path):
            if "question" in record:
                messages = [{"role": "user", "content": field(record, place, "question")}]
                answers = [field(record, place, name) for name in ("response_chosen", "response_rejected")]
            else:
                messages = conversation(record, place)
                answers = [field(record, place, name) for name in ("chosen", "rejected") if name in record]
            texts = [message["content"] for message in messages]
            roles = [message["role"] for message in messages]
            id = digest(*texts, *answers)[:16]
            if len(answers) == 2 and roles[-1:] == ["user"]:
                split = "train" if split_of(id) == "train" else "valid"
                sets.add_preference(split, id, messages, *answers)
            elif roles and not answers and roles == ["user", "assistant"] * (len(roles) // 2):
                sets.add_task(split_of(id), "qa" if len(roles) == 2 else "dialogue", id, texts)
            else:
                sets.drop("turns out of order")


if __name__ == "__main__":
    command("medicalgpt", convert)
