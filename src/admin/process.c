/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void look_at_memory(struct process_facts *p)
{
    unsigned long long size = 0, resident = 0;
    long page = sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return;
    if (page > 0 && fscanf(f, "%llu %llu", &size, &resident) == 2) {
        p->virtual_bytes = size * (unsigned long long)page;
        p->resident_bytes = resident * (unsigned long long)page;
    }
    fclose(f);
}

/* But for the one that looks. */
static uint64_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t n = 0;
    if (dir == NULL)
        return 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n - 1;
}

void process_look(struct process_facts *p)
{
    struct rusage usage;
    struct rlimit lim;
    *p = (struct process_facts){0};
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        p->cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                    (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0)
        p->max_fds = lim.rlim_cur;
    p->open_fds = count_fds();
    look_at_memory(p);
}
