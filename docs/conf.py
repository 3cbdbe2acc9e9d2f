"""Sphinx builds these pages: ``pip install -e '.[docs]'``, then ``sphinx-build -W docs build/docs``."""

import pop2imap

project = "pop2imap"
author = "the pop2imap maintainers"
version = release = pop2imap.__version__
root_doc = "contents"
extensions = ["myst_parser", "sphinx_click"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "pop2imap"
suppress_warnings = [
    "myst.xref_missing",
    "ref.option",
]  # files of the repository that are no pages; hidden options
