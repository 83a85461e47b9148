"""Sampling: the right distribution over the right tokens, each row for itself, and log-probabilities that
training finds again."""
import math
import sys

import pytest
import torch

from clinicalgpt.dataset import Example, pack
from clinicalgpt.generate import LIKELIEST, PATIENCE, generate, sample
from clinicalgpt.model import KVCache
from tests.reference import close, model_logits, random_ids, softmax, tiny_model

GENERATE = sys.modules["clinicalgpt.generate"]                         # the package has the function so named
EOS = 2
LOGITS = [2.0, -1.0, 0.5, 1.5, 0.0, -3.0]                              # likeliest first: 0, 3, 2, 4, 1, 5
DRAWS = 20_000


@pytest.fixture(scope="module")
def model():
    """One that ends some of its answers."""
    model = tiny_model(dtype=torch.float32)
    with torch.no_grad():
        model.embed.weight[EOS] *= 1.6
    return model


def draw(fn, *settings):
    uniform_B = torch.rand(DRAWS, generator=torch.Generator().manual_seed(0))
    return fn(torch.tensor(LOGITS).expand(DRAWS, -1), uniform_B, *settings)


def check_frequencies(tokens, probability):
    """Each token as often as it should be, within 4 standard errors; never, where its probability is 0."""
    for token, p in enumerate(probability):
        share = (tokens == token).double().mean().item()
        assert abs(share - p) <= 4 * math.sqrt(p * (1 - p) / len(tokens)), (token, share, p)


def check_sample(fn):
    """Softmax at the temperature, cut to the top_k likeliest, of these to the fewest of mass >= top_p, made
    to sum to 1.  At temperature 1: 0.49, 0.30, 0.11, 0.07, .., and cumulated 0.49, 0.79, 0.90, 0.97, .."""
    for temperature, top_p, top_k, kept in (
            (1.0, 1.0, 0, 6), (0.5, 1.0, 0, 6), (3.0, 1.0, 0, 6), (1.0, 1.0, 2, 2), (1.0, 1.0, 99, 6),
            (1.0, 0.7, 0, 2), (1.0, 0.8, 0, 3), (1.0, 0.4, 0, 1), (0.5, 1.0, 3, 3), (1.0, 0.9, 2, 2)):
        p = softmax(LOGITS, temperature)
        least = sorted(p)[-kept]
        mass = sum(x for x in p if x >= least)
        check_frequencies(draw(fn, temperature, top_p, top_k), [x / mass if x >= least else 0.0 for x in p])


@pytest.mark.parametrize("buggy", [
    lambda z, u, tau, p, k: sample(z, u, 1.0, p, k), lambda z, u, tau, p, k: sample(z, u, tau, 1.0, k),
    lambda z, u, tau, p, k: sample(z, u, tau, p, 0), lambda z, u, tau, p, k: sample(z, u, 1 / tau, p, k),
    lambda z, u, tau, p, k: sample(z, u, tau, p, max(0, k - 1)),
    lambda z, u, tau, p, k: sample(z, u, tau, p - 0.2, k),
    lambda z, u, tau, p, k: sample(z, u**2, tau, p, k)],
    ids=["no temperature", "no top_p", "no top_k", "times tau", "top_k one off", "top_p off", "uneven"])
def test_sample(buggy):
    check_sample(sample)
    with pytest.raises(AssertionError):
        check_sample(buggy)


def test_sample_at_the_ends():
    """The smallest and the largest uniform number give the likeliest token and the last of those kept."""
    uniform_B, logits_BV = torch.tensor([0.0, 1 - 2**-24]), torch.tensor([LOGITS, LOGITS])
    assert sample(logits_BV, uniform_B, 1.0, top_p=0.8).tolist() == [0, 2]
    assert sample(logits_BV, uniform_B, 1.0, top_k=2).tolist() == [0, 3]
    assert sample(logits_BV, uniform_B, 1.0).tolist() == [0, 5]
    assert sample(logits_BV, uniform_B, 0).tolist() == [0, 0]
    assert sample(torch.tensor([[-math.inf, 1.0]]), torch.zeros(1), 1.0).tolist() == [1]


@pytest.mark.parametrize("likeliest", [1, 3, 40])
def test_the_likeliest_are_enough(monkeypatch, likeliest):
    """However few are looked at first, and however flat the distribution, tokens are those of a full sort."""
    generator = torch.Generator().manual_seed(0)
    logits_BV = torch.randn(500, 1000, generator=generator).double() * torch.linspace(0.1, 9, 500)[:, None]
    uniform_B = torch.rand(500, generator=generator)
    for top_p in (0.2, 0.9, 0.999):
        tokens = []
        for first in (1000, likeliest):
            monkeypatch.setattr(GENERATE, "LIKELIEST", first)
            tokens.append(sample(logits_BV, uniform_B, 1.0, top_p))
        assert torch.equal(*tokens) and LIKELIEST < 1000


def test_generated_tokens_have_the_models_distribution(model):
    """The first two tokens of 4,000 answers; the second from the distribution that follows the first."""
    prompt = random_ids(5)[0]
    answers = torch.tensor(generate(model, [prompt] * 4000, 2, temperature=0.7, seed=1))
    check_frequencies(answers[:, 0], softmax(model_logits(model, prompt)[-1].tolist(), 0.7))
    first = answers[:, 0].mode().values
    check_frequencies(answers[answers[:, 0] == first, 1],
                      softmax(model_logits(model, [*prompt, int(first)])[-1].tolist(), 0.7))


def test_greedy_is_deterministic(model):
    prompts = random_ids(4, 1, 9)
    answers = generate(model, prompts, 10, seed=1)
    assert answers == generate(model, prompts, 10, seed=2)
    assert answers == generate(model, prompts, 10, temperature=1.0, top_k=1)
    assert answers == [generate(model, [prompt], 10)[0] for prompt in prompts]


def check_rows(fn, model):
    """A row's sample depends on the seed and its place, not on its neighbours nor on when they finish: with
    an end token, and so with rows leaving, answers are those without one, cut at the end token."""
    prompts, others = random_ids(4, 1, 9, 3, 7), random_ids(2, 6, 1, 12, 5, seed=1)
    together = fn(model, prompts, eos_id=EOS)
    for i, prompt in enumerate(prompts):
        assert fn(model, [*others[:i], prompt], eos_id=EOS)[i] == together[i]
        assert fn(model, [*others[:i], prompt, *others[i:]], eos_id=None)[i][:len(together[i])] == together[i]
        assert EOS not in together[i][:-1] and (len(together[i]) == 20 or together[i][-1] == EOS)
    assert len({len(answer) for answer in together}) > 2, "answers should end at different times"
    assert fn(model, [prompts[0]] * 2) != [fn(model, [prompts[0]])[0]] * 2, "rows should differ"


def sampled(model, prompts, eos_id=None, seed=0):
    return generate(model, prompts, 20, temperature=1.0, eos_id=eos_id, seed=seed)


def test_rows_are_independent(model):
    check_rows(sampled, model)
    for buggy in (lambda model, prompts, eos_id=None: sampled(model, prompts, eos_id, seed=len(prompts)),
                  lambda model, prompts, eos_id=None: sampled(model, prompts[::-1], eos_id)[::-1],
                  lambda model, prompts, eos_id=None: sampled(model, prompts, None)):
        with pytest.raises(AssertionError):
            check_rows(buggy, model)


def test_some_rows_of_a_batch(model):
    """first: these prompts are rows of a larger batch, and are answered as there."""
    prompts = random_ids(4, 1, 9, 3, 7)
    whole = sampled(model, prompts, EOS)
    for start, stop in ((0, 2), (2, 5), (4, 5)):
        part = generate(model, prompts[start:stop], 20, temperature=1.0, eos_id=EOS, first=start)
        assert part == whole[start:stop]
    assert generate(model, prompts[2:], 20, temperature=1.0, eos_id=EOS) != whole[2:], "first should matter"


def test_patience_changes_nothing(model, monkeypatch):
    """A device that is asked every 16 steps who has finished gives the same answers."""
    prompts = random_ids(4, 1, 9, 3, 7)
    expected = sampled(model, prompts, EOS)
    monkeypatch.setitem(PATIENCE, "cpu", 16)
    assert sampled(model, prompts, EOS) == expected


def test_seed(model):
    prompts = random_ids(4, 1)
    answers = sampled(model, prompts, seed=3)
    assert answers == sampled(model, prompts, seed=3) and answers != sampled(model, prompts, seed=4)


def check_logp(model, temperature, later):
    """What the cache said of each token as it was sampled, `score` says again: the first ratio is 1."""
    prompts = random_ids(4, 1, 9, 3)
    answers = generate(model, prompts, 12, temperature=temperature)
    cache, lengths, said = KVCache(capacity=30), [len(prompt) for prompt in prompts], []
    hidden_BD = model(torch.tensor(sum(prompts, [])), lengths, cache)[torch.tensor(lengths).cumsum(0) - 1]
    for token_B in torch.tensor(answers).T:
        logp_BV = (hidden_BD @ model.unembed_VD.T / temperature).log_softmax(-1)
        said.append(logp_BV.gather(1, token_B[:, None])[:, 0])
        hidden_BD = model(token_B, [1] * 4, cache)
    rows = [Example(prompt + answer, [False] * len(prompt) + [True] * len(answer), {})
            for prompt, answer in zip(prompts, answers, strict=True)]
    close(model.score(pack(rows), later)[0], torch.stack(said, 1).flatten(), 1e-5)


@torch.no_grad()
def test_sampled_log_probabilities_are_found_again(model):
    for temperature in (1.0, 0.6):
        check_logp(model, temperature, temperature)
    with pytest.raises(AssertionError):
        check_logp(model, 0.6, 1.0)


def test_limits(model):
    prompt = random_ids(3)[0]
    assert generate(model, [], 5) == [] and generate(model, [prompt], 0) == [[]]
    assert len(generate(model, [prompt], 5)[0]) == 5
    first = generate(model, [prompt], 1)[0][0]
    assert generate(model, [prompt], 5, eos_id=first) == [[first]]
    with pytest.raises(ValueError, match="at least one token in each"):
        generate(model, [prompt, []], 5)
    for setting in ({"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1},
                    {"max_new_tokens": -1}):
        with pytest.raises(ValueError, match="are needed"):
            generate(model, [prompt], **setting)
