/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a call as arrows between lines that go down, one for each address and one for us.
 *
 *   22:30:51.123           |------INVITE----->|                   |
 *   22:30:51.130    +7ms   |                  |------INVITE------>| */
#include <string.h>

#include "ctl/ctl_int.h"

#define LEFT      21 /* columns: time and what has passed since the message before */
#define MARGIN    9  /* before the first line, and behind the last one */
#define GAP_MIN   16 /* between two lines: room for "<-180 Ringing--" */
#define GAP_MAX   30
#define WIDTH     80 /* at least */
#define SIDES_MAX 40

struct side {
    char *address; /* NULL: us */
    char *label;
};

struct ctl_ladder {
    const struct ctl *ctl;
    unsigned nsides, nshown; /* nshown: how many the last heading has */
    struct side sides[SIDES_MAX];
    int64_t before; /* time_us of the last message */
};

struct ctl_ladder *ctl_ladder_new(const struct ctl *ctl)
{
    struct ctl_ladder *l = ctl_alloc(sizeof(*l));
    l->ctl = ctl;
    return l;
}

void ctl_ladder_free(struct ctl_ladder *l)
{
    for (unsigned i = 0; i < l->nsides; i++) {
        mem_free(l->sides[i].address);
        mem_free(l->sides[i].label);
    }
    mem_free(l);
}

static unsigned find_side(const struct ctl_ladder *l, const char *address)
{
    for (unsigned i = 0; i < l->nsides; i++)
        if (l->sides[i].address != NULL && strcmp(l->sides[i].address, address) == 0)
            return i;
    return SIDES_MAX;
}

static void add_side(struct ctl_ladder *l, const char *address, const char *transport)
{
    struct side *s = &l->sides[l->nsides++];
    char label[160];
    *s = (struct side){0};
    if (address == NULL) {
        s->label = ctl_copy("holdfast", 8);
        return;
    }
    char *clean = ctl_clean(address, strlen(address), false);
    snprintf(label, sizeof(label), "%s %s", clean, transport);
    mem_free(clean);
    s->address = ctl_copy(address, strlen(address));
    s->label = ctl_copy(label, strlen(label));
}

/* We stand behind the first one, who is the one that has begun. */
void ctl_ladder_note(struct ctl_ladder *l, const json_t *m)
{
    const char *address = ctl_string(m, "remote");
    if (find_side(l, address) < SIDES_MAX || l->nsides + 1 >= SIDES_MAX)
        return;
    add_side(l, address, ctl_string(m, "transport"));
    if (l->nsides == 1)
        add_side(l, NULL, "");
}

/* --- columns --- */

static unsigned gap_of(const struct ctl_ladder *l)
{
    unsigned width = l->ctl->width > WIDTH ? l->ctl->width : WIDTH;
    unsigned gap = (width - LEFT - 2 * MARGIN) / (l->nsides - 1);
    return gap < GAP_MIN ? GAP_MIN : gap > GAP_MAX ? GAP_MAX : gap;
}

static unsigned place_of(const struct ctl_ladder *l, unsigned side)
{
    return LEFT + MARGIN + side * gap_of(l);
}

/* A line of blanks with the lines that go down; freed by the caller. */
static char *empty_line(const struct ctl_ladder *l, bool with_lines)
{
    unsigned width = place_of(l, l->nsides - 1) + 2 * MARGIN;
    char *line = ctl_alloc(width + 1);
    memset(line, ' ', width);
    for (unsigned i = 0; i < l->nsides && with_lines; i++)
        line[place_of(l, i)] = '|';
    return line;
}

static void put_line(char *line, FILE *out)
{
    size_t len = strlen(line);
    while (len != 0 && line[len - 1] == ' ')
        line[--len] = '\0';
    fprintf(out, "%s\n", line);
    mem_free(line);
}

static void write_over(char *line, unsigned at, const char *text, size_t len)
{
    size_t room = strlen(line) - at;
    memcpy(line + at, text, len < room ? len : room);
}

static bool has_room(const struct ctl_ladder *l)
{
    for (unsigned i = 0; i < l->nsides; i++)
        if (strlen(l->sides[i].label) >= gap_of(l))
            return false;
    return true;
}

/* Addresses, or letters that are explained above where addresses have no room. */
static void put_heading(struct ctl_ladder *l, FILE *out)
{
    char *line = empty_line(l, false);
    bool is_short = has_room(l);
    for (unsigned i = 0; i < l->nsides; i++) {
        char letter[2] = {(char)(i < 26 ? 'A' + i : 'a' + i - 26), '\0'};
        const char *label = is_short || l->sides[i].address == NULL ? l->sides[i].label : letter;
        unsigned len = (unsigned)strlen(label);
        write_over(line, place_of(l, i) - len / 2, label, len);
        if (!is_short && l->sides[i].address != NULL)
            fprintf(out, "%*s%s = %s\n", LEFT, "", letter, l->sides[i].label);
    }
    put_line(line, out);
    put_line(empty_line(l, true), out);
    l->nshown = l->nsides;
}

/* --- arrows --- */

/* "INVITE", "200 OK (BYE)" */
static char *label_of(const json_t *m)
{
    char text[128];
    const char *start = ctl_string(m, "start_line"), *method = ctl_string(m, "method");
    int64_t status = ctl_integer(m, "status");
    if (status == 0) {
        snprintf(text, sizeof(text), "%s", method);
    } else {
        const char *reason = strncmp(start, "SIP/2.0 ", 8) == 0 ? start + 8 : start;
        snprintf(text, sizeof(text), "%.80s%s%s%s", reason, status >= 200 ? " (" : "",
                 status >= 200 ? method : "", status >= 200 ? ")" : "");
    }
    /* One byte, one column: what is not ASCII is not shown here. */
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?';
    return ctl_copy(text, strlen(text));
}

static void draw(char *line, unsigned from, unsigned to, const char *label)
{
    unsigned left = (from < to ? from : to) + 1, right = (from < to ? to : from) - 1;
    unsigned room = right - left - 2, len = (unsigned)strlen(label);
    memset(line + left, '-', right - left + 1);
    if (from < to)
        line[right] = '>';
    else
        line[left] = '<';
    if (len > room)
        len = room;
    write_over(line, left + 1 + (room + 1 - len) / 2, label, len);
}

static void put_times(struct ctl_ladder *l, char *line, int64_t now)
{
    char time[48], delta[24] = "+";
    ctl_put_time(time, sizeof(time), now, true);
    const char *clock = strrchr(time, ' ') != NULL ? strrchr(time, ' ') + 1 : time;
    write_over(line, 0, clock, strlen(clock));
    if (l->before != 0) {
        ctl_put_duration(delta + 1, sizeof(delta) - 1, now > l->before ? now - l->before : 0);
        write_over(line, LEFT - (unsigned)strlen(delta), delta, strlen(delta));
    }
    l->before = now;
}

/* One who has no column. */
static void put_plain(struct ctl_ladder *l, const json_t *m, bool is_out, FILE *out)
{
    char times[LEFT + 1];
    const char *remote = ctl_string(m, "remote");
    char *label = label_of(m), *clean = ctl_clean(remote, strlen(remote), false);
    memset(times, ' ', LEFT);
    times[LEFT] = '\0';
    put_times(l, times, ctl_integer(m, "time_us"));
    fprintf(out, "%s  holdfast %s %s  %s\n", times, is_out ? "->" : "<-", clean, label);
    mem_free(label);
    mem_free(clean);
}

void ctl_ladder_put(struct ctl_ladder *l, const json_t *m, FILE *out)
{
    unsigned there = find_side(l, ctl_string(m, "remote"));
    bool is_out = strcmp(ctl_string(m, "direction"), "out") == 0;
    if (there == SIDES_MAX) {
        put_plain(l, m, is_out, out);
        return;
    }
    if (l->nshown != l->nsides)
        put_heading(l, out);
    char *line = empty_line(l, true), *label = label_of(m);
    unsigned us = place_of(l, 1);
    put_times(l, line, ctl_integer(m, "time_us"));
    draw(line, is_out ? us : place_of(l, there), is_out ? place_of(l, there) : us, label);
    mem_free(label);
    put_line(line, out);
}
