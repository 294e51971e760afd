"""A list of scenes, a result folder for each, and which results are there already.

    # photographs; results: OUT/rooms/kitchen and OUT/rooms/bath
    rooms/kitchen
    rooms/bath

A result says what it was made of, so that one of other photographs, weights, options or code is never taken
for the one that is asked for.
"""

import hashlib
import os
from pathlib import Path

from vggt_lite.data.pictures import list_images
from vggt_lite.inference.saving import KIND, Saved
from vggt_lite.utils.files import file_sha256, folder_kind
from vggt_lite.utils.fingerprint import differences
from vggt_lite.utils.reading import read_json, read_text


def read_list(path: str | Path) -> dict[str, Path]:
    """The scenes of a list: where a result goes below the folder of results, and the photographs.

    Args:
        path: a text file; each line is a folder of photographs, or a video, relative to the folder of the
            list. A result is called as its line; that of a line outside that folder as its whole path.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no text, or names no scene; or two results would be one, or one inside the other.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is no file: give a text file with a folder of photographs in each line."
        )
    home, scenes, lines = path.absolute().parent, {}, {}
    for number, line in enumerate(read_text(path).lstrip("\ufeff").splitlines(), 1):
        if not (text := line.strip()) or text.startswith("#"):
            continue
        source = Path(os.path.normpath(home / Path(text).expanduser()))
        inside = source.is_relative_to(home)
        name = (source.relative_to(home) if inside else source.relative_to(source.anchor)).as_posix()
        if name == ".":
            raise ValueError(f"{path}, line {number}: {text} is the folder of the list: name one inside it.")
        if name in scenes:
            raise ValueError(f"{path}: lines {lines[name]} and {number} have the same result, {name}.")
        scenes[name], lines[name] = source, number
    if not scenes:
        raise ValueError(f"{path} names no scene: give a folder of photographs in each line.")
    for name in scenes:
        for above in map(Path.as_posix, Path(name).parents):
            if above in scenes:
                said = f"line {lines[name]}, {name}, lies inside line {lines[above]}, {above}"
                raise ValueError(f"{path}: {said}, and so would their results: take two lists.")
    return scenes


def photographs_in(source: Path) -> str:
    """How many files a scene is made of, and a sum of their names and contents.

    Raises:
        FileNotFoundError: there is nothing. OSError: a file cannot be read.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist: mend the list.")
    files = list_images(source) if source.is_dir() else [source]
    lines = [f"{file_sha256(file)}  {file.name}\n" for file in files]
    return f"{len(files)}, SHA-256 {hashlib.sha256(''.join(lines).encode()).hexdigest()[:16]}"


def found_result(folder: Path, identity: dict[str, str], source: Path) -> list[str] | None:
    """In what a result that is there differs from the one that is asked for, in words; None: none is there.

    Args:
        folder: of the result, which `Reconstruction.save` writes whole or not at all.
        identity: of `made_by`. source: the photographs.

    Raises:
        OSError: the photographs cannot be read. ValueError: the result is damaged.
    """
    if folder_kind(folder) != KIND:
        return None
    made = read_json(folder / "scene.json", Saved).made
    wanted = identity | {"photographs": photographs_in(source)}
    return differences({key: made.get(key) for key in wanted}, wanted)
