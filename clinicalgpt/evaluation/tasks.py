"""
What a model is asked, in each of the evaluations.  (Not here: who answers, see speakers.py; what the answers
are worth, see scores.py.)

    dialogue     a reply to each doctor's turn, given the true history before it; or to the last turn alone
    exam         what it writes; and, where it gives them, log p of each letter and of each option's text
                 after "Answer: "; with --rotations, in all orders of the options; with --shots, behind solved
                 ones
    diagnosis    what it answers to a health record
    qa, rubric, safety      what it answers

answer_x(speaker, records, cfg) gives an answer a record: a Reply or a Failure; of dialogue, a list of them,
one a turn; of exam, {"text": one of them, "letter": {letter: log p}, "option": {letter: log p}}, or None for
the rotations that a file of answers does not have.
"""
import re

from clinicalgpt.answers import Failure, FileModel, Reply, without_thoughts
from clinicalgpt.exam import ANSWER as FORM
from clinicalgpt.exam import few_shot

TASKS = ("dialogue", "exam", "diagnosis", "qa")        # the paper's
MORE = ("safety",)
CHINESE = re.compile("[\u4e00-\u9fff]")


def doctor_turns(records, last_turn=False):
    """[(which record, messages before a doctor's turn, what the doctor said), ...]"""
    turns = [[(r, record["messages"][:i], message["content"]) for i, message in enumerate(record["messages"])
              if message["role"] == "assistant" and i] for r, record in enumerate(records)]
    return [turn for of_record in turns for turn in (of_record[-1:] if last_turn else of_record)]


def replies(speaker, questions, ids):
    return [reply if isinstance(reply, Failure) else Reply(without_thoughts(reply), reply.finish)
            for reply in speaker.replies(questions, ids)]


def answer_dialogue(speaker, records, cfg):
    turns, answers = doctor_turns(records, cfg.last_turn), [[] for _ in records]
    said = replies(speaker, [history for _, history, _ in turns], [records[r]["id"] for r, _, _ in turns])
    for (r, _, _), reply in zip(turns, said):
        answers[r].append(reply)
    return answers


def answer_exam(speaker, records, cfg, examples=()):
    asked = records
    if isinstance(speaker, FileModel) and not speaker.knows(record["id"] for record in records):
        asked = [record for record in records if "rotation" not in record["meta"]]
    questions = [few_shot(record, examples, cfg.shots)["messages"][:-1] for record in asked]
    said = replies(speaker, questions, [record["id"] for record in asked])
    answers = {record["id"]: {"text": reply} for record, reply in zip(asked, said)}
    if speaker.gives_logp:
        for record, logps in zip(asked, speaker.logp([options_of(*pair) for pair in zip(asked, questions)])):
            letters = list(record["meta"]["options"])
            if logps:
                answers[record["id"]] |= {"letter": dict(zip(letters, logps)),
                                          "option": dict(zip(letters, logps[len(letters):]))}
    return [answers.get(record["id"]) for record in records]


def options_of(record, question):
    """(messages, cue, continuations): each letter, then each option's text, after the cue of an answer."""
    form = FORM["zh" if CHINESE.search(question[-1]["content"]) else "en"]
    options = record["meta"]["options"]
    return question, form[:form.index("{")], [*options, *options.values()]


def answer_last(speaker, records, cfg):
    """To all but the last message, where that is the reference."""
    questions = [messages[:-1] if messages[-1]["role"] == "assistant" else messages
                 for messages in (record["messages"] for record in records)]
    return replies(speaker, questions, [record["id"] for record in records])


ASK = {"dialogue": answer_dialogue, "exam": answer_exam, "diagnosis": answer_last, "qa": answer_last,
       "rubric": answer_last, "safety": answer_last}
