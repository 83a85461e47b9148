"""
How near an answer comes to a reference, and how the answers read: BLEU, GLEU, ROUGE, distinct, repetition.
(Not here: how sure we are of the numbers, see statistics.py; exams, exam.py; who wins, judge.py.)

All count the same tokens, and clips: an n-gram matches no more often than the reference has it.

    BLEU  = min(1, exp(1 - r / h)) * exp(1/n sum_k log(m_k / t_k))                  Papineni 2002, section 2.3
    GLEU  = sum over answers of m / sum over answers of max(t, t_reference)         Wu 2016, section 4.2
    ROUGE = mean over answers of 2 P R / (P + R),  P = m / t,  R = m / t_reference  Lin 2004, beta = 1

m: matches; t: n-grams of the answer (GLEU: of lengths 1-4 together); h, r: tokens of answers and references.
BLEU's and GLEU's counts are kept as a row an answer: a corpus, or a resampled one, is the sum of its rows.
Where m_k = 0, a sentence has BLEU 0 but for smoothing (Chen & Cherry 2014, numbered as there and in NLTK):

    method1   m_k = 0.1 where it is 0
    method2   m_k + 1 and t_k + 1 for k > 1                                         Lin & Och 2004
    method3   the j-th m_k that is 0 becomes 1 / 2^j                                as mteval-v13a.pl does it
"""

import re
from collections import Counter

import numpy as np

TOKENS = "tokens: a Chinese character, a Latin word, a number or a punctuation mark; lower case"
FORMS = {                           # shown beside the numbers: what a token is moves BLEU from 34 to 60
    "BLEU": "corpus, n 1-{n}, clipped, the nearest reference length, smoothing {smoothing}",
    "sentence BLEU": "mean of sentences, n 1-{n}, clipped, the nearest reference length, "
                     "smoothing {smoothing}",
    "GLEU": "Google's, corpus, n 1-4",
    "ROUGE": "mean of F1 (beta 1); ROUGE-L by the longest common subsequence",
    "distinct": "different n-grams over all n-grams, all answers together",
    "repetition": "mean of the share of an answer's 4-grams that came before in it",
    "length": "mean, in tokens",
    "end rate": "share of answers that the model ended itself, before the limit",
}


def signature(metric, n=4, smoothing="none"):
    """What a number is: >>> signature("GLEU")
    'GLEU: Google\'s, corpus, n 1-4 | tokens: a Chinese character, ...'"""
    form = FORMS[metric].format(n=n, smoothing=smoothing)
    return f"{metric}: {form}" + (f" | {TOKENS}" if metric != "end rate" else "")


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
    """An answer's row: h, r, m_1, t_1, m_2, t_2 ...: the first 2 + 2k columns are the row for k < n.  Of
    several references the nearest in length gives r (of two, the shorter), and an n-gram is clipped to its
    count in the reference that has most of it."""
    rows = []
    for hypothesis, choices in zip(map(tokens, hypotheses), reference_tokens(references), strict=True):
        row = [len(hypothesis), min(map(len, choices), key=lambda r: (abs(r - len(hypothesis)), r))]
        for k in range(1, n + 1):
            most = Counter()
            for choice in choices:
                most |= ngrams(choice, k)
            row += [matches(ngrams(hypothesis, k), most),
                    max(len(hypothesis) - k + 1, 1)]              # shorter than k: one missed, as in NLTK
        rows.append(row)
    return np.array(rows, dtype=np.int64).reshape(-1, 2 + 2 * n)


def bleu_of(rows, smoothing="none"):
    """BLEU of a row or a sum of rows, or of each of many: (..., 2 + 2n) -> (...)."""
    rows = np.asarray(rows, dtype=float)
    length, nearest, matched, total = rows[..., 0], rows[..., 1], rows[..., 2::2], rows[..., 3::2]
    nothing = matched == 0
    if smoothing == "method1":
        matched = matched + 0.1 * nothing
    elif smoothing == "method2":
        longer = np.arange(matched.shape[-1]) > 0
        matched, total = matched + longer, total + longer
    elif smoothing == "method3":
        matched = np.where(nothing, 0.5 ** nothing.cumsum(-1), matched)
    elif smoothing != "none":
        raise ValueError(f"smoothing {smoothing!r}: none, method1, method2 or method3")
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.exp(np.minimum(0, 1 - nearest / length) + np.log(matched / total).mean(-1))
    return np.where(nothing[..., 0], 0.0, score)                  # no word in common: nothing to smooth


def corpus_bleu(rows, smoothing="none"):
    """BLEU of the corpus whose rows these are."""
    return float(bleu_of(rows.sum(0), smoothing))


def bleu(hypotheses, references, n=4, smoothing="none"):
    """Corpus BLEU in [0, 1].  bleu(["我我我"], ["我"], n=1) is 1/3: one 我 of three is in the reference."""
    return corpus_bleu(bleu_rows(hypotheses, references, n), smoothing)


def sentence_bleu(hypothesis, reference, n=4, smoothing="method3"):
    return float(bleu_of(bleu_rows([hypothesis], [reference], n)[0], smoothing))


def mean_sentence_bleu(hypotheses, references, n=4, smoothing="method3"):
    return float(bleu_of(bleu_rows(hypotheses, references, n), smoothing).mean())


def gleu_rows(hypotheses, references, n=4):
    """An answer's row: m, max(t, t_reference), against the reference that makes m / max largest."""
    def all_ngrams(words):
        return sum((ngrams(words, k) for k in range(1, n + 1)), Counter())

    rows = []
    for hypothesis, choices in zip(map(tokens, hypotheses), reference_tokens(references), strict=True):
        counts = all_ngrams(hypothesis)
        pairs = [(matches(counts, c), max(counts.total(), c.total())) for c in map(all_ngrams, choices)]
        rows.append(max(filter(any, pairs), key=lambda pair: pair[0] / pair[1], default=(0, 0)))
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


def repetition(hypotheses, n=4):
    """Mean share of an answer's n-grams that came before in it: near 1 where a model has lost itself."""
    return sum(1 - distinct([hypothesis], n) for hypothesis in hypotheses) / max(len(hypotheses), 1)


def length(hypotheses):
    return sum(len(tokens(hypothesis)) for hypothesis in hypotheses) / max(len(hypotheses), 1)


def end_rate(finishes):
    """finishes: why each answer ended, "stop" where the model did it and "length" where the limit did."""
    return sum(finish == "stop" for finish in finishes) / max(len(finishes), 1)
