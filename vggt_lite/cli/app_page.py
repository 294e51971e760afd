"""The page of `vggt-lite app`: Gradio's controls, and which function of `app_work` each of them calls."""

import socket
import time
from collections.abc import Callable
from html import escape
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI

from vggt_lite.cli.app_work import (
    LEFT_OUT,
    RESULT,
    Job,
    Session,
    Settings,
    figure,
    plain,
    reconstruct,
    write_files,
)
from vggt_lite.cli.export import FILES
from vggt_lite.config import DEFAULT_MODE, FRAMES_PER_SECOND, MODES
from vggt_lite.data.pictures import IMAGE_SUFFIXES
from vggt_lite.data.video import VIDEO_SUFFIXES
from vggt_lite.inference.memory_estimate import gigabytes

TITLE = "vggt_lite: photographs in, a 3-D scene out"
# The system's fonts: Gradio's own would be fetched from another machine.
FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
THEME = gr.themes.Default(primary_hue="blue", **FONTS)
CSS = """
.gradio-container { padding: 8px 16px !important; }
#scene { min-height: 400px; }
#status p { margin: 0; overflow-wrap: anywhere; }
#status .failed { color: #B00020; } .dark #status .failed { color: #FF8A80; }
"""
WAITING = 20  # jobs in the queue; who comes next is told that it is full


def serve(settings: Settings, listening: socket.socket) -> None:
    """Serve the page until Ctrl-C or SIGTERM."""
    jobs: dict[str, Job] = {}
    app = gr.mount_gradio_app(
        FastAPI(), build(settings, jobs).queue(max_size=WAITING), "/", max_file_size=settings.most_bytes,
        theme=THEME, css=CSS, footer_links=[], run_history=False, ssr_mode=False, pwa=False, mcp_server=False,
    )  # fmt: skip
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        for job in [*jobs.values()]:
            job.stop()


def build(settings: Settings, jobs: dict[str, Job]) -> gr.Blocks:
    """The page, not yet served.

    Args:
        settings: What is allowed.
        jobs: Filled with the running job of each tab, by Gradio's name of its session.
    """

    def stop(request: gr.Request) -> None:
        """End the job of this tab, if one runs."""
        if job := jobs.pop(request.session_hash, None):
            job.stop()

    def work(call: Callable[[], object], session: Session, request: gr.Request, progress: gr.Progress):
        """Run a job of this tab to its end: (result or None, what to say of it)."""
        started = time.monotonic()
        job = Job(call, lambda text: progress(0, desc=text))
        job.start()
        jobs[request.session_hash] = job
        job.join()
        jobs.pop(request.session_hash, None)
        if job.result is None:
            return None, said(plain(job.error, session.uploads), failed=True)
        return job.result, said(f"done in {time.monotonic() - started:.1f} s.", *job.notes)

    def on_reconstruct(
        session, uploads, masks, weights, mode, per_second, percent, left_out, request: gr.Request,
        progress=gr.Progress(track_tqdm=True),  # noqa: B008 (how Gradio asks for it)
    ):  # fmt: skip
        uploads, masks = ([Path(path) for path in paths or []] for paths in (uploads, masks))
        session.uploads |= {*uploads, *masks}
        options = (uploads, masks, weights, mode, per_second, settings)

        def call():
            scene, estimate = reconstruct(*options, tell=lambda text: progress(0, desc=text))
            return scene, figure(scene, percent, left_out), estimate

        result, status = work(call, session, request, progress)
        if result is None:
            return session, gr.skip(), status
        session.scene, drawn, estimate = result
        return session, drawn, said(estimate) + status

    def on_refine(
        session,
        percent,
        left_out,
        request: gr.Request,
        progress=gr.Progress(track_tqdm=True),  # noqa: B008
    ):
        def call():
            if session.scene is None:
                raise ValueError("there is no scene yet: reconstruct one first.")
            scene = session.scene.refine()
            return scene, figure(scene, percent, left_out)

        progress(0, desc="finding points in the photographs, adjusting the cameras")
        result, status = work(call, session, request, progress)
        if result is None:
            return session, gr.skip(), status
        session.scene, drawn = result
        report = session.scene.refinement
        return session, drawn, said(str(report)) if report.refined else status

    def on_view(session, percent, left_out):
        if session.scene is None:
            return gr.skip(), gr.skip()
        try:
            return figure(session.scene, percent, left_out), gr.skip()
        except ValueError as error:
            return gr.skip(), said(plain(error, session.uploads), failed=True)

    def on_files(
        session,
        formats,
        percent,
        left_out,
        request: gr.Request,
        progress=gr.Progress(track_tqdm=True),  # noqa: B008
    ):
        progress(0, desc="writing files")
        path, status = work(
            lambda: write_files(session, formats, percent, left_out, settings), session, request, progress
        )
        return session, gr.DownloadButton(value=path, visible=bool(path)), status

    def on_cancel(request: gr.Request):
        stop(request)
        return said("stopped.")

    def on_clear(session, uploads, masks, request: gr.Request):
        stop(request)
        session.uploads |= {Path(path) for path in [*(uploads or []), *(masks or [])]}
        session.forget()
        return session, None, None, None, gr.DownloadButton(value=None, visible=False), said("deleted.")

    kinds = sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES)
    about = (
        f"At most {settings.most_views} views, {gigabytes(settings.most_bytes)}. Files are deleted when you "
        f"delete them, {settings.keep / 60:.0f} minutes after use, or when the app ends."
    )
    hidden = {"api_visibility": "private"}
    one_job = {**hidden, "concurrency_id": "work", "concurrency_limit": 1}
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(60, settings.keep)
    ) as page:
        session = gr.State(Session(), time_to_live=settings.keep, delete_callback=Session.forget)
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                gr.Markdown(f"## vggt_lite\n{about}")
                uploads = gr.File(
                    file_count="multiple", file_types=kinds, height=130, label="Photographs, or one video"
                )
                free = " (or a file, or a hub repository)" if settings.any_weights else ""
                weights = gr.Dropdown(
                    settings.choices, label=f"Weights{free}", allow_custom_value=settings.any_weights
                )
                with gr.Row():
                    start = gr.Button("Reconstruct", variant="primary", size="md", min_width=120)
                    refine = gr.Button("Refine", size="md", min_width=120)
                with gr.Row():
                    cancel = gr.Button("Cancel", size="md", min_width=120)
                    clear = gr.Button("Delete", size="md", min_width=120)
                with gr.Accordion("Options", open=False):
                    mode = gr.Radio(list(MODES), value=DEFAULT_MODE, label="How photographs are fitted")
                    per_second = gr.Number(
                        FRAMES_PER_SECOND, label="Frames of a second of video", minimum=0.01, maximum=60
                    )
                    masks = gr.File(
                        file_count="multiple", file_types=[".png"], height=130,
                        label="Masks: a PNG of each photograph's name; black is left out",
                    )  # fmt: skip
            with gr.Column(scale=3, min_width=560):
                status = gr.HTML(said("Drop photographs, then press Reconstruct."), elem_id="status")
                plot = gr.Plot(label="Scene: drag to turn, scroll to come closer", elem_id="scene")
                with gr.Row():
                    percent = gr.Slider(0, 95, 0, step=1, label="Hide least trusted (%)", min_width=270)
                    left_out = gr.CheckboxGroup(list(LEFT_OUT), label="Leave out", scale=2)
                with gr.Row():
                    formats = gr.CheckboxGroup([RESULT, *FILES], value=[RESULT], label="Formats", scale=3)
                    with gr.Column(scale=1, min_width=140):
                        make = gr.Button("Make files", size="md")
                        files = gr.DownloadButton("Download", size="md", visible=False)
        view = [percent, left_out]
        shown = {"show_progress_on": status}
        working = [
            start.click(
                on_reconstruct, [session, uploads, masks, weights, mode, per_second, *view],
                [session, plot, status], **one_job, **shown,
            ),
            refine.click(on_refine, [session, *view], [session, plot, status], **one_job, **shown),
            make.click(on_files, [session, formats, *view], [session, files, status], **one_job, **shown),
        ]  # fmt: skip
        for control in (percent.release, left_out.change):
            control(on_view, [session, *view], [plot, status], **hidden, **shown)
        cancel.click(on_cancel, None, status, cancels=working, queue=False, **hidden)
        everything = [session, uploads, masks, plot, files, status]
        clear.click(on_clear, [session, uploads, masks], everything, cancels=working, queue=False, **hidden)
        page.unload(stop)
    return page


def said(*texts: str, failed: bool = False) -> str:
    """A status in HTML: texts of others in it are text."""
    look = ' class="failed" role="alert"' if failed else ' role="status"'
    return "".join(f"<p{look}>{escape(text)}</p>" for text in texts)
