"""
Who answers: a model on this machine, one behind an endpoint, or a file of answers made elsewhere.  (Not here:
what is asked, see tasks.py; the network, endpoint.py; files of answers and the cache, answers.py.)

    name=tiny | name=FOLDER | name=FILE.jsonl[#model] | name=http(s)://host/v1#model

A speaker has replies(dialogues, ids), greedy, and gives_logp: whether it can say how likely a given
continuation is,
    logp(questions)    a question is (messages, cue, continuations): log p(continuation | messages, cue) of
                       each, the end of the answer not included.  All continuations of a question are read in
                       one pass that computes what they share once (dataset.pack).

What is made here is cached under the hash of the model's files, the prompt's tokens and the settings.
Batches are cut before the cache is asked, and one that lacks an answer is made as a whole: an evaluation that
was killed goes on with the same batches, and so to the same bits.
"""
import hashlib
import json
import re
from pathlib import Path

import torch
from tqdm import tqdm

from clinicalgpt.answers import FileModel, Reply, key_of
from clinicalgpt.dataset import Example, common_beginning, micro_batches, pack, reply_examples
from clinicalgpt.evaluation.endpoint import Endpoint
from clinicalgpt.files import read_json, sha256
from clinicalgpt.generate import generate
from clinicalgpt.run import device_of, dtype_of, open_run
from clinicalgpt.template import encode_dialogue, newest

URL = re.compile("https?://")
DIGITS = 4                                             # of a log p that is kept


class Speaker:
    """A model on this machine, with its tokenizer and template.  identity: what tells it from others."""
    gives_logp = True

    def __init__(self, model, tokenizer, template, cfg, label, cache=None, identity=""):
        self.model, self.tokenizer, self.template, self.cfg = model, tokenizer, template, cfg
        self.label, self.cache, self.end = label, cache, template.end_id(tokenizer)
        parameter = next(model.parameters())
        self.known_by = identity, str(parameter.dtype), parameter.device.type, self.end

    def replies(self, dialogues, ids=None):
        """A greedy Reply to each dialogue, in order."""
        prompts = [newest(encode_dialogue(self.tokenizer, self.template, d)[0], self.cfg.max_len,
                          self.template) for d in dialogues]
        order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
        size, longest = self.cfg.batch_size, self.cfg.max_new_tokens

        def make(rows):
            for new in generate(self.model, [prompts[i] for i in rows], longest, eos_id=self.end):
                finish = "stop" if new[-1:] == [self.end] else "length"
                yield Reply(self.tokenizer.decode(new).strip(), finish)
        return self.made([key_of(*self.known_by, longest, prompt) for prompt in prompts],
                         [order[start:start + size] for start in range(0, len(order), size)], make)

    @torch.no_grad()
    def logp(self, questions):
        """A list for each question, a number for each of its continuations; None where --max-len leaves the
        question no room."""
        groups = [self.scored(*question) for question in questions]
        places = [i for i, group in enumerate(groups) if group]

        def make(rows):
            examples = [example for i in rows for example in groups[i]]
            logp_M, _ = self.model.score(pack(examples, self.model.device))
            if logp_M.isnan().any():                            # the first option would be the likeliest
                raise ValueError(f"{self.label}: a log-probability is no number; the weights are damaged")
            sums = iter([share.sum().item() for share in logp_M.split([sum(e.answer) for e in examples])])
            for i in rows:
                yield Reply(json.dumps([round(next(sums), DIGITS) for _ in groups[i]]))
        batches = micro_batches(places, self.cfg.micro_batch_tokens,
                                lambda i: sum(map(len, groups[i])))
        keys = [key_of(*self.known_by, [[e.ids, sum(e.answer)] for e in group or ()]) for group in groups]
        made = self.made(keys, list(batches), make, {keys[i] for i in range(len(groups)) if not groups[i]})
        return [json.loads(reply) if reply else None for reply in made]

    def scored(self, messages, cue, continuations):
        """Examples of one record, so that they share the prompt; marked is what follows the cue's tokens."""
        record, texts = {}, [cue, *(cue + text for text in continuations)]
        examples = reply_examples(messages, texts, self.tokenizer, self.template, self.cfg.max_len, record)
        marked = []
        for example in examples[1:]:
            first = common_beginning([examples[0], example])
            end = len(example.ids) - example.answer[::-1].index(True) - 1
            marked.append(Example(example.ids, [first <= i < end for i in range(len(example.ids))], record))
        return marked

    def made(self, keys, batches, make, without=frozenset()):
        """What is known under each key, by the cache or from make(batch); None for keys in `without`."""
        known = dict.fromkeys(without)
        known |= {key: reply for key in keys if self.cache and (reply := self.cache.get(key)) is not None}
        batches = [batch for batch in batches if any(keys[i] not in known for i in batch)]
        for batch in tqdm(batches, desc=self.label, unit="batch", mininterval=1):
            for i, reply in zip(batch, make(batch)):
                if keys[i] not in known:
                    known[keys[i]] = reply
                    if self.cache:
                        self.cache.put(keys[i], reply)
        return [known[key] for key in keys]


def parse_source(source):
    """(what it is: folder, file or endpoint; where; the model's name there)."""
    where, _, model = source.partition("#")
    if URL.match(source):
        if not model:
            raise ValueError(f"{source}: name the model behind the endpoint: {where}#MODEL")
        return "endpoint", where, model
    if where.endswith(".jsonl"):
        return "file", where, model
    return "folder", source, ""


def open_endpoint(source, settings, cache, cfg, key_name, label):
    _, url, model = parse_source(source)
    return Endpoint(url, model, settings, cache, key_name, parallel=cfg.parallel, per_minute=cfg.per_minute,
                    progress=lambda done, total: tqdm(done, total=total, desc=label, unit="reply",
                                                      mininterval=1))


def open_speakers(name, source, tasks, cfg, cache, digests):
    """{task: who answers it for the model `name`}; the folder's hash is in digests."""
    kind, where, model = parse_source(source)
    if kind == "endpoint":
        settings = {"max_tokens": cfg.max_new_tokens, "seed": cfg.seed}
        return {task: open_endpoint(source, settings, cache, cfg, cfg.model_key, f"{name}: {task}")
                for task in tasks}
    if kind == "file":
        partial = len(tasks) > 1 or cfg.limit > 0
        return {task: FileModel(where, task, model or name, partial, named=bool(model)) for task in tasks}
    device = device_of(cfg.device)
    words = open_run(where, device, dtype_of(cfg.dtype, device), cfg.template)
    return {task: Speaker(*words, cfg, f"{name}: {task}", cache, digests[source]) for task in tasks}


def digest_of(folder):
    """sha256 of all that a model in a folder is: names and bytes of its files, and of what it stands on."""
    folder, hashed = Path(folder), hashlib.sha256()
    while True:
        part = next((folder / name for name in ("model", "adapter") if (folder / name).is_dir()), folder)
        beside = [folder / "template.json", folder / "head.safetensors"] if part != folder else []
        for path in [*sorted(part.iterdir()), *beside]:
            if path.is_file():
                hashed.update(f"{path.name} {sha256(path)}\n".encode())
        if part.name != "adapter":
            return hashed.hexdigest()
        folder = Path(read_json(folder / "config.json")["trunk"])
