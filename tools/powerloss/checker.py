"""Opens crash states by FolderDump, which is kept running from one to the next."""

import os
import subprocess
import threading


class Checker:
    """One FolderDump. Where it dies, that is an answer, and the next folder gets a new one."""

    SECONDS_MAX = 60

    def __init__(self, binary):
        self.binary, self.process = binary, None

    def lines(self, folder, works=False):
        """What is in the folder: (lines, problems)."""
        if self.process is None:
            self.process = self._launch({})
        return self._ask(self.process, folder, works)

    def lines_recorded(self, folder, environment):
        """As `lines`, in a process of its own under the recorder, which ends in order."""
        process = self._launch(environment)
        answer = self._ask(process, folder, True)
        process.stdin.close()
        process.wait()
        return answer

    def _launch(self, environment):
        return subprocess.Popen(
            [self.binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "SWIFT_BACKTRACE": "enable=no", **environment})

    def _ask(self, process, folder, works):
        process.stdin.write(f"{'work' if works else 'dump'} {folder}\n".encode())
        process.stdin.flush()
        watchdog = threading.Timer(self.SECONDS_MAX, process.kill)
        watchdog.start()
        lines, problems = set(), []
        for line in process.stdout:
            line = line.decode(errors="replace").rstrip("\n")
            if line == ".":
                watchdog.cancel()
                return lines, problems
            if line.startswith(("open ", "fault ")):
                problems.append(line)
            elif not line.split(" ", 1)[1].startswith("probe."):
                lines.add(line)
        watchdog.cancel()
        text = process.stderr.read().decode(errors="replace")
        status = process.wait()
        if process is self.process:
            self.process = None
        return lines, [f"the process died (status {status}): {text[-500:]}"]

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()
