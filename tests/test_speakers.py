"""Who answers: log-probabilities against the full forward, the cache, and what a command line may name."""
import json
import math
from types import SimpleNamespace

import pytest
import torch

from clinicalgpt.answers import Cache, Reply
from clinicalgpt.dataset import pack
from clinicalgpt.evaluation import speakers
from clinicalgpt.evaluation.speakers import Speaker, digest_of, open_speakers, parse_source
from clinicalgpt.evaluation.tasks import answer_exam
from clinicalgpt.template import Template, encode_dialogue
from evaluate import EvalConfig
from tests.reference import tiny_model


@pytest.fixture
def speaker(tokenizer):
    def make(cache=None, identity="", **settings):
        model = tiny_model(vocabulary=tokenizer.vocabulary)
        cfg = EvalConfig(**{"micro_batch_tokens": 60, "batch_size": 2, "max_new_tokens": 5, **settings})
        return Speaker(model, tokenizer, Template(), cfg, "test", cache, identity)
    return make


def ask(text):
    return [{"role": "user", "content": text}]


QUESTIONS = [(ask("fever?"), "Answer: ", ["A", "B", "influenza", "influenza and a cough"]),
             (ask("a cough and a fever"), "Answer: ", ["A", "B"]),
             (ask("流感有什么症状？"), "答案：", ["发热", "咳嗽", "发热、咳嗽"])]


def by_full_forward(speaker, messages, cue, text):
    """Sum of log p of the answer's tokens that are not also the cue's own, its end left out."""
    (ids, answer), (alone, _) = (
        encode_dialogue(speaker.tokenizer, Template(), [*messages, {"role": "assistant", "content": content}])
        for content in (cue + text, cue))
    first = next(i for i, (one, other) in enumerate(zip(ids, alone)) if one != other)
    table = speaker.model.logits([ids])[0].double().log_softmax(-1)
    return math.fsum(table[i - 1, ids[i]].item() for i in range(first, len(ids) - 1) if answer[i])


def check_logp(speaker):
    for question, logps in zip(QUESTIONS, speaker.logp(QUESTIONS), strict=True):
        messages, cue, texts = question
        expected = [by_full_forward(speaker, messages, cue, text) for text in texts]
        assert logps == pytest.approx(expected, abs=2e-4)


def test_log_probabilities_equal_the_sum_over_the_full_forward(speaker):
    check_logp(speaker())
    check_logp(speaker(micro_batch_tokens=1))
    check_logp(speaker(micro_batch_tokens=100000))


def test_the_check_of_log_probabilities_has_teeth(speaker, monkeypatch):
    monkeypatch.setattr(speakers, "common_beginning", lambda examples: 1)      # the prompt counts
    with pytest.raises(AssertionError):
        check_logp(speaker())


def test_options_of_a_question_share_its_tokens(speaker):
    """Told of one record, pack computes the prompt once: 4 continuations in fewer than 2 prompts' tokens."""
    examples = speaker().scored(ask("what are the symptoms of influenza ? " * 10), "Answer: ", list("ABCD"))
    assert len(pack(examples).ids_N) < 2 * len(examples[0].ids) and len(examples) == 4


def test_a_question_without_room_has_no_log_probabilities(speaker):
    long = (ask("fever?"), "Answer: ", ["A", "influenza " * 90])
    assert speaker(max_len=64).logp([long, QUESTIONS[1]])[0] is None
    record = {"id": "1", "messages": [*ask("fever?"), {"role": "assistant", "content": "x"}],
              "meta": {"options": {"A": "yes", "B": "influenza " * 90}, "answer": "A"}}
    answer, = answer_exam(speaker(max_len=64), [record], EvalConfig())
    assert set(answer) == {"text"}


def test_a_cache_answers_for_the_same_model_prompt_and_settings_alone(speaker, tmp_path):
    dialogues = [ask("fever?"), ask("a cough and a fever"), ask("hello")]
    cache = Cache(tmp_path / "cache.jsonl")
    first, logps = (one := speaker(cache, "m")).replies(dialogues), one.logp(QUESTIONS)
    assert first == speaker().replies(dialogues) and logps == speaker().logp(QUESTIONS)
    lines = (tmp_path / "cache.jsonl").read_text().count("\n")
    again = speaker(Cache(tmp_path / "cache.jsonl"), "m")
    again.model = None                                           # it is not asked
    assert again.replies(dialogues) == first and again.logp(QUESTIONS) == logps
    assert [reply.finish for reply in again.replies(dialogues)] == [reply.finish for reply in first]
    for changed in (speaker(cache, "another"), speaker(cache, "m", max_new_tokens=6)):
        changed.replies(dialogues)
    assert (tmp_path / "cache.jsonl").read_text().count("\n") == lines + 6


def test_a_batch_that_lacks_an_answer_is_made_whole(speaker, tmp_path):
    """So a killed evaluation meets the same batches again, and their bits."""
    dialogues, seen = [ask(word * 3) for word in ("fever ", "cough ", "rest ", "gout ")], []
    path = tmp_path / "cache.jsonl"
    whole = speaker(Cache(path), "m").replies(dialogues)
    path.write_text("".join(path.read_text().splitlines(True)[:3]))
    again = speaker(Cache(path), "m")
    generate = again.model.end_to_end
    again.model.end_to_end = lambda prompts: seen.append(len(prompts)) or generate(prompts)
    assert again.replies(dialogues) == whole and seen == [2]


def test_sources():
    assert parse_source("runs/sft") == ("folder", "runs/sft", "")
    assert parse_source("a/b.jsonl#sft") == ("file", "a/b.jsonl", "sft")
    assert parse_source("https://host:1/v1#org/m:2") == ("endpoint", "https://host:1/v1", "org/m:2")
    with pytest.raises(ValueError, match="name the model"):
        parse_source("http://host/v1")


def test_a_file_of_answers_is_opened_by_task_and_model(tmp_path):
    path = tmp_path / "answers.jsonl"
    lines = [{"task": task, "id": "1", "model": model, "answer": f"{task} {model}"}
             for task in ("qa", "exam") for model in ("x", "y")]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    speakers = open_speakers("old", f"{path}#y", ["qa", "exam"], EvalConfig(), None, {})
    assert speakers["exam"].replies([ask("?")], ["1"]) == ["exam y"]
    speakers = open_speakers("x", str(path), ["qa"], EvalConfig(), None, {})
    assert speakers["qa"].replies([ask("?")], ["1"]) == ["qa x"]
    path.write_text(json.dumps(lines[0]))
    with pytest.raises(ValueError, match="answers of the models x; name one of them, not 'y'"):
        open_speakers("old", f"{path}#y", ["qa"], EvalConfig(), None, {})
    assert open_speakers("old", str(path), ["qa"], EvalConfig(), None, {})["qa"].knows(["1"])


def test_weights_that_are_no_numbers_score_no_option(speaker):
    damaged = speaker()
    damaged.model.final_norm.weight.data.fill_(math.nan)
    with pytest.raises(ValueError, match="test: a log-probability is no number"):
        damaged.logp(QUESTIONS)


def test_the_hash_of_a_model_changes_with_its_weights_its_words_and_its_trunk(tmp_path, tokenizer):
    def base(name, seed):
        tiny_model(2, 16, torch.float32, tokenizer.vocabulary, seed=seed).save(tmp_path / name)
        tokenizer.save(tmp_path / name)
        return tmp_path / name

    def run(name, trunk):
        (tmp_path / name / "adapter").mkdir(parents=True)
        (tmp_path / name / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
        (tmp_path / name / "config.json").write_text(json.dumps({"trunk": str(trunk), "command": name}))
        (tmp_path / name / "template.json").write_text("{}")
        return tmp_path / name
    one, other = base("one", 0), base("other", 1)
    assert digest_of(one) == digest_of(base("same", 0)) != digest_of(other)
    assert digest_of(run("a", one)) == digest_of(run("b", one)) != digest_of(run("c", other))
    before = digest_of(tmp_path / "a")
    (tmp_path / "a" / "template.json").write_text('{"start": "x"}')
    assert digest_of(tmp_path / "a") != before


def test_few_shot_questions_stand_behind_solved_ones():
    def record(name, question):
        told = [*ask(f"{question}\nA. yes\nB. no"), {"role": "assistant", "content": "A"}]
        return {"id": name, "messages": told, "meta": {"options": {"A": "yes", "B": "no"}, "answer": "A"}}
    asked = []
    spy = SimpleNamespace(gives_logp=False,
                          replies=lambda dialogues, ids: asked.extend(dialogues) or [Reply("A")])
    answer_exam(spy, [record("1", "is influenza an infection")], EvalConfig(shots=1),
                [record("2", "is asthma treated with an inhaler")])
    assert [turn["role"] for turn in asked[0]] == ["user", "assistant", "user"]
    assert "asthma" in asked[0][0]["content"]
