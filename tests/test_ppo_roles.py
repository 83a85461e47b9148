"""PPO's four roles on one trunk: which token is scored at which position and by whom, and who learns."""
import copy
import math
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch

import train_ppo
from clinicalgpt import roles as ROLES
from clinicalgpt import rollouts as ROLLOUTS
from clinicalgpt.dataset import Example, Pack, batch_of_step, micro_batches, pack
from clinicalgpt.generate import generate
from clinicalgpt.lora import adapter_parameters, add_lora, copy_adapter, lora_layers
from clinicalgpt.model import Transformer
from clinicalgpt.reward import ScalarHead
from clinicalgpt.roles import Roles, policy_logp, score, token_values
from clinicalgpt.rollouts import judged, roll_out
from clinicalgpt.run import make_optimizer
from tests import reference
from tests.reference import close, examples, tiny_model
from train_ppo import PPOConfig, update

EOS = 2
RUN = SimpleNamespace(device="cpu", dtype=torch.float32, autocast=nullcontext)
CONFIG = PPOConfig(steps=1000, batch_size=8, warmup_steps=0, value_warmup=0, max_new_tokens=9, score_clip=0.0,
                   micro_batch_tokens=30, minibatches=2, ppo_epochs=2, missing_end_penalty=1.0)
STATE = {"beta": 0.1, "scale": 1.0}
PROMPTS = examples([(n, 0) for n in (3, 1, 6, 2, 4, 4, 5, 1)])


def make_roles(dropout=0.0, trained=False, dtype=torch.float32):
    """Policy (new, or moved away from the reference), reward and value adapters on one small trunk."""
    trunk = tiny_model(dtype=torch.float32)
    with torch.no_grad():
        trunk.embed.weight[EOS] *= 1.4                                         # so that some answers end
    torch.manual_seed(0)
    add_lora(trunk, "policy", 2, dropout=dropout)
    for factor in add_lora(trunk, "reward", 2, dropout=dropout):
        factor.requires_grad_(False).normal_(std=0.2)
    copy_adapter(trunk, "reward", "value")
    if trained:
        for factor in adapter_parameters(trunk, "policy"):
            factor.data.normal_(std=0.3)
    head = ScalarHead(32).to(dtype)
    return Roles(trunk.to(dtype).eval(), trunk, "reward", copy.deepcopy(head).requires_grad_(False), head,
                 rules={"model": (1.0, None)})


def rollouts_of(roles, cfg=CONFIG, seed=0, prompts=PROMPTS):
    return roll_out(roles, prompts, 0.1, EOS, cfg, RUN, seed)


def optimizer_of(roles, lr=1e-2):
    trained = [*adapter_parameters(roles.trunk, "policy"), *adapter_parameters(roles.judge, "value")]
    return make_optimizer([([*trained, *roles.value_head.parameters()], lr)])


# ---- which token, at which position ----------------------------------------------------------------------

class Table:
    """A "model" whose next token depends on the last one alone, by a table that is known."""
    unembed_VD = torch.eye(9)
    score, read = Transformer.score, Transformer.read

    def __init__(self):
        self.logits_VV = torch.randn(9, 9, generator=torch.Generator().manual_seed(0))

    def __call__(self, ids_N, lengths, shared=None):
        self.hidden_ND = self.logits_VV[ids_N].requires_grad_()
        return self.hidden_ND


def check_positions(make_pack):
    """[#1, #2] Each answer token is scored by the state one before it, and no other state gets a gradient."""
    table, rows = Table(), examples([(2, 3), (1, 1), (4, 2)], vocabulary=9)
    logp_M, entropy_M = table.score(make_pack(rows))
    probability = [reference.softmax(logits) for logits in table.logits_VV.tolist()]
    steps = [(*row.ids[t - 1:t + 1], row.answer[t]) for row in rows for t in range(1, len(row.ids))]
    close(logp_M.exp(), [probability[before][token] for before, token, is_answer in steps if is_answer], 1e-5)
    (logp_M + entropy_M).sum().backward()
    touched = table.hidden_ND.grad.any(1).tolist()
    assert touched == [is_answer for row in rows for is_answer in (*row.answer[1:], False)]


class OneOff(Pack):
    state_M = property(lambda self: self.scored_M)


def test_positions():
    check_positions(pack)

    def one_off(rows):
        return OneOff(**vars(pack(rows)))

    def prompts_too(rows):
        return pack([Example(row.ids, [True] * len(row.ids), {}) for row in rows])
    for buggy in (one_off, prompts_too):
        with pytest.raises(AssertionError):
            check_positions(buggy)


def test_rows():
    """Numbers of answers laid end to end, by hand, as rows."""
    mask_BT = torch.tensor([[1.0, 1, 0], [1, 0, 0], [1, 1, 1]])
    parts = [torch.arange(1.0, 4), torch.arange(4.0, 7)]
    assert ROLLOUTS.rows_of(parts, mask_BT).tolist() == [[1, 2, 0], [3, 0, 0], [4, 5, 6]]


# ---- rollouts --------------------------------------------------------------------------------------------

def check_first_ratio(roles, cfg=CONFIG, later=None):
    """[#7, #8] Before the first update every ratio is 1 within 1e-6; a new policy's KL is 0."""
    rollouts, metrics = rollouts_of(roles, cfg)
    logp_M = policy_logp(roles, "policy", rollouts.examples, later or cfg, RUN)[0]
    assert (logp_M - rollouts.logp_BT[rollouts.mask_BT > 0]).exp().sub(1).abs().max() < 1e-6
    assert metrics["kl"] == 0


def test_first_ratio():
    for temperature in (1.0, 0.5):
        check_first_ratio(make_roles(dropout=0.1, dtype=torch.float64),
                          replace(CONFIG, temperature=temperature))
    with pytest.raises(AssertionError):
        check_first_ratio(make_roles(), replace(CONFIG, temperature=0.5), CONFIG)
    roles = make_roles(dropout=0.1, trained=True)
    roles.trunk.train()
    with pytest.raises(AssertionError):
        check_first_ratio(roles)
    with pytest.raises(ValueError, match="first PPO ratio"):
        update(roles, rollouts_of(roles)[0], optimizer_of(roles), 0, CONFIG, RUN, STATE)


def check_sampling_is_whole(roles):
    """[#9] Where all logits are equal every token turns up: 1,600 draws of 96 tokens miss one with
    probability 96 (95 / 96)^1600 < 1e-5."""
    roles.trunk.final_norm.weight.data.zero_()
    roles.trunk.final_norm.bias.data.zero_()
    endless, cfg = None, replace(CONFIG, max_new_tokens=8)
    rows = ROLES.answer(roles, "policy", [Example([5], [False], {})] * 200, endless, cfg, RUN, 0)
    assert len({token for row in rows for token in row.ids[1:]}) == 96


def test_sampling_is_whole(monkeypatch):
    check_sampling_is_whole(make_roles())
    monkeypatch.setattr(ROLES, "generate", partial(generate, top_p=0.5))
    with pytest.raises(AssertionError):
        check_sampling_is_whole(make_roles())


def test_rollouts_against_loops():
    """[#3, #4, #10, #17] From the examples alone, one answer at a time: scores with the penalty for no
    end, KL summed over each answer, values, returns and whitened advantages."""
    roles = make_roles(trained=True)
    rollouts, metrics = rollouts_of(roles)
    assert 0 < metrics["ended"] < 1
    advantages, kls = [], []
    for b, row in enumerate(rollouts.examples):
        n = sum(row.answer)
        logp, ref = (policy_logp(roles, name, [row], CONFIG, RUN)[0].tolist() for name in ("policy", None))
        reward = score(roles, [row], CONFIG, RUN).item() - (row.ids[-1] != EOS)
        kls.append(sum(logp) - sum(ref))
        rewards = reference.shaped_rewards(reward, [a - b for a, b in zip(logp, ref, strict=True)], 0.1)
        values = token_values(roles, [row], RUN)[0].tolist()
        adv, returns = reference.gae(rewards, values, CONFIG.gamma, CONFIG.lam)
        advantages += adv
        assert rollouts.mask_BT[b].tolist() == [1.0] * n + [0.0] * (rollouts.mask_BT.shape[1] - n)
        close(rollouts.logp_BT[b, :n], logp, 1e-4)
        close(rollouts.returns_BT[b, :n], returns, 1e-4)
    close(rollouts.advantages_BT[rollouts.mask_BT > 0], reference.whiten(advantages), 1e-3)
    close(metrics["kl"], sum(kls) / len(kls), 1e-4)


@pytest.mark.parametrize("clip, clipped", [(0.0, 0.75), (0.5, 0.5)])
def test_scores_are_clipped_summed_and_fined(monkeypatch, clip, clipped):
    """[#31] A score of 0.75, half of a rule's 4, nothing of a rule without a word; without KL and discount
    that, less the penalty for no end, is the return of every token.  An end token in the prompt is no end."""
    for last, penalty in ((5, 3.0), (EOS, 0.0)):
        row, roles = Example([4, EOS, 7, last], [False, False, True, True], {}), make_roles()
        monkeypatch.setattr(ROLLOUTS, "answer", lambda *args, row=row: [row])
        monkeypatch.setattr(ROLES, "text_of", lambda *args: "")
        cfg = replace(CONFIG, value_lam=1.0, missing_end_penalty=3.0, score_clip=clip)
        roles.reward_head.linear.bias.data += 0.75 - score(roles, [row], cfg, RUN).item()
        roles.rules |= {"four": (0.5, lambda *args: 4.0), "mute": (9.0, lambda *args: float("nan"))}
        rollouts, metrics = rollouts_of(roles, cfg)
        close(rollouts.returns_BT, torch.full((1, 2), clipped + 2.0 - penalty), 1e-5)
        close(metrics["reward_model"], clipped, 1e-5)
        assert metrics["reward_four"] == 4 and metrics["reward_mute"].isnan()


def test_the_fine_for_no_end_is_that_of_one_mode():
    """Held-out answers are judged as those that are learned from."""
    roles, ended = make_roles(), torch.tensor([True, False])
    rows = examples([(3, 2), (4, 2)])
    cfg = replace(CONFIG, missing_end_penalty=3.0)
    worth = {mode: judged(roles, rows, ended, replace(cfg, unfinished=mode), RUN)[2]
             for mode in ("penalty", "bootstrap", "drop")}
    close(worth["bootstrap"] - worth["penalty"], torch.tensor([0.0, 3.0]))
    close(worth["drop"], worth["bootstrap"])


def test_unfinished_answers():
    """Dropped, they are gone from everything; bootstrapped, they are worth what the value function expects
    behind their last token."""
    roles = make_roles(trained=True)
    all_of_them, metrics = rollouts_of(roles)
    finished = [row for row in all_of_them.examples if row.ids[-1] == EOS]
    dropped, dropped_metrics = rollouts_of(roles, replace(CONFIG, unfinished="drop"))
    assert [row.ids for row in dropped.examples] == [row.ids for row in finished]
    assert dropped_metrics["ended"] == metrics["ended"] < 1 and len(dropped.mask_BT) == len(finished)
    never = rollouts_of(roles, replace(CONFIG, unfinished="drop", max_new_tokens=1), prompts=PROMPTS[:1])
    assert never[0] is None and never[1]["ended"] == 0
    cfg = replace(CONFIG, unfinished="bootstrap", gamma=0.9)
    rollouts, _ = rollouts_of(roles, cfg)
    for b, row in enumerate(rollouts.examples):
        n = sum(row.answer)
        (values, behind), worth = token_values(roles, [row], RUN), score(roles, [row], cfg, RUN).item()
        if row.ids[-1] != EOS:
            with train_ppo.adapter(roles.judge, "value"):
                last = roles.judge(torch.tensor(row.ids), [len(row.ids)])[-1]
            close(behind, roles.value_head(last[None]), 1e-5)
            worth = 0.9 * behind.item()
        logp, ref = (policy_logp(roles, name, [row], cfg, RUN)[0].tolist() for name in ("policy", None))
        rewards = reference.shaped_rewards(worth, [a - c for a, c in zip(logp, ref, strict=True)], 0.1)
        close(rollouts.returns_BT[b, :n], reference.gae(rewards, values.tolist(), 0.9, 0.95)[1], 1e-4)


def test_exact_kl():
    """The KL of the two distributions at every token, over the whole vocabulary; k1's mean is near its."""
    roles = make_roles(trained=True)
    row = rollouts_of(roles)[0].examples[0]
    start, logp = row.answer.index(True), {}
    for name in ("policy", None):
        with train_ppo.adapter(roles.trunk, name):
            logp[name] = (roles.trunk.logits([row.ids])[0] / CONFIG.temperature).log_softmax(-1)[start - 1:-1]
    expected = (logp["policy"].exp() * (logp["policy"] - logp[None])).sum(-1)
    close(ROLLOUTS.exact_kl(roles, [row], CONFIG, RUN), expected, 1e-5)
    exact = rollouts_of(roles, replace(CONFIG, kl_estimator="exact", value_lam=1.0))[0].returns_BT
    sampled = rollouts_of(roles, replace(CONFIG, value_lam=1.0))[0].returns_BT
    assert 1e-4 < (exact - sampled).abs().max() < 2


# ---- updates ---------------------------------------------------------------------------------------------

def gradients(roles):
    modules = {"trunk": roles.trunk, "value_head": roles.value_head, "reward_head": roles.reward_head}
    return {name: parameter.grad for prefix, module in modules.items()
            for name, parameter in module.named_parameters(prefix=prefix)}


def test_each_role_learns_from_its_own_loss():
    """[#25, #26] Policy and value adapters and the value head get gradients; trunk, reward adapter and head
    none; in the warm-up the value function alone."""
    value = {"value", "weight", "bias"}
    for train_policy, expected in ((True, {"policy"} | value), (False, value)):
        roles = make_roles(trained=True)
        rollouts, _ = rollouts_of(roles)
        train_ppo.backward(roles, rollouts, [0, 1, 2], 10, train_policy, CONFIG, RUN)
        learned = [name for name, grad in gradients(roles).items() if grad is not None and grad.any()]
        assert {name.rpartition(".")[2] for name in learned} == expected
        assert all(".lora_" in name or name.startswith("value_head") for name in learned)


def test_the_objective():
    """backward() is the gradient of (L_pi - c_e entropy + c_v L_V) / count, the formula written out here."""
    roles, cfg = make_roles(trained=True, dtype=torch.float64), replace(CONFIG, entropy_coefficient=0.3)
    rollouts, _ = rollouts_of(roles)
    rollouts.logp_BT -= 0.4 * rollouts.advantages_BT.sin()                     # off policy, so that clips act
    rollouts.values_BT += 0.4 * rollouts.advantages_BT.cos()
    train_ppo.backward(roles, rollouts, [0, 4, 5], 10, True, cfg, RUN)
    ours, expected = gradients(roles), 0.0
    roles.trunk.zero_grad()
    roles.value_head.zero_grad()
    for row in (0, 4, 5):
        n = sum(rollouts.examples[row].answer)
        old, a, old_v, r = (getattr(rollouts, name)[row, :n] for name in
                            ("logp_BT", "advantages_BT", "values_BT", "returns_BT"))
        logp, entropy = policy_logp(roles, "policy", [rollouts.examples[row]], cfg, RUN)
        v, rho = token_values(roles, [rollouts.examples[row]], RUN)[0], (logp - old).exp()
        near = v.clamp(old_v - 0.2, old_v + 0.2)
        expected -= torch.minimum(rho * a, rho.clamp(0.8, 1.2) * a).sum() + 0.3 * entropy.sum()
        expected += 0.1 * torch.maximum((v - r) ** 2, (near - r) ** 2).sum() / 2
    (expected / 10).backward()
    for name, gradient in gradients(roles).items():
        assert (gradient is None) == (ours[name] is None), name
        if gradient is not None:
            close(ours[name], gradient)


def check_micro_batches(count_of):
    """[#21] Whatever the cut into forward passes, one gradient, in float64."""
    results, cfg = [], replace(CONFIG, entropy_coefficient=0.1)
    for budget in (10_000, 25, 1):
        roles = make_roles(trained=True, dtype=torch.float64)
        rollouts, _ = rollouts_of(roles)
        for part in micro_batches(range(8), budget, lambda i, rows=rollouts.examples: len(rows[i])):
            train_ppo.backward(roles, rollouts, part, count_of(rollouts, part), True, cfg, RUN)
        results.append(gradients(roles))
    for other in results[1:]:
        for name, gradient in results[0].items():
            assert (gradient is None) == (other[name] is None)
            if gradient is not None:
                close(other[name], gradient)


def test_micro_batches_change_nothing():
    check_micro_batches(lambda rollouts, part: rollouts.mask_BT.sum())
    with pytest.raises(AssertionError):
        check_micro_batches(lambda rollouts, part: rollouts.mask_BT[part].sum())


def test_reference_and_reward_stay():
    """[#24] After ten iterations the reference's log-probs and the reward model's scores are the same bits,
    as is every weight but the policy's and the value function's, which have moved."""
    roles, fixed = make_roles(), examples([(3, 4), (1, 6)])
    optimizer = optimizer_of(roles)

    def frozen():
        weights = [x.clone() for name, x in roles.trunk.named_parameters()
                   if not name.endswith((".policy", ".value"))]
        return [*weights, policy_logp(roles, None, fixed, CONFIG, RUN)[0], score(roles, fixed, CONFIG, RUN)]

    def moving():
        tensors = policy_logp(roles, "policy", fixed, CONFIG, RUN)[0], token_values(roles, fixed, RUN)[0]
        return [x.detach() for x in tensors]
    before, moved = frozen(), moving()
    for step in range(10):
        rollouts, _ = rollouts_of(roles, seed=step)
        metrics = update(roles, rollouts, optimizer, step, CONFIG, RUN, STATE)
        assert metrics["first_ratio_gap"] < 1e-5
    assert all(torch.equal(a, b) for a, b in zip(frozen(), before, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(moving(), moved, strict=True))
    assert all(layer.active is None for layer in lora_layers(roles.trunk).values())


def small_tokens(roles, rows, cfg, run):
    """A reward with a known optimum, 1: the share of an answer's last 8 tokens that are below 48."""
    share_B = torch.tensor([sum(token < 48 for token in row.ids[-8:]) / 8 for row in rows])
    return {"share": (1 / 0.15, share_B - 0.5)}


def check_learns(algorithm, seed):
    """[#45] From a half of the optimum to nine tenths of it."""
    roles, scores, group = make_roles(), [], 1 if algorithm in ("ppo", "reinforce++") else 4
    optimizer = optimizer_of(roles, 1e-2)
    cfg = replace(CONFIG, missing_end_penalty=0.0, micro_batch_tokens=1000, algorithm=algorithm, group=group)
    prompts = [prompt for prompt in PROMPTS * (4 // group) for _ in range(group)]
    for step in range(50):
        rollouts, metrics = roll_out(roles, prompts, 0.01, EOS, cfg, RUN, 1000 * seed + step)
        update(roles, rollouts, optimizer, step, cfg, RUN, {"scale": 1.0, "beta": 0.01})
        scores.append(metrics["reward_share"].item() + 0.5)
    assert scores[0] < 0.6 and sum(scores[-3:]) / 3 > 0.9, scores


@pytest.mark.parametrize("algorithm, seed", [("ppo", seed) for seed in range(5)] +
                         [(name, 0) for name in train_ppo.ALGORITHMS if name != "ppo"])
def test_all_four_learn(monkeypatch, algorithm, seed):
    monkeypatch.setattr(ROLLOUTS, "reward_parts", small_tokens)
    check_learns(algorithm, seed)


def test_the_check_of_learning_has_teeth(monkeypatch):
    monkeypatch.setattr(ROLLOUTS, "reward_parts", small_tokens)
    monkeypatch.setattr(train_ppo.ppo, "whiten", lambda x_BT, mask_BT: x_BT * 0)     # advantages say nothing
    with pytest.raises(AssertionError):
        check_learns("ppo", 0)


def test_passes_end_and_updates_are_skipped():
    """Beyond --kl-stop no more passes; a mini-batch whose ratio is beyond --ratio-limit changes nothing."""
    roles = make_roles(trained=True)
    rollouts, _ = rollouts_of(roles)
    before = [x.clone() for x in adapter_parameters(roles.trunk, "policy")]
    metrics = update(roles, rollouts, optimizer_of(roles), 0, replace(CONFIG, ratio_limit=0.5), RUN, STATE)
    assert metrics["skipped"] == 4 and math.isnan(metrics["grad_norm"])
    assert all(map(torch.equal, before, adapter_parameters(roles.trunk, "policy")))
    metrics = update(roles, rollouts, optimizer_of(roles, 0.1), 0, replace(CONFIG, kl_stop=1e-4), RUN, STATE)
    assert metrics["skipped"] == 3 and metrics["grad_norm"] > 0              # the first is at KL 0


def test_the_way_back():
    """After a disaster the weights are those that were good, momentum is gone and the rate is half; the
    fourth ends the run."""
    roles, state = make_roles(), {"scale": 1.0, "retreats": 0}
    trained, optimizer = train_ppo.learners(roles, CONFIG)
    good = {name: parameter.detach().clone() for name, parameter in trained.items()}
    update(roles, rollouts_of(roles)[0], optimizer, 1, CONFIG, RUN, STATE)
    assert optimizer.state and not all(map(torch.equal, good.values(), trained.values()))
    for left in (0.5, 0.25, 0.125):
        train_ppo.go_back(trained, optimizer, good, state, CONFIG)
        assert state["scale"] == left
    assert all(map(torch.equal, good.values(), trained.values()))
    assert not optimizer.state
    with pytest.raises(ValueError, match="--kl-limit 50 nats four times"):
        train_ppo.go_back(trained, optimizer, good, state, CONFIG)


def test_dialogues_mixed_in():
    """--pretrain adds the coefficient times the mean loss of as many dialogues as the mini-batch has rows, to
    the policy alone."""
    roles = make_roles(trained=True, dtype=torch.float64)
    mix = examples([(2, 5), (1, 3), (4, 4), (3, 1)], seed=5)
    cfg = replace(CONFIG, pretrain_coefficient=3.0, micro_batch_tokens=8)
    loss = train_ppo.mix_backward(roles, mix, 0, cfg, RUN)
    ours = gradients(roles)
    roles.trunk.zero_grad()
    with train_ppo.adapter(roles.trunk, "policy"):
        expected = -roles.trunk.score(pack(mix))[0].mean()
    (3 * expected).backward()
    assert loss == pytest.approx(expected.item())
    for name, gradient in gradients(roles).items():
        assert (gradient is None) == (ours[name] is None) == (not name.endswith(".policy"))
        if gradient is not None:
            close(ours[name], gradient)


def test_the_mix_keeps_its_epochs(monkeypatch):
    """Mini-batches of 3, 3 and 2 answers draw 2 dialogues each: all eight, before one comes again."""
    drawn = []

    def draws(*args):
        drawn.append(batch_of_step(*args))
        return drawn[-1]
    monkeypatch.setattr(train_ppo, "batch_of_step", draws)
    cfg, roles = replace(CONFIG, minibatches=3, ppo_epochs=1), make_roles(trained=True)
    mix = examples([(n, 3) for n in (2, 1, 4, 3, 2, 5, 1, 2)], seed=5)
    rollouts, _ = rollouts_of(roles, cfg)
    for step in range(2):
        update(roles, rollouts, optimizer_of(roles, 0.0), step, cfg, RUN, dict(STATE), mix)
    assert len(drawn) == 6 and sorted(sum(drawn[:4], [])) == list(range(8))


def test_grpo_has_its_kl_in_the_loss():
    """backward() is the gradient of (L_pi + beta sum k3) / count, without a value function."""
    cfg = replace(CONFIG, algorithm="grpo", group=2)
    roles = make_roles(trained=True, dtype=torch.float64)
    rollouts, _ = rollouts_of(roles, cfg, prompts=[p for p in PROMPTS for _ in range(2)])
    train_ppo.backward(roles, rollouts, [2, 3, 6, 7], 10, True, cfg, RUN, 0.7)
    ours, expected = gradients(roles), 0.0
    roles.trunk.zero_grad()
    for row in (2, 3, 6, 7):
        n = sum(rollouts.examples[row].answer)
        old, a, ref = (getattr(rollouts, name)[row, :n] for name in
                       ("logp_BT", "advantages_BT", "ref_logp_BT"))
        logp, _ = policy_logp(roles, "policy", [rollouts.examples[row]], cfg, RUN)
        expected -= (a * (logp - old).exp()).sum()
        expected += 0.7 * ((ref - logp).exp() - 1 - (ref - logp)).sum()
    (expected / 10).backward()
    for name, gradient in gradients(roles).items():
        assert (gradient is None) == (ours[name] is None) == (not name.endswith(".policy"))
        if gradient is not None:
            close(ours[name], gradient)


def test_repeated_share():
    """Pairs ab, ba, ab, ba, ab are two kinds of five."""
    assert ROLLOUTS.repeated_share([1, 2, 3, 4]) == 0 and ROLLOUTS.repeated_share([7]) == 0
    assert ROLLOUTS.repeated_share([1, 2, 1, 2, 1, 2]) == pytest.approx(3 / 5)
