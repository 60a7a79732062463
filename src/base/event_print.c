/* SPDX-License-Identifier: Apache-2.0 */
/* The page that explains the events. */
#include "base/event.h"

static const struct {
    unsigned thousand;
    const char *title;
} groups[] = {
    {40, "Applications"},
    {41, "Connections and their recovery"},
    {42, "DNs"},
    {43, "Calls"},
    {44, "Overload and limits"},
    {45, "The daemon"},
    {46, "TLS and certificates"},
    {47, "Registrations"},
    {48, "Names and next hops"},
    {49, "Refused for safety"},
};
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

static void print_head(FILE *out)
{
    fputs(
        "# Events\n"
        "\n"
        "Made from the table in the program: `holdfast --events-markdown`.\n"
        "\n"
        "A standard event is a line of the log with a number that never changes its meaning. It stands\n"
        "there as `event=41001`, with `log-format = json` as `\"event\":41001`. The last 1000 of them are\n"
        "kept in memory, those included that a limit has left out of the log: `holdfastctl events`, the\n"
        "API's `/api/v1/events`, and the dashboard. When it is full, the oldest one of the kind that has\n"
        "most leaves: a flood of one kind pushes out none of the others. The oldest one kept of a kind\n"
        "tells with `forgotten` how many of it were before.\n"
        "\n"
        "- **Limit.** Some kinds come in storms: a firewall that restarts takes thousands of connections\n"
        "  with it. Of these at most so many lines are written in ten seconds, by all workers together. The\n"
        "  next line says with `left_out` how many were not; when none follows, a line `more of these events\n"
        "  were left out of the log` says it within a second of the interval's end.\n"
        "- **Level.** `log-level` decides by level and module what is written: with `warn` the events of\n"
        "  level info are not in the log, with `warn, flow:info` those of `flow` are.\n"
        "- **Fields.** Those that do not apply, or would be empty, are missing. Times are in the unit of\n"
        "  their name.\n"
        "- **Journal.** Under systemd each field is one of the journal too: `HOLDFAST_EVENT`,\n"
        "  `HOLDFAST_MODULE`, and `HOLDFAST_DN`, `HOLDFAST_CALL_ID`, `HOLDFAST_PEER` … after the fields below.\n"
        "  `journalctl -u holdfast HOLDFAST_EVENT=41003`, `journalctl HOLDFAST_DN=1001`. MESSAGE_ID is\n"
        "  `9f3c27ab51d84e06a7b4e2c9` and the number with three zeros in front: `journalctl\n"
        "  MESSAGE_ID=9f3c27ab51d84e06a7b4e2c900041003`.\n"
        "\n"
        "| number | level | module | name | what |\n"
        "|--:|---|---|---|---|\n",
        out);
    for (unsigned i = 0; i < EVENT_MAX; i++) {
        const struct event_text *t = event_text((enum event)i);
        fprintf(out, "| [%u](#%u) | %s | %s | `%s` | %s |\n", t->number, t->number,
                log_level_name(t->level), t->module, t->name, t->text);
    }
}

static void print_fields(const char *fields, FILE *out)
{
    struct slice rest = slice_str(fields), word;
    const char *between = "\nFields: ";
    while (slice_next_word(&rest, &word)) {
        fprintf(out, "%s`%.*s`", between, SLICE_ARG(word));
        between = ", ";
    }
    if (fields[0] != '\0')
        fputs(".\n", out);
}

static void print_one(const struct event_text *t, FILE *out)
{
    fprintf(out, "\n### %u\n\n**%s** (`%s`, %s, module %s", t->number, t->text, t->name,
            log_level_name(t->level), t->module);
    if (t->limit != 0)
        fprintf(out, ", at most %u line%s in ten seconds", t->limit, t->limit == 1 ? "" : "s");
    fprintf(out, ")\n\n%s\n\n*What to do:* %s\n", t->means, t->to_do);
    print_fields(t->fields, out);
}

void event_print_markdown(FILE *out)
{
    unsigned group = 0;
    print_head(out);
    for (unsigned i = 0; i < EVENT_MAX; i++) {
        const struct event_text *t = event_text((enum event)i);
        if (t->number / 1000 != group) {
            group = t->number / 1000;
            for (unsigned g = 0; g < GROUPS; g++)
                if (groups[g].thousand == group)
                    fprintf(out, "\n## %uxxx %s\n", group, groups[g].title);
        }
        print_one(t, out);
    }
}

/* One line for each: number, level, what. */
void event_print_man(FILE *out)
{
    for (unsigned i = 0; i < EVENT_MAX; i++) {
        const struct event_text *t = event_text((enum event)i);
        fprintf(out, ".TP\n.B %u\n%s: %s.\n", t->number, log_level_name(t->level), t->text);
    }
}
