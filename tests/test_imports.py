"""Who may import whom: what keeps the parts apart, and the running program small."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("streamer", "detectors", "alerts")
TRAINING = ("torch", "torchvision", "onnx", "onnxscript", "av", "pytest", "hypothesis")
RUNNING = ("streamer.pipeline", "streamer.cli.run", "streamer.cli.fit", "streamer.cli.listen")


def modules() -> dict[str, Path]:
    """Every module of the project, by its dotted name."""
    found = {"sorawatch": ROOT / "sorawatch.py"}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(module: str, *, at_import: bool = False) -> Iterator[str]:
    """Names of modules that a module imports; `at_import`: only when it is itself imported."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    statements = list(_at_import(tree)) if at_import else list(ast.walk(tree))
    for node in statements:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            for alias in node.names:  # `from package import module` is that module
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def _at_import(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not checking:
            yield node
            yield from _at_import(node)


@pytest.mark.parametrize(
    ("package", "strangers"),
    [("detectors", ("alerts", "streamer")), ("alerts", ("detectors", "streamer"))],
)
def test_parts_do_not_know_each_other(package: str, strangers: tuple[str, ...]) -> None:
    """Detectors and alerts import neither each other nor the program: each can be used alone."""
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        if module.partition(".")[0] == package
        for name in imports(module)
        if name.partition(".")[0] in strangers
    ]
    assert not wrong


def test_capture_does_not_know_the_program() -> None:
    """Capture, which runs in worker processes, knows of others the window that it cuts alone."""
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        if module.startswith("streamer.capture")
        for name in imports(module)
        if name.partition(".")[0] in PACKAGES
        and not name.startswith(("streamer.capture", "detectors.window"))
    ]
    assert not wrong


def test_no_module_imports_itself_through_others() -> None:
    """There is no cycle of imports, so any module can be imported first."""
    graph = {
        module: {name for name in imports(module, at_import=True) if name in MODULES}
        for module in MODULES
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for name in sorted(graph[module]):
                visit(name, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_the_running_program_needs_no_training_code() -> None:
    """What `run`, `fit` and `listen` import brings neither torch nor an encoder of video."""
    code = (
        "import importlib, sys\n"
        f"for name in {RUNNING!r}: importlib.import_module(name)\n"
        f"print(*sorted(set({TRAINING!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not done.stdout.split()
