"""`vggt-lite demo`: examples whose truth is known, in a web page; in a checkout also notebook 00.

outputs/demo/index.html             open it in any browser; needs no network
outputs/demo/00_quickstart.ipynb    the notebook, run from top to bottom
"""

import argparse
import time
from pathlib import Path

from markupsafe import Markup

from vggt_lite.cli.options import FOLDER, add_device, add_weights
from vggt_lite.evaluation import bundled_report
from vggt_lite.evaluation.examples import (
    Example,
    before_and_after,
    held_out_scene,
    motorcycle,
    usual,
    verdict,
)
from vggt_lite.evaluation.protocols import EVAL_DOMAINS, eval_domain
from vggt_lite.inference import VGGT
from vggt_lite.utils.files import atomic_write
from vggt_lite.utils.runtime import pick_device
from vggt_lite.viz import metrics_table, scene_section, write_page

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "00_quickstart.ipynb"  # of a checkout
SEED = 1_000_003  # of the held-out scene, chosen for showing well how the camera moves

HELD_OUT = Markup("""<h2>A scene that nobody trained on</h2>
<p>Four pictures of a generated room went through the network in one pass. It answered with cameras, depth and
points; the truth stands beside. Drag to turn, scroll to come closer, move the slider to hide what the network
trusts least.</p>""")

MOTORCYCLE = Markup("""<h2>Two real photographs</h2>
<p>The <em>Motorcycle</em> pair of the Middlebury 2014 stereo data (D. Scharstein et al., GCPR 2014), as
scikit-image carries it, with true depth of the left photograph measured by structured light. Predicted
lengths are scaled by one number, so that the median depth is right.</p>""")

REFINED = Markup("""<h2>Refined</h2>
<p>The same scene in pictures of 448 pixels, of which the network sees 112. First what it predicts, then what
<code>scene.refine()</code> makes of that: SIFT points of the pictures are matched, cameras and focal lengths
move until they agree, depth is brought along. Nobody told it the lenses.</p>""")

YOURS = Markup("""<h2>Your photographs</h2>
<p>Put two to eight photographs of one place into a folder and run</p>
<pre>vggt-lite reconstruct FOLDER --out DIR --refine</pre>
<p>then open <code>DIR/index.html</code>. With the released VGGT-1B (5 GB, downloaded once,
non-commercial licence, about 8 GB of memory) the same command becomes useful on real photographs:</p>
<pre>vggt-lite reconstruct FOLDER --out DIR --weights facebook/VGGT-1B</pre>""")


def add_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--out", type=FOLDER, default="outputs/demo", metavar="DIR", help="default: outputs/demo"
    )
    add_weights(sub)
    add_device(sub)
    sub.add_argument("--skip-notebook", action="store_true", help="only write the page")


def run(args: argparse.Namespace) -> None:
    """Write the page, and run the notebook where there is one."""
    started = time.monotonic()
    model = VGGT.from_pretrained(args.weights).to(pick_device(args.device))
    kind, _ = EVAL_DOMAINS[eval_domain(model.config)]
    scene, photographs = held_out_scene(model, SEED, scenes=kind), motorcycle(model)
    before, after = before_and_after(model, SEED, scenes=kind)
    average = usual(bundled_report(args.weights)) if args.weights in EVAL_DOMAINS else ""
    parts = [
        HELD_OUT, section(scene), Markup("<p>{}</p>").format(average),
        REFINED, metrics_table(before.metrics), section(after),
        MOTORCYCLE, section(photographs), Markup("<p><strong>{}</strong></p>").format(verdict(photographs)),
        YOURS,
    ]  # fmt: skip
    page = write_page(args.out / "index.html", "vggt_lite: photographs in, a 3-D scene out", parts)
    print(f"\nheld-out scene\n{scene.table()}\n{average}")
    print(f"\nas pictures of 448 pixels\n{before.table()}\nrefined\n{after.table()}")
    print(f"\nMotorcycle photographs\n{photographs.table()}\n{verdict(photographs)}")
    if NOTEBOOK.is_file() and not args.skip_notebook:
        run_notebook(NOTEBOOK, page.with_name(NOTEBOOK.name))
        print(f"\n{NOTEBOOK.name} ran from top to bottom")
    print(f"\nopen {page.resolve()} ({time.monotonic() - started:.0f} s)")


def section(example: Example) -> Markup:
    """Figures, maps and figures of one example as HTML."""
    table = metrics_table(example.metrics)
    return table + scene_section(example.reconstruction, example.truth, example.unit)


def run_notebook(source: Path, target: Path) -> None:
    """Execute a notebook headless, in its own folder, and keep the executed copy.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the message shows it.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(source, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(source.parent)}})
    client.execute()
    with atomic_write(target) as temporary:
        nbformat.write(notebook, temporary)
