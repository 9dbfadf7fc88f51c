/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "disk/layer/layer.h"
#include "disk/layer/ring.h"
#include "disk/layer/tar.h"
#include "disk/layer/xattrs.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/limits.h"

#define N_BUFFERS 4
#define BUFFER_BYTES (256 * (size_t)1024)
#define MAX_OPEN_DIRS 100 /* deeper ones are opened anew on the way back */
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

/* A directory on the way from the root to where the walk is. */
struct frame {
    int fd;           /* -1: closed for a while */
    size_t path_len;  /* of the walk's path when it is here, with its slash */
    GPtrArray *names; /* struct name, owned, in order */
    guint next;
};

struct name {
    unsigned char kind; /* DT_REG, ...; DT_UNKNOWN: not told */
    char text[];
};

/* The first name of a file that has several. */
struct inode {
    dev_t dev;
    ino_t ino;
};

struct pack {
    const struct cob_layer_pack_request *request;
    struct ring *ring;
    GThread *thread;       /* walks and reads, into the ring */
    struct cob_error *err; /* its error; read after it ended */
    GArray *frames;        /* struct frame: the walk's stack */
    GString *path;
    GHashTable *links; /* struct inode, owned -> char *, owned: the first name */
    GByteArray *header;
    struct tar_entry entry;
    uint64_t n_entries;
};

static guint inode_hash(gconstpointer pointer)
{
    const struct inode *inode = pointer;

    return (guint)(inode->ino ^ inode->ino >> 32);
}

static gboolean inode_equal(gconstpointer a, gconstpointer b)
{
    const struct inode *left = a, *right = b;

    return left->dev == right->dev && left->ino == right->ino;
}

static struct cob_error *stopped(void)
{
    return cob_fail(COB_CANCELLED, "nobody takes the layer any more");
}

/* --- bytes out --- */

static struct cob_error *put(struct pack *pack, const void *data, size_t len)
{
    return ring_put(pack->ring, data, len) ? NULL : stopped();
}

static struct cob_error *put_zeros(struct pack *pack, size_t len)
{
    static const uint8_t zeros[2 * TAR_BLOCK];

    return put(pack, zeros, len);
}

static struct cob_error *put_header(struct pack *pack)
{
    const struct cob_layer_pack_request *request = pack->request;

    if (request->has_max_mtime &&
        (request->is_every_mtime || pack->entry.mtime > request->max_mtime))
        pack->entry.mtime = request->max_mtime;
    g_byte_array_set_size(pack->header, 0);
    tar_write_header(pack->header, &pack->entry);
    pack->n_entries++;
    return put(pack, pack->header->data, pack->header->len);
}

/* File content goes from the kernel right into the ring. */
static struct cob_error *put_content(struct pack *pack, int fd, uint64_t size)
{
    for (uint64_t left = size; left > 0;) {
        size_t cap;
        uint8_t *room = ring_space(pack->ring, &cap);

        if (!room)
            return stopped();
        ssize_t n = TEMP_FAILURE_RETRY(read(fd, room, (size_t)MIN(left, (uint64_t)cap)));
        if (n < 0)
            return cob_fail_errno(errno, "read");
        if (n == 0)
            return cob_fail(COB_ABORTED, "it became shorter while it was packed");
        ring_commit(pack->ring, (size_t)n);
        left -= (uint64_t)n;
    }
    return put_zeros(pack, (size_t)(-size & (TAR_BLOCK - 1)));
}

/* --- entries --- */

static void fill_entry(struct pack *pack, enum tar_type type, const struct stat *st)
{
    struct tar_entry *entry = &pack->entry;

    tar_entry_reset(entry);
    if (pack->request->below)
        g_string_append_printf(entry->name, "%s/", pack->request->below);
    g_string_append_len(entry->name, pack->path->str, (gssize)pack->path->len);
    entry->type = type;
    entry->mode = st->st_mode & 07777;
    entry->uid = st->st_uid;
    entry->gid = st->st_gid;
    entry->mtime = st->st_mtim.tv_sec;
}

/* Is it a further name of a file that was packed already? Then its entry was made. */
static bool take_as_link(struct pack *pack, const struct stat *st)
{
    struct inode key = {st->st_dev, st->st_ino};
    const char *first;

    if (st->st_nlink < 2)
        return false;
    first = g_hash_table_lookup(pack->links, &key);
    if (!first) {
        struct inode *own = g_new(struct inode, 1);

        *own = key;
        g_hash_table_insert(pack->links, own, g_strdup(pack->path->str));
        return false;
    }
    fill_entry(pack, TAR_HARD_LINK, st);
    if (pack->request->below)
        g_string_append_printf(pack->entry.link, "%s/", pack->request->below);
    g_string_append(pack->entry.link, first);
    return true;
}

static struct cob_error *pack_file(struct pack *pack, int dir_fd, const char *name)
{
    cob_autoclose int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    bool is_opaque;

    if (fd < 0)
        return cob_fail_errno(errno, "open");
    if (fstat(fd, &st) < 0)
        return cob_fail_errno(errno, "stat");
    if (!S_ISREG(st.st_mode))
        return cob_fail(COB_ABORTED, "it became something else while it was packed");
    if (take_as_link(pack, &st))
        return put_header(pack);
    fill_entry(pack, TAR_FILE, &st);
    pack->entry.size = (uint64_t)st.st_size;
    COB_TRY(xattr_read_all(fd, pack->request->opaque_xattr, &pack->entry, &is_opaque));
    COB_TRY(put_header(pack));
    return put_content(pack, fd, (uint64_t)st.st_size);
}

static struct cob_error *pack_whiteout(struct pack *pack, const char *name)
{
    static const struct stat nothing = {.st_mode = 0};
    gsize name_at = pack->path->len - strlen(name);

    if (strlen(name) + strlen(WHITEOUT) > COB_LIMIT_NAME_BYTES)
        return cob_fail(COB_INVALID, "a removed file with a name too long for a layer");
    g_string_insert(pack->path, (gssize)name_at, WHITEOUT);
    fill_entry(pack, TAR_FILE, &nothing);
    return put_header(pack);
}

static struct cob_error *pack_symlink(
    struct pack *pack, int dir_fd, const char *name, const struct stat *st)
{
    char target[COB_LIMIT_PATH_BYTES];
    ssize_t n = readlinkat(dir_fd, name, target, sizeof(target));

    if (n < 0)
        return cob_fail_errno(errno, "read link");
    fill_entry(pack, TAR_SYMLINK, st);
    g_string_append_len(pack->entry.link, target, n);
    pack->entry.mode = 0777;
    return put_header(pack);
}

static struct cob_error *pack_device(struct pack *pack, const char *name, const struct stat *st)
{
    if (pack->request->opaque_xattr && S_ISCHR(st->st_mode) && st->st_rdev == 0)
        return pack_whiteout(pack, name);
    if (take_as_link(pack, st))
        return put_header(pack);
    fill_entry(pack, S_ISCHR(st->st_mode) ? TAR_CHAR_DEVICE : TAR_BLOCK_DEVICE, st);
    pack->entry.major = major(st->st_rdev);
    pack->entry.minor = minor(st->st_rdev);
    return put_header(pack);
}

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* A whiteout with nothing to hide shows in the mount of an image, when a directory is of one layer
 * alone: overlayfs lists its name but finds no file; a bind mount, which one layer is, has it. */
static struct cob_error *pack_other(struct pack *pack, int dir_fd, const char *name)
{
    const bool is_layer = pack->request->opaque_xattr != NULL;
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT && !is_layer ? NULL : cob_fail_errno(errno, "stat");
    if (!is_layer && is_whiteout(&st))
        return NULL;
    switch (st.st_mode & S_IFMT) {
    case S_IFREG: /* the directory did not tell the kind */
        return pack_file(pack, dir_fd, name);
    case S_IFLNK:
        return take_as_link(pack, &st) ? put_header(pack) : pack_symlink(pack, dir_fd, name, &st);
    case S_IFCHR:
    case S_IFBLK:
        return pack_device(pack, name, &st);
    case S_IFIFO:
        if (!take_as_link(pack, &st))
            fill_entry(pack, TAR_FIFO, &st);
        return put_header(pack);
    default: /* a socket: nobody could listen on it */
        return NULL;
    }
}

/* --- the walk --- */

static gint by_name(gconstpointer a, gconstpointer b)
{
    const struct name *const *left = a, *const *right = b;

    return strcmp((*left)->text, (*right)->text);
}

static struct cob_error *read_names(int fd, GPtrArray *names)
{
    int own_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd >= 0 ? fdopendir(own_fd) : NULL;
    const struct dirent *found;

    if (!dir)
        return cob_fail_errno(errno, "open directory");
    errno = 0;
    while ((found = readdir(dir))) {
        size_t len = strlen(found->d_name);

        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
            continue;
        struct name *name = g_malloc(sizeof(*name) + len + 1);
        name->kind = found->d_type;
        memcpy(name->text, found->d_name, len + 1);
        g_ptr_array_add(names, name);
    }
    int errnum = errno;
    closedir(dir);
    if (errnum)
        return cob_fail_errno(errnum, "read directory");
    g_ptr_array_sort(names, by_name);
    return NULL;
}

static void frame_done(gpointer pointer)
{
    struct frame *frame = pointer;

    if (frame->fd >= 0)
        close(frame->fd);
    g_ptr_array_unref(frame->names);
}

static struct frame *frame_at(struct pack *pack, guint i)
{
    return &g_array_index(pack->frames, struct frame, i);
}

/* fd: taken. */
static struct cob_error *push_frame(struct pack *pack, int fd)
{
    struct frame frame = {
        .fd = fd, .path_len = pack->path->len, .names = g_ptr_array_new_with_free_func(g_free)};

    g_array_append_val(pack->frames, frame);
    if (pack->frames->len > MAX_OPEN_DIRS) {
        struct frame *above = frame_at(pack, pack->frames->len - MAX_OPEN_DIRS);

        close(g_steal_fd(&above->fd));
    }
    return read_names(fd, frame.names);
}

/* Put a directory's own entry, and go into it. */
static struct cob_error *enter_dir(struct pack *pack, int dir_fd, const char *name)
{
    cob_autoclose int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    bool is_opaque;

    if (fd < 0)
        return cob_fail_errno(errno, "open directory");
    if (fstat(fd, &st) < 0)
        return cob_fail_errno(errno, "stat");
    g_string_append_c(pack->path, '/');
    fill_entry(pack, TAR_DIR, &st);
    COB_TRY(xattr_read_all(fd, pack->request->opaque_xattr, &pack->entry, &is_opaque));
    COB_TRY(put_header(pack));
    if (is_opaque) {
        gsize len = pack->path->len;

        g_string_append(pack->path, OPAQUE);
        fill_entry(pack, TAR_FILE, &(struct stat){.st_mode = 0});
        COB_TRY(put_header(pack));
        g_string_truncate(pack->path, len);
    }
    return push_frame(pack, g_steal_fd(&fd));
}

static struct cob_error *pack_name(struct pack *pack, int dir_fd, const struct name *name)
{
    if (pack->request->opaque_xattr && g_str_has_prefix(name->text, WHITEOUT))
        return cob_fail(
            COB_INVALID, "a name that begins with .wh. means a removed file in a layer; rename it");
    if (pack->frames->len > COB_LIMIT_TREE_DEPTH)
        return cob_fail(COB_INVALID,
            "more than the limit of %d directories deep; no layer holds it", COB_LIMIT_TREE_DEPTH);
    if (pack->path->len >= COB_LIMIT_PATH_BYTES)
        return cob_fail(COB_INVALID, "its path is too long for a layer");
    if (name->kind == DT_REG)
        return pack_file(pack, dir_fd, name->text);
    if (name->kind == DT_DIR)
        return enter_dir(pack, dir_fd, name->text);
    if (name->kind == DT_UNKNOWN) {
        struct stat st;

        if (fstatat(dir_fd, name->text, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return cob_fail_errno(errno, "stat");
        if (S_ISDIR(st.st_mode))
            return enter_dir(pack, dir_fd, name->text);
    }
    return pack_other(pack, dir_fd, name->text);
}

/* The directory was closed while the walk was far below. */
static struct cob_error *reopen_frame(struct pack *pack, struct frame *frame)
{
    g_string_truncate(pack->path, frame->path_len);
    return cob_wrap(cob_open_beneath(pack->request->dir_fd, pack->path->len ? pack->path->str : ".",
                        O_RDONLY | O_DIRECTORY, 0, &frame->fd),
        "%s", pack->path->str);
}

/* Pack the next name, or leave a directory that has no more. */
static struct cob_error *step(struct pack *pack)
{
    struct frame *frame = frame_at(pack, pack->frames->len - 1);

    if (frame->next == frame->names->len) {
        g_array_set_size(pack->frames, pack->frames->len - 1);
        return NULL;
    }
    if (frame->fd < 0)
        COB_TRY(reopen_frame(pack, frame));
    const struct name *name = g_ptr_array_index(frame->names, frame->next++);
    g_string_truncate(pack->path, frame->path_len);
    g_string_append(pack->path, name->text);
    struct cob_error *err = pack_name(pack, frame->fd, name);
    return err ? cob_wrap(err, "%s", pack->path->str) : NULL;
}

static struct cob_error *walk(struct pack *pack)
{
    int fd;

    COB_TRY(cob_open_beneath(pack->request->dir_fd, ".", O_RDONLY | O_DIRECTORY, 0, &fd));
    COB_TRY(push_frame(pack, fd));
    if (pack->request->below) {
        fill_entry(pack, TAR_DIR, &(struct stat){.st_mode = 0755});
        COB_TRY(put_header(pack));
    }
    while (pack->frames->len > 0) {
        COB_TRY(cob_cancel_check(pack->request->cancel));
        COB_TRY(step(pack));
    }
    return pack->request->is_continued ? NULL : put_zeros(pack, 2 * TAR_BLOCK);
}

static gpointer run_walk(gpointer arg)
{
    struct pack *pack = arg;

    pack->err = walk(pack);
    ring_close(pack->ring);
    return NULL;
}

/* --- the caller's thread --- */

static void pack_init(struct pack *pack, const struct cob_layer_pack_request *request)
{
    *pack = (struct pack){.request = request,
        .ring = ring_new(N_BUFFERS, BUFFER_BYTES),
        .frames = g_array_new(FALSE, FALSE, sizeof(struct frame)),
        .path = g_string_new(NULL),
        .links = g_hash_table_new_full(inode_hash, inode_equal, g_free, g_free),
        .header = g_byte_array_new()};
    g_array_set_clear_func(pack->frames, frame_done);
    tar_entry_init(&pack->entry);
}

static void pack_done(struct pack *pack)
{
    ring_free(pack->ring);
    g_array_unref(pack->frames);
    g_string_free(pack->path, TRUE);
    g_hash_table_unref(pack->links);
    g_byte_array_unref(pack->header);
    tar_entry_done(&pack->entry);
}

/* Hash what the walk brings, and pass it on. */
static struct cob_error *drain(struct pack *pack, cob_layer_sink sink, void *arg,
    struct cob_hasher *hasher, uint64_t *ret_bytes)
{
    const uint8_t *data;
    size_t len;

    *ret_bytes = 0;
    while ((data = ring_take(pack->ring, &len))) {
        cob_hasher_update(hasher, data, len);
        *ret_bytes += len;
        if (sink)
            COB_TRY(sink(arg, data, len));
        ring_give(pack->ring);
    }
    return NULL;
}

struct cob_error *cob_layer_pack(const struct cob_layer_pack_request *request, cob_layer_sink sink,
    void *arg, struct cob_layer_pack_result *ret_result)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    uint64_t tar_bytes;
    struct pack pack;

    pack_init(&pack, request);
    pack.thread = g_thread_new("layer-walk", run_walk, &pack);
    struct cob_error *err = drain(&pack, sink, arg, hasher, &tar_bytes);
    if (err)
        ring_stop(pack.ring);
    g_thread_join(pack.thread);
    if (err)
        cob_error_free(pack.err); /* it only says that nobody listened */
    else
        err = pack.err;
    if (!err && ret_result) {
        struct cob_sha256 sha = cob_hasher_finish(hasher);

        *ret_result = (struct cob_layer_pack_result){
            .diff_id = cob_sha256_text(&sha), .tar_bytes = tar_bytes, .n_entries = pack.n_entries};
    }
    pack_done(&pack);
    return cob_wrap(err, "pack layer");
}

struct cob_error *cob_layer_measure(
    const struct cob_layer_pack_request *request, struct cob_layer_pack_result *ret_result)
{
    return cob_layer_pack(request, NULL, NULL, ret_result);
}

void cob_layer_pack_result_done(struct cob_layer_pack_result *result)
{
    g_free(result->diff_id);
    *result = (struct cob_layer_pack_result){0};
}
