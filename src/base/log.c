/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"

#define LINE_MAX_BYTES 2000u
#define CUT            "\xe2\x80\xa6" /* U+2026, "…" */
/* What can still follow a value: the mark of a cut, a quote, "}" and the newline. */
#define LINE_END_BYTES (sizeof(CUT) - 1 + 3)
#define ESCAPE_MAX     6u /* "\u0000" */

/* The one mutable object of the program. */
static struct {
    _Atomic enum log_level level;
    _Atomic enum log_format format;
    atomic_int fd;                 /* -1: stderr */
    atomic_uint_least32_t dropped; /* lines lost since the last one that was written */
    /* Held from poll to write, so that no other thread takes the room that poll has seen. */
    pthread_mutex_t lock;
    bool torn; /* the last write ended inside a line; under lock */
} sink = {.level = LOG_INFO, .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

void log_setup(enum log_level level, enum log_format format)
{
    atomic_store(&sink.level, level);
    atomic_store(&sink.format, format);
}

void log_set_fd(int fd)
{
    atomic_store(&sink.fd, fd);
}

bool log_is_on(enum log_level level)
{
    return level <= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

/* --- characters ---------------------------------------------------------------------------- */

/* Bytes of the well-formed UTF-8 sequence (RFC 3629 section 4) at `p`, 0: there is none. */
static unsigned utf8_length(const unsigned char *p, size_t left)
{
    unsigned n;
    unsigned low = 0x80, high = 0xbf; /* of the second byte */

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (left < n || p[1] < low || p[1] > high)
        return 0;
    for (unsigned i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    }
    return n;
}

/* C0, DEL and C1, which terminals obey. */
static bool is_control(const unsigned char *p, unsigned n)
{
    return (n == 1 && (p[0] < 0x20 || p[0] == 0x7f)) || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

/* Writes one character, escaped where it must be; returns how many bytes of the input it took. */
static unsigned put_char(struct buf *b, enum log_format format, const unsigned char *p, size_t left)
{
    unsigned n = utf8_length(p, left);

    if (n == 0) {
        if (format == LOG_JSON) {
            buf_lit(b, "\\ufffd");
        } else {
            buf_lit(b, "\\x");
            buf_hex(b, p[0], 2);
        }
        return 1;
    }
    if (p[0] == '"' || p[0] == '\\') {
        buf_char(b, '\\');
        buf_char(b, (char)p[0]);
    } else if (p[0] == '\n') {
        buf_lit(b, "\\n");
    } else if (p[0] == '\r') {
        buf_lit(b, "\\r");
    } else if (p[0] == '\t') {
        buf_lit(b, "\\t");
    } else if (is_control(p, n)) {
        buf_str(b, format == LOG_JSON ? "\\u00" : "\\x");
        buf_hex(b, p[n - 1], 2);
    } else {
        buf_add(b, p, n);
    }
    return n;
}

/* The characters of `s` in at most `room` bytes, cut with "…" beyond. */
static void put_text(struct buf *b, enum log_format format, struct slice s, size_t room)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t stop = b->len + room;

    for (size_t i = 0; i < s.len;) {
        if (b->len + ESCAPE_MAX > stop) {
            buf_lit(b, CUT);
            return;
        }
        i += put_char(b, format, p + i, s.len - i);
    }
}

/* --- fields -------------------------------------------------------------------------------- */

static bool needs_quotes(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;

    for (size_t i = 0; i < s.len; i++) {
        if (p[i] <= ' ' || p[i] >= 0x7f || p[i] == '"' || p[i] == '\\' || p[i] == '=')
            return true;
    }
    return s.len == 0;
}

static void put_value(struct buf *b, enum log_format format, struct slice s, size_t room)
{
    bool quotes = format == LOG_JSON || needs_quotes(s);

    if (quotes)
        buf_char(b, '"');
    put_text(b, format, s, room);
    if (quotes)
        buf_char(b, '"');
}

static void put_int(struct buf *b, int64_t num)
{
    if (num < 0)
        buf_char(b, '-');
    buf_u64(b, num < 0 ? -(uint64_t)num : (uint64_t)num);
}

static void put_name(struct buf *b, enum log_format format, const char *name)
{
    buf_str(b, format == LOG_JSON ? ",\"" : " ");
    buf_str(b, name);
    buf_str(b, format == LOG_JSON ? "\":" : "=");
}

static void put_field(struct buf *b, enum log_format format, const struct field *f, size_t room)
{
    char text[ADDR_TEXT_MAX > 64 ? ADDR_TEXT_MAX : 64];
    struct slice s = SLICE_NONE;

    put_name(b, format, f->name);
    switch (f->kind) {
    case FIELD_INT: put_int(b, f->v.num); return;
    case FIELD_BOOL: s = slice_str(f->v.num != 0 ? "true" : "false"); break;
    case FIELD_STR: s = slice_str(f->v.str); break;
    case FIELD_SLICE: s = f->v.slice; break;
    case FIELD_ADDR:
        if (f->v.addr != NULL)
            s = slice_str(addr_write(f->v.addr, text));
        break;
    case FIELD_ERR: s = slice_str(err_text((int)f->v.num, text, sizeof(text))); break;
    }
    put_value(b, format, s, room);
}

/* Each field gets an equal share of what is left, so that a long value never hides those after it.
 */
static void put_fields(struct buf *b, enum log_format format, unsigned n,
                       const struct field *fields)
{
    for (unsigned i = 0; i < n; i++) {
        size_t left = LINE_MAX_BYTES - LINE_END_BYTES - b->len;
        size_t share = left / (n - i);
        /* Blank or comma, quotes, "=" or colon, the quotes of the value, its cut. */
        size_t around = strlen(fields[i].name) + 6 + sizeof(CUT);
        /* Room for the longest number. */
        if (share < around + 20)
            continue;
        put_field(b, format, &fields[i], share - around);
    }
}

/* --- lines --------------------------------------------------------------------------------- */

/* RFC 3339 in UTC. Days to date by the calendar's 400 years of 146,097 days, counted from a 1st of
 * March: no lock and no table of the C library's time zones. */
static void put_time(struct buf *b)
{
    struct timespec ts;
    uint64_t seconds, days, era, day, year, month;

    clock_gettime(CLOCK_REALTIME, &ts);
    seconds = ts.tv_sec > 0 ? (uint64_t)ts.tv_sec : 0;
    days = seconds / 86400 + 719468; /* since 1 March of year 0 */
    era = days / 146097;
    day = days % 146097;
    year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    month = (5 * day + 2) / 153; /* 0: March */
    day -= (153 * month + 2) / 5;
    year += era * 400 + (month >= 10);
    month = month >= 10 ? month - 9 : month + 3;
    buf_printf(b, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)year, (unsigned)month,
               (unsigned)day + 1, (unsigned)(seconds / 3600 % 24), (unsigned)(seconds / 60 % 60),
               (unsigned)(seconds % 60), (unsigned)(ts.tv_nsec / 1000000));
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_ERROR: return "error";
    case LOG_WARN: return "warn";
    case LOG_INFO: return "info";
    case LOG_DEBUG: return "debug";
    }
    return "debug";
}

static void put_head(struct buf *b, enum log_format format, enum log_level level,
                     const char *module, const char *text)
{
    if (format == LOG_JSON) {
        buf_lit(b, "{\"time\":\"");
        put_time(b);
        buf_lit(b, "\",\"level\":\"");
        buf_str(b, level_name(level));
        buf_lit(b, "\",\"module\":\"");
        put_text(b, format, slice_str(module), 40);
        buf_lit(b, "\",\"msg\":\"");
        put_text(b, format, slice_str(text), 600);
        buf_char(b, '"');
        return;
    }
    put_time(b);
    buf_printf(b, " %-5s ", level_name(level));
    put_text(b, format, slice_str(module), 40);
    buf_char(b, ' ');
    put_text(b, format, slice_str(text), 600);
}

/* Can a line be written without waiting? A reader that went away counts as no. */
static bool is_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)) == POLLOUT;
}

/* `line` begins with a newline that is only written behind a torn line. */
static bool write_line(struct slice line)
{
    int fd = atomic_load(&sink.fd);
    size_t skip;
    ssize_t n = -1;

    if (fd < 0)
        fd = STDERR_FILENO;
    pthread_mutex_lock(&sink.lock);
    skip = !sink.torn;
    if (is_writable(fd)) {
        do
            n = write(fd, line.ptr + skip, line.len - skip);
        while (n < 0 && errno == EINTR);
    }
    if (n > 0)
        sink.torn = (size_t)n < line.len - skip;
    pthread_mutex_unlock(&sink.lock);
    return n > 0 && (size_t)n == line.len - skip;
}

void log_fields(enum log_level level, const char *module, const char *text, unsigned n,
                const struct field *fields)
{
    char line[1 + LINE_MAX_BYTES];
    enum log_format format = atomic_load_explicit(&sink.format, memory_order_relaxed);
    uint32_t dropped;
    struct buf b;

    if (!log_is_on(level))
        return;
    line[0] = '\n';
    buf_init(&b, line + 1, LINE_MAX_BYTES);
    put_head(&b, format, level, module, text);
    dropped = atomic_exchange(&sink.dropped, 0);
    if (dropped != 0)
        put_fields(&b, format, 1, &LF_INT("dropped", dropped));
    put_fields(&b, format, n, fields);
    if (format == LOG_JSON)
        buf_char(&b, '}');
    buf_char(&b, '\n');
    if (!write_line(slice_of(line, b.len + 1)))
        atomic_fetch_add(&sink.dropped, dropped + 1);
}

bool log_limit_ok(struct log_limit *l, uint64_t now, uint32_t burst, uint32_t interval_ms,
                  uint32_t *left_out)
{
    if (now - l->since >= interval_ms) {
        l->since = now;
        l->used = 0;
    }
    if (l->used >= burst) {
        if (l->left_out != UINT32_MAX)
            l->left_out++;
        return false;
    }
    l->used++;
    *left_out = l->left_out;
    l->left_out = 0;
    return true;
}
