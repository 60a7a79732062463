/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about options, logging, reload and drain: what main does, or knows. */
#include <string.h>

#include "admin/admin_int.h"
#include "base/log.h"
#include "base/period.h"

#define DRAIN_MIN_MS 1000
#define DRAIN_MAX_MS 604800000

/* They come from behind the lock that a reload takes. */
enum admin_status admin_run_options(const struct admin_run *run)
{
    const struct admin_deps *d = &run->admin->deps;
    struct admin_text rows = {.max = ADMIN_KEPT_MAX};
    if (d->options == NULL)
        return admin_refuse(run->why, "this is not available");
    d->options(d->user, run->args[0], &(struct row_sink){admin_rows_keep, &rows});
    if (rows.len == 0 && rows.left_out == 0 && run->args[0].len != 0)
        return admin_miss(run->why, "no such option: %.*s", SLICE_ARG(run->args[0]));
    return admin_give_kept(run, &rows);
}

static void see_general(void *user, const char *set, unsigned n, const struct field *fields)
{
    bool *is_there = user;
    const struct field *section = admin_field(n, fields, "section");
    (void)set;
    *is_there = *is_there || (section != NULL && section->kind == FIELD_STR &&
                              strcmp(section->v.str, "sipproxy") == 0);
}

/* Is there such an option of [sipproxy]? Where nobody can tell, there may be. */
static bool is_option(const struct admin_deps *d, struct slice name)
{
    bool is_there = d->options == NULL;
    if (d->options != NULL)
        d->options(d->user, name, &(struct row_sink){see_general, &is_there});
    return is_there;
}

enum admin_status admin_run_set(const struct admin_run *run)
{
    enum admin_status status = admin_order_main(run, ADMIN_SET, run->args[0], run->args[1]);
    return status == ADMIN_REFUSED && !is_option(&run->admin->deps, run->args[0]) ? ADMIN_MISSING
                                                                                  : status;
}

enum admin_status admin_run_log(const struct admin_run *run)
{
    struct log_levels levels;
    if (run->args[0].len != 0) {
        enum admin_status status =
            admin_order_main(run, ADMIN_SET, SLICE("log-level"), run->args[0]);
        if (status != ADMIN_OK)
            return status;
    }
    log_get_levels(&levels);
    for (unsigned i = 0; i < LOG_MODULES; i++)
        ROW(run->sink, "level", LF_STR("module", log_module_name(i)),
            LF_STR("level", log_level_name((enum log_level)levels.of[i])),
            LF_STR("help", log_module_help(i)));
    return ADMIN_OK;
}

enum admin_status admin_run_reload(const struct admin_run *run)
{
    return admin_order_main(run, ADMIN_RELOAD, SLICE_NONE, SLICE_NONE);
}

enum admin_status admin_run_drain(const struct admin_run *run)
{
    struct slice limit = run->args[0];
    uint64_t ms = 0;
    if (limit.len != 0 && (period_parse(limit, &ms) != 0 || ms < DRAIN_MIN_MS || ms > DRAIN_MAX_MS))
        return admin_refuse(run->why,
                            "%.*s: not allowed; allowed: 1s to 168h, in seconds or with a unit "
                            "(3600, 90s, 30m, 1h); without it there is no limit",
                            SLICE_ARG(limit));
    enum admin_status status = admin_order_main(run, ADMIN_DRAIN, limit, SLICE_NONE);
    if (status == ADMIN_OK)
        admin_say(run->sink, "draining: new calls get 503; `status` shows what is left");
    return status;
}

enum admin_status admin_run_drain_cancel(const struct admin_run *run)
{
    enum admin_status status = admin_order_main(run, ADMIN_RESUME, SLICE_NONE, SLICE_NONE);
    if (status == ADMIN_OK)
        admin_say(run->sink, "new calls are taken again");
    return status;
}
