/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/journal.h"

#define LINE_MAX_BYTES 2000u
#define CUT            "\xe2\x80\xa6" /* U+2026, "…" */
/* What can still follow a value: the mark of a cut, a quote, "}" and the newline. */
#define LINE_END_BYTES (sizeof(CUT) - 1 + 3)

/* The one mutable object of the program. */
static struct {
    _Atomic enum log_level level;            /* of the most talkative module */
    _Atomic uint8_t levels[LOG_MODULES + 1]; /* the last: lines of no module */
    _Atomic enum log_format format;
    atomic_int fd;                 /* -1: stderr */
    atomic_int journal;            /* -1: lines go to `fd`, else a datagram socket */
    struct sockaddr_un journal_at; /* written before `journal` */
    atomic_uint_least32_t dropped; /* lines lost since the last one that was written */
    /* Held from poll to write, so that no other thread takes the room that poll has seen. */
    pthread_mutex_t lock;
    bool torn; /* the last write ended inside a line; under lock */
} sink = {.level = LOG_INFO,
          .levels = {[0 ... LOG_MODULES] = LOG_INFO},
          .fd = -1,
          .journal = -1,
          .lock = PTHREAD_MUTEX_INITIALIZER};

void log_set_levels(const struct log_levels *levels)
{
    uint8_t most = levels->others;
    for (unsigned i = 0; i < LOG_MODULES; i++) {
        atomic_store(&sink.levels[i], levels->of[i]);
        most = levels->of[i] > most ? levels->of[i] : most;
    }
    atomic_store(&sink.levels[LOG_MODULES], levels->others);
    atomic_store(&sink.level, (enum log_level)most);
}

void log_get_levels(struct log_levels *out)
{
    for (unsigned i = 0; i < LOG_MODULES; i++)
        out->of[i] = atomic_load(&sink.levels[i]);
    out->others = atomic_load(&sink.levels[LOG_MODULES]);
}

void log_set_format(enum log_format format)
{
    atomic_store(&sink.format, format);
}

void log_setup(enum log_level level, enum log_format format)
{
    struct log_levels all = {.others = (uint8_t)level};
    for (unsigned i = 0; i < LOG_MODULES; i++)
        all.of[i] = (uint8_t)level;
    log_set_levels(&all);
    log_set_format(format);
}

void log_set_fd(int fd)
{
    atomic_store(&sink.fd, fd);
}

static int line_fd(void)
{
    int fd = atomic_load(&sink.fd);
    return fd < 0 ? STDERR_FILENO : fd;
}

bool log_use_journal(const char *path)
{
    log_leave_journal();
    if (!journal_has(line_fd()) ||
        !journal_address(path != NULL ? path : JOURNAL_PATH, &sink.journal_at))
        return false;
    atomic_store(&sink.journal, socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return atomic_load(&sink.journal) >= 0;
}

void log_leave_journal(void)
{
    int fd = atomic_exchange(&sink.journal, -1);
    if (fd >= 0)
        close(fd);
}

bool log_is_on(enum log_level level)
{
    return level <= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

bool log_is_on_for(enum log_level level, const char *module)
{
    if (!log_is_on(level))
        return false;
    unsigned i = log_module_find(slice_str(module));
    return level <= (enum log_level)atomic_load_explicit(&sink.levels[i], memory_order_relaxed);
}

/* --- values -------------------------------------------------------------------------------- */

/* The characters of `s` in at most `room` bytes, cut with "…" beyond. */
static void put_text(struct buf *b, enum log_format format, struct slice s, size_t room)
{
    enum field_form form = format == LOG_JSON ? FIELD_JSON : FIELD_TEXT;
    size_t stop = b->len + room;
    char piece[FIELD_CHAR_MAX];
    unsigned len;

    for (size_t i = 0; i < s.len;) {
        if (b->len + FIELD_CHAR_MAX > stop) {
            buf_lit(b, CUT);
            return;
        }
        i += field_char(form, s.ptr + i, s.len - i, piece, &len);
        buf_add(b, piece, len);
    }
}

static void put_name(struct buf *b, enum log_format format, const char *name)
{
    buf_str(b, format == LOG_JSON ? ",\"" : " ");
    buf_str(b, name);
    buf_str(b, format == LOG_JSON ? "\":" : "=");
}

static void put_field(struct buf *b, enum log_format format, const struct field *f, size_t room)
{
    enum field_form form = format == LOG_JSON ? FIELD_JSON : FIELD_TEXT;
    char text[FIELD_ROOM];
    struct slice s = field_value(f, text);
    bool quotes = field_is_quoted(form, f, s);

    put_name(b, format, f->name);
    if (quotes)
        buf_char(b, '"');
    put_text(b, format, s, room);
    if (quotes)
        buf_char(b, '"');
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

static void put_time(struct buf *b)
{
    struct timespec ts;
    char text[FIELD_TIME_MAX];

    clock_gettime(CLOCK_REALTIME, &ts);
    buf_str(b, field_time(
                   ts.tv_sec > 0 ? (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 : 1,
                   text));
}

/* Returns where the line begins for the journal, which has time and level by itself. */
static size_t put_head(struct buf *b, enum log_format format, enum log_level level,
                       const char *module, const char *text)
{
    size_t begin = 0;

    if (format == LOG_JSON) {
        buf_lit(b, "{\"time\":\"");
        put_time(b);
        buf_lit(b, "\",\"level\":\"");
        buf_str(b, log_level_name(level));
        buf_lit(b, "\",\"module\":\"");
        put_text(b, format, slice_str(module), 40);
        buf_lit(b, "\",\"msg\":\"");
        put_text(b, format, slice_str(text), 600);
        buf_char(b, '"');
        return begin;
    }
    put_time(b);
    buf_printf(b, " %-5s ", log_level_name(level));
    begin = b->len;
    put_text(b, format, slice_str(module), 40);
    buf_char(b, ' ');
    put_text(b, format, slice_str(text), 600);
    return begin;
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
    int fd = line_fd();
    size_t skip;
    ssize_t n = -1;

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

/* False: nobody took it, and the line goes where it would go without a journal. */
static bool to_journal(enum log_level level, const char *module, struct slice message, unsigned n,
                       const struct field *fields)
{
    char bytes[JOURNAL_MAX];
    int fd = atomic_load(&sink.journal);

    return fd >= 0 && journal_send(fd, &sink.journal_at, bytes,
                                   journal_write(bytes, level, module, message, n, fields));
}

void log_fields(enum log_level level, const char *module, const char *text, unsigned n,
                const struct field *fields)
{
    char line[1 + LINE_MAX_BYTES];
    size_t begin;
    enum log_format format = atomic_load_explicit(&sink.format, memory_order_relaxed);
    uint32_t dropped;
    struct buf b;

    if (!log_is_on_for(level, module))
        return;
    line[0] = '\n';
    buf_init(&b, line + 1, LINE_MAX_BYTES);
    begin = put_head(&b, format, level, module, text);
    dropped = atomic_exchange(&sink.dropped, 0);
    if (dropped != 0)
        put_fields(&b, format, 1, &LF_INT("dropped", dropped));
    put_fields(&b, format, n, fields);
    if (format == LOG_JSON)
        buf_char(&b, '}');
    if (to_journal(level, module, slice_of(b.ptr + begin, b.len - begin), n, fields))
        return;
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
