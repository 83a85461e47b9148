"""Log-probabilities, entropies and KL, a tile of logits at a time: values, gradients, and bugs that fail
them."""
import math
import types
from pathlib import Path

import pytest
import torch
from torch.autograd import gradcheck

from kernels import head
from kernels.head import token_kl, token_logp, token_logp_entropy, token_logp_reference
from tests import reference
from tests.reference import checked, close

N, D, V = 7, 5, 11


def inputs():
    generator = torch.Generator().manual_seed(1)
    hidden_ND = torch.randn(N, D, generator=generator, dtype=torch.float64, requires_grad=True)
    weight_VD = torch.randn(V, D, generator=generator, dtype=torch.float64, requires_grad=True)
    return hidden_ND, weight_VD, torch.randint(V, (N,), generator=generator)


def check_values(fn):
    """softmax, log and the sum over the vocabulary in plain numbers."""
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


@pytest.fixture(params=[(1, 1), (1, 1000), (1000, 1), (3, 2), (V, N), (1000, 1000)])
def tile(request, monkeypatch):
    monkeypatch.setitem(head.TILE, "cpu", request.param)


def test_tiles_change_nothing(tile):
    check_values(checked(token_logp_entropy))
    check_gradients(token_logp_entropy)


@pytest.mark.parametrize("right, wrong", [
    ("shrink_n * total_n", "total_n"), ("mean_nD.mul_(shrink_n[:, None])", "mean_nD"),
    ("(before_n - top_n) * total_n", "0"), ("targets_n - rows.start", "targets_n"),
    ("(by_logp_N[tokens] * is_here_n)", "by_logp_N[tokens]"),
    ("grad_weight_VD[rows] +=", "grad_weight_VD[rows] ="),
    ("grad_hidden_ND[tokens] +=", "grad_hidden_ND[tokens] ="), ("- mean_nD) / temperature", "- mean_nD)")])
def test_planted_bugs_are_found(right, wrong):
    buggy = planted(right, wrong)
    with pytest.raises(AssertionError):
        check_values(buggy.token_logp_entropy)
        check_gradients(buggy.token_logp_entropy)
        check_frozen(buggy.token_logp)


def planted(right, wrong):
    """kernels/head.py with another line."""
    source, module = Path(head.__file__).read_text(), types.ModuleType("planted")
    assert source.count(right) == 1
    exec(source.replace(right, wrong), module.__dict__)
    module.TILE["cpu"] = 3, 2
    return module


def check_frozen(fn):
    """Under a frozen unembedding forward makes the gradient already."""
    results = []
    for function in (fn, lambda *args: token_logp_reference(*args)[0]):
        hidden_ND, weight_VD, targets_N = inputs()
        logp_N = function(hidden_ND, weight_VD.detach(), targets_N, 0.6)
        results.append(torch.autograd.grad((torch.arange(N) * logp_N).sum(), hidden_ND)[0])
    close(*results)


def test_frozen_unembedding(tile):
    check_frozen(checked(token_logp))
    hidden_ND, weight_VD, targets_N = (x.detach() for x in inputs())
    for nowhere in (-100, -1, V):
        targets_N[1] = nowhere
        for learns in (False, True):
            logp_N = token_logp(hidden_ND.requires_grad_(learns), weight_VD, targets_N)
            assert logp_N.isnan().tolist() == [n == 1 for n in range(N)]
    assert token_logp(*(x.detach() for x in inputs())).requires_grad is False
    loss = token_logp(*inputs()).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):      # nothing is kept beyond backward
        loss.backward()


@pytest.mark.parametrize("order", [1, -1])
def test_certain_and_impossible_tokens(monkeypatch, order):
    """Logits of thousands, rising or falling from tile to tile."""
    monkeypatch.setitem(head.TILE, "cpu", (3, 2))
    hidden_ND, weight_VD = torch.full((V, 1), 1000.0), torch.arange(V)[:, None].float() * order
    logp_N, entropy_N = token_logp_entropy(hidden_ND, weight_VD, torch.arange(V))
    close(logp_N, 1000 * (order * torch.arange(V) - max(0, order * (V - 1))))
    close(entropy_N, torch.zeros(V))
    close(token_kl(hidden_ND, weight_VD, -hidden_ND), torch.full((V,), 1000.0 * (V - 1)))


def check_kl_far_from_zero(fn):
    """A number added to all logits changes nothing, though float32 holds fewer digits of them."""
    generator = torch.Generator().manual_seed(1)
    hidden_ND = torch.randn(N, D, generator=generator)
    other_ND = hidden_ND + 0.005 * torch.randn(N, D, generator=generator)
    weight_VD, one_N1 = torch.randn(V, D, generator=generator), torch.ones(N, 1)
    kl_N = fn(torch.cat([hidden_ND, one_N1], 1), torch.cat([weight_VD, torch.full((V, 1), 4000.0)], 1),
              torch.cat([other_ND, one_N1], 1))
    assert (kl_N - kl_reference(hidden_ND, weight_VD, other_ND, 1.0)).abs().max() < 1e-5


def test_kl_far_from_zero():
    check_kl_far_from_zero(token_kl)
    buggy = planted(".sub_(top_n).sub_(log_total_n)", ".sub_(top_n + log_total_n)")
    with pytest.raises(AssertionError):
        check_kl_far_from_zero(buggy.token_kl)


def kl_reference(hidden_ND, weight_VD, other_ND, temperature):
    logp_NV, logq_NV = ((x @ weight_VD.T / temperature).log_softmax(-1) for x in (hidden_ND, other_ND))
    return (logp_NV.exp() * (logp_NV - logq_NV.detach())).sum(-1)


def check_kl(fn):
    hidden_ND, weight_VD, _ = inputs()
    other_ND = hidden_ND.roll(1, 0)
    close(fn(hidden_ND, weight_VD, other_ND, 0.6), kl_reference(hidden_ND, weight_VD, other_ND, 0.6))


def test_kl(tile):
    check_kl(checked(token_kl))
    hidden_ND, weight_VD, _ = inputs()
    close(token_kl(hidden_ND, weight_VD, hidden_ND), torch.zeros(N))
    assert token_kl(hidden_ND, weight_VD, hidden_ND).requires_grad is False
    for buggy in (lambda h, w, other, tau: token_kl(h, w, other),
                  lambda h, w, other, tau: kl_reference(other, w, h, tau)):
        with pytest.raises(AssertionError):
            check_kl(buggy)


def test_reference():
    check_values(token_logp_reference)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_gradient(monkeypatch, temperature):
    monkeypatch.setitem(head.TILE, "cpu", (4, 2))
    hidden_ND, weight_VD, targets_N = inputs()
    assert gradcheck(lambda h, w: token_logp_entropy(h, w, targets_N, temperature), (hidden_ND, weight_VD))
    assert gradcheck(lambda h, w: token_logp(h, w, targets_N, temperature), (hidden_ND, weight_VD))
    frozen_VD, fixed_ND = weight_VD.detach(), hidden_ND.detach()
    assert gradcheck(lambda h: token_logp_entropy(h, frozen_VD, targets_N, temperature), (hidden_ND,))
    assert gradcheck(lambda h: token_logp(h, frozen_VD, targets_N, temperature), (hidden_ND,))
    assert gradcheck(lambda w: token_logp_entropy(fixed_ND, w, targets_N, temperature), (weight_VD,))


def test_backward_makes_no_logits_again(monkeypatch):
    """Under a frozen unembedding; a trained one and the entropy need them once more."""
    made = []
    monkeypatch.setattr(head, "_tiles", lambda *args, do=head._tiles: made.append(1) or do(*args))
    hidden_ND, weight_VD, targets_N = inputs()
    for loss, count in ((lambda: token_logp(hidden_ND, weight_VD.detach(), targets_N).sum(), 1),
                        (lambda: token_logp(hidden_ND, weight_VD, targets_N).sum(), 2),
                        (lambda: token_logp_entropy(hidden_ND, weight_VD.detach(), targets_N)[1].sum(), 2)):
        made.clear()
        loss().backward()
        assert len(made) == count


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no card"))])
def test_bfloat16(monkeypatch, device):
    monkeypatch.setitem(head.TILE, device, (8, 8))
    expected = [x.grad for x in scored(*wide_inputs())]
    hidden_ND, weight_VD, targets_N = wide_inputs()
    half = [x.detach().to(device, torch.bfloat16).requires_grad_() for x in (hidden_ND, weight_VD)]
    for ours, exact in zip(scored(*half, targets_N.to(device)), expected, strict=True):
        assert ours.grad.dtype == torch.bfloat16
        assert (ours.grad.cpu() - exact).norm() < 0.01 * exact.norm()


def wide_inputs():
    generator = torch.Generator().manual_seed(1)
    hidden_ND, weight_VD = (torch.randn(n, 16, generator=generator, dtype=torch.float64, requires_grad=True)
                            for n in (23, 40))
    return hidden_ND, weight_VD, torch.randint(40, (23,), generator=generator)


def scored(hidden_ND, weight_VD, targets_N):
    token_logp(hidden_ND, weight_VD.detach(), targets_N).sum().backward()       # forward's gradient of h,
    token_logp(hidden_ND, weight_VD, targets_N, 0.7).sum().backward()           # backward's, and of W
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
