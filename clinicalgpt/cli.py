"""
A frozen dataclass is a command line: each field a --kebab-case flag, its default and help beside it.

    lr: float = arg(5e-5, "peak learning rate", tiny=1e-3)

The default is the paper's, meant for a base of billions of weights; `tiny` replaces it when
the run stands on the embedded tiny base and the flag is not given.  `run_main` turns bad input
into one line on stderr and exit status 2.
"""

import argparse
import dataclasses
import math
import sys
from pathlib import Path

from clinicalgpt.files import read_json
from clinicalgpt.parallel import processes


def arg(default, help, tiny=None):
    return dataclasses.field(default=default, metadata={"help": help, "tiny": tiny})


def number(word):
    """A finite float.  argparse says "invalid number value", by this function's name."""
    if not math.isfinite(value := float(word)):
        raise ValueError
    return value


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise ValueError(f"{message}; --help lists the flags")


def parse(Config, argv=None):
    """Config from the command line.  Raises ValueError for a wrong flag or value."""
    parser = Parser(description=Config.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter,
                    allow_abbrev=False)
    for field in dataclasses.fields(Config):
        flag, tiny = "--" + field.name.replace("_", "-"), field.metadata["tiny"]
        help = field.metadata["help"] + (f" (default on the tiny base: {tiny})" if tiny is not None else "")
        if field.type in (bool, "bool"):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default, help=help)
        elif isinstance(field.default, tuple):
            parser.add_argument(flag, nargs="+", default=field.default, help=help)
        else:
            kind = number if isinstance(field.default, float) else type(field.default)
            parser.add_argument(flag, type=kind, default=field.default, help=help)
    for action in parser._actions:
        action.help = action.help.replace("%", "%%")
    given = vars(parser.parse_args(argv))
    named = {a.split("=")[0] for a in (sys.argv[1:] if argv is None else argv) if a.startswith("--")}
    if on_tiny_base(given):
        for field in dataclasses.fields(Config):
            if field.metadata["tiny"] is not None and "--" + field.name.replace("_", "-") not in named:
                given[field.name] = field.metadata["tiny"]
    return Config(**{name: tuple(value) if isinstance(value, list) else value
                     for name, value in given.items()})


def on_tiny_base(given):
    """Whether a run stands on a base that clinicalgpt.pretrain made:
    it says so itself, or the run that it starts from does."""
    if given.get("init"):
        return on_tiny_base(read_json(Path(given["init"]) / "config.json"))
    folder = Path(given.get("base", ""))
    return given.get("base") == "tiny" or (folder / "model" / "config.json").is_file() \
        and "clinicalgpt" in read_json(folder / "model" / "config.json")


def run_main(main, Config, several=False):
    """main(the command line), in several processes if torchrun started them and `several` allows it."""
    try:
        with processes(several):
            return main(parse(Config))
    except (ValueError, OSError) as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{sys.argv[0]}: interrupted; what is on disk is whole, --help says how to continue",
              file=sys.stderr)
        sys.exit(130)
