/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/mailbox.h"

enum { SENDERS = 4, MAILS = 100000, BOUND = 1000 };

static void count_wake(void *user)
{
    ++*(unsigned *)user;
}

static struct mail *make(uint32_t kind)
{
    struct mail *mail = mail_new(kind, 3, 5);

    assert_non_null(mail);
    memcpy(mail->payload, "12345", 5);
    return mail;
}

static void take_one(struct mailbox *m, uint32_t kind)
{
    struct mail *mail = mailbox_take(m);

    assert_non_null(mail);
    assert_int_equal(mail->kind, kind);
    assert_int_equal(mail->from, 3);
    assert_int_equal(mail->size, 5);
    assert_int_equal((uintptr_t)mail->payload % 16, 0);
    assert_memory_equal(mail->payload, "12345", 5);
    mail_free(&mail);
    assert_null(mail);
}

static void test_order_and_bound(void **state)
{
    struct mailbox m;
    struct mail *over = make(99);

    (void)state;
    mailbox_init(&m, 3, NULL, NULL);
    assert_null(mailbox_take(&m));
    for (uint32_t round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(mailbox_post(&m, make(round + i)), 0);
        assert_int_equal(mailbox_post(&m, over), ERR_FULL);
        take_one(&m, round);
        assert_int_equal(mailbox_post(&m, make(round + 3)), 0);
        assert_int_equal(mailbox_post(&m, over), ERR_FULL);
        for (uint32_t i = 1; i < 4; i++)
            take_one(&m, round + i);
        assert_null(mailbox_take(&m));
        assert_null(mailbox_take(&m));
    }
    mail_free(&over);
    mail_free(&over);
    mailbox_fini(&m);
}

/* Woken once by the first mail, and again only after the box was found empty. */
static void test_wake(void **state)
{
    struct mailbox m;
    unsigned wakes = 0;

    (void)state;
    mailbox_init(&m, 10, count_wake, &wakes);
    assert_int_equal(mailbox_post(&m, make(1)), 0);
    assert_int_equal(mailbox_post(&m, make(2)), 0);
    assert_int_equal(wakes, 1);
    take_one(&m, 1);
    assert_int_equal(mailbox_post(&m, make(3)), 0);
    assert_int_equal(wakes, 1);
    take_one(&m, 2);
    take_one(&m, 3);
    assert_null(mailbox_take(&m));
    assert_int_equal(mailbox_post(&m, make(4)), 0);
    assert_int_equal(wakes, 2);
    mailbox_fini(&m); /* frees the mail that is left */
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_null(mail_new(1, 1, SIZE_MAX));
    assert_null(mail_new(1, 1, SIZE_MAX - sizeof(struct mail)));
#ifdef HOLDFAST_FAULTS
    mem_fail_at(1);
    assert_null(mail_new(1, 1, 1));
    mem_fail_at(0);
#endif
}

struct run {
    struct mailbox box;
    sem_t woken;
};

struct sender {
    pthread_t thread;
    struct run *run;
    uint32_t number;
    bool failed;
};

static void post_sem(void *user)
{
    sem_post(user);
}

static void *send_mails(void *arg)
{
    struct sender *s = arg;

    for (uint32_t i = 0; i < MAILS; i++) {
        struct mail *mail = mail_new(MAIL_SIP, s->number, sizeof(i));
        if (mail == NULL) {
            s->failed = true;
            return NULL;
        }
        memcpy(mail->payload, &i, sizeof(i));
        while (mailbox_post(&s->run->box, mail) != 0)
            sched_yield();
    }
    return NULL;
}

/* Takes until the box is empty. */
static uint32_t take_all(struct run *run, uint32_t next[SENDERS])
{
    struct mail *mail;
    uint32_t i, taken = 0;

    while ((mail = mailbox_take(&run->box)) != NULL) {
        assert_true(atomic_load(&run->box.count) <= BOUND);
        assert_in_range(mail->from, 0, SENDERS - 1);
        memcpy(&i, mail->payload, sizeof(i));
        assert_int_equal(i, next[mail->from]);
        next[mail->from]++;
        taken++;
        mail_free(&mail);
    }
    return taken;
}

/* Waits for a wake-up, at most for a time that only a lost one takes. */
static void wait_woken(struct run *run, uint32_t taken)
{
    struct timespec limit;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 30;
    if (sem_timedwait(&run->woken, &limit) != 0)
        fail_msg("not woken after %u mails, %u in the box", taken, atomic_load(&run->box.count));
}

/* The reader sleeps whenever the box is empty: a wake-up that is lost would stop it for ever. */
static void test_threads(void **state)
{
    static struct run run;
    struct sender senders[SENDERS];
    uint32_t next[SENDERS] = {0};
    uint32_t taken = 0;

    (void)state;
    assert_int_equal(sem_init(&run.woken, 0, 0), 0);
    mailbox_init(&run.box, BOUND, post_sem, &run.woken);
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.run = &run, .number = i};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_mails, &senders[i]), 0);
    }
    while (taken < SENDERS * MAILS) {
        wait_woken(&run, taken);
        taken += take_all(&run, next);
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
        assert_false(senders[i].failed);
        assert_int_equal(next[i], MAILS);
    }
    assert_null(mailbox_take(&run.box));
    mailbox_fini(&run.box);
    sem_destroy(&run.woken);
}

enum { ROUNDS = 100000 };

/* Posts each mail just when the reader has taken the one before and goes to sleep. */
static void *send_apart(void *arg)
{
    struct sender *s = arg;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct mail *mail = mail_new(MAIL_SIP, s->number, sizeof(i));
        if (mail == NULL) {
            s->failed = true;
            return NULL;
        }
        memcpy(mail->payload, &i, sizeof(i));
        for (unsigned spins = 1; atomic_load(&s->run->box.count) != 0; spins++) {
            if (spins % 1000 == 0)
                sched_yield();
        }
        for (volatile uint32_t delay = i % 97; delay > 0; delay--)
            ;
        if (mailbox_post(&s->run->box, mail) != 0)
            s->failed = true;
    }
    return NULL;
}

static void test_wake_race(void **state)
{
    static struct run run;
    struct sender sender = {.run = &run};
    uint32_t next[SENDERS] = {0};
    uint32_t taken = 0;

    (void)state;
    assert_int_equal(sem_init(&run.woken, 0, 0), 0);
    mailbox_init(&run.box, BOUND, post_sem, &run.woken);
    assert_int_equal(pthread_create(&sender.thread, NULL, send_apart, &sender), 0);
    while (taken < ROUNDS) {
        wait_woken(&run, taken);
        taken += take_all(&run, next);
    }
    assert_int_equal(pthread_join(sender.thread, NULL), 0);
    assert_false(sender.failed);
    mailbox_fini(&run.box);
    sem_destroy(&run.woken);
}

static void test_bound_of_bytes(void **state)
{
    enum { SIZE = 1 << 20 };
    struct mailbox box;
    unsigned posted = 0;

    (void)state;
    mailbox_init(&box, 1000, NULL, NULL);
    for (;;) {
        struct mail *mail = mail_new(MAIL_SIP, 0, SIZE);
        assert_non_null(mail);
        if (mailbox_post(&box, mail) == 0) {
            posted++;
            continue;
        }
        mail_free(&mail);
        break;
    }
    assert_int_equal(posted, MAILBOX_MAX_BYTES / SIZE);
    struct mail *taken = mailbox_take(&box);
    mail_free(&taken);
    struct mail *again = mail_new(MAIL_SIP, 0, SIZE);
    assert_int_equal(mailbox_post(&box, again), 0); /* there is room again */
    mailbox_fini(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_bound),
        cmocka_unit_test(test_bound_of_bytes),
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_wake_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
