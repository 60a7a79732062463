/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "base/slice.h"

static const char *own_text(enum err err)
{
    switch (err) {
    case ERR_NONE: return "no error";
    case ERR_NOMEM: return "out of memory";
    case ERR_PARSE: return "not the grammar";
    case ERR_RANGE: return "out of range";
    case ERR_FULL: return "full";
    case ERR_LIMIT: return "over a limit";
    case ERR_STALE: return "stale id";
    case ERR_CLOSED: return "closed by the peer";
    case ERR_NOT_FOUND: return "not found";
    case ERR_EXISTS: return "exists already";
    case ERR_NO_ROUTE: return "no route";
    case ERR_UNREACHABLE: return "unreachable a moment ago";
    case ERR_UNSUPPORTED: return "not supported";
    case ERR_SHUTDOWN: return "shutting down";
    case ERR_BAD_STATUS: return "answered by a status that counts as a failure";
    case ERR_STALE_IDLE: return "stale: keep-alive unanswered";
    case ERR_STALE_UNACKED: return "stale: unacknowledged";
    case ERR_STALE_SUSPECT: return "stale: replaced after suspicion";
    case ERR_STALE_WEDGED: return "stale: acknowledges but answers nothing";
    case ERR_SLOW_READER: return "slow reader";
    case ERR_TLS_HANDSHAKE: return "TLS handshake failed";
    case ERR_TLS_VERSION: return "no TLS version in common";
    case ERR_TLS_EXPIRED: return "certificate not valid now";
    case ERR_TLS_NAME: return "certificate of another name";
    case ERR_TLS_UNTRUSTED: return "certificate not trusted";
    case ERR_TLS_NO_CERTIFICATE: return "no certificate shown";
    case ERR_TLS_REFUSED: return "TLS refused by the peer";
    case ERR_TLS_PLAIN: return "peer does not speak TLS";
    case ERR_TLS_ON_PLAIN: return "peer speaks TLS where it is not spoken";
    case ERR_TLS_BUSY: return "too many TLS handshakes";
    case ERR_TIMEOUT: return "timed out";
    case ERR_LOOP: return "leads to ourselves";
    case ERR_DNS_SILENT: return "no DNS server answers";
    case ERR_DNS_BAD: return "malformed DNS answer";
    case ERR_DNS_REFUSED: return "the DNS servers fail";
    case ERR_ICMP_PORT: return "ICMP: port unreachable";
    case ERR_ICMP_HOST: return "ICMP: host or network unreachable";
    case ERR_OVERLOAD: return "the next hop has asked for less";
    case ERR_ADMIN: return "set by the administrator";
    }
    return NULL;
}

const char *err_text(int err, char *buf, unsigned long cap)
{
    const char *text = own_text((enum err)err);

    if (text != NULL)
        return text;
    if (cap == 0)
        return "unknown error";
    text = err < 0 && err > -1000 ? strerrordesc_np(-err) : NULL;
    if (text == NULL) {
        snprintf(buf, cap, "error %d", err);
        return buf;
    }
    snprintf(buf, cap, "%s", text);
    /* Log texts begin in lower case; an abbreviation ("RPC ...") stays as it is. */
    if (buf[0] != '\0' && ascii_lower(buf[1]) == buf[1])
        buf[0] = ascii_lower(buf[0]);
    return buf;
}
