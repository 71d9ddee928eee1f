"""What is installed: the names, the types, and nothing that the core doesn't need."""

import ast
import importlib
import importlib.util
import json
import pkgutil
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest

import balancecore

MODULES = sorted(
    m.name for m in pkgutil.walk_packages(balancecore.__path__, "balancecore.") if "._ext" not in m.name
)
#: Their classes are msgspec's or Bokeh's, so they are imported only inside functions that read rig files or serve.
OF_AN_EXTRA = {
    "balancecore.capture._rig_file",
    "balancecore.capture._rig_reference",
    "balancecore.live.document",
    "balancecore.live.site",
}
CORE = [name for name in MODULES if not name.startswith("balancecore.drivers") and name not in OF_AN_EXTRA]


def test_version_is_the_installed_one():
    assert balancecore.__version__ == metadata.version("balancecore")


def test_typed():
    assert resources.files("balancecore").joinpath("py.typed").is_file()


def test_every_kernel_has_a_stub_and_every_stub_a_kernel():
    names = {m.name for m in pkgutil.iter_modules(importlib.import_module("balancecore._ext").__path__)}
    assert names
    stubs = {
        f.name.removesuffix(".pyi")
        for f in resources.files("balancecore._ext").iterdir()
        if f.name.endswith(".pyi")
    }
    assert names == stubs


@pytest.mark.parametrize("name", ["balancecore", *MODULES])
def test_public_names_exist(name):
    module = importlib.import_module(name)
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    missing = [n for n in names if not hasattr(module, n)]
    assert not missing


def test_top_level_names_are_sorted_and_complete():
    assert sorted(balancecore.__all__) == balancecore.__all__
    assert "__version__" in balancecore.__all__


def test_drivers_are_installed_and_not_imported_by_the_core():
    assert importlib.util.find_spec("balancecore.drivers") is not None
    assert "balancecore.drivers" not in _imported_by("import balancecore")


def test_core_asks_for_numpy_and_scipy_only():
    """Every import at the top of a module of the core."""
    for name in ["balancecore", *CORE]:
        source = Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8")
        asked = set()
        for node in ast.parse(source).body:
            if isinstance(node, ast.Import):
                asked |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                asked.add(node.module.partition(".")[0])
        assert asked - set(sys.stdlib_module_names) <= {"balancecore", "numpy", "scipy"}, name


def test_core_does_not_load_the_extras():
    """A fresh interpreter, since the tests themselves import them."""
    loaded = {name.partition(".")[0] for name in _imported_by(f"import {', '.join(['balancecore', *CORE])}")}
    assert loaded.isdisjoint(
        {"pandas", "pyarrow", "nptdms", "ezc3d", "matplotlib", "msgspec", "rich", "pytest", "hypothesis"}
    )


def _imported_by(code: str) -> list[str]:
    """Modules that running `code` adds to a fresh interpreter."""
    script = (
        f"import sys, json; old = set(sys.modules); {code}; print(json.dumps(sorted(set(sys.modules) - old)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    # The last line: an editable install that rebuilds on import talks before.
    return json.loads(done.stdout.splitlines()[-1])


def test_requirements_name_the_core_only():
    needed = [r for r in metadata.requires("balancecore") or [] if "extra ==" not in r]
    assert sorted(r.split(">")[0] for r in needed) == ["numpy", "scipy"]


def test_command_line_entry_point():
    (script,) = metadata.entry_points(group="console_scripts", name="balancecore")
    assert script.value == "balancecore.cli:main"
