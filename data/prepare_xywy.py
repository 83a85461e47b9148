"""xywy, a graph of diseases: data/medical.json, or medical.json.xz, of github.com/liuhuanyong/
QASystemOnMedicalKG, JSON lines of {"name", "symptom": [...], "acompany", "check", ...}: see LISTS and TEXTS.

Left out: long texts (desc, cause, prevent); figures of no known source (get_prob, cured_prob, cost_money,
cure_lasttime, yibao_status); recommand_drug and drug_detail, products on sale, of which common_drug has those
that the site calls usual.
"""
import re

from data.releases import clean, field, find_all, read_records
from data.triples import command, phrases

LISTS = {"symptom": ("symptom", "symptom"), "check": ("examination", "examination"),
         "acompany": ("complication", "disease"), "cure_department": ("department", "department"),
         "common_drug": ("drug", "drug"), "do_eat": ("food_good", "food"), "not_eat": ("food_bad", "food"),
         "recommand_eat": ("recipe", "recipe")}
TEXTS = {"get_way": ("transmission", "transmission"), "easy_get": ("susceptible_population", "population"),
         "cure_way": ("treatment", "treatment")}     # a list of texts


def convert(release, facts):
    """Make a graph of QASystemOnMedicalKG."""
    for path in find_all(release, "medical.json", "medical.json.xz")[:1]:
        for place, record in read_records(path):
            disease = field(record, place, "name")
            for name, (relation, kind) in (LISTS | TEXTS).items():
                tails = record.get(name) or []
                tails = [tails] if isinstance(tails, str) else tails
                if not isinstance(tails, list) or not all(isinstance(tail, str) for tail in tails):
                    raise ValueError(f"{place}: '{name}' should be texts; repair the record")
                if name in TEXTS:
                    text = re.sub("[多常好][发见]?(发生|见|发)?于", "", "、".join(map(clean, tails)))
                    facts.add(disease, "disease", relation, phrases(text), kind, phrases=True)
                else:
                    facts.add(disease, "disease", relation, map(clean, tails), kind)


if __name__ == "__main__":
    command("xywy", convert)
