"""Imports run down only, each wall stands, and what people are told is what there is."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from pop2imap import __version__, movefile
from pop2imap.cli.main import cli
from pop2imap.config import MOVE_KEYS, RULE_KEYS
from pop2imap.errors import ExitCode
from pop2imap.movefile import keys_of
from pop2imap.rules import toml

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pop2imap"

LAYERS = (
    {"errors", "text"},
    {"model"},
    {
        *(
            "octets",
            "charsets",
            "addresses",
            "headers",
            "dates",
            "net",
            "credentials",
            "logs",
            "endpoints",
            "kinds",
        ),
        *("hints", "providers", "rates"),
        *(
            "config",
            "movefile",
            "memory",
            "movefile_writer",
            "options",
            "private",
            "quarantine",
            "repair",
            "sizes",
            "uidl",
            "special_folders",
        ),
    },
    {"sources", "rules", "target", "journal", "report", "progress"},
    {
        "job",
        "at_home",
        "changes",
        "daily",
        "decide",
        "matching",
        "listed",
        "imap_state",
        "inventory",
        "folders",
        "recovery",
        "sameness",
        "seeking",
        "verify",
        "batching",
        "budgets",
        "opening",
        "pipeline",
        "throttle",
        "placing",
        "forecast",
        "plan",
        "undo",
    },
    {"migrate", "adopt", "deletion"},
    {"demo"},
    {"cli"},
    {"__main__"},
)
"""From the bottom to the top. A part may import those of lower layers, and of its own layer too, without circles."""

SIBLINGS = LAYERS[3]
"""These never import each other; they meet in ``migrate`` and its parts."""

NEEDS_ONLY = {"demo": set().union(*LAYERS[:3])}
"""The demo types the commands that people type; it knows nothing of the engine behind them."""

WALLS = {
    "imapclient": ("target/session.py", "demo/"),
    "imaplib": ("target/", "demo/"),
    "poplib": (),
    "mailbox": (),
    "click": ("cli/",),
    "tqdm": ("progress.py",),
    "sqlalchemy": ("journal/",),
    "sqlite3": ("journal/",),
    "pydantic": ("movefile.py",),
    "pydantic_core": ("movefile.py",),
    "rich": ("report/",),
    "re2": ("rules/",),
    "email_validator": ("rules/",),
    "keyring": ("credentials.py",),
    "getpass": ("credentials.py",),
    "subprocess": ("credentials.py", "demo/"),
    "signal": ("cli/interrupt.py", "demo/"),
    "ssl": ("net.py", "target/session.py", "demo/"),
    "concurrent": (),
    "multiprocessing": (),
    "asyncio": ("demo/",),
    "pymap": ("demo/",),
    "twisted": ("demo/",),
}
"""Who alone may import what."""

THREADS = ("pipeline.py", "demo/")
"""Who alone may start threads. Locks and events may stand elsewhere."""


class Import(NamedTuple):
    """``from pop2imap.a.b import c`` in ``path``: ``target`` is ``pop2imap.a.b.c``, ``by`` the part it is for."""

    path: Path
    line: int
    target: str
    lazy: bool = False

    @property
    def where(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def by(self) -> str:
        return part_of(self.path.relative_to(PACKAGE).as_posix())


def part_of(path: str) -> str:
    """``sources/pop3.py`` → ``sources``; ``net.py`` → ``net``."""
    return path.split("/")[0].removesuffix(".py")


@cache
def trees() -> tuple[tuple[Path, ast.Module], ...]:
    return tuple((path, ast.parse(path.read_text("utf-8"))) for path in sorted(PACKAGE.rglob("*.py")))


@cache
def imports() -> tuple[Import, ...]:
    """Every import, wherever it stands, those inside functions too."""
    return tuple(found for path, tree in trees() for found in _imports(path, tree))


def _imports(path: Path, tree: ast.Module) -> Iterator[Import]:
    within = {
        id(node) for body in ast.walk(tree) if isinstance(body, ast.FunctionDef) for node in ast.walk(body)
    }
    for node in ast.walk(tree):
        lazy = id(node) in within
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, lazy)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            for alias in node.names:
                yield Import(path, node.lineno, f"{node.module}.{alias.name}", lazy)


def own() -> list[tuple[Import, str]]:
    """(import, the part of pop2imap that it imports)."""
    found = []
    for one in imports():
        parts = one.target.split(".")
        if parts[0] == "pop2imap" and len(parts) > 1 and parts[1] != "__version__":
            found.append((one, parts[1]))
    return found


def level(part: str) -> int:
    return next((at for at, layer in enumerate(LAYERS) if part in layer), -1)


def test_every_part_has_its_layer() -> None:
    parts = {part_of(path.relative_to(PACKAGE).as_posix()) for path, _ in trees()} - {"__init__"}
    assert {part for part in parts if level(part) < 0} == set(), "name its layer here, as low as it can be"


def test_imports_run_down_only() -> None:
    up = [f"{one.where}: {one.by} imports {part}" for one, part in own() if level(part) > level(one.by) >= 0]
    assert up == []


def test_the_siblings_never_import_each_other() -> None:
    across = [
        f"{one.where}: {one.by} imports {part}"
        for one, part in own()
        if one.by in SIBLINGS and part in SIBLINGS and part != one.by
    ]
    assert across == []


def test_the_demo_knows_nothing_of_the_engine() -> None:
    found = [
        f"{one.where}: imports {part}"
        for one, part in own()
        if one.by in NEEDS_ONLY and part not in NEEDS_ONLY[one.by] | {one.by}
    ]
    assert found == []


def test_no_circles() -> None:
    modules = {_module(path): path for path, _ in trees()}
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for one in imports():
        if one.lazy:
            continue
        name = one.target if one.target in modules else one.target.rpartition(".")[0]
        if name in modules and name != _module(one.path):
            graph[_module(one.path)].add(name)
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def _module(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


@pytest.mark.parametrize("package", sorted(WALLS))
def test_each_wall_stands(package: str) -> None:
    outside = [
        one.where
        for one in imports()
        if one.target.split(".")[0] == package
        and not one.path.relative_to(PACKAGE).as_posix().startswith(WALLS[package] or ("\0",))
    ]
    assert outside == [], f"{package} is for {', '.join(WALLS[package]) or 'nobody'}"


def test_threads_are_started_in_one_place() -> None:
    outside = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id)
        in {"Thread", "Timer", "start_new_thread"}
        and not path.relative_to(PACKAGE).as_posix().startswith(THREADS)
    ]
    assert outside == []


def test_nothing_is_imported_that_is_not_asked_for() -> None:
    """What the package imports is in its dependencies, not only on the machine of whoever wrote it."""
    wanted = (ROOT / "pyproject.toml").read_text().lower().replace("-", "_")
    names = {"re2": "google_re2"}
    foreign = {one.target.split(".")[0] for one in imports()} - {"pop2imap", "__future__"}
    missing = {
        name
        for name in foreign
        if name not in sys.stdlib_module_names
        and f'"{names.get(name, name)}' not in wanted
        and name != "pydantic_core"  # comes with pydantic, whose errors it is
    }
    assert missing == set()


def test_a_large_file_says_why_it_is_whole() -> None:
    large = [
        str(path.relative_to(ROOT))
        for path, tree in trees()
        if len(path.read_text("utf-8").splitlines()) > 400 and "whole" not in (ast.get_docstring(tree) or "")
    ]
    assert large == []


def test_a_large_function_says_why_it_is_whole() -> None:
    large = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and (node.end_lineno or 0) - node.lineno >= 50
        and "whole" not in (ast.get_docstring(node) or "")
    ]
    assert large == []


# what people are told


@cache
def docs() -> str:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return "\n".join(page.read_text("utf-8") for page in pages)


@cache
def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def commands() -> list[tuple[str, click.Command]]:
    context = click.Context(cli)
    found = [(name, cli.get_command(context, name)) for name in cli.list_commands(context)]
    return [(name, command) for name, command in found if command is not None]


def test_every_command_is_in_the_docs() -> None:
    assert [name for name, _ in commands() if f"pop2imap {name}" not in docs()] == []


def test_every_option_is_in_the_docs() -> None:
    missing = {
        f"{name} {option}"
        for name, command in commands()
        for param in command.params
        if isinstance(param, click.Option) and not param.hidden
        for option in param.opts
        if option.startswith("--") and not re.search(rf"{re.escape(option)}\b", docs())
    }
    assert sorted(missing) == []


def test_every_option_that_the_docs_name_is_there() -> None:
    known = {
        option
        for _, command in commands()
        for param in [*command.params, *cli.params]
        for option in [*param.opts, *param.secondary_opts]
    }
    foreign = {"--host1", "--help", "--user1", "--password1"}
    ours = re.findall(r"pop2imap [^`\n]*", docs())
    named = {option for line in ours for option in re.findall(r"(?<![\w-])--[a-z0-9][a-z0-9-]+", line)}
    assert sorted(named - known - foreign) == []


def test_every_exit_code_is_in_the_docs() -> None:
    rows = dict(re.findall(r"^\| *(\d+) *\| *`([a-z_]+)`", page("exit-codes.md"), re.MULTILINE))
    assert rows == {str(code.value): code.name.lower() for code in ExitCode}


def test_every_key_of_a_move_file_is_in_the_docs() -> None:
    text = page("configuration.md")
    keys = {
        *MOVE_KEYS,
        *RULE_KEYS,
        *(key for table in ("source", "target", "options") for key in keys_of(table)),
    }
    assert sorted(key for key in keys if f"`{key}`" not in text and f"{key} =" not in text) == []


def test_the_move_file_of_the_docs_can_be_used(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", page("configuration.md"), re.MULTILINE | re.DOTALL)
    (tmp_path / "move.toml").write_text(example)
    (tmp_path / "move.toml").chmod(0o600)
    assert len(movefile.load(tmp_path / "move.toml").sources) == 2
    rules = toml.load(tmp_path / "move.toml", other_keys=MOVE_KEYS - {"version"})
    assert (rules.me, rules.names[-1]) == (("alice@example.com",), "Lists")


def test_the_version_is_that_of_the_changelog() -> None:
    head = re.search(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert head is not None
    assert head[1] == __version__
