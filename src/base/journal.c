/* SPDX-License-Identifier: Apache-2.0 */
#include "base/journal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/event.h"

bool journal_has(int fd)
{
    struct slice rest = slice_str(getenv("JOURNAL_STREAM"));
    ptrdiff_t colon = slice_chr(rest, ':');
    uint64_t device, inode;
    struct stat st;
    if (colon < 0 || slice_u64(slice_of(rest.ptr, (size_t)colon), UINT64_MAX, &device) != 0 ||
        slice_u64(slice_of(rest.ptr + colon + 1, rest.len - (size_t)colon - 1), UINT64_MAX,
                  &inode) != 0)
        return false;
    return fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* --- fields ------------------------------------------------------------------------------------
 */

/* NAME=value, or where the value has a newline: NAME, its length in 64 bits, little endian, the
 * bytes as they are. */
static void put_value(struct buf *b, struct slice value)
{
    if (slice_chr(value, '\n') < 0) {
        buf_char(b, '=');
    } else {
        buf_char(b, '\n');
        for (unsigned i = 0; i < 8; i++)
            buf_char(b, (char)((uint64_t)value.len >> (8 * i) & 0xff));
    }
    buf_slice(b, value);
    buf_char(b, '\n');
}

static void put(struct buf *b, const char *name, struct slice value)
{
    buf_str(b, name);
    put_value(b, value);
}

/* Capitals, digits and "_" only. */
static void put_name(struct buf *b, const char *name)
{
    buf_lit(b, "HOLDFAST_");
    for (const char *p = name; *p != '\0'; p++) {
        bool is_lower = *p >= 'a' && *p <= 'z';
        bool is_plain = (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        buf_char(b, is_lower ? (char)(*p - 'a' + 'A') : is_plain ? *p : '_');
    }
}

static void put_field(struct buf *b, const struct field *f)
{
    char room[FIELD_ROOM];
    struct slice value = field_value(f, room);
    size_t before = b->len;
    if (value.len > JOURNAL_VALUE)
        value.len = JOURNAL_VALUE;
    put_name(b, f->name);
    put_value(b, value);
    if (b->overflow)
        b->len = before;
}

static char priority(enum log_level level)
{
    switch (level) {
    case LOG_ERROR: return '3';
    case LOG_WARN: return '4';
    case LOG_INFO: return '6';
    case LOG_DEBUG: return '7';
    }
    return '7';
}

size_t journal_write(char out[JOURNAL_MAX], enum log_level level, const char *module,
                     struct slice message, unsigned n, const struct field *fields)
{
    char number = priority(level), id[EVENT_MESSAGE_ID_LEN + 1];
    struct buf b;
    buf_init(&b, out, JOURNAL_MAX);
    put(&b, "MESSAGE", message);
    put(&b, "PRIORITY", slice_of(&number, 1));
    put(&b, "SYSLOG_IDENTIFIER", SLICE("holdfast"));
    put(&b, "HOLDFAST_MODULE", slice_str(module));
    if (n != 0 && fields[0].kind == FIELD_INT && strcmp(fields[0].name, "event") == 0) {
        event_message_id((unsigned)fields[0].v.num, id);
        put(&b, "MESSAGE_ID", slice_str(id));
    }
    for (unsigned i = 0; i < n && !b.overflow; i++)
        put_field(&b, &fields[i]);
    return b.len;
}

/* --- socket ------------------------------------------------------------------------------------
 */

bool journal_address(const char *path, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    return slice_cstr(slice_str(path), out->sun_path, sizeof(out->sun_path));
}

bool journal_send(int fd, const struct sockaddr_un *to, const char *bytes, size_t len)
{
    const struct sockaddr *sa = (const struct sockaddr *)(const void *)to;
    ssize_t n;
    do
        n = sendto(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL, sa, sizeof(*to));
    while (n < 0 && errno == EINTR);
    return n >= 0;
}
