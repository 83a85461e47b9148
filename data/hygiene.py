"""
What keeps a mixture clean: filters of single records, exact and near copies, test questions in training.
(Not here: files, processes, which record stays, see build.py.)

    normal text   NFKC, lower case, every run of what is neither letter nor digit one space; no system message
    near copies   the Jaccard index J of their sets of 5 characters in a row is 0.7 or more.  MinHash:
                  ROWS * BANDS least hashes a record; two that agree in all rows of a band are compared, text
                  by text.  A pair is found with probability 1 - (1 - J^5)^24: 0.988 at J = 0.7, 0.9999 at
                  0.8.  Of those that agree in a band, a record is compared with the first and the 8 before
                  it only, so that time stays linear
    leak          a unit is one Chinese character or one word of other letters.  A record leaks a held-out
                  question if the runs of 13 units that it shares with it cover 70 % of the question's units,
                  and 26 of them or all: a shorter one is often but the name of a disease.  A run that more
                  than COMMON held-out questions have is a turn of phrase and does not count

Letters: N characters, units or runs of all texts end to end, B texts, P pairs.
"""
import hashlib
import json
import re
import unicodedata

import numpy as np

from data.releases import question_key

ROLES = ("system", "user", "assistant")
LANGUAGES = ("zh", "en", "other")
ONE_ANSWER = ("exam", "diagnosis", "kg")    # tasks in which many questions rightly have one answer
SCORED_BY = {"exam": ("options", "answer"), "diagnosis": ("label",)}     # what evaluate.py wants in meta
ROWS, BANDS, LOOK_BACK = 5, 24, 8
RUN, COMMON = 13, 20
SIEVE = np.uint64(2**26 - 1)                        # a table of bits that most runs of no test fail to pass

CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
BROKEN = re.compile(r"[\ud800-\udfff\ufffd\ufffe\uffff]|锟斤拷|烫烫烫|屯屯屯")     # what lost bytes turn into
SPACE = re.compile(r"[\W_]+")


# ---- one record

def parse(line, place):
    """The record of a line, its form checked.  ValueError, with the place, where the file is damaged."""
    try:
        record = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: not a JSON line ({str(error)[:200]}); one record a line, UTF-8") from None
    if not isinstance(record, dict):
        raise ValueError(f"{place}: a {type(record).__name__}, not a JSON object; one record a line")
    messages, meta = record.get("messages"), record.get("meta", {})
    fault = None
    if not isinstance(record.get("id"), str) or not record["id"]:
        fault = "no text 'id'"
    elif not isinstance(messages, list) or not messages:
        fault = "no 'messages' list"
    elif not all(isinstance(turn, dict) and turn.get("role") in ROLES and isinstance(turn.get("content"), str)
                 for turn in messages):
        fault = f"a message that is not a role ({', '.join(ROLES)}) and a text 'content'"
    elif not isinstance(meta, dict) or not isinstance(meta.get("group", ""), str):
        fault = "a 'meta' that is not an object, or its 'group' not a text"
    elif is_preference(record):
        if len(answers := answers_of(record)) < 2 or not all(isinstance(answer, str) for answer in answers):
            fault = "neither 'answers' (two texts or more, best first) nor 'chosen' and 'rejected'"
    elif not isinstance(record.get("task"), str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", record["task"]):
        fault = "no 'task' of letters and digits"
    if fault:
        raise ValueError(f"{place}: {fault} (found {', '.join(sorted(record))[:200]}); "
                         "data/README.md describes the format")
    return record


def is_preference(record):
    return "answers" in record or "chosen" in record


def answers_of(record):
    """Those of a preference, best first; else the assistant's turns."""
    if not is_preference(record):
        return [turn["content"] for turn in record["messages"] if turn["role"] == "assistant"]
    answers = record.get("answers", [record.get("chosen"), record.get("rejected")])
    return answers if isinstance(answers, list) else []


def asked_by(record):
    return [turn["content"] for turn in record["messages"] if turn["role"] == "user"]


def told(record, answers=None):
    """What it says, as normal text, but for system messages, which many share.  Of a preference, the first
    `answers` of its answers: only the best is compared, as one text may rightly be the worse of many."""
    turns = [turn["content"] for turn in record["messages"] if turn["role"] != "system"]
    return normal("\n".join(turns + (answers_of(record)[:answers] if is_preference(record) else [])))


def length(record):
    texts = [turn["content"] for turn in record["messages"]]
    return sum(map(len, texts)) + (max(map(len, answers_of(record))) if is_preference(record) else 0)


def normal(text):
    return SPACE.sub(" ", unicodedata.normalize("NFKC", text).lower()).strip()


def key(*texts):
    """64 bits that stand for texts: of a million different ones two agree once in 37 million builds."""
    return int.from_bytes(hashlib.blake2b("\n".join(texts).encode(), digest_size=8).digest(), "little")


def question(record):
    """Equal for records that ask the same, whatever their spaces, punctuation and order of options."""
    return unicodedata.normalize("NFKC", "\n".join(question_key(record))).lower()


def unusable(record, max_chars, min_chars):
    """Why a record is of no use by itself, or None.  (Its language is judged in batches: `languages`.)"""
    asked, answers = asked_by(record), answers_of(record)
    texts = [turn["content"] for turn in record["messages"]] + answers
    everything = "\n".join([record["id"], record.get("meta", {}).get("group", ""), *texts])
    if BROKEN.search(everything):
        return "broken Unicode"
    if CONTROL.search(everything):
        return "control characters"
    if not all(map(str.strip, texts)) or not SPACE.sub("", "".join(asked)) \
            or not all(SPACE.sub("", answer) for answer in answers):
        return "empty"
    if not answers or record["messages"][-1]["role"] != ("user" if is_preference(record) else "assistant"):
        return "turns out of order"
    if asked[-1] in (answers if is_preference(record) else answers[-1:]) \
            or is_preference(record) and len(set(answers)) < len(answers):
        return "answer equal to the question or to the other answer"
    if length(record) > max_chars:
        return "too long"
    if len(SPACE.sub("", answers[0])) < min_chars and record.get("task") not in ONE_ANSWER:
        return "answer too short"


def can_be_scored(record):
    return all(record.get("meta", {}).get(name) for name in SCORED_BY.get(record["task"], ()))


# ---- many texts end to end

def mix(x):
    """Scatter 64-bit integers (the last steps of MurmurHash3)."""
    for factor in (0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53):
        x = (x ^ (x >> np.uint64(33))) * np.uint64(factor)
    return x ^ (x >> np.uint64(33))


BASE = np.uint64(0x9e3779b97f4a7c15)                                    # odd: multiplying by it loses nothing
MASKS, FACTORS = (mix(np.arange(1, 2 * ROWS * BANDS + 1, dtype=np.uint64) * BASE).astype(np.uint32)
                  .reshape(2, -1) | np.array([[0], [1]], np.uint32))


def code_points(texts):
    return np.frombuffer("".join(texts).encode("utf-32-le"), "<u4"), np.array([*map(len, texts)], np.int64)


def first_of(length_B):
    return np.cumsum(length_B) - length_B


def is_chinese(code_N):
    return ((code_N >= 0x3400) & (code_N <= 0x9fff) | (code_N >= 0xf900) & (code_N <= 0xfaff)
            | (code_N >= 0x20000) & (code_N <= 0x323af))


def rolling(hash_N, width):
    """The hash of each run of `width`; it begins at its index."""
    runs = np.zeros(max(0, len(hash_N) - width + 1), np.uint64)
    for k in range(width):
        runs = runs * BASE + hash_N[k:k + len(runs)]
    return mix(runs)


def languages(texts):
    """Indices in LANGUAGES of normal texts, by their letters: zh where 10 % are Chinese characters (exams are
    full of mmol/L and names of genes) and fewer than 10 % kana, en where 80 % are a to z.  (The alphabet does
    not tell English from Malay.)"""
    code_N, length_B = code_points([text + " " for text in texts])

    def count(of):
        return np.add.reduceat(of.astype(np.int64), first_of(length_B))
    latin_B = count((code_N >= 97) & (code_N <= 122))
    letters_B = np.maximum(1, count((code_N != 32) & ~((code_N >= 48) & (code_N <= 57))))
    kana_B = count((code_N >= 0x3040) & (code_N <= 0x30ff))
    chinese_B = (count(is_chinese(code_N)) >= 0.1 * letters_B) & (kana_B < 0.1 * letters_B)
    return np.where(chinese_B, 0, np.where(latin_B >= 0.8 * letters_B, 1, 2)).astype(np.uint8)


def signatures(texts):
    """The least hashes of each normal text, (ROWS * BANDS, B)."""
    code_N, length_B = code_points([text.replace(" ", "").ljust(5) for text in texts])
    inside_N = np.ones(len(code_N), bool)
    for k in range(1, 5):
        inside_N[np.cumsum(length_B) - k] = False
    hash_N = (rolling(code_N.astype(np.uint64), 5)[inside_N[:-4]] >> np.uint64(32)).astype(np.uint32)
    first_B, least = first_of(length_B - 4), np.empty((ROWS * BANDS, len(texts)), np.uint32)
    turned_N = np.empty_like(hash_N)
    for mask, factor, row in zip(MASKS, FACTORS, least):
        np.multiply(np.bitwise_xor(hash_N, mask, out=turned_N), factor, out=turned_N)
        np.minimum.reduceat(turned_N, first_B, out=row)
    return least


def bands(least, kind_B):
    """One number for each band, (BANDS, B); texts of two kinds hardly ever agree."""
    rows = least.reshape(BANDS, ROWS, -1).astype(np.uint64)
    hashed = np.broadcast_to(kind_B.astype(np.uint64), (BANDS, len(kind_B)))
    for r in range(ROWS):
        hashed = mix(hashed * BASE + rows[:, r])
    return (hashed >> np.uint64(32)).astype(np.uint32)


def near_candidates(band, low_bits, chosen_B, floor):
    """(later, earlier) pairs, in the order of the later, that may be near copies.  chosen_B: records to
    compare, best first; band(b): their numbers of band b; low_bits: the lowest 8 bits of the signature of
    every record, of which two records share about J."""
    found = np.empty(0, np.int64)
    for b in range(BANDS):
        number_B = band(b)
        at_B = np.argsort(number_B, kind="stable")
        number_B, place_B = number_B[at_B], np.arange(len(at_B))
        is_first_B = np.diff(number_B, prepend=number_B[:1] + np.uint32(1)) != 0
        first_B = np.maximum.accumulate(np.where(is_first_B, place_B, 0))
        far = place_B[place_B - first_B > LOOK_BACK]
        pairs = [(far, first_B[far])]
        for back in range(1, LOOK_BACK + 1):
            later = place_B[back:][first_B[back:] <= place_B[:-back]]
            pairs.append((later, later - back))
        close = [found]
        for later, earlier in pairs:
            for start in range(0, len(later), 1 << 14):
                x_P, y_P = at_B[later[start:start + (1 << 14)]], at_B[earlier[start:start + (1 << 14)]]
                share_P = (low_bits[chosen_B[x_P]] == low_bits[chosen_B[y_P]]).mean(1)
                close.append((x_P * len(at_B) + y_P)[share_P >= floor])
        found = np.unique(np.concatenate(close))
    return chosen_B[np.stack(np.divmod(found, max(1, len(chosen_B))), 1)]


def fives(text):
    """The set that Jaccard compares."""
    text = text.replace(" ", "").ljust(5)
    return {text[i:i + 5] for i in range(len(text) - 4)}


def jaccard(one, other):
    common = len(one & other)
    return common / (len(one) + len(other) - common)


# ---- questions of tests in other texts

def runs(texts):
    """(hash, text, place) of each run of 13 units of normal texts; the place counts units."""
    code_N, length_B = code_points([text + " " for text in texts])
    is_space_N, is_chinese_N = code_N == 32, is_chinese(code_N)
    after_N = np.append(True, (is_space_N | is_chinese_N)[:-1])          # a unit may begin here
    begin = np.flatnonzero(~is_space_N & (is_chinese_N | after_N))
    if not len(begin):
        return np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
    start_N = np.repeat(begin, np.diff(begin, append=len(code_N)))       # of the unit of each character
    code_N, is_space_N = code_N[begin[0]:].astype(np.uint64), is_space_N[begin[0]:]
    inside_N = (np.arange(begin[0], begin[0] + len(code_N)) - start_N).astype(np.uint64)
    scattered_N = np.where(is_space_N, np.uint64(0), mix(code_N + (inside_N << np.uint64(32)) + BASE))
    unit = np.add.reduceat(scattered_N, begin - begin[0])
    text = np.repeat(np.arange(len(texts)), length_B)[begin]
    hashed = rolling(unit, RUN)
    whole = np.flatnonzero(text[:len(hashed)] == text[RUN - 1:])
    first_unit_B = np.searchsorted(text, np.arange(len(texts)))
    return hashed[whole], text[whole], whole - first_unit_B[text[whole]]


def covered(group, place):
    """(group, how many units its runs cover) of each group; both arrays sorted by group, then place."""
    if not len(group):
        return group, place
    new = np.diff(group, prepend=group[0] - 1) != 0
    added = np.where(new, RUN, np.minimum(RUN, np.diff(place, prepend=0)))
    first = np.flatnonzero(new)
    return group[first], np.add.reduceat(added, first)


def index_of(hash_N, question_N, place_N, count):
    """Runs of `count` held-out questions as arrays to look up in, sorted by hash, what is common left out;
    and how many units of each question they cover.  The runs of a question follow each other.  All is done
    part by part, as there may be millions."""
    rare_N, parts = np.zeros(len(hash_N), bool), [np.empty(0, np.int64)]
    for top in range(16):
        order = np.flatnonzero(hash_N >> np.uint64(60) == top)
        order = order[np.argsort(hash_N[order], kind="stable")]
        some = hash_N[order]
        first = np.flatnonzero(np.diff(some, prepend=some[:1] + np.uint64(1)) != 0)
        times = np.diff(first, append=len(some))
        order = order[np.repeat(times <= COMMON, times)]
        rare_N[order] = True
        parts.append(order.astype(np.uint32))
    units, last = np.zeros(count), (-1, 0)
    for at in range(0, len(hash_N), 1 << 20):
        rare = rare_N[at:at + (1 << 20)]
        question, place = (array[at:at + (1 << 20)][rare].astype(np.int64) for array in (question_N, place_N))
        if len(question):
            again = np.diff(question, prepend=last[0]) == 0
            added = np.where(again, np.minimum(RUN, np.diff(place, prepend=last[1])), RUN)
            units += np.bincount(question, added, count)
            last = question[-1], place[-1]
    order = np.concatenate(parts).astype(np.uint32)
    marked = np.zeros(int(SIEVE) + 1, bool)
    marked[hash_N[order] & SIEVE] = True
    return {"hash": hash_N[order], "question": question_N[order], "place": place_N[order],
            "units": units.astype(np.int64), "sieve": np.packbits(marked, bitorder="little")}


def leaks(index, texts, share):
    """(text, question, share of it covered) where a text holds at least that share of a held-out question."""
    hash_N, text_N, _ = runs(texts)
    low_N = hash_N & SIEVE
    bit_N = index["sieve"][low_N >> np.uint64(3)] >> (low_N & np.uint64(7)).astype(np.uint8) & 1
    passed = np.flatnonzero(bit_N)
    hash_N, text_N = hash_N[passed], text_N[passed]
    low, high = (np.searchsorted(index["hash"], hash_N, side) for side in ("left", "right"))
    count = high - low
    hit = np.repeat(low - first_of(count), count) + np.arange(count.sum())
    group = np.repeat(text_N, count) * len(index["units"]) + index["question"][hit]
    place = index["place"][hit].astype(np.int64)
    order = np.lexsort((place, group))
    group, units = covered(group[order], place[order])
    text, asked = np.divmod(group, max(1, len(index["units"])))
    whole = index["units"][asked]
    leak = (units >= share * whole) & (units >= np.minimum(whole, 2 * RUN))
    return text[leak], asked[leak], (units / whole)[leak]


# ---- one answer, many questions

def same_answers(answer_B, asked_B, most):
    """Which records give an answer that more than `most` different questions get."""
    order = np.lexsort((asked_B, answer_B))
    answer, asked = answer_B[order], asked_B[order]
    new_answer = np.diff(answer, prepend=answer[:1] + np.uint64(1)) != 0
    new_pair = new_answer | (np.diff(asked, prepend=asked[:1]) != 0)
    first = np.flatnonzero(new_answer)
    many = np.zeros(len(order), bool)
    if len(first):
        questions = np.add.reduceat(new_pair.astype(np.int64), first)
        many[order] = np.repeat(questions > most, np.diff(first, append=len(order)))
    return many


def repeats(key_B):
    """Of each record the first with the same key; itself where it is the first."""
    order = np.argsort(key_B, kind="stable")
    sorted_keys = key_B[order]
    new = np.diff(sorted_keys, prepend=sorted_keys[:1] + np.uint64(1)) != 0
    first_B = np.empty(len(order), np.int64)
    first_B[order] = order[np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))]
    return first_B
