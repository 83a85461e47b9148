"""
Scoring an exam's options: the options of a question share its tokens, against each with a prompt of its own.

    python benchmarks/exam.py                       about three minutes on two cores

The embedded exam, its questions behind 0, 5 and 10 solved ones, and a BLOOM of random weights, 512 wide and
4 deep.  As in evaluate.py, a question has eight continuations, the letters and the texts of four options.
Both ways cut the same micro-batches of questions and go through speakers.py: they differ in what is shared
alone, and first it is checked that they agree.
"""
import dataclasses
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.measure import medians, table, times_faster  # noqa: E402
from clinicalgpt.config import ModelConfig  # noqa: E402
from clinicalgpt.evaluation.speakers import Speaker  # noqa: E402
from clinicalgpt.evaluation.tasks import options_of  # noqa: E402
from clinicalgpt.evaluation.testset import load_records  # noqa: E402
from clinicalgpt.exam import few_shot  # noqa: E402
from clinicalgpt.model import Transformer  # noqa: E402
from clinicalgpt.pretrain import tiny_base, tiny_data  # noqa: E402
from clinicalgpt.template import open_words  # noqa: E402
from evaluate import EvalConfig  # noqa: E402

QUESTIONS, SHOTS = 4, (0, 5, 10)


class Apart(Speaker):
    """Each continuation is of a record of its own, so nothing is shared."""

    def scored(self, *question):
        return [dataclasses.replace(example, record={}) for example in super().scored(*question)]


def questions(records, shots):
    """(messages, cue, continuations) of the first records, behind `shots` of the last ones."""
    asked = [few_shot(record, records[-40:], shots)["messages"][:-1] for record in records[:QUESTIONS]]
    return [options_of(record, messages) for record, messages in zip(records, asked)]


def main():
    tokenizer, template = open_words(tiny_base())
    config = ModelConfig.bloom(tokenizer.vocabulary, 512, 4, 8)
    model = Transformer(config).initialise(torch.Generator().manual_seed(0)).eval()
    cfg = EvalConfig(micro_batch_tokens=16384, max_len=4096)
    sharing, apart = (Kind(model, tokenizer, template, cfg, "", None) for Kind in (Speaker, Apart))
    records, rows = load_records([tiny_data() / "test_exam.jsonl"])["exam"], []
    for shots in SHOTS:
        asked = questions(records, shots)
        lengths = [len(example.ids) for question in asked for example in sharing.scored(*question)]
        for one, other in zip(sharing.logp(asked), apart.logp(asked)):
            assert max(abs(a - b) for a, b in zip(one, other)) < 1e-3, (one, other)
        seconds = medians({"sharing": lambda asked=asked: sharing.logp(asked),
                           "apart": lambda asked=asked: apart.logp(asked)})
        rows.append([shots, sum(lengths) // len(lengths),
                     *(f"{QUESTIONS / seconds[way]:.2f}" for way in ("apart", "sharing")),
                     times_faster(seconds["apart"], seconds["sharing"])])
    table(["solved questions before", "tokens of a continuation with its prompt", "questions / s, apart",
           "sharing", "sharing is"], rows)


if __name__ == "__main__":
    main()
