"""
Chinese names that no rule of privacy_rules.py marks, by the odds of their characters.

    odds = log P(a name begins | before) P(surname) P(length) P(given name) P(after | a name ended)
         - log P(the same characters as ordinary text),   by pairs:  P(b | a) = l n(a b) / n(a) + (1 - l) P(b)

Of names that overlap the likeliest is taken; one in a list of names is judged like one after a title.
P(begins) has four sizes: after a word for a person or a task (患者, 主刀), after one that often stands
before names (与, 找), at the edge of a clause, elsewhere.  The numbers were chosen by hand, on texts apart
from those of the tests.  Brands of drugs read like names, so published releases do without this.

The pairs, ordinary.tsv, were counted in 3.7 million characters of medical questions, dialogues, exams and
records in Chinese, names taken out.  A line: a character, its count, and what follows it, each group after
the binary logarithm of its counts, as a letter.  `python -m data.likely_names FILES` prints such a table.
"""
import json
import math
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path

from data import names as table

LEAST = 0.5                                          # odds
BEGINS = {"role": 0.05, "before": 0.005, "edge": 0.004, "else": 0.0002}
LENGTH = {1: 0.18, 2: 0.8, 3: 0.01}                  # of the given name; 3: after a second surname
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ROLE = re.compile(
    "(?:姓 ?名|名[字叫为]|[大小本学]名|叫做?|[转我]姓"
    "|主[治刀持管]|住院|[一二三]助|助手|术者|麻醉|器械|巡回|洗手|记录|[复查]核|核对|审核|检查|送检|报告|值班"
    "|[当接交夜白]班|管床|经治|责任|陪同|翻译|随访|签[名字]|落款|代笔|新[入收]|病[危重]|出院|转[入出科]|委托"
    "|介绍|感谢|通知|转告|联系人?|患者系|患[者儿方]|病[人员]|[伤死]者|[产孕]妇|家[属长]"
    "|医[生师]|大夫|护士长?|护士站|主任|教授|组长|学生|护工|保姆|司机|邻居|同[事学伴屋]|朋友|室友|工友|老[师乡]"
    "|妻子|丈夫|爱人|老[公婆伴]|婆婆|[父母]亲?|[爸妈妻夫兄弟姐妹嫂]|儿子|女儿|[长次三幼独其][子女]"
    "|[堂表][兄弟姐妹哥]|爷爷|奶奶|外[公婆孙]|[孙侄][子女]|外甥女?|[击警护介绍托理责系查检试测]人"
    "|[击试检查述护同记访负责]者|[科室区房组部]|[@＠《【]|床)[ 　:：]*$")
BEFORE = set("说带晨给帮和与及由让请向找是为系交嘱称随同经被对问替跟谢知络托绍自访助见者人员属子女儿")
AFTER = set(
    "开走带评让办姓突拔更诉说称示于在因的也已将今明昨正被把来去到等之及和与、做主协麻建指认后系为给帮下随立翻全")
TELLS = re.compile(                                  # what follows a name and hardly anything else
    r"[ 　]*[，,（(\-－]? ?(?:性别)?[男女](?![一-龥]|$)|[ 　]*[，,（(]? ?\d{1,3} ?岁|[ 　:：]*1[3-9]\d{9}"
    "|同志|老师|先生"
    "|女士|医[生师]|大夫|护士|副?主任|教授|家属|本人|之[父母妻夫子女兄]|[一二两三]人|代?诉|敬上|谨上|台鉴"
    "|[自代口]述|主刀|签[名字]|查房")
NO_NAME = re.compile(                                # 许旺细胞, 西乐葆胶囊, 余姚市
    "片|胶囊|颗粒|汤|丸|散|膏|综合|氏|试验|征|法|细胞|反应|病|方|现象|定律|注射|口服|滴|软|医院"
    "|[市县省区路]")
ONE = re.compile(".+", re.S)
P_SURNAME = {surname: 0.2 / (rank + 3) for rank, surname in enumerate(dict.fromkeys(
    table.FREQUENT + table.SURNAMES + table.NOUNS + table.VERBS))} | dict.fromkeys(table.RARE, 5e-5)
P_SURNAME |= dict.fromkeys(table.COMPOUND, 5e-4)
MAY_BEGIN = re.compile(f"(?=([{''.join(P_SURNAME)}][一-龥]))")
HOPELESS = -5.0                                      # odds of two characters that no others make good
DOUBLED, PHRASE = 1.7e-5, 1e-5                       # 婷婷; one of GIVEN_WORDS
WORDS = re.compile(table.GIVEN_WORDS)
FREQUENT_GIVEN = set(table.GIVEN[:160])


@cache
def counts():
    """({character: count}, {pair: count}) of ordinary text; # stands for all that is not Chinese."""
    one, two = {}, {}
    for line in Path(__file__).with_name("ordinary.tsv").read_text(encoding="utf-8").splitlines():
        first, count, groups = line.split("\t")
        one[first] = int(count)
        for size, following in re.findall("([a-z])([^a-z]+)", groups):
            two.update((first + second, 2.0 ** LETTERS.index(size)) for second in following)
    return one, two, sum(one.values())


@cache
def chance(character):
    one, _, total = counts()
    return (one.get(character, 0) + 0.5) / total


@cache
def follows(pair):
    """log P(second | first) in ordinary text."""
    one, two, _ = counts()
    seen = one.get(pair[0], 0)
    weight = seen / (seen + 60)
    often = two.get(pair, 0) / seen if seen else 0
    return math.log(weight * often + (1 - 0.85 * weight) * chance(pair[1]))


@cache
def given(name):
    """log P of a given name."""
    sizes = (1 / 300 if character in FREQUENT_GIVEN else 1 / 1500 if character in table.GIVEN
             else 1e-4 if character in table.WEAK_GIVEN else 5e-6 if character in table.NOT_GIVEN
             else 1 / 5000 for character in name)
    whole = PHRASE if WORDS.fullmatch(name) else DOUBLED if len(set(name)) < len(name) == 2 else 0
    return math.log(max(math.prod(sizes), whole))


@cache
def promising(pair):
    """Whether a surname and the next character are no ordinary words."""
    odds = P_SURNAME.get(pair[0], 5e-4) * max(given(pair[1]), 1e-4) / chance(pair[0])
    return pair in P_SURNAME or math.log(odds * BEGINS["role"]) - follows(pair) > HOPELESS


def begins(text, start, listed):
    left = text[max(0, start - 6):start]
    if listed or ROLE.search(left):
        return "role"
    return "edge" if not re.search("[一-龥]$", left) else "before" if left[-1] in BEFORE else "else"


def ended(text, end):
    """log P(what stands at `end` | a name ended there)."""
    if TELLS.match(text, end):
        return 0.5
    if is_chinese(after := text[end:end + 1]):
        likely = chance(after)
        return math.log(max(0.02, likely / 3) if after in AFTER else likely / 2)
    return math.log(0.4)


def is_chinese(character):
    return "一" <= character <= "龥"


def best(text, start, listed):
    """(odds, end) of the likeliest name that begins at `start`."""
    found, place = (-math.inf, start), begins(text, start, listed)
    if (listed or place != "role") and text[start:start + 2] in table.COMMON:
        return found
    place = math.log(BEGINS[place])
    before = text[start - 1:start] if start and is_chinese(text[start - 1]) else "#"
    for surname in (text[start:start + 2], text[start]):
        if surname in P_SURNAME:
            first, ordinary = start + len(surname), follows(before + surname[0])
            word = before + surname[0]
            inside = 4 * (before != "#" and (ordinary > -4 or word in table.COMMON))      # 主任, 本周
            for end in range(first + 1, min(first + (4 if len(surname) == 1 else 3), len(text) + 1)):
                name, second = text[first:end], ""
                if not is_chinese(name[-1]) or len(name) == 3 and name[0] not in P_SURNAME:
                    break
                if len(name) == 3:
                    second, name = name[0], name[1:]
                after = text[end] if end < len(text) and is_chinese(text[end]) else "#"
                written = text[start:end] + after
                as_text = ordinary + sum(follows(written[i:i + 2]) for i in range(len(written) - 1))
                family = P_SURNAME[surname] * P_SURNAME.get(second, 1) * LENGTH[end - first]
                odds = place + math.log(family) + given(name) + ended(text, end) - as_text
                found = max(found, (odds - inside - 8 * bool(NO_NAME.match(text, end)), end))
    return found


def likely_names(text, spans):
    """[(start, end, "name", match)] apart from spans."""
    taken, ends, names = bytearray(len(text)), set(), []
    for start, end, kind, _ in spans:
        taken[start:end] = b"\1" * (end - start)
        if kind == "name":
            ends.add(end)
    for _ in range(2):                               # the second time what stands in a list with the first
        found = []
        for match in MAY_BEGIN.finditer(text):
            start = match.start()
            if not taken[start] and promising(match[1]):
                listed = start - 1 in ends and text[start - 1] in "、 　，,和与及；"
                odds, end = best(text, start, listed)
                if odds > LEAST and taken.find(1, start, end) < 0 and text[start:end] not in table.COMMON:
                    found.append((odds, start, end))
        for _, start, end in sorted(found, reverse=True):
            if taken.find(1, start, end) < 0:
                taken[start:end] = b"\1" * (end - start)
                ends.add(end)
                names.append((start, end, "name", ONE.match(text)))
    return names


def count(texts):
    """The lines of ordinary.tsv, from texts without names: pairs seen twice that could decide about a na"
    "me."""
    one, two = Counter(), Counter()
    for text in texts:
        text = "#" + re.sub("[^一-龥]+", "#", text) + "#"
        one.update(text)
        two.update(zip(text, text[1:]))
    surnames, total, lines = set("".join(P_SURNAME)), one.total(), []
    for first, seen in one.most_common():
        groups = {}
        for second in one:
            often = two[first, second]
            matters = second in surnames or first in surnames or first not in table.NOT_GIVEN
            if often > 1 and matters and often * total > seen * one[second]:
                groups.setdefault(LETTERS[round(math.log2(often))], []).append(second)
        lines.append(f"{first}\t{seen}\t" + "".join(size + "".join(groups[size]) for size in sorted(groups)))
    return lines


def main(paths):
    from data.privacy import find_all  # not at the top: it imports this module

    bare = []
    for path in paths:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            texts = [message["content"] for message in json.loads(line)["messages"]]
            for text, spans in zip(texts, find_all(texts, private=False)):
                for start, end, kind, _ in spans:
                    text = text[:start] + "#" * (end - start) + text[end:] if kind == "name" else text
                bare.append(text)
    print("\n".join(count(dict.fromkeys(bare))))


if __name__ == "__main__":
    main(sys.argv[1:])
