"""Answers from best to worst, of whatever source: *.json or *.jsonl, a list or lines of records with

what was asked, one of       "question", "prompt" or "query": a text; "messages" or "prompt": [{"role",
                             "content"}]; "conversations": [{"from", "value"}]; "instruction" and "input"
the answers, one of          "answers": [best, ..., worst]; "chosen" and "rejected"; "response_chosen" and
                             "response_rejected"

An answer is a text, a message, or a list of messages of which the last is the answer; where nothing else says
what was asked, those before it do.  "ranks", equal where answers tie, and meta's "kinds" are kept.  All
records of a question are in one set; a file called test makes validation preferences, for there is no test of
them.
"""
from data.dialogue import NAME, by_turns, conversation, rename
from data.prepare_alpaca import asked
from data.releases import command, digest, field, find_all, official_splits, read_records, split_of

PAIRS = ("chosen", "rejected"), ("response_chosen", "response_rejected")
SHAPES = {"messages": ("role", "content"), "prompt": ("role", "content"), "conversations": ("from", "value")}


def answers_of(record, place):
    """Texts or messages, best first."""
    if "answers" in record:
        return field(record, place, "answers", list)
    return [record.get(name) for name in next((pair for pair in PAIRS if pair[0] in record), PAIRS[0])]


def answer_text(answer, place):
    if isinstance(answer, list) and answer:
        answer = answer[-1]
    if isinstance(answer, dict):
        answer = answer.get("content", answer.get("value"))
    return field({"answer": answer}, place, "answer")


def ranks_and_kinds(record, place, count):
    """What the record has of ranks and, in meta, kinds."""
    found, meta = {}, record.get("meta")
    if "ranks" in record:
        found["ranks"] = ranks = field(record, place, "ranks", list)
        if len(ranks) != count or not all(type(rank) in (int, float) and abs(rank) < 1e15 for rank in ranks) \
                or ranks != sorted(ranks):
            raise ValueError(f"{place}: 'ranks' are not {count} numbers, rising from the best answer's; "
                             "repair the record")
    if isinstance(meta, dict) and "kinds" in meta:
        found["meta"] = {"kinds": field(meta, place, "kinds", list)}
        if [type(kind) for kind in meta["kinds"]] != [str] * count:
            raise ValueError(f"{place}: meta's 'kinds' are not {count} words, one an answer; "
                             "repair the record")
    return found


def question_of(record, place):
    """(system, turns) of what was asked; None if it is more than words."""
    for name, keys in SHAPES.items():
        if isinstance(record.get(name), list):
            return conversation(record[name], place, *keys)
    if "instruction" in record:
        return "", asked(record, place)
    name = next((name for name in ("question", "prompt", "query") if name in record), None)
    if name is None and isinstance(record.get("chosen"), list):
        return conversation(record["chosen"][:-1], place)
    return "", [("user", field(record, place, name or "question"))]


def convert(release, sets, name=""):
    """Make preferences of ranked answers."""
    rename(sets, name)
    for split, path in official_splits(find_all(release, "*.json", "*.jsonl")):
        for place, record in read_records(path):
            answers = [answer_text(answer, place) for answer in answers_of(record, place)]
            system, turns = question_of(record, place) or ("", [])
            if not turns or turns[-1][0] != "user" or len(answers) < 2:
                sets.drop("turns out of order, or one answer")
                continue
            *texts, _ = by_turns([*turns, ("assistant", "answer")]) or [""]
            messages = [{"role": "system", "content": system}] if system else []
            messages += [{"role": role, "content": text}
                         for role, text in zip(["user", "assistant"] * len(texts), texts, strict=False)]
            part = split or split_of("\n".join(texts))
            sets.add_ranking("train" if part == "train" else "valid", digest(*texts, *answers)[:16], messages,
                             answers, **ranks_and_kinds(record, place, len(answers)))


if __name__ == "__main__":
    command("ranked", convert, name=NAME)
