# SPDX-License-Identifier: Apache-2.0
"""holdfastctl and the control socket: what is running, and what an administrator does to it."""

import contextlib
import grp
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import stat
import subprocess
import termios
import threading
import time

from lib import netns
from lib.proxy import control
from lib.scenario import Skip, check, complete_call, equal, eventually, hang_up, scenario


def _tool(world):
    path = os.path.join(os.path.dirname(world.binary), "holdfastctl")
    if not os.access(path, os.X_OK):
        raise Skip("there is no holdfastctl beside the binary")
    return path


def _socket(world):
    return world.path("control/control.sock")


def _proxy(world, **more):
    """A proxy with a control socket of this scenario."""
    world.needs("control-socket")
    options = dict(more.pop("options", {}), control_socket=_socket(world))
    return world.proxy(options, **more)


def _run(world, *words):
    """(exit status, stdout, stderr)"""
    done = subprocess.run([_tool(world), "-s", _socket(world), *words], capture_output=True,
                          text=True, timeout=30, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def _ask(world, *words):
    """Output for people of a command that must succeed."""
    status, out, err = _run(world, *words)
    equal((status, err), (0, ""), f"holdfastctl {' '.join(words)}")
    return out


def _rows(world, *words):
    """The same for scripts: the rows of each set."""
    return control(world.binary, _socket(world), *words)


# --- the tool --------------------------------------------------------------------------------


@scenario()
def control_tool_says_what_it_is_and_where_it_looks(world):
    status, out, err = _run(world, "--version")
    equal((status, err), (0, ""), "--version")
    check(re.fullmatch(r"holdfastctl \d+\.\d+\.\d+\n", out), f"--version says {out!r}")
    status, out, err = _run(world, "--help")
    equal((status, err), (0, ""), "--help")
    for word in ("--socket", "COMMAND", "Exit status"):
        check(word in out, f"--help does not tell of {word}")
    equal(subprocess.run([_tool(world)], capture_output=True).returncode, 2, "without a command")
    docs = os.path.join(os.path.dirname(__file__), "..", "..", "docs")
    for option, name in (("--man", "man/holdfastctl.1"), ("--markdown", "commands.md")):
        with open(os.path.join(docs, name), encoding="utf-8") as f:
            check(f.read() == _run(world, option)[1],
                  f"docs/{name} is not what holdfastctl {option} prints")
    status, out, err = _run(world, "status")
    equal((status, out), (3, ""), "without a daemon")
    check("not running" in err and _socket(world) in err, f"without a daemon: {err!r}")
    status, _, _ = _run(world, "dns", "a\nb")
    equal(status, 2, "a line end inside a word")


@scenario()
def control_commands_tell_success_from_failure(world):
    proxy = _proxy(world, dns={"1001": {"type": "extension"}})
    out = _ask(world, "status")
    check(re.search(rf"^workers +{world.workers}$", out, re.M), out)
    check(re.search(r"^up +\d+s$", out, re.M), out)
    status = _rows(world, "status")
    equal([row["workers"] for row in status["status"]], [world.workers], "status as JSON")
    names = [row["name"] for row in _rows(world, "help")["command"]]
    for name in ("status", "workers", "flows", "dns out-of-service", "calls release", "counters"):
        check(name in names, f"help does not list {name}")
    for name in names:
        check(f"\n  {name} " in _ask(world, "--help"), f"--help does not list {name}")
    equal(len(_rows(world, "workers")["worker"]), world.workers, "workers")
    counters = {row["name"]: row["value"] for row in _rows(world, "counters")["counter"]}
    equal(counters["messages_received"], 0, "messages_received")
    for words, wanted in ((("nonsense",), 2), (("dns", "out-of-service"), 2), (("status", "1"), 2),
                          (("dns", "nobody"), 1), (("dns", "in-service", "nobody"), 1),
                          (("calls", "release", "nobody@nowhere"), 1),
                          (("flows", "close", "0123"), 1), (("status", "--watch=no"), 2),
                          (("status", "--follow"), 2), (("status", "--text"), 2),
                          (("status", "--nonsense"), 2), (("--watch", "0", "status"), 2),
                          (("--watch", "1", "nonsense"), 2), (("events", "now"), 2),
                          (("log", "proxy:debug,nonsense:debug"), 1)):
        status, out, err = _run(world, *words)
        equal((status, out), (wanted, ""), " ".join(words))
        check("holdfastctl: " in err, f"{words}: {err!r}")
    check(err.endswith(" trace txn\n"), f"what is allowed is cut off: {err!r}")
    status, out, err = _run(world, "--json", "dns", "nobody")
    equal((status, json.loads(out)), (1, {"dn": [], "binding": [], "error": "no such DN: nobody"}),
          "what is refused, as JSON")
    mode = os.stat(_socket(world)).st_mode
    check(stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660, f"mode of the socket {mode:o}")
    equal(proxy.stop(), 0, "exit status of the proxy")
    check(not os.path.exists(_socket(world)), "the socket is left behind")
    equal(_run(world, "status")[0], 3, "without a daemon")


@scenario()
def control_socket_is_for_its_group(world):
    """Its permissions are the access control; who may not write to it is told who may."""
    _proxy(world)
    path = _socket(world)
    os.chmod(world.path(""), 0o755)
    os.chown(os.path.dirname(path), 0, 0)
    os.chmod(os.path.dirname(path), 0o755)
    # The tree may lie where nobody else may look, as in the home of root.
    tool = shutil.copy(_tool(world), world.path("holdfastctl"))

    def as_user(groups):
        done = subprocess.run([tool, "-s", path, "status"], capture_output=True, text=True,
                              timeout=30, user=65534, group=65534, extra_groups=groups)
        return done.returncode, done.stderr

    os.chown(path, 0, 4)
    equal(as_user([4]), (0, ""), "a member of the group")
    status, err = as_user([])
    equal(status, 3, "a stranger")
    name = grp.getgrgid(4).gr_name
    equal(err, f"holdfastctl: you are not allowed to write to {path}: be root or a member of group "
          f"{name}\n", "what a stranger is told")


@scenario()
def control_output_suits_who_reads_it(world):
    """Colours on a terminal alone, --watch until Ctrl-C, a reader that goes away, --no-headers."""
    _proxy(world, dns={"1001": {"type": "extension"}, "1002": {"type": "extension"}})
    _ask(world, "dns", "out-of-service", "1002")
    out = _ask(world, "dns")
    check("\033" not in out, "colours in a pipe")
    lines = out.splitlines()
    equal((lines[0].split()[0], {line.split()[0] for line in lines[1:]}),
          ("NAME", {"1001", "1002"}), "a table of DNs")
    equal(len({line.index("extension") for line in lines[1:]}), 1, "columns stand in line")
    equal(len(_ask(world, "--no-headers", "dns").splitlines()), 2, "lines without titles")
    shown = _on_terminal(world, {}, "dns")
    check("\033[31mout-of-service\033[0m" in shown and "\033[32min-service\033[0m" in shown, shown)
    check("\033" not in _on_terminal(world, {"NO_COLOR": "1"}, "dns"), "colours with NO_COLOR")
    narrow = _on_terminal(world, {}, "options", columns=80)
    check(all(len(re.sub(r"\033\[\d*m", "", line)) <= 80 for line in narrow.splitlines()),
          "lines are wider than the terminal")
    check(re.search(r"control-socket .*….*:\d+\s", narrow),
          f"a path loses its line number: {narrow[:1500]}")
    watched = _on_terminal(world, {}, "status", "--watch", "0.1", end=b"\x03")
    check(watched.count("\033[H") >= 3 and "every 0.1 s" in watched, watched[:200])
    check(watched.endswith("exit status 0"), watched[-100:])
    watched = _on_terminal(world, {}, "status", "--watch", "0.1", end=b"\x03", rows=0)
    check("\nconfiguration " in watched, f"a terminal that does not tell its height: {watched[:500]}")
    equal(_on_terminal(world, {}, "flows"), "none\n", "an empty table")
    equal(_on_terminal(world, {}, "set", "timer-c", "200"), "done\n", "a change with nothing to say")
    equal(_ask(world, "set", "timer-c"), "", "a change, in a pipe")
    done = subprocess.run(f"{_tool(world)} -s {_socket(world)} counters | head -n 1",
                          shell=True, executable="/bin/bash", capture_output=True, text=True,
                          timeout=30)
    equal((done.returncode, done.stderr), (0, ""), "a reader that goes away")
    done = subprocess.run([_tool(world), "-s", _socket(world), "status"], timeout=30,
                          stdout=open("/dev/full", "w"), stderr=subprocess.PIPE, text=True)
    equal(done.returncode, 1, "nowhere to write to")


def _on_terminal(world, env, *words, columns=100, rows=50, end=None):
    """What the tool shows on a terminal; `end` is typed when it has drawn some times."""
    pid, fd = pty.fork()
    if pid == 0:
        termios.tcsetwinsize(1, (rows, columns))  # before the tool looks
        os.environ.pop("NO_COLOR", None)
        os.environ.update({"TERM": "xterm", **env})
        os.execv(_tool(world), [_tool(world), "-s", _socket(world), *words])
    shown = b""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            got = os.read(fd, 65536)
        except OSError:
            break
        if not got:
            break
        shown += got
        if end and shown.count(b"\033[H") >= 3:
            os.write(fd, end)
            end = None
    os.close(fd)
    _, status = os.waitpid(pid, 0)
    text = shown.decode().replace("\r\n", "\n")
    return text + (f"exit status {os.waitstatus_to_exitcode(status)}" if "--watch" in words else "")


class _Daemon:
    """Says what a test wants to whoever connects to its control socket."""

    def __init__(self, path, answer, is_closing=True):
        self.path, self.answer, self.is_closing = path, answer, is_closing
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        self.clients = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                client.recv(4096)
                client.sendall(self.answer)
                self.clients.append(client)
                if self.is_closing:
                    client.close()

    def close(self):
        # Else the thread may take a connection of the next one, whose descriptor has the same number.
        self.listener.shutdown(socket.SHUT_RDWR)
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.listener.close()
        os.unlink(self.path)


def _tell(world, answer, *words):
    """What the tool makes of an answer: (exit status, stdout, stderr)."""
    path = world.path("odd.sock")
    daemon = _Daemon(path, answer)
    try:
        done = subprocess.run([_tool(world), "-s", path, *words], capture_output=True, timeout=30,
                              env={"TZ": "UTC", "PATH": os.environ["PATH"]})
        return done.returncode, done.stdout.decode(), done.stderr.decode()
    finally:
        daemon.close()


@scenario()
def control_tool_shows_values_for_people(world):
    def cells(**values):
        row = json.dumps(values, ensure_ascii=False)
        status, out, err = _tell(world, f"odd {row}\n.ok\n".encode(), "flows")
        equal((status, err), (0, ""), row)
        return [re.split(r"  +", line.strip()) for line in out.splitlines()]

    for name, value, shown in (
            ("idle_ms", 192000, "3m12s"), ("idle_ms", 0, "0s"), ("idle_ms", 250, "250ms"),
            ("idle_ms", 1500, "1.5s"), ("idle_ms", 59999, "59s"), ("idle_ms", 3600000, "1h00m"),
            ("up_s", 7, "7s"), ("up_s", 187200, "2d04h"), ("answer_us", 57, "57us"),
            ("answer_us", 1234, "1.2ms"), ("answer_us", -1, "-"), ("expires_s", -5, "-"),
            ("loss_percent", 12, "12%"), ("unacked_bytes", 1048576, "1048576"),
            ("since", "2020-02-29T23:59:59.500Z", "2020-02-29 23:59:59"), ("checked", True, "yes")):
        titles, values = cells(**{name: value})
        equal(values, [shown], f"{name} {value}")
        equal(titles, [re.sub("_(ms|us|s|bytes|percent)$", "", name).upper().replace("_", "-")],
              "title")
    # Of another day: with the date, also where it is less than a day away.
    now = time.time()
    for at, shown in ((now, "%H:%M:%S"), (now // 86400 * 86400 - 1, "%Y-%m-%d %H:%M:%S")):
        texts = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)), time.strftime(shown, time.gmtime(at))
        equal(cells(since=texts[0])[1], [texts[1]], "a time")
    equal(cells(a="x", empty="", off=False), [["A"], ["x"]], "columns with nothing in them")
    # Numbers stand right, text left; wide and combining characters count as what they take.
    rows = [{"name": "\u6771\u4eac", "n": 5, "end": "x"}, {"name": "e\u0301t\u00e9", "n": 50, "end": "y"},
            {"name": "plain", "n": 500, "end": "z"}]
    answer = "".join(f"odd {json.dumps(row, ensure_ascii=False)}\n" for row in rows) + ".ok\n"
    equal(_tell(world, answer.encode(), "flows")[1],
          "NAME     N  END\n\u6771\u4eac     5  x\ne\u0301t\u00e9     50  y\nplain  500  z\n", "a table")
    # What a terminal obeys is not passed on, nor what changes the direction of text.
    for text in ("\x1b[2J", "\x9b2J", "a\x00b", "a\nb", "\u202eabc", "\u2066x", "\ufeff", "\x7f"):
        shown = cells(name=f"<{text}>")[1][0]
        check(re.fullmatch(r"<[\w?\[]*>", shown) and "?" in shown, f"{text!r} is shown as {shown!r}")
    row = {"seq": 1, "time": "", "number": 42001, "fields": '{"dn":"10 01","ms":5,"n":"\\u001b"}'}
    check('dn="10 01" ms=5 n=?' in _tell(world, f"event {json.dumps(row)}\n.ok\n".encode(),
                                          "events")[1], "fields of an event")


@scenario()
def control_tool_copes_with_odd_daemons(world):
    row = b'flow {"id":"1"}\n'
    for answer, words, status, says in (
            (b"", ("flows",), 3, "has ended before it has answered"),
            (row, ("flows",), 3, "has ended before it has answered"),
            (b"version 1.0\n.ok\n", ("flows",), 3, "is of another version"),
            (b"flow {}x\n.ok\n", ("flows",), 3, "is of another version"),
            (b"flow [1]\n.ok\n", ("flows",), 3, "is of another version"),
            (b'flow {"id":"\xff"}\n.ok\n', ("flows",), 3, "is of another version"),
            (b"\n", ("flows",), 3, "is of another version"),
            (row + b".error broken\n", ("flows",), 1, "holdfastctl: broken"),
            (row + b".ok\n", ("flows",), 0, ""), (b"flow {}\n.ok\n", ("flows",), 0, ""),
            (b'message {"bytes":"*","remote":"x","time_us":-1}\n.ok\n', ("trace",), 0, ""),
            (b'message {"call_id":7}\n.ok\n', ("trace", "x"), 0, ""),
            (b'message {"bytes":"Q","remote":"x"}\n.ok\n',
             ("trace", "x", "--pcapng", "/dev/null"), 0, ""),
            (row + b".ok\n", ("trace", "x", "--pcapng", "/nowhere/x"), 1, "/nowhere/x"),
            (b'flow {"a":"' + 3000000 * b"x" + b'"}\n.ok\n', ("flows",), 0, "")):
        got, out, err = _tell(world, answer, *words)
        equal(got, status, f"{answer[:40]} {words}: {err!r}")
        check(says in err if says else err == "", f"{answer[:40]}: {err!r}")
    # Many parties, long addresses, text that is not ASCII: every message has its arrow.
    rows = [{"time_us": 1700000000000000 + 1000 * n, "direction": ("in", "out")[n % 2],
             "transport": "tls", "remote": f"[2001:db8::{n % 60:x}:1234:5678]:5061", "local": "x",
             "start_line": "SIP/2.0 486 \u4e00\x1b[2J", "method": "INVITE", "status": 486,
             "call_id": "c"} for n in range(100)]
    answer = "".join(f"message {json.dumps(row)}\n" for row in rows) + ".ok\n"
    status, out, err = _tell(world, answer.encode(), "trace", "c")
    equal((status, err), (0, ""), "a ladder of many")
    check("\x1b" not in out and len(re.findall("<-|->", out)) == 100, out[-300:])
    # One that says nothing, and one that takes no connection.
    path = world.path("silent.sock")
    daemon = _Daemon(path, b"", is_closing=False)
    started = subprocess.Popen([_tool(world), "-s", path, "status", "--watch"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    eventually(lambda: daemon.clients, 10, "nobody has asked")
    started.send_signal(signal.SIGINT)
    equal(started.wait(10), 0, "exit status after Ctrl-C while the daemon is silent")
    started.stdout.close()
    daemon.close()
    equal(_tell(world, b".ok\n", "-s", "x" * 200, "status")[0], 3, "a path that is too long")


@scenario()
def control_completion_knows_commands_and_names(world):
    _proxy(world, dns={"1001": {"type": "extension"}, "1002": {"type": "extension"},
                       "2000": {"type": "extension"}})

    def complete(*words):
        out = subprocess.run([_tool(world), "--complete", _socket(world), *words],
                             capture_output=True, text=True, timeout=30).stdout
        return sorted(line.split("\t")[0] for line in out.splitlines())

    check({"status", "flows", "dns", "drain"} <= set(complete("")), "commands")
    equal(complete("st"), ["status"], "a command that is begun")
    equal(complete("dns", ""), ["1001", "1002", "2000", "in-service", "out-of-service"], "behind dns")
    equal(complete("dns", "in-service", "10"), ["1001", "1002"], "a DN")
    equal(complete("dns", "1001", ""), [], "behind the last argument")
    equal(complete("options", "timer-t1"), ["timer-t1"], "an option")
    equal(complete("--js"), ["--json"], "an option of the tool")
    equal(complete("nonsense", ""), [], "nonsense")
    shell = os.path.join(os.path.dirname(__file__), "..", "..", "completion", "holdfastctl.bash")
    done = subprocess.run(
        ["bash", "-c", f"source {shell}; COMP_LINE='holdfastctl -s {_socket(world)} dns o'; "
         f"COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({_tool(world)}); _holdfastctl; "
         "echo \"${COMPREPLY[*]}\""], capture_output=True, text=True, timeout=30)
    equal((done.stdout, done.stderr), ("out-of-service\n", ""), "completion in bash")


@scenario()
def control_socket_of_a_killed_daemon_is_replaced(world):
    proxy = _proxy(world)
    proxy.kill()
    check(os.path.exists(_socket(world)), "there is nothing to replace")
    equal(_run(world, "status")[0], 3, "a socket that nobody listens at")
    proxy.start()
    _ask(world, "status")


@scenario()
def control_socket_of_a_living_daemon_stays(world):
    first = _proxy(world)
    second = _proxy(world, options={"sip-port": 5070})
    check(second.log_matches(r"event=45012 what=.control socket: another process has it"),
          "the second daemon does not say that it has none")
    out = _ask(world, "status")
    equal(second.end(), 0, "exit status of the second")
    check(_ask(world, "status").splitlines()[1] == out.splitlines()[1], "the first has lost it")
    equal(first.end(), 0, "exit status of the first")


@scenario()
def control_socket_that_cannot_be_made_costs_a_warning(world):
    world.needs("control-socket")
    none = world.proxy({"control_socket": "none"})
    check(not none.logged("control socket"), "control-socket = none is told of")
    none.end()
    nowhere = world.proxy({"control_socket": "/proc/no/such/control.sock"})
    check(nowhere.log_matches(r"event=45012 what=.control socket.*/proc/no/such"), "no warning")
    phone = world.registered_phone()
    call, incoming = complete_call(world.caller(), "1001", phone)
    hang_up(call, incoming)


@scenario()
def control_socket_of_a_user_without_a_place_for_it(world):
    """Started by su or cron there is no XDG_RUNTIME_DIR: the log says so, and what to do."""
    os.chmod(world.path(""), 0o755)
    binary = shutil.copy(world.binary, world.path("holdfast"))
    file = pathlib.Path(world.path("user.conf"))
    file.write_text("[sipproxy]\nadmin-address = none\n")
    with world.net.proxy.inside():
        daemon = subprocess.Popen([binary, "-c", str(file)], stderr=subprocess.PIPE, text=True,
                                  env={"PATH": "/usr/bin:/bin"}, user=65534, group=65534,
                                  extra_groups=[], cwd="/")
    guard = threading.Timer(10, daemon.kill)
    guard.start()
    lines = []
    try:
        while not lines or " ready event" not in lines[-1]:
            lines.append(daemon.stderr.readline())
            check(lines[-1], f"it has ended: {lines}")
    finally:
        daemon.terminate()
        daemon.communicate()
        guard.cancel()
    told = [line for line in lines if "event=45012" in line]
    check(len(told) == 1 and "XDG_RUNTIME_DIR is not set" in told[0] and "control-socket" in told[0],
          f"the log says {told}")


# --- what is seen ----------------------------------------------------------------------------


@scenario()
def control_flows_show_a_phone_with_its_dn(world):
    _proxy(world)
    phone = world.registered_phone("1001")
    other = world.registered_phone("1002", 1)
    flow, = eventually(lambda: _rows(world, "flows", "1001")["flow"], 5, "no flow of 1001")
    check(flow["remote"].startswith(f"{phone.address}:"), flow)
    equal((flow["dn"], flow["state"], flow["opened_by"]), ("1001", "up", "peer"), "its flow")
    way, source = f"{phone.address}:{phone.port}", flow["remote"]
    flow, = _rows(world, "flows", other.address)["flow"]
    equal(flow["dn"], "1002", "flows of the other phone's address")
    equal(len(_rows(world, "flows")["flow"]), 2, "all flows")
    equal(_rows(world, "flows", "10.77.1")["flow"], [], "flows of part of an address")
    dn = _rows(world, "dns", "1001")
    equal([row["state"] for row in dn["dn"]], ["in-service"], "state of the DN")
    binding, = dn["binding"]
    check(binding["expires_s"] > 0, binding)
    equal((binding["remote"], binding["source"]), (way, source), "way to it, and source")
    check(way != source, "the phone has registered from the port of its Contact")
    heads, values = _ask(world, "dns", "1001").splitlines()[-2:]
    check(" REMOTE " in heads and " SOURCE " in heads and way in values and source in values,
          f"{heads}\n{values}")
    narrow = _on_terminal(world, {}, "dns", "1001", columns=80)
    check(all(re.search(rf"\S:{at.rpartition(':')[2]}\s", narrow) for at in (way, source)),
          f"a port is cut off: {narrow}")
    narrow = _on_terminal(world, {"NO_COLOR": "1"}, "flows", "1001", columns=80)
    wide = _on_terminal(world, {"NO_COLOR": "1"}, "flows", "1001", "--wide", columns=80)
    flow, = _rows(world, "flows", "1001")["flow"]
    check(max(map(len, narrow.splitlines())) <= 80 and f"\n{flow['id']} " in narrow,
          f"80 columns are too few for its identifier: {narrow}")
    check(" REOPEN " in wide and " REOPEN " not in narrow, f"not all columns with --wide: {wide}")
    found = _rows(world, "search", phone.address)
    equal(([row["name"] for row in found["dn"]], [row["dn"] for row in found["flow"]]),
          (["1001"], ["1001"]), "search")
    equal([row["name"] for row in _rows(world, "search", source)["dn"]], ["1001"], "search by source")


@scenario()
def control_closes_a_connection(world):
    """What is closed by hand is gone for both ends; a call to the phone opens another one."""
    _proxy(world)
    phone = world.registered_phone("1001")
    flow, = eventually(lambda: _rows(world, "flows", "1001")["flow"], 5, "no flow of 1001")
    equal(_ask(world, "flows", "close", flow["id"]), f"closed: {flow['id']}\n", "close")
    eventually(lambda: _rows(world, "flows", flow["id"])["flow"] == [], 5, "the flow is there still")
    status, _, err = _run(world, "flows", "close", flow["id"])
    equal((status, err), (1, f"holdfastctl: no such connection: {flow['id']}\n"), "a second time")
    hang_up(*complete_call(world.caller(), "1001", phone))
    row, = _rows(world, "flows", phone.address)["flow"]
    equal((row["opened_by"], row["state"]), ("us", "up"), "the new connection")


@scenario()
def control_shows_and_releases_a_call(world):
    proxy = _proxy(world, options={"timer-t1": "50ms"})
    phone = world.registered_phone()
    caller = world.caller()
    call, incoming = complete_call(caller, "1001", phone)
    row, = _rows(world, "calls", call.call_id)["call"]
    equal((row["call_id"], row["dn"]), (call.call_id, "1001"), "the call")
    equal(len(_rows(world, "calls")["call"]), 1, "all calls")
    equal(_rows(world, "status")["status"][0]["calls"], 1, "calls in the status")
    equal([row["call_id"] for row in _rows(world, "search", call.call_id[:12])["call"]],
          [call.call_id], "search")
    equal(_ask(world, "calls", "release", call.call_id), "released: 1 dialog\n", "release")
    check(call.wait_request("BYE"), "the caller has no BYE")
    check(incoming.wait_request("BYE"), "the phone has no BYE")
    for end in (call, incoming):
        check(end.wait_ended(5), "an end has not ended")
        equal(sum(1 for m in end.requests if m.method == "BYE"), 1, "BYE requests")
    equal(_ask(world, "calls"), "", "calls after the release")
    status, _, err = _run(world, "calls", "release", call.call_id)
    equal((status, err), (1, "holdfastctl: no such call\n"), "a second release")
    equal(proxy.counters()["calls_released"], 1, "calls_released")
    eventually(lambda: _rows(world, "transactions")["transaction"] == [], 10,
               "transactions are left")
    proxy.check_alive()


@scenario()
def control_traces_a_call(world):
    """The messages of a call as arrows, as text, as rows, and as a file."""
    _proxy(world)
    phone = world.registered_phone()
    caller = world.caller()
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)
    rows = eventually(lambda: [row for row in _rows(world, "trace", call.call_id)["message"]
                               if row["method"] == "BYE" and row["status"] == 200][1:] and
                      _rows(world, "trace", call.call_id)["message"], 5, "no BYE is traced")
    check(all(row["call_id"] == call.call_id for row in rows), "another call's messages")
    equal([row["time_us"] for row in rows], sorted(row["time_us"] for row in rows), "their order")
    out = _ask(world, "trace", call.call_id)
    check(f"Call-ID: {call.call_id}\n" in out and "holdfast" in out, out)
    arrows = [line for line in out.splitlines() if re.search(r"<-|->", line)]
    equal(len(arrows), len(rows), "arrows")
    check(re.search(r"\|-+INVITE-+>\|", arrows[0]), arrows[0])
    check(any(re.search(r"\|<-+200 \w+ \(INVITE\)-+\|", line) for line in arrows), out)
    check(all(len(line) <= 80 for line in out.splitlines() if "Call-ID" not in line), out)
    out = _ask(world, "trace", call.call_id, "--text")
    check(f"\nCall-ID: {call.call_id}\n" in out and "INVITE sip:1001@" in out, out)
    check(len(_ask(world, "trace").splitlines()) > len(rows), "all messages")
    path = world.path("call.pcapng")
    equal(_ask(world, "trace", call.call_id, "--pcapng", path), "", "what is said of a file")
    with open(path, "rb") as f:
        capture = f.read()
    equal(capture[:4], b"\x0a\x0d\x0d\x0a", "how the file begins")
    equal(capture.count(f"Call-ID: {call.call_id}".encode()), len(rows), "messages in the file")
    follower = subprocess.Popen([_tool(world), "-s", _socket(world), "trace", "1001", "--follow"],
                                stdout=subprocess.PIPE, text=True)
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)
    for line in follower.stdout:
        if "BYE" in line and "<" in line and call.call_id:
            break
    follower.send_signal(signal.SIGINT)
    equal(follower.wait(20), 0, "exit status of what follows")
    follower.stdout.close()
    follower = subprocess.Popen([_tool(world), "-s", _socket(world), "--json", "trace",
                                 call.call_id, str(rows[0]["time_us"]), "--follow"],
                                stdout=subprocess.PIPE, text=True)
    first = json.loads(follower.stdout.readline())["message"]
    check(first and all(row["call_id"] == call.call_id for row in first), f"as JSON: {first}")
    follower.send_signal(signal.SIGINT)
    equal(follower.wait(20), 0, "exit status of what follows as JSON")
    follower.stdout.close()
    equal(_run(world, "trace", "nobody@nowhere"),
          (0, "", "holdfastctl: no message of nobody@nowhere\n"), "of nobody")


@scenario()
def control_releases_a_ringing_call(world):
    _proxy(world)
    phone = world.registered_phone()
    phone.script = [(0.0, 180)]
    call = world.caller().invite("1001")
    check(call.transaction.wait_status(180), "it does not ring")
    check(_rows(world, "calls", call.call_id)["call"], "the ringing call is not shown")
    check("released: 1 dialog" in _ask(world, "calls", "release", call.call_id), "not released")
    final = call.transaction.wait_final(5)
    equal(final and final.status, 480, "final response to INVITE")
    incoming = phone.wait_call(2)
    check(incoming.wait_ended(5), "the phone rings on")
    eventually(lambda: _rows(world, "calls")["call"] == [], 5, "a call is left")


@scenario()
def control_dn_stays_out_of_service_until_set_in_service(world):
    _proxy(world)
    phone = world.registered_phone()
    caller = world.caller()
    equal(_ask(world, "dns", "out-of-service", "1001"), "1001 is out of service\n", "out")
    row, = _rows(world, "dns", "1001")["dn"]
    equal((row["state"], row["cause"]), ("out-of-service", "set by the administrator"), "the DN")
    equal(_rows(world, "status")["status"][0]["dns_out"], 1, "status")
    final = caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 480, "INVITE to a DN out of service")
    final = phone.register()
    equal(final and final.status, 200, "REGISTER")
    final = caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 480, "INVITE after a REGISTER")
    equal(_ask(world, "dns", "in-service", "1001"), "1001 is in service\n", "in")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)


@scenario()
def control_switches_an_application(world):
    """New calls go to the other member of the pair as soon as the command has returned."""
    first, second = (world.caller("1001", port=port) for port in (5080, 5082))
    uris = [f"sip:{netns.CALLER}:{port}" for port in (5080, 5082)]
    _proxy(world, options={"serving-sipserver": "main"},
           sections={"application main": {"primary": uris[0], "backup": uris[1], "oos-check": "0"}})
    caller = world.caller(port=5070)
    for device in (first, second, caller):
        device.transport = "udp"
    hang_up(*complete_call(caller, "1001", first))
    out = _rows(world, "applications", "switch", "main")
    equal(out["application"][0]["active"], uris[1], "who is active")
    last = out["switchover"][0]
    equal((last["from"], last["to"], last["cause"]), (*uris, "the administrator"), "switchover")
    hang_up(*complete_call(caller, "1001", second))
    out = _rows(world, "applications", "switch", "main", "0")
    equal(out["application"][0]["active"], uris[0], "back")
    hang_up(*complete_call(caller, "1001", first))
    equal(_ask(world, "applications"), _ask(world, "applications", "main"), "of one that is all")
    row, = _rows(world, "status")["status"]
    equal((row["applications"], row["applications_down"]), (1, 0), "status")
    for words, says in ((("main", "2"), "main has no such member"),
                        (("other",), "no such application: other")):
        status, out, err = _run(world, "applications", "switch", *words)
        equal((status, out), (1, ""), "what cannot be done")
        check(says in err, err)


@scenario()
def control_shows_dns_and_overload(world):
    _proxy(world, options={"relay-from": "any", "dns-servers": "127.0.0.1:9"})
    equal({row["address"] for row in _rows(world, "resolver")["resolver_server"]}, {"127.0.0.1:9"},
          "servers")
    check(_ask(world, "resolver", "forget").startswith("forgotten: "), "forget")
    equal(len(_rows(world, "overload")["overload"]), world.workers, "overload")


@scenario()
def control_sets_options_and_drains(world):
    proxy = _proxy(world, options={"trace-buffer": "0", "timer-t1": "50ms"})
    row, = _rows(world, "options", "trace-buffer")["option"]
    equal(row["value"], "0", "value of the file")
    check(re.search(r":\d+$", row["source"]), row)
    _ask(world, "set", "trace-buffer", "1048576")
    row, = _rows(world, "options", "trace-buffer")["option"]
    equal((row["value"], row["source"]), ("1048576", "set"), "value that is set")
    _ask(world, "reload")
    equal(_rows(world, "options", "trace-buffer")["option"][0]["source"], "set", "after a reload")
    _ask(world, "set", "trace-buffer")
    equal(_rows(world, "options", "trace-buffer")["option"][0]["value"], "0", "as in the file")
    for words in (("set", "trace-buffer", "much"), ("set", "sip-port", "5070"),
                  ("set", "nonsense", "1"), ("drain", "soon"), ("drain", "0"), ("drain", "cancel"),
                  ("log", "flow:loud")):
        status, _, err = _run(world, *words)
        check(status == 1 and err.startswith("holdfastctl: "), f"{words}: {status} {err!r}")
    status, out, _ = _run(world, "help", "dns", "out-of-service")
    check(status == 0 and out.startswith("Usage: holdfastctl [OPTION]... dns out-of-service NAME\n"),
          f"{status} {out!r}")
    equal(_run(world, "help", "dns", "nothing")[0], 2, "help of no command")
    status, out, err = _run(world, "set", "trace-buffer", "much")
    check(not out and err.count("\n") == 1 and "trace-buffer = much" in err, f"{out!r} {err!r}")
    levels = {row["module"]: row["level"] for row in _rows(world, "log", "warn, flow:debug")["level"]}
    equal((levels["flow"], levels["txn"]), ("debug", "warn"), "levels")
    phone = world.registered_phone()
    caller = world.caller()
    call, incoming = complete_call(caller, "1001", phone)
    _ask(world, "drain", "60")
    equal(_rows(world, "status")["status"][0]["state"], "draining", "state")
    final = caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 503, "a new call")
    _ask(world, "drain", "cancel")
    equal(_rows(world, "status")["status"][0]["state"], "running", "state after that")
    told = {row["number"]: json.loads(row["fields"]) for row in _rows(world, "events")["event"]}
    check({45001, 45002, 45004, 45007, 45013} <= set(told), f"events: {sorted(told)}")
    equal(told[45004], {"at_most_ms": 60000}, "the drain")
    _ask(world, "drain", "1h")
    _ask(world, "drain", "cancel")
    told = [json.loads(row["fields"]) for row in _rows(world, "events")["event"]
            if row["number"] == 45004]
    equal(told[-1], {"at_most_ms": 3600000}, "a drain with a unit")
    err = _run(world, "drain", "1 day")[2]
    check(err.startswith("holdfastctl: 1 day: not allowed; allowed: 1s to 168h"), err)
    hang_up(call, incoming)
    hang_up(*complete_call(caller, "1001", phone))
    _ask(world, "drain", "1")
    equal(proxy.process.wait(20), 0, "exit status when it has drained")
    check(proxy.logged(r'command by the control socket command=reload what="" from="uid 0 pid \d+"'),
          "who has asked for a reload")
    proxy.end()


@scenario()
def control_follows_events(world):
    _proxy(world, dns={"1001": {"type": "extension"}})
    follower = subprocess.Popen([_tool(world), "-s", _socket(world), "events", "--follow"],
                                stdout=subprocess.PIPE, text=True)
    _ask(world, "dns", "out-of-service", "1001")
    line = next((line for line in follower.stdout if "42001" in line), "")
    check("dn=1001" in line, f"the event is not shown: {line!r}")
    follower.send_signal(signal.SIGINT)
    equal(follower.wait(20), 0, "exit status")
    follower.stdout.close()
    event = _rows(world, "events")["event"][-1]
    equal((event["number"], json.loads(event["fields"])["dn"]), (42001, "1001"), "the event")
    equal(_rows(world, "events", str(event["seq"]))["event"], [], "events after it")
