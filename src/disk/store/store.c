/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/store/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "disk/store/store_parts.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/tree.h"

/* The inode of the first user namespace: PROC_USER_INIT_INO, the same since Linux 3.8. */
#define FIRST_USERNS_INODE 0xEFFFFFFDU

/* What another module keeps here. */
struct attached {
    void *data;
    void (*free_data)(void *);
};

static void attached_free(struct attached *attached)
{
    attached->free_data(attached->data);
    g_free(attached);
}

/* Root in the machine's own user namespace may set trusted.* attributes; nobody else may. */
static bool is_privileged(void)
{
    struct stat st;

    return geteuid() == 0 && stat("/proc/self/ns/user", &st) == 0 &&
           st.st_ino == FIRST_USERNS_INODE;
}

char *cob_store_default_path(void)
{
    const char *root = g_getenv("COB_ROOT");
    const char *data = g_getenv("XDG_DATA_HOME");

    if (root && root[0])
        return g_strdup(root);
    if (is_privileged()) /* not a user who is root in a namespace of his own */
        return g_strdup("/var/lib/cob");
    if (data && data[0] == '/')
        return g_build_filename(data, "cob", NULL);
    return g_build_filename(g_get_home_dir(), ".local/share/cob", NULL);
}

static char *read_boot(void)
{
    g_autoptr(GBytes) bytes = NULL;
    struct cob_error *err =
        cob_fs_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 4096, &bytes);
    gsize len = 0;
    const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;

    cob_error_free(err);
    return text ? g_strchomp(g_strndup(text, len)) : g_strdup("unknown");
}

struct cob_error *cob_store_gate_acquire(struct cob_store *store, int how, int *ret_gate_fd)
{
    cob_autoclose int fd =
        openat(store->root_fd, "gate", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return cob_fail_errno(errno, "open %s/gate", store->path);
    if (TEMP_FAILURE_RETRY(flock(fd, how)) < 0)
        return cob_fail_errno(errno, "lock %s/gate", store->path);
    *ret_gate_fd = g_steal_fd(&fd);
    return NULL;
}

void cob_store_gate_release(int gate_fd)
{
    if (gate_fd < 0)
        return;
    flock(gate_fd, LOCK_UN);
    close(gate_fd);
}

/* The gate comes before the transaction: who sweeps has the gate and waits for the database. */
struct cob_error *cob_store_begin(struct cob_store *store)
{
    int gate_fd = -1;

    COB_TRY(cob_store_gate_acquire(store, LOCK_SH, &gate_fd));
    struct cob_error *err = cob_db_begin(store->db);
    if (err)
        cob_store_gate_release(gate_fd);
    else
        store->gate_fd = gate_fd;
    return err;
}

struct cob_error *cob_store_commit(struct cob_store *store)
{
    int gate_fd = store->gate_fd;
    struct cob_error *err = cob_db_commit(store->db);

    cob_store_gate_release(gate_fd);
    return err;
}

void cob_store_rollback(struct cob_store *store)
{
    int gate_fd = store->gate_fd;

    cob_db_rollback(store->db);
    cob_store_gate_release(gate_fd);
}

static struct cob_error *open_folder(int dir_fd, const char *path, int *ret_fd)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return cob_fs_make_dirs(dir_fd, path, 0700, ret_fd);
    if (fd < 0)
        return cob_fail_errno(errno, "open directory %s", path);
    *ret_fd = fd;
    return NULL;
}

/* The root itself may be a symlink: it is the user's. */
static struct cob_error *open_root(const char *path, int *ret_fd)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return cob_fs_make_dirs(AT_FDCWD, path, 0700, ret_fd);
    if (fd < 0)
        return cob_fail_errno(errno, "open directory %s", path);
    *ret_fd = fd;
    return NULL;
}

static struct cob_error *open_folders(struct cob_store *store)
{
    static const char *const more[] = {"snapshots", "mounts"};

    COB_TRY(open_root(store->path, &store->root_fd));
    COB_TRY(open_folder(store->root_fd, "tmp", &store->leases_fd));
    COB_TRY(open_folder(store->root_fd, "blobs/sha256", &store->blobs_fd));
    for (size_t i = 0; i < G_N_ELEMENTS(more); i++) {
        if (mkdirat(store->root_fd, more[i], 0700) < 0 && errno != EEXIST)
            return cob_fail_errno(errno, "make directory %s", more[i]);
    }
    return NULL;
}

/* Make the lease's folder and lock it, the gate being held: who looks for the dead sees no folder
 * that is not locked yet. */
static struct cob_error *make_lease(struct cob_store *store)
{
    COB_TRY(cob_fs_make_dirs(store->leases_fd, store->lease, 0700, &store->tmp_fd));
    store->lease_fd =
        openat(store->tmp_fd, "lock", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (store->lease_fd < 0)
        return cob_fail_errno(errno, "create tmp/%s/lock", store->lease);
    if (TEMP_FAILURE_RETRY(flock(store->lease_fd, LOCK_EX)) < 0)
        return cob_fail_errno(errno, "lock tmp/%s/lock", store->lease);
    return NULL;
}

static struct cob_error *take_lease(struct cob_store *store)
{
    int gate_fd = -1;

    COB_TRY(cob_store_gate_acquire(store, LOCK_SH, &gate_fd));
    struct cob_error *err = make_lease(store);
    cob_store_gate_release(gate_fd);
    return err;
}

static struct cob_error *open_all(struct cob_store *store)
{
    COB_TRY(open_folders(store));
    COB_TRY(take_lease(store));
    COB_TRY(cob_db_open(store->path, &store->db));
    return cob_store_recover(store);
}

static struct cob_store *store_new(const char *path)
{
    struct cob_store *store = g_new(struct cob_store, 1);
    g_autofree char *lease = cob_fs_draft_name("");
    char *absolute = g_canonicalize_filename(path, NULL);

    *store = (struct cob_store){
        .path = absolute,
        .lease = g_strdup(lease),
        .tmp_path = g_strdup_printf("%s/tmp/%s", absolute, lease),
        .boot = read_boot(),
        .is_userxattr = !is_privileged(),
        .root_fd = -1,
        .leases_fd = -1,
        .tmp_fd = -1,
        .lease_fd = -1,
        .blobs_fd = -1,
        .gate_fd = -1,
        .attached = g_hash_table_new_full(
            g_str_hash, g_str_equal, NULL, (GDestroyNotify)(void (*)(void))attached_free),
    };
    g_mutex_init(&store->lock);
    return store;
}

struct cob_error *cob_store_open(const char *path, struct cob_store **ret_store)
{
    g_autoptr(cob_store) store = store_new(path);
    struct cob_error *err = open_all(store);

    if (err && cob_error_code(err) == COB_EXHAUSTED && cob_store_clear_dead(store)) {
        cob_error_free(err);
        cob_store_close(store);
        store = store_new(path);
        err = open_all(store);
    }
    if (err && cob_error_code(err) == COB_DENIED)
        return cob_wrap(err, "no right to write to the store %s (COB_ROOT names another)", path);
    if (err)
        return cob_wrap(err, "open the store %s", path);
    *ret_store = g_steal_pointer(&store);
    return NULL;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* The folder first, then its lock: until the end nobody takes it for a dead one's. */
static void give_lease_back(struct cob_store *store)
{
    if (store->leases_fd >= 0) {
        g_autoptr(cob_error) err = cob_tree_remove(store->leases_fd, store->lease);

        if (err)
            cob_trace(1, "tmp/%s stays for the next start", store->lease);
    }
    close_fd(store->tmp_fd);
    if (store->lease_fd >= 0) {
        flock(store->lease_fd, LOCK_UN);
        close(store->lease_fd);
    }
}

void cob_store_close(struct cob_store *store)
{
    if (!store)
        return;
    g_hash_table_unref(store->attached);
    cob_db_close(store->db);
    give_lease_back(store);
    close_fd(store->blobs_fd);
    close_fd(store->leases_fd);
    close_fd(store->root_fd);
    g_mutex_clear(&store->lock);
    g_free(store->boot);
    g_free(store->lease);
    g_free(store->tmp_path);
    g_free(store->path);
    g_free(store);
}

char *cob_store_warning(const struct cob_store *store)
{
    const char *replaced = cob_db_replaced(store->db);

    if (!replaced && !store->is_database_lost)
        return NULL;
    return g_strdup_printf(
        "the database of the store %s was %s, and a new one was begun: the names of images and the "
        "cached steps are gone, cache mounts and the layers that are whole are kept%s%s",
        store->path, replaced ? "damaged" : "gone", replaced ? "; the old one is now " : "",
        replaced ? replaced : "");
}

struct cob_db *cob_store_db(struct cob_store *store)
{
    return store->db;
}

const char *cob_store_path(const struct cob_store *store)
{
    return store->path;
}

int cob_store_root_fd(const struct cob_store *store)
{
    return store->root_fd;
}

int cob_store_tmp_fd(const struct cob_store *store)
{
    return store->tmp_fd;
}

const char *cob_store_tmp_path(const struct cob_store *store)
{
    return store->tmp_path;
}

const char *cob_store_boot(const struct cob_store *store)
{
    return store->boot;
}

bool cob_store_is_userxattr(const struct cob_store *store)
{
    return store->is_userxattr;
}

static struct cob_error *attached_locked(struct cob_store *store, const char *name,
    struct cob_error *(*make)(struct cob_store *store, void **ret_data), void (*free_data)(void *),
    void **ret_data)
{
    struct attached *attached = g_hash_table_lookup(store->attached, name);
    void *data = NULL;

    if (!attached) {
        COB_TRY(make(store, &data));
        attached = g_new(struct attached, 1);
        *attached = (struct attached){.data = data, .free_data = free_data};
        g_hash_table_insert(store->attached, (void *)(uintptr_t)name, attached);
    }
    *ret_data = attached->data;
    return NULL;
}

struct cob_error *cob_store_attached(struct cob_store *store, const char *name,
    struct cob_error *(*make)(struct cob_store *store, void **ret_data), void (*free_data)(void *),
    void **ret_data)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&store->lock);
    (void)locker;

    return attached_locked(store, name, make, free_data, ret_data);
}
