# SPDX-License-Identifier: Apache-2.0
"""SIPp in a namespace: callers and callees from the XML files beside the scenarios."""

import os

from .process import Process
from .scenario import check

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sipp")
# One socket per call would hide reuse; t1 and u1 use a single one.
MODE = {"udp": "u1", "tcp": "t1"}


class Sipp:
    """One SIPp process."""

    def __init__(self, world, namespace, address, script, transport, calls=1, port=5060,
                 remote=None, service="1001", rate=10, extra=(), limit=60):
        self.world, self.script = world, script
        self.folder = world.path(f"sipp-{script}-{address}-{port}")
        os.makedirs(self.folder, exist_ok=True)
        argv = ["/usr/bin/sipp", "-sf", os.path.join(FOLDER, script + ".xml"), "-i", address,
                "-p", str(port), "-t", MODE[transport], "-m", str(calls), "-s", service,
                "-r", str(rate), "-l", "100", "-nostdin", "-trace_err", "-trace_msg",
                "-message_file", os.path.join(self.folder, "messages"),
                "-error_file", os.path.join(self.folder, "errors"),
                "-timeout", str(limit), "-timeout_error", "-skip_rlimit", "-trace_counts",
                *extra]
        if remote:
            argv.append(f"{remote}:5060")
        self.process = world.adopt(Process(argv, namespace, None, {"TERM": "dumb"},
                                           cwd=self.folder))

    def ready(self):
        """Wait until a callee's socket is bound."""
        from .scenario import eventually
        argv = self.process.argv
        address, port = argv[argv.index("-i") + 1], argv[argv.index("-p") + 1]
        flag = "-Hltn" if "t1" in argv else "-Hlun"
        eventually(lambda: f"{address}:{port}" in self._ns_run("ss", flag), 5,
                   f"SIPp does not listen on {address}:{port}")
        return self

    def _ns_run(self, *argv):
        namespace = next(n for n in self.world.net.all
                         if n.name == self.namespace_name)
        return namespace.run(*argv, check=False)

    @property
    def namespace_name(self):
        return self.process.child.args[3]

    def finish(self, timeout=70):
        """Demand that every call of the script went as written."""
        status = self.process.wait(timeout)
        if status != 0:
            text = ""
            path = os.path.join(self.folder, "errors")
            if os.path.exists(path):
                with open(path, errors="replace") as errors:
                    text = errors.read()[:300]
            check(False, f"SIPp {self.script} ended with {status}: {text}")



def register(world, namespace, address, port, proxy, transport, user="1001"):
    """Register a callee's contact before SIPp takes the port; the connection is closed again."""
    device = world._device(namespace, address, user, (proxy, 5060),
                           {"port": port, "transport": transport})
    final = device.register()
    check(final is not None and final.status == 200, "REGISTER for the SIPp callee")
    device.close()
