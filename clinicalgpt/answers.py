"""
Answers that are not made now: from a file, or from a cache by which a killed evaluation goes on.
(Not here: models behind an endpoint, see evaluation/endpoint.py; what is asked, see evaluation/tasks.py.)

    model.replies(dialogues, ids)    a Reply or a Failure each, in their order: of a local model, an endpoint,
                                     a file
    model.gives_logp                 whether it can score given answers, too

    cache.jsonl    {"key": sha256 of all that the answer depends on, "answer": "...", "finish": "stop"}
    answers file   {"id": "7", "answer": "..."}    or as evaluate.py writes them, with "task", "model" and
                                                   "finish"; where that is absent, nobody knows why it ended
"""
import hashlib
import json
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from clinicalgpt.files import read_jsonl


class Reply(str):
    """An answer, and why it ended: "stop", or "length" where the limit of tokens cut it."""

    def __new__(cls, text, finish="stop"):
        # half of a surrogate pair, which a model leaves where it was cut in an emoji, fits into no file
        reply = super().__new__(cls, text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        reply.finish = finish
        return reply


@dataclass(frozen=True)
class Failure:
    """No answer, and why."""
    reason: str


def without_thoughts(text):
    """What is said after <think> ... </think>: a thought is no part of an answer."""
    return text.rpartition("</think>")[2].strip()


class Cache:
    """Replies by key, in a file that only grows; the last line of a key counts.  For any model:
    cache.get(key_of(the model's identity, prompt, settings))."""

    def __init__(self, path):
        self.path, self.lock, self.known = Path(path), threading.Lock(), {}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab+") as file:           # a line that a kill cut short has no end
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
        for line, record in read_jsonl(self.path):
            if not all(isinstance(record.get(name), str) for name in ("key", "answer", "finish")):
                raise ValueError(f"{self.path}:{line}: no entry of a cache (found {sorted(record)}); "
                                 "delete the line, or name another file")
            self.known[record["key"]] = Reply(record["answer"], record["finish"])

    def get(self, key):
        return self.known.get(key)

    def put(self, key, reply):
        reply = Reply(reply, getattr(reply, "finish", "stop"))
        line = json.dumps({"key": key, "answer": reply, "finish": reply.finish}, ensure_ascii=False) + "\n"
        with self.lock, open(self.path, "ab") as file:
            file.write(line.encode())
            self.known[key] = reply


def key_of(*parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class FileModel:
    """The answers in a file, of one task and one model if it has several.  An answer is a text, a list of
    texts (one to each turn of a dialogue, whose id is asked for as often), or {"text"}; null beside a
    "failure" is a Failure.  With `partial`, there may be answers that nobody asks for; with `named`, the
    model has to be that of the file even if there is but one."""
    gives_logp = False

    def __init__(self, path, task="", model="", partial=False, named=False):
        self.path, self.partial, self.answers = path, partial, {}        # id -> (line, replies)
        records = [(line, r) for line, r in read_jsonl(path) if not task or r.get("task", task) == task]
        models = sorted({str(record.get("model", "")) for _, record in records})
        if model not in models and (len(models) > 1 or named and models not in ([], [""])):
            raise ValueError(f"{path}: answers of the models {', '.join(models)}; name one of them, not "
                             f"{model!r}")
        for line, record in records:
            if len(models) > 1 and str(record.get("model", "")) != model:
                continue
            name, answer, finish = record.get("id"), record.get("answer"), record.get("finish", "")
            if not isinstance(name, (str, int)):
                raise ValueError(f"{path}:{line}: no 'id' (found {sorted(record)}); "
                                 "give that of the test record")
            name = str(name)
            if name in self.answers:
                raise ValueError(f"{path}:{line}: id {name!r} is in line {self.answers[name][0]} as well; "
                                 "keep one answer")
            texts = answer if isinstance(answer, list) else \
                [answer.get("text") if isinstance(answer, dict) else answer]
            if not all(isinstance(text, str) or text is None and record.get("failure") for text in texts):
                raise ValueError(f"{path}:{line}: 'answer' is {str(answer)[:80]!r}; it must be a text, a "
                                 "list of texts for a dialogue, or null with a 'failure' that says why")
            finish = finish if isinstance(finish, list) else [finish] * len(texts)
            if len(finish) != len(texts) or not all(isinstance(end, str) for end in finish):
                raise ValueError(f"{path}:{line}: 'finish' is {str(finish)[:80]!r}; it must say why each "
                                 "answer ended, stop or length, or be absent")
            self.answers[name] = line, [Failure(str(record["failure"])) if text is None else Reply(text, end)
                                        for text, end in zip(texts, finish)]

    def knows(self, ids):
        return all(name in self.answers for name in ids)

    def replies(self, dialogues, ids):
        asked = Counter(ids)
        if missing := [name for name in asked if name not in self.answers]:
            raise ValueError(f"{self.path}: no answer to {len(missing)} of {len(asked)} records, "
                             f"the first has id {missing[0]!r}; answer all of them")
        for name, (line, replies) in self.answers.items():
            if name not in asked and not self.partial:
                raise ValueError(f"{self.path}:{line}: id {name!r} is that of no test record; "
                                 "answers and records must come from the same test set")
            if name in asked and asked[name] != len(replies):
                raise ValueError(f"{self.path}:{line}: {len(replies)} answers of id {name!r}, which has "
                                 f"{asked[name]}; give one to each turn of a dialogue, as a list")
        left = {name: iter(self.answers[name][1]) for name in asked}
        return [next(left[name]) for name in ids]
