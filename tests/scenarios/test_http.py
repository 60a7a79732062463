# SPDX-License-Identifier: Apache-2.0
"""HTTP: the API and its description, metrics, health, the stream; who may ask, and who asks too much."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from urllib.parse import quote

from lib import http, netns
from lib.http import Client, Stream, get, post
from lib.recovery import BRISK
from lib.scenario import Skip, check, complete_call, equal, eventually, hang_up, scenario

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
TOKEN = "0123456789abcdef-of-this-scenario"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
DNS = {"1001": {"type": "extension"}, "2001": {"type": "extension"}}
OUTSIDE = netns.PROXY_NEAR_CALLER


def _proxy(world, options=None, **more):
    world.needs("admin-address")
    base = {**BRISK, "admin-address": f"127.0.0.1:{http.PORT}"}
    return world.proxy({**base, **(options or {})}, more.pop("dns", DNS), **more)


def _get(world, path, **more):
    return get(world.net.proxy, path, **more)


def _post(world, path, members=None, **more):
    return post(world.net.proxy, path, members, **more)


# --- the API as it is described --------------------------------------------------------------


class Described:
    """Answers are looked at by the description that the daemon itself gives."""

    def __init__(self, world):
        try:
            from jsonschema import Draft202012Validator
        except ImportError as missing:
            raise Skip("there is no python3-jsonschema") from missing
        self.world, self.validator = world, Draft202012Validator
        answer = _get(world, "/api/v1/openapi.json")
        equal(answer.status, 200, "openapi.json")
        self.text, self.whole = answer.text, answer.json
        self.used = set()

    def _schema(self, path, method, status):
        responses = self.whole["paths"][path][method]["responses"]
        check(str(status) in responses, f"{method} {path}: {status} is not described")
        self.used.add((path, method))
        found = responses[str(status)]
        if "$ref" in found:
            found = self.whole["components"]["responses"][found["$ref"].rsplit("/", 1)[1]]
        return found["content"]["application/json"]["schema"]

    def judge(self, path, method, answer):
        schema = {**self._schema(path, method, answer.status), "components": self.whole["components"]}
        equal(answer.headers["content-type"], "application/json", f"type of {path}")
        for error in self.validator(schema).iter_errors(answer.json):
            raise AssertionError(f"{path} {answer.status}: {error.message} at {list(error.path)}")
        return answer.json

    def get(self, path, status=200, **query):
        text = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
        answer = _get(self.world, path + ("?" + text if text else ""))
        equal(answer.status, status, f"GET {path} {query}: {answer.body[:300]}")
        return self.judge(path, "get", answer)

    def post(self, path, status=200, **members):
        answer = _post(self.world, path, members)
        equal(answer.status, status, f"POST {path} {members}: {answer.body[:300]}")
        return self.judge(path, "post", answer)


API = "/api/v1/"
GETS = {"help": {}, "status": {}, "workers": {}, "flows": {}, "dns": {}, "applications": {},
        "calls": {}, "transactions": {}, "trace": {}, "events": {}, "options": {}, "resolver": {},
        "overload": {}, "counters": {}, "search": {"text": "1001"}}


def _some_of_everything(api, world):
    """Rows of each set, with a call that stands."""
    for name, query in GETS.items():
        api.get(API + name, **query)
    equal(len(api.get(API + "calls")["call"]), 1, "rows of calls")
    check(api.get(API + "flows")["flow"], "no row of flows")
    equal([row["name"] for row in api.get(API + "dns", name="1001")["dn"]], ["1001"], "dns of a name")
    check(api.get(API + "dns")["binding"], "no row of bindings")
    applications = api.get(API + "applications")
    equal([row["name"] for row in applications["application"]], ["main"], "applications")
    check(applications["member"], "no row of members")
    check(api.get(API + "trace", match="1001", bytes="1")["message"], "no row of trace")
    check(api.get(API + "search", text="1001")["call"], "search does not find the call")
    found = api.get(API + "events")["event"]
    check(found and not api.get(API + "events", since=found[-1]["seq"])["event"], "events since")
    equal(len(api.get(API + "workers")["worker"]), world.workers, "rows of workers")


def _what_is_changed(api, call_id):
    api.post(API + "dns/out-of-service", name="1001")
    equal(api.get(API + "dns", name="1001")["dn"][0]["state"], "out-of-service", "state of the DN")
    api.post(API + "dns/in-service", name="1001")
    api.post(API + "set", name="timer-c", value="200")
    equal(api.get(API + "options", name="timer-c")["option"][0]["value"], "200", "timer-c")
    api.post(API + "set", name="timer-c")
    api.post(API + "log", levels="info")
    api.post(API + "resolver/forget")
    api.post(API + "reload")
    api.post(API + "drain", seconds=600)
    api.post(API + "drain/cancel")
    flow = api.get(API + "flows")["flow"][0]["id"]
    api.post(API + "calls/release", call_id=call_id)
    api.post(API + "flows/close", id=flow)
    for path, members in (("drain/cancel", {}), ("set", {"name": "workers", "value": "3"}),
                          ("applications/switch", {"name": "main", "member": "7"}),
                          ("set", {"name": "timer-c", "value": "never"})):
        api.post(API + path, 409, **members)


def _what_is_not_there(api):
    for path, members in (("dns", {"name": "nobody"}), ("calls", {"call_id": "nobody@nowhere"}),
                          ("applications", {"name": "nobody"}), ("options", {"name": "nobody"})):
        check("no such" in api.get(API + path, 404, **members)["error"], f"{path}: why")
    for path, members in (("dns/out-of-service", {"name": "nobody"}),
                          ("dns/in-service", {"name": "nobody"}),
                          ("calls/release", {"call_id": "nobody@nowhere"}),
                          ("flows/close", {"id": "100000200000003"}),
                          ("applications/switch", {"name": "nobody"}),
                          ("applications/switch", {"name": "main", "member": "sip:nobody"}),
                          ("set", {"name": "nobody", "value": "3"})):
        check("no such" in api.post(API + path, 404, **members)["error"], f"{path}: why")


@scenario(timeout=90)
def http_answers_as_it_is_described(world):
    proxy = _proxy(world, {"trace-buffer": "1048576"},
                   sections={"application main": {"primary": f"sip:{netns.CALLER}:5999"}})
    phone = world.registered_phone(transport="tcp")
    caller = world.caller()
    call, _ = complete_call(caller, "1001", phone)
    api = Described(world)
    _some_of_everything(api, world)
    _what_is_not_there(api)
    for name in GETS:
        api.get(API + name, 400, nonsense="1")
    for path, members in (("set", {}), ("set", {"name": "timer-c", "nonsense": "1"}),
                          ("reload", {"name": "x"})):
        api.post(API + path, 400, **members)
    _what_is_changed(api, call.call_id)
    missing = set((path, method) for path, methods in api.whole["paths"].items()
                  for method in methods if path.startswith(API)) - api.used
    equal(missing, {(API + "openapi.json", "get"), (API + "stream", "get"),
                    (API + "trace.pcapng", "get")}, "paths that were not tried")
    with open(os.path.join(ROOT, "docs", "openapi.json"), encoding="utf-8") as f:
        check(f.read() == api.text, "docs/openapi.json is not what holdfast --openapi prints")
    check(proxy.logged("command by HTTP"), "no line of the log tells of a change by HTTP")


@scenario(workers=1)
def http_refuses_what_it_does_not_know(world):
    _proxy(world)
    for method, path, body, headers, status in (
            ("GET", "/nothing", None, {}, 404), ("GET", "/api/v1/", None, {}, 404),
            ("GET", "/api/v1/dns%20out-of-service", None, {}, 404),
            ("GET", "/api/v1/../../etc/passwd", None, {}, 404),
            ("PUT", "/api/v1/status", None, {}, 405), ("POST", "/api/v1/status", "{}", http.JSON, 405),
            ("GET", "/api/v1/reload", None, {}, 405), ("POST", "/metrics", "{}", http.JSON, 405),
            ("POST", "/api/v1/reload", "{}", {}, 415),
            ("POST", "/api/v1/reload", "{}", {"Content-Type": "text/plain"}, 415),
            ("POST", "/api/v1/reload", "[]", http.JSON, 400),
            ("POST", "/api/v1/reload", "{", http.JSON, 400),
            ("POST", "/api/v1/reload", '{"a":{}}', http.JSON, 400),
            ("POST", "/api/v1/set?name=timer-c", "{}", http.JSON, 400),
            ("POST", "/api/v1/set", '{"name":"timer-c","name":"timer-c"}', http.JSON, 400),
            ("POST", "/api/v1/reload", "x" * 65537, http.JSON, 413),
            ("GET", "/api/v1/flows?match=a&match=b", None, {}, 400),
            ("GET", "/api/v1/flows?match=" + "a" * 2000, None, {}, 400),
            ("GET", "/api/v1/stream?since=x", None, {}, 400),
            ("GET", "/api/v1/events?since=x", None, {}, 400)):
        with Client(world.net.proxy) as client:
            client.request(path, method, body, headers)
            got = client.answer()
            equal(got.status, status, f"{method} {path[:60]}: {got}")
    with Client(world.net.proxy) as client:
        client.request("/api/v1/status", "HEAD")
        head = client.answer(has_body=False)
        equal((head.status, client.get("/api/v1/status").status), (200, 200), "HEAD and GET")
    for path in ("/", "/api/v1/status", "/metrics", "/healthz", "/nothing"):
        headers = _get(world, path).headers
        check("default-src 'self'" in headers["content-security-policy"]
              and "unsafe" not in headers["content-security-policy"]
              and "frame-ancestors 'none'" in headers["content-security-policy"], f"policy of {path}")
        equal(headers["x-content-type-options"], "nosniff", path)
        equal(headers["cache-control"], "no-cache" if path == "/" else "no-store", path)
    with Client(world.net.proxy) as client:
        page = client.get("/")
        client.request("/", headers={"If-None-Match": page.headers["etag"]})
        equal(client.answer().status, 304, "the page once more")


# --- metrics and health ------------------------------------------------------------------------


def _metrics(world, **more):
    answer = _get(world, "/metrics", **more)
    equal((answer.status, answer.headers["content-type"]),
          (200, "text/plain; version=0.0.4; charset=utf-8"), "metrics")
    lines = (line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def _promtool():
    found = shutil.which("promtool")
    if found:
        return found
    unpacked = os.path.join(ROOT, "build", "promtool", "usr", "bin", "promtool")
    return unpacked if os.access(unpacked, os.X_OK) else None


@scenario()
def http_metrics_follow_a_call(world):
    _proxy(world)
    phone = world.registered_phone(transport="tcp")
    caller = world.caller()
    before = _metrics(world)
    call, incoming = complete_call(caller, "1001", phone)
    during = _metrics(world)
    hang_up(call, incoming)
    after = eventually(lambda: (now := _metrics(world))["holdfast_calls"] == 0 and now, 5,
                       "the call is still there")
    def grown(name):
        return after[name] - before[name]
    equal(during["holdfast_calls"] - before["holdfast_calls"], 1, "calls")
    for name, wanted in (('holdfast_requests_received_total{method="INVITE"}', 1),
                         ('holdfast_requests_received_total{method="BYE"}', 1),
                         ('holdfast_invites_answered_total{class="2xx"}', 1),
                         ("holdfast_setup_seconds_count", 1),
                         ('holdfast_setup_seconds_bucket{le="+Inf"}', 1)):
        equal(grown(name), wanted, name)
    equal(after['holdfast_connections{transport="tcp",state="up"}'], 2, "connections")
    equal(sum(after[f'holdfast_worker_up{{worker="{i}"}}'] for i in range(world.workers)),
          world.workers, "workers")
    check(sum(after[f'holdfast_worker_cpu_seconds_total{{worker="{i}"}}']
              for i in range(world.workers)) > 0, "processor time of the workers")
    check(after["process_open_fds"] > 5 and after["process_resident_memory_bytes"] > 1e6, "process")
    check(abs(after["process_start_time_seconds"] - time.time()) < 120, "start of the process")


@scenario(workers=1)
def http_metrics_are_as_prometheus_wants_them(world):
    promtool = _promtool()
    if promtool is None:
        raise Skip("there is no promtool")
    _proxy(world, sections={"application main": {"primary": f"sip:{netns.CALLER}:5999"}})
    text = _get(world, "/metrics").text
    done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, timeout=20,
                          capture_output=True, check=False)
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "promtool check metrics")


@scenario(workers=1)
def http_without_a_control_socket(world):
    _proxy(world, {"control-socket": "none"})
    equal(_get(world, "/readyz").status, 200, "readiness")
    equal(_post(world, "/api/v1/set", {"name": "timer-c", "value": "99"}).status, 200, "a command")


@scenario()
def http_readiness_ends_with_a_drain(world):
    proxy = _proxy(world, {"drain-timeout": "20"})
    phone = world.registered_phone()
    caller = world.caller()
    equal((_get(world, "/healthz").status, _get(world, "/readyz").status), (200, 200), "at first")
    complete_call(caller, "1001", phone)
    _post(world, "/api/v1/drain", {"seconds": 60})
    answer = _get(world, "/readyz")
    equal((answer.status, answer.text), (503, "draining\n"), "readiness while it drains")
    equal(_get(world, "/healthz").status, 200, "health while it drains")
    equal(_metrics(world)["holdfast_draining"], 1, "holdfast_draining")
    _post(world, "/api/v1/drain/cancel")
    equal(_get(world, "/readyz").status, 200, "after the drain was taken back")
    # An INVITE that nobody answers holds up the end.
    phone.script = [(0.0, 180)]
    ringing = caller.invite("1001")
    eventually(lambda: ringing.transaction.statuses(), 5, "no provisional answer")
    proxy.may_end = True
    proxy.process.signal(signal.SIGTERM)
    eventually(lambda: _get(world, "/readyz").status == 503, 5, "ready after SIGTERM")


# --- who may ask -------------------------------------------------------------------------------


@scenario(workers=1)
def http_without_a_token_is_for_this_machine(world):
    _proxy(world)
    with world.net.proxy.inside():
        outside = socket.socket()
    with contextlib.closing(outside):
        check(outside.connect_ex((OUTSIDE, http.PORT)) != 0, "it listens on another address too")
    for host in ("127.0.0.1:8060", "localhost:8060", "[::1]:8060", "LOCALHOST", "127.0.0.1"):
        with Client(world.net.proxy) as client:
            equal(client.get("/api/v1/status", host=host).status, 200, f"Host {host}")
    for host in ("evil.example:8060", "127.0.0.1.evil.example", "localhost.evil.example", "[::1]x",
                 "127.0.0.1:", "127.0.0.1:99999", "localhost:80:80"):
        with Client(world.net.proxy) as client:
            equal(client.get("/api/v1/status", host=host).status, 403, f"Host {host}")
            equal(client.get("/healthz", host=host).status, 200, f"health with Host {host}")
    for origin, status in (("http://127.0.0.1:8060", 200), ("https://127.0.0.1:8060", 403),
                           ("http://evil.example", 403), ("null", 403),
                           ("http://127.0.0.1:8061", 403)):
        equal(_post(world, "/api/v1/reload", headers={"Origin": origin}).status, status,
              f"Origin {origin}")


@scenario(workers=1)
def http_with_a_token_is_for_who_has_it(world):
    proxy = _proxy(world, {"admin-address": f"0.0.0.0:{http.PORT}", "admin-token": TOKEN})
    near = {"address": OUTSIDE, "source": OUTSIDE}
    for path in ("/api/v1/status", "/api/v1/openapi.json", "/api/v1/stream", "/metrics", "/nothing"):
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"},
                      {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Bearer {TOKEN[:-1]}"},
                      {"Authorization": "Bearer"}, {"Authorization": TOKEN}):
            answer = _get(world, path, headers=given, **near)
            equal((answer.status, answer.headers["www-authenticate"]),
                  (401, 'Bearer realm="holdfast"'), f"{path} {given}")
    equal(_post(world, "/api/v1/reload", **near).status, 401, "POST without a token")
    check(proxy.logged("event=49010"), "a wrong token is not told")
    for path in ("/", "/healthz", "/readyz"):
        equal(_get(world, path, **near).status, 200, f"{path} without a token")
    equal(_get(world, "/api/v1/status", headers=BEARER, **near).status, 200, "with the token")
    equal(_get(world, "/api/v1/status", headers=BEARER).status, 200, "with it, from this machine")
    equal(_get(world, "/api/v1/status").status, 401, "without it, from this machine")
    check(_metrics(world, headers=BEARER)['holdfast_http_refused_total{reason="token"}'] >= 37,
          "refusals are not counted")
    lines = [line for line in proxy.process.lines_since(0) if "HTTP: wrong token" in line]
    check(1 <= len(lines) <= 6, f"{len(lines)} lines about wrong tokens")
    check(TOKEN not in proxy.process.output(), "the token stands in the log")
    check(TOKEN not in _get(world, "/api/v1/options", headers=BEARER).text, "options shows the token")
    stream = Stream(world.net.proxy, **near).open(**BEARER)
    stream.wait("tick")
    proxy.options["admin-token"] = TOKEN[::-1]
    proxy.write()
    proxy.reload()
    try:
        stream.wait("nothing", timeout=5)
        raise AssertionError("a stream outlives its token")
    except EOFError:
        stream.close()
    eventually(lambda: _get(world, "/api/v1/status", headers=BEARER, **near).status == 401, 5,
               "the former token goes on")
    turned = {"Authorization": f"Bearer {TOKEN[::-1]}"}
    equal(_get(world, "/api/v1/status", headers=turned, **near).status, 200, "the new token")
    del proxy.options["admin-token"]
    proxy.write()
    proxy.reload()
    check(proxy.log_matches("admin-address = 0.0.0.0:8060: needs admin-token"), "no error is logged")
    equal(_get(world, "/api/v1/status", **near).status, 401, "without any token")


# --- TLS ---------------------------------------------------------------------------------------


def _context(authority, **more):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.certificate)
    for name, value in more.items():
        setattr(context, name, value)
    return context


@scenario(workers=1)
def http_by_tls_with_another_certificate_after_a_reload(world):
    first = world.authority.issue("first", "IP:127.0.0.1")
    second = world.authority.issue("second", "IP:127.0.0.1")
    proxy = _proxy(world, {"admin-tls-certificate": first.certificate,
                           "admin-tls-private-key": first.key})
    trust = _context(world.authority)

    def shown():
        with Client(world.net.proxy, tls=trust) as client:
            equal(client.get("/api/v1/status").status, 200, "status by TLS")
            return dict(part[0] for part in client.sock.getpeercert()["subject"])["commonName"]

    equal(shown(), "first", "certificate")
    check(proxy.logged("https://127.0.0.1:8060/"), "the log does not name the address")
    old = _context(world.authority)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    try:
        Client(world.net.proxy, tls=old).close()
        raise AssertionError("TLS 1.1 is spoken")
    except OSError:
        pass
    with Client(world.net.proxy) as plain:
        plain.send(b"GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        check(plain.is_closed(5), "plain HTTP where TLS is spoken")
    with Client(world.net.proxy, tls=trust) as kept, \
            Stream(world.net.proxy, tls=trust).open() as stream:
        equal(kept.get("/readyz").status, 200, "before the reload")
        stream.wait("tick")
        proxy.options["admin-tls-certificate"] = second.certificate
        proxy.options["admin-tls-private-key"] = second.key
        proxy.write()
        proxy.reload()
        eventually(lambda: shown() == "second", 5, "the first certificate is shown")
        equal(kept.get("/api/v1/status").status, 200, "a connection from before the reload")
        try:
            stream.wait("nothing", timeout=20)
        except (EOFError, OSError):
            pass    # it comes back, with the new certificate
    proxy.options["admin-tls-private-key"] = first.key
    proxy.write()
    proxy.reload()
    check(proxy.log_matches("admin-tls-.*does not belong"), "a foreign key is not told of")
    equal(shown(), "second", "certificate after a reload that failed")
    del proxy.options["admin-tls-certificate"], proxy.options["admin-tls-private-key"]
    proxy.write()
    proxy.reload()
    eventually(lambda: _is_plain(world), 5, "TLS goes on")


def _is_plain(world):
    with contextlib.suppress(OSError, EOFError):
        return _get(world, "/readyz").status == 200
    return False


# --- the stream --------------------------------------------------------------------------------


@scenario()
def http_stream_tells_each_second_and_at_once(world):
    _proxy(world)
    phone = world.registered_phone()
    with Stream(world.net.proxy).open() as stream:
        equal((stream.status, stream.headers["content-type"]), (200, "text/event-stream"), "stream")
        _, tick = stream.wait("tick")
        equal((tick["status"]["state"], len(tick["workers"])), ("running", world.workers), "tick")
        check(stream.wait("tick")[1]["at_ms"] - tick["at_ms"] >= 900, "at_ms of two ticks")
        check({"counters", "applications", "members", "switchovers", "overload"} <= set(tick),
              f"tick has {list(tick)}")
        _post(world, "/api/v1/dns/out-of-service", {"name": "1001"})
        number, event = stream.wait("event", lambda row: row["number"] == 42001)
        equal((str(event["seq"]), json.loads(event["fields"])["dn"]), (number, "1001"), "event")
        _post(world, "/api/v1/dns/in-service", {"name": "1001"})
        later, _ = stream.wait("event", lambda row: row["number"] == 42002)
        call, incoming = complete_call(world.caller(), "1001", phone)
        stream.wait("tick", lambda row: row["status"]["calls"] == 1)
        hang_up(call, incoming)
    with Stream(world.net.proxy).open(**{"Last-Event-ID": number}) as again:
        equal(again.wait("event")[0], later, "the event after the one that was seen")
    eventually(lambda: _metrics(world)["holdfast_http_streams"] == 0, 10, "streams stay")
    streams = [Stream(world.net.proxy).open() for _ in range(9)]
    equal(sorted(s.status for s in streams), [200] * 8 + [503], "nine streams")
    for stream in streams:
        stream.close()
    eventually(lambda: _metrics(world)["holdfast_http_streams"] == 0, 10, "streams stay")


# --- hostile clients ---------------------------------------------------------------------------


class Crowd:
    """Clients with addresses of their own on the loopback interface: limits are per address."""

    def __init__(self, world):
        self.world, self.clients = world, []

    def add(self, source, **more):
        try:
            client = Client(self.world.net.proxy, source=source, timeout=3, **more)
        except OSError:
            return None
        self.clients.append(client)
        return client

    def close(self):
        for client in self.clients:
            client.close()


def _say(client, data):
    with contextlib.suppress(OSError, AttributeError):
        client.send(data)


def _garbage(crowd):
    """Each ends with an answer or a closed connection."""
    big = b"GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 70000 + b"\r\n\r\n"
    many = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n"
    endless = (b"POST /api/v1/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b"x" * 0x4000 + b"\r\n") \
        + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 20
    for n, data in enumerate((
            b"\x00" * 5000, os.urandom(5000), b"\r\n" * 3000, b"INVITE sip:x SIP/2.0\r\n\r\n" * 50,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500, big, many, endless,
            b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
            b"POST /api/v1/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
            b"POST /api/v1/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
            b"Content-Length: 6\r\nContent-Type: application/json\r\n\r\n{}   ",
            b"POST /api/v1/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999\r\n"
            b"\r\n",
            b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n\x00\x01GARBAGE\r\n\r\n" * 20)):
        client = crowd.add(f"127.0.1.{n + 1}")
        _say(client, data)
        with contextlib.suppress(OSError):
            client.sock.shutdown(socket.SHUT_WR)
        check(client.is_closed(8), f"garbage {n} is kept")


@scenario(timeout=120)
def http_hostile_clients_disturb_nobody(world):
    """200 connections, slow ones, garbage and readers that do not read, while a call goes on."""
    proxy = _proxy(world)
    phone = world.registered_phone()
    caller = world.caller()
    call, incoming = complete_call(caller, "1001", phone)
    before = _metrics(world)["process_open_fds"]
    crowd, stop = Crowd(world), threading.Event()
    _garbage(crowd)
    # As many as they like; 32 of one address are let in, 64 of all.
    for n in range(200):
        crowd.add(f"127.0.2.{n % 2 + 1}")
    slow = [c for c in crowd.clients if c][-60:]

    def drip():
        """One byte of a header now and then: never quiet, never done."""
        while not stop.wait(0.5):
            for client in slow:
                _say(client, b"X")
    for client in slow:
        _say(client, b"GET /readyz HTTP/1.1\r\nX: ")
    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        for _ in range(3):
            equal(call.reinvite().wait_final(5).status, 200, "re-INVITE while they come")
        other, there = complete_call(caller, "1001", phone)
        hang_up(other, there)
        eventually(lambda: _is_plain(world), 25, "no room for others after the time for a header")
    finally:
        stop.set()
        dripping.join()
    check(all(client.is_closed(15) for client in slow), "a slow client is kept")
    crowd.close()
    hang_up(call, incoming)
    eventually(lambda: _metrics(world)["process_open_fds"] <= before + 2, 10, "descriptors stay")
    proxy.check_alive()


@scenario(workers=1)
def http_half_requests_keep_nobody_out(world):
    """More of them than there is room for, of many addresses: a request is answered meanwhile."""
    _proxy(world)
    crowd = Crowd(world)
    for n in range(300):
        _say(crowd.add(f"127.0.3.{n % 100 + 1}"), b"GET /readyz HTTP/1.1\r\nX: ")
    eventually(lambda: _is_plain(world), 3, "half requests keep others out")
    crowd.close()


@scenario(timeout=90, workers=1)
def http_reader_that_does_not_read_is_left(world):
    """A stream whose buffer is full ends, and its place is free again; others go on."""
    _proxy(world)
    deaf = Stream(world.net.proxy, source="127.0.3.1", receive=2048)
    deaf.request("/api/v1/stream")
    with Stream(world.net.proxy).open() as heard, contextlib.closing(deaf):
        eventually(lambda: _metrics(world)["holdfast_http_streams"] == 2, 5, "two streams")
        eventually(lambda: heard.wait("tick") and _metrics(world)["holdfast_http_streams"] == 1, 75,
                   "the deaf stream stays")


@scenario(workers=1)
def http_too_many_requests_are_put_off(world):
    _proxy(world)
    with Client(world.net.proxy, source="127.0.4.1") as client:
        for _ in range(150):
            client.request("/readyz")
        found = [client.answer() for _ in range(150)]
    statuses = [answer.status for answer in found]
    check(set(statuses) == {200, 429} and statuses[:100] == [200] * 100, f"{statuses}")
    refused = next(answer for answer in found if answer.status == 429)
    equal(refused.headers["retry-after"], "1", "Retry-After")
    equal(_get(world, "/readyz", source="127.0.4.2").status, 200, "somebody else")
    eventually(lambda: _get(world, "/readyz", source="127.0.4.1").status == 200, 5, "never again")


@scenario(workers=1)
def http_address_in_use_is_one_warning(world):
    world.needs("admin-address")
    with world.net.proxy.inside():
        taken = socket.socket()
    with contextlib.closing(taken):
        taken.bind(("127.0.0.1", http.PORT))
        taken.listen()
        proxy = _proxy(world)
        line = proxy.logged("127.0.0.1:8060")
        check(line and re.search("warn", line[1]) and "45012" in line[1], f"the log says {line}")
        phone = world.registered_phone()
        hang_up(*complete_call(world.caller(), "1001", phone))
