"""What a course needs beside the lessons: exercise checks."""

from vggt_lite.course import checks

__all__ = ["checks"]
