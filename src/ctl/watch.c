/* SPDX-License-Identifier: Apache-2.0 */
/* A command once, or again and again until the user has had enough. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ctl_int.h"

#define HOME      "\033[H"
#define END_LINE  "\033[K"
#define END_PAGE  "\033[J"
#define FOLLOW_MS 500
#define WORDS_MAX 8 /* of what is followed */

int ctl_fail(int status, const char *why)
{
    if (status != CTL_DONE)
        fprintf(stderr, "holdfastctl: %s\n", why);
    return status;
}

/* A reader that has gone away (SIGPIPE ends us) or a full disk. */
static int flushed(int status)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    perror("holdfastctl");
    return status == CTL_DONE ? CTL_REFUSED : status;
}

static int once(const struct ctl *ctl, const struct admin_command *command, unsigned n,
                const char *const *words)
{
    char why[CTL_WHY_MAX] = "";
    struct ctl_answer *answer = ctl_answer_new(ctl, command);
    int status = ctl_ask(ctl, n, words, ctl_answer_row, answer, why);
    if (status == CTL_DONE || ctl->is_json || status == CTL_REFUSED)
        ctl_answer_print(answer, status != CTL_DONE ? why : NULL, stdout);
    ctl_answer_free(answer);
    return flushed(ctl_fail(status, why));
}

/* --- watch --- */

static void print_head(const struct ctl *ctl, unsigned n, const char *const *words, FILE *out)
{
    char now[32];
    ctl_put_time(now, sizeof(now), ctl_now_us(), false);
    fprintf(out, "every %g s, %s:", (double)ctl->watch_ms / 1000, now);
    for (unsigned i = 0; i < n; i++)
        fprintf(out, " %s", words[i]);
    fputs("\n\n", out);
}

/* The text over what is on the screen, as much of it as has room there; all of it on one, a serial
 * line for example, that does not tell its height. */
static void redraw(const struct ctl *ctl, const char *text)
{
    unsigned lines = ctl->height > 1 ? ctl->height - 1 : ctl->height == 1 ? 1 : UINT_MAX;
    fputs(HOME, stdout);
    for (; lines != 0 && *text != '\0'; lines--) {
        size_t len = strcspn(text, "\n");
        printf("%.*s" END_LINE "\n", (int)len, text);
        text += len + (text[len] == '\n');
    }
    fputs(END_PAGE, stdout);
}

/* A daemon that goes away may come again. */
static int watch(const struct ctl *ctl, const struct admin_command *command, unsigned n,
                 const char *const *words)
{
    int status;
    do {
        char why[CTL_WHY_MAX] = "";
        struct ctl_text text = {0};
        struct ctl_answer *answer = ctl_answer_new(ctl, command);
        FILE *out = ctl_text_open(&text);
        status = ctl_ask(ctl, n, words, ctl_answer_row, answer, why);
        bool is_wrong = status == CTL_USAGE && !ctl->is_json;
        if (!ctl->is_json && ctl->is_terminal && !is_wrong)
            print_head(ctl, n, words, out);
        ctl_answer_print(answer, status != CTL_DONE ? why : NULL, out);
        if (status != CTL_DONE && !ctl->is_json && !is_wrong)
            fprintf(out, "%s\n", why);
        (void)!fclose(out);
        ctl_answer_free(answer);
        if (is_wrong)
            (void)ctl_fail(status, why);
        else if (ctl->is_terminal && !ctl->is_json)
            redraw(ctl, text.ptr);
        else
            fputs(text.ptr, stdout);
        mem_free(text.ptr);
        if (flushed(CTL_DONE) != CTL_DONE)
            return CTL_REFUSED;
    } while (status != CTL_USAGE && ctl_sleep(ctl, ctl->watch_ms));
    return status == CTL_USAGE ? CTL_USAGE : CTL_DONE;
}

/* --- follow: events, and messages as JSON --- */

struct follow {
    struct ctl_answer *answer;
    const char *place; /* the value that tells where it goes on: seq, time_us */
    int64_t last;
};

static void follow_row(void *user, const char *set, json_t *row)
{
    struct follow *f = user;
    int64_t place = ctl_integer(row, f->place);
    if (place > f->last)
        f->last = place;
    ctl_answer_row(f->answer, set, row);
}

/* What has come since is one answer; as JSON one object, on a line of its own. */
static int follow(const struct ctl *ctl, const struct admin_command *command, unsigned n,
                  const char *const *given)
{
    struct ctl now = *ctl;
    bool is_trace = strcmp(command->name, "trace") == 0;
    unsigned at = is_trace ? 2 : 1; /* of the argument SINCE */
    struct follow f = {.place = is_trace ? "time_us" : "seq",
                       .last = n > at ? strtoll(given[at], NULL, 10) : 0};
    int status;
    if (n > WORDS_MAX)
        return ctl_fail(CTL_USAGE, "the command has too many words");
    do {
        char why[CTL_WHY_MAX] = "", from[32];
        const char *words[WORDS_MAX] = {command->name, ""};
        memcpy(words + 1, given + 1, (n - 1) * sizeof(*given));
        words[at] = from;
        snprintf(from, sizeof(from), "%lld", (long long)f.last);
        int64_t before = f.last;
        f.answer = ctl_answer_new(&now, command);
        status = ctl_ask(&now, n > at ? n : at + 1, words, follow_row, &f, why);
        if (f.last != before) {
            ctl_answer_print(f.answer, NULL, stdout);
            now.has_headers = false;
        }
        ctl_answer_free(f.answer);
        if (ctl_fail(status, why) != CTL_DONE || flushed(status) != CTL_DONE)
            return status != CTL_DONE ? status : CTL_REFUSED;
    } while (ctl_sleep(ctl, FOLLOW_MS));
    return CTL_DONE;
}

int ctl_run(const struct ctl *ctl, const struct admin_command *command, unsigned n,
            const char *const *words)
{
    bool is_events = command != NULL && strcmp(command->name, "events") == 0;
    bool is_trace = command != NULL && strcmp(command->name, "trace") == 0;
    if (is_trace && !ctl->is_json && ctl->watch_ms == 0)
        return ctl_trace(ctl, n, words);
    if (ctl->is_following && !is_events && !is_trace)
        return ctl_fail(CTL_USAGE, "--follow is for trace and events");
    if (ctl->watch_ms != 0 && command != NULL && command->changes)
        return ctl_fail(CTL_USAGE, "--watch is for what changes nothing");
    if (ctl->is_following)
        return follow(ctl, command, n, words);
    return ctl->watch_ms != 0 ? watch(ctl, command, n, words) : once(ctl, command, n, words);
}
