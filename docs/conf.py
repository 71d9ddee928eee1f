"""How Sphinx makes the site: ``sphinx-build -W --keep-going docs build/docs`` (extra ``docs``)."""

import re
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent

project = "balancecore"
author = "The balancecore developers"
project_copyright = author
version = release = installed("balancecore")

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 4
# Signatures as they are written, classes by their members; no stub pages beside the sources.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
# Pages show Cython and shell sessions in ways of their own; a lexer that stumbles must not stop the build.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"balancecore {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

#: A link to a file beside the pages, such as the README: on the site, its name.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+([^)\s]+)\)")


def _pages_of_index() -> list[str]:
    """Pages in the order of the index, whose table is the site's contents too."""
    names = re.findall(r"\]\((\w+)\.(?:md|rst)\)", (HERE / "index.md").read_text(encoding="utf-8"))
    return list(dict.fromkeys(names))


def _for_site(app: object, name: str, source: list[str]) -> None:
    """Pages are written to be read in the repository as well: turn what only works there."""
    source[0] = _OUTSIDE.sub(
        lambda m: f"`{m[2]}`" if m[1] == m[2] else f"{m[1]} (`{m[2]}` in the source)", source[0]
    )
    if name == "index":
        contents = "\n".join(_pages_of_index())
        source[0] += f"\n```{{toctree}}\n:hidden:\n\n{contents}\n```\n"


def setup(app):
    """Sphinx calls this."""
    app.connect("source-read", _for_site)
