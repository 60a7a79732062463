# SPDX-License-Identifier: Apache-2.0
"""Servers under test and what they use: shared by bench/compare and bench/idle.

Starts one server at a time on loopback, in the foreground, in a process group of its own, and reads
CPU time and memory of all its processes and threads from /proc.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent
TICK = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Something the user must be told about; the run cannot go on."""


def program(name, build):
    """Path of bench_<name>: from the build folder, or compiled beside it when it is missing."""
    built = build / f"bench_{name}"
    if built.exists():
        return built
    out = TREE / "build" / "bench"
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"bench_{name}"
    sources = [HERE / f"{name}.c", *sorted((HERE / "lib").glob("*.c"))]
    headers = (HERE / "lib").glob("*.h")
    newest = max(p.stat().st_mtime for p in [*sources, *headers])
    if not target.exists() or target.stat().st_mtime < newest:
        command = [os.environ.get("CC", "cc"), "-O2", "-std=gnu17", "-o", target, *sources,
                   "-Wl,--as-needed", "-lssl", "-lcrypto"]  # fmt: skip
        if subprocess.run(command, check=False).returncode != 0:
            raise Failure(f"cannot compile bench/{name}.c")
    return target


def certificate(folder):
    """A self-signed certificate with its key, for servers that speak TLS: (certificate, key)."""
    made = folder / "certificate.pem", folder / "key.pem"
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", made[1], "-out", made[0], "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Failure(f"openssl makes no certificate: {done.stderr.strip()}")
    return made


# --- what a server uses ---------------------------------------------------------------------------


def tree_of(pid):
    """The process and all its descendants."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/children", encoding="ascii") as f:
                    todo += [int(child) for child in f.read().split()]
        except FileNotFoundError:
            pass
    return found


class Usage:
    """CPU seconds so far, of all processes and threads of a server.

    The total is the scheduler's, in nanoseconds; /proc/PID/stat has ticks of 10 ms and only tells
    how the total divides into user and system. Children that have ended and were waited for are in
    the ticks of their parent alone.
    """

    def __init__(self, pid):
        self.user = self.system = self.total = 0.0
        self.switches = 0
        for one in tree_of(pid):
            try:
                self._add(one)
            except (FileNotFoundError, ProcessLookupError):
                continue

    def _add(self, pid):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        self.user += (int(fields[11]) + int(fields[13])) / TICK
        self.system += (int(fields[12]) + int(fields[14])) / TICK
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                self.total += int(f.read().split()[0]) / 1e9
            with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as f:
                for line in f:
                    if line.startswith("voluntary_ctxt_switches"):
                        self.switches += int(line.split()[1])

    def since(self, before):
        """user, system and total seconds between two readings, and voluntary context switches."""
        user, system = self.user - before.user, self.system - before.system
        total = self.total - before.total
        if total <= 0:
            total = user + system
        share = user / (user + system) if user + system > 0 else 0.0
        return {
            "user": total * share,
            "system": total * (1 - share),
            "total": total,
            "switches": self.switches - before.switches,
        }


class Split:
    """How a server's CPU time divides into user and system, by sampling.

    Kernels that charge whole clock ticks see little of a process that runs for some microseconds at
    a time, and divide its time by chance. So perf samples all CPUs with a clock of its own, 1,999
    times a second; only samples of the server's processes are counted. Sampling whole CPUs costs
    the server nothing at its context switches. Where perf is missing the ticks have to do.
    """

    FREQUENCY = 1999

    def __init__(self, folder):
        self.data = folder / "split.data"
        self.process = None
        if shutil.which("perf"):
            self.process = subprocess.Popen(
                ["perf", "record", "-q", "-a", "-e", "cpu-clock", "-F", str(self.FREQUENCY),
                 "-o", str(self.data)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)

    def apply(self, used, pids):
        """Divides used["total"] anew; used["samples"] is 0 where the ticks were kept."""
        self.end()
        used["samples"] = 0
        if self.process is None or not self.data.exists():
            return
        command = ["perf", "script", "-i", str(self.data), "-F", "pid,ip"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wanted = {str(pid) for pid in pids}
        user = kernel = 0
        for line in done.stdout.splitlines():
            fields = line.split()
            if len(fields) < 2 or fields[0] not in wanted:
                continue
            if len(fields[1]) == 16 and fields[1].startswith("ffff"):
                kernel += 1
            else:
                user += 1
        used["samples"] = user + kernel
        if user + kernel >= 100:
            used["user"] = used["total"] * user / (user + kernel)
            used["system"] = used["total"] - used["user"]


MEMORY = ("Rss", "Pss", "Pss_Anon", "Pss_Shmem", "Private_Dirty", "Anonymous")


def memory_of(pid):
    """Bytes over all processes. `user` is what the server wrote itself: anonymous pages and shared
    memory, each page counted once; code and other file pages and all kernel memory are left out."""
    total = dict.fromkeys(MEMORY, 0)
    for one in tree_of(pid):
        try:
            with open(f"/proc/{one}/smaps_rollup", encoding="ascii") as f:
                for line in f:
                    name = line.split(":", 1)[0]
                    if name in total:
                        total[name] += int(line.split()[1]) * 1024
        except (FileNotFoundError, ProcessLookupError):
            continue
    total["user"] = total["Pss_Anon"] + total["Pss_Shmem"]
    return total


# --- servers --------------------------------------------------------------------------------------

KAMAILIO = """#!KAMAILIO
# Stateful, record-routing, one process for messages; nothing is logged.
debug=-1
log_stderror=yes
memdbg=5
memlog=5
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=no
mhomed=0
server_header="Server: k"
user_agent_header="User-Agent: k"
children=1
{listen}

loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"

modparam("rr", "enable_full_lr", 0)
modparam("rr", "append_fromtag", 0)
modparam("tm", "failure_reply_mode", 3)
modparam("tm", "fr_timer", 30000)
modparam("tm", "fr_inv_timer", 120000)
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "preload", "location")
modparam("registrar", "max_expires", 3600)
{modparams}

request_route {{
    if (!mf_process_maxfwd_header("70")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            if (!t_relay()) sl_reply_error();
            exit;
        }}
        if (is_method("ACK")) {{
            if (t_check_trans()) t_relay();
            exit;
        }}
        sl_send_reply("404", "Not Here");
        exit;
    }}
    if (is_method("INVITE|SUBSCRIBE")) record_route();
    if (is_method("REGISTER")) {{
        if (!save("location")) sl_reply_error();
        exit;
    }}
    if (uri == myself) {{
        if (!lookup("location")) {{
            t_newtran();
            t_reply("404", "Not Found");
            exit;
        }}
    }}
    if (!t_relay()) sl_reply_error();
    exit;
}}
"""

HOLDFAST = """[sipproxy]
sip-address = 127.0.0.1
sip-port = {port}
resolve-host = true
workers = 1
record-route = true
relay-from = 127.0.0.0/8
registrar-open-to = 127.0.0.0/8
log-level = error
drain-timeout = 0
{extra}
"""


class Server:
    """One server under test: a name, a command, a port on loopback."""

    ready_word = None

    def __init__(self, name, port, transport):
        self.name = name
        self.port = port
        self.transport = transport
        self.process = None
        self.folder = None

    def command(self, folder):
        raise NotImplementedError

    def start(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
        try:
            command = [str(part) for part in self.command(self.folder)]
        except Failure:
            self.stop()
            raise
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=self.folder,
            )
        self._wait_until_bound()

    def _wait_until_bound(self):
        """Looks into /proc/net, so that the server sees no message and no connection of ours."""
        table, state = ("udp", "07") if self.transport == "udp" else ("tcp", "0A")
        wanted = [f"0100007F:{self.port:04X}", f"00000000:{self.port:04X}"]
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with open(f"/proc/net/{table}", encoding="ascii") as f:
                for line in f:
                    fields = line.split()
                    if fields[1] in wanted and fields[3] == state:
                        time.sleep(0.3)  # its other processes are started after the sockets
                        return
            time.sleep(0.02)
        text = (self.folder / "log").read_text(errors="replace")[-2000:]
        self.stop()
        raise Failure(f"{self.name} did not start:\n{text}")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def usage(self):
        return Usage(self.process.pid)

    def memory(self):
        return memory_of(self.process.pid)

    def stop(self):
        """Ends this server's own process group, gently first, and removes its folder."""
        if self.process is not None:
            for number, limit in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
                try:
                    if number == signal.SIGTERM:
                        self.process.send_signal(number)
                    else:
                        os.killpg(self.process.pid, number)
                    self.process.wait(limit)
                    break
                except subprocess.TimeoutExpired:
                    continue
                except ProcessLookupError:
                    break
            self.process = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


class Kamailio(Server):
    def __init__(self, port, transport, options):
        super().__init__("kamailio", port, transport)
        self.connections = options.get("connections", 4096)
        self.binary = options.get("kamailio") or shutil.which("kamailio") or "/usr/sbin/kamailio"
        self.extra = options.get("kamailio_modparams", "")

    def command(self, folder):
        if not os.access(self.binary, os.X_OK):
            raise Failure("kamailio is not installed (Debian package kamailio)")
        if self.transport == "udp":
            listen = f"disable_tcp=yes\nlisten=udp:127.0.0.1:{self.port}"
        else:
            limit = max(4096, self.connections + 1024)
            listen = (
                f"tcp_children=1\nlisten={self.transport}:127.0.0.1:{self.port}\n"
                f"tcp_max_connections={limit}\nopen_files_limit={limit + 1024}\n"
                "tcp_connection_lifetime=3700\ntcp_accept_aliases=no\ntcp_async=yes"
            )
        modparams = self.extra
        if self.transport == "tls":
            cert, key = certificate(folder)
            listen += f"\nenable_tls=yes\ntls_max_connections={limit}"
            modparams += (
                f'\nloadmodule "tls.so"\nmodparam("tls", "certificate", "{cert}")\n'
                f'modparam("tls", "private_key", "{key}")\nmodparam("tls", "tls_method", "TLSv1.2+")'
            )
        config = folder / "kamailio.cfg"
        config.write_text(KAMAILIO.format(listen=listen, modparams=modparams))
        return [self.binary, "-f", config, "-x", "tlsf", "-m", "2048", "-M", "32", "-DD", "-E",
                "-Y", folder, "-w", folder]  # fmt: skip


class Holdfast(Server):
    def __init__(self, port, transport, options):
        super().__init__("holdfast", port, transport)
        self.binary = pathlib.Path(options["holdfast"])
        self.extra = "\n".join(options.get("holdfast_options", []))

    def command(self, folder):
        if not os.access(self.binary, os.X_OK):
            raise Failure(f"{self.binary} is missing: build it with script/build")
        plain, extra = self.port, self.extra
        if self.transport == "tls":
            cert, key = certificate(folder)
            plain = 0
            extra += f"\nsip-port-tls = {self.port}\ntls-certificate = {cert}\ntls-private-key = {key}"
        config = folder / "holdfast.conf"
        config.write_text(HOLDFAST.format(port=plain, extra=extra))
        return [self.binary, "-c", config]


class Relay(Server):
    def __init__(self, port, transport, options):
        super().__init__("floor", port, transport)
        self.options = options

    def command(self, folder):
        return [
            program("relay", self.options["build"]),
            "--transport", self.transport,
            "--listen", f"127.0.0.1:{self.port}",
            "--to", f"127.0.0.1:{self.options['uas_port']}",
            "--to-ports", self.options["uas_ports"],
            "--seconds", 3600,
        ]  # fmt: skip


KINDS = {"holdfast": Holdfast, "kamailio": Kamailio, "floor": Relay}


def default_holdfast(build):
    return build / "holdfast"


def free_ports(count, first=20000):
    """First of `count` consecutive loopback ports that nothing uses, UDP and TCP, below the range
    from which the kernel takes ports for outgoing connections."""
    start = first
    while start + count < 32700:
        for port in range(start, start + count):
            if not _port_free(port):
                start = port + 1
                break
        else:
            return start
    raise Failure(f"no {count} consecutive free ports on 127.0.0.1")


def _port_free(port):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def machine():
    """One line on the machine, for the head of every table."""
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} x {model}, Linux {os.uname().release}, load average {load:.1f}"


def main(run):
    """Runs `run`, with a clean message for what the user must be told."""
    try:
        sys.exit(run())
    except Failure as e:
        print(f"{pathlib.Path(sys.argv[0]).name}: {e}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
