/* SPDX-License-Identifier: Apache-2.0 */
/* What is under way towards a member of an application that has lost its role is replayed to the
 * one that has it. */
#include "proxy/proxy_int.h"

void proxy_on_groups(struct proxy *p)
{
    (void)p;
}
