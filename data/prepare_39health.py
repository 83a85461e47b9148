"""39health, a graph of diseases: data/disease.csv of github.com/zhihao-chen/QASystemOnMedicalGraph, GB18030.

Columns name, alias, part, age, infection, insurance, department, checklist, symptom, complication, treatment,
drug, period, rate, money; see LISTS for those used.  Words of a list are separated by spaces, or in alias and
treatment by commas, and may end in the site's links [详细] and >>.  Names that the site cut short ("...") are
left out, and so are rows whose cells slipped: their name is a duration.
"""
import re

from data.releases import field, only_file, read_records
from data.triples import command, phrases

LISTS = {"alias": ("alias", "alias"), "part": ("body_part", "body_part"), "symptom": ("symptom", "symptom"),
         "department": ("department", "department"), "checklist": ("examination", "examination"),
         "complication": ("complication", "disease"), "treatment": ("treatment", "treatment"),
         "drug": ("drug", "drug")}
LINKS = re.compile(r"\[详细\]|>>|应该如何用药？用什么药？")
SLIPPED = re.compile(r"^\d.*[天周月年]|^手术治疗|^药物治疗")


def convert(release, facts):
    """Make a graph of QASystemOnMedicalGraph."""
    for place, record in read_records(only_file(release, "disease.csv")):
        disease = field(record, place, "name")
        if SLIPPED.search(disease):
            facts.dropped["of a row whose cells slipped"] += 1
            continue
        for name, (relation, kind) in LISTS.items():
            text = LINKS.sub(" ", field(record, place, name))
            if name == "treatment":
                facts.add(disease, "disease", relation, phrases(text), kind, phrases=True)
            else:
                words = re.split("[，,]", text) if name == "alias" else text.split()
                facts.add(disease, "disease", relation, filter(str.strip, words), kind)


if __name__ == "__main__":
    command("39health", convert)
