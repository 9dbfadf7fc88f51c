/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "build/history/history_parts.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/log.h"

#define FLUSH_BYTES (32 * (gsize)1024)
#define IMPORT_NAME "importing cache manifest from " /* build/remotecache */
#define MIN_HIDDEN_BYTES 4
#define CLIPPED "\n[output clipped, log limit 2MiB reached]\n"

/* What is known of a step while it is recorded. */
struct recorded {
    int number; /* 0: it did not start */
    bool is_completed, is_cached, is_clipped;
    char *import;     /* where a cache is read from; NULL: it is another step */
    uint64_t n_bytes; /* that it printed */
};

struct cob_history_writer {
    const struct cob_observer *next;
    struct cob_observer observer;
    char *id;

    GMutex lock;       /* guards all below */
    GHashTable *steps; /* digest -> struct recorded, owned */
    GPtrArray *hidden; /* char *, owned: what is not to be kept */
    char *failed_import;
    int n_started;
    unsigned n_warnings;
    int fd;           /* -1: it could not be made, or the disk is full */
    GString *out;     /* to be written */
    uint64_t n_bytes; /* of the file */
};

/* --- the file --- */

/* A disk that is full ends the record, not the build. */
static void flush_locked(struct cob_history_writer *writer)
{
    struct cob_error *err = NULL;

    if (writer->fd >= 0 && writer->out->len > 0)
        err = cob_fs_write_fd(writer->fd, writer->out->str, writer->out->len);
    if (err) {
        cob_trace(1, "the build's record ends here");
        cob_error_free(err);
        close(g_steal_fd(&writer->fd));
    }
    writer->n_bytes += writer->out->len;
    g_string_truncate(writer->out, 0);
}

static char *new_id(void)
{
    g_autofree char *one = cob_fs_draft_name(""), *other = cob_fs_draft_name("");
    g_autofree char *both = g_strconcat(one, other, NULL);

    both[HISTORY_ID_CHARS] = '\0';
    return g_ascii_strdown(both, -1);
}

struct cob_error *history_open_dir(struct cob_store *store, int *ret_fd)
{
    return cob_wrap(
        cob_fs_make_dirs(cob_store_root_fd(store), HISTORY_DIR, 0700, ret_fd), "history");
}

/* Locked and with its first line before it has its name. */
static struct cob_error *open_file(
    struct cob_history_writer *writer, struct cob_store *store, int64_t started_us)
{
    g_autofree char *name = g_strdup_printf("%016" PRId64 "-%s", started_us, writer->id);
    g_autofree char *draft = g_strconcat(".", name, NULL);
    cob_autoclose int dir_fd = -1;
    cob_autoclose int fd = -1;

    COB_TRY(history_open_dir(store, &dir_fd));
    fd = openat(dir_fd, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cob_fail_errno(errno, "create a build's record");
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return cob_fail_errno(errno, "lock a build's record");
    struct cob_error *err = cob_fs_write_fd(fd, writer->out->str, writer->out->len);
    if (!err && renameat(dir_fd, draft, dir_fd, name) < 0)
        err = cob_fail_errno(errno, "rename a build's record");
    if (err) {
        unlinkat(dir_fd, draft, 0);
        return err;
    }
    g_string_truncate(writer->out, 0);
    writer->fd = g_steal_fd(&fd);
    return NULL;
}

/* --- what is not kept --- */

void cob_history_hide(struct cob_history_writer *writer, const char *text)
{
    g_mutex_lock(&writer->lock);
    if (strlen(text) >= MIN_HIDDEN_BYTES)
        g_ptr_array_add(writer->hidden, g_strdup(text));
    g_mutex_unlock(&writer->lock);
}

/* The text without what is hidden. The caller frees it; NULL of NULL. */
static char *masked_locked(const struct cob_history_writer *writer, const char *text)
{
    g_autoptr(GString) out = NULL;

    if (!text || writer->hidden->len == 0)
        return g_strdup(text);
    out = g_string_new(text);
    for (guint i = 0; i < writer->hidden->len; i++)
        g_string_replace(out, g_ptr_array_index(writer->hidden, i), "***", 0);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

/* --- events --- */

static void recorded_free(void *data)
{
    struct recorded *step = data;

    g_free(step->import);
    g_free(step);
}

static struct recorded *step_locked(struct cob_history_writer *writer, const char *digest)
{
    struct recorded *step = g_hash_table_lookup(writer->steps, digest);

    if (!step) {
        step = g_new0(struct recorded, 1);
        g_hash_table_insert(writer->steps, g_strdup(digest), step);
    }
    return step;
}

static bool is_full_locked(const struct cob_history_writer *writer)
{
    return writer->n_bytes + writer->out->len > COB_LIMIT_HISTORY_BYTES;
}

static void put_vertex_locked(
    struct cob_history_writer *writer, const struct cob_event_vertex *event)
{
    g_autofree char *name = masked_locked(writer, event->name);
    g_autofree char *error = masked_locked(writer, event->error);
    struct cob_event_vertex kept = *event;

    kept.name = name;
    kept.error = error;
    history_put_vertex(writer->out, &kept);
}

static void on_vertex(void *arg, const struct cob_event_vertex *event)
{
    struct cob_history_writer *writer = arg;
    struct cob_event_vertex numbered = *event;

    g_mutex_lock(&writer->lock);
    struct recorded *step = step_locked(writer, event->digest);
    if (event->started_us && step->number == 0)
        step->number = ++writer->n_started;
    step->is_completed |= event->completed_us != 0;
    step->is_cached = event->is_cached;
    if (!step->import && g_str_has_prefix(event->name, IMPORT_NAME))
        step->import = g_strdup(event->name + strlen(IMPORT_NAME));
    numbered.number = step->number;
    put_vertex_locked(writer, &numbered);
    if ((event->started_us && !event->completed_us) || event->error ||
        writer->out->len > FLUSH_BYTES)
        flush_locked(writer);
    g_mutex_unlock(&writer->lock);
    writer->next->vertex(writer->next->arg, &numbered);
}

/* Only ends are kept: what is underway is of interest while it is. */
static void on_status(void *arg, const struct cob_event_status *event)
{
    struct cob_history_writer *writer = arg;

    g_mutex_lock(&writer->lock);
    if (event->completed_us && !is_full_locked(writer))
        history_put_status(writer->out, event);
    g_mutex_unlock(&writer->lock);
    writer->next->status(writer->next->arg, event);
}

static void put_log_locked(struct cob_history_writer *writer, const struct cob_event_log *event)
{
    struct recorded *step = step_locked(writer, event->vertex);
    struct cob_event_log clipped = *event;

    if (step->is_clipped)
        return;
    if (step->n_bytes + event->len > COB_LIMIT_HISTORY_STEP_BYTES || is_full_locked(writer)) {
        step->is_clipped = true;
        clipped.data = CLIPPED;
        clipped.len = strlen(CLIPPED);
    }
    step->n_bytes += clipped.len;
    history_put_log(writer->out, &clipped);
    flush_locked(writer);
}

static void on_log(void *arg, const struct cob_event_log *event)
{
    struct cob_history_writer *writer = arg;

    g_mutex_lock(&writer->lock);
    put_log_locked(writer, event);
    g_mutex_unlock(&writer->lock);
    writer->next->log(writer->next->arg, event);
}

static void on_warning(void *arg, const struct cob_event_warning *event)
{
    struct cob_history_writer *writer = arg;

    g_mutex_lock(&writer->lock);
    writer->n_warnings += !event->is_reason;
    if (event->vertex && !event->is_reason && !writer->failed_import)
        writer->failed_import = g_strdup(step_locked(writer, event->vertex)->import);
    if (!event->is_reason && !is_full_locked(writer))
        history_put_warning(writer->out, event);
    g_mutex_unlock(&writer->lock);
    writer->next->warning(writer->next->arg, event);
}

/* --- begin, end --- */

struct cob_history_writer *cob_history_begin(
    struct cob_store *store, json_t *about, const struct cob_observer *next)
{
    struct cob_history_writer *writer = g_new(struct cob_history_writer, 1);
    const int64_t now_us = g_get_real_time();

    *writer = (struct cob_history_writer){
        .next = next,
        .observer = {writer, on_vertex, on_status, on_log, on_warning},
        .id = new_id(),
        .steps = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, recorded_free),
        .hidden = g_ptr_array_new_with_free_func(g_free),
        .fd = -1,
        .out = g_string_new(NULL),
    };
    g_mutex_init(&writer->lock);
    history_put(writer->out, "begin",
        json_pack("{s:s, s:I, s:i, s:O}", "id", writer->id, "started_us", (json_int_t)now_us, "pid",
            (int)getpid(), "about", about));
    struct cob_error *err = open_file(writer, store, now_us);
    if (err) {
        g_autofree char *message = cob_error_message(err);

        cob_trace(1, "no record of this build: %s", message);
        cob_error_free(err);
    }
    return writer;
}

const struct cob_observer *cob_history_observer(struct cob_history_writer *writer)
{
    return &writer->observer;
}

const char *cob_history_id(const struct cob_history_writer *writer)
{
    return writer->id;
}

int cob_history_number(struct cob_history_writer *writer, const char *digest)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&writer->lock);
    const struct recorded *step = g_hash_table_lookup(writer->steps, digest);

    (void)locker;
    return step ? step->number : 0;
}

char *cob_history_failed_import(struct cob_history_writer *writer)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&writer->lock);

    (void)locker;
    return g_strdup(writer->failed_import);
}

void cob_history_expect(struct cob_history_writer *writer, const char *digest)
{
    g_mutex_lock(&writer->lock);
    step_locked(writer, digest);
    g_mutex_unlock(&writer->lock);
}

void cob_history_reason(struct cob_history_writer *writer, const char *digest, const char *text)
{
    g_mutex_lock(&writer->lock);
    history_put_reason(writer->out, digest, text);
    g_mutex_unlock(&writer->lock);
}

static void put_end(struct cob_history_writer *writer, const struct cob_error *err, json_t *result)
{
    json_t *end = json_pack("{s:I, s:i, s:i, s:O?}", "completed_us", (json_int_t)g_get_real_time(),
        "n_total", (int)g_hash_table_size(writer->steps), "n_warnings", (int)writer->n_warnings,
        "result", result);
    int n_completed = 0, n_cached = 0;
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, writer->steps);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        n_completed += ((const struct recorded *)value)->is_completed;
        n_cached += ((const struct recorded *)value)->is_cached;
    }
    json_object_set_new(end, "n_completed", json_integer(n_completed));
    json_object_set_new(end, "n_cached", json_integer(n_cached));
    if (err) {
        g_autofree char *message = cob_error_message(err), *text = cob_error_text(err);
        g_autofree char *kept = masked_locked(writer, message);
        g_autofree char *kept_text = masked_locked(writer, text);
        g_autofree char *valid = g_utf8_make_valid(kept, -1);
        g_autofree char *valid_text = g_utf8_make_valid(kept_text, -1);

        json_object_set_new(end, "code", json_integer(cob_error_code(err)));
        json_object_set_new(end, "message", json_string(valid));
        json_object_set_new(end, "text", json_string(valid_text));
    }
    history_put(writer->out, "end", end);
}

void cob_history_end(struct cob_history_writer *writer, const struct cob_error *err, json_t *result)
{
    put_end(writer, err, result);
    flush_locked(writer);
    cob_closep(&writer->fd);
    g_hash_table_unref(writer->steps);
    g_ptr_array_unref(writer->hidden);
    g_free(writer->failed_import);
    g_string_free(writer->out, TRUE);
    g_mutex_clear(&writer->lock);
    g_free(writer->id);
    g_free(writer);
}
