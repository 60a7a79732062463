/* SPDX-License-Identifier: Apache-2.0 */
#include "base/period.h"

#define NUMBER_MAX 1000000000

int period_parse(struct slice text, uint64_t *ms)
{
    size_t digits = 0;
    uint64_t n, scale;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    struct slice unit = slice_trim(slice_of(text.ptr + digits, text.len - digits));
    int err = slice_u64(slice_of(text.ptr, digits), NUMBER_MAX, &n);
    if (err != 0)
        return err;
    if (unit.len == 0 || slice_ieq(unit, SLICE("s")))
        scale = 1000;
    else if (slice_ieq(unit, SLICE("ms")))
        scale = 1;
    else if (slice_ieq(unit, SLICE("m")) || slice_ieq(unit, SLICE("min")))
        scale = 60000;
    else if (slice_ieq(unit, SLICE("h")))
        scale = 3600000;
    else
        return ERR_PARSE;
    *ms = n * scale;
    return 0;
}
