"""How figures of benchmarks/results/*.json are written in a table: what one row says under one heading."""

from collections.abc import Callable

Row = dict


def seconds(row: Row) -> str:
    """Median and, of several runs, the spread."""
    if "seconds_median" not in row:
        return row.get("note", "")
    digits = 0 if row["seconds_median"] >= 100 else 1 if row["seconds_median"] >= 10 else 2
    text = [f"{row['seconds_' + key]:.{digits}f}" for key in ("median", "min", "max")]
    runs = f" ({text[1]}–{text[2]}, {row['runs']} runs)" if row["runs"] > 1 else " (1 run)"
    return f"{text[0]} s{runs}"


def size_of(key: str) -> Callable[[Row], str]:
    """Bytes, in units people use."""

    def text(row: Row) -> str:
        value = row.get(key)
        if value is None:
            return ""
        return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"

    return text


def times(key: str) -> Callable[[Row], str]:
    """A ratio new ÷ old, with its spread where there is one."""

    def text(row: Row) -> str:
        if row.get(key) is None:
            return ""
        between = f" ({row[key + '_min']:.2f}–{row[key + '_max']:.2f})" if f"{key}_min" in row else ""
        return f"{row[key]:.2f} ×{between}"

    return text


def rounded(key: str, digits: int, unit: str = "") -> Callable[[Row], str]:
    """A number with so many digits after the point."""
    return lambda row: f"{row[key]:.{digits}f}{unit}" if key in row else ""


def plain(key: str) -> Callable[[Row], str]:
    return lambda row: str(row.get(key, ""))


def pixels(row: Row) -> str:
    """Width × height; a result file holds them apart."""
    return f"{row['width']} × {row['height']}" if "width" in row else ""


def heads(row: Row) -> str:
    names = row.get("heads", "")
    return names.replace("+", ", ") if isinstance(names, str) else ", ".join(names)


def number_format(row: Row) -> str:
    stored = row.get("stored", row["dtype"])
    return row["dtype"] if stored == row["dtype"] else f"{row['dtype']}, stored {stored}"


def estimated(row: Row) -> str:
    """What vggt_lite.inference.memory_estimate says, and how far off it is."""
    from benchmarks.memory import estimate_of

    estimate, measured = estimate_of(row), row["weights_bytes"] + row["peak_above_weights_bytes"]
    return f"{size_of('it')({'it': estimate.working})} ({estimate.total / measured - 1:+.1%} of the whole)"


def images_per_second(row: Row) -> str:
    spread = f"{row['slowest']:.0f}–{row['fastest']:.0f}, {row['runs']} runs"
    return f"{row['images_per_s_median']:.0f} ({spread})"


def yes_no(key: str) -> Callable[[Row], str]:
    return lambda row: "yes" if row[key] else "no"


def middle(key: str) -> Callable[[Row], str]:
    return lambda row: f"{row[key]:.2f} s"


def waiting(row: Row) -> str:
    return f"{row['wait_median']:.3f} s ({row['wait_share']:.1%})"
