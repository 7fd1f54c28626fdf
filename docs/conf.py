# SPDX-License-Identifier: GPL-3.0-or-later
"""How `make docs` makes a site of the pages: read by Sphinx, which is started at the top of a copy of the tree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "WildBerryEye Orchestrator"
author = "WildBerryEye contributors"
copyright = author

extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
include_patterns = ["index.md", "docs/*.md", "reference/**"]
exclude_patterns = ["reference/environment_variables.rst"]

# Anchors are those that the pages have where they lie in the repository.
myst_heading_anchors = 4

# What belongs to Ansible itself is in Ansible's documentation, which is not here to link to.
nitpick_ignore_regex = [
    ("std:ref", r"action_plugins|callback_plugins|common_return_values|ansible_collections\.ansible\..*"),
    ("std:envvar", r"ANSIBLE_.*"),
]

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
# Tables and blocks of 130 characters.
html_static_path = ["site.css"]
html_css_files = ["site.css"]
highlight_language = "none"
pygments_style = "default"

_PAGES = re.compile(r"^\| \[[^]]+\]\(([^)]+)\.md\)", re.MULTILINE)
_CONTENTS = re.compile(r"^\.\. contents::\n(?: +:.*\n)*", re.MULTILINE)


def setup(app: Sphinx) -> None:
    """Take part in the reading of pages."""
    app.connect("source-read", _adapt)


def _adapt(app: Sphinx, page: str, source: list[str]) -> None:
    """Make of a page what it is to be on the site, where that is not what it is in the repository."""
    if page.startswith("reference/"):
        # The theme has one beside each page.
        source[0] = _CONTENTS.sub("", source[0])
        return
    if page == "index":
        # Its list of pages is the site's table of contents.
        pages = [*_PAGES.findall(source[0]), "Reference <reference/index>"]
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", "", *pages, "```", ""])
    # To the reference, not to its source; and what is typed looks like it, though no prompt stands before it.
    text = source[0].replace("roles/common/meta/argument_specs.yml", "reference/common_role.rst")
    text = text.replace("plugins/filter/overview.yml", "reference/overview_filter.rst")
    source[0] = text.replace("```console\n", "```bash\n")
