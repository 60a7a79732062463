# SPDX-License-Identifier: Apache-2.0
"""The daemon as an operator and as a hostile network see it."""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time

from lib import netns
from lib.proxy import options_ping
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario
from lib.sip import Msg, token

PROXY = (netns.PROXY_NEAR_CALLER, 5060)


def _run(world, *args, text=None):
    """Run the program to its end: (status, stdout, stderr). `text` is written to a file first."""
    argv = [world.binary]
    if text is not None:
        path = world.path("given.conf")
        with open(path, "w") as out:
            out.write(text)
        argv += ["-c", path]
    done = subprocess.run(argv + list(args), capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


# --- command line ----------------------------------------------------------------------------


@scenario()
def version_help_and_options(world):
    status, out, _ = _run(world, "--version")
    equal(status, 0, "exit status of --version")
    check(re.search(r"holdfast.*\d+\.\d+", out, re.I), f"--version says {out!r}")
    status, out, _ = _run(world, "--help")
    equal(status, 0, "exit status of --help")
    status, page, _ = _run(world, "--man")
    with open(os.path.join(os.path.dirname(__file__), "../../docs/man/holdfast.8"),
              encoding="utf-8") as written:
        check(status == 0 and page == written.read(), "docs/man/holdfast.8 is not what --man prints")
    for word in ("-c", "--check", "--options", "--version", "--help"):
        check(word in out, f"--help does not mention {word}")
    status, out, _ = _run(world, "--options")
    equal(status, 0, "exit status of --options")
    for name in ("sip-port", "sip-enable-tcp-keep-alive", "tcp-reopen-delay", "registrar-open-to",
                 "timer-c", "location", "fork", "relay-from", "sip-domains", "workers"):
        check(re.search(rf"\b{name}\b", out), f"--options does not list {name}")
    status, _, err = _run(world, "--no-such-option")
    check(status not in (0, None) and err.strip(), "an unknown option is accepted")


@scenario()
def check_accepts_a_good_file(world):
    text = ("; a comment\n[sipproxy]\nsip-port = 5070\n# another\ntcp-reopen-delay = 500ms\n"
            "timer-c = 200\nfork = q\n\n[dn 1001]\ntype = extension\npassword = x\n")
    status, out, err = _run(world, "--check", text=text)
    equal(status, 0, f"exit status of --check ({out.strip()} {err.strip()})")


@scenario()
def check_shows_all_errors_of_a_file(world):
    text = ("[sipproxy]\n"               # 1
            "sip-port = 70000\n"         # 2
            "no-such-option = 1\n"       # 3
            "fork = sideways\n"          # 4
            "workers = 0\n"              # 5
            "timer-c = soon\n"           # 6
            "[nowhere]\n"                # 7
            "x = 1\n"                    # 8
            "[dn 1001]\n"                # 9
            "type = spaceship\n")        # 10
    status, out, err = _run(world, "--check", text=text)
    equal(status, 2, "exit status")
    said = out + err
    for line in (2, 3, 4, 5, 6, 10):
        check(re.search(rf"given\.conf:{line}\b", said), f"no error for line {line}:\n{said}")
    check(re.search(r"given\.conf:[78]\b", said), f"no error for the unknown section:\n{said}")
    for part in ("70000", "65535", "no-such-option", "sideways", "parallel", "sequential",
                 "soon", "spaceship", "extension"):
        check(part in said, f"the errors do not show {part!r}:\n{said}")


@scenario()
def bad_file_does_not_start(world):
    proxy = world.proxy(text="[sipproxy]\nsip-port = maybe\n", start=False)
    proxy.start(wait=False)
    equal(proxy.wait_exit(5), 2, "exit status")
    check(re.search(r"holdfast\.conf:2\b", proxy.process.output()), "no file and line")


@scenario()
def missing_file_is_an_error(world):
    status, _, err = _run(world, "-c", world.path("nowhere.conf"))
    check(status not in (0, None), "exit status")
    check("nowhere.conf" in err, f"the message does not name the file: {err!r}")


@scenario()
def starts_with_an_empty_file(world):
    """The embedded default: UDP and TCP 5060 on all addresses of both families."""
    world.proxy(text="")
    for transport in ("udp", "tcp"):
        for namespace, target, source in (
                (world.net.caller, PROXY, netns.CALLER),
                (world.net.caller, (netns.PROXY6_NEAR_CALLER, 5060), netns.CALLER6),
                (world.net.phone, (netns.PROXY, 5060), netns.PHONE),
                (world.net.proxy, ("127.0.0.1", 5060), "127.0.0.1"),
                (world.net.proxy, ("::1", 5060), "::1")):
            final = options_ping(namespace, target, transport, source, 3)
            equal(final and final.status, 200, f"OPTIONS over {transport} to {target[0]}")


@scenario()
def starts_without_a_file(world):
    proxy = world.proxy(args=[])
    equal(options_ping(world.net.caller, PROXY, "tcp", netns.CALLER, 3).status, 200, "OPTIONS")
    equal(proxy.stop(), 0, "exit status")


@scenario()
def listens_only_where_it_is_told(world):
    world.proxy({"sip-address": netns.PROXY, "sip-port": "5080", "admin-address": "none"})
    for transport in ("udp", "tcp"):
        final = options_ping(world.net.phone, (netns.PROXY, 5080), transport, netns.PHONE, 3)
        equal(final and final.status, 200, f"OPTIONS over {transport}")
    out = world.net.proxy.run("ss", "-Hltun")
    locals_ = {line.split()[4] for line in out.splitlines()}
    equal(locals_, {f"{netns.PROXY}:5080"}, "listening sockets")


@scenario()
def port_in_use_gives_one_clear_line(world):
    with world.net.proxy.inside():
        taken = socket.socket()
    with contextlib.closing(taken):
        taken.bind(("0.0.0.0", 5060))
        taken.listen(1)
        proxy = world.proxy(start=False)
        proxy.start(wait=False)
        status = proxy.wait_exit(5)
        check(status not in (0, None), f"exit status {status}")
        lines = [line for _, line in proxy.process.lines if "5060" in line]
        equal(len(lines), 1, f"lines about the port: {proxy.process.output()}")
        check(re.search(r"event=45008 .*in use", lines[0], re.I), f"the line is not clear: {lines[0]}")


# --- life ------------------------------------------------------------------------------------


@scenario()
def sigterm_drains_and_exits_0(world):
    """A transaction under way is finished; a call is not begun any more; then exit 0."""
    proxy = world.proxy({"drain-timeout": "3"})
    phone = world.registered_phone(transport="tcp")
    phone.script = [(0.0, 180), (0.8, 200)]
    caller = world.caller(transport="tcp")
    call = caller.invite("1001")
    check(call.transaction.wait_status(180), "no 180")
    proxy.process.signal(signal.SIGTERM)
    check(call.wait_established(5), f"drain cut the transaction: {call.transaction.statuses()}")
    equal(proxy.wait_exit(40), 0, "exit status")


@scenario()
def sigterm_when_idle_exits_at_once(world):
    proxy = world.proxy()
    world.registered_phone(transport="tcp")
    proxy.process.signal(signal.SIGTERM)
    equal(proxy.wait_exit(5), 0, "exit status")


@scenario()
def sigint_exits_0_too(world):
    proxy = world.proxy()
    proxy.process.signal(signal.SIGINT)
    equal(proxy.wait_exit(5), 0, "exit status")


@scenario()
def reload_takes_effect_and_keeps_connections(world):
    proxy = world.proxy(dns={"1001": {"type": "extension"}})
    phone = world.registered_phone(transport="tcp")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    late = world.phone("1002", 1, transport="tcp")
    check(late.register().status in (403, 404), "a name without section registered")
    proxy.dns["1002"] = {"type": "extension"}
    proxy.write()
    proxy.reload()
    eventually(lambda: late.register().status == 200, 5, "the new DN is not known", 0.1)
    check(not phone.registered_by.closed, "the phone's connection was closed by the reload")
    check(not caller.connections[0].closed, "the caller's connection was closed by the reload")
    hang_up(call, incoming)
    call, incoming = complete_call(caller, "1001", phone)
    equal(phone.new_calls()[-1].conns, [phone.registered_by], "connection of the call")
    hang_up(incoming, call)


@scenario()
def bad_reload_keeps_the_old_configuration(world):
    proxy = world.proxy(dns={"1001": {"type": "extension"}})
    phone = world.registered_phone(transport="tcp")
    mark = time.monotonic()
    proxy.write("[sipproxy]\nfork = sideways\n")
    proxy.reload()
    check(proxy.log_matches(r"holdfast\.conf:2", 5, mark), "the error was not logged")
    equal(phone.register().status, 200, "REGISTER after the bad reload")
    proxy.write()
    proxy.reload()
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)


@scenario()
def json_log_lines_are_json(world):
    proxy = world.proxy({"log-format": "json"}, {"1001": {"type": "extension"}})
    phone = world.registered_phone(transport="tcp")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)
    with contextlib.closing(_tcp(world)) as sock:
        sock.sendall(b'INVITE "\x01\xff\\ sip:x SIP/2.0\r\nVia: "\xfe\r\n\r\n')
        with contextlib.suppress(OSError):
            sock.recv(4096)
    equal(proxy.stop(), 0, "exit status")
    lines = [line for _, line in proxy.process.lines]
    check(lines, "nothing was logged")
    for line in lines:
        try:
            check(isinstance(json.loads(line), dict), f"no JSON object: {line}")
        except ValueError as error:
            raise AssertionError(f"no JSON: {line!r}: {error}") from None


@scenario(timeout=90)
def out_of_descriptors_pauses_accept(world):
    """More connections than descriptors: no spinning, no end; it goes on after some are closed."""
    proxy = world.proxy(limit_files=80)
    held = []
    flood = world.net.caller
    for _ in range(150):
        with flood.inside():
            sock = socket.socket()
        sock.settimeout(2)
        with contextlib.suppress(OSError):
            sock.connect(PROXY)
        held.append(sock)
    eventually(lambda: proxy.process.descriptors() >= 60, 5, "the limit was not reached")
    before = proxy.process.cpu_seconds()
    began = time.monotonic()
    held[0].settimeout(2.0)
    with contextlib.suppress(OSError):
        held[0].recv(1)                 # two seconds in which nothing is to be done
    spent = proxy.process.cpu_seconds() - before
    waited = time.monotonic() - began
    check(spent <= 0.25 * waited + 0.05, f"{spent:.2f} s of CPU in {waited:.1f} s: it spins")
    for sock in held:
        sock.close()
    eventually(lambda: options_ping(flood, PROXY, "tcp", netns.CALLER, 2), 15,
               "no answer after the connections were closed", 0.2)
    phone = world.registered_phone(transport="tcp")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)


@scenario(timeout=90)
def slow_reader_is_cut(world):
    """A phone that never reads: its queue has an end, the proxy lives and others are served."""
    proxy = world.proxy({"tcp-max-queue": "65536"})
    slow = world.phone("1001", 0, transport="tcp")
    slow.stop_listening()
    with slow.ns.inside():
        sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.bind((slow.address, 0))
    sock.connect((netns.PROXY, 5060))
    conn = slow._add(sock, "us")
    equal(slow.register(conn=conn).status, 200, "REGISTER")
    conn.pause()
    other = world.registered_phone("1002", 1, transport="tcp")
    caller = world.caller(transport="tcp")
    filler = [("Subject", "x" * 1200)]
    mark = time.monotonic()
    body = b"y" * 40000

    def cut():
        return proxy.logged("event=41010", mark)
    for _ in range(1500):
        caller.request("MESSAGE", caller.aor("1001"), headers=filler, body=body)
        if cut():
            break
    check(proxy.log_matches("event=41010", 10, mark), "the slow reader was not cut")
    call, incoming = complete_call(caller, "1002", other)
    hang_up(call, incoming)


# --- the wire --------------------------------------------------------------------------------


def _tcp(world, timeout=5.0):
    with world.net.caller.inside():
        sock = socket.socket()
    sock.settimeout(timeout)
    sock.connect(PROXY)
    return sock


def _udp(world, timeout=3.0):
    with world.net.caller.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(timeout)
    sock.bind((netns.CALLER, 0))
    sock.connect(PROXY)
    return sock


def _read_all(sock):
    """Everything until the peer closes; None when it does not close in time."""
    data = b""
    while True:
        try:
            more = sock.recv(65536)
        except ConnectionError:
            return data
        except TimeoutError:
            return None
        if not more:
            return data
        data += more


def _request(method="OPTIONS", uri=f"sip:{netns.PROXY_NEAR_CALLER}", transport="TCP", drop=(),
             replace=None, extra=(), body=b""):
    """A good request with headers dropped, replaced or added; bytes."""
    fields = {"Via": f"SIP/2.0/{transport} {netns.CALLER}:5099;rport;branch=z9hG4bK{token()}",
              "Max-Forwards": "70", "From": f"<sip:a@{netns.CALLER}>;tag={token(4)}",
              "To": f"<{uri}>", "Call-ID": token(), "CSeq": f"1 {method}",
              "Content-Length": str(len(body))}
    fields.update(replace or {})
    msg = f"{method} {uri} SIP/2.0\r\n"
    msg += "".join(f"{k}: {v}\r\n" for k, v in fields.items() if k not in drop)
    msg += "".join(f"{k}: {v}\r\n" for k, v in extra)
    return msg.encode() + b"\r\n" + body


def _exchange(world, data, transport="udp"):
    """Send, return the first final response."""
    with contextlib.closing(_udp(world) if transport == "udp" else _tcp(world)) as sock:
        sock.sendall(data)
        while True:
            try:
                got = sock.recv(65536)
            except TimeoutError:
                return None
            msg = Msg.parse(got) if got else None
            if msg is None or msg.status >= 200:
                return msg


def _status(msg):
    return msg.status if msg else None


@scenario()
def options_to_the_proxy_is_answered(world):
    world.proxy()
    for transport in ("udp", "tcp"):
        final = _exchange(world, _request(transport=transport.upper()), transport)
        equal(_status(final), 200, f"OPTIONS over {transport}")
        check(final.tag("to"), "no tag in To")


@scenario()
def max_forwards_0_and_proxy_require(world):
    world.proxy()
    target = "sip:1001@192.0.2.1"
    final = _exchange(world, _request("INVITE", target, "UDP", replace={"Max-Forwards": "0"}))
    equal(_status(final), 483, "Max-Forwards 0")
    final = _exchange(world, _request("OPTIONS", transport="UDP", replace={"Max-Forwards": "0"}))
    check(_status(final) in (200, 483), f"OPTIONS with Max-Forwards 0: {_status(final)}")
    final = _exchange(world, _request("INVITE", f"sip:1001@{netns.PROXY}", "UDP",
                                      extra=[("Proxy-Require", "foo, bar")]))
    equal(_status(final), 420, "Proxy-Require")
    equal(sorted(final.all("unsupported")), ["bar", "foo"], "Unsupported")


@scenario()
def relay_is_refused_for_strangers(world):
    """relay-from: a target that is none of ours, from an address that may not."""
    world.proxy({"relay-from": "127.0.0.0/8"})
    elsewhere = world.phone("x", 0)
    final = _exchange(world, _request("INVITE", f"sip:x@{netns.PHONE}:5060", "UDP"))
    equal(_status(final), 403, "relay for a stranger")
    equal(len(elsewhere.new_calls()), 0, "INVITEs at the target")


@scenario()
def relay_is_done_for_those_who_may(world):
    world.proxy({"relay-from": "10.77.8.0/24"})
    elsewhere = world.phone("x", 0, transport="udp")
    caller = world.caller(transport="udp")
    call = caller.invite("x", uri=f"sip:x@{netns.PHONE}:5060")
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    equal(len(elsewhere.new_calls()), 1, "INVITEs at the target")


@scenario()
def unknown_scheme_is_416(world):
    world.proxy()
    equal(_status(_exchange(world, _request("OPTIONS", "news:comp.lang.c", "UDP",
                                            replace={"To": "<sip:x@y>"}))), 416, "scheme")


@scenario()
def malformed_requests_get_400(world):
    proxy = world.proxy()
    bad = {"CSeq of another method": {"replace": {"CSeq": "1 INVITE"}},
           "CSeq without number": {"replace": {"CSeq": "one OPTIONS"}},
           "no From": {"drop": ("From",)}, "no To": {"drop": ("To",)},
           "no Call-ID": {"drop": ("Call-ID",)},
           "From without end of quote": {"replace": {"From": '"open <sip:a@b>;tag=1'}}}
    for name, change in bad.items():
        if "Call-ID" in change.get("drop", ()) or "CSeq" in change.get("drop", ()):
            final = _exchange(world, _request(transport="UDP", **change))
            check(_status(final) in (400, None), f"{name}: {_status(final)}")
            continue
        final = _exchange(world, _request(transport="UDP", **change))
        equal(_status(final), 400, name)
    for junk in (b"\x00" * 100, b"hello\r\n\r\n", b"SIP/2.0\r\n\r\n", os.urandom(1400),
                 b"INVITE\r\n\r\n", b"A" * 60000):
        with contextlib.closing(_udp(world)) as sock:
            sock.sendall(junk)
    proxy.check_alive()
    equal(_status(_exchange(world, _request(transport="UDP"))), 200, "OPTIONS afterwards")


@scenario()
def stream_without_content_length_is_400_and_closed(world):
    world.proxy()
    with contextlib.closing(_tcp(world)) as sock:
        sock.sendall(_request(drop=("Content-Length",)))
        data = _read_all(sock)
    check(data is not None, "the connection was not closed")
    check(data.startswith(b"SIP/2.0 400"), f"answer {data[:40]!r}")


@scenario()
def stream_with_bad_content_length_is_400_and_closed(world):
    world.proxy()
    for value in ("-1", "abc", "99999999999999999999"):
        with contextlib.closing(_tcp(world)) as sock:
            sock.sendall(_request(replace={"Content-Length": value}))
            data = _read_all(sock)
        check(data is not None, f"Content-Length {value}: the connection was not closed")
        check(re.match(rb"SIP/2.0 (400|513)", data), f"Content-Length {value}: {data[:40]!r}")


@scenario()
def stream_oversized_is_513_and_closed(world):
    world.proxy()
    with contextlib.closing(_tcp(world)) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(_request(replace={"Content-Length": "70000"}) + b"x" * 70000)
        data = _read_all(sock)
    check(data is not None, "the connection was not closed")
    check(data.startswith(b"SIP/2.0 513"), f"answer {data[:40]!r}")
    with contextlib.closing(_tcp(world)) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(_request(extra=[("Subject", "x" * 70000)]))
        data = _read_all(sock)
    check(data is not None, "endless headers: the connection was not closed")


@scenario()
def stream_split_at_every_byte(world):
    """Framing is resumable; CRLFs and a lone pong between messages are eaten."""
    world.proxy()
    one, two = _request(body=b"abc"), _request()
    with contextlib.closing(_tcp(world)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\r\n" + one + b"\r\n\r\n\r\n" + two:
            sock.sendall(bytes([byte]))
        data = b""
        while data.count(b"SIP/2.0 200") < 2:
            more = sock.recv(65536)
            check(more, f"closed after {data[:60]!r}")
            data += more
    with contextlib.closing(_tcp(world)) as sock:
        sock.sendall(one * 20)
        data = b""
        while data.count(b"SIP/2.0 200") < 1:
            data += sock.recv(65536)


@scenario()
def crlf_ping_is_answered_by_pong(world):
    """RFC 5626 4.4.1: double CRLF is answered by a single one."""
    world.proxy()
    with contextlib.closing(_tcp(world)) as sock:
        for _ in range(3):
            sock.sendall(b"\r\n\r\n")
            equal(sock.recv(100), b"\r\n", "answer to a ping")
        sock.sendall(_request())
        check(sock.recv(65536).startswith(b"SIP/2.0 200"), "OPTIONS after pings")


@scenario()
def stun_binding_on_udp_is_answered(world):
    """RFC 5389: success with our transaction id and XOR-MAPPED-ADDRESS of the sender."""
    world.proxy()
    with contextlib.closing(_udp(world)) as sock:
        ident = os.urandom(12)
        sock.sendall(struct.pack("!HHI", 1, 0, 0x2112A442) + ident)
        data = sock.recv(2000)
        kind, length, cookie = struct.unpack("!HHI", data[:8])
        equal((kind, cookie, data[8:20]), (0x0101, 0x2112A442, ident), "STUN header")
        equal(length, len(data) - 20, "STUN length")
        attributes, at = {}, 20
        while at + 4 <= len(data):
            name, size = struct.unpack("!HH", data[at:at + 4])
            attributes[name] = data[at + 4:at + 4 + size]
            at += 4 + (size + 3) // 4 * 4
        check(0x0020 in attributes, f"no XOR-MAPPED-ADDRESS: {list(attributes)}")
        _, family, port, address = struct.unpack("!BBHI", attributes[0x0020])
        equal((family, port ^ 0x2112), (1, sock.getsockname()[1]), "family and port")
        equal(socket.inet_ntoa(struct.pack("!I", address ^ 0x2112A442)), netns.CALLER, "address")


@scenario()
def stray_messages_are_harmless(world):
    """Responses to nothing, ACKs and CANCELs to nothing."""
    proxy = world.proxy()
    with contextlib.closing(_udp(world)) as sock:
        sock.sendall(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.77.8.1;branch=z9hG4bKnobody\r\n"
                     b"From: <sip:a@b>;tag=1\r\nTo: <sip:b@c>;tag=2\r\nCall-ID: x\r\n"
                     b"CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")
        sock.sendall(_request("ACK", f"sip:1001@{netns.PROXY}", "UDP"))
        sock.sendall(_request("CANCEL", f"sip:1001@{netns.PROXY}", "UDP"))
    equal(_status(_exchange(world, _request(transport="UDP"))), 200, "OPTIONS afterwards")
    proxy.check_alive()


@scenario()
def loop_is_detected(world):
    """RFC 3261 16.3 step 4: a request that comes back unchanged is 482, not a storm."""
    proxy = world.proxy(dns={"9000": {"type": "trunk", "contact": "sip:9000@10.77.8.3:5090"}})
    mirror = world.caller("9000", address="10.77.8.3", port=5090, transport="udp")
    came = []

    def send_back(conn, msg):
        """The request as its caller wrote it, below a Via of ours; responses to where it came from."""
        if msg.is_response:
            came.append(msg.status)
            msg.headers.remove(next(h for h in msg.headers if h[0].lower() == "via"))
            conn.send(msg.bytes())
        elif msg.method == "INVITE" and len(came) < 5:
            msg.start = f"INVITE sip:9000@{netns.PROXY_NEAR_CALLER} SIP/2.0"
            msg.headers.insert(0, ("Via", mirror.via("udp")))
            conn.send(msg.bytes())
    mirror.on_message = send_back
    caller = world.caller(transport="udp", port=5070)
    final = caller.invite("9000").transaction.wait_final(10)
    equal(final and final.status, 482, "final response")
    check(482 in came, f"the second passage was answered by {came}")
    proxy.check_alive()


@scenario()
def connection_limit_per_address(world):
    world.proxy({"tcp-max-connections-per-address": "5"})
    socks, answered = [], 0
    for _ in range(8):
        # One too many is reset, which may be seen as early as in connect().
        with contextlib.suppress(ConnectionError):
            socks.append(_tcp(world))
    for sock in socks:
        with contextlib.suppress(OSError):
            sock.settimeout(1.0)
            sock.sendall(_request())
            answered += sock.recv(65536).startswith(b"SIP/2.0 200")
        sock.close()
    equal(answered, 5, "connections served from one address")
