"""The measured figures of docs/architecture.md: how large, how tangled and how regular the code is.

    python -m tools.structure                             the table
    python -m tools.structure --root ../before            the same of another checkout
    python -m tools.structure --list                      with every finding behind a figure
    python -m tools.structure --write                     renew the column "now" in docs/architecture.md
    python -m tools.structure --outside FOLDER RANGE      files that a range of commits touches outside a folder
    python -m tools.structure --bodies RANGE              share of the commits of a range whose message has a body

Complexity is counted twice. radon counts each boolean operator and comprehension, as the comparison with other projects
was made; ruff's C901 counts branches only and is the gate in CI.
"""

import argparse
import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from radon.complexity import cc_visit

ROOT: Final = Path(__file__).parents[1]
PRODUCT: Final = ("agents", "app", "topics")
ALL: Final = (*PRODUCT, "benchmarks", "tools")

COMPLEX: Final = 10
"""A function with a higher cyclomatic complexity is complex."""

LAYERS: Final = (
    ("topics", "app.messages"),
    ("app.kafka",),
    ("app.observability",),
    ("app.engine",),
    ("app.domain",),
    ("agents",),
    ("app.runtime",),
    ("app.console", "app.notify", "app.simulate", "app.probe", "app.export", "app.demo"),
    ("app.cli",),
    ("tools", "benchmarks"),
)
"""From the lowest: an import of a higher layer points upward. tests/architecture/test_imports.py is stricter."""


class Figure(NamedTuple):
    """One measured figure with the findings behind it."""

    value: float
    findings: tuple[str, ...] = ()
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.value:.1f} %" if self.unit == "%" else f"{self.value:.3g}"


class Module(NamedTuple):
    """One Python module of a checkout."""

    name: str
    path: Path
    text: str
    tree: ast.Module
    imports: frozenset[str]
    """Every name that may be a module and is imported anywhere in it, without the prefix `vigil`."""


def modules(root: Path, tops: tuple[str, ...]) -> dict[str, Module]:
    """The modules below these top-level folders by dotted name, without the prefix `vigil`."""
    found = {}
    for top in tops:
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = _module(name, path, root, path.read_text())
    return found


@cache
def _module(name: str, path: Path, root: Path, text: str) -> Module:
    """Read once, whatever number of figures asks for it."""
    tree = ast.parse(text)
    names = (name.removeprefix("vigil.") for node in ast.walk(tree) for name in _imported_names(node))
    return Module(name, path.relative_to(root), text, tree, frozenset(names))


def imported(module: Module, known: Mapping[str, Module]) -> set[str]:
    """The modules among the known ones that a module imports anywhere in it."""
    return {name for name in module.imports if name in known and name != module.name}


def _imported_names(node: ast.AST) -> Iterator[str]:
    """Every name that may be a module where the node is an import: `from a import b` may import a and a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package(module: str) -> str:
    """The package of a module as it is counted: a folder of `app`, or another top-level folder."""
    first, _, rest = module.partition(".")
    return f"app.{rest.partition('.')[0]}" if first == "app" and rest else first


def arrows(known: Mapping[str, Module]) -> dict[str, set[str]]:
    """Which package imports which."""
    found: dict[str, set[str]] = {}
    for module in known.values():
        own = package(module.name)
        if own == "app":
            continue
        found.setdefault(own, set()).update(
            other for name in imported(module, known) if (other := package(name)) not in {own, "app"}
        )
    return found


def in_cycles(graph: Mapping[str, set[str]]) -> list[str]:
    """The nodes from which a path leads back to themselves."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(graph.get(start, ()))
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                todo.extend(graph.get(node, ()))
        return seen

    return sorted(node for node in graph if node in reached(node))


# ---- the figures --------------------------------------------------------------------------------------------------


def complex_by_radon(root: Path) -> Figure:
    """Share of functions and methods above the limit."""
    total = 0
    above = []
    for module in modules(root, PRODUCT).values():
        for block in cc_visit(module.text):
            if block.letter == "C":
                continue
            total += 1
            if block.complexity > COMPLEX:
                above.append((block.complexity, f"{module.path}:{block.lineno} {block.name}: {block.complexity}"))
    return Figure(100 * len(above) / total, tuple(text for _, text in sorted(above, reverse=True)), "%")


def complex_by_ruff(root: Path) -> Figure:
    """Functions above the limit by ruff's C901 that no `noqa` with a reason excuses."""
    options = ("--isolated", "--no-cache", "--select", "C901", "--output-format", "json")
    limit = ("--config", f"lint.mccabe.max-complexity={COMPLEX}")
    ruff = Path(sys.executable).with_name("ruff")
    result = subprocess.run([ruff, "check", *options, *limit, *PRODUCT], cwd=root, capture_output=True, check=False)
    found = [
        f"{Path(item['filename']).relative_to(root.resolve())}:{item['location']['row']} {item['message']}"
        for item in json.loads(result.stdout)
    ]
    return Figure(len(found), tuple(sorted(found)))


def any_in_agents(root: Path, *, without_adapter: bool) -> Figure:
    """Lines in which `Any` stands, imports apart, for each 100 lines of agents/."""
    lines = 0
    found = []
    for module in modules(root, ("agents",)).values():
        if without_adapter and "faust" in module.path.parts:
            continue
        lines += len(module.text.splitlines())
        used = {node.lineno for node in ast.walk(module.tree) if isinstance(node, ast.Name) and node.id == "Any"}
        found += [f"{module.path}:{line}" for line in sorted(used)]
    return Figure(100 * len(found) / lines, tuple(found))


def loose_modules(root: Path) -> Figure:
    """Modules directly in app/."""
    found = sorted(path.name for path in (root / "app").glob("*.py") if path.name != "__init__.py")
    return Figure(len(found), tuple(found))


def packages(root: Path) -> Figure:
    """Folders of app/ and the other top-level folders with code; tests apart."""
    found = {package(name) for name in modules(root, ALL)} - {"app"}
    return Figure(len(found), tuple(sorted(found)))


def package_imports(root: Path) -> Figure:
    """Pairs of packages of which one imports the other."""
    found = [f"{own} → {other}" for own, others in arrows(modules(root, ALL)).items() for other in others]
    return Figure(len(found), tuple(sorted(found)))


def upward_imports(root: Path) -> Figure:
    """Of these pairs, those that point to a higher layer."""
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    known = modules(root, ALL)
    found = {
        f"{module.name} → {name}"
        for module in known.values()
        for name in imported(module, known)
        if layer.get(package(name), 0) > layer.get(package(module.name), len(LAYERS))
    }
    return Figure(len(found), tuple(sorted(found)))


def package_cycles(root: Path) -> Figure:
    """Packages that import themselves through others."""
    found = in_cycles(arrows(modules(root, ALL)))
    return Figure(len(found), tuple(found))


def module_cycles(root: Path) -> Figure:
    """Modules that import themselves through others; a package that gathers its own modules is no cycle."""
    known = modules(root, ALL)
    graph = {
        name: {other for other in imported(module, known) if not name.startswith(f"{other}.")}
        for name, module in known.items()
    }
    found = in_cycles(graph)
    return Figure(len(found), tuple(found))


def shared_class_names(root: Path) -> Figure:
    """Names that more than one class has."""
    places: dict[str, list[str]] = {}
    for module in modules(root, ALL).values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{module.path}:{node.lineno}")
    found = [f"{name}: {', '.join(where)}" for name, where in sorted(places.items()) if len(where) > 1]
    return Figure(len(found), tuple(found))


class Measure(NamedTuple):
    """A figure to hold."""

    words: str
    measure: Callable[[Path], Figure]
    target: float


MEASURES: Final = {
    "radon": Measure("functions with a complexity above 10 by radon", complex_by_radon, 1.5),
    "c901": Measure("functions with a complexity above 10 by ruff (C901), not excused", complex_by_ruff, 0),
    "any": Measure(
        "lines with `Any` for each 100 lines of agents/, the Faust adapter apart",
        lambda root: any_in_agents(root, without_adapter=True),
        0.5,
    ),
    "loose": Measure("loose modules in app/", loose_modules, 0),
    "packages": Measure("packages", packages, 18),
    "arrows": Measure("imports between packages", package_imports, 82),
    "upward": Measure("imports that point upward", upward_imports, 0),
    "package-cycles": Measure("packages in import cycles", package_cycles, 0),
    "module-cycles": Measure("modules in import cycles", module_cycles, 0),
    "classes": Measure("class names with more than one meaning", shared_class_names, 0),
}


def outside(folder: str, commits: str, root: Path = ROOT) -> Figure:
    """The files that a range of commits changes outside a folder and outside its tests."""
    names = _git(root, "diff", "--name-only", commits).split()
    inside = (f"{folder}/", f"tests/{folder.removeprefix('app/')}/")
    found = [name for name in names if not name.startswith(inside)]
    return Figure(len(found), tuple(found))


def bodies(commits: str, root: Path = ROOT) -> Figure:
    """The share of a range's commits whose message has a body; the findings are those without."""
    messages = [message for message in _git(root, "log", "--format=%h %B%x00", commits).split("\0") if message.strip()]
    found = [lines[0] for message in messages if not any((lines := message.strip().splitlines())[1:])]
    return Figure(100 * (1 - len(found) / max(len(messages), 1)), tuple(found), "%")


def _git(root: Path, *command: str) -> str:
    return subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=True).stdout


def table(root: Path) -> Iterator[tuple[str, Measure, Figure]]:
    """Every figure of a checkout."""
    for name, measure in MEASURES.items():
        yield name, measure, measure.measure(root)


def write(page: Path, figures: Mapping[str, Figure]) -> None:
    """Renew the second to last column of each row that names a figure."""
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines):
        for name, figure in figures.items():
            if line.startswith("|") and f"(`{name}`)" in line:
                cells = line.split("|")
                cells[-3] = f" {figure} "
                lines[number] = "|".join(cells)
    page.write_text("\n".join(lines) + "\n")


def main(args: list[str]) -> int:
    """Print what is asked for; 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tools.structure", description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout")
    parser.add_argument("--list", action="store_true", help="every finding behind a figure")
    parser.add_argument("--write", action="store_true", help='renew the column "now" in docs/architecture.md')
    parser.add_argument("--outside", nargs=2, metavar=("FOLDER", "RANGE"), help="files touched outside a folder")
    parser.add_argument("--bodies", metavar="RANGE", help="share of commits with a body")
    options = parser.parse_args(args)
    if options.outside or options.bodies:
        if options.outside:
            folder, commits = options.outside
            figure = outside(folder, commits, options.root)
        else:
            figure = bodies(options.bodies, options.root)
        print(figure, *figure.findings, sep="\n    ")
        return 0
    missed = 0
    figures = {}
    print("| figure | measured | target |\n| --- | --- | --- |")
    for name, measure, figure in table(options.root):
        figures[name] = figure
        missed += figure.value > measure.target
        print(f"| {measure.words} (`{name}`) | {figure} | ≤ {measure.target:g} |")
        if options.list:
            print(*(f"    {text}" for text in figure.findings), sep="\n")
    if options.write:
        write(options.root / "docs" / "architecture.md", figures)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
