"""Dialogues to tokens to batches: what is scored, what is cut, what order, what is refused at the border."""
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import train_sft
from clinicalgpt import dataset
from clinicalgpt.dataset import (
    Example,
    batch_of_step,
    fit,
    load_dialogues,
    load_preferences,
    load_prompts,
    micro_batches,
    pack,
    steps_per_epoch,
)
from clinicalgpt.template import Template, encode_dialogue
from clinicalgpt.tokenizer import load_tokenizer
from tests.reference import close, examples, tiny_model


def say(*contents, first="user"):
    """Messages by turns."""
    roles = ("user", "assistant") if first == "user" else ("assistant", "user")
    return [{"role": roles[i % 2], "content": content} for i, content in enumerate(contents)]


TALK = say("my head hurts", "since when ?", "since monday", "it is influenza .")


def answers_of(tokenizer, ids, answer):
    """The texts of the runs of answer tokens; each run ends with the end token, which is left off."""
    texts, run = [], []
    for token, is_answer in zip([*ids, 0], [*answer, False], strict=True):
        if is_answer:
            run.append(token)
        elif run:
            assert run[-1] == tokenizer.eos_id and tokenizer.eos_id not in run[:-1]
            texts.append(tokenizer.decode(run))
            run = []
    return texts


def check_mask(tokenizer, encode):
    """Only what the assistant says, and the end token after it, is scored; the text is the template's."""
    system = {"role": "system", "content": "be brief </s> please"}
    opened = say("I am a doctor", "who ?", "me", first="assistant")
    for messages in (say("hello", "hi"), TALK, [system, *TALK], opened):
        ids, answer = encode(tokenizer, Template(), messages)
        spoken = [message["content"] for message in messages if message["role"] == "assistant"]
        assert answers_of(tokenizer, ids, answer) == spoken
        assert ids.count(tokenizer.eos_id) == len(spoken)
        assert tokenizer.decode(ids) == "".join(text for text, _ in Template().parts(messages))
    ids, _ = encode(tokenizer, Template(), TALK)
    assert tokenizer.decode(ids) == ("User:\nmy head hurts\nAssistant:\nsince when ?\nUser:\nsince monday\n"
                                     "Assistant:\nit is influenza .")


def test_only_the_assistant_is_scored(tokenizer):
    check_mask(tokenizer, encode_dialogue)

    def everything(*args):
        ids, _ = encode_dialogue(*args)
        return ids, [True] * len(ids)

    def without_ends(*args):
        ids, answer = encode_dialogue(*args)
        return ids, [a and i != tokenizer.eos_id for i, a in zip(ids, answer, strict=True)]
    for buggy in (everything, without_ends):
        with pytest.raises(AssertionError):
            check_mask(tokenizer, buggy)


def test_training_and_generation_see_the_same_prompt(tokenizer, jsonl):
    """[#32, #33] The ids before an answer are the same in SFT, preferences and PPO, earlier turns and all."""
    path = jsonl({"messages": TALK})
    (trained,), _ = load_dialogues([path], tokenizer, Template(), 500)
    prompt, = load_prompts([path], tokenizer, Template(), 500)
    ranked = jsonl({"messages": TALK[:-1], "chosen": TALK[-1]["content"], "rejected": "no idea"})
    (ranking,), _ = load_preferences([ranked], tokenizer, Template(), 500)
    best, worst = ranking.examples
    n = len(prompt.ids)
    assert trained.ids[:n] == prompt.ids == best.ids[:n] == worst.ids[:n]
    assert all(trained.answer[n:]) and not any(trained.answer[n - 3:n])
    assert best.ids == trained.ids and ranking.kinds == ["rank1", "rank2"] and not any(prompt.answer)
    assert tokenizer.decode(prompt.ids).count("User:") == 2


def test_pack():
    """Answers are tokens 2 and 3 of the first and both of the second, whose first nothing foretells."""
    rows = examples([(2, 2), (0, 2)])
    batch = pack(rows)
    assert batch.ids_N.tolist() == rows[0].ids + rows[1].ids and batch.lengths == [4, 2]
    assert batch.scored_M.tolist() == [2, 3, 5] and batch.state_M.tolist() == [1, 2, 4]
    assert batch.target_M.tolist() == [*rows[0].ids[2:], rows[1].ids[1]] and batch.last_B.tolist() == [3, 5]


def test_answers_share_their_prompt():
    """Answers 7, 8 and 9 to the prompt 4, 5: its tokens are there once, and stand at places 0, 1 and 4, 5.
    Another record with the same beginning shares nothing."""
    record = {}
    rows = [Example([4, 5, 7, 8], [False, False, True, True], record),
            Example([4, 5, 9], [False, False, True], record), Example([4, 6], [False, True], {})]
    batch = pack(rows)
    assert batch.ids_N.tolist() == [4, 5, 7, 8, 9, 4, 6] and batch.lengths == [4, 3, 2]
    assert batch.token_E.tolist() == [0, 1, 2, 3, 0, 1, 4, 5, 6]
    assert batch.place_N.tolist() == [0, 1, 2, 3, 6, 7, 8]
    assert batch.scored_M.tolist() == [2, 3, 6, 8] and batch.state_M.tolist() == [1, 2, 1, 5]
    assert batch.target_M.tolist() == [7, 8, 9, 6] and batch.last_B.tolist() == [3, 4, 6]


def test_tokens_are_kept(tokenizer, jsonl, tmp_path, monkeypatch):
    """The same examples with and without the folder of tokens; they are made again when what they depend on
    changes, and only then."""
    path, cache, calls = jsonl({"messages": TALK}, {"messages": say("x", "y")}), tmp_path / "tokens", []

    def counted(*args):
        calls.append(args)
        return encode_dialogue(*args)
    monkeypatch.setattr(dataset, "encode_dialogue", counted)

    def load(max_len=500, template=None, paths=(path,)):
        calls.clear()
        return load_dialogues(paths, tokenizer, template or Template(), max_len, cache)
    examples, too_long = load_dialogues([path], tokenizer, Template(), 500)
    for made in (2, 0):
        again = load()
        assert (list(again[0]), again[1]) == (list(examples), too_long) and len(calls) == made
    assert list(load(paths=[path, path])[0]) == 2 * list(examples) and not calls
    assert load(max_len=40)[1] == 0 and len(calls) == 2
    assert list(load(template=Template(user="Q: {content}\n"))[0]) != list(examples) and len(calls) == 2
    path.write_text(path.read_text() + "\n" + path.read_text())
    assert len(load()[0]) == 4 and len(calls) == 4
    shutil.copytree(tokenizer.folder, tmp_path / "other")
    monkeypatch.setattr(tokenizer, "folder", tmp_path / "other")
    for file in ("tokenizer_config.json", "config.json"):               # which may name the family
        assert load() and not calls
        (tmp_path / "other" / file).write_text("{ }")
        assert load() and len(calls) == 4
    for kept in cache.iterdir():
        kept.write_bytes(b"x")
    with pytest.raises(ValueError, match="cannot be read .*; delete it"):
        load()


# ---- truncation ------------------------------------------------------------------------------------------

def check_fit(fn):
    """[#30, #41] The newest tokens stay, and the one that begins every sequence where there is one.  Of two
    answers, 2-4 and 7-9, the first is scored whole or not, and with a token of its question before it."""
    ids, answer = list(range(10)), [False] * 2 + [True] * 3 + [False] * 2 + [True] * 3
    for template, first in ((Template(), []), (Template(start="<s>"), [0])):
        for max_len in range(4 + len(first), 10):
            kept, scored = fn(ids, answer, max_len, template)
            start = 10 - max_len + len(first)
            assert kept == first + ids[start:] and len(scored) == len(kept) == max_len
            expected = [2, 3, 4, 7, 8, 9] if start < 2 else [7, 8, 9]
            assert [i for i, is_scored in zip(kept, scored, strict=True) if is_scored] == expected
        assert fn(ids, answer, 10, template) == (ids, answer)
    assert fn(ids, answer, 2, Template()) == ([8, 9], [False, False]) and sum(answer) == 6


def test_truncation():
    check_fit(fit)
    for buggy in (lambda ids, answer, n, template: (ids[:n], answer[:n]),
                  lambda ids, answer, n, template: (ids[-n:], answer[-n:]),
                  lambda ids, answer, n, template: fit(ids, answer, n, Template())):
        with pytest.raises(AssertionError):
            check_fit(buggy)


def test_long_records(tokenizer, jsonl):
    """[#30, #41] Dialogues end as they did, prompts with the cue; answers beyond --max-len are left out."""
    ids, _ = encode_dialogue(tokenizer, Template(), TALK)
    path = jsonl({"messages": TALK}, {"messages": say("hello", "well " * 200)})
    examples, too_long = load_dialogues([path], tokenizer, Template(), 40)
    (example,) = examples
    assert example.ids == ids[-40:] and (examples.cut, too_long) == (1, 1)
    assert load_dialogues([path], tokenizer, Template(), len(ids))[0].cut == 0
    assert answers_of(tokenizer, example.ids, example.answer)[-1] == "it is influenza ."
    prompt = load_prompts([path], tokenizer, Template(), 20)[0]
    assert len(prompt.ids) == 20 and tokenizer.decode(prompt.ids).endswith("since monday\nAssistant:\n")
    path = jsonl({"messages": say("long " * 100), "answers": ["yes", "no"]},
                 {"messages": say("a"), "answers": ["b" * 99, "c"]})
    (ranking,), left_out = load_preferences([path], tokenizer, Template(), 30)
    best, worst = ranking.examples
    assert answers_of(tokenizer, best.ids, best.answer) == ["yes"] and left_out == {"too long": 1}
    assert answers_of(tokenizer, worst.ids, worst.answer) == ["no"]
    assert max(len(best.ids), len(worst.ids)) == 30
    assert best.ids[:best.answer.index(True)] == worst.ids[:worst.answer.index(True)]      # one cut for both
    with pytest.raises(ValueError, match=r"no preference .* --max-len 3 \(left out: {'too long': 2}\)"):
        load_preferences([path], tokenizer, Template(), 3)


def test_what_cannot_be_ranked(tokenizer, jsonl):
    """[#42] One text at two ranks, and answers all of one rank, are left out and counted; ties are kept."""
    path = jsonl({"messages": say("a"), "chosen": "x", "rejected": "x"},
                 {"messages": say("a"), "answers": ["x", "y"], "ranks": [2, 2]},
                 {"messages": say("a"), "answers": ["x", "y", "z"], "ranks": [1, 1, 2.5]})
    (ranking,), left_out = load_preferences([path], tokenizer, Template(), 99)
    assert ranking.ranks == [1, 1, 2.5] and ranking.kinds == ["rank1", "rank1", "rank2.5"]
    assert left_out == {"the same answer twice": 1, "all of one rank": 1}


# ---- batches ---------------------------------------------------------------------------------------------

def check_budget(backward):
    """[#21, #35] Every cut into forward passes gives one loss and one gradient, in float64."""
    batch, results = examples([(3, 4), (1, 1), (10, 2), (2, 12), (5, 5)]), []
    for budget in (10_000, 20, 1):
        model = tiny_model()
        cfg = SimpleNamespace(micro_batch_tokens=budget)
        run = SimpleNamespace(cfg=cfg, device="cpu", autocast=nullcontext)
        loss, tokens = backward(model, batch, run)
        assert tokens == 24
        results.append([torch.tensor(loss).double(), *(parameter.grad for parameter in model.parameters())])
    for other in results[1:]:
        for ours, expected in zip(other, results[0], strict=True):
            close(ours, expected)


def mean_of_means(model, batch, run):
    parts = list(micro_batches(batch, run.cfg.micro_batch_tokens))
    loss = 0.0
    for part in parts:
        share = -model.score(pack(part))[0].mean() / len(parts)
        share.backward()
        loss += share.item()
    return loss, 24


def test_the_budget_changes_nothing():
    check_budget(train_sft.nll_backward)
    with pytest.raises(AssertionError):
        check_budget(mean_of_means)


def test_micro_batches():
    """Runs of at most 10 tokens, or of one item that has more, in order."""
    assert list(micro_batches([4, 6, 1, 30, 5, 5, 5], 10, lambda n: n)) == [[4, 6], [1], [30], [5, 5], [5]]
    assert list(micro_batches([], 10, len)) == []


def check_order(fn):
    """A function of seed and step; every epoch has each item once, in an order of its own."""
    epochs = [[i for step in range(4 * e, 4 * e + 4) for i in fn(10, 3, 7, step)] for e in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert fn(10, 3, 7, 5) == fn(10, 3, 7, 5) and fn(50, 9, 7, 0) != fn(50, 9, 8, 0)
    assert [len(fn(10, 3, 7, step)) for step in range(4)] == [3, 3, 3, 1]


def test_order():
    assert [steps_per_epoch(n, 3) for n in (1, 3, 4, 10)] == [1, 1, 2, 4]
    check_order(batch_of_step)
    for buggy in (lambda n, size, seed, step: batch_of_step(n, size, seed, step % 4),
                  lambda n, size, seed, step: batch_of_step(n, size, seed + step, step),
                  lambda n, size, seed, step: torch.randperm(n)[:size].tolist()):
        with pytest.raises(AssertionError):
            check_order(buggy)


# ---- the border ------------------------------------------------------------------------------------------

OK = {"messages": say("hello", "hi")}


@pytest.mark.parametrize("load, record, says", [
    (load_dialogues, {"messages": [{"role": "docter", "content": "x"}]}, "unknown role 'docter'; roles are"),
    (load_dialogues, {"messages": ["hello"]}, "unknown role 'hello'"),
    (load_dialogues, {"messages": say("hello")}, "no assistant message"),                         # [#34]
    (load_dialogues, {"messages": say("hello", " ")}, "assistant message without text"),
    (load_dialogues, {"messages": [{"role": "user"}]}, "user message without text"),
    (load_dialogues, {"question": "x", "answer": "y"}, r"no 'messages' list \(found \['answer'"),
    (load_dialogues, {"messages": []}, "no 'messages' list"),
    (load_dialogues, '{"messages": [', "not a JSON line"),
    (load_dialogues, "[1, 2]", "a list, not a JSON object"),
    (load_prompts, {"messages": say("a", "b", first="assistant")[:1]}, "must be the user's"),
    (load_prompts, {"messages": [{"role": "system", "content": "x"}]}, "the last message is the system's"),
    (load_preferences, {"messages": say("a"), "answers": ["x", "y"], "ranks": [2, 1]}, "'ranks' are not 2"),
    (load_preferences, {"messages": say("a"), "answers": ["x", "y"], "ranks": [1]}, "'ranks' are not 2"),
    (load_preferences, {"messages": say("a"), "answers": ["x", "y"], "ranks": ["1", "2"]}, "'ranks' are not"),
    (load_preferences, {"messages": say("a"), "answers": ["x"]}, "neither 'answers'"),
    (load_preferences, {"messages": say("a"), "chosen": "x"}, "neither 'answers'"),
    (load_preferences, {"messages": say("a"), "chosen": "x", "rejected": " "}, "without text"),
    (load_preferences, {"messages": say("a"), "answers": ["x", "y"], "meta": {"kinds": ["a"]}}, "'kinds'"),
    (load_preferences, {"messages": say("a"), "answers": ["x", "y"], "meta": None}, "'meta'"),
    (load_preferences, {"messages": say("a", "b"), "chosen": "x", "rejected": "y"}, "is the assistant's")])
def test_errors_name_file_and_line(tokenizer, jsonl, load, record, says):
    fine = {**OK, "messages": OK["messages"][:1], "answers": ["x", "y"]} if load is load_preferences else OK
    path = jsonl(fine, "", record)
    with pytest.raises(ValueError, match=says) as error:
        load([path], tokenizer, Template(), 100)
    assert str(error.value).startswith(f"{path}:3: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("load", [load_dialogues, load_prompts, load_preferences])
def test_files_without_records(tokenizer, jsonl, tmp_path, load):
    with pytest.raises(ValueError, match="records.jsonl: no "):
        load([jsonl()], tokenizer, Template(), 100)
    with pytest.raises(FileNotFoundError, match="nowhere.jsonl: no such file"):
        load([tmp_path / "nowhere.jsonl"], tokenizer, Template(), 100)


def test_tokenizer(tokenizer, tmp_path):
    """Any text survives, and text never makes a special token."""
    for text in ("", " two  spaces ", "</s><s>", "流感 ☃ émoji", "line\nline\n", "User:\n"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert not {0, 1, 2, 3} & set(tokenizer.encode(text))
    (tmp_path / "tokenizer.model").write_bytes(b"not a model")
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        load_tokenizer(tmp_path)


def test_template_on_disk(tmp_path):
    template, path = Template(user="Q: {content}\n", cue="A: "), tmp_path / "template.json"
    template.save(path)
    assert Template.load(path) == template
    path.write_text('{"usr": "x"}')
    with pytest.raises(ValueError, match="not a template"):
        Template.load(path)


@pytest.fixture
def run_folder(tokenizer, tmp_path):
    """What open_words reads of a finished run."""
    folder = tmp_path / "run"
    (folder / "model").mkdir(parents=True)
    tokenizer.save(folder / "model")
    Template().save(folder / "template.json")
    return folder


def test_a_look_at_the_mask(run_folder, jsonl, capsys):
    """All of the text, the answer and its end in brackets, and in colour green; a token's bytes together."""
    path = jsonl({"messages": say("hello", "hi 龘")}, {"messages": say("hello"), "answers": ["hi", "who ?"]})
    dataset.show([str(path), "--base", str(run_folder), "--records", "2"])
    out = capsys.readouterr().out
    assert out.count("[[") == 3 and "龘" in out and "\ufffd" not in out
    unmarked = out.replace("|", "")
    assert "User:\nhello\nAssistant:\n[[hi 龘</s>]]" in unmarked
    assert f"{path}:2: rank1, " in out and "[[hi</s>]]" in unmarked and "[[who ?</s>]]" in unmarked
    dataset.show([str(path), "--base", str(run_folder), "--colour"])
    out = capsys.readouterr().out
    green, grey = ("".join(re.findall(rf"\x1b\[{shade}(?:;4)?m(.*?)\x1b\[0m", out, re.S))
                   for shade in (32, 2))
    assert green == "hi 龘</s>" and grey == "User:\nhello\nAssistant:\n"
    for bad, says in (([str(path), "--line", "3"], "no record at line 3"), (["no.jsonl"], "no such file")):
        with pytest.raises((ValueError, OSError), match=says):
            dataset.show([*bad, "--base", str(run_folder)])


def test_the_look_shows_what_is_trained(run_folder, jsonl):
    """The tokens and the mask are those of load_dialogues and load_preferences."""
    tokenizer, template = dataset.open_words(run_folder)
    talk, ranked = {"messages": TALK}, {"messages": TALK[:1], "answers": ["since when ?", "no"]}
    (_, shown), = dataset.examples_of(talk, "here", tokenizer, template, 30)
    trained, = load_dialogues([jsonl(talk)], tokenizer, template, 30)[0]
    assert (shown.ids, pack([shown]).scored_M.tolist()) == (trained.ids, pack([trained]).scored_M.tolist())
    assert sum(shown.answer) == len(pack([shown]).scored_M)
    ranking = load_preferences([jsonl(ranked)], tokenizer, template, 64)[0][0]
    shown = list(dataset.examples_of(ranked, "here", tokenizer, template, 64))
    assert shown == [(kind, replace(example, record=ranked))
                     for kind, example in zip(ranking.kinds, ranking.examples, strict=True)]
