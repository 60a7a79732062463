/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share: groups made from a few words, and an arena for answers.
 *
 * owns: what it makes. thread: one. */
#ifndef UNIT_GROUP_HELP_H
#define UNIT_GROUP_HELP_H

#include "group/group.h"

#define T0    1000000u
#define CHECK 5000u
#define FORCE 2000u

/* A section: URIs of members separated by blanks, in storage of its own. */
struct section {
    struct group_conf conf;
    struct group_member_conf members[GROUP_MEMBERS_MAX];
    uint16_t failures[4];
    struct addr_net access[4];
    char text[2048];
};

/* Members whose host is an IP address get it, with the port, 5060 where there is none. */
void section_make(struct section *s, const char *name, enum group_role role,
                  enum group_policy policy, const char *members);
void section_access(struct section *s, const char *net);
void section_weights(struct section *s, const uint32_t *weights);

/* Groups of these sections. */
struct groups *groups_of(const struct section *sections, unsigned n);
int configure(struct groups *gs, const struct section *sections, unsigned n, uint64_t now);

/* An arena for the answers; fresh for each. */
struct room {
    struct arena_cache cache;
    struct arena arena;
};
void room_open(struct room *r);
void room_close(struct room *r);

struct addr address(const char *text);
/* Ids of the members of a group, by their place. */
uint32_t member_id(struct groups *gs, const char *group, const char *uri);
/* Asks the plan; the member to be asked, or 0. */
uint32_t planned(struct groups *gs, const char *group, uint64_t now);

/* All rows, a line each. It is 2023-11-14 22:13:20 at T0. */
const char *dumped(struct groups *gs, uint64_t now);

/* For cmocka_run_group_tests: no lines on stderr. */
int be_quiet(void **state);

/* Lines of the log from now on; NUL-terminated. */
struct logged {
    int fd;
    char text[65536];
};
void log_begin(struct logged *l);
const char *log_end(struct logged *l);
unsigned count_of(const char *text, const char *what);

#endif
