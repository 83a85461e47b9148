"""Log-probabilities, entropies, KL and cross-entropy, a chunk of tokens at a time: values and gradients
against the formula."""
import math

import pytest
import torch
from torch.autograd import gradcheck

from kernels import head
from kernels.head import cross_entropy, token_kl, token_logp, token_logp_entropy, token_logp_reference
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
    monkeypatch.setitem(head.CHUNK_BYTES, "cpu", request.param * 4 * V)


def test_chunks_change_nothing(chunk_rows):
    check_values(checked(token_logp_entropy))
    check_gradients(token_logp_entropy)


def kl_reference(hidden_ND, weight_VD, other_ND, temperature):
    logp_NV, logq_NV = ((x @ weight_VD.T / temperature).log_softmax(-1) for x in (hidden_ND, other_ND))
    return (logp_NV.exp() * (logp_NV - logq_NV.detach())).sum(-1)


def check_kl(fn):
    results = []
    for function in (fn, kl_reference):
        hidden_ND, weight_VD, _ = inputs()
        kl_N = function(hidden_ND, weight_VD, hidden_ND.roll(1, 0), 0.6)
        gradients = torch.autograd.grad((torch.arange(1, N + 1) * kl_N).sum(), (hidden_ND, weight_VD))
        results.append((kl_N, *gradients))
    for ours, expected in zip(*results, strict=True):
        close(ours, expected)


def cross_entropy_reference(hidden_ND, weight_VD, targets_N, weight_N):
    return -(weight_N * token_logp_reference(hidden_ND, weight_VD, targets_N)[0]).sum()


def check_cross_entropy(fn):
    weight_N = torch.arange(N) / 10                             # one token counts for nothing
    for frozen in ((), (0,), (1,)):
        results = []
        for function in (fn, cross_entropy_reference):
            tensors = [x.detach() if i in frozen else x for i, x in enumerate(inputs())]
            loss = function(*tensors, weight_N)
            results.append((loss, *torch.autograd.grad(3 * loss, [x for x in tensors if x.requires_grad])))
        for ours, expected in zip(*results, strict=True):
            close(ours, expected)
    assert fn(*(x.detach() for x in inputs()), weight_N).requires_grad is False
    loss = fn(*inputs(), weight_N)
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):      # gradients are not kept beyond backward
        loss.backward()


def test_kl_and_cross_entropy(chunk_rows):
    check_kl(token_kl)
    check_cross_entropy(cross_entropy)
    hidden_ND, weight_VD, _ = inputs()
    close(token_kl(hidden_ND, weight_VD, hidden_ND), torch.zeros(N))
    for buggy in (lambda h, w, other, tau: token_kl(h, w, other),
                  lambda h, w, other, tau: kl_reference(other, w, h, tau),
                  lambda h, w, other, tau: token_kl(h, w.detach(), other, tau) + 0 * w.sum()):
        with pytest.raises(AssertionError):
            check_kl(buggy)
    for buggy in (lambda h, w, y, weight: cross_entropy(h, w, y, weight.roll(1)),
                  lambda h, w, y, weight: cross_entropy(h, w, y, weight).detach() + 0 * (h.sum() + w.sum()),
                  lambda h, w, y, weight: cross_entropy(h, w.detach(), y, weight) + 0 * w.sum()):
        with pytest.raises(AssertionError):
            check_cross_entropy(buggy)


def test_reference():
    check_values(token_logp_reference)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_gradient(monkeypatch, temperature):
    monkeypatch.setitem(head.CHUNK_BYTES, "cpu", 2 * 4 * V)
    hidden_ND, weight_VD, targets_N = inputs()
    assert gradcheck(lambda h, w: token_logp_entropy(h, w, targets_N, temperature), (hidden_ND, weight_VD))
    assert gradcheck(lambda h, w: token_logp(h, w, targets_N, temperature), (hidden_ND, weight_VD))
    weight_N, frozen_VD, other_ND = torch.arange(N).double(), weight_VD.detach(), hidden_ND.detach().flip(0)
    assert gradcheck(lambda h: token_logp_entropy(h, frozen_VD, targets_N, temperature), (hidden_ND,))
    assert gradcheck(lambda h: token_kl(h, frozen_VD, other_ND, temperature), (hidden_ND,))
    assert gradcheck(lambda h, w: cross_entropy(h, w, targets_N, weight_N), (hidden_ND, weight_VD))


def test_backward_makes_no_logits_again(monkeypatch):
    """Under a frozen unembedding; a trained one and the entropy need them once more, cross-entropy never."""
    made = []
    monkeypatch.setattr(head, "logits", lambda *args, do=head.logits: made.append(1) or do(*args))
    hidden_ND, weight_VD, targets_N = inputs()
    for loss, count in ((lambda: token_logp(hidden_ND, weight_VD.detach(), targets_N).sum(), 1),
                        (lambda: cross_entropy(hidden_ND, weight_VD, targets_N, torch.ones(N)), 1),
                        (lambda: token_logp(hidden_ND, weight_VD, targets_N).sum(), 2),
                        (lambda: token_logp_entropy(hidden_ND, weight_VD.detach(), targets_N)[1].sum(), 2)):
        made.clear()
        loss().backward()
        assert len(made) == count


def test_bfloat16_by_either_product(monkeypatch):
    """Of bfloat16 itself, and widened a slice at a time where a CPU is slow at it."""
    monkeypatch.setattr(head, "ROWS", 4)
    expected = [x.grad for x in scored(*inputs())]
    for slow in (True, False):
        monkeypatch.setattr(head, "SLOW_BFLOAT16", slow)
        hidden_ND, weight_VD, targets_N = inputs()
        half = [x.detach().bfloat16().requires_grad_() for x in (hidden_ND, weight_VD)]
        for ours, exact in zip(scored(*half, targets_N), expected, strict=True):
            assert ours.grad.dtype == torch.bfloat16 and (ours.grad - exact).norm() < 0.01 * exact.norm()


def scored(hidden_ND, weight_VD, targets_N):
    token_logp(hidden_ND, weight_VD.detach(), targets_N).sum().backward()       # forward's gradient of h,
    cross_entropy(hidden_ND, weight_VD, targets_N, torch.ones(N)).backward()    # and of W
    token_logp(hidden_ND, weight_VD, targets_N, 0.7).sum().backward()           # backward's
    return hidden_ND, weight_VD


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
