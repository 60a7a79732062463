/* SPDX-License-Identifier: Apache-2.0 */
#include "base/counter.h"

#include <assert.h>

static const struct {
    const char *name, *help;
    _Bool gauge;
} table[COUNTER_MAX] = {
#define COUNTER(id, name, help)       [id] = {name, help, 0},
#define COUNTER_GAUGE(id, name, help) [id] = {name, help, 1},
#include "base/counters.def"
#undef COUNTER
#undef COUNTER_GAUGE
};

const char *counter_name(enum counter id)
{
    assert((unsigned)id < COUNTER_MAX);
    return table[id].name;
}

const char *counter_help(enum counter id)
{
    assert((unsigned)id < COUNTER_MAX);
    return table[id].help;
}

_Bool counter_is_gauge(enum counter id)
{
    assert((unsigned)id < COUNTER_MAX);
    return table[id].gauge;
}
