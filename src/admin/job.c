/* SPDX-License-Identifier: Apache-2.0 */
/* A command's part at a worker. The mail is the job: the worker finds it in its mailbox, the
 * command waits for its end. The state says who may still touch what: QUEUED becomes RUNNING by the
 * worker or GIVEN_UP by the command, whichever comes first, so that what was given up is not done
 * later. */
#include <string.h>
#include <time.h>

#include "admin/admin_int.h"
#include "base/alloc.h"

#define UNFINISHED "has not finished in time"

uint64_t admin_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static struct admin_job *job_new(bool (*work)(struct admin_job *, const struct admin_rooms *),
                                 struct slice want)
{
    struct mail *mail = mail_new(MAIL_ADMIN, 0, sizeof(struct admin_job));
    if (mail == NULL)
        return NULL;
    struct admin_job *job = (void *)mail->payload;
    memset(job, 0, sizeof(*job));
    job->mail = mail;
    atomic_init(&job->refs, 1);
    atomic_init(&job->state, JOB_QUEUED);
    pthread_mutex_init(&job->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&job->ended, &attr);
    pthread_condattr_destroy(&attr);
    job->work = work;
    job->out.max = ADMIN_TEXT_MAX;
    (void)slice_cstr(want, job->want, sizeof(job->want));
    return job;
}

static void job_unref(struct admin_job *job)
{
    if (atomic_fetch_sub(&job->refs, 1) != 1)
        return;
    struct mail *mail = job->mail;
    admin_text_fini(&job->out);
    pthread_cond_destroy(&job->ended);
    pthread_mutex_destroy(&job->lock);
    mail_free(&mail);
}

void admin_job_line(void *user, const char *text)
{
    struct admin_job *job = user;
    if (!admin_text_add(&job->out, text, strlen(text) + 1))
        job->out.left_out++;
}

void admin_on_mail(struct mail *mail, const struct admin_rooms *rooms)
{
    struct admin_job *job = (void *)mail->payload;
    int queued = JOB_QUEUED;
    if (atomic_compare_exchange_strong(&job->state, &queued, JOB_RUNNING)) {
        job->has_more = job->work(job, rooms);
        if (job->done_us == 0)
            job->done_us = admin_now_us();
        pthread_mutex_lock(&job->lock);
        atomic_store(&job->state, JOB_DONE);
        pthread_cond_signal(&job->ended);
        pthread_mutex_unlock(&job->lock);
    }
    job_unref(job);
}

/* What became of it at `until`; NULL: done. */
static const char *job_wait(struct admin_job *job, uint64_t until)
{
    struct timespec ts = {(time_t)(until / 1000000), (long)(until % 1000000) * 1000};
    int err = 0, queued = JOB_QUEUED;
    pthread_mutex_lock(&job->lock);
    while (atomic_load(&job->state) != JOB_DONE && err == 0)
        err = pthread_cond_timedwait(&job->ended, &job->lock, &ts);
    pthread_mutex_unlock(&job->lock);
    if (atomic_load(&job->state) == JOB_DONE)
        return NULL;
    if (atomic_compare_exchange_strong(&job->state, &queued, JOB_GIVEN_UP)) {
        admin_text_fini(&job->out); /* of steps before: the mail may end with its mailbox */
        return "does not answer";
    }
    return atomic_load(&job->state) == JOB_DONE ? NULL : UNFINISHED;
}

/* NULL: on its way. */
static const char *job_post(struct mailbox *to, struct admin_job *job)
{
    if (job == NULL)
        return "was not asked: no memory";
    atomic_store(&job->state, JOB_QUEUED);
    atomic_fetch_add(&job->refs, 1);
    if (mailbox_post(to, job->mail) == 0)
        return NULL;
    atomic_fetch_sub(&job->refs, 1);
    return "was not asked: its mailbox is full";
}

static bool has_more(const struct admin_asked *asked)
{
    return asked->why_not == NULL && asked->job->has_more;
}

/* One step of all that have more; false: none has. */
static bool ask_again(struct admin *a, unsigned first, unsigned n, struct admin_asked *asked)
{
    uint64_t until = admin_now_us() + ADMIN_JOB_MS * 1000;
    uint64_t waits = 0; /* bit for each */
    for (unsigned i = 0; i < n; i++) {
        if (!has_more(&asked[i]))
            continue;
        asked[i].why_not = job_post(a->deps.mailboxes[first + i], asked[i].job);
        waits |= asked[i].why_not == NULL ? 1ULL << i : 0;
    }
    for (unsigned i = 0; i < n; i++)
        if ((waits & 1ULL << i) != 0)
            asked[i].why_not = job_wait(asked[i].job, until);
    return waits != 0;
}

void admin_ask(struct admin *a, unsigned first, unsigned last,
               bool (*work)(struct admin_job *job, const struct admin_rooms *rooms),
               struct slice want, struct admin_asked *asked)
{
    uint64_t began = admin_now_us();
    unsigned n = last - first + 1;
    for (unsigned i = 0; i < n; i++) {
        asked[i] = (struct admin_asked){.job = job_new(work, want)};
        asked[i].why_not = job_post(a->deps.mailboxes[first + i], asked[i].job);
    }
    for (unsigned i = 0; i < n; i++) {
        if (asked[i].why_not != NULL)
            continue;
        asked[i].why_not = job_wait(asked[i].job, began + ADMIN_JOB_MS * 1000);
        asked[i].us = asked[i].why_not == NULL ? asked[i].job->done_us - began : 0;
    }
    while (admin_now_us() < began + ADMIN_ASK_MS * 1000 && ask_again(a, first, n, asked))
        continue;
    for (unsigned i = 0; i < n; i++)
        if (has_more(&asked[i]))
            asked[i].why_not = UNFINISHED;
}

void admin_job_drop(struct admin_asked *asked)
{
    if (asked->job != NULL)
        job_unref(asked->job);
    asked->job = NULL;
}
