"""Limits of the process that runs a submission. They cannot be taken off again.

With Landlock, Linux lets it write and delete in one folder only, read that folder and what Python needs,
connect to nothing, and send no signals to other processes. `setrlimit` bounds memory and sizes of files.
"""

import ctypes
import os
import resource
import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system calls, the same on x86-64 and ARM
READ = 1 << 2 | 1 << 3  # files, folders
WRITE = 1 << 1 | sum(1 << bit for bit in range(4, 13))  # files; removing and making anything
NEWER = {2: 1 << 13, 3: 1 << 14}  # since which version of Landlock: moving between folders; truncating
FILE = 1 << 1 | 1 << 2 | 1 << 14  # those rights that a file, not a folder, can have
TCP, SIGNALS = 1 << 0 | 1 << 1, 1 << 1
NO_NEW_PRIVILEGES = 38


def landlock_version() -> int:
    """0 where the system has no Landlock."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, 1))


def readable_folders() -> list[Path]:
    """What Python and the system's libraries need."""
    system = [Path(name) for name in ("/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev", "/opt")]
    python = [sys.prefix, sys.base_prefix, site.getusersitepackages(), *sysconfig.get_paths().values()]
    package = Path(__file__).resolve().parents[2]
    return [*system, *map(Path, python), package]


def restrict_files(writable: Iterable[Path], readable: Iterable[Path]) -> None:
    """From now on this process reads and writes only there, and connects to nothing.

    Raises:
        OSError: the system cannot do it.
    """
    version = landlock_version()
    system = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments) -> int:
        result = system.syscall(number, *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), "Landlock refused")
        return result

    rights = READ | WRITE | sum(right for since, right in NEWER.items() if version >= since)
    network, scope = TCP * (version >= 4), SIGNALS * (version >= 6)
    attributes = (ctypes.c_uint64 * 3)(rights, network, scope)
    rules = call(CREATE_RULESET, attributes, 24 if version >= 6 else 16 if version >= 4 else 8, 0)
    allowed = [(path, rights) for path in writable] + [(path, rights & READ) for path in readable]
    for path, granted in [*allowed, (Path("/dev/null"), rights)]:
        if path.exists():
            folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
            granted &= ~0 if path.is_dir() else FILE
            rule = granted.to_bytes(8, sys.byteorder) + folder.to_bytes(4, sys.byteorder)  # packed
            call(ADD_RULE, rules, 1, rule, 0)
            os.close(folder)
    if system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs refused")
    call(RESTRICT_SELF, rules, 0)
    os.close(rules)


def limit_resources(memory: int, file_size: int, seconds: int) -> None:
    """Bytes of address space and of one file; seconds of processor time."""
    limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_FSIZE: file_size, resource.RLIMIT_CPU: seconds}
    for what, most in {**limits, resource.RLIMIT_CORE: 0}.items():
        resource.setrlimit(what, (most, most))
