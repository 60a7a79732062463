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

static struct admin_job *job_new(admin_work_fn *work, struct slice want)
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

void admin_ask(struct admin_round *r, struct admin *a, unsigned first, unsigned last,
               admin_work_fn *work, struct slice want)
{
    admin_ask_with(r, a, first, last, work, want, 0, 0, false);
}

void admin_ask_with(struct admin_round *r, struct admin *a, unsigned first, unsigned last,
                    admin_work_fn *work, struct slice want, uint64_t since, uint64_t until,
                    bool with_more)
{
    uint64_t began = admin_now_us();
    r->admin = a;
    r->first = first;
    r->n = last - first + 1;
    r->left_us = ADMIN_ASK_MS * 1000;
    for (unsigned i = 0; i < r->n; i++) {
        r->asked[i] = (struct admin_asked){.job = job_new(work, want)};
        if (r->asked[i].job != NULL) {
            r->asked[i].job->since = since;
            r->asked[i].job->until = until;
            r->asked[i].job->with_more = with_more;
        }
        r->asked[i].why_not = job_post(a->deps.mailboxes[first + i], r->asked[i].job);
    }
    for (unsigned i = 0; i < r->n; i++) {
        struct admin_asked *asked = &r->asked[i];
        if (asked->why_not != NULL)
            continue;
        asked->why_not = job_wait(asked->job, began + ADMIN_JOB_MS * 1000);
        asked->us = asked->why_not == NULL ? asked->job->done_us - began : 0;
    }
}

/* The time that a step may take from now on; 0: there is none left. */
static uint64_t time_of_step(const struct admin_round *r)
{
    if (atomic_load(&r->admin->is_ending))
        return 0;
    return r->left_us < ADMIN_JOB_MS * 1000 ? r->left_us : ADMIN_JOB_MS * 1000;
}

static void post_next(struct admin_round *r, unsigned i)
{
    if (time_of_step(r) == 0)
        r->asked[i].why_not = UNFINISHED;
    else
        r->asked[i].why_not = job_post(r->admin->deps.mailboxes[r->first + i], r->asked[i].job);
}

/* Only the time that workers take counts, not that of whoever reads what they say. */
static void take_time(struct admin_round *r, uint64_t began)
{
    uint64_t took = admin_now_us() - began;
    r->left_us -= took < r->left_us ? took : r->left_us;
}

bool admin_ask_one(struct admin_round *r, unsigned i)
{
    uint64_t began = admin_now_us();
    if (!has_more(&r->asked[i]))
        return false;
    post_next(r, i);
    if (r->asked[i].why_not == NULL)
        r->asked[i].why_not = job_wait(r->asked[i].job, began + time_of_step(r));
    take_time(r, began);
    return true;
}

bool admin_ask_more(struct admin_round *r)
{
    uint64_t began = admin_now_us(), until = began + time_of_step(r);
    uint64_t waits = 0; /* bit for each */
    bool is_any = false;
    for (unsigned i = 0; i < r->n; i++) {
        if (!has_more(&r->asked[i]))
            continue;
        is_any = true;
        post_next(r, i);
        waits |= r->asked[i].why_not == NULL ? 1ULL << i : 0;
    }
    for (unsigned i = 0; i < r->n; i++)
        if ((waits & 1ULL << i) != 0)
            r->asked[i].why_not = job_wait(r->asked[i].job, until);
    take_time(r, began);
    return is_any;
}

void admin_ask_end(struct admin_round *r)
{
    for (unsigned i = 0; i < r->n; i++) {
        if (r->asked[i].job != NULL)
            job_unref(r->asked[i].job);
        r->asked[i].job = NULL;
    }
}
