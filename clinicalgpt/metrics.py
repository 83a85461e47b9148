"""
How good an answer is, in numbers: BLEU, GLEU, ROUGE, distinct, accuracy, and how sure we are of them.
(Not here: exam protocols, which belong to tasks.py, and pairwise preference, which belongs to judge.py.)

All count the same tokens, and clips: an n-gram matches no more often than the reference has it.

    BLEU  = min(1, exp(1 - r / h)) * exp(1/n sum_k log(m_k / t_k))                  Papineni 2002, section 2.3
    GLEU  = sum over answers of m / sum over answers of max(t, t_reference)         Wu 2016, section 4.2
    ROUGE = mean over answers of 2 P R / (P + R),  P = m / t,  R = m / t_reference  Lin 2004, beta = 1

m: matches; t: n-grams of the answer (GLEU: of lengths 1-4 together); h, r: tokens of answers and references.
BLEU's h, r, m_k, t_k are sums over the corpus, kept as a row an answer: a resampled corpus sums other rows.
"""

import math
import re
from collections import Counter

import numpy as np

# Shown beside the numbers: the same output scores 34 or 60 BLEU depending on what a token is.
SIGNATURE = (
    "tokens: a Chinese character, a Latin word, a number or a punctuation mark; lower case | "
    "BLEU: corpus, n 1-4, clipped, brevity penalty, no smoothing | "
    "GLEU: Google's, corpus, n 1-4 | ROUGE: mean F1 (beta 1)"
)

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"    # kana and ideographs
LETTER = rf"[^\W\d_{CJK}]"
TOKEN = re.compile(rf"\d+(?:\.\d+)*|{LETTER}(?:{LETTER}|\d)*|\S")


def tokens(text):
    """>>> tokens("体温37.5度，服维生素B12共5mg")
    ['体', '温', '37.5', '度', '，', '服', '维', '生', '素', 'b12', '共', '5', 'mg']"""
    return TOKEN.findall(text.lower())


def ngrams(words, n):
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def matches(counts, other):
    """The n-grams that both have, each as often as the text with fewer of it has: the clipping."""
    return sum((counts & other).values())


def reference_tokens(references):
    """One reference an answer, or a list of them, as a list of token lists an answer."""
    return [[tokens(r) for r in ([one] if isinstance(one, str) else one)] for one in references]


def bleu_rows(hypotheses, references, n=4):
    """An answer's row: h, r, m_1 .. m_n, t_1 .. t_n.  Of several references the nearest in length gives r (of
    two, the shorter), and an n-gram is clipped to its count in the reference that has most of it."""
    rows = []
    for hypothesis, choices in zip(map(tokens, hypotheses), reference_tokens(references), strict=True):
        nearest = min(map(len, choices), key=lambda length: (abs(length - len(hypothesis)), length))
        matched, total = [], []
        for k in range(1, n + 1):
            most = Counter()
            for choice in choices:
                most |= ngrams(choice, k)
            matched.append(matches(ngrams(hypothesis, k), most))
            total.append(max(len(hypothesis) - k + 1, 1))         # shorter than k: one missed, as in NLTK
        rows.append([len(hypothesis), nearest, *matched, *total])
    return np.array(rows, dtype=np.int64).reshape(-1, 2 + 2 * n)


def bleu_of(matched, total, hypothesis_length, reference_length):
    if min(matched) == 0:
        return 0.0
    log_precision = sum(math.log(m / t) for m, t in zip(matched, total, strict=True)) / len(matched)
    return math.exp(min(0.0, 1 - reference_length / hypothesis_length) + log_precision)


def corpus_bleu(rows):
    """BLEU of the corpus whose rows these are: the statistic for `bootstrap`."""
    hypothesis_length, reference_length, *counts = rows.sum(0).tolist()
    n = len(counts) // 2
    return bleu_of(counts[:n], counts[n:], hypothesis_length, reference_length)


def bleu(hypotheses, references, n=4):
    """Corpus BLEU in [0, 1].  bleu(["我我我"], ["我"], n=1) is 1/3: one 我 of three is in the reference."""
    return corpus_bleu(bleu_rows(hypotheses, references, n))


def sentence_bleu(hypothesis, reference, n=4):
    """BLEU of one answer, smoothing 3 (Chen & Cherry 2014): the j-th order with m = 0 gets m = 1 / 2^j."""
    hypothesis_length, reference_length, *counts = bleu_rows([hypothesis], [reference], n)[0].tolist()
    matched, zeros = counts[:n], 0
    if matched[0] == 0:
        return 0.0                                                # not one word in common: nothing to smooth
    for k, m in enumerate(matched):
        if m == 0:
            zeros += 1
            matched[k] = 0.5**zeros
    return bleu_of(matched, counts[n:], hypothesis_length, reference_length)


def gleu_rows(hypotheses, references, n=4):
    """An answer's row: m, max(t, t_reference), against the reference that makes m / max largest."""
    def all_ngrams(words):
        return sum((ngrams(words, k) for k in range(1, n + 1)), Counter())

    rows = []
    for hypothesis, choices in zip(map(tokens, hypotheses), reference_tokens(references), strict=True):
        counts = all_ngrams(hypothesis)
        pairs = [(matches(counts, c), max(counts.total(), c.total(), 1)) for c in map(all_ngrams, choices)]
        rows.append(max(pairs, key=lambda pair: pair[0] / pair[1]))
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def corpus_gleu(rows):
    matched, total = rows.sum(0).tolist()
    return matched / max(total, 1)


def gleu(hypotheses, references):
    """Google's GLEU of the corpus in [0, 1] (not the metric of grammar correction that has the same name)."""
    return corpus_gleu(gleu_rows(hypotheses, references))


def common_subsequence(a, b):
    """Length of the longest common subsequence; a row of the table is the bits in an integer (Hyyro 2004):
    0 where a[:i+1] has one word more in common with b than a[:i], so the length is the number of zeros."""
    places, full = Counter(), (1 << len(a)) - 1
    for i, word in enumerate(a):
        places[word] |= 1 << i
    row = full
    for word in b:
        here = row & places[word]
        row = ((row + here) | (row - here)) & full
    return len(a) - row.bit_count()


def f1(matched, total, reference_total):
    return 2 * matched / (total + reference_total) if matched else 0.0


def rouge_rows(hypotheses, references):
    """An answer's row: F1 of ROUGE-1, ROUGE-2, ROUGE-L, each against its best reference."""
    rows = []
    for hypothesis, choices in zip(map(tokens, hypotheses), reference_tokens(references), strict=True):
        scores = []
        for choice in choices:
            h, r = len(hypothesis), len(choice)
            ones, twos = (matches(ngrams(hypothesis, k), ngrams(choice, k)) for k in (1, 2))
            longest = common_subsequence(hypothesis, choice)
            scores.append((f1(ones, h, r), f1(twos, h - 1, r - 1), f1(longest, h, r)))
        rows.append(np.max(scores, axis=0))
    return np.array(rows).reshape(-1, 3)


def rouge(hypotheses, references):
    rows = rouge_rows(hypotheses, references)
    return dict(zip(("rouge1", "rouge2", "rougeL"), rows.mean(0).tolist(), strict=True))


def distinct(hypotheses, n):
    """Different n-grams over all n-grams of all answers: bland ones repeat one another. No n-gram gives 1."""
    counts = Counter()
    for hypothesis in hypotheses:
        counts.update(ngrams(tokens(hypothesis), n))
    return len(counts) / counts.total() if counts else 1.0


def accuracy(predictions, answers):
    """A prediction that could not be parsed (None) is simply not the answer: it counts as wrong."""
    return sum(p == a for p, a in zip(predictions, answers, strict=True)) / max(len(answers), 1)


def wilson(successes, n, z=1.96):
    """Interval of a proportion (Wilson 1927), inside [0, 1] even for 0 or n successes: it solves
    |p - q| = z sqrt(q (1 - q) / n) for q."""
    if n == 0:
        return 0.0, 1.0
    p, scale = successes / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return max(centre - half, 0.0), min(centre + half, 1.0)


def bootstrap(statistic, *columns, rounds=1000, seed=0):
    """95 % percentile interval of statistic(*columns): a round draws items with replacement, the same from
    each column, so the columns of two models give the paired interval of their difference.

        bootstrap(corpus_bleu, bleu_rows(hypotheses, references))
        bootstrap(lambda a, b: corpus_bleu(a) - corpus_bleu(b), rows_of_model_a, rows_of_model_b)
    """
    columns, generator, values = [np.asarray(column) for column in columns], np.random.default_rng(seed), []
    for _ in range(rounds):
        drawn = generator.integers(len(columns[0]), size=len(columns[0]))
        values.append(statistic(*(column[drawn] for column in columns)))
    return tuple(np.percentile(values, [2.5, 97.5]).tolist())
