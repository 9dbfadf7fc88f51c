/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "build/history/history_parts.h"
#include "util/fs.h"

#define TIME_DIGITS 16
#define DRAFT_AGE_S 60 /* a draft that is older is nobody's */

/* --- the folder --- */

static bool is_record_name(const char *name)
{
    return strlen(name) == TIME_DIGITS + 1 + HISTORY_ID_CHARS && name[TIME_DIGITS] == '-' &&
           strspn(name, "0123456789") == TIME_DIGITS;
}

static int newest_first(const void *a, const void *b)
{
    const char *const *one = a, *const *other = b;

    return strcmp(*other, *one);
}

/* A build that was killed before its record had a name. */
static void drop_draft(int dir_fd, const char *name)
{
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        st.st_mtim.tv_sec < g_get_real_time() / G_USEC_PER_SEC - DRAFT_AGE_S)
        unlinkat(dir_fd, name, 0);
}

/* The names of all records, the newest first.  ret_names: char *, owned. */
static struct cob_error *list_names(int dir_fd, GPtrArray **ret_names)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!dir)
        return cob_fail_errno(errno, "list the history");
    rewinddir(dir);
    while ((entry = readdir(dir))) {
        if (is_record_name(entry->d_name))
            g_ptr_array_add(names, g_strdup(entry->d_name));
        else if (entry->d_name[0] == '.' && is_record_name(entry->d_name + 1))
            drop_draft(dir_fd, entry->d_name);
    }
    closedir(dir);
    g_ptr_array_sort(names, newest_first);
    *ret_names = g_steal_pointer(&names);
    return NULL;
}

/* --- lists --- */

static void build_free(void *build)
{
    cob_history_build_free(build);
}

/* What runs first; the names have sorted the rest. */
static GPtrArray *running_first(GPtrArray *builds)
{
    GPtrArray *sorted = g_ptr_array_new_with_free_func(build_free);

    for (int pass = 0; pass < 2; pass++) {
        for (guint i = 0; i < builds->len; i++) {
            struct cob_history_build *build = g_ptr_array_index(builds, i);

            if (build && (build->status == COB_HISTORY_RUNNING) == (pass == 0)) {
                g_ptr_array_add(sorted, build);
                builds->pdata[i] = NULL;
            }
        }
    }
    return sorted;
}

/* A record that was removed meanwhile, or is damaged, is none. */
static struct cob_error *list_outlines(int dir_fd, GPtrArray **ret_builds)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) builds = g_ptr_array_new_with_free_func(build_free);

    COB_TRY(list_names(dir_fd, &names));
    for (guint i = 0; i < names->len; i++) {
        struct cob_history_build *build = NULL;

        cob_error_free(history_outline(dir_fd, g_ptr_array_index(names, i), &build));
        if (build)
            g_ptr_array_add(builds, build);
    }
    *ret_builds = g_steal_pointer(&builds);
    return NULL;
}

struct cob_error *cob_history_list(struct cob_store *store, GPtrArray **ret_builds)
{
    cob_autoclose int dir_fd = -1;
    g_autoptr(GPtrArray) builds = NULL;

    COB_TRY(history_open_dir(store, &dir_fd));
    COB_TRY(list_outlines(dir_fd, &builds));
    *ret_builds = running_first(builds);
    return NULL;
}

/* --- names --- */

static struct cob_error *find_by_offset(
    const char *text, const GPtrArray *names, const char **ret_name)
{
    guint64 offset = 0;

    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT, &offset, NULL))
        return cob_fail(COB_INVALID, "invalid offset \"^%s\"", text);
    if (offset >= names->len)
        return cob_fail(COB_NOT_FOUND, "no build found with offset %u: there are %u builds",
            (unsigned)offset, names->len);
    *ret_name = g_ptr_array_index(names, offset);
    return NULL;
}

static struct cob_error *find_by_prefix(
    const char *prefix, const GPtrArray *names, const char **ret_name)
{
    const char *found = NULL;

    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (!g_str_has_prefix(name + TIME_DIGITS + 1, prefix))
            continue;
        if (found)
            return cob_fail(COB_INVALID, "%s is the beginning of several builds' ids", prefix);
        found = name;
    }
    if (!found || !*prefix)
        return cob_fail(COB_NOT_FOUND, "no record found for ref \"%s\"", prefix);
    *ret_name = found;
    return NULL;
}

struct cob_error *cob_history_find(
    struct cob_store *store, const char *name, struct cob_history_build **ret_build)
{
    const char *slash = name ? strrchr(name, '/') : NULL;
    cob_autoclose int dir_fd = -1;
    g_autoptr(GPtrArray) names = NULL;
    const char *file_name = NULL;

    COB_TRY(history_open_dir(store, &dir_fd));
    COB_TRY(list_names(dir_fd, &names));
    if (names->len == 0)
        return cob_fail(COB_NOT_FOUND, "no records found");
    if (!name)
        file_name = g_ptr_array_index(names, 0);
    else if (*name == '^')
        COB_TRY(find_by_offset(name + 1, names, &file_name));
    else
        COB_TRY(find_by_prefix(slash ? slash + 1 : name, names, &file_name));
    return cob_history_load(store, file_name, ret_build);
}

/* --- removing --- */

/* Remove a record that nobody writes.  ret_was_busy: it runs, and stays. */
static struct cob_error *remove_record(int dir_fd, const char *name, bool *ret_was_busy)
{
    cob_autoclose int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    *ret_was_busy = false;
    if (fd < 0 && errno == ENOENT)
        return NULL;
    if (fd < 0)
        return cob_fail_errno(errno, "open a build's record");
    *ret_was_busy = flock(fd, LOCK_SH | LOCK_NB) < 0;
    if (!*ret_was_busy && unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
        return cob_fail_errno(errno, "remove a build's record");
    return NULL;
}

struct cob_error *cob_history_remove(struct cob_store *store, const struct cob_history_build *build)
{
    cob_autoclose int dir_fd = -1;
    bool was_busy = false;

    COB_TRY(history_open_dir(store, &dir_fd));
    COB_TRY(remove_record(dir_fd, build->file_name, &was_busy));
    return was_busy ? cob_fail(COB_PRECONDITION, "build %s runs", build->id) : NULL;
}

struct cob_error *cob_history_trim(
    struct cob_store *store, const struct cob_history_limits *limits, unsigned *ret_n_removed)
{
    const int64_t oldest_us = g_get_real_time() - limits->max_age_s * G_USEC_PER_SEC;
    cob_autoclose int dir_fd = -1;
    g_autoptr(GPtrArray) names = NULL;
    unsigned n_removed = 0;

    COB_TRY(history_open_dir(store, &dir_fd));
    COB_TRY(list_names(dir_fd, &names));
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        bool was_busy = false;

        if (i < limits->max_entries && g_ascii_strtoll(name, NULL, 10) >= oldest_us)
            continue;
        COB_TRY(remove_record(dir_fd, name, &was_busy));
        n_removed += !was_busy;
    }
    if (ret_n_removed)
        *ret_n_removed = n_removed;
    return NULL;
}
