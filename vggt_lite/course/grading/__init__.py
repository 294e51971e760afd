"""Marking: `vggt-lite grade` runs what learners hand in, and compares it with the reference on hidden inputs.

The grader and what it grades are two processes. `worker` runs one notebook within limits and writes down what
the learner's functions return; `session` starts it, and compares in the grader's own process. A notebook's
printed words and the checks as a notebook sees them count for nothing.
"""
