# SPDX-License-Identifier: Apache-2.0
"""Certificates made for one scenario by the openssl command line, and TLS as a device speaks it."""

import contextlib
import os
import ssl
import subprocess

from . import netns

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
DOMAIN = "holdfast.test"


def _openssl(*argv):
    done = subprocess.run(["openssl", *argv], text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(argv)}: {done.stderr.strip()}")


class Identity:
    """A certificate with its key, both PEM files."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key


class Authority:
    """A certificate authority in the scenario's folder."""

    def __init__(self, folder, name="ca"):
        self.folder, self.name = folder, name
        self.certificate, self.key = self._path("pem"), self._path("key")
        _openssl("req", "-x509", *KEY, "-keyout", self.key, "-out", self.certificate, "-days", "30",
                 "-subj", f"/CN=Authority {name}", "-addext", "basicConstraints=critical,CA:TRUE",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _path(self, end):
        return os.path.join(self.folder, f"{self.name}.{end}")

    def issue(self, name, *alternatives, expired=False, self_signed=False, subject=None,
              days=30):
        """A certificate; alternatives as in "DNS:holdfast.test", "IP:10.77.1.2",
        "URI:sip:holdfast.test" (RFC 5922 7.1)."""
        made = Identity(self._path(f"{name}.pem"), self._path(f"{name}.key"))
        extra = ["-subj", f"/CN={subject or name}"]
        if alternatives:
            extra += ["-addext", "subjectAltName=" + ",".join(alternatives)]
        if expired:
            request = self._path(f"{name}.csr")
            _openssl("req", "-new", *KEY, "-keyout", made.key, "-out", request, *extra)
            _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                     "-days", "-1", "-copy_extensions", "copyall", "-out", made.certificate)
            return made
        signer = [] if self_signed else ["-CA", self.certificate, "-CAkey", self.key]
        _openssl("req", "-x509", *signer, *KEY, "-keyout", made.key, "-out", made.certificate,
                 "-days", str(days), *extra, "-addext", "basicConstraints=critical,CA:FALSE")
        return made


def proxy_identity(authority, name="proxy", **more):
    """What the proxy shows: its domain and all its addresses."""
    return authority.issue(name, f"URI:sip:{DOMAIN}", f"DNS:{DOMAIN}", f"IP:{netns.PROXY}",
                           f"IP:{netns.PROXY_NEAR_CALLER}", f"IP:{netns.PROXY6}",
                           f"IP:{netns.PROXY6_NEAR_CALLER}", **more)


def device_identity(authority, address, name=None, **more):
    """What the device with this address shows."""
    return authority.issue(name or f"device-{address}", f"IP:{address}", **more)


class Tls:
    """How one device speaks TLS, accepting and connecting; sessions are resumed in both roles."""

    def __init__(self, identity, authority, verify=True, verify_client=False, minimum=None,
                 maximum=None, show=True):
        self.identity, self.authority = identity, authority
        self.server = self._context(ssl.PROTOCOL_TLS_SERVER, minimum, maximum)
        self.server.load_cert_chain(identity.certificate, identity.key)
        self.client = self._context(ssl.PROTOCOL_TLS_CLIENT, minimum, maximum)
        if show:
            self.client.load_cert_chain(identity.certificate, identity.key)
        if not verify:
            self.client.check_hostname = False
            self.client.verify_mode = ssl.CERT_NONE
        if verify_client:
            self.server.verify_mode = ssl.CERT_REQUIRED
        self.session = None          # of the last connection that we opened
        self.server_names = []       # SNI of those who connected, None where there was none
        self.server.sni_callback = lambda _sock, name, _context: self.server_names.append(name)

    def _context(self, kind, minimum, maximum):
        context = ssl.SSLContext(kind)
        context.load_verify_locations(self.authority.certificate)
        if minimum:
            context.minimum_version = minimum
        if maximum:
            context.maximum_version = maximum
        if maximum and maximum < ssl.TLSVersion.TLSv1_2:
            # Debian's default level forbids what is old; a peer of those days did not.
            context.minimum_version = maximum
            context.set_ciphers("ALL:@SECLEVEL=0")
        return context

    def use(self, identity):
        """From now on this certificate is shown, by a context without old sessions."""
        self.identity, self.session = identity, None
        fresh = self._context(ssl.PROTOCOL_TLS_SERVER, None, None)
        fresh.load_cert_chain(identity.certificate, identity.key)
        fresh.verify_mode = self.server.verify_mode
        fresh.sni_callback = self.server.sni_callback
        self.server = fresh
        self.client.load_cert_chain(identity.certificate, identity.key)

    def accept(self, sock):
        """The handshake is still to be made."""
        return self.server.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False,
                                       do_handshake_on_connect=False)

    def connect(self, sock, name):
        return self.client.wrap_socket(sock, server_hostname=name, session=self.session,
                                       suppress_ragged_eofs=False)

    def keep_session(self, sock):
        """Tickets of TLS 1.3 come with the first bytes, so this is asked after each read."""
        with contextlib.suppress(ValueError, ssl.SSLError):
            if sock.session and sock.session.has_ticket:
                self.session = sock.session


def reason_of(error):
    """An exception of the ssl module in a few words, as in "certificate verify failed"."""
    text = getattr(error, "reason", None) or str(error) or type(error).__name__
    detail = getattr(error, "verify_message", "")
    return f"{text}: {detail}" if detail else text

