"""Sphinx configuration; build with ``tox run -e docs``."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import make_lifecycle_diagram  # noqa: E402  (found through the line above)
import make_specification  # noqa: E402

project = "autocron"
author = "autocron contributors"
copyright = "autocron contributors"  # Sphinx's own name for it
release = metadata.version("autocron")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "autocron"
html_show_sphinx = False


def generate(app):
    """Write the pages and pictures that are made from the project itself."""
    generated = HERE / "generated"
    make_specification.write(HERE.parent / "spec", generated / "spec")
    make_lifecycle_diagram.write(generated)


def setup(app):
    """Have the generated pages there before Sphinx looks for pages."""
    app.connect("builder-inited", generate)
