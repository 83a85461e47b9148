"""Log-probabilities and entropies, a chunk of tokens at a time: values and gradients against the formula."""
import math

import pytest
import torch
from torch.autograd import gradcheck

from kernels import head
from kernels.head import token_logp, token_logp_entropy, token_logp_reference
from tests import reference
from tests.reference import checked, close

N, D, V = 7, 5, 11


def inputs():
    generator = torch.Generator().manual_seed(1)
    hidden_ND = torch.randn(N, D, generator=generator, dtype=torch.float64, requires_grad=True)
    weight_VD = torch.randn(V, D, generator=generator, dtype=torch.float64, requires_grad=True)
    return hidden_ND, weight_VD, torch.randint(V, (N,), generator=generator)


def check_values(fn):
    """softmax, -log and the sum over the vocabulary in plain numbers."""
    hidden_ND, weight_VD, targets_N = inputs()
    for temperature in (1.0, 0.5, 1.7):
        logp_N, entropy_N = fn(hidden_ND, weight_VD, targets_N, temperature)
        for n in range(N):
            p = reference.softmax((weight_VD @ hidden_ND[n]).tolist(), temperature)
            close(logp_N[n], math.log(p[targets_N[n]]))
            close(entropy_N[n], -sum(x * math.log(x) for x in p))


def check_gradients(fn):
    """Those of the spelled-out formula, for logp and entropy weighted unevenly."""
    results = []
    for function in (fn, token_logp_reference):
        hidden_ND, weight_VD, targets_N = inputs()
        logp_N, entropy_N = function(hidden_ND, weight_VD, targets_N, 0.6)
        loss = (torch.arange(1, N + 1) * (logp_N - 0.3 * entropy_N)).sum()
        results.append(torch.autograd.grad(loss, (hidden_ND, weight_VD)))
    for ours, expected in zip(*results, strict=True):
        close(ours, expected)


@pytest.fixture(params=[1, 2, 3, N, 1000])
def chunk_rows(request, monkeypatch):
    monkeypatch.setattr(head, "CHUNK_BYTES", request.param * 4 * V)


def test_chunks_change_nothing(chunk_rows):
    check_values(checked(token_logp_entropy))
    check_gradients(token_logp_entropy)


def test_reference():
    check_values(token_logp_reference)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_gradient(monkeypatch, temperature):
    monkeypatch.setattr(head, "CHUNK_BYTES", 2 * 4 * V)
    hidden_ND, weight_VD, targets_N = inputs()
    assert gradcheck(lambda h, w: token_logp_entropy(h, w, targets_N, temperature), (hidden_ND, weight_VD))
    assert gradcheck(lambda h, w: token_logp(h, w, targets_N, temperature), (hidden_ND, weight_VD))


def test_frozen_weights_get_no_gradient():
    for frozen in (0, 1):
        tensors = list(inputs())
        tensors[frozen] = tensors[frozen].detach()
        sum(x.sum() for x in token_logp_entropy(*tensors)).backward()
        assert tensors[frozen].grad is None and tensors[1 - frozen].grad.any()


def test_types_and_nothing_to_score():
    hidden_ND, weight_VD, targets_N = inputs()
    f16, f32, f64 = torch.bfloat16, torch.float32, torch.float64
    for dtype, expected in ((f16, f32), (f32, f32), (f64, f64)):
        for x in token_logp_entropy(hidden_ND.to(dtype), weight_VD.to(dtype), targets_N):
            assert x.dtype == expected and x.shape == (N,)
    none = token_logp(hidden_ND[:0], weight_VD, targets_N[:0])
    none.sum().backward()
    assert none.shape == (0,) and not weight_VD.grad.any()


class ForgetsTemperatureBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * 0.6


@pytest.mark.parametrize("buggy", [
    lambda h, w, y, tau: token_logp_entropy(h, w, y, 1.0),
    lambda h, w, y, tau: token_logp_entropy(h, w, y.roll(1), tau),
    lambda h, w, y, tau: (token_logp(h, w, y, tau), token_logp_entropy(h, w, y, tau)[0].exp()),
], ids=["temperature forgotten", "targets one off", "entropy of the token alone"])
def test_the_checks_have_teeth(buggy):
    for check in (check_values, check_gradients):
        with pytest.raises(AssertionError):
            check(buggy)


@pytest.mark.parametrize("buggy", [
    lambda h, w, y, tau: (token_logp(h, w, y, tau), token_logp_entropy(h, w, y, tau)[1].detach()),
    lambda h, w, y, tau: token_logp_entropy(ForgetsTemperatureBackward.apply(h), w, y, tau),
], ids=["entropy without gradient", "temperature missing in backward"])
def test_the_gradient_check_has_teeth(buggy):
    check_values(buggy)
    with pytest.raises(AssertionError):
        check_gradients(buggy)
