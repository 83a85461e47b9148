"""Known bugs of PPO implementations, 45 of them: this project has none, each check finds one that is planted,
and, where they are installed, what TRL and OpenRLHF publish is asked the same."""

from pathlib import Path

import pytest

from tests.conformance import peers, pipelines, runs, tensors
from tests.conformance.bugs import BUGS
from tests.conformance.interface import ITEMS, outcome
from tests.conformance.ours import Ours

DOCS = Path(__file__).parents[2] / "docs" / "conformance.md"
SIGNS = {"pass": "pass", "**fails**": "fails", "·": "none"}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Ours(tmp_path_factory.mktemp("conformance"))


def documented():
    """{column: {item: outcome}} of docs/conformance.md, and {item: what breaks}."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    items = {int(row[0]): row[1:] for row in rows if row[0].isdigit()}
    said = {name: {n: SIGNS[row[i + 1]] for n, row in items.items()} for i, name in enumerate(rows[0][2:])}
    return said, {n: row[0] for n, row in items.items()}


def test_all_items_are_there():
    assert sorted(ITEMS) == sorted(BUGS) == list(range(1, 46))
    names = [name for module in (tensors, pipelines, runs) for name in vars(module) if name[:5] == "item_"]
    assert sorted(int(name.split("_")[1]) for name in names) == list(range(1, 46))


def test_the_table_is_of_these_items():
    said, breaks = documented()
    assert breaks == {n: item.breaks for n, item in ITEMS.items()}
    assert set(said["ours"].values()) == {"pass"}


@pytest.mark.parametrize("number", range(1, 46), ids=lambda n: ITEMS[n].check.__name__)
def test_ours(number, ours):
    ITEMS[number].check(ours)


@pytest.mark.parametrize("number", range(1, 46), ids=lambda n: ITEMS[n].check.__name__)
def test_the_check_has_teeth(number, ours):
    """The bug makes the check fail, by what it asserts."""
    for says, bug in BUGS[number]:
        with bug(ours) as buggy:
            assert outcome(buggy, number)[0] == "fails", says


def test_peers_do_as_the_table_says():
    """As far as it has their versions; of others, that they can be asked."""
    adapters, (said, _) = peers.installed(), documented()
    if not adapters:
        pytest.skip("neither TRL nor OpenRLHF is installed (the peers extra)")
    for adapter in adapters:
        seen = {n: outcome(adapter, n)[0] for n in sorted(ITEMS)}
        assert seen == said.get(f"{adapter.name} {adapter.version}", seen)
