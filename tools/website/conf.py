"""What Sphinx is told. tools/website/build.py gathers the sources and starts it."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from tools.website import mathml, source_pages  # noqa: E402

project = "vggt_lite"
author = "The vggt_lite contributors"
copyright = "the vggt_lite contributors. Code: Apache-2.0. Text and figures: CC BY 4.0"
root_doc = "index"
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
extensions = ["myst_nb", "sphinx.ext.githubpages"]  # the latter writes .nojekyll

# Lessons as they are committed
nb_execution_mode = "off"
nb_render_markdown_format = "gfm"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

html_theme = "sphinx_book_theme"
html_title = "vggt_lite"
html_static_path = [str(HERE / "style.css")]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"
html_sidebars = {"source/**": []}  # code takes the width
html_theme_options = {
    "navbar_persistent": [],  # search stands in the sidebar
    "use_download_button": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": {"**": ["page-toc"], "teaching/glossary": [], "teaching/equations": []},
    "collapse_navbar": True,  # else all 200 modules stand in every page
    "navigation_with_keys": True,
}


def setup(app) -> None:
    mathml.setup(app)
    source_pages.setup(app)
