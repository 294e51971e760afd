"""Put a figure in a notebook so that everyone gets something: live, still, or in words."""

import base64
import json
import os

PLOTLY = "application/vnd.plotly.v1+json"


def require_alt(alt: str) -> str:
    """The description, or a ValueError that asks for one."""
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("alt is empty: describe in a sentence what the reader should see in this figure.")
    return alt.strip()


def show(fig, *, alt: str, preview: bytes | None = None) -> None:
    """Display `fig` with a caption; live in JupyterLab, as a still picture elsewhere.

    Args:
        fig: A plotly figure.
        alt: What the figure shows and what to notice, one sentence. It is the caption, the
            screen-reader text, and all that a viewer without pictures gets.
        preview: PNG bytes, shown where plotly cannot run (GitHub, e-mail, print).

    Raises:
        ValueError: `alt` is empty.
    """
    alt = require_alt(alt)
    if os.environ.get("PLOTLY_RENDERER"):  # a web build asks for another form of the live figure
        bundle = dict(fig._repr_mimebundle_())
    else:
        bundle = {PLOTLY: json.loads(fig.to_json())}
    show_bundle(bundle, alt, preview)


def show_bundle(bundle: dict, alt: str, preview: bytes | None) -> None:
    """Display MIME data with a picture, a text and a caption that say the same."""
    try:
        from IPython.display import Markdown, display
    except ImportError as error:
        raise ImportError(
            "figures are shown in notebooks: pip install -e '.[notebook]'. Without one, write a page "
            "with scene.save(folder) and open its index.html."
        ) from error
    bundle["text/plain"] = alt
    metadata = {}
    if preview is not None:
        bundle["image/png"] = base64.b64encode(preview).decode()
        metadata = {"image/png": {"alt": alt}}
    display(bundle, raw=True, metadata=metadata)
    display(Markdown(f"*{alt}*"))
