"""What a run asks of its folder and of the system: to be alone there, and to hear when it has to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

STOPS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C; what batch systems and containers send


def check_limit(max_seconds: float | None) -> None:
    """Refuse a limit of time that is none.

    Raises:
        ValueError: it is below 0, or no number.
    """
    if max_seconds is not None and not max_seconds >= 0:
        raise ValueError(f"max_seconds={max_seconds} must be 0 or more; None sets no limit.")


@contextmanager
def only_run_in(folder: Path | str) -> Iterator[None]:
    """Keep other runs out of a folder, which is made if need be. The lock ends with its process.

    Raises:
        ValueError: another run is at work there.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    lock = FileLock(Path(folder) / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"another run is at work in {folder}: wait until it ends, or give another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """In the block the first Ctrl-C or SIGTERM is noted in the list, a second one has its usual effect."""
    heard: list[int] = []
    usual = {number: signal.getsignal(number) for number in STOPS}

    def note(number: int, _) -> None:
        heard.append(number)
        restore()

    def restore() -> None:
        for number, handler in usual.items():
            if signal.getsignal(number) is note:
                signal.signal(number, handler)

    if threading.current_thread() is threading.main_thread():  # elsewhere Python hears none
        for number, handler in usual.items():
            if handler not in (signal.SIG_IGN, None):  # None: a handler that is not Python's
                signal.signal(number, note)
    try:
        yield heard
    finally:
        if threading.current_thread() is threading.main_thread():
            restore()
