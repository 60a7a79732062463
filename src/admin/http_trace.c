/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/trace.pcapng: the rows of the command trace as a file for Wireshark and sngrep. */
#include <stdio.h>
#include <string.h>

#include "admin/http_int.h"
#include "admin/pcapng.h"
#include "base/alloc.h"

struct capture {
    struct pcapng *pcapng;
    struct admin_text out;
    bool has_failed;
};

static void put_bytes(void *user, const void *bytes, size_t len)
{
    struct capture *c = user;
    c->has_failed = c->has_failed || !admin_text_add(&c->out, bytes, len);
}

static struct slice text_of(unsigned n, const struct field *fields, const char *name)
{
    const struct field *f = admin_field(n, fields, name);
    return f != NULL && f->kind == FIELD_SLICE ? f->v.slice
           : f != NULL && f->kind == FIELD_STR ? slice_str(f->v.str)
                                               : SLICE_NONE;
}

static int64_t number_of(unsigned n, const struct field *fields, const char *name)
{
    const struct field *f = admin_field(n, fields, name);
    return f != NULL && (f->kind == FIELD_INT || f->kind == FIELD_BOOL) ? f->v.num : 0;
}

static struct addr address_of(unsigned n, const struct field *fields, const char *name)
{
    const struct field *f = admin_field(n, fields, name);
    struct addr a = {0};
    if (f != NULL && f->kind == FIELD_ADDR && f->v.addr != NULL)
        a = *f->v.addr;
    return a;
}

static unsigned digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == '+' ? 62 : 63;
}

/* RFC 4648 section 4, as the room trace writes it. */
static size_t decode(struct slice text, char *out)
{
    size_t n = 0;
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] != '='; i++) {
        bits = bits << 6 | digit_of(text.ptr[i]);
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        out[n++] = (char)(bits >> count & 0xff);
    }
    return n;
}

static void add_message(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct capture *c = user;
    char comment[96];
    if (strcmp(set, "message") != 0 || c->has_failed)
        return;
    struct slice bytes = text_of(n, fields, "bytes");
    struct slice transport = text_of(n, fields, "transport");
    struct slice connection = text_of(n, fields, "connection");
    char *room = mem_alloc(bytes.len + 1);
    if (room == NULL) {
        c->has_failed = true;
        return;
    }
    int len = snprintf(comment, sizeof(comment), "%.*s%s%.*s", SLICE_ARG(transport),
                       connection.len != 0 ? " connection " : "", SLICE_ARG(connection));
    struct pcapng_packet p = {.time_us = (uint64_t)number_of(n, fields, "time_us"),
                              .is_out = slice_eq(text_of(n, fields, "direction"), SLICE("out")),
                              .is_stream = !slice_eq(transport, SLICE("udp")),
                              .local = address_of(n, fields, "local"),
                              .remote = address_of(n, fields, "remote"),
                              .bytes = slice_of(room, decode(bytes, room)),
                              .comment = slice_of(comment, (size_t)len)};
    if (number_of(n, fields, "cut") != 0)
        p.length = (size_t)number_of(n, fields, "length");
    pcapng_packet(c->pcapng, &p);
    mem_free(room);
}

static enum MHD_Result send_capture(struct http_req *r, struct slice args[ADMIN_ARGS_MAX])
{
    struct capture c = {.out = {.max = HTTP_SET_MAX}};
    struct pcapng_sink file = {put_bytes, &c};
    struct row_sink rows = {add_message, &c};
    char why[ADMIN_WHY_MAX] = "";
    args[2] = SLICE("1"); /* with the bytes */
    if (pcapng_new(&file, &c.pcapng) != 0)
        return http_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory");
    enum admin_status status = admin_call(r->http->admin, CMD_TRACE, args, &rows, why);
    pcapng_free(&c.pcapng);
    if (status == ADMIN_OK && !c.has_failed)
        return http_answer(r, MHD_HTTP_OK, HTTP_FILE, &c.out);
    admin_text_fini(&c.out);
    if (status != ADMIN_OK)
        return http_error(r, MHD_HTTP_CONFLICT, "%s", why);
    return http_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, HTTP_TOO_MUCH);
}

enum MHD_Result http_trace(struct http_req *r)
{
    struct slice args[ADMIN_ARGS_MAX];
    char why[ADMIN_WHY_MAX];
    if (!http_args(r, admin_command_at(CMD_TRACE), args, why))
        return http_error(r, MHD_HTTP_BAD_REQUEST, "%s", why);
    if (!http_run_begin(r->http))
        return http_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "too many commands at a time");
    enum MHD_Result result = send_capture(r, args);
    http_run_end(r->http);
    return result;
}
