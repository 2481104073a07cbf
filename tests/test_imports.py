"""Imports go one way, and the rules know no Kafka, no clock, no files and no chance.

app.cli ─▶ app.worker ─▶ agents ──────────────────────────▶ topics
                    └──▶ app.stream ─▶ app.rooms/hosts/suppliers ─▶ app.rulebook, topics
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE = ("app.stream", "app.rooms", "app.hosts", "app.suppliers", "app.rulebook", "topics")
SUBJECTS = ("app.rooms", "app.hosts", "app.suppliers")

IMPURE = {
    "faust", "mode", "aiokafka", "kafka", "asyncio", "threading", "multiprocessing", "concurrent", "subprocess",
    "time", "random", "secrets", "uuid", "os", "pathlib", "io", "shutil", "tempfile", "socket", "signal", "logging",
    "structlog", "prometheus_client", "click", "rich", "uvloop", "selectors", "contextvars",
}  # fmt: skip
"""What would let time, chance, files, the network or the environment into a judgement."""

OWN_FILE = ("app.rulebook.reader", "app.rulebook.rooms")
"""They may open rulebook.toml, which lies beside them."""

CLOCKS = {"open", "print", "input"}
"""Builtins that reach outside."""


def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    found = {}
    for top in ("app", "agents", "topics"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(tree: ast.AST, module: str, package: bool) -> Iterator[str]:
    """The dotted names that a module imports anywhere in it, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                own = module.split(".") if package else module.split(".")[:-1]
                base = ".".join([*own[: len(own) - node.level + 1], *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES)


def imported(module: str) -> set[str]:
    path = MODULES[module]
    return set(imports(ast.parse(path.read_text()), module, path.name == "__init__.py"))


def within(name: str, packages: tuple[str, ...] | set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def of(*packages: str) -> list[str]:
    found = [module for module in MODULES if within(module, packages)]
    assert found, packages
    return found


def ours(module: str) -> set[str]:
    return {name for name in imported(module) if within(name, ("app", "agents", "topics")) and name != "app"}


@pytest.mark.parametrize("module", of(*PURE))
def test_a_pure_module_imports_nothing_that_knows_the_world(module: str) -> None:
    allowed = {"pathlib"} if module in OWN_FILE else set()
    assert {name for name in imported(module) if name.split(".")[0] in IMPURE - allowed} == set()


@pytest.mark.parametrize("module", of(*PURE))
def test_a_pure_module_asks_neither_the_clock_nor_the_environment(module: str) -> None:
    if module in OWN_FILE:
        return
    called = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in CLOCKS:
                called.add(node.func.id)
            elif isinstance(node.func, ast.Attribute) and node.func.attr in {"utcnow", "today", "urandom", "getenv"}:
                called.add(node.func.attr)
            elif (
                isinstance(node.func, ast.Attribute)
                and node.func.attr == "now"
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"datetime", "date"}
            ):
                called.add("datetime.now")
            elif isinstance(node.func, ast.Name) and node.func.id == "hash":
                called.add("hash")  # of strings: another one in each process
    assert called == set()


@pytest.mark.parametrize("module", of("topics"))
def test_topics_know_msgspec_and_orjson_alone(module: str) -> None:
    outside = {name.split(".")[0] for name in imported(module)} - set(sys.stdlib_module_names)
    assert outside <= {"msgspec", "orjson", "topics"}


@pytest.mark.parametrize(
    ("package", "may"),
    [
        ("topics", {"topics"}),
        ("app.rulebook", {"app.rulebook", "topics"}),
        # The protocol between shards and subjects lies in app.stream; it knows no subject.
        ("app.stream", {"app.stream", "topics"}),
        ("app.rooms", {"app.rooms", "app.stream.logic", "app.stream.clock", "app.rulebook", "topics"}),
        ("app.hosts", {"app.hosts", "app.stream.logic", "app.stream.clock", "app.rulebook", "topics"}),
        ("app.suppliers", {"app.suppliers", "app.stream.logic", "app.stream.clock", "app.rulebook", "topics"}),
        ("agents", {"agents", "topics"}),
    ],
)
def test_imports_go_one_way(package: str, may: set[str]) -> None:
    wrong = {
        (module, name)
        for module in of(package)
        for name in ours(module)
        if not within(name, may) and not any(allowed.startswith(f"{name}.") for allowed in may)
    }
    assert wrong == set()


def test_nobody_imports_the_worker_or_the_commands_but_the_commands() -> None:
    ends = ("app.cli", "app.worker", "app.commands")
    wrong = {
        (module, name)
        for module in MODULES
        for name in ours(module)
        if within(name, ends) and not within(module, ("app.cli", "app.commands", "app.__main__"))
    }
    assert wrong == set()


def test_no_module_imports_itself_by_a_circle() -> None:
    graph = {module: {name for name in imported(module) if name in MODULES and name != module} for module in MODULES}
    # A package's own __init__ that gathers its modules is no circle.
    graph = {m: {n for n in names if not m.startswith(f"{n}.")} for m, names in graph.items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path, module])
        if module not in done:
            for name in sorted(graph[module]):
                visit(name, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_the_rules_can_be_had_without_faust_and_asyncio() -> None:
    code = (
        "import sys\n"
        f"for name in {of(*PURE)!r}: __import__(name)\n"
        "print(sorted({'faust', 'mode', 'aiokafka', 'asyncio', 'agents', 'app.worker'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout.strip()) == (0, "[]"), told.stderr


def test_an_import_inside_a_function_is_seen() -> None:
    tree = ast.parse("def f():\n    from faust import App\n    import time as t\n    from . import clock\n")
    assert set(imports(tree, "app.stream.shard", False)) == {"faust", "time", "app.stream", "app.stream.clock"}
