"""Starting, pinning and surely stopping processes."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)
started = []


class BenchError(Exception):
    """Something that the person who runs the benchmark has to know; its text says what to do."""


def cores():
    """The cores for (server, client, both). On one core all three are the same."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, {available[-1]}, {available[0], available[-1]}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A server process in a session of its own; it ends with us even when we are killed."""

    def __init__(self, name, command, folder, cores, user=None, stop_signal=signal.SIGTERM):
        self.name = name
        self.stop_signal = stop_signal
        self.log = Path(folder) / f"{name}.log"

        def before_exec():
            libc.prctl(PR_SET_PDEATHSIG, stop_signal)
            os.sched_setaffinity(0, cores)

        identity = {"user": user, "group": user, "extra_groups": []} if user else {}
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                start_new_session=True, preexec_fn=before_exec, **identity)
        started.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def wait_until(self, ready, seconds=60):
        """Polls `ready` until it is true; an error with the log's end when it never is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.popen.poll() is not None:
                raise BenchError(f"{self.name} ended with status {self.popen.returncode}:\n"
                                 + self.log_end())
            try:
                if ready():
                    return
            except (OSError, EOFError):
                pass
            time.sleep(0.05)
        raise BenchError(f"{self.name} isn't ready after {seconds} s:\n" + self.log_end())

    def log_end(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join("    " + line for line in lines[-8:])

    def pin(self, cores):
        """Moves all threads of the process and its descendants to `cores`."""
        for pid in descendants(self.pid):
            try:
                for thread in os.listdir(f"/proc/{pid}/task"):
                    os.sched_setaffinity(int(thread), cores)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile

    def stop(self):
        if self in started:
            started.remove(self)
        if self.popen.poll() is not None:
            return
        self.popen.send_signal(self.stop_signal)
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)  # its session is its own
            self.popen.wait()


def stop_all():
    for process in list(started):
        process.stop()


def descendants(pid):
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    family = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in family} - family
        if not more:
            return family
        family |= more
