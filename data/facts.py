"""
The fact checker: which facts a text states, and what a knowledge graph says of each.
(Not here: scores of answers, see clinicalgpt/judge.py; synonyms, inflected names; several subjects at once;
what a question, or a clause with "if", supposes: it states nothing.)

    check_facts(text, graph, head=None, relation=None) -> [Fact(head, relation, tail, denied, verdict), ...]

`head` and `relation` are what the text answers: a sentence that names no subject, or no relation, is about
them.  A subject stays until another is named.  Names are the longest that the graph knows; an alias is read
as its head.  Relations are announced by the cues of relations.py; where a cue may mean several, the reading
that is true decides, else the one that has such tails; a sentence without a cue is read so too, as far as its
tails are no heads themselves.  A list may stand behind its cue or before it, joined by marks, commas and
words.  A denial (没有, 不包括, not) reaches to the end of its list, or to a "but".

What is stated as true is
    supported      if the graph has the fact
    contradicted   if the graph has other tails for the head and the relation, has this tail under the
                   relation for other heads only, and nothing near it: no fact of any relation joins head and
                   tail, no true tail contains this one or is contained in it, by its letters in order or by
                   its characters or words in any (Graph.near); never where tails are amounts (VALUES in
                   relations.py)
    unknown        otherwise: a head, a relation or a tail that the graph does not know, a tail of another
                   type or relation, a head without tails of this relation.  The world is open there.
What is denied is contradicted where its fact is supported, and supported where it is contradicted.

How it reads: text is cut into sentences, these at commas into clauses, clauses into tokens of these kinds.
    N name   C cue   J joiner   L opens a list   D denial   V prohibition ("do not eat": no denial where the
    relation forbids)   T turn ("but")   Q supposition ("if")   P marks the subject   O other text, which is
    an item of its own, unknown to the graph, where a list has it
"""
import re
from functools import lru_cache
from typing import NamedTuple

from data.relations import SAME, VALUES, templates

HAN = re.compile("[\u4e00-\u9fff]")
SENTENCE = re.compile(r"[^。！!？?；;\n.]*(?:\.(?!\s|$)[^。！!？?；;\n.]*)*([。！!？?；;\n.]|$)")
WORDS = {
    "J": "、|和|及|与|或|以及|及其|还有|或者|跟|同|并且|而且|and|or|nor|as well as|&|and also|along with",
    "L": "主要是|主要有|主要为|主要包括|有|包括|是|为|如|例如|比如|即|指|：|属于|算是|发现|看到|通过|依靠"
         "|靠|用|以|进行|采取|需要|:|include|includes|including|are|is|be|was|were|such as|like|namely"
         "|among|relies on|rely on|consist in|comprises|comprise|order|use|needs|need|finds|find|cover"
         "|covers|consist of|consists of",
    "D": "没有|没|无|不会|不会有|不包括|不是|并非|并不是|不属于|不含|不需要|不用|不必|不伴|并没有|并不|不"
         "|未|未见|从来没有|从不|不推荐|不建议|绝非|毫无|缺乏|并无|误以为|误认为|误解|谣传|not|no|never"
         "|without|neither|cannot|can't|doesn't|don't|isn't|aren't|won't|nobody|none|rather than"
         "|a mistake that|false that|not true that|wrongly|mistakenly|falsely|incorrectly|wrong that"
         "|free of|free from|unlike|no need|lacks|excludes|exclude",
    "V": "不要|不能|不可|不可以|不宜|不得|别|勿|must not|should not|shouldn't|mustn't|do not|must never",
    "T": "但|但是|而是|却|不过|只|只有|but|instead|however|rather|only|yet",
    "Q": "如果|若|倘若|假如|要是|万一|是否|有无|有没有|能否|if|whether|unless",
    "P": "患|得了|患有|患上|得|对|对于|针对|服用|使用|服|吃了|关于|说到|在|由|至于|就|of|for|with|in|from"
         "|to|against|by|on|about|between|follow|follows|after|during|that|which|taking|takes|taken|have"
         "|has|having|get|gets|getting|use|using|as for|at",
    "O": "是不是|离不开"
         "|少不了|免不了|不外乎|不止|不可或缺|不可缺少|必不可少|不得不|无非|不治|不及时|不控制|不当"
         "|不明|不良|不足|以免|以防|以便|以后|以上|以下|以前|以内|以外|所以|难以|足以|并非没有|不是没有"
         "|无法|没法|不能排除|不一定|有助于|只要|只是|不少|不仅|不但|不光|不只|无论|不论|不同|而且"
         "|not only|no doubt|in time|in fact|in general|in practice|at present|for example|as to"}
SUBJECT = ("服用|使用|口服|治疗|诊断|怀疑|预防|确诊|医治|防止|照顾|护理|treat|treats|treating|diagnose"
           "|diagnosing|confirm|confirming|suspects|suspected|prevent|preventing|relieve|treated|managed"
           "|cured|diagnosed|confirmed|prevented|relieved|tested|checked|caused by|due to|used for"
           "|given for").split("|")
BEING = set("是 为 属于 算是 are is be was were among".split())
SYMMETRIC = {"interaction", "related_disease", "differential_diagnosis"}       # "A and B interact"
FORBID = {"interaction", "food_bad", "contraindication", "precaution"}         # a prohibition affirms these
FILL = ("这一类|这些|这类|这种|这几种|那些|一些|某些|部分|患者|病人|病患|人群|疾病|药物|该病|本病|此病"
        "|该药|本品|常见|主要|典型|明显|一般|通常|往往|可能|可以|应该|应当|需要|容易|较为|比较|之间"
        "|其中|以及|或者|等等|都|也|还|会|可|常|多|等|的|地|了|后|时|时候|中|里|者|人|其|它|他|她|这|该"
        "|此|能|应|要|需|让|使|将|把|被|以|于|起|来|去|做|上|当|较|最|更|很|十分|非常|手段|首先|首选"
        "|考虑|项目|方法|办法|措施|方式|途径|部位|因素|种类|类型|表现|条件|要点|事项|检查项目|及时|之一"
        "|情况|方面|先|再|并|则|其实|产生|存在|发生|号|目前|临床|建议")
FILL_WORDS = set(
    "a an the some any often usually mainly mostly also commonly typically may can could might "
    "would will should been being it its he she they this that these those patient patients "
    "people person someone disease diseases condition drug drugs medicine illness both then "
    "there mild severe help helps seen we produce show develop involve require follow seem "
    "appear methods measures method measure frequently sometimes generally other do does did "
    "all else so which who what one ones common typical usual main fairly easily early later "
    "such as well too of etc treated done".split())
ENDS = re.compile("请|应当|注意|就医|医生|休息|遵医|咨询|及时|希望|祝"
                  "|doctor|please|consult|hospital|should|you")
STRONG = re.compile("(病|症|炎|癌|瘤|征|疹|中毒|感染|骨折|片|胶囊|颗粒|注射液|素|平|林)$")   # like a head
PARTS = set("疗法 检查 检测 手术 药 病毒 科 感染 反应 作用 护理".split())         # of names, as well as cues
TRAILING = re.compile("(等|的|这类|这些|这种|几种|来|可以|会|能)$")
OWNER = re.compile("(患者|病人|病患|的人)?.{0,3}的|患者|病人|病患|的人")       # "... 's symptoms are"
ITEM = 12                                            # characters of an unknown item; words, a third as many


class Fact(NamedTuple):
    head: str
    relation: str
    tail: str
    denied: bool
    verdict: str


class Token(NamedTuple):
    kind: str
    value: object
    text: str


NOTHING = Token("-", None, "")


class Reader:
    """The words of one graph: all that reading a text needs, made once."""

    def __init__(self, graph):
        self.graph, self.words, self.vocabulary, self.head_types, self.types = graph, {}, {}, {}, {}
        cues = {}
        for lang in ("zh", "en"):
            for relation, template in templates(lang).items():
                for cue in template.cues:
                    cues.setdefault(cue, []).append(relation)
        owners = {}
        for fact in graph.facts():
            if fact.relation == "alias":
                owners.setdefault(fact.tail.lower(), set()).add(fact.head)
                continue
            self.types.setdefault(fact.head, set()).add(fact.head_type)
            self.head_types.setdefault(fact.relation, set()).add(fact.head_type)
            self.vocabulary.setdefault(fact.relation, {})[fact.tail] = True
            for name in (fact.head, fact.tail):
                self.words.setdefault(name.lower(), Token("N", name, name))
        for alias, heads in owners.items():            # an alias of two heads names neither
            if len(heads) == 1:
                self.words.setdefault(alias, Token("N", *heads, alias))
        self.named = {SAME.get(relation, relation): relation for relation in self.head_types}
        for kind, words in WORDS.items():
            for word in words.split("|"):
                self.words[word] = Token(kind, word, word)
        for cue, relations in cues.items():
            own = tuple(self.named.get(r, r) for r in relations)
            if cue not in self.words or self.words[cue].kind != "N":       # 感染 is a disease of many graphs
                self.words[cue] = Token("C", own, cue)
        self.longest = {}
        for word in self.words:
            self.longest[word[:2]] = max(len(word), self.longest.get(word[:2], 0))
            self.longest.setdefault(word[:1], 1)

    def tokens(self, text):
        """The longest word at each place; a word of Latin letters is whole."""
        text = text.replace("不适用", "不 适用")       # no 不适
        lower, start, rest, found = text.lower(), 0, 0, []
        if len(lower) != len(text):                    # a few letters change their length: İ
            lower = text
        while start < len(text):
            for stop in range(min(start + self.longest.get(lower[start:start + 2], 1), len(text)), start, -1):
                token = self.words.get(lower[start:stop])
                if token and _whole(lower, start, stop) and not self.cuts_a_name(token, lower, start, stop):
                    if text[rest:start].strip():
                        found.append(Token("O", None, text[rest:start].strip()))
                    found.append(token)
                    start = rest = stop
                    break
            else:
                start += 1
        if text[rest:].strip():
            found.append(Token("O", None, text[rest:].strip()))
        return found

    def cuts_a_name(self, token, text, start, stop):
        """Whether a longer name begins inside a word that is none: 有无 in 有无痛性血尿."""
        inside = ((i, end) for i in range(start + 1, stop if token.kind != "N" else start + 1)
                  for end in range(max(stop, i + stop - start) + 1,
                                   min(i + self.longest.get(text[i:i + 2], 1), len(text)) + 1))
        return any(self.words.get(text[i:end], NOTHING).kind == "N" and _whole(text, i, end)
                   for i, end in inside)

    def fitting(self, relations, head):
        """Of the readings of a cue, those that the graph has for heads of this type."""
        types = self.types.get(head, set())
        return tuple(r for r in relations if types & self.head_types.get(r, set()))

    def readings(self, tail, head):
        """What a tail may be of such a head, where no cue says it."""
        return self.fitting([r for r, known in self.vocabulary.items() if tail in known], head)

    def allowed(self, relations, head):
        return self.fitting(relations, head) or relations

    def fact(self, head, relations, tail, denied, asked):
        """The fact with the likeliest of the relations, and its verdict."""
        graph, original = self.graph, relations
        names = tail, self.words.get(tail.lower(), Token("N", tail, tail)).value
        relations = self.fitting(relations, head) or self.readings(tail, head) or relations
        for relation in relations:
            if known := next((t for t in names if t in graph.tails(head, relation)), None):
                return Fact(head, relation, known, denied, "contradicted" if denied else "supported")
        having = [r for r in relations if tail in self.vocabulary.get(r, ())]
        for relation in having:
            if graph.tails(head, relation) and not graph.near(head, relation, tail) \
                    and SAME.get(relation, relation) not in VALUES:
                return Fact(head, relation, tail, denied, "supported" if denied else "contradicted")
        if turned := self.turned(head, original, tail, denied):
            return turned
        likely = [r for r in relations if r == asked] or [r for r in relations if graph.tails(head, r)]
        return Fact(head, (having or likely or relations)[0], tail, denied, "unknown")

    def turned(self, head, relations, tail, denied):
        """The fact with head and tail exchanged, where only that way round its types fit: a drug that a
        disease is treated with, in a graph that has its indications alone."""
        types, own = self.types.get(tail, set()), self.types.get(head, set())
        for relation in relations:
            fits = self.head_types.get(relation, set())
            if types & fits and not own & fits and (known := self.graph.tails(tail, relation)):
                if head in known:
                    return Fact(tail, relation, head, denied, "contradicted" if denied else "supported")
                if head in self.vocabulary[relation] and not self.graph.near(tail, relation, head):
                    return Fact(tail, relation, head, denied, "supported" if denied else "contradicted")


@lru_cache(maxsize=4)                                  # a graph never changes
def reader(graph):
    return Reader(graph)


def _whole(text, start, stop):
    return not (_latin(text[start:start + 1]) and _latin(text[max(start - 1, 0):start])
                or _latin(text[stop - 1:stop]) and _latin(text[stop:stop + 1]))


def _merged(tokens):
    """Other text and a cue at its end are one item of a list: X疗法, unless it is 等症状."""
    merged = []
    for i, token in enumerate(tokens):
        last = merged[-1] if merged else None
        before = merged[-2].kind if len(merged) > 1 else "C"
        (after,) = tokens[i + 1:i + 2] or [NOTHING]
        ends = after.kind in "-J" or after.kind == "O" and not _item(after.text)
        if token.text in PARTS and token.kind == "C" and last and last.kind == "O" and before in "JLCDVP" \
                and ends and not TRAILING.search(last.text) and _listed(_item(last.text)):
            merged[-1] = Token("O", None, last.text + token.text)
        else:
            merged.append(token)
    return merged


def _latin(character):
    return character.isascii() and character.isalnum()


def _item(text):
    """Other text without the words that may surround an item of a list."""
    if len(text) > 8 * ITEM:
        return text                                    # no item, whatever surrounds it
    if HAN.search(text):
        before = None
        text = text.strip(" \t()（）“”\"'《》")
        while text != before:
            before, text = text, re.sub(f"^({FILL})|({FILL})$", "", text).strip()
        return text
    words = re.findall(r"[\w'-]+", text)
    while words and words[0].lower() in FILL_WORDS:
        words.pop(0)
    while words and words[-1].lower() in "etc too then patients well both of the are would may".split():
        words.pop()
    return " ".join(words)


def _listed(item):
    return 1 < len(item) <= ITEM if HAN.search(item) else \
        2 < len(item) <= 5 * ITEM and len(item.split()) <= ITEM // 3


class Text:
    """One text being read: the subject that stays, and the facts found."""

    def __init__(self, words, head, relation):
        self.words, self.asked, self.relation, self.head, self.found = words, head, relation, head, {}

    def sentence(self, text, asks):
        self.said, self.list = [], 0                                 # statements; where the last list begins
        self.cue, self.topic, self.pending = None, None, []          # of this sentence; tails before a cue
        self.last = None                                                 # the reading of an ambiguous cue
        self.denied = self.listing = False                               # does the list go on, is it denied
        for clause in re.split(r"[，,](?!\d)", text):
            if tokens := self.words.tokens(clause):
                self.clause(_merged(tokens))
        head = self.topic or self.head
        if self.relation:
            self.state(head, (self.relation,), self.pending)
        elif self.cue is None:                                           # what such tails are of such heads
            for tail, denied in self.pending:
                if tail not in self.words.types and (fits := self.words.readings(tail, head)):
                    self.state(head, fits, [(tail, denied)])
        if not self.asked and not self.said:
            self.head = head                                           # what is spoken of next
        for head, relations, tail, denied in () if asks else self.said:
            forbids = {SAME.get(r, r) for r in self.words.allowed(relations, head)} & FORBID
            fact = self.words.fact(head, relations, tail, bool(denied) and not (denied == "V" and forbids),
                                   self.relation or self.last)
            self.last = self.last if fact.verdict == "unknown" else fact.relation
            self.found.setdefault(fact[:3], fact)

    def state(self, head, relations, tails):
        self.said += [[head, relations, tail, denied] for tail, denied in tails if head and tail != head]

    def subject(self, tokens):
        """(index of the name that the clause is about, or None; whether words say that it is)."""
        cue = next((i for i, token in enumerate(tokens) if token.kind == "C"), len(tokens))
        names = [i for i, token in enumerate(tokens) if token.kind == "N"]
        heads = [i for i in names if tokens[i].value in self.words.types]
        first = heads[0] if heads and heads[0] == names[0] else None
        for i in heads:
            before, (after,) = tokens[i - 1] if i else NOTHING, tokens[i + 1:i + 2] or [NOTHING]
            joined, opens = after.kind == "J", before.kind == "C" and i == names[0] and after.kind != "J"
            marked = (before.kind == "P" or before.text in ("与", "和", "跟", "同") and i == 1
                      or opens and (i < names[-1] or before.text in SUBJECT or after.kind in ("P", "L", "D"))
                      or before.text in SUBJECT and i == names[-1] and names[0] not in heads
                      or before.text in ("用", "使用", "服用") and i == names[-1] < cue
                      or before.kind == "O" and before.text.endswith("的") and i == names[0] and not joined)
            owner = after.kind == "O" and OWNER.match(after.text) and cue < len(tokens)
            if tokens[i].value == self.asked or owner or marked and (first in (None, i) or first > cue):
                return i, True
        if first is None or first > cue:
            return None, False
        behind, being = names[-1] > cue, any(token.text in BEING for token in tokens[first:cue])
        behind = behind or any(t.kind == "O" and _listed(_item(t.text)) for t in tokens[cue + 1:])
        if cue < len(tokens) and tokens[first + 1].kind == "J" and not behind:        # A and B interact
            relations = {r for token in tokens if token.kind == "C" for r in token.value}
            return (first, True) if relations & SYMMETRIC else (None, False)
        if cue == len(tokens):
            alone = len(names) == 1 or tokens[first + 1].kind != "J"
            return (first, False) if alone else (None, False)
        passive = tokens[cue].text in SUBJECT
        inverse = being and not behind and not passive and len(names) == 1
        return (None, False) if inverse else (first, True)

    def clause(self, tokens):
        cues = [i for i, token in enumerate(tokens) if token.kind == "C"]
        kinds = {token.kind for token in tokens}
        subject, head = self.about(tokens, cues)
        items = self.items(tokens, subject)
        pure = all(t.kind in "NJ" or t.kind == "O" and _item(t.text) == t.text for t in tokens)
        if self.listing and not cues and not pure:                     # a clause of another kind: names alone
            items = {i: item for i, item in items.items() if tokens[i].kind == "N"}
        ahead, behind, current, denied, denied_at = self.read(tokens, cues, items, head, pure)
        self.pending += ahead
        if "Q" in kinds:                                               # supposed: its subject stays, no more
            self.pending, self.cue, self.listing = [], current or self.cue, bool(current) and not behind
        elif cues:
            self.list = len(self.said)
            if behind and head:
                self.state(head, behind[0][2], ahead)
                self.pending = self.pending[:len(self.pending) - len(ahead)]
            elif not behind:                                             # the list stood before its cue
                self.pending = [(tail, was or denied) for tail, was in self.pending]
                self.resolve(head, current)
            for tail, was, relations in behind:
                self.state(head, relations, [(tail, was)])
            if not head:                                                 # "Avoid X, Y when you have H"
                self.pending = [(tail, was) for tail, was, _ in behind] or self.pending
            self.cue, self.listing = behind[-1][2] if behind else current, bool(behind) or not ahead
        elif self.cue and (self.listing or not self.topic or len(self.pending) > len(ahead)):
            self.resolve(head, self.cue)
            self.listing = self.listing or bool(ahead)
        elif subject is not None and self.topic == tokens[subject].value and not (self.relation or self.cue):
            self.pending.append((tokens[subject].value, denied))       # perhaps an item of a list
        last = max(items, default=-1)
        being = any(token.text in BEING for token in tokens[max(last, 0):])
        if denied_at > last and being and (behind or not cues) and "T" not in kinds:
            for statement in self.said[self.list:]:                      # "... are not known"
                statement[3] = statement[3] or denied
        self.denied = denied if tokens[-1].kind in "NO" else ""

    def resolve(self, head, relations):
        if head:
            self.state(head, relations, self.pending)
            self.pending = []

    def about(self, tokens, cues):
        """(index of the subject among the tokens, or None; the head that the clause is about)."""
        subject, sure = self.subject(tokens)
        if self.listing and not sure:
            subject = None                                               # an item, and no new subject
        symmetric = SYMMETRIC.intersection(r for i in cues for r in tokens[i].value)
        if symmetric and self.pending and not self.topic and (subject == 0 or subject is self.head is None):
            self.topic, subject, sure = self.pending.pop(0)[0], None, False          # A, B and C are related
        if sure:
            self.head = tokens[subject].value
        elif subject is not None:
            self.topic = self.topic or tokens[subject].value
        stranger = self.stranger(tokens, cues) if subject is None else None
        return subject, stranger or (self.head if sure or not self.topic else self.topic)

    def read(self, tokens, cues, items, head, pure):
        """Items before the first cue, (tail, denied), and behind one, (tail, denied, relations); the
        relations of the last cue; the denial that is open at the end, and where it stands."""
        latin = all(token.text.isascii() for token in tokens)
        goes_on = pure or latin and self.cue is None and self.pending or (
            tokens[0].kind in "NJ" and (cues or latin)
            and all(token.kind != "L" or token.text == "among" for token in tokens))
        denied, denied_at, current, ahead, behind = self.denied if goes_on else "", -2, None, [], []
        for i, token in enumerate(tokens):
            if token.kind == "C":
                fits = self.words.fitting(token.value, head) if head else token.value
                shared = tuple(r for r in current or () if r in fits)
                if fits or not current:
                    denied = "" if behind and not shared and i < cues[-1] else denied
                    current = shared if shared and not behind else fits or token.value
            elif token.kind in "DV":
                denied, denied_at = "" if denied_at == i - 1 else token.kind, i
            elif token.kind == "T":
                denied = ""
            elif i in items and current:
                behind.append((items[i], denied, current))
            elif i in items:
                ahead.append((items[i], denied))
        others = tuple(r for i in cues for r in tokens[i].value)       # for a tail that its cue does not fit
        behind = [(tail, was, (*relations, *others)) for tail, was, relations in behind]
        return ahead, behind, current and (*current, *others), denied, denied_at

    def stranger(self, tokens, cues):
        """A subject that the graph does not know: "登革热的症状", "symptoms of dengue"."""
        for i in cues:
            before = tokens[i - 1].text if i and tokens[i - 1].kind == "O" else ""
            if found := re.fullmatch("(.+?)(患者|病人)?的.{0,4}", before):
                name = _item(found[1])
                if len(name) > 1 and STRONG.search(name):
                    return name
            if i + 2 < len(tokens) and tokens[i + 1].text in ("of", "for") and tokens[i + 2].kind == "O":
                name = _item(tokens[i + 2].text)
                if name and i + 3 < len(tokens) and tokens[i + 3].kind in "LD":
                    return name
        return None

    def lists(self, tokens, start, stop, subject):
        """Whether other text from start to stop is an item: beside a joiner, behind a cue, or before "is"."""
        (left,), (right,) = tokens[:start][-1:] or [NOTHING], tokens[stop:stop + 1] or [NOTHING]
        if start == 0 and (subject or 0) > stop and (right.text in BEING or right.kind == "D"):
            return True
        if right.kind not in "-JTDLC" or start > 0 and subject == start - 1:
            return False
        if "J" in (left.kind, right.kind):
            return True
        cue = max((i for i in range(start) if tokens[i].kind == "C"), default=-1)
        between = [token for i, token in enumerate(tokens[:start]) if i > cue >= 0 and i != subject]
        if any(t.kind == "N" or t.kind == "O" and (_item(t.text) or ENDS.search(t.text)) for t in between):
            return False
        if left.kind == "-":
            return right.kind == "-" and bool(self.listing or self.pending)
        if left.kind == "C" and (right.kind == "C" or re.match("[要应需宜须]", tokens[start].text)):
            return False
        pure = all(token.kind in "NJO" for token in tokens)
        return left.kind in "LCDVP" and right.kind not in "LD" and bool(
            cue >= 0 or self.relation and left.kind == "L" or pure)

    def items(self, tokens, subject):
        """{index: tail}: names, and other text where a list has it.  A name within a longer item is none."""
        found, i = {}, 0
        while i < len(tokens):
            stop = i
            while stop < len(tokens) and tokens[stop].kind in "NO" and stop != subject:
                stop += 1
            run, left, right = tokens[i:stop], tokens[i - 1:i], tokens[stop:stop + 1]
            text = _item(("" if HAN.search("".join(t.text for t in run)) else " ").join(t.text for t in run))
            listed = _listed(text) and not ENDS.search(text)
            after = not left and self.listing or left and left[0].kind in "JL"
            closed = not right or right[0].kind in "J" or stop == subject
            names = [j for j in range(i, stop) if tokens[j].kind == "N"]
            longer = any(token.kind == "O" and _item(token.text) for token in run)
            if names and not (listed and after and closed and longer):
                found |= {j: tokens[j].value for j in names}
            elif listed and names:
                found[i] = text
            elif listed and run and self.lists(tokens, i, stop, subject):
                found[i] = text
            i = max(stop, i + 1)
        return found


def check_facts(text, graph, head=None, relation=None):
    """The facts that a text states, each once, in their order: see the head of this file."""
    words = reader(graph)
    if head is not None:
        token = words.words.get(head.lower())
        head = token.value if token and token.kind == "N" else head
    reading = Text(words, head, relation)
    for found in SENTENCE.finditer(text):
        if found[0].strip():
            reading.sentence(found[0][:len(found[0]) - len(found[1])], asks=found[1] in ("？", "?"))
    return list(reading.found.values())
