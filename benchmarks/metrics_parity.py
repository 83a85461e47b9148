"""
The metrics against NLTK, ROUGE against a textbook one written here by recursion, tests against SciPy.

    python benchmarks/metrics_parity.py [FOLDER ...] [--pairs 3000]

Pairs of an answer and one to three references: random ones of few words, empty ones among them, and real ones
from the texts of the folders (.json, .jsonl, .csv, .txt, and those in .zip): a text against its neighbour, or
against itself with words lost, swapped and doubled.  Both sides see the same tokens.  Prints the largest
difference of each number, and exits with 1 if one is over 1e-9.  Needs nltk and scipy.
"""
import argparse
import json
import random
import re
import sys
import warnings
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu, sentence_bleu
from nltk.translate.gleu_score import corpus_gleu
from scipy.stats import binomtest

sys.path.insert(0, str(Path(__file__).parents[1]))
from clinicalgpt import metrics, statistics  # noqa: E402

SMOOTHING = {"none": None, **{f"method{k}": getattr(SmoothingFunction(), f"method{k}") for k in (1, 2, 3)}}
LIMIT = 1e-9


def real_texts(folders, count, generator):
    """Up to `count` texts: the strings of JSON, the lines of all else."""
    texts = []
    for folder in folders:
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as archive:
                    blobs = [archive.read(name) for name in archive.namelist() if name[-1] != "/"]
            elif path.suffix in (".json", ".jsonl", ".csv", ".txt"):
                blobs = [path.read_bytes()]
            else:
                continue
            for blob in blobs:
                text = blob.decode("utf-8", "ignore")
                if path.suffix in (".json", ".jsonl"):
                    texts += [json.loads(found) for found in re.findall(r'"(?:[^"\\\n]|\\.)*"', text)]
                else:
                    texts += text.split("\n")
    texts = [text[:300] for text in texts if len(text) > 10]
    return generator.sample(texts, min(count, len(texts)))


def damaged(text, generator):
    words = [word for word in metrics.tokens(text) for _ in range(generator.choice((0, 1, 1, 1, 1, 2)))]
    for _ in range(len(words) // 6):
        i, j = generator.randrange(len(words)), generator.randrange(len(words))
        words[i], words[j] = words[j], words[i]
    return " ".join(words)


def some_pairs(folders, count, generator):
    """(kind, [(answer, references), ...])"""
    def words():
        return " ".join(generator.choices("abcde", k=generator.randrange(9)))
    made = [(words(), [words() for _ in range(generator.randint(1, 3))]) for _ in range(count)]
    yield "random", made
    texts = real_texts(folders, count, generator)
    if texts:
        yield "real", [(damaged(text, generator) if i % 2 else texts[i - 1],
                        [text] + [texts[i - 2]] * (i % 3 == 0)) for i, text in enumerate(texts)]


def longest_common(a, b):
    """By the definition, top down, each pair of places once."""
    @cache
    def longest(i, j):
        if i == len(a) or j == len(b):
            return 0
        return 1 + longest(i + 1, j + 1) if a[i] == b[j] else max(longest(i + 1, j), longest(i, j + 1))
    return longest(0, 0)


def textbook_rouge(hypothesis, references):
    """Precision and recall apart, n-grams ticked off one by one; the best reference of each."""
    def f1(found, size, reference_size):
        if not found:
            return 0.0
        precision, recall = found / size, found / reference_size
        return 2 * precision * recall / (precision + recall)

    def common(n, a, b):
        mine, left = ([tuple(words[i:i + n]) for i in range(len(words) - n + 1)] for words in (a, b))
        sizes, found = (len(mine), len(left)), 0
        for gram in mine:
            if gram in left:
                left.remove(gram)
                found += 1
        return f1(found, *sizes)
    a = metrics.tokens(hypothesis)
    scores = [(common(1, a, b), common(2, a, b), f1(longest_common(a, b), len(a), len(b)))
              for b in map(metrics.tokens, references)]
    return [max(column) for column in zip(*scores)]


def differences(pairs):
    """(name, the largest difference, how many numbers were compared)."""
    answers, references = zip(*pairs)
    tokens = [metrics.tokens(answer) for answer in answers]
    theirs = [[metrics.tokens(text) for text in texts] for texts in references]
    for name, method in SMOOTHING.items():
        for n in (1, 2, 3, 4):
            weights = [1 / n] * n
            rows = metrics.bleu_rows(answers, references, n)
            ours = metrics.bleu_of(rows, name)
            apart = [sentence_bleu(b, a, weights, method) for a, b in zip(tokens, theirs)]
            yield f"sentence BLEU-{n}, {name}", np.abs(ours - apart).max(), len(apart)
            parts = [slice(i, i + 20) for i in range(0, len(tokens), 20)]
            ours = [metrics.bleu(answers[part], references[part], n, name) for part in parts]
            apart = [corpus_bleu(theirs[part], tokens[part], weights, method) for part in parts]
            yield f"corpus BLEU-{n}, {name}", np.abs(np.subtract(ours, apart)).max(), len(parts)
    ours = [metrics.gleu([a], [b]) for a, b in zip(answers, references)]
    apart = [corpus_gleu([b], [a]) for a, b in zip(tokens, theirs)]
    yield "GLEU, sentences", np.abs(np.subtract(ours, apart)).max(), len(ours)
    yield "GLEU, corpus", abs(metrics.gleu(answers, references) - corpus_gleu(theirs, tokens)), 1
    apart = [textbook_rouge(a, b) for a, b in pairs]
    for i, name in enumerate(("ROUGE-1", "ROUGE-2", "ROUGE-L")):
        largest = np.abs(metrics.rouge_rows(answers, references)[:, i] - np.array(apart)[:, i]).max()
        yield name, largest, len(apart)


def of_statistics(generator):
    counts = [sorted((generator.randrange(300), generator.randrange(300))) for _ in range(2000)]
    counts = [(k, n) for k, n in counts if n]
    ours = [statistics.mcnemar([1] * k + [0] * (n - k), [0] * k + [1] * (n - k))[2] for k, n in counts]
    yield "McNemar", np.abs(np.subtract(ours, [binomtest(k, n).pvalue for k, n in counts])).max(), len(counts)
    ours = [statistics.wilson(k, n, z=1.959963984540054) for k, n in counts]
    apart = [binomtest(k, n).proportion_ci(method="wilson") for k, n in counts]
    yield "Wilson", np.abs(np.subtract(ours, [tuple(interval) for interval in apart])).max(), len(counts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="*", help="folders of real texts")
    parser.add_argument("--pairs", type=int, default=3000, help="pairs of each kind")
    args = parser.parse_args()
    sys.setrecursionlimit(10_000)
    warnings.filterwarnings("ignore", "(?s).*hypothesis contains 0 counts")
    generator, worst = random.Random(0), 0.0
    found = [(kind, *row) for kind, pairs in some_pairs(args.folders, args.pairs, generator)
             for row in differences(pairs)] + [("", *row) for row in of_statistics(generator)]
    for kind, name, largest, count in found:
        print(f"{kind:7} {name:26} {largest:9.2e}   of {count}")
        worst = max(worst, largest)
    print(f"largest {worst:.2e}, limit {LIMIT:.0e}")
    sys.exit(int(worst > LIMIT))


if __name__ == "__main__":
    main()
