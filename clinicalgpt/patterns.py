r"""
Pre-tokenising patterns: the regular expressions that tokenizer.json holds, for Python's `re`.
(Not here: what is done with the pieces, see bpe.py.)

They are written in Oniguruma's dialect: \p{L} and \p{N} are Unicode's letters and numbers, \s is its
white space, a class may hold a class, ^ and $ are the ends of every line.  `re` differs, so every class is
worked out to its ranges of code points, [a-z] becoming [\u0061-\u007a].  What is not understood is refused,
never passed on by chance.

Letters and numbers are those of Unicode 16, as in the reference; Python 3.11 knows Unicode 14, and what came
since then is listed here.  (\p{M}, \p{P}, \p{S} and finer categories are those of the running Python.)
"""

import functools
import re
import sys
import unicodedata

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

WHITE_SPACE = "9-d 20 85 a0 1680 2000-200a 2028-2029 202f 205f 3000"
SINCE_UNICODE_14 = {
    "L": "1c89-1c8a a7cb-a7cd a7da-a7dc 105c0-105f3 10d4a-10d65 10d6f-10d85 10ec2-10ec4 1123f-11240 "
         "11380-11389 1138b 1138e 11390-113b5 113b7 113d1 113d3 11bc0-11be0 11f02 11f04-11f10 "
         "11f12-11f33 1342f 13441-13446 13460-143fa 16100-1611d 16d40-16d6c 18cff 1b132 1b155 "
         "1df25-1df2a 1e030-1e06d 1e4d0-1e4eb 1e5d0-1e5ed 1e5f0 2b739 2ebf0-2ee5d 31350-323af",
    "N": "10d40-10d49 116d0-116e3 11bf0-11bf9 11f50-11f59 16130-16139 16d70-16d79 1ccf0-1ccf9 "
         "1d2c0-1d2d3 1e4f0-1e4f9 1e5f1-1e5fa"}
LINES = {"^": "(?m:^)", "$": "(?m:$)", ".": "[^\n]"}
ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "f": "\f", "v": "\v"}


def compile_pattern(pattern):
    """(a compiled `re` pattern for texts of the basic plane, a function that returns the one for all texts),
    each with one group around the whole, so that its split() keeps what it matches.  A pattern without the
    characters beyond is several times faster.  Raises ValueError, naming it, for what is not understood."""
    try:
        narrow = re.compile(f"({translate(pattern, 0xFFFF)})")
        wide = functools.cache(lambda: re.compile(f"({translate(pattern)})"))
    except re.error as error:
        raise ValueError(f"pattern {pattern!r}: {error}") from None
    return narrow, wide


def translate(pattern, last=sys.maxunicode):
    """The pattern for `re`, its classes cut at code point `last`."""
    out, i = [], 0
    while i < len(pattern):
        opening = re.compile(r"\(\?(?:i:|:|=|!|<=|<!|>)|\((?!\?)|\)|\||[?*+]|\{\d*,?\d*\}").match(pattern, i)
        if opening:
            out.append("(?:" if opening[0] == "(" else opening[0])
            i = opening.end()
        elif pattern[i] == "(":
            raise ValueError(f"pattern {pattern!r}: '(' at {i} is not understood")
        elif pattern[i] in LINES:
            out.append(LINES[pattern[i]])
            i += 1
        else:
            ranges, i = _one_class(pattern, i)
            out.append(_written(ranges, last))
    return "".join(out)


def _one_class(pattern, i):
    """(ranges, next position) of the character, escape or [...] at position i."""
    if pattern[i] == "[":
        return _bracket(pattern, i)
    if pattern[i] != "\\":
        return [(ord(pattern[i]), ord(pattern[i]))], i + 1
    letter = pattern[i + 1:i + 2]
    if letter in ("p", "P"):
        name = re.compile(r"\{(\^?)(\w+)\}").match(pattern, i + 2)
        if not name:
            raise ValueError(f"pattern {pattern!r}: \\{letter} at {i} is not understood")
        ranges = category(name[2])
        return _complement(ranges) if (letter == "P") != bool(name[1]) else ranges, name.end()
    if letter in ("s", "S", "d", "D"):
        ranges = _parse(WHITE_SPACE) if letter in "sS" else category("Nd")
        return ranges if letter.islower() else _complement(ranges), i + 2
    if letter.isalnum() and letter not in ESCAPES or not letter:
        raise ValueError(f"pattern {pattern!r}: \\{letter} at {i} is not understood")
    code = ord(ESCAPES.get(letter, letter))
    return [(code, code)], i + 2


def _bracket(pattern, i):
    """The ranges of a [...], which may hold others."""
    negated = pattern.startswith("[^", i)
    i += 2 if negated else 1
    ranges = []
    while i < len(pattern) and pattern[i] != "]":
        if pattern.startswith("&&", i) or pattern.startswith("[:", i):
            raise ValueError(f"pattern {pattern!r}: {pattern[i:i + 2]!r} at {i} is not understood")
        part, i = _one_class(pattern, i)
        if pattern[i:i + 1] == "-" and pattern[i + 1:i + 2] not in ("]", "") and part[0][0] == part[-1][1]:
            upper, i = _one_class(pattern, i + 1)
            part = [(part[0][0], upper[-1][1])]
        ranges += part
    if i == len(pattern):
        raise ValueError(f"pattern {pattern!r}: a [ is not closed")
    ranges = _union(ranges)
    return _complement(ranges) if negated else ranges, i + 1


def category(name):
    """Ranges of the code points of a general category, "L" or "Lu", say."""
    ranges = [span for key, spans in _categories().items() if key.startswith(name) for span in spans]
    if not ranges:
        raise ValueError(f"\\p{{{name}}} is not understood; general categories are")
    return _union(ranges + _parse(SINCE_UNICODE_14.get(name, "")))


@functools.cache
def _categories():
    spans, start, current = {}, 0, unicodedata.category("\0")
    for code in range(1, sys.maxunicode + 2):
        kind = unicodedata.category(chr(code)) if code <= sys.maxunicode else None
        if kind != current:
            spans.setdefault(current, []).append((start, code - 1))
            start, current = code, kind
    return spans


def _parse(text):
    """[(first, last), ...] of "9-d 20"."""
    pairs = [part.split("-") for part in text.split()]
    return [(int(pair[0], 16), int(pair[-1], 16)) for pair in pairs]


def _union(ranges):
    merged = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def _complement(ranges):
    starts = [0, *(last + 1 for _, last in ranges)]
    ends = [*(first - 1 for first, _ in ranges), sys.maxunicode]
    return [(a, b) for a, b in zip(starts, ends) if a <= b]


def _written(ranges, last):
    spans = [(a, min(b, last)) for a, b in ranges if a <= last]
    if not spans:
        return "(?!)"                                           # nothing at all
    if len(spans) == 1 and spans[0][0] == spans[0][1]:
        return re.escape(chr(spans[0][0]))
    return "[" + "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in spans) + "]"
