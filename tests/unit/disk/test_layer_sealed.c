/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to an unpack when its sealed processes die, hang or lie. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "check.h"
#include "disk/layer/frames.h"
#include "disk/layer/layer.h"
#include "util/fs.h"
#include "util/limits.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* rows: zero is the default */

/* --- a worker that lies --- */

/* One entry, as a worker would send it, and after it perhaps some data. */
static const struct lie {
    const char *what;
    struct frame_entry entry;
    const char *bytes; /* after the fixed part */
    size_t len;
    struct frame_data data; /* len 0: none */
    const char *text;       /* NULL: all is well */
} lies[] = {
    {"a file", {.type = '0', .name_len = 1}, "a", 1, {0}, NULL},
    {"a file with data", {.type = '0', .name_len = 1, .size = 9, .stored = 9}, "a", 1,
        {.at = 512, .len = 9}, NULL},
    {"a sparse one", {.type = '0', .name_len = 1, .size = 99, .stored = 9, .is_sparse = 1}, "a", 1,
        {.offset = 90, .len = 9}, NULL},
    {"no type", {.type = 'x', .name_len = 1}, "a", 1, {0}, "*no type"},
    {"type of a wide number", {.type = 0x130, .name_len = 1}, "a", 1, {0}, "*no type"},
    {"a directory with data", {.type = '5', .name_len = 1, .stored = 1, .size = 1}, "a", 1, {0},
        "*data of what is no file"},
    {"a mode", {.type = '0', .name_len = 1, .mode = 010000}, "a", 1, {0}, "*mode, owner or time"},
    {"an owner", {.type = '0', .name_len = 1, .uid = UINT32_MAX}, "a", 1, {0},
        "*mode, owner or time"},
    {"a group", {.type = '0', .name_len = 1, .gid = UINT32_MAX}, "a", 1, {0},
        "*mode, owner or time"},
    {"a second", {.type = '0', .name_len = 1, .mtime_ns = 1000000000}, "a", 1, {0},
        "*mode, owner or time"},
    {"two sizes", {.type = '0', .name_len = 1, .size = 5}, "a", 1, {0}, "*an entry's size"},
    {"too large", {.type = '0', .name_len = 1, .size = 1ull << 60, .stored = 1ull << 60}, "a", 1,
        {0}, "*an entry's size"},
    {"a NUL", {.type = '0', .name_len = 3}, "a\0b", 3, {0}, "*an entry's names"},
    {"a NUL in the link", {.type = '2', .name_len = 1, .link_len = 2}, "ab", 3, {0},
        "*an entry's names"},
    {"a short name", {.type = '0', .name_len = 4}, "abc", 3, {0}, "*an entry's names"},
    {"an endless name", {.type = '0', .name_len = UINT32_MAX}, "abc", 3, {0}, "*an entry's names"},
    {"no target", {.type = '2', .name_len = 1}, "a", 1, {0}, "*a link to nothing"},
    {"more than it says", {.type = '0', .name_len = 1}, "ab", 2, {0}, "*an entry is too long"},
    {"a missing xattr", {.type = '0', .name_len = 1, .n_xattrs = 1}, "a", 1, {0},
        "*an entry's xattrs"},
    {"an xattr with no name", {.type = '0', .name_len = 1, .n_xattrs = 1}, "a\0\0\0\0\0\0\0\0", 9,
        {0}, "*an entry's xattrs"},
    {"a short xattr", {.type = '0', .name_len = 1, .n_xattrs = 1}, "a\1\0\0\0\4\0\0\0nval", 13, {0},
        "*an entry's xattrs"},
    {"data behind the chunk", {.type = '0', .name_len = 1, .size = 9, .stored = 9}, "a", 1,
        {.at = 1020, .len = 9}, "*data that is not there"},
    {"data far behind it", {.type = '0', .name_len = 1, .size = 9, .stored = 9}, "a", 1,
        {.at = UINT32_MAX, .len = 9}, "*data that is not there"},
    {"more than is stored", {.type = '0', .name_len = 1, .size = 9, .stored = 9}, "a", 1,
        {.len = 10}, "*data that is not there"},
    {"data behind the file", {.type = '0', .name_len = 1, .size = 9, .stored = 9}, "a", 1,
        {.offset = 5, .len = 9}, "*data beyond the file"},
    {"data far behind it", {.type = '0', .name_len = 1, .size = 9, .stored = 9}, "a", 1,
        {.offset = UINT64_MAX, .len = 9}, "*data beyond the file"},
};

static struct cob_error *tell_lie(const struct lie *lie, struct frame_check *check)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    struct frame_head head = {.type = FRAME_ENTRY};

    g_byte_array_append(bytes, (const uint8_t *)&lie->entry, sizeof(lie->entry));
    g_byte_array_append(bytes, (const uint8_t *)lie->bytes, (guint)lie->len);
    head.len = bytes->len;
    COB_TRY(frame_check_next(check, &head, bytes->data));
    if (lie->data.len == 0)
        return NULL;
    head = (struct frame_head){.type = FRAME_DATA, .len = sizeof(lie->data)};
    return frame_check_next(check, &head, (const uint8_t *)&lie->data);
}

static void test_lies_are_seen(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
        struct tar_entry entry;
        struct frame_check check = {.entry = &entry, .chunk_len = 1024};

        tar_entry_init(&entry);
        g_autoptr(cob_error) err = tell_lie(&lies[i], &check);
        g_autofree char *text = err ? cob_error_message(err) : g_strdup("");
        check_row(
            lies[i].text ? g_pattern_match_simple(lies[i].text, text) : !err, i, lies[i].what);
        check_row(!err || cob_error_code(err) == COB_INTERNAL, i, lies[i].what);
        tar_entry_done(&entry);
    }
}

/* What may follow upon what. e: an entry, d: its data, n: its end, c: done, x: unknown. */
static void test_order_is_held(void)
{
    static const struct {
        const char *frames;
        bool is_good;
    } rows[] = {{"edn", true}, {"ednedn", true}, {"ednc", true}, {"ecdn", true}, {"c", true},
        {"d", false}, {"n", false}, {"ee", false}, {"en", false}, {"edd", false}, {"ednn", false},
        {"ednd", false}, {"x", false}, {"ex", false}};
    static const struct {
        struct frame_entry fixed;
        char name[8];
    } entry = {{.type = '0', .name_len = 8, .size = 4, .stored = 4}, "abcdefgh"};
    static const struct frame_data data = {.len = 4};
    static const struct frame_done done = {0};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct tar_entry read;
        struct frame_check check = {.entry = &read};
        struct cob_error *err = NULL;

        tar_entry_init(&read);
        for (const char *at = rows[i].frames; *at && !err; at++) {
            const struct frame_head head = *at == 'e'
                                               ? (struct frame_head){FRAME_ENTRY, sizeof(entry)}
                                           : *at == 'd' ? (struct frame_head){FRAME_DATA, 16}
                                           : *at == 'n' ? (struct frame_head){FRAME_END}
                                           : *at == 'c' ? (struct frame_head){FRAME_DONE, 8}
                                                        : (struct frame_head){99};
            const void *bytes = *at == 'e'   ? (const void *)&entry
                                : *at == 'd' ? (const void *)&data
                                             : &done;
            if (*at != 'd' || at == rows[i].frames || at[-1] != 'd')
                check.chunk_len = 1024, check.chunk_end = 0;
            err = frame_check_next(&check, &head, bytes);
        }
        check_row(!err == rows[i].is_good, i, rows[i].frames);
        cob_error_free(err);
        tar_entry_done(&read);
    }
}

static void test_entries_come_back(void)
{
    struct tar_entry entry, read;
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    tar_entry_init(&entry);
    tar_entry_init(&read);
    entry.type = TAR_HARD_LINK;
    g_string_assign(entry.name, "dir/name");
    g_string_assign(entry.link, "../\xff target");
    entry.mode = 04755, entry.uid = 4294967294, entry.gid = 7;
    entry.mtime = -5, entry.mtime_ns = 999999999, entry.major = 1, entry.minor = 2;
    tar_entry_add_xattr(&entry, "user.a", g_bytes_new("\0\1", 2));
    tar_entry_add_xattr(&entry, "user.b", g_bytes_new("", 0));
    frame_put_entry(bytes, &entry, 512);
    CHECK_OK(frame_get_entry(
        bytes->data + sizeof(struct frame_head), bytes->len - sizeof(struct frame_head), &read));
    g_assert_cmpstr(read.name->str, ==, entry.name->str);
    g_assert_cmpstr(read.link->str, ==, entry.link->str);
    g_assert_cmpint(read.type, ==, entry.type);
    g_assert_cmpint(read.mode, ==, entry.mode);
    g_assert_cmpuint(read.uid, ==, entry.uid);
    g_assert_cmpuint(read.gid, ==, entry.gid);
    g_assert_cmpint(read.mtime, ==, entry.mtime);
    g_assert_cmpuint(read.mtime_ns, ==, entry.mtime_ns);
    g_assert_cmpuint(read.major * 10 + read.minor, ==, 12);
    g_assert_cmpuint(read.xattrs->len, ==, 2);
    const struct tar_xattr *first = g_ptr_array_index(read.xattrs, 0);
    g_assert_cmpstr(first->name, ==, "user.a");
    g_assert_cmpmem(
        g_bytes_get_data(first->value, NULL), g_bytes_get_size(first->value), "\0\1", 2);
    tar_entry_done(&entry);
    tar_entry_done(&read);
}

/* --- a worker that dies --- */

static struct cob_error *append(void *arg, const void *data, size_t len)
{
    g_byte_array_append(arg, data, (guint)len);
    return NULL;
}

/* One file of 8 MiB that does not compress well, as a layer. */
static GByteArray *make_layer(enum cob_layer_compression compression)
{
    const size_t size = 8 << 20;
    GByteArray *out = g_byte_array_new();
    g_autoptr(GByteArray) tar = g_byte_array_new();
    g_autofree uint8_t *data = g_malloc(size);
    struct cob_layer_compressed compressed = {0};
    struct tar_entry entry;
    uint32_t number = 1;
    static const uint8_t end[1024];

    for (size_t i = 0; i < size; i++) {
        number = number * 1664525 + 1013904223;
        data[i] = (uint8_t)(number >> 24);
    }
    tar_entry_init(&entry);
    g_string_assign(entry.name, "file");
    entry.size = size;
    entry.mode = 0644;
    entry.uid = getuid(), entry.gid = getgid();
    tar_write_header(tar, &entry);
    tar_entry_done(&entry);
    g_byte_array_append(tar, data, (guint)size);
    g_byte_array_append(tar, end, sizeof(end));
    g_autoptr(cob_layer_compressor) compressor = cob_layer_compressor_new(compression, append, out);
    CHECK_OK(cob_layer_compressor_write(compressor, tar->data, tar->len));
    CHECK_OK(cob_layer_compressor_finish(compressor, &compressed));
    g_free(compressed.digest);
    return out;
}

static bool is_worker(pid_t pid, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
    g_autofree char *line = NULL;
    gsize len = 0;

    if (!g_file_get_contents(path, &line, &len, NULL) || len < 17 + strlen(name))
        return false;
    for (gsize i = 0; i < len; i++)
        line[i] = line[i] ? line[i] : ' ';
    g_autofree char *needle = g_strdup_printf("--sealed-worker %s", name);
    return g_strstr_len(line, (gssize)len, needle) != NULL;
}

/* The child of any thread that is this worker; 0: none. */
static pid_t find_worker(const char *name)
{
    g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);
    const char *task;

    while ((task = g_dir_read_name(tasks))) {
        g_autofree char *path = g_strdup_printf("/proc/self/task/%s/children", task);
        g_autofree char *text = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL))
            continue;
        g_auto(GStrv) pids = g_strsplit(text, " ", -1);
        for (char **pid = pids; *pid; pid++) {
            if (**pid && is_worker((pid_t)atoi(*pid), name))
                return (pid_t)atoi(*pid);
        }
    }
    return 0;
}

static pid_t wait_for_worker(const char *name)
{
    pid_t pid = 0;

    for (int i = 0; i < 1000 && pid == 0; i++) {
        pid = find_worker(name);
        g_usleep(pid ? 0 : 10000);
    }
    g_assert_cmpint(pid, >, 0);
    return pid;
}

static void hit(const char *worker, int signum)
{
    pid_t pid = wait_for_worker(worker);

    if (pid > 0) /* never a group */
        g_assert_cmpint(kill(pid, signum), ==, 0);
}

/* Half of it, the blow, the other half. */
static struct cob_error *unpack_hit(
    int dir_fd, const GByteArray *layer, const char *worker, int signum, struct cob_cancel *cancel)
{
    const struct cob_layer_unpack_request request = {
        .dir_fd = dir_fd, .opaque_xattr = "user.test.opaque", .cancel = cancel};
    g_autoptr(cob_layer_unpack) unpack = cob_layer_unpack_new(&request);

    COB_TRY(cob_layer_unpack_write(unpack, layer->data, layer->len / 2));
    if (signum)
        hit(worker, signum);
    else
        cob_cancel_trigger(cancel);
    COB_TRY(cob_layer_unpack_write(unpack, layer->data + layer->len / 2, layer->len / 2));
    return cob_layer_unpack_finish(unpack, NULL);
}

static void test_deaths_are_told(void)
{
    static const struct {
        enum cob_layer_compression compression;
        const char *worker;
        int signum;
        const char *text;
    } rows[] = {
        {COB_LAYER_GZIP, "decode", SIGKILL, "the sealed worker decode died of signal 9: killed*"},
        {COB_LAYER_ZSTD, "decode", SIGKILL, "the sealed worker decode died of signal 9: killed*"},
        {COB_LAYER_GZIP, "untar", SIGKILL, "the sealed worker untar died of signal 9: killed*"},
        {COB_LAYER_PLAIN, "untar", SIGKILL, "the sealed worker untar died of signal 9: killed*"},
        {COB_LAYER_GZIP, "decode", SIGILL, "the sealed worker decode *"}, /* as by a bad pointer */
        {COB_LAYER_PLAIN, "untar", SIGILL, "the sealed worker untar *"},
        {COB_LAYER_GZIP, "decode", SIGSYS, "the sealed worker decode died of signal 31: it asked*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = check_scratch_new();
        g_autoptr(GByteArray) layer = make_layer(rows[i].compression);
        cob_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        CHECK_ERROR(unpack_hit(fd, layer, rows[i].worker, rows[i].signum, NULL), COB_INTERNAL,
            rows[i].text);
        check_row(waitpid(-1, NULL, WNOHANG) == -1, i, "no child is left");
        check_scratch_free(g_steal_pointer(&path));
    }
}

/* A worker that was stopped, and so never answers, does not hold cob up. */
static void test_cancel_ends_both(void)
{
    static const int signals[] = {0, SIGSTOP};

    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        g_autofree char *path = check_scratch_new();
        g_autoptr(GByteArray) layer = make_layer(COB_LAYER_GZIP);
        g_autoptr(cob_cancel) cancel = NULL;
        cob_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const struct cob_layer_unpack_request request = {
            .dir_fd = fd, .opaque_xattr = "user.test.opaque", .cancel = cancel};

        CHECK_OK(cob_cancel_new(&cancel));
        if (signals[i] == 0) {
            CHECK_ERROR(unpack_hit(fd, layer, NULL, 0, cancel), COB_CANCELLED, "*");
        } else {
            g_autoptr(cob_layer_unpack) unpack = cob_layer_unpack_new(&request);

            CHECK_OK(cob_layer_unpack_write(unpack, layer->data, 1 << 20));
            hit("decode", SIGSTOP); /* freeing ends it */
        }
        check_row(waitpid(-1, NULL, WNOHANG) == -1, i, "no child is left");
        check_scratch_free(g_steal_pointer(&path));
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/layer-remote/lies-are-seen", test_lies_are_seen);
    g_test_add_func("/layer-remote/order-is-held", test_order_is_held);
    g_test_add_func("/layer-remote/entries-come-back", test_entries_come_back);
    g_test_add_func("/layer-remote/deaths-are-told", test_deaths_are_told);
    g_test_add_func("/layer-remote/cancel-ends-both", test_cancel_ends_both);
    return g_test_run();
}
