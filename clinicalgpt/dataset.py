"""
JSON lines to training batches.
(Not here: converters of public releases, see data/; dialogues as tokens, see template.py.)

A record is {"id", "task", "messages": [{"role", "content"}, ...], "meta"}; a preference is {"messages",
"answers": [best, ..., worst]}, with "ranks" where some are as good as others, or {"messages", "chosen",
"rejected"}.  Every record is checked as it is read,
and what is wrong is said with file and line.

    python -m clinicalgpt.dataset FILE --base DIR       shows records as tokens, and which of them are scored

Order is a function of (seed, step) alone: to continue after a stop, a run needs to know its step and nothing
else.  A batch is examples laid end to end; it is cut into micro-batches by a budget of tokens, which changes
what fits into memory and never the gradient.

Letters: N tokens of a pack, E places of its B sequences, M of them scored (an answer's tokens).
"""

import argparse
import bisect
import hashlib
import itertools
import json
import os
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tqdm import tqdm

from clinicalgpt.files import read_jsonl
from clinicalgpt.template import ROLES, encode_dialogue, newest, open_words
from clinicalgpt.weights import save_tensors


@dataclass(frozen=True)
class Example:
    """A dialogue as tokens; answer[i] tells whether the assistant says token i."""
    ids: list
    answer: list
    record: dict

    def __len__(self):
        return len(self.ids)


@dataclass(frozen=True)
class Pack:
    """Sequences laid end to end: B of them, E places in all.  At place e stands token token_E[e] of the N
    tokens: answers to one prompt share its tokens, which are there once, first at the places place_N.  The
    place scored_M[i] holds id target_M[i], which the hidden state of token state_M[i] foretells; last_B are
    the sequences' last tokens."""
    ids_N: torch.Tensor
    lengths: list
    token_E: torch.Tensor
    place_N: torch.Tensor
    scored_M: torch.Tensor

    @property
    def target_M(self):
        return self.ids_N[self.token_E[self.scored_M]]

    @property
    def state_M(self):
        return self.token_E[self.scored_M - 1]

    @property
    def last_B(self):
        return self.token_E[torch.tensor(self.lengths, device=self.ids_N.device).cumsum(0) - 1]


def pack(examples, device="cpu"):
    """Neighbours of one record, answers to one prompt, share the beginning that they have in common."""
    ids, token, place = [], [], []
    for _, siblings in itertools.groupby(examples, key=lambda example: id(example.record)):
        siblings = list(siblings)
        shared = common_beginning(siblings)
        beginning = range(len(ids), len(ids) + shared)
        place += range(len(token), len(token) + shared)
        ids += siblings[0].ids[:shared]
        for example in siblings:
            token += [*beginning, *range(len(ids), len(ids) + len(example.ids) - shared)]
            place += range(len(token) - len(example.ids) + shared, len(token))
            ids += example.ids[shared:]
    # A sequence's first token has nothing before it that could foretell it.
    answer = [is_answer and i > 0 for example in examples for i, is_answer in enumerate(example.answer)]
    return Pack(torch.tensor(ids, device=device), [len(example.ids) for example in examples],
                torch.tensor(token, device=device), torch.tensor(place, device=device),
                torch.tensor(answer, dtype=torch.bool).nonzero().squeeze(1).to(device))


def common_beginning(examples):
    """How many tokens all of them begin with."""
    return len(os.path.commonprefix([example.ids for example in examples]))


def fit(ids, answer, max_len, template):
    """The newest max_len tokens.  An answer that lost its beginning is no longer scored:
    it would be learned without its question."""
    if len(ids) <= max_len:
        return ids, answer
    ids, answer = newest(ids, max_len, template), newest(answer, max_len, template)
    first = 1 if template.start else 0
    orphaned = answer.index(False, first) if False in answer[first:] else max_len
    answer[:orphaned] = [False] * orphaned
    return ids, answer


def check_messages(record, where, ends_with=None):
    """Raise ValueError unless record["messages"] is a dialogue that a template can render."""
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError(f"{where}: no 'messages' list (found {sorted(record)}); "
                         "data/README.md describes the format")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            role = message.get("role") if isinstance(message, dict) else message
            raise ValueError(f"{where}: unknown role {role!r}; roles are {', '.join(ROLES)}")
        if not isinstance(message.get("content"), str) or not message["content"].strip():
            raise ValueError(f"{where}: a {message['role']} message without text; "
                             "give it some, or drop the record")
    if not isinstance(record.get("meta", {}), dict):
        raise ValueError(f"{where}: 'meta' is not an object; data/README.md describes the format")
    if ends_with and messages[-1]["role"] != ends_with:
        raise ValueError(f"{where}: the last message is the {messages[-1]['role']}'s; "
                         f"it must be the {ends_with}'s")


class Shards(Sequence):
    """Examples kept as flat tensors, a shard a file: {"ids": (N,) int32, "answer": (N,) bool, "ends": (B,)}.
    They become lists when they are asked for, so a million dialogues take five bytes a token.  `cut` of them
    have lost their beginning."""

    def __init__(self, shards):
        self.shards = shards
        self.counts = list(itertools.accumulate(len(shard["ends"]) for shard in shards))
        self.cut = sum(int(shard["cut"]) for shard in shards)

    def __len__(self):
        return self.counts[-1]

    def __getitem__(self, i):
        if not 0 <= i < len(self):
            raise IndexError(i)
        number = bisect.bisect_right(self.counts, i)
        shard, row = self.shards[number], i - (self.counts[number - 1] if number else 0)
        tokens = slice(int(shard["ends"][row - 1]) if row else 0, int(shard["ends"][row]))
        return Example(shard["ids"][tokens].tolist(), shard["answer"][tokens].tolist(), {})


def load_dialogues(paths, tokenizer, template, max_len, cache=""):
    """Examples from JSON-lines files, with an answer to learn from in each, and the number left out as too
    long.  With `cache`, a folder, a file's tokens are kept there, and found again while neither the file nor
    the tokenizer, template or max_len changes."""
    shards = []
    for path in paths:
        if not cache:
            shards.append(_encode_file(path, tokenizer, template, max_len))
            continue
        kept = Path(cache) / f"{_fingerprint(path, tokenizer, template, max_len)}.safetensors"
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            aside = kept.with_name(f".{kept.name}.{os.getpid()}.tmp")
            save_tensors(_encode_file(path, tokenizer, template, max_len), aside)
            os.replace(aside, kept)
        try:
            shards.append(load_file(kept))
        except SafetensorError as error:
            raise ValueError(f"{kept}: cannot be read ({error}); delete it, it will be made anew") from None
    too_long, examples = sum(int(shard["too_long"]) for shard in shards), Shards(shards)
    if not len(examples):
        why = f"{too_long} longer than {max_len} tokens" if too_long else "it is empty"
        raise ValueError(f"{', '.join(map(str, paths))}: no record to learn from ({why})")
    return examples, too_long


def _encode_file(path, tokenizer, template, max_len):
    ids, answers, ends, too_long, cut = array("i"), bytearray(), array("q"), 0, 0
    for line, record in tqdm(read_jsonl(path), desc=f"tokens of {Path(path).name}", unit=" records",
                             leave=False, mininterval=1, delay=2):
        where = f"{path}:{line}"
        check_messages(record, where)
        if not any(message["role"] == "assistant" for message in record["messages"]):
            remedy = ("train_reward.py reads ranked answers" if {"answers", "chosen"} & record.keys() else
                      "add the answer or drop the record")
            raise ValueError(f"{where}: no assistant message, so nothing to learn from; {remedy}")
        for messages in template.lessons(record["messages"]):
            whole = encode_dialogue(tokenizer, template, messages)
            tokens, answer = fit(*whole, max_len, template)
            if any(answer[1:]):
                cut += len(tokens) < len(whole[0])
                ids.extend(tokens)
                answers.extend(answer)
                ends.append(len(ids))
            else:
                too_long += 1
    return {"ids": torch.tensor(np.asarray(ids)), "ends": torch.tensor(np.asarray(ends)),
            "answer": torch.tensor(np.frombuffer(answers, np.bool_)), "too_long": torch.tensor(too_long),
            "cut": torch.tensor(cut)}


def _fingerprint(path, tokenizer, template, max_len):
    """Changes with whatever a file's tokens depend on, the code that makes them included."""
    hashed = hashlib.sha256(json.dumps([asdict(template), max_len]).encode())
    code = (Path(__file__).with_name(f"{name}.py") for name in
            ("bpe", "dataset", "patterns", "template", "tokenizer"))
    family = [file for file in [tokenizer.folder / "config.json"] if file.is_file()]
    for file in (path, *tokenizer.files(), *family, *code):
        try:
            with open(file, "rb") as opened:
                hashed.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError:
            raise FileNotFoundError(f"{file}: no such file") from None
    return hashed.hexdigest()[:32]


def load_prompts(paths, tokenizer, template, max_len):
    """Dialogues up to the assistant's next turn (its answer, where the record has one, is left off):
    Examples with nothing scored."""
    prompts = []
    for path in paths:
        for line, record in read_jsonl(path):
            check_messages(record, f"{path}:{line}")
            messages = record["messages"]
            if messages[-1]["role"] == "assistant" and len(messages) > 1:
                messages = messages[:-1]
            check_messages({"messages": messages}, f"{path}:{line}", ends_with="user")
            ids = newest(encode_dialogue(tokenizer, template, messages)[0], max_len, template)
            prompts.append(Example(ids, [False] * len(ids), record))
    if not prompts:
        raise ValueError(f"{', '.join(map(str, paths))}: no prompts")
    return prompts


def ranked_answers(record, where):
    """(answers from best to worst, their kinds, their ranks) of a preference record."""
    check_messages(record, where)
    answers = record.get("answers", [record.get("chosen"), record.get("rejected")])
    if not isinstance(answers, list) or len(answers) < 2 \
            or not all(isinstance(answer, str) for answer in answers):
        raise ValueError(f"{where}: neither 'answers' (two texts or more, best first) "
                         "nor 'chosen' and 'rejected'")
    check_messages(record, where, ends_with="user")
    if not all(answer.strip() for answer in answers):
        raise ValueError(f"{where}: an answer without text; drop it")
    ranks = record.get("ranks", list(range(1, len(answers) + 1)))
    if not isinstance(ranks, list) or len(ranks) != len(answers) \
            or not all(type(rank) in (int, float) and abs(rank) < 1e15 for rank in ranks) \
            or ranks != sorted(ranks):
        raise ValueError(f"{where}: 'ranks' are not {len(answers)} numbers, rising from the best answer's; "
                         "equal numbers are ties")
    kinds = record.get("meta", {}).get("kinds", [f"rank{rank:g}" for rank in ranks])
    if not isinstance(kinds, list) or len(kinds) != len(answers):
        raise ValueError(f"{where}: meta's 'kinds' are not one for each of the {len(answers)} answers")
    return answers, kinds, ranks


@dataclass(frozen=True)
class Ranking:
    """A prompt's answers from best to worst.  Equal ranks are ties; kinds say what the answers are."""
    examples: list
    kinds: list
    ranks: list


def load_preferences(paths, tokenizer, template, max_len):
    """(Rankings, {why: how many were left out}).  A prompt that is too long for its longest answer loses its
    beginning, and the same for all of its answers; answers lose nothing.  Left out is what cannot be ranked:
    an answer that leaves the prompt no room, all ranks equal, one text at two ranks."""
    rankings, left_out = [], Counter()
    for path in paths:
        for line, record in read_jsonl(path):
            answers, kinds, ranks = ranked_answers(record, f"{path}:{line}")
            examples = reply_examples(record["messages"], answers, tokenizer, template, max_len, record)
            why = ("the same answer twice" if len(set(answers)) < len(answers) else
                   "all of one rank" if ranks[0] == ranks[-1] else "" if examples else "too long")
            if why:
                left_out[why] += 1
            else:
                rankings.append(Ranking(examples, kinds, ranks))
    if not rankings:
        raise ValueError(f"{', '.join(map(str, paths))}: no preference to learn from at --max-len {max_len} "
                         f"(left out: {dict(left_out) or 'none, the files are empty'})")
    return rankings, left_out


def reply_examples(messages, replies, tokenizer, template, max_len, record):
    """Examples of a dialogue with each of these replies, the replies' tokens marked.  All keep the same part
    of a prompt that is too long; none at all where the longest reply leaves it no room."""
    encoded = [encode_dialogue(tokenizer, template, [*messages, {"role": "assistant", "content": reply}])
               for reply in replies]
    said = [answer[::-1].index(False) if False in answer else len(ids) for ids, answer in encoded]
    room = max_len - max(said)
    if room < (2 if template.start else 1):
        return []
    prompts = [newest(ids[:len(ids) - n], room, template) for (ids, _), n in zip(encoded, said)]
    return [Example(prompt + ids[len(ids) - n:], [False] * len(prompt) + [True] * n, record)
            for prompt, (ids, _), n in zip(prompts, encoded, said)]


def batch_of_step(count, batch_size, seed, step, whole=False):
    """Indices of the items that optimizer step `step` (from 0) sees:
    epochs of `count` items, each in its own order by seed; whole: without an epoch's last, smaller batch."""
    per_epoch = count // batch_size if whole else steps_per_epoch(count, batch_size)
    epoch, turn = divmod(step, per_epoch)
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return order[turn * batch_size:(turn + 1) * batch_size].tolist()


def steps_per_epoch(count, batch_size):
    return -(-count // batch_size)


def micro_batches(items, budget, tokens=len):
    """Cut items into consecutive runs of at most `budget` tokens each (one item at least);
    tokens(item) counts."""
    run, used = [], 0
    for item in items:
        if run and used + tokens(item) > budget:
            yield run
            run, used = [], 0
        run.append(item)
        used += tokens(item)
    if run:
        yield run


# ---- a look at the mask ----------------------------------------------------------------------------------

SHADES = {False: ("\x1b[2m", "\x1b[2;4m"), True: ("\x1b[32m", "\x1b[32;4m")}       # by turns
PLAIN = "\x1b[0m"


def examples_of(record, where, tokenizer, template, max_len):
    """(what it is, Example) of each sequence that training makes of a record."""
    check_messages(record, where)
    if "answers" in record or "chosen" in record:
        answers, kinds, _ = ranked_answers(record, where)
        examples = reply_examples(record["messages"], answers, tokenizer, template, max_len, record)
        yield from zip(kinds, examples)
    else:
        for messages in template.lessons(record["messages"]):
            ids, answer = fit(*encode_dialogue(tokenizer, template, messages), max_len, template)
            scored = [is_answer and i > 0 for i, is_answer in enumerate(answer)]
            yield "dialogue", Example(ids, scored, record)


def words_of(example, tokenizer):
    """(text, tokens, scored) by turns: of one token, or of some that make a character only together."""
    run = []
    for i, (token, scored) in enumerate(zip(example.ids, example.answer)):
        run.append(token)
        added = tokenizer.added.get(token)
        text = added.content if added else tokenizer.decode(run, len(run) > i)
        if "\ufffd" not in text or len(run) == 4 or [scored] != example.answer[i + 1:i + 2]:
            yield text, len(run), scored
            run = []


def marked(example, tokenizer, colour):
    """The example as text: in colour, or with a bar between tokens and brackets around what is scored."""
    if colour:
        return "".join(f"{SHADES[scored][i % 2]}{text}{PLAIN}"
                       for i, (text, _, scored) in enumerate(words_of(example, tokenizer)))
    runs = itertools.groupby(words_of(example, tokenizer), key=lambda word: word[2])
    return "".join(f"[[{text}]]" if scored else text for scored, run in runs
                   for text in ["|".join(text for text, _, _ in run)])


def show(argv=None):
    """Print records as a model learns them: a token a shade or between bars, what is scored in green or in
    [[brackets]]."""
    parser = argparse.ArgumentParser(prog="python -m clinicalgpt.dataset", description=show.__doc__)
    parser.add_argument("file", type=Path, help="JSON lines: dialogues or preferences")
    parser.add_argument("--base", required=True, type=Path, help="model folder or run, for its tokenizer")
    parser.add_argument("--template", default="auto", help="auto, plain, chatml or llama3")
    parser.add_argument("--line", type=int, default=1, help="the first line to show")
    parser.add_argument("--records", type=int, default=1, help="how many to show")
    parser.add_argument("--max-len", type=int, default=1024, help="tokens of a sequence, as in training")
    parser.add_argument("--colour", action=argparse.BooleanOptionalAction, default=sys.stdout.isatty())
    args = parser.parse_args(argv)
    tokenizer, template = open_words(args.base, args.template)
    records = ((line, record) for line, record in read_jsonl(args.file) if line >= args.line)
    shown = list(itertools.islice(records, args.records))
    for line, record in shown:
        for kind, example in examples_of(record, f"{args.file}:{line}", tokenizer, template, args.max_len):
            print(f"{args.file}:{line}: {kind}, {len(example.ids)} tokens, {sum(example.answer)} scored")
            print(marked(example, tokenizer, args.colour), "\n")
    if not shown:
        raise ValueError(f"{args.file}: no record at line {args.line} or behind it")


if __name__ == "__main__":
    try:
        show()
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
