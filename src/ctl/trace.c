/* SPDX-License-Identifier: Apache-2.0 */
/* The command trace: as arrows, as text, or into a file for Wireshark. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/pcapng.h"
#include "ctl/ctl_int.h"

#define FOLLOW_MS 500

struct messages {
    const struct ctl *ctl;
    json_t *rows;  /* those of the last answer */
    int64_t since; /* time_us of the last one */
    bool is_list;  /* all calls: as a table */
    char *call_id; /* the one that is shown now */
    struct ctl_ladder *ladder;
    struct pcapng *pcapng;
    FILE *file;
    bool has_failed; /* the file */
};

static void keep_row(void *user, const char *set, json_t *row)
{
    struct messages *m = user;
    if (strcmp(set, "line") == 0) {
        char *text = ctl_value("text", json_object_get(row, "text"));
        fprintf(stderr, "holdfastctl: %s\n", text);
        mem_free(text);
        return;
    }
    if (ctl_integer(row, "time_us") > m->since)
        m->since = ctl_integer(row, "time_us");
    if (json_array_append(m->rows, row) != 0)
        ctl_no_memory();
}

/* --- a file --- */

static void put_bytes(void *user, const void *bytes, size_t len)
{
    struct messages *m = user;
    m->has_failed = m->has_failed || fwrite(bytes, 1, len, m->file) != len;
}

/* RFC 4648 section 4; what is no such text ends it. */
static size_t decode(const char *text, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    uint32_t bits = 0;
    for (unsigned count = 0; *text != '\0' && *text != '='; text++) {
        const char *digit = strchr(digits, *text);
        if (digit == NULL)
            break;
        bits = bits << 6 | (uint32_t)(digit - digits);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[n++] = (char)(bits >> count & 0xff);
        }
    }
    return n;
}

static void put_packet(struct messages *m, const json_t *row)
{
    char comment[128];
    const char *text = ctl_string(row, "bytes"), *connection = ctl_string(row, "connection");
    char *bytes = ctl_alloc(strlen(text) + 1);
    struct pcapng_packet p = {.time_us = (uint64_t)ctl_integer(row, "time_us"),
                              .is_out = strcmp(ctl_string(row, "direction"), "out") == 0,
                              .is_stream = strcmp(ctl_string(row, "transport"), "udp") != 0,
                              .length = json_is_true(json_object_get(row, "cut"))
                                            ? (size_t)ctl_integer(row, "length")
                                            : 0};
    (void)!addr_parse(slice_str(ctl_string(row, "local")), 0, &p.local);
    (void)!addr_parse(slice_str(ctl_string(row, "remote")), 0, &p.remote);
    snprintf(comment, sizeof(comment), "%s%s%s", ctl_string(row, "transport"),
             connection[0] != '\0' ? " connection " : "", connection);
    p.comment = slice_str(comment);
    p.bytes = slice_of(bytes, decode(text, bytes));
    pcapng_packet(m->pcapng, &p);
    mem_free(bytes);
}

/* False: it cannot be written. */
static bool open_file(struct messages *m)
{
    const char *path = m->ctl->pcapng;
    m->file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (m->file == NULL) {
        fprintf(stderr, "holdfastctl: %s: %s\n", path, strerror(errno));
        return false;
    }
    return pcapng_new(&(struct pcapng_sink){put_bytes, m}, &m->pcapng) == 0;
}

/* --- on the screen --- */

static void put_text(const json_t *row, FILE *out)
{
    char time[48];
    const json_t *value = json_object_get(row, "text");
    const char *s = json_string_value(value);
    bool is_out = strcmp(ctl_string(row, "direction"), "out") == 0;
    char *text = ctl_clean(s != NULL ? s : "", json_string_length(value), true);
    ctl_put_time(time, sizeof(time), ctl_integer(row, "time_us"), true);
    fprintf(out, "%s %s %s -> %s%s\n\n%s", time, ctl_string(row, "transport"),
            ctl_string(row, is_out ? "local" : "remote"),
            ctl_string(row, is_out ? "remote" : "local"),
            json_is_true(json_object_get(row, "cut")) ? " (its end is missing)" : "", text);
    fputs(text[0] != '\0' && text[strlen(text) - 1] == '\n' ? "\n" : "\n\n", out);
    mem_free(text);
}

/* A ladder for each call, those of one answer together. */
static void put_ladders(struct messages *m, FILE *out)
{
    size_t n = json_array_size(m->rows);
    bool *is_done = ctl_alloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        const char *id = ctl_string(json_array_get(m->rows, i), "call_id");
        if (is_done[i])
            continue;
        if (m->ladder == NULL || strcmp(m->call_id, id) != 0) {
            char *clean = ctl_clean(id, strlen(id), false);
            fprintf(out, "%sCall-ID: %s\n\n", m->ladder != NULL ? "\n" : "", clean);
            mem_free(clean);
            if (m->ladder != NULL)
                ctl_ladder_free(m->ladder);
            mem_free(m->call_id);
            m->call_id = ctl_copy(id, strlen(id));
            m->ladder = ctl_ladder_new(m->ctl);
        }
        for (size_t k = i; k < n; k++)
            if (strcmp(ctl_string(json_array_get(m->rows, k), "call_id"), id) == 0)
                ctl_ladder_note(m->ladder, json_array_get(m->rows, k));
        for (size_t k = i; k < n; k++) {
            const json_t *row = json_array_get(m->rows, k);
            if (strcmp(ctl_string(row, "call_id"), id) != 0)
                continue;
            is_done[k] = true;
            ctl_ladder_put(m->ladder, row, out);
        }
    }
    mem_free(is_done);
}

static void put_list(const struct messages *m, const struct ctl *ctl, FILE *out)
{
    struct ctl_answer *a = ctl_answer_new(ctl, admin_command_at(CMD_TRACE));
    json_t *row;
    size_t i;
    json_array_foreach(m->rows, i, row) ctl_answer_row(a, "message", row);
    ctl_answer_print(a, NULL, out);
    ctl_answer_free(a);
}

static void put_rows(struct messages *m, struct ctl *ctl)
{
    json_t *row;
    size_t i;
    if (m->pcapng != NULL) {
        json_array_foreach(m->rows, i, row) put_packet(m, row);
        m->has_failed = fflush(m->file) != 0 || m->has_failed;
        return;
    }
    if (ctl->with_text) {
        json_array_foreach(m->rows, i, row) put_text(row, stdout);
    } else if (m->is_list && json_array_size(m->rows) != 0) {
        put_list(m, ctl, stdout);
        ctl->has_headers = false;
    } else if (!m->is_list) {
        put_ladders(m, stdout);
    }
    m->has_failed = fflush(stdout) != 0 || m->has_failed;
}

static int ask_and_show(struct messages *m, struct ctl *ctl, const char *match)
{
    char why[CTL_WHY_MAX] = "", since[32];
    const char *words[] = {"trace", match, since, m->pcapng != NULL ? "1" : ""};
    snprintf(since, sizeof(since), "%lld", (long long)m->since);
    m->rows = json_array();
    int status = ctl_ask(ctl, 4, words, keep_row, m, why);
    put_rows(m, ctl);
    bool is_none = json_array_size(m->rows) == 0;
    json_decref(m->rows);
    if (m->has_failed)
        return ctl_fail(CTL_REFUSED, "what was traced cannot be written");
    if (status == CTL_DONE && is_none && !ctl->is_following && m->pcapng == NULL)
        fprintf(stderr, "holdfastctl: no message%s%s\n", match[0] != '\0' ? " of " : "", match);
    return ctl_fail(status, why);
}

int ctl_trace(const struct ctl *ctl, unsigned n, const char *const *words)
{
    struct ctl now = *ctl;
    const char *match = n > 1 ? words[1] : "";
    struct messages m = {
        .ctl = ctl, .since = n > 2 ? strtoll(words[2], NULL, 10) : 0, .is_list = match[0] == '\0'};
    int status;
    if (n > 3 || (n > 2 && words[2][strspn(words[2], "0123456789")] != '\0'))
        return ctl_fail(CTL_USAGE, "usage: trace [MATCH] [SINCE]; SINCE is a time_us");
    if (ctl->pcapng != NULL && !open_file(&m))
        return CTL_REFUSED;
    do
        status = ask_and_show(&m, &now, match);
    while (status == CTL_DONE && ctl->is_following && ctl_sleep(ctl, FOLLOW_MS));
    pcapng_free(&m.pcapng);
    if (m.file != NULL && m.file != stdout && fclose(m.file) != 0 && status == CTL_DONE)
        status = ctl_fail(CTL_REFUSED, "what was traced cannot be written");
    if (m.ladder != NULL)
        ctl_ladder_free(m.ladder);
    mem_free(m.call_id);
    return status;
}
