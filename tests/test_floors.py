"""Imports go downwards only, and nothing but the standard library and five packages comes from outside."""
import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = ["alarms exam files kernels metrics parallel patterns plots ppo rope statistics",
          "answers bpe cli config phrases probes report weights", "data lora reward safety",
          "contamination diagnosis endpoint judge model tasks tokenizer",
          "rules scores template verdicts", "dataset generate shown", "clinicalgpt rubric run",
          "export memory pretrain roles speakers", "judged rollouts testset", "evaluate train_sft",
          "train_ppo train_reward", "tests"]                             # the lowest first
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}
OUTSIDE = {*sys.stdlib_module_names, "torch", "numpy", "safetensors", "sentencepiece", "tqdm"}


def room(name):
    """clinicalgpt.run -> run; clinicalgpt.evaluation.tasks -> tasks; data.exam -> data; torch.nn -> torch."""
    return name.removeprefix("clinicalgpt.").removeprefix("evaluation.").partition(".")[0]


def imports(path):
    """Names of all that a file imports; `from package import module` is package.module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                yield name if (ROOT / f"{name.replace('.', '/')}.py").exists() else node.module


def test_imports_go_downwards():
    for path in [*ROOT.glob("*.py"), *ROOT.glob("[!.]*/*.py"), *ROOT.glob("clinicalgpt/*/*.py")]:
        here = room(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
        below = {name for name in FLOOR if FLOOR[name] < FLOOR.get(here, len(FLOORS))}
        beside = {here} & {"data", "kernels", "tests"} | ({"pytest"} if here == "tests" else set())
        astray = {room(name) for name in imports(path)} - OUTSIDE - below - beside
        assert here == "benchmarks" or not astray, f"{path} imports {astray}"
