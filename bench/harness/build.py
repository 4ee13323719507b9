"""Compiling the programs in C and installing what is measured beside Roost."""

import os
import subprocess
import sys
from pathlib import Path

from .processes import BenchError

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / ".build" / "bench"
VENV = ROOT / ".build" / "bench-venv"
COMMON = ("histogram.c", "bson.c", "buffer.c", "document.c", "choice.c", "socket.c")
PROGRAMS = {
    "load": ("load.c", "client.c", "mongo.c", "mongo_reply.c", "redis.c", "postgres.c",
             "pingpong.c", "process.c", *COMMON),
    "live": ("live.c", "live_mongo.c", "live_text.c", "postgres.c", "process.c", *COMMON),
    "lmdb_groups": ("lmdb_groups.c", *COMMON),
}


def checked(command, what):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"{what} failed:\n{done.stdout}{done.stderr}".rstrip())


def install_packages(packages):
    """From Debian."""
    if packages:
        print("installing", *packages, flush=True)
        sudo = [] if os.getuid() == 0 else ["sudo"]
        checked([*sudo, "apt-get", "update", "-q"], "apt-get update")
        checked([*sudo, "apt-get", "install", "-y", "-q", *packages], "apt-get install")


def install_from_pypi(requirement, program):
    """Into a virtual environment below .build, unless `program` is there already."""
    if not (VENV / "bin" / program).exists():
        print("installing", requirement, "into", VENV, flush=True)
        checked([sys.executable, "-m", "venv", str(VENV)], "python3 -m venv")
        checked([str(VENV / "bin/pip"), "install", "-q", requirement], "pip install")


def compile_programs(*names):
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in names:
        libraries = ["-lm"] + (["-llmdb"] if name == "lmdb_groups" else [])
        checked(["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(BUILD / name),
                 *(str(ROOT / "bench" / source) for source in PROGRAMS[name]), *libraries],
                f"compiling {name}")
