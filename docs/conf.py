"""The documentation site: ``make docs`` builds it into ``docs/_build/html``, to be read without a network.

Pages of commands, of models and of tables are made of the program, the cards and the results; the chapters of *Learn* are scripts
that the build runs.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import generated  # type: ignore[import-not-found]

import styleloom

project, author = "StyleLoom", "The StyleLoom developers"
release = version = styleloom.__version__
copyright = f"2026, {author}"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "learn/README.rst", "*.py"]
html_theme = "furo"
html_title = "StyleLoom"
html_theme_options = dict(
    light_css_variables={"color-brand-primary": "#b3382c", "color-brand-content": "#b3382c"},
    dark_css_variables={"color-brand-primary": "#e8806f", "color-brand-content": "#e8806f"},
)
html_show_sphinx = False
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.xref_missing", "config.cache"]  # links from pages to files of the tree, which the tree's test checks
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
sphinx_gallery_conf = dict(
    examples_dirs="learn",
    gallery_dirs="arc",
    filename_pattern=r"plot_",
    within_subsection_order="FileNameSortKey",
    show_memory=False,
    remove_config_comments=True,
    default_thumb_file=str(Path(__file__).parent / "gallery.jpg"),
    abort_on_example_error=True,
    plot_gallery=True,
    write_computation_times=False,
)


LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(\.\./([^)]+)\)")
PAGES = {"recipes/cluster.md": "made/launch.md"}


def without_links_to_the_tree(app: object, page: str, source: list[str]) -> None:
    """Links to files outside of the site become links to their pages, or their names."""

    def told(match: re.Match[str]) -> str:
        text, path = match.groups()
        return f"[{text}]({PAGES[path]})" if path in PAGES else text

    source[0] = LINK.sub(told, source[0])


def setup(app: Any) -> None:
    """Write the pages that are made."""
    generated.write(Path(__file__).parent / "made")
    app.connect("source-read", without_links_to_the_tree)
