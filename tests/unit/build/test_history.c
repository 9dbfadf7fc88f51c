/* SPDX-License-Identifier: Apache-2.0 */
#include "build/history/history.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

/* A store, and an observer that notes what it hears in short words. */
struct fixture {
    char *path;
    struct cob_store *store;
    GString *heard;
    struct cob_observer observer;
};

static void hear_vertex(void *arg, const struct cob_event_vertex *event)
{
    g_string_append_printf(arg, "v%s#%d%s%s%s ", event->digest, event->number,
        event->started_us ? "s" : "", event->completed_us ? "c" : "", event->is_cached ? "*" : "");
}

static void hear_status(void *arg, const struct cob_event_status *event)
{
    g_string_append_printf(arg, "s%s:%d ", event->id, (int)event->current);
}

static void hear_log(void *arg, const struct cob_event_log *event)
{
    g_string_append_printf(
        arg, "l%d:%.*s ", event->stream, (int)event->len, (const char *)event->data);
}

static void hear_warning(void *arg, const struct cob_event_warning *event)
{
    g_string_append_printf(arg, "%s:%s ", event->is_reason ? "why" : "w", event->text);
}

static void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.path = check_scratch_new(), .heard = g_string_new(NULL)};
    CHECK_OK(cob_store_open(fixture->path, &fixture->store));
    fixture->observer =
        (struct cob_observer){fixture->heard, hear_vertex, hear_status, hear_log, hear_warning};
}

static void fixture_done(struct fixture *fixture)
{
    cob_store_close(fixture->store);
    check_scratch_free(fixture->path);
    g_string_free(fixture->heard, TRUE);
}

static struct cob_history_writer *begin(struct fixture *fixture, const char *name)
{
    json_auto_t *about = json_pack("{s:s}", "name", name);

    return cob_history_begin(fixture->store, about, &fixture->observer);
}

static void tell_vertex(struct cob_history_writer *writer, const char *digest, int64_t started_us,
    int64_t completed_us, bool is_cached)
{
    const struct cob_observer *observer = cob_history_observer(writer);

    observer->vertex(observer->arg, &(struct cob_event_vertex){.digest = digest,
                                        .name = digest,
                                        .started_us = started_us,
                                        .completed_us = completed_us,
                                        .is_cached = is_cached});
}

static void tell_log(struct cob_history_writer *writer, const char *data, size_t len)
{
    const struct cob_observer *observer = cob_history_observer(writer);

    observer->log(observer->arg,
        &(struct cob_event_log){.vertex = "b", .stream = 2, .data = data, .len = len, .at_us = 5});
}

/* All kinds of events. */
static void tell_all(struct cob_history_writer *writer)
{
    const struct cob_observer *observer = cob_history_observer(writer);

    cob_history_expect(writer, "c");
    tell_vertex(writer, "a", 1, 1, true);
    tell_vertex(writer, "b", 0, 0, false);
    tell_vertex(writer, "b", 2, 0, false);
    cob_history_reason(writer, "b", "never built here");
    tell_log(writer, "text", 4);
    tell_log(writer, "\xff\n", 2);
    observer->status(observer->arg,
        &(struct cob_event_status){.vertex = "b", .id = "x", .current = 1, .started_us = 1});
    observer->status(observer->arg,
        &(struct cob_event_status){
            .vertex = "b", .id = "x", .current = 2, .started_us = 1, .completed_us = 2});
    observer->warning(observer->arg, &(struct cob_event_warning){.vertex = "b", .text = "careful"});
    tell_vertex(writer, "b", 2, 9, false);
}

static void test_round_trip(void)
{
    struct fixture fixture;
    struct cob_history_writer *writer;
    g_autoptr(cob_history_build) build = NULL;
    json_auto_t *result = json_pack("{s:s}", "image_id", "sha256:1");

    fixture_init(&fixture);
    writer = begin(&fixture, "one");
    g_autofree char *id = g_strdup(cob_history_id(writer));
    tell_all(writer);
    g_assert_cmpint(cob_history_number(writer, "a"), ==, 1);
    g_assert_cmpint(cob_history_number(writer, "b"), ==, 2);
    g_assert_cmpint(cob_history_number(writer, "c"), ==, 0);
    g_assert_cmpint(cob_history_number(writer, "d"), ==, 0);
    g_assert_cmpstr(
        fixture.heard->str, ==, "va#1sc* vb#0 vb#2s l2:text l2:\xff\n sx:1 sx:2 w:careful vb#2sc ");
    cob_history_end(writer, NULL, result);

    CHECK_OK(cob_history_find(fixture.store, NULL, &build));
    g_assert_cmpstr(build->id, ==, id);
    g_assert_cmpuint(strlen(id), ==, 25);
    g_assert_cmpint(build->status, ==, COB_HISTORY_COMPLETED);
    g_assert_cmpstr(json_string_value(json_object_get(build->about, "name")), ==, "one");
    g_assert_cmpstr(json_string_value(json_object_get(build->result, "image_id")), ==, "sha256:1");
    g_assert_cmpuint(build->n_total, ==, 3);
    g_assert_cmpuint(build->n_completed, ==, 2);
    g_assert_cmpuint(build->n_cached, ==, 1);
    g_assert_cmpuint(build->n_warnings, ==, 1);
    g_assert_cmpuint(build->steps->len, ==, 2);
    const struct cob_history_step *step = g_ptr_array_index(build->steps, 1);
    g_assert_cmpint(step->number, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(step->reasons, 0), ==, "never built here");

    g_string_truncate(fixture.heard, 0);
    CHECK_OK(cob_history_replay(fixture.store, build, &fixture.observer));
    g_assert_cmpstr(fixture.heard->str, ==,
        "va#1sc* vb#0 vb#2s why:never built here l2:text l2:\xff\n sx:2 w:careful vb#2sc ");
    fixture_done(&fixture);
}

static void test_ends(void)
{
    const struct {
        enum cob_code code; /* 0: well */
        enum cob_history_status want;
        const char *word;
    } rows[] = {{0, COB_HISTORY_COMPLETED, "Completed"},
        {COB_CANCELLED, COB_HISTORY_CANCELED, "Canceled"},
        {COB_NOT_FOUND, COB_HISTORY_ERROR, "Error"}};
    struct fixture fixture;

    fixture_init(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_history_writer *writer = begin(&fixture, "x");
        g_autoptr(cob_error) err =
            rows[i].code ? cob_fail(rows[i].code, "file %s", "caf\xe9") : NULL;
        g_autoptr(cob_history_build) build = NULL;

        cob_history_end(writer, err, NULL);
        CHECK_OK(cob_history_find(fixture.store, NULL, &build));
        g_assert_cmpint(build->status, ==, rows[i].want);
        g_assert_cmpint(build->code, ==, (int)rows[i].code);
        g_assert_cmpstr(cob_history_status_word(build->status), ==, rows[i].word);
        check_row(build->status == rows[i].want, i, rows[i].word);
    }
    fixture_done(&fixture);
}

/* What stands in the file of a build that was cut off at any byte, as by kill -9 or a lost disk. */
static void test_cut_off(void)
{
    struct fixture fixture;
    struct cob_history_writer *writer;
    g_autoptr(cob_history_build) whole = NULL;
    g_autofree char *path = NULL, *bytes = NULL;
    gsize len = 0;

    fixture_init(&fixture);
    writer = begin(&fixture, "x");
    tell_all(writer);
    cob_history_end(writer, NULL, NULL);
    CHECK_OK(cob_history_find(fixture.store, NULL, &whole));
    path = g_build_filename(fixture.path, "history", whole->file_name, NULL);
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    for (gsize cut = 0; cut < len; cut++) {
        g_autoptr(GPtrArray) builds = NULL;

        g_assert_cmpint(truncate(path, 0), ==, 0);
        g_assert_true(g_file_set_contents(path, bytes, (gssize)cut, NULL));
        CHECK_OK(cob_history_list(fixture.store, &builds));
        g_assert_cmpuint(builds->len, ==, cut > (gsize)(strchr(bytes, '\n') - bytes) ? 1 : 0);
        if (builds->len == 0)
            continue;
        const struct cob_history_build *build = g_ptr_array_index(builds, 0);
        g_assert_cmpint(build->status, ==, COB_HISTORY_ERROR);
        g_assert_cmpstr(build->message, ==, "the build was killed");
    }
    fixture_done(&fixture);
}

static void test_running(void)
{
    struct fixture fixture;
    struct cob_history_writer *older, *writer;
    g_autoptr(GPtrArray) builds = NULL;
    g_autoptr(GPtrArray) left = NULL;
    const struct cob_history_limits none = {.max_age_s = 3600, .max_entries = 0};

    fixture_init(&fixture);
    older = begin(&fixture, "older");
    tell_vertex(older, "a", 1, 0, false);
    writer = begin(&fixture, "newer");
    cob_history_end(writer, NULL, NULL);
    CHECK_OK(cob_history_list(fixture.store, &builds));
    g_assert_cmpuint(builds->len, ==, 2);
    const struct cob_history_build *first = g_ptr_array_index(builds, 0);
    g_assert_cmpint(first->status, ==, COB_HISTORY_RUNNING); /* before the newer one */
    CHECK_ERROR(cob_history_remove(fixture.store, first), COB_PRECONDITION, "build * runs");
    CHECK_OK(cob_history_trim(fixture.store, &none, NULL));
    CHECK_OK(cob_history_list(fixture.store, &left));
    g_assert_cmpuint(left->len, ==, 1);
    cob_history_end(older, NULL, NULL);
    fixture_done(&fixture);
}

static void test_names(void)
{
    struct fixture fixture;
    char *ids[3];

    fixture_init(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        struct cob_history_writer *writer = begin(&fixture, "x");

        ids[i] = g_strdup(cob_history_id(writer));
        cob_history_end(writer, NULL, NULL);
    }
    g_autofree char *ref = g_strconcat("default/default/", ids[0], NULL);
    g_autofree char *prefix = g_strndup(ids[1], 12);
    const struct {
        const char *name, *want; /* NULL: an error */
    } rows[] = {{NULL, ids[2]}, {"^0", ids[2]}, {"^1", ids[1]}, {"^2", ids[0]}, {"^3", NULL},
        {"^", NULL}, {"^x", NULL}, {"^-1", NULL}, {ids[0], ids[0]}, {ref, ids[0]}, {prefix, ids[1]},
        {"", NULL}, {"/", NULL}, {"nothing", NULL}, {"../../etc/passwd", NULL}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_history_build) build = NULL;
        g_autoptr(cob_error) err = cob_history_find(fixture.store, rows[i].name, &build);

        g_assert_true((err == NULL) == (build != NULL));
        g_assert_cmpstr(build ? build->id : NULL, ==, rows[i].want);
        check_row((build != NULL) == (rows[i].want != NULL), i, rows[i].name);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
        g_free(ids[i]);
    fixture_done(&fixture);
}

static void test_limits(void)
{
    struct fixture fixture;
    const struct cob_history_limits many = {.max_age_s = 3600, .max_entries = 5};
    const struct cob_history_limits old = {.max_age_s = 0, .max_entries = 5};
    unsigned n_removed = 0;

    fixture_init(&fixture);
    for (int i = 0; i < 8; i++)
        cob_history_end(begin(&fixture, "x"), NULL, NULL);
    CHECK_OK(cob_history_trim(fixture.store, &many, &n_removed));
    g_assert_cmpuint(n_removed, ==, 3);
    CHECK_OK(cob_history_trim(fixture.store, &many, &n_removed));
    g_assert_cmpuint(n_removed, ==, 0);
    CHECK_OK(cob_history_trim(fixture.store, &old, &n_removed));
    g_assert_cmpuint(n_removed, ==, 5);
    fixture_done(&fixture);
}

/* A folder that cannot be written costs the record, never the build. */
static void test_no_folder(void)
{
    struct fixture fixture;
    g_autofree char *path = NULL;
    struct cob_history_writer *writer;

    fixture_init(&fixture);
    path = g_build_filename(fixture.path, "history", NULL);
    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    writer = begin(&fixture, "x");
    tell_all(writer);
    g_assert_cmpint(cob_history_number(writer, "b"), ==, 2);
    cob_history_end(writer, NULL, NULL);
    fixture_done(&fixture);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/history/round-trip", test_round_trip);
    g_test_add_func("/history/ends", test_ends);
    g_test_add_func("/history/cut-off", test_cut_off);
    g_test_add_func("/history/running", test_running);
    g_test_add_func("/history/names", test_names);
    g_test_add_func("/history/limits", test_limits);
    g_test_add_func("/history/no-folder", test_no_folder);
    return g_test_run();
}
