"""Where the repository is published (tools/site.toml): its addresses, and the set-up cell for Colab."""

import re
import sys
from pathlib import Path
from typing import NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SETTINGS = Path(__file__).resolve().parent / "site.toml"
# Beyond what Colab has. Ranges stand in pyproject.toml: what meets them stays as it is.
EXTRAS = "demo,refine,export,video"
COLAB_CELL = """\
# In Colab only: the repository, and what Colab lacks. Its own torch and NumPy stay as they are.
import sys

if "google.colab" in sys.modules:
    !git clone --quiet --depth 1 {url}
    %cd {name}/notebooks/student
    %pip install --quiet "../..[{extras}]" "anywidget>=0.9.13"
    from google.colab import output

    output.enable_custom_widget_manager()  # live figures"""


class Repository(NamedTuple):
    """A repository on GitHub."""

    owner: str
    name: str

    @property
    def url(self) -> str:
        return f"https://github.com/{self.owner}/{self.name}"

    @property
    def codespaces(self) -> str:
        return f"https://codespaces.new/{self.owner}/{self.name}"

    def colab(self, path: str) -> str:
        """The address at which Colab opens this notebook of the main branch."""
        return f"https://colab.research.google.com/github/{self.owner}/{self.name}/blob/main/{path}"

    @property
    def colab_cell(self) -> str:
        """Code for the first cell of a notebook of notebooks/student; outside Colab it does nothing."""
        return COLAB_CELL.format(url=self.url, name=self.name, extras=EXTRAS)


def repository(settings: Path = SETTINGS) -> Repository | None:
    """What the settings say; None while they are empty.

    Raises:
        ValueError: the settings cannot be read, lack an entry, or hold what is no name on GitHub.
    """
    try:
        found = tomllib.loads(settings.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f'{settings}: {error}. It holds owner = "…" and name = "…".') from error
    values = [found.get(key) for key in Repository._fields]
    if set(found) != set(Repository._fields) or not all(isinstance(value, str) for value in values):
        raise ValueError(f'{settings} holds {sorted(found)}; it takes owner = "…" and name = "…", both text.')
    if not any(values):
        return None
    for key, value in zip(Repository._fields, values, strict=True):
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", value, re.ASCII):
            raise ValueError(
                f"{settings}: {key} = {value!r} is no name on GitHub; for example {key} = 'ada'."
            )
    return Repository(*values)
