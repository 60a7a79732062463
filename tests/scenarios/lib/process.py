# SPDX-License-Identifier: Apache-2.0
"""Child processes with their output kept line by line, each line with the time it arrived."""

import os
import re
import signal
import subprocess
import threading
import time

# Colours and cursor movements that programs write for a terminal.
CONTROLS = re.compile(r"\x1b\[;?[0-9;]*[A-Za-z]|[\r\x00-\x08]")


class Process:
    """A program started inside a namespace; ended by its own pid only."""

    def __init__(self, argv, namespace=None, log=None, env=None, preexec=None, cwd=None,
                 stdin=None):
        self.argv = list(argv)
        if namespace is not None:
            # `ip netns exec` replaces itself, so the pid is the program's.
            argv = ["ip", "netns", "exec", namespace.name] + self.argv
        full = dict(os.environ)
        full.update(env or {})
        self.lines = []
        self._cond = threading.Condition()
        self._log = open(log, "a", buffering=1) if log else None
        self.log = log
        self.started = time.monotonic()
        self.child = subprocess.Popen(argv, stdin=stdin or subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=full,
                                      preexec_fn=preexec, cwd=cwd, start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self.child.pid

    def _read(self):
        for raw in self.child.stdout:
            line = CONTROLS.sub("", raw.decode("utf-8", "replace")).strip()
            if not line:
                continue
            now = time.monotonic()
            if self._log:
                self._log.write(f"{now - self.started:9.3f} {line}\n")
            with self._cond:
                self.lines.append((now, line))
                self._cond.notify_all()
        with self._cond:
            self._cond.notify_all()

    def output(self):
        with self._cond:
            return "\n".join(line for _, line in self.lines)

    def find_line(self, pattern, since=0.0):
        """First (time, line) matching the compiled pattern, or None."""
        with self._cond:
            for when, line in self.lines:
                if when >= since and pattern.search(line):
                    return when, line
        return None

    def lines_since(self, since):
        with self._cond:
            return [line for when, line in self.lines if when >= since]

    def wait_line(self, pattern, timeout, since=0.0):
        deadline = time.monotonic() + timeout
        while True:
            found = self.find_line(pattern, since)
            if found:
                return found
            with self._cond:
                left = deadline - time.monotonic()
                if left <= 0 or (self.child.poll() is not None and not self._reader.is_alive()):
                    return None
                self._cond.wait(min(left, 0.1))

    def running(self):
        return self.child.poll() is None

    def wait(self, timeout):
        """Exit status (negative: signal), or None when it still runs after `timeout`."""
        try:
            status = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(2)
        return status

    def signal(self, number):
        if self.running():
            self.child.send_signal(number)

    def stop(self, timeout=5.0):
        """SIGTERM, then SIGKILL; returns the exit status."""
        if self.running():
            self.child.send_signal(signal.SIGTERM)
            if self.wait(timeout) is None:
                self.kill()
        self._close()
        return self.child.returncode

    def kill(self):
        if self.running():
            self.child.kill()
            self.child.wait(5)
        self._close()

    def _close(self):
        self._reader.join(2)
        if self._log and not self._reader.is_alive():
            self._log.close()
            self._log = None

    def cpu_seconds(self):
        """User and system time of the process so far."""
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))
