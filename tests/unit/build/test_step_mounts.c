/* SPDX-License-Identifier: Apache-2.0 */
/* RUN with its mounts: secrets, caches, binds; in real sandboxes. */
#include <string.h>

#include "check.h"
#include "ops_fixture.h"

#define RUN "FROM base\nRUN --network=none "
#define VALUE "s3cr3t-f00d"

static bool start(struct ops_fixture *f)
{
    if (!ops_fixture_can_run())
        return false;
    ops_fixture_init(f);
    ops_fixture_busybox(f);
    return true;
}

/* Steps in their order, each a Dockerfile of its own on the same store. */
struct row {
    const char *name;
    const char *dockerfile;
    enum cob_code code; /* 0: it succeeds */
    const char *error;
    const char *look, *want; /* in the result; NULL: nothing is looked at */
};

static void run_rows(struct ops_fixture *f, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct cob_error *err = ops_fixture_build(f, rows[i].dockerfile);

        check_row((err == NULL) == (rows[i].code == 0), i, rows[i].name);
        if (err)
            g_test_message("log: %s", f->log->str);
        if (rows[i].code)
            CHECK_ERROR(err, rows[i].code, rows[i].error);
        else
            CHECK_OK(err);
        if (!rows[i].look || !f->result)
            continue;
        g_autofree char *got = ops_fixture_look(f, rows[i].look);
        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(strcmp(got, rows[i].want) == 0, i, rows[i].name);
    }
}

/* --- secrets --- */

/* Files of the store that hold the value. The caller frees it. */
static char *leaks(const struct ops_fixture *f)
{
    g_autofree char *command = g_strdup_printf("grep -rla " VALUE " %s/store", f->scratch);
    char *out = NULL;

    g_assert_true(g_spawn_command_line_sync(command, &out, NULL, NULL, NULL));
    return out;
}

static void test_secrets(void)
{
    static const struct row rows[] = {
        {"as a file",
            RUN "--mount=type=secret,id=s test \"$(cat /run/secrets/s)\" = "
                "s3cr3t-\"\"f00d && "
                "stat -c '%a %u' /run/secrets/s >/out",
            0, NULL, "cat out; test ! -e run/secrets/s", "400 0"},
        {"with owner and mode",
            RUN "--mount=type=secret,id=s,target=/k,uid=7,gid=8,mode=0444 stat -c '%a %u:%g' /k "
                ">/out",
            0, NULL, "cat out", "444 7:8"},
        {"as a variable", RUN "--mount=type=secret,id=s,env=S test \"$S\" = s3cr3t-\"\"f00d", 0,
            NULL, NULL, NULL},
        {"of a step that fails",
            RUN "--mount=type=secret,id=s,env=S --mount=type=secret,id=s cat /run/secrets/s "
                ">/dev/null; exit 3",
            COB_UNKNOWN,
            "process \"/bin/sh -c cat *exit 3\" did not complete successfully: exit "
            "code: 3",
            NULL, NULL},
        {"missing and optional", RUN "--mount=type=secret,id=no test ! -e /run/secrets/no", 0, NULL,
            NULL, NULL},
        {"missing and required", RUN "--mount=type=secret,id=no,required=true true", COB_NOT_FOUND,
            "mount /run/secrets/no: secret no: not found: add --secret id=no", NULL, NULL},
        {"missing and required as a variable",
            RUN "--mount=type=secret,id=no,env=N,required=true true", COB_NOT_FOUND,
            "secret no: not found: add --secret id=no", NULL, NULL},
    };
    struct ops_fixture f;

    if (!start(&f))
        return;
    g_hash_table_insert(f.secrets, (char *)(uintptr_t) "s", (char *)(uintptr_t)VALUE);
    run_rows(&f, rows, G_N_ELEMENTS(rows));
    g_autofree char *found = leaks(&f);
    g_assert_cmpstr(found, ==, "");

    /* another value is no other step */
    g_hash_table_insert(f.secrets, (char *)(uintptr_t) "s", (char *)(uintptr_t) "other");
    CHECK_OK(ops_fixture_build(&f, rows[1].dockerfile));
    g_assert_null(strstr(f.ran->str, "RUN"));

    /* and a step that keeps it would be found */
    g_hash_table_insert(f.secrets, (char *)(uintptr_t) "s", (char *)(uintptr_t)VALUE);
    CHECK_OK(ops_fixture_build(&f, RUN "--mount=type=secret,id=s cp /run/secrets/s /out"));
    g_autofree char *kept = leaks(&f);
    g_assert_cmpstr(kept, !=, "");
    ops_fixture_done(&f);
}

/* --- caches --- */

#define CACHE "--mount=type=cache,target=/c "

static void test_caches(void)
{
    static const struct row rows[] = {
        {"written", RUN CACHE "echo 1 >/c/f", 0, NULL, "test ! -e c/f; echo none", "none"},
        {"seen again", RUN CACHE "cp /c/f /out", 0, NULL, "cat out", "1"},
        {"by another id it is empty", RUN "--mount=type=cache,id=other,target=/c test ! -e /c/f", 0,
            NULL, NULL, NULL},
        {"one id at two places",
            RUN "--mount=type=cache,id=two,target=/a --mount=type=cache,id=two,target=/b "
                "echo x >/a/f; cp /b/f /out",
            0, NULL, "cat out", "x"},
        {"one id at two places, once locked",
            RUN "--mount=type=cache,id=two,target=/a --mount=type=cache,id=two,target=/b,"
                "sharing=locked cat /a/f /b/f >/out",
            0, NULL, "cat out", "x\nx"},
        {"a failing step keeps it", RUN CACHE "echo 2 >/c/g; exit 1", COB_UNKNOWN, "*exit code: 1",
            NULL, NULL},
        {"so that the next one goes on", RUN CACHE "cat /c/f /c/g >/out", 0, NULL, "cat out",
            "1\n2"},
        {"owner and mode of a new one",
            RUN "--mount=type=cache,id=own,target=/c,uid=5,gid=6,mode=0700 stat -c '%a %u:%g' /c "
                ">/out",
            0, NULL, "cat out", "700 5:6"},
        {"which it keeps",
            RUN
            "--mount=type=cache,id=own,target=/c,uid=7,mode=0755 stat -c '%a %u:%g' /c >/out; :",
            0, NULL, "cat out", "700 5:6"},
        {"begins with what from= has",
            RUN "--mount=type=cache,id=seed,target=/c,from=other,source=/seed cat /c/s >/out; echo "
                "more >/c/more",
            0, NULL, "cat out", "seed"},
        {"but only once",
            RUN "--mount=type=cache,id=seed,target=/c,from=other,source=/seed rm /c/s; ls /c >/out",
            0, NULL, "cat out", "more"},
        {"nor again",
            RUN "--mount=type=cache,id=seed,target=/c,from=other,source=/seed ls /c >/out", 0, NULL,
            "cat out", "more"},
        {"read-only", RUN "--mount=type=cache,target=/c,readonly cat /c/f >/out; ! touch /c/f", 0,
            NULL, "cat out", "1"},
        {"a source that is not there",
            RUN "--mount=type=cache,id=x,target=/c,from=other,source=/no true", COB_NOT_FOUND,
            "mount /c: source /no: *", NULL, NULL},
    };
    struct ops_fixture f;

    if (!start(&f))
        return;
    ops_fixture_layer(&f, &f.other, "mkdir seed; echo seed >seed/s");
    run_rows(&f, rows, G_N_ELEMENTS(rows));
    ops_fixture_done(&f);
}

struct waiter {
    struct ops_fixture *f;
    struct cob_error *err;
};

static void *build_locked(void *data)
{
    struct waiter *waiter = data;

    waiter->err = ops_fixture_build(
        waiter->f, RUN "--mount=type=cache,id=apt,target=/c,sharing=locked echo got >/out");
    return NULL;
}

static bool wait_for_log(struct ops_fixture *f, const char *text)
{
    const gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
    bool is_in_time = true;

    g_mutex_lock(&f->lock);
    while (!strstr(f->log->str, text) && is_in_time)
        is_in_time = g_cond_wait_until(&f->news, &f->lock, end);
    bool is_there = strstr(f->log->str, text) != NULL;
    g_mutex_unlock(&f->lock);
    return is_there;
}

/* A pool of its own is to the kernel's locks what another process is. */
static void hold_apt(struct ops_fixture *f, struct cob_cachemount_pool **ret_pool,
    struct cob_cachemount_lease **ret_lease)
{
    const struct cob_cachemount_request request = {.id = "apt",
        .namespace = "",
        .sharing = COB_CACHEMOUNT_LOCKED,
        .mode = 0755,
        .user = "build 4f2a (RUN make)"};

    CHECK_OK(cob_cachemount_pool_open(f->store, NULL, NULL, ret_pool));
    CHECK_OK(cob_cachemount_try_acquire(*ret_pool, &request, ret_lease));
    g_assert_nonnull(*ret_lease);
}

static void test_waits_for_a_locked_cache(void)
{
    struct ops_fixture f;
    g_autoptr(cob_cachemount_pool) pool = NULL;
    g_autoptr(cob_cachemount_lease) lease = NULL;
    struct waiter waiter = {.f = &f};

    if (!start(&f))
        return;
    hold_apt(&f, &pool, &lease);
    GThread *thread = g_thread_new("waiter", build_locked, &waiter);
    g_assert_true(
        wait_for_log(&f, "waiting for cache mount \"apt\", held by build 4f2a (RUN make)\n"));
    g_clear_pointer(&lease, cob_cachemount_release);
    g_thread_join(thread);
    CHECK_OK(waiter.err);
    g_autofree char *got = ops_fixture_look(&f, "cat out");
    g_assert_cmpstr(got, ==, "got");
    g_clear_pointer(&pool, cob_cachemount_pool_free);
    ops_fixture_done(&f);
}

static void test_waiting_can_be_stopped(void)
{
    struct ops_fixture f;
    g_autoptr(cob_cachemount_pool) pool = NULL;
    g_autoptr(cob_cachemount_lease) lease = NULL;
    struct waiter waiter = {.f = &f};

    if (!start(&f))
        return;
    hold_apt(&f, &pool, &lease);
    CHECK_OK(cob_cancel_new(&f.cancel));
    GThread *thread = g_thread_new("waiter", build_locked, &waiter);
    g_assert_true(wait_for_log(&f, "waiting for cache mount"));
    cob_cancel_trigger(f.cancel);
    g_thread_join(thread);
    CHECK_ERROR(waiter.err, COB_CANCELLED, "*");
    g_clear_pointer(&f.cancel, cob_cancel_unref);
    g_clear_pointer(&lease, cob_cachemount_release);
    g_clear_pointer(&pool, cob_cachemount_pool_free);
    ops_fixture_done(&f);
}

/* --- binds --- */

static void test_binds(void)
{
    static const struct row rows[] = {
        {"the context", RUN "--mount=target=/m cat /m/a /m/d/x >/out; ! touch /m/a", 0, NULL,
            "cat out; test ! -e m/a", "a\nx"},
        {"a directory of it, and nothing else", RUN "--mount=target=/m,source=d ls /m >/out", 0,
            NULL, "cat out", "l\nsub\nx"},
        {"a file of it", RUN "--mount=target=/m/f,source=a cat /m/f >/out", 0, NULL, "cat out",
            "a"},
        {"through a symlink", RUN "--mount=target=/m,source=l ls /m >/out", 0, NULL, "cat out",
            "l\nsub\nx"},
        {"two steps, and two mounts of one step",
            "FROM base\nRUN --network=none --mount=target=/m,source=d --mount=target=/n,source=d "
            "cat "
            "/m/x /n/x >/out\nRUN --network=none --mount=target=/m,source=d cat /m/x >>/out\n",
            0, NULL, "cat out", "x\nx\nx"},
        {"what is written is dropped",
            "FROM base\nRUN --network=none --mount=target=/m,rw rm /m/a; echo 2 >/m/d/x\n"
            "RUN --network=none --mount=target=/m cat /m/a /m/d/x >/out\n",
            0, NULL, "cat out", "a\nx"},
        {"an image", RUN "--mount=from=other,source=/seed,target=/m cat /m/s >/out", 0, NULL,
            "cat out", "seed"},
        {"an image, to be written",
            RUN "--mount=from=other,target=/m,rw rm /m/seed/s; ls /m/seed >/out", 0, NULL,
            "cat out", ""},
        {"what is not there", RUN "--mount=target=/m,source=nope true", COB_NOT_FOUND,
            "failed to compute cache key: *\"/nope\": not found", NULL, NULL},
    };
    struct ops_fixture f;

    if (!start(&f))
        return;
    ops_fixture_layer(&f, &f.other, "mkdir seed; echo seed >seed/s");
    ops_fixture_context(&f, "mkdir -p d/sub; echo a >a; echo x >d/x; ln -s ../a d/l; ln -s d l");
    run_rows(&f, rows, G_N_ELEMENTS(rows));
    g_autofree char *path = g_build_filename(f.scratch, "context/d/x", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "x\n");
    ops_fixture_done(&f);
}

/* What a step binds is part of its key, and no more of the context is. */
static void test_key_of_a_bind(void)
{
    static const char step[] = RUN "--mount=target=/m,source=d cat /m/x >/out";
    struct ops_fixture f;

    if (!start(&f))
        return;
    ops_fixture_context(&f, "mkdir -p d; echo a >a; echo x >d/x");
    CHECK_OK(ops_fixture_build(&f, step));
    ops_fixture_context(&f, "echo b >a");
    CHECK_OK(ops_fixture_build(&f, step));
    g_assert_null(strstr(f.ran->str, "RUN"));
    ops_fixture_context(&f, "echo yy >d/x");
    CHECK_OK(ops_fixture_build(&f, step));
    g_assert_nonnull(strstr(f.ran->str, "RUN"));
    g_autofree char *got = ops_fixture_look(&f, "cat out");
    g_assert_cmpstr(got, ==, "yy");
    ops_fixture_done(&f);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/step-mounts/secrets", test_secrets);
    g_test_add_func("/step-mounts/caches", test_caches);
    g_test_add_func("/step-mounts/waits-for-a-locked-cache", test_waits_for_a_locked_cache);
    g_test_add_func("/step-mounts/waiting-can-be-stopped", test_waiting_can_be_stopped);
    g_test_add_func("/step-mounts/binds", test_binds);
    g_test_add_func("/step-mounts/key-of-a-bind", test_key_of_a_bind);
    return g_test_run();
}
