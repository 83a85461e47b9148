"""
Conversations of whatever release -> records of user and assistant by turns.  (Not here: their files.)

Neighbouring turns of one speaker are joined by a line break, one that says the same again is left out.  What
the assistant says before the user does is lost, and so is what the user says without an answer.  The
description of a case stands before the first user's words, unless the user says it there.
"""
import itertools
import re

from data.releases import clean, digest, field, split_of

SPEAKERS = {"user": "user human patient 病人 患者", "assistant": "assistant gpt chatgpt model doctor 医生",
            "system": "system", "tool": "tool tool_call tool_response function function_call observation"}
ROLES = {speaker: role for role, speakers in SPEAKERS.items() for speaker in speakers.split()}


def bare(text):
    return re.sub(r"\W", "", text)


def by_turns(turns, description=""):
    """(role, text) in any order -> texts of user and assistant by turns, as many of each."""
    said = "".join(bare(text) for role, text in turns if role == "user")
    if bare(description) not in said:
        turns = [("user", description), *turns]
    runs = itertools.groupby([turn for turn in turns if turn[1]], key=lambda turn: turn[0])
    runs = [(role, "\n".join(dict.fromkeys(text for _, text in run))) for role, run in runs]
    texts = [text for _, text in runs][runs[:1] != [] and runs[0][0] == "assistant":]
    return texts[:len(texts) // 2 * 2]


def add_dialogue(sets, split, turns, description="", task="", id="", system="", patient="", **meta):
    """One record, in the set that the patient or else the user's first words decide if there is no official
    one."""
    texts = by_turns(turns, description)
    if texts:
        task = task or ("qa" if len(texts) == 2 else "dialogue")
        id = id or digest(*texts)[:16]
        if patient:
            sets.patients[f"{sets.source}-{id}"] = patient
        sets.add_task(split or split_of(patient or texts[0]), task, id, texts, system, **meta)
    else:
        sets.drop("no answer to a user")


def conversation(messages, place, role="role", text="content"):
    """(system, [(role, text)]) of messages as chat models have them; None where they hold more than words."""
    turns = []
    for message in messages:
        speaker = message.get(role) if isinstance(message, dict) else None
        if not isinstance(speaker, str) or speaker.lower() not in ROLES:
            raise ValueError(f"{place}: a turn has no '{role}' among {', '.join(ROLES)}; repair it")
        if ROLES[speaker.lower()] == "tool" or isinstance(message.get(text, ""), list | None):
            return None
        turns.append((ROLES[speaker.lower()], field(message, place, text)))
    system = list(itertools.takewhile(lambda turn: turn[0] == "system", turns))
    if any(speaker == "system" for speaker, _ in turns[len(system):]):
        return None
    return "\n".join(words for _, words in system if words), turns[len(system):]


def optional(record, place, name):
    """A text that may be absent or null."""
    return "" if record.get(name) is None else field(record, place, name)


def pairs(history, place):
    """[[user, assistant], ...] of earlier turns as (role, text)."""
    turns = []
    for pair in history if isinstance(history, list) else [history] if history else ():
        if not isinstance(pair, list) or [type(text) for text in pair] != [str, str]:
            raise ValueError(f"{place}: 'history' should be pairs of texts; repair the record")
        turns += zip(("user", "assistant"), map(clean, pair), strict=True)
    return turns


NAME = {"default": "", "help": "what to call the set, in ids and names of files (default: as the converter)"}


def rename(sets, name):
    """Another name for the records of a shape that many have: their own, so look harder for names."""
    if not re.fullmatch(r"[\w-]*", name):
        raise ValueError(f"--name {name}: use letters, digits, _ and - only")
    sets.source, sets.private = name or sets.source, True
