/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has a directory: a file for each user, which he keeps locked. A file that nobody has locked
 * is that of a dead one, and whoever sees it first removes it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/cleanup.h"
#include "util/fs.h"

#define PREFIX "user."
#define HEAD_BYTES 64
#define FRESH_S 60 /* so long an empty file may be of one who is just coming */
#define MAX_NAMED 3

void cob_cachemount_user_free(struct cob_cachemount_user *user)
{
    if (!user)
        return;
    g_free(user->text);
    g_free(user);
}

void cob_cachemount_enter(
    int slot_fd, const char *user, struct cob_cachemount_presence *ret_presence)
{
    g_autofree char *name = cob_fs_draft_name(PREFIX);
    g_autofree char *text = g_strdup_printf(
        "%d\n%" PRId64 "\n%s", (int)getpid(), (int64_t)g_get_real_time(), user ? user : "");
    const size_t len = MIN(strlen(text), COB_CACHEMOUNT_USER_BYTES);
    cob_autoclose int fd =
        openat(slot_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    *ret_presence = (struct cob_cachemount_presence){.fd = -1};
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || pwrite(fd, text, len, 0) != (ssize_t)len) {
        unlinkat(slot_fd, name, 0);
        return;
    }
    *ret_presence =
        (struct cob_cachemount_presence){.fd = g_steal_fd(&fd), .name = g_steal_pointer(&name)};
}

void cob_cachemount_leave(int slot_fd, struct cob_cachemount_presence *presence)
{
    if (presence->fd >= 0)
        unlinkat(slot_fd, presence->name, 0);
    cob_closep(&presence->fd);
    g_free(presence->name);
    *presence = (struct cob_cachemount_presence){.fd = -1};
}

/* "<pid>\n<since>\n<text>".  Returns NULL for another file. */
static struct cob_cachemount_user *parse(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "\n", 3);
    struct cob_cachemount_user *user;
    gint64 pid, since_us;

    if (g_strv_length(parts) != 3 ||
        !g_ascii_string_to_signed(parts[0], 10, 1, G_MAXINT, &pid, NULL) ||
        !g_ascii_string_to_signed(parts[1], 10, 0, G_MAXINT64, &since_us, NULL))
        return NULL;
    user = g_new(struct cob_cachemount_user, 1);
    *user = (struct cob_cachemount_user){
        .pid = pid, .since_us = since_us, .text = *parts[2] ? g_strdup(parts[2]) : NULL};
    return user;
}

static bool is_fresh(const struct stat *st)
{
    return st->st_size == 0 && time(NULL) - st->st_mtime < FRESH_S;
}

/* Returns NULL when he lives no more, or is none. */
static struct cob_cachemount_user *read_user(int slot_fd, const char *name)
{
    char text[HEAD_BYTES + COB_CACHEMOUNT_USER_BYTES + 1];
    cob_autoclose int fd = openat(slot_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return NULL;
    if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
        if (!is_fresh(&st))
            unlinkat(slot_fd, name, 0);
        return NULL;
    }
    n = pread(fd, text, sizeof(text) - 1, 0);
    text[MAX(n, 0)] = '\0';
    return parse(text);
}

static int compare_users(gconstpointer a, gconstpointer b)
{
    const struct cob_cachemount_user *x = *(const struct cob_cachemount_user *const *)a;
    const struct cob_cachemount_user *y = *(const struct cob_cachemount_user *const *)b;

    if (x->since_us != y->since_us)
        return x->since_us < y->since_us ? -1 : 1;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

struct cob_error *cob_cachemount_read_users(int slot_fd, GPtrArray **ret_users)
{
    g_autoptr(GPtrArray) users =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_cachemount_user_free);
    int fd = openat(slot_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *item;

    if (!dir) {
        cob_closep(&fd);
        return cob_fail_errno(errno, "open directory");
    }
    while ((item = readdir(dir))) {
        struct cob_cachemount_user *user =
            g_str_has_prefix(item->d_name, PREFIX) ? read_user(slot_fd, item->d_name) : NULL;

        if (user)
            g_ptr_array_add(users, user);
    }
    closedir(dir);
    g_ptr_array_sort(users, compare_users);
    *ret_users = g_steal_pointer(&users);
    return NULL;
}

char *cob_cachemount_users_text(const GPtrArray *users)
{
    g_autoptr(GString) text = g_string_new(NULL);
    guint n_named = 0;

    for (guint i = 0; i < users->len; i++) {
        const struct cob_cachemount_user *user = users->pdata[i];

        if (user->text && n_named < MAX_NAMED)
            g_string_append_printf(text, "%s%s", n_named++ ? ", " : "", user->text);
    }
    if (n_named == 0)
        return NULL;
    if (users->len > n_named)
        g_string_append_printf(text, " and %u more", users->len - n_named);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

struct cob_error *cob_cachemount_users(
    struct cob_cachemount_pool *pool, const char *dir, GPtrArray **ret_users)
{
    cob_autoclose int slot_fd =
        openat(pool->root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (slot_fd < 0 && errno != ENOENT)
        return cob_fail_errno(errno, "open directory %s", dir);
    if (slot_fd < 0) { /* removed meanwhile */
        *ret_users = g_ptr_array_new();
        return NULL;
    }
    return cob_cachemount_read_users(slot_fd, ret_users);
}
