/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "build/history/history_parts.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/limits.h"

#define MAX_FILE_BYTES (2 * COB_LIMIT_HISTORY_BYTES) /* the limit is looked at before a line */

static void step_free(void *data)
{
    struct cob_history_step *step = data;

    g_free(step->digest);
    g_free(step->name);
    g_free(step->error);
    g_ptr_array_unref(step->reasons);
    g_free(step);
}

void cob_history_build_free(struct cob_history_build *build)
{
    if (!build)
        return;
    g_free(build->id);
    g_free(build->file_name);
    json_decref(build->about);
    json_decref(build->result);
    g_free(build->message);
    g_free(build->error_text);
    if (build->steps)
        g_ptr_array_unref(build->steps);
    g_free(build);
}

const char *cob_history_status_word(enum cob_history_status status)
{
    static const char *const words[] = {[COB_HISTORY_RUNNING] = "Running",
        [COB_HISTORY_COMPLETED] = "Completed",
        [COB_HISTORY_ERROR] = "Error",
        [COB_HISTORY_CANCELED] = "Canceled"};

    return words[status];
}

/* --- lines --- */

/* A record that is open: its lines come one after the other. */
struct lines {
    GBytes *bytes;
    const char *at, *end;
};

/* The next line; NULL: there is no more, or it was cut off. The caller decrefs it. */
static json_t *next_line(struct lines *lines)
{
    const size_t left = (size_t)(lines->end - lines->at);
    const char *newline = left > 0 ? memchr(lines->at, '\n', left) : NULL;
    json_t *line = NULL;

    if (!newline)
        return NULL;
    cob_error_free(cob_json_parse(lines->at, (size_t)(newline - lines->at), "record", &line));
    lines->at = newline + 1;
    return line;
}

static struct cob_error *open_lines(int fd, off_t from, struct lines *lines)
{
    gsize len;

    if (lseek(fd, from, SEEK_SET) < 0)
        return cob_fail_errno(errno, "seek in a build's record");
    COB_TRY(cob_fs_read_fd(fd, MAX_FILE_BYTES, &lines->bytes));
    lines->at = g_bytes_get_data(lines->bytes, &len);
    lines->end = lines->at + len;
    return NULL;
}

/* --- steps --- */

static struct cob_history_step *find_step(
    struct cob_history_build *build, GHashTable *by_digest, const char *digest)
{
    struct cob_history_step *step = g_hash_table_lookup(by_digest, digest);

    if (!step) {
        step = g_new(struct cob_history_step, 1);
        *step = (struct cob_history_step){.digest = g_strdup(digest),
            .name = g_strdup(""),
            .reasons = g_ptr_array_new_with_free_func(g_free)};
        g_ptr_array_add(build->steps, step);
        g_hash_table_insert(by_digest, step->digest, step);
    }
    return step;
}

static void note_vertex(
    struct cob_history_build *build, GHashTable *by_digest, const json_t *object)
{
    struct cob_history_step *step = find_step(build, by_digest, history_text(object, "digest"));
    const char *error = json_string_value(json_object_get(object, "error"));

    g_free(step->name);
    g_free(step->error);
    step->name = g_strdup(history_text(object, "name"));
    step->error = g_strdup(error);
    step->number = (int)history_number(object, "number");
    step->started_us = history_number(object, "started_us");
    step->completed_us = history_number(object, "completed_us");
    step->is_cached = json_is_true(json_object_get(object, "cached"));
}

static int by_number(const void *a, const void *b)
{
    const struct cob_history_step *one = *(struct cob_history_step *const *)a;
    const struct cob_history_step *other = *(struct cob_history_step *const *)b;

    return (one->number > other->number) - (one->number < other->number);
}

/* --- a build --- */

static void note_begin(struct cob_history_build *build, const json_t *begin)
{
    json_t *about = json_object_get(begin, "about");

    build->id = g_strdup(history_text(begin, "id"));
    build->about = json_is_object(about) ? json_incref(about) : json_object();
    build->started_us = history_number(begin, "started_us");
}

static void note_end(struct cob_history_build *build, const json_t *end)
{
    build->completed_us = history_number(end, "completed_us");
    build->code = (int)history_number(end, "code");
    build->status = build->code == 0               ? COB_HISTORY_COMPLETED
                    : build->code == COB_CANCELLED ? COB_HISTORY_CANCELED
                                                   : COB_HISTORY_ERROR;
    build->message = g_strdup(json_string_value(json_object_get(end, "message")));
    build->error_text = g_strdup(json_string_value(json_object_get(end, "text")));
    build->n_total = (unsigned)history_number(end, "n_total");
    build->n_completed = (unsigned)history_number(end, "n_completed");
    build->n_cached = (unsigned)history_number(end, "n_cached");
    build->n_warnings = (unsigned)history_number(end, "n_warnings");
    if (json_is_object(json_object_get(end, "result")))
        build->result = json_incref(json_object_get(end, "result"));
}

/* Without an end: it runs, or nobody lives who could write one. */
static struct cob_error *note_no_end(struct cob_history_build *build, int fd)
{
    struct stat st;

    for (guint i = 0; i < build->steps->len; i++) {
        const struct cob_history_step *step = g_ptr_array_index(build->steps, i);

        build->n_completed += step->completed_us != 0;
        build->n_cached += step->is_cached;
    }
    build->n_total = build->steps->len;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
        build->status = COB_HISTORY_RUNNING;
        return NULL;
    }
    if (fstat(fd, &st) < 0)
        return cob_fail_errno(errno, "stat a build's record");
    build->status = COB_HISTORY_ERROR;
    build->code = COB_UNKNOWN;
    build->message = g_strdup("the build was killed");
    build->completed_us = MAX(
        (int64_t)st.st_mtim.tv_sec * G_USEC_PER_SEC + st.st_mtim.tv_nsec / 1000, build->started_us);
    return NULL;
}

static struct cob_error *read_all(int fd, struct cob_history_build *build)
{
    g_autoptr(GHashTable) by_digest = g_hash_table_new(g_str_hash, g_str_equal);
    struct lines lines = {0};
    bool has_end = false;
    json_t *line;

    build->steps = g_ptr_array_new_with_free_func(step_free);
    COB_TRY(open_lines(fd, 0, &lines));
    while ((line = next_line(&lines))) {
        const json_t *object;

        if ((object = json_object_get(line, "begin")) && !build->id)
            note_begin(build, object);
        else if ((object = json_object_get(line, "vertex")))
            note_vertex(build, by_digest, object);
        else if ((object = json_object_get(line, "reason")))
            g_ptr_array_add(find_step(build, by_digest, history_text(object, "vertex"))->reasons,
                g_strdup(history_text(object, "text")));
        else if ((object = json_object_get(line, "end")) && !has_end) {
            note_end(build, object);
            has_end = true;
        }
        json_decref(line);
    }
    g_bytes_unref(lines.bytes);
    g_ptr_array_sort(build->steps, by_number);
    if (!build->id)
        return cob_fail(COB_DATA_LOSS, "a build's record has no beginning");
    return has_end ? NULL : note_no_end(build, fd);
}

static struct cob_error *open_record(struct cob_store *store, const char *file_name, int *ret_fd)
{
    cob_autoclose int dir_fd = -1;

    COB_TRY(history_open_dir(store, &dir_fd));
    return cob_wrap(cob_open_beneath(dir_fd, file_name, O_RDONLY | O_NOFOLLOW, 0, ret_fd),
        "history: %s", file_name);
}

struct cob_error *cob_history_load(
    struct cob_store *store, const char *file_name, struct cob_history_build **ret_build)
{
    g_autoptr(cob_history_build) build = g_new0(struct cob_history_build, 1);
    cob_autoclose int fd = -1;

    build->file_name = g_strdup(file_name);
    COB_TRY(open_record(store, file_name, &fd));
    COB_TRY(read_all(fd, build));
    *ret_build = g_steal_pointer(&build);
    return NULL;
}

/* --- outlines --- */

/* The first line, and the last one if it is an end: all that a list shows. */
static bool read_ends(int fd, struct cob_history_build *build)
{
    g_autofree char *buffer = g_malloc(COB_LIMIT_HISTORY_LINE_BYTES);
    struct stat st;
    ssize_t n = pread(fd, buffer, COB_LIMIT_HISTORY_LINE_BYTES, 0);
    struct lines lines = {.at = buffer, .end = buffer + MAX(n, 0)};
    json_auto_t *first = next_line(&lines);
    json_auto_t *last = NULL;

    if (!json_object_get(first, "begin") || fstat(fd, &st) < 0)
        return false;
    note_begin(build, json_object_get(first, "begin"));
    n = pread(fd, buffer, COB_LIMIT_HISTORY_LINE_BYTES,
        MAX(0, st.st_size - (off_t)COB_LIMIT_HISTORY_LINE_BYTES));
    if (n < 2 || buffer[n - 1] != '\n')
        return false;
    const char *before = memrchr(buffer, '\n', (size_t)n - 1);
    lines = (struct lines){.at = before ? before + 1 : buffer, .end = buffer + n};
    last = next_line(&lines);
    if (!json_object_get(last, "end"))
        return false;
    note_end(build, json_object_get(last, "end"));
    return true;
}

struct cob_error *history_outline(
    int dir_fd, const char *file_name, struct cob_history_build **ret_build)
{
    g_autoptr(cob_history_build) build = g_new0(struct cob_history_build, 1);
    cob_autoclose int fd = -1;

    COB_TRY(cob_open_beneath(dir_fd, file_name, O_RDONLY | O_NOFOLLOW, 0, &fd));
    if (!read_ends(fd, build)) {
        cob_history_build_free(build);
        build = g_new0(struct cob_history_build, 1);
        COB_TRY(read_all(fd, build));
        g_clear_pointer(&build->steps, g_ptr_array_unref);
    }
    build->file_name = g_strdup(file_name);
    *ret_build = g_steal_pointer(&build);
    return NULL;
}

struct cob_error *cob_history_replay(struct cob_store *store, const struct cob_history_build *build,
    const struct cob_observer *observer)
{
    cob_autoclose int fd = -1;
    struct lines lines = {0};
    json_t *line;

    COB_TRY(open_record(store, build->file_name, &fd));
    COB_TRY(open_lines(fd, 0, &lines));
    while ((line = next_line(&lines))) {
        history_tell(line, observer);
        json_decref(line);
    }
    g_bytes_unref(lines.bytes);
    return NULL;
}
