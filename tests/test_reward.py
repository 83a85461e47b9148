"""The reward model: its loss over ranked answers, the token at which it scores, its head on disk."""
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.autograd import gradcheck

from clinicalgpt.dataset import Example, pack
from clinicalgpt.reward import ScalarHead, calibration, last_token_score, pairs, ranking_loss
from tests import reference
from tests.reference import checked, close, examples, tiny_model

SCORES = [[1.0, 0.5], [0.5, 1.0], [0.3, 0.3], [2.0, -1.0, 0.5], [0.1, 0.7, -0.4, 1.1, 0.0]]


def check_loss(fn):
    for scores in SCORES:
        score_K = torch.tensor(scores, dtype=torch.float64, requires_grad=True)
        close(fn(score_K), reference.ranking_loss(scores))
        assert gradcheck(fn, score_K)
    equal = fn(torch.zeros(4))
    close(equal, torch.tensor(2.0).log(), 1e-6)                                # log 2, however many answers


def neighbours_only(score_K):
    return -torch.nn.functional.logsigmoid(score_K[:-1] - score_K[1:]).mean()


@pytest.mark.parametrize("buggy", [
    lambda s: ranking_loss(s.flip(0)), neighbours_only, lambda s: ranking_loss(s) * len(s) * (len(s) - 1) / 2,
    lambda s: ranking_loss(s.detach()) + 0 * s.sum(), lambda s: (1 - torch.sigmoid(s[:1] - s[1:])).mean(),
], ids=["worst first", "neighbours only", "sum of pairs", "no gradient", "no logarithm"])
def test_ranking_loss(buggy):
    check_loss(checked(ranking_loss))
    with pytest.raises((AssertionError, RuntimeError)):
        check_loss(buggy)


def test_nothing_to_rank():
    for n in (0, 1):
        score_K = torch.ones(n, requires_grad=True)
        loss = ranking_loss(score_K)
        loss.backward()
        assert loss == 0 and not score_K.grad.any()


def check_ties(fn):
    """Ranks 1, 2, 2, 3: of six pairs the one in the middle is none.  Margin and centring by the formula."""
    scores, (margin, centring) = [0.3, -0.2, 0.9, 0.1], (0.5, 0.1)
    compared = [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)]
    expected = sum(math.log1p(math.exp(-(scores[i] - scores[j] - margin)))
                   + centring * (scores[i] + scores[j]) ** 2 for i, j in compared) / 5
    score_K = torch.tensor(scores, dtype=torch.float64, requires_grad=True)
    close(fn(score_K, [1, 2, 2, 3], margin, centring), expected)
    assert gradcheck(lambda x: fn(x, [1, 2, 2, 3], margin, centring), score_K)


def test_ties_margin_centring():
    check_ties(ranking_loss)
    assert [x.tolist() for x in pairs([1, 2, 2, 3])] == [[0, 0, 0, 1, 2], [1, 2, 3, 3, 3]]
    for buggy in (lambda s, r, m, c: ranking_loss(s, None, m, c), lambda s, r, m, c: ranking_loss(s, r, m),
                  lambda s, r, m, c: ranking_loss(s, r, -m, c)):
        with pytest.raises(AssertionError):
            check_ties(buggy)
    score_K = torch.ones(3, requires_grad=True)
    ranking_loss(score_K, [1, 1, 1]).backward()
    assert not score_K.grad.any()


def test_calibration():
    """[#43] Gaps of log 3 say "better" with confidence 0.75: right three times of four is well calibrated,
    right once of two is off by 1/4.  A tie has confidence 1/2, and is half right."""
    gap = math.log(3)
    error, curve = calibration([gap, gap, gap, -gap])
    assert error == pytest.approx(0) and curve == [(pytest.approx(0.75), 0.75, 4)]
    assert calibration([gap, -gap])[0] == pytest.approx(0.25)
    assert calibration([0.0]) == (0.0, [(0.5, 0.5, 1)]) and calibration([50.0])[1] == [(1.0, 1.0, 1)]


def test_normalised_scores():
    """The scores given are 0 +- 1 afterwards, and all others as far apart in units of their deviation."""
    head, hidden_ND = ScalarHead(4), torch.randn(5, 4)
    before = head(hidden_ND)
    head.normalise(before[:2])
    mean, std = before[:2].mean(), before[:2].std(correction=0)
    close(head(hidden_ND), (before - mean) / std, 1e-4)
    close(head(hidden_ND[:2]).abs(), [1.0, 1.0], 1e-4)


def check_scores(fn):
    """[#5, #6] In a batch of one or of many, in any order, whatever token ids stand in the text (end and
    padding too): the head at the hidden state of the sequence's own last token."""
    torch.manual_seed(0)
    model, head = tiny_model(), ScalarHead(32).double()
    rows = examples([(3, 4), (1, 1), (6, 2), (0, 1), (2, 9)])
    rows[0].ids[2:5], rows[2].ids[-1], rows[4].ids[1:] = [3, 2, 0], 3, [2] * 10

    def score(part):
        batch = pack(part)
        return fn(model, head, batch)
    rows[3:] = [Example(rows[2].ids + row.ids, [False] * (len(rows[2].ids + row.ids)), rows[0].record)
                for row in rows[3:]]                                           # which share a beginning
    for order in (range(5), (4, 1, 0, 3, 2), (3, 4, 0, 1, 2)):
        ours = score([rows[i] for i in order])
        for i, one in zip(order, ours, strict=True):
            hidden_TD = model(torch.tensor(rows[i].ids), [len(rows[i].ids)])
            close(one, hidden_TD[-1] @ head.linear.weight[0] + head.linear.bias[0])
            close(one, score([rows[i]])[0])


def one_late(model, head, batch):
    return head(model.read(batch)[batch.token_E[torch.tensor(batch.lengths).cumsum(0) % len(batch.token_E)]])


def test_last_token_score():
    check_scores(last_token_score)
    for buggy in (one_late, lambda model, head, batch: head(model.read(batch))[:len(batch.lengths)],
                  lambda model, head, batch: head(model(batch.ids_N, [len(batch.ids_N)])[batch.last_B])):
        with pytest.raises(AssertionError):
            check_scores(buggy)


def test_a_head_starts_small():
    """N(0, 1 / (D + 1)) and no bias: hidden states of unit variance score with deviation near 1."""
    torch.manual_seed(0)
    head = ScalarHead(400)
    assert head.linear.bias == 0 and abs(head.linear.weight.std() * 401**0.5 - 1) < 0.15


def test_head_on_disk(tmp_path):
    """[#27] What was saved is loaded, and a tensor too few, too many or of another shape is an error."""
    path, head = tmp_path / "head.safetensors", ScalarHead(8)
    head.save(path)
    again = ScalarHead(8)
    assert not torch.equal(again.linear.weight, head.linear.weight)
    again.load(path)
    for ours, other in zip(head.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(ours, other)
    tensors = load_file(path)
    for wrong in ({"linear.weight": tensors["linear.weight"]}, {**tensors, "linear.more": torch.zeros(1)},
                  {**tensors, "linear.weight": torch.zeros(1, 9)}):
        save_file(wrong, path)
        with pytest.raises(ValueError, match="not the head of this model") as error:
            ScalarHead(8).load(path)
        assert "\n" not in str(error.value)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="not the head"):
        ScalarHead(8).load(path)
    with pytest.raises(FileNotFoundError, match="nowhere.safetensors: no such file"):
        ScalarHead(8).load(tmp_path / "nowhere.safetensors")
