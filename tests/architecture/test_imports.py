"""Imports point one way, and the pure packages use no Kafka, wall clock, files or randomness (I-18).

topics ◀─ app.engine ◀─ app.domain ◀─ agents, app.runtime ◀─ app.console, app.notify, … ◀─ app.cli
app.kafka and app.observability stand beside them and know no domain.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PURE = ("vigil.topics", "vigil.app.messages", "vigil.app.engine", "vigil.app.domain")

IMPURE = {
    "faust", "mode", "aiokafka", "kafka", "asyncio", "threading", "multiprocessing", "concurrent", "subprocess",
    "time", "random", "secrets", "uuid", "os", "pathlib", "io", "shutil", "tempfile", "socket", "signal", "logging",
    "structlog", "prometheus_client", "click", "rich", "uvloop", "selectors", "contextvars",
}  # fmt: skip
"""Modules through which time, randomness, files, the network or the environment could affect a judgement."""

OWN_FILE = ("vigil.app.domain.rulebook.reader", "vigil.app.domain.rulebook.rooms", "vigil.app.messages.catalogue")
"""Modules that may open TOML files of their own package."""

IMPURE_BUILTINS = {"open", "print", "input"}
"""Built-in functions that reach outside the process."""


def modules() -> dict[str, Path]:
    """Return the path of every module of the product by its dotted name."""
    found = {}
    for top in ("app", "agents", "topics"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(["vigil", *(parts[:-1] if parts[-1] == "__init__" else parts)])] = path
    return found


MODULES = modules()
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def imports(tree: ast.AST, module: str, package: bool) -> Iterator[str]:
    """Yield the dotted names that a module imports, also inside functions."""
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
    return {name for name in imported(module) if within(name, ("vigil",)) and name not in {"vigil", "vigil.app"}}


@pytest.mark.parametrize("module", of(*PURE))
def test_a_pure_module_imports_no_module_that_reaches_outside(module: str) -> None:
    allowed = {"pathlib"} if module in OWN_FILE else set()
    assert {name for name in imported(module) if name.split(".")[0] in IMPURE - allowed} == set()


@pytest.mark.parametrize("module", of(*PURE))
def test_a_pure_module_reads_neither_clock_nor_environment(module: str) -> None:
    if module in OWN_FILE:
        return
    called = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS:
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
                called.add("hash")  # the hash of a string differs between processes
    assert called == set()


@pytest.mark.parametrize("module", of("vigil.topics"))
def test_topics_import_no_library_but_msgspec_and_orjson(module: str) -> None:
    outside = {name.split(".")[0] for name in imported(module)} - set(sys.stdlib_module_names)
    assert outside <= {"msgspec", "orjson", "vigil"}


LAYERS = {
    "vigil.topics": (),
    "vigil.app.messages": (),
    "vigil.app.engine": ("vigil.topics",),
    "vigil.app.domain": ("vigil.app.engine", "vigil.app.messages", "vigil.topics"),
    "vigil.app.kafka": ("vigil.topics",),
    "vigil.app.observability": ("vigil.app.kafka", "vigil.topics"),
    "vigil.agents": ("vigil.app.engine", "vigil.topics"),
    "vigil.app.runtime": (
        "vigil.agents", "vigil.app.domain", "vigil.app.engine", "vigil.app.kafka", "vigil.app.messages",
        "vigil.app.observability", "vigil.topics",
    ),
}  # fmt: skip
"""The packages that each package may import besides itself. Others may import all but `vigil.app.cli`."""


@pytest.mark.parametrize("package", LAYERS)
def test_imports_point_one_way(package: str) -> None:
    may = (package, *LAYERS[package])
    wrong = {(module, name) for module in of(package) for name in ours(module) if not within(name, may)}
    assert wrong == set()


def test_only_the_adapter_imports_faust() -> None:
    wrong = {
        module
        for module in MODULES
        if not within(module, ("vigil.agents.faust",))
        and {"faust", "mode"} & {n.split(".")[0] for n in imported(module)}
    }
    assert wrong == set()


def test_only_the_commands_import_the_worker_and_other_commands() -> None:
    ends = ("vigil.app.runtime.worker", "vigil.app.cli")
    wrong = {
        (module, name)
        for module in MODULES
        for name in ours(module)
        if within(name, ends) and not within(module, ("vigil.app.cli",))
    }
    assert wrong == set()


def test_there_are_no_import_cycles() -> None:
    graph = {module: {name for name in imported(module) if name in MODULES and name != module} for module in MODULES}
    # A package whose __init__ imports its modules is not a cycle.
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


REPOSITORY_TESTS = ("tools", "docs", "architecture")
"""Folders of tests/ that check the tools and the repository. The others test the product, and are run from a package
that has no tools."""


@pytest.mark.parametrize("folder", sorted({path.relative_to(ROOT / "tests").parts[0] for path in TESTS}))
def test_tests_of_the_product_import_nothing_from_tools(folder: str) -> None:
    wrong = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in TESTS
        if path.relative_to(ROOT / "tests").parts[0] == folder and folder not in REPOSITORY_TESTS
        for name in imports(ast.parse(path.read_text()), "tests", True)
        if within(name, ("tools", "benchmarks"))
    }
    assert wrong == set()


def test_the_pure_packages_load_neither_faust_nor_asyncio() -> None:
    code = (
        "import sys\n"
        f"for name in {of(*PURE)!r}: __import__(name)\n"
        "impure = {'faust', 'mode', 'aiokafka', 'asyncio', 'vigil.agents', 'vigil.app.runtime.worker'}\n"
        "print(sorted(impure & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr


def test_an_import_inside_a_function_is_found() -> None:
    tree = ast.parse("def f():\n    from faust import App\n    import time as t\n    from . import watermark\n")
    assert set(imports(tree, "vigil.app.engine.shard", False)) == {
        "faust",
        "time",
        "vigil.app.engine",
        "vigil.app.engine.watermark",
    }
