/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/method.h"

/* RFC 3261 section 21; 199 RFC 6228; 202, 489 RFC 6665; 204 RFC 5839; 412 RFC 3903; 417 RFC 3891;
 * 422 RFC 4028; 424 RFC 6442; 428, 436, 437, 438 RFC 8224; 429 RFC 3892; 430, 439 RFC 5626; 433 RFC
 * 5079; 440 RFC 5393; 469 RFC 6086; 470 RFC 5360; 494 RFC 3329; 555 RFC 8599; 580 RFC 3312; 607 RFC
 * 8197; 608 RFC 8688. */
struct status_text {
    uint16_t status;
    uint16_t len;
    const char *text;
};

#define S(status, text)                \
    {                                  \
        status, sizeof(text) - 1, text \
    }

static const struct status_text texts[] = {
    S(100, "Trying"),
    S(180, "Ringing"),
    S(181, "Call Is Being Forwarded"),
    S(182, "Queued"),
    S(183, "Session Progress"),
    S(199, "Early Dialog Terminated"),
    S(200, "OK"),
    S(202, "Accepted"),
    S(204, "No Notification"),
    S(300, "Multiple Choices"),
    S(301, "Moved Permanently"),
    S(302, "Moved Temporarily"),
    S(305, "Use Proxy"),
    S(380, "Alternative Service"),
    S(400, "Bad Request"),
    S(401, "Unauthorized"),
    S(402, "Payment Required"),
    S(403, "Forbidden"),
    S(404, "Not Found"),
    S(405, "Method Not Allowed"),
    S(406, "Not Acceptable"),
    S(407, "Proxy Authentication Required"),
    S(408, "Request Timeout"),
    S(410, "Gone"),
    S(412, "Conditional Request Failed"),
    S(413, "Request Entity Too Large"),
    S(414, "Request-URI Too Long"),
    S(415, "Unsupported Media Type"),
    S(416, "Unsupported URI Scheme"),
    S(417, "Unknown Resource-Priority"),
    S(420, "Bad Extension"),
    S(421, "Extension Required"),
    S(422, "Session Interval Too Small"),
    S(423, "Interval Too Brief"),
    S(424, "Bad Location Information"),
    S(428, "Use Identity Header"),
    S(429, "Provide Referrer Identity"),
    S(430, "Flow Failed"),
    S(433, "Anonymity Disallowed"),
    S(436, "Bad Identity Info"),
    S(437, "Unsupported Credential"),
    S(438, "Invalid Identity Header"),
    S(439, "First Hop Lacks Outbound Support"),
    S(440, "Max-Breadth Exceeded"),
    S(469, "Bad Info Package"),
    S(470, "Consent Needed"),
    S(480, "Temporarily Unavailable"),
    S(481, "Call/Transaction Does Not Exist"),
    S(482, "Loop Detected"),
    S(483, "Too Many Hops"),
    S(484, "Address Incomplete"),
    S(485, "Ambiguous"),
    S(486, "Busy Here"),
    S(487, "Request Terminated"),
    S(488, "Not Acceptable Here"),
    S(489, "Bad Event"),
    S(491, "Request Pending"),
    S(493, "Undecipherable"),
    S(494, "Security Agreement Required"),
    S(500, "Server Internal Error"),
    S(501, "Not Implemented"),
    S(502, "Bad Gateway"),
    S(503, "Service Unavailable"),
    S(504, "Server Time-out"),
    S(505, "Version Not Supported"),
    S(513, "Message Too Large"),
    S(555, "Push Notification Service Not Supported"),
    S(580, "Precondition Failure"),
    S(600, "Busy Everywhere"),
    S(603, "Decline"),
    S(604, "Does Not Exist Anywhere"),
    S(606, "Not Acceptable"),
    S(607, "Unwanted"),
    S(608, "Rejected"),
};

static struct slice class_text(unsigned status)
{
    switch (status / 100) {
    case 1: return SLICE("Provisional");
    case 2: return SLICE("Success");
    case 3: return SLICE("Redirection");
    case 4: return SLICE("Client Failure");
    case 5: return SLICE("Server Failure");
    case 6: return SLICE("Global Failure");
    default: return SLICE("Unknown");
    }
}

struct slice sip_reason_text(unsigned status)
{
    size_t low = 0, high = sizeof(texts) / sizeof(texts[0]);
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (texts[mid].status == status)
            return slice_of(texts[mid].text, texts[mid].len);
        if (texts[mid].status < status)
            low = mid + 1;
        else
            high = mid;
    }
    return class_text(status);
}
