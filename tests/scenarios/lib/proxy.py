# SPDX-License-Identifier: Apache-2.0
"""The proxy under test: writes its configuration, starts it in its namespace, waits until it is ready."""

import collections
import contextlib
import functools
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time

from .process import Process
from .sip import Framer, Msg, token


def control(binary, path, *words):
    """The answer of a daemon to a command that must succeed: a dictionary of lists of rows."""
    tool = os.path.join(os.path.dirname(binary), "holdfastctl")
    done = subprocess.run([tool, "-s", path, "--json", *words], text=True, capture_output=True,
                          timeout=30, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise AssertionError(f"holdfastctl {' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout)


class NotReady(Exception):
    """The daemon did not come up."""


@functools.cache
def has_option(binary, name):
    """Does this binary know the option?"""
    out = subprocess.run([binary, "--options"], text=True, capture_output=True, check=False).stdout
    return re.search(rf"\b{re.escape(name)}\b", out) is not None


def conf_text(options, dns=None, sections=None):
    """INI text: [sipproxy] with `options`, one [dn NAME] for each item of `dns`, and `sections` as
    they are named: {"application main": {"primary": ...}}."""
    named = {f"dn {name}": settings for name, settings in (dns or {}).items()}
    lines = ["[sipproxy]"] + [f"{name} = {value}" for name, value in options.items()]
    for name, settings in {**named, **(sections or {})}.items():
        lines += ["", f"[{name}]"] + [f"{key} = {value}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


class Notify:
    """The socket systemd would give a service (sd_notify)."""

    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        os.chmod(path, 0o777)
        self.messages = []

    def wait(self, word, timeout, alive):
        """True once a message holds `word`; gives up when alive() is false."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if any(word in m for m in self.messages):
                return True
            self.sock.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                self.messages.append(self.sock.recv(4096).decode())
                continue
            if not alive():
                return False
        return False

    def close(self):
        self.sock.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)


class Holdfast:
    """`options` is [sipproxy], `dns` the [dn ...] sections, `sections` any others by their whole
    name; `text` replaces all."""

    name = "holdfast"
    # What the scenarios add unless they say otherwise: the test addresses may register and relay.
    BASE = {"registrar-open-to": "10.77.0.0/16, fd77::/16", "relay-from": "10.77.0.0/16, fd77::/16",
            "resolve-host": "true"}

    def __init__(self, binary, namespace, folder, workers, options=None, dns=None, text=None,
                 args=None, env=None, limit_files=None, base=True, sections=None):
        self.binary, self.ns, self.folder = binary, namespace, folder
        self.conf = os.path.join(folder, "holdfast.conf")
        self.workers, self.limit_files = workers, limit_files
        self.env = env or {}
        merged = dict(self.BASE) if base else {}
        merged["workers"] = workers
        # Network namespaces do not part sockets of the file system.
        if base and has_option(binary, "control-socket"):
            merged["control-socket"] = os.path.join(folder, "control")
        merged.update({k.replace("_", "-"): v for k, v in (options or {}).items()})
        self.options, self.dns, self.sections = merged, dns or {}, sections or {}
        self.write(text)
        self.argv = [binary] + (args if args is not None else ["-c", self.conf])
        self.process = None
        self.notify = None
        self.may_end = False    # the scenario has ended it, or waits for its end
        self.hangs = False      # it was asked to end, and did not

    def write(self, text=None):
        """Write the configuration file from the current options."""
        with open(self.conf, "w") as out:
            out.write(text if text is not None else conf_text(self.options, self.dns, self.sections))

    def start(self, timeout=10.0, wait=True):
        path = os.path.join(self.folder, f"notify.{token(2)}")
        self.notify = Notify(path)
        env = dict(self.env, NOTIFY_SOCKET=path)

        def limits():
            if self.limit_files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.limit_files, self.limit_files))
            else:
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        self.may_end = False
        self.process = Process(self.argv, self.ns, os.path.join(self.folder, "holdfast.log"), env,
                               limits, cwd=self.folder)
        if wait and not self.notify.wait("READY=1", timeout, self.process.running):
            raise NotReady(f"no READY=1 within {timeout:.0f} s; "
                           f"exit status {self.process.child.poll()}\n{self.process.output()[-2000:]}")
        return self

    def reload(self):
        self.process.signal(signal.SIGHUP)

    def wait_exit(self, timeout):
        """Exit status, or None when it still runs after `timeout`."""
        self.may_end = True
        return self.process.wait(timeout)

    def stop(self, timeout=10.0):
        self.may_end = True
        status = self.process.stop(timeout) if self.process else None
        self._close()
        return status

    def end(self, timeout=10.0):
        """Asked to end until it does, without waiting for transactions; the exit status."""
        self.may_end = True
        deadline = time.monotonic() + timeout
        while self.process.running() and time.monotonic() < deadline:
            self.process.signal(signal.SIGTERM)
            self.process.wait(0.05)
        status = self.process.wait(0)
        self.hangs = status is None
        self.kill()
        return status

    def kill(self):
        """As a crash would: SIGKILL."""
        self.may_end = True
        self.process.kill()
        self._close()

    def _close(self):
        if self.notify:
            self.notify.close()
            self.notify = None

    def log_matches(self, pattern, timeout=5.0, since=0.0):
        """(time, line) of the first log line matching the regular expression, or None."""
        return self.process.wait_line(re.compile(pattern, re.I), timeout, since)

    def logged(self, pattern, since=0.0):
        return self.process.find_line(re.compile(pattern, re.I), since)

    def counters(self, timeout=5.0):
        """Counters that are not zero, as SIGUSR1 puts them into the log; others read as 0.

        Needs a DN: its line in the log comes last."""
        mark, deadline = time.monotonic(), time.monotonic() + timeout
        self.process.signal(signal.SIGUSR1)
        while time.monotonic() < deadline:
            found = self._counters_since(mark)
            if found is not None:
                return found
            time.sleep(0.01)
        raise AssertionError("SIGUSR1 logs no counters and no directory")

    def _counters_since(self, mark):
        """None until a line of the directory follows; those of an earlier signal come before."""
        found = collections.Counter()
        for line in self.process.lines_since(mark):
            if re.search(r"\bcounters\b", line):
                found.update({k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", line)})
            elif found and re.search(r"\bdirectory\b", line):
                return found
        return None

    def control(self, *words):
        """What holdfastctl, beside the binary, says to a command, as JSON: the rows of each set."""
        return control(self.binary, self.options["control-socket"], *words)

    def refused(self, *words):
        """What holdfastctl says to a command that must not succeed."""
        tool = os.path.join(os.path.dirname(self.binary), "holdfastctl")
        done = subprocess.run([tool, "-s", self.options["control-socket"], *words], text=True,
                              capture_output=True, timeout=30, stdin=subprocess.DEVNULL,
                              check=False)
        if done.returncode == 0:
            raise AssertionError(f"holdfastctl {' '.join(words)} succeeds: {done.stdout}")
        return done.stdout + done.stderr

    def broke(self):
        """It ended by itself, does not end when asked, or a sanitizer has found something."""
        if not self.process:
            return False
        status = self.process.child.poll()
        return (self.hangs or (status is not None and not self.may_end)
                or (status or 0) < 0 and status != -signal.SIGKILL
                or self.logged(r"sanitizer|runtime error:") is not None)

    def check_alive(self):
        if not self.process.running():
            raise AssertionError(f"the proxy ended with status {self.process.child.returncode}")


def options_ping(namespace, target, transport, source, timeout=1.0):
    """One OPTIONS to the proxy; the response, or None."""
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with namespace.inside():
        sock = socket.socket(family, kind)
    with contextlib.closing(sock):
        sock.settimeout(timeout)
        sock.bind((source, 0))
        host = f"[{target[0]}]" if ":" in target[0] else target[0]
        own = f"[{source}]" if ":" in source else source
        msg = Msg(f"OPTIONS sip:{host}:{target[1]} SIP/2.0")
        msg.add("Via", f"SIP/2.0/{transport.upper()} {own}:{sock.getsockname()[1]};rport;"
                       f"branch=z9hG4bK{token()}")
        msg.add("Max-Forwards", 70).add("From", f"<sip:check@{own}>;tag={token(4)}")
        msg.add("To", f"<sip:{host}>").add("Call-ID", token()).add("CSeq", "1 OPTIONS")
        try:
            sock.connect(target)
            sock.sendall(msg.bytes())
            framer = Framer()
            while True:
                data = sock.recv(65536)
                if not data:
                    return None
                found = framer.feed(data) if kind == socket.SOCK_STREAM else [Msg.parse(data)]
                if found:
                    return found[0]
        except OSError:
            return None
