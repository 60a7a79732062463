/* SPDX-License-Identifier: Apache-2.0 */
/* Masking of any bytes. A secret header put between two lines of the head never shows, whatever
 * stands around it; what is masked stays so when it is masked again; nothing grows beyond its
 * bound. */
#include "base/buf.h"
#include "sip/mask.h"

#include "check.h"

#define SECRET "q7Zk9"

static const struct sip_mask_conf on = {.is_on = true}, in_log = {.is_log = true};

static struct slice mask(const struct sip_mask_conf *conf, struct slice message, struct buf *out)
{
    size_t cap = message.len + SIP_MASK_MORE;
    char *room = malloc(cap);
    CHECK(room != NULL);
    buf_init(out, room, cap);
    sip_mask(conf, message, out);
    CHECK(!out->overflow && out->len <= message.len + SIP_MASK_MORE);
    return buf_get(out);
}

static bool has_secret(struct slice s)
{
    return s.len != 0 && memmem(s.ptr, s.len, SECRET, sizeof(SECRET) - 1) != NULL;
}

/* Is there, for any reader, an empty line in it? */
static bool may_end_head(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool is_end = s.ptr[i] == '\r' || s.ptr[i] == '\n';
        bool is_crlf = i + 1 < s.len && s.ptr[i] == '\r' && s.ptr[i + 1] == '\n';
        size_t next = i + (is_crlf ? 2 : 1);
        if (is_end && (i == 0 || next >= s.len || s.ptr[next] == '\r' || s.ptr[next] == '\n'))
            return i == 0 || next < s.len;
        if (is_crlf)
            i++;
    }
    return false;
}

/* `line` in the place behind the first CRLF of `message`, or behind the last one of its head. */
static void check_hidden(const struct sip_mask_conf *conf, struct slice message, size_t at,
                         const char *line)
{
    struct buf out;
    size_t len = strlen(line);
    char *whole = malloc(message.len + len);
    CHECK(whole != NULL);
    memcpy(whole, message.ptr, at);
    memcpy(whole + at, line, len);
    memcpy(whole + at + len, message.ptr + at, message.len - at);
    struct slice got = mask(conf, slice_of(whole, message.len + len), &out);
    CHECK(!has_secret(got));
    free(out.ptr);
    free(whole);
}

static void check_masked(struct slice message)
{
    struct buf out, again;
    struct slice got = mask(&on, message, &out);
    struct slice more = mask(&on, got, &again);
    CHECK(slice_eq(got, more));
    free(out.ptr);
    free(again.ptr);
}

static void check_small(struct slice message, size_t cap)
{
    struct buf out, small;
    struct slice got = mask(&on, message, &out);
    char *room = malloc(cap + 1);
    CHECK(room != NULL);
    buf_init(&small, room, cap);
    sip_mask(&on, message, &small);
    CHECK(small.len <= cap && small.overflow == (cap < got.len));
    CHECK(slice_eq(buf_get(&small), slice_of(got.ptr, small.len)));
    free(room);
    free(out.ptr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sip_mask_conf off = {0};
    char *copy = exact_copy(data, size);
    struct slice s = slice_of(copy, size);
    struct buf out;
    CHECK(slice_eq(mask(&off, s, &out), s));
    free(out.ptr);
    check_masked(s);
    check_small(s, size / 2);
    check_small(s, size);
    unsigned n = 0;
    for (size_t at = 2; at <= size && n < 8 && !has_secret(s); at++) {
        if (copy[at - 2] != '\r' || copy[at - 1] != '\n')
            continue;
        if (may_end_head(slice_of(copy, at)))
            break;
        check_hidden(&on, s, at, "X-Hidden: " SECRET "\r\n");
        check_hidden(&in_log, s, at, "Authorization:\r\n\t" SECRET "\r\n");
        check_hidden(&on, s, at, "Authorization:\r\n\t" SECRET "\r\n");
        check_hidden(&in_log, s, at, "Route: <sip:a:" SECRET "@b>\r\n");
        check_hidden(&on, s, at, "Route: <sip:a:" SECRET "@b>\r\n");
        n++;
    }
    free(copy);
    return 0;
}
