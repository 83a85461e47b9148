"""
Names, numbers, addresses and dates out of medical text, Chinese and English, others of their look put in.

    deidentify(text, patient, seed) -> text, counts by kind
    name                 invented; one name of a patient always becomes the same, as does a surname alone
    date                 all of one patient earlier by the same 31 to 365 days: intervals and forms stay
    age                  90 for all above 89
    id phone card        other digits of the same shape, such that no office gave them out
    number               other digits: of a bed, ward, record, insurance, passport or account
    email url account hospital address                       invented

What is found has a form of its own (dates, e-mail), stands beside a word that says what it is (labels,
titles, kinship) or reads like a Chinese name (likely_names.py, in private texts); then the same name is found
anywhere in the record.  Who knows the seed can undo the shift of dates by trial: private texts want a secret
one.  (Not here: the rules, in privacy_rules.py; years alone.  No rules find all: a person reads private texts
before they are passed on.)
"""
import datetime
import random
import re
from collections import Counter

from data import names as table
from data import privacy_rules as rule
from data.likely_names import likely_names

PUBLIC = ("exam",)                                   # published questions stay as they are
FIELDS = ("messages", "chosen", "rejected", "answers", "meta")
ZH_DIGITS = "一二三四五六七八九"
ZH_NUMBERS = [tens + unit for tens in ("", "十", "二十", "三十") for unit in ("", *ZH_DIGITS)]
HALF_WIDTH = {code + 0xFEE0: code for code in (*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B))}
ALPHABETS = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", ZH_DIGITS)
NO_PHONE = ((r"1[3-9]", "12"), (r"0\d\d", "000"), (r"\d{3}(?=\)|[-. ]\d{3}[-. ]?\d{4})", "555"), (r"\d", "1"))
NO_PLACE = re.compile("(?:(?:The|A|An|This|Our|My|Your|His|Her|At|In|From|To|Of|And|On|By|With|See) )*")
KEPT = re.compile(rf"{rule.STREET}|{rule.HOSPITAL_EN}|Apt|Apartment|Suite|Unit|Box|[Zz]ip|Code")


def deidentify(text, patient="", seed=0):
    """The text with what is private replaced, and the count of replacements by kind."""
    texts, counts = deidentify_all([text], patient, seed)
    return texts[0], counts


def deidentify_all(texts, patient="", seed=0, private=True, persons=()):
    """The same for the texts of one record: a name that one of them marks is replaced in all of them.
    private: not of a published release, where what only reads like a name is mostly the brand of a drug;
    persons: names known beforehand."""
    counts, key = Counter(), f"{seed}\n{patient}"
    found = find_all(texts, private, persons)
    return [rewrite(text, spans, key, counts) for text, spans in zip(texts, found)], counts


def deidentify_record(record, seed=0, patient="", private=True, persons=()):
    """The same for a record of data/README.md, labels in `meta` with its messages.  Where nothing tells the
    patient, what the user says does: equal questions stay equal, so that data.build sees that two sets ask
    the same."""
    if record.get("task") in PUBLIC and not private:
        return record, Counter()
    parts = {name: record[name] for name in FIELDS if name in record}
    asked = [message["content"] for message in record["messages"] if message["role"] == "user"]
    texts, counts = deidentify_all(list(strings(parts)), patient or "\n".join(asked), seed, private, persons)
    return record | refill(parts, iter(texts)), counts


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def refill(value, texts):
    """The value with the next of the texts for each of its strings."""
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, dict):
        return {key: refill(part, texts) for key, part in value.items()}
    return [refill(part, texts) for part in value] if isinstance(value, (list, tuple)) else value


def find_all(texts, private=True, persons=()):
    """For each text [(start, end, kind, match)]: what the rules find, what else reads like a name where texts
    are private, and the same names elsewhere."""
    found = [find(text) for text in texts]
    add_repeated(found, texts, persons)
    if private:
        found = [spans + likely_names(text, spans) for text, spans in zip(texts, found)]
        add_repeated(found, texts)
    return [sorted(spans, key=lambda span: span[0]) for spans in found]


def add_repeated(found, texts, persons=()):
    again = repeated({*persons, *(match.string[start:end] for spans in found
                                  for start, end, kind, match in spans if kind == "name")}, texts)
    for text, spans in zip(texts, found) if again else ():
        taken = {place for start, end, *_ in spans for place in range(start, end)}
        spans += [(*match.span(), "name", match) for match in again.finditer(text)
                  if taken.isdisjoint(range(*match.span()))]


def find(text):
    text = text.translate(HALF_WIDTH)                # as long as it was: places stay
    taken, spans = bytearray(len(text)), []
    for kind, need, pattern in rule.RULES:
        if need.search(text):
            for match in pattern.finditer(text):
                group = "x" if "x" in pattern.groupindex and match["x"] else 0
                start, end = match.span(group)
                start += before_place(kind, match[group])
                if taken.find(1, start, end) < 0 and believable(kind, text[start:end], match):
                    taken[start:end] = b"\1" * (end - start)
                    spans.append((start, end, kind, match))
    return spans


def before_place(kind, found):
    """How much of it stands before the name of a place: no rule knows the words before 北京, or The."""
    if kind not in ("hospital", "address"):
        return 0
    if found.isascii():
        return NO_PLACE.match(found).end()
    city = re.search(rule.CITY, found)
    return city.start() if city and not re.search("大学|学院", found[:city.start()]) else 0


def believable(kind, found, match):
    """Whether it is what its form promises."""
    if kind == "date":
        return day_of(match, 2023) is not None
    if kind == "card":
        return luhn(found)
    if kind == "hospital" and found.isascii():
        return any(word not in table.COMMON_EN for word in re.findall(r"[A-Z]\w+", found))
    if kind == "address" and not found.isascii() and not rule.HOME.match(match[0]):
        rest, lives = re.sub(f"^{rule.CITY}[省市]?", "", found), rule.LIVES.match(match[0])
        units = len(re.findall(rule.UNITS, rest)) + bool(lives and rest != found)
        return units > 1 and bool(lives or rule.HOUSE.search(found))       # a county alone is nobody's
    if kind == "name" and found[0].isascii():
        return table.NOT_NAMES.isdisjoint(found.split())
    return found not in table.COMMON


def luhn(card):
    digits = [int(digit) for digit in re.findall(r"\d", card)][::-1]
    return sum(digits[::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0


def repeated(names, texts):
    """A pattern of the names that are replaced wherever they stand; None if there are none."""
    words = {word for name in names if name.isascii() for word in re.findall(r"[A-Z][\w'-]{2,}", name)}
    words = {word for word in words - table.NOT_NAMES if not any(word.lower() in text for text in texts)}
    parts = [re.escape(name) for name in sorted(names) if not name.isascii() and len(name) > 1]
    parts += [rf"\b{word}\b{rule.NO_EPONYM}" for word in sorted(words)]
    return re.compile("|".join(sorted(parts, key=len, reverse=True))) if parts else None


def rewrite(text, spans, key, counts):
    """The text with something else in each span."""
    out, end, year = [], 0, 2023
    shift = datetime.timedelta(31 + random.Random(key).randrange(335))
    for start, stop, kind, match in spans:
        if kind == "date":
            day = day_of(match, year)
            year = day.year                          # of the dates after it that name none
            new = write_date(match, day - shift)
        else:
            new = invent(kind, match.string[start:stop], key, shift)
        out += text[end:start], new
        end = stop
        counts[kind] += 1
    return "".join([*out, text[end:]])


def day_of(match, year):
    """The day that a match names, the 15th where it names none; None if there is no such day."""
    parts = match.groupdict()
    named, month, day = parts.get("y"), number_of(parts["m"]), number_of(parts.get("d") or "15")
    if named:
        year = number_of(named)
        year += (1900 if year > 40 else 2000) * (year < 100)
    other = (year, day, month) if named else (2024, month, day)            # 25/12/2021; 29 February
    for attempt in (year, month, day), other:
        try:
            return datetime.date(*attempt)
        except ValueError:
            pass


def number_of(text):
    if text.isdigit():
        return int(text)
    if text.isascii():
        return 1 + [name[:3] for name in rule.MONTHS].index(text[:3])
    if text in ZH_NUMBERS:
        return ZH_NUMBERS.index(text)
    return int("".join(str(ZH_DIGITS.find(digit) + 1) for digit in text))


def write_date(match, day):
    """The match with another day, in its own form."""
    parts = {name: text for name, text in match.groupdict().items() if text}
    month, date = number_of(parts["m"]), number_of(parts.get("d", "1"))
    values = {"y": day.year, "m": day.month, "d": day.day, "o": day.day}
    if "e" in parts:                                 # the last of some days, in this month or the next
        values["e"] = (day + datetime.timedelta(number_of(parts["e"]) - date)).day
    if month > 12:
        values |= {"m": day.day, "d": day.month}
    small = [parts[name] for name in "md" if name in parts]
    two = "月" not in match[0] and all(len(text) == 2 for text in small)
    zeros = two or any(text[0] == "0" for text in small)
    out = match[0]
    for name in sorted(parts, key=match.start, reverse=True):
        first, last = match.start(name) - match.start(), match.end(name) - match.start()
        out = out[:first] + like(parts[name], values[name], name, zeros) + out[last:]
    return out


def like(old, value, name, zeros):
    if name == "o":
        return "th" if 10 < value < 14 else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    if old.isdigit():
        return str(value)[-len(old):] if name == "y" else f"{value:02}" if zeros else str(value)
    if old.isascii():
        return rule.MONTHS[value - 1] if old in rule.MONTHS else rule.MONTHS[value - 1][:3]
    if name != "y":
        return ZH_NUMBERS[value]
    zero = next((digit for digit in old if digit in "〇零○"), "〇")
    return "".join((zero + ZH_DIGITS)[int(digit)] for digit in str(value))


def scramble(text, draw):
    """Another digit for each digit, another letter for each letter."""
    def other(match):
        letters = next(letters for letters in ALPHABETS if match[0] in letters)
        return letters[(letters.index(match[0]) + 1 + draw.randrange(len(letters) - 1)) % len(letters)]
    return re.sub("[0-9A-Za-z一二三四五六七八九]", other, text)


def invent(kind, found, key, shift):
    """What stands in the place of `found`: key and found alone decide it."""
    draw, english = random.Random(f"{key}\n{kind}\n{found}"), found.isascii()
    other = scramble(found, draw)
    if kind == "name":
        return english_name(found, key) if english else chinese_name(found, key, draw)
    if kind in ("hospital", "address"):
        place = english_place if english else chinese_hospital if kind == "hospital" else chinese_address
        return place(found, draw)
    if kind == "id":
        return identity(found, other, shift)
    if kind == "phone":
        start = re.match(r"(?:\+?86[- ]?(?=1)|\+?1[-. ])?[(（]?", found).end()
        new = next(new for old, new in NO_PHONE if re.match(old, found[start:]))
        return found[:start] + new + other[start + len(new):]
    if kind == "card":
        return other[:-1] + str((int(other[-1]) + luhn(other)) % 10)
    if kind == "email":
        return other.split("@")[0] + "@example.com"
    if kind == "url":
        return re.match(r"https?://|www\.", found)[0] + f"example.com/{draw.randrange(10**6)}"
    if kind == "age":
        return "90" if english else "九十"
    return other


def identity(found, other, shift):
    """Of region 99, which does not exist, born as many days earlier as all else is, its check digit wrong."""
    birth = found[6:-4] if len(found) == 18 else "19" + found[6:-3]
    try:
        birth = (datetime.datetime.strptime(birth, "%Y%m%d") - shift).strftime("%Y%m%d")
    except ValueError:                               # 30 February
        birth = "19000101"
    if len(found) == 15:
        return "99" + other[2:6] + birth[2:] + other[-3:]
    new = "99" + other[2:6] + birth + other[-4:-1]
    right = (12 - sum(int(digit) * 2**(17 - i) for i, digit in enumerate(new))) % 11
    return new + str((right + 1) % 10)


def chinese_name(name, key, draw):
    """Surnames move along their table by one distance, so that two of a record never become one."""
    surname = next((surname for surname in table.COMPOUND if name.startswith(surname)), name[0])
    ring = table.COMPOUND if len(surname) > 1 else table.SURNAMES + table.NOUNS + table.VERBS
    given = re.sub(f"(?!某){rule.HAN}", lambda _: draw.choice(table.GIVEN[:100]), name[len(surname):])
    if surname not in ring:
        return draw.choice(table.GIVEN[:100]) + given
    return ring[(ring.index(surname) + 1 + random.Random(key).randrange(len(ring) - 1)) % len(ring)] + given


def english_name(name, key):
    """Each word by itself, so that `Mary Jones` and `Mrs Jones` stay one person."""
    def other(match):
        word = match[0].title()
        names = next((names for names in (table.FIRST_FEMALE, table.FIRST_MALE) if word in names), table.LAST)
        new = random.Random(f"{key}\n{word}").choice([name for name in names if name != word])
        return new.upper() if match[0].isupper() else new
    return re.sub(r"[A-Z][\w'’-]+", other, name)


def chinese_hospital(found, draw):
    start = re.search(f"(?:{table.HOSPITAL_WORDS})*{rule.HOSPITAL}$", found).start()
    return draw.choice(table.PLACES) + found[start:] if start else scramble(found, draw)


def chinese_address(found, draw):
    """Other places before the words for city, street or village; the province stays."""
    def other(match):
        return match[0] if match[1] in table.PROVINCES else draw.choice(table.PLACES) + match[2]
    numbers = re.sub(r"\d+", lambda digits: scramble(digits[0], draw), found)
    new = re.sub(rf"(?<![A-Za-z\d])({rule.HAN}+?)({rule.UNITS})", other, numbers)
    return new if new != found else draw.choice(table.PLACES)


def english_place(found, draw):
    """Other proper names and digits; a word for a street, a kind of hospital or a state stays."""
    def other(match):
        keep = KEPT.fullmatch(match[0]) or match[0] in table.COMMON_EN
        return match[0] if keep else draw.choice(table.PLACES_EN)
    numbers = re.sub(r"\d+", lambda digits: scramble(digits[0], draw), found)
    return re.sub(r"\d{3}(?=\d\d(?:-\d{4})?$)", "000", re.sub("[A-Z][a-z]+", other, numbers))    # no such ZIP
