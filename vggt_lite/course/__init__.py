"""What a course needs beside the lessons: exercise checks, and a file made of a learner's pieces."""

from vggt_lite.course import checks
from vggt_lite.course.pieces import PiecesMissing, gather

__all__ = ["PiecesMissing", "checks", "gather"]
