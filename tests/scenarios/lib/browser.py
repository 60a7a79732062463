# SPDX-License-Identifier: Apache-2.0
"""Chromium without a window, driven over a pipe by its DevTools protocol.

What a page does wrong by itself (an exception, an error in the console, a dialog, a request to
another host) is kept and can be demanded to be nothing.
"""

import base64
import fcntl
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time

from .scenario import Skip

# No call home, nothing that differs from run to run.
OPTIONS = ("--headless=new --remote-debugging-pipe --no-sandbox --no-first-run --disable-gpu"
           " --disable-dev-shm-usage --disable-extensions --disable-sync --disable-breakpad"
           " --disable-background-networking --disable-component-update --disable-default-apps"
           " --disable-domain-reliability --no-default-browser-check --no-pings --mute-audio"
           " --no-proxy-server --log-level=3 --use-mock-keychain --hide-scrollbars"
           " --disable-features=Translate,OptimizationHints,MediaRouter").split()


class Browser:
    """One page. folder: for its profile; prefix: words before the command (ip netns exec ...)."""

    def __init__(self, folder, prefix=(), log=None):
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if not program:
            raise Skip("there is no chromium")
        to_read, self._to = _high_pipe()
        self._from, to_write = _high_pipe()
        # bash: the pipe has to be descriptors 3 and 4.
        command = [*prefix, "bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "browser",
                   program, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
        env = dict(os.environ, HOME=folder, XDG_CONFIG_HOME=folder, XDG_CACHE_HOME=folder, TZ="UTC")
        with open(log or os.devnull, "ab") as out:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                             pass_fds=(to_read, to_write), env=env,
                                             start_new_session=True)
        os.close(to_read)
        os.close(to_write)
        self._answers = queue.Queue()
        self._id = 0
        self._session = None
        self._contexts = []
        self.faults = []    # what the page did wrong
        self.requests = []  # URLs that it asked for
        threading.Thread(target=self._read, daemon=True).start()
        target = self.call("Target.createTarget", bound=60, url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target,
                                  flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def kill(self):
        """Ends it and all that it has started."""
        if self._process.poll() is None:
            try:
                self.call("Browser.close", bound=3)
                self._process.wait(5)
            except (AssertionError, subprocess.TimeoutExpired, OSError):
                pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(10)
        os.close(self._to)

    # --- the protocol --------------------------------------------------------------------------

    def _read(self):
        rest = b""
        while True:
            try:
                data = os.read(self._from, 1 << 20)
            except OSError:
                data = b""
            if not data:
                os.close(self._from)
                self._answers.put(None)
                return
            *whole, rest = (rest + data).split(b"\0")
            for text in whole:
                message = json.loads(text)
                if "id" in message:
                    self._answers.put(message)
                else:
                    self._on_event(message["method"], message.get("params", {}))

    def _on_event(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.faults.append("exception: " + details.get("exception", {}).get(
                "description", details.get("text", "")))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.faults.append("console: " + " ".join(
                str(a.get("value", a.get("description", ""))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            entry = params["entry"]
            self.faults.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")
        elif method == "Page.javascriptDialogOpening":
            self.faults.append(f"dialog: {params['message']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def call(self, method, bound=20, **params):
        """The result of one command."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": params}
        if self._session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data):]
        until = time.monotonic() + bound
        while True:
            try:
                answer = self._answers.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"the browser does not answer {method}") from None
            if answer is None:
                raise AssertionError("the browser has ended")
            if answer["id"] == self._id:
                break
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    # --- a page --------------------------------------------------------------------------------

    def goto(self, url):
        self.call("Page.navigate", url=url)

    def run(self, expression):
        """The value of an expression of JavaScript; promises are waited for."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise AssertionError(f"{expression}: " + details.get("exception", {}).get(
                "description", details["text"]))
        return result["result"].get("value")

    def wait(self, expression, bound, what):
        """Waits until the expression is true."""
        until = time.monotonic() + bound
        while True:
            try:
                if self.run(f"Boolean({expression})"):
                    return
            except AssertionError as failure:  # the page is just being loaded
                if "context" not in str(failure) and "null" not in str(failure):
                    raise
            if time.monotonic() > until:
                raise AssertionError(f"{what}: after {bound} s the page says: {self.text()[:2000]}")
            time.sleep(0.05)

    def text(self):
        return self.run("document.body ? document.body.innerText : ''") or ""

    def has(self, *texts):
        """An expression: the page shows all of these."""
        return "[" + ",".join(json.dumps(t) for t in texts) + \
            "].every(t => document.body.innerText.includes(t))"

    def size(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=mobile)

    def dark(self, is_dark):
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}])

    def press(self, key, code=0, text=""):
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=code, **more)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def picture(self, path, whole=False):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))


def _high_pipe():
    """A pipe with descriptors above those that the browser wants."""
    ends = []
    for fd in os.pipe():
        ends.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(fd)
    return ends
