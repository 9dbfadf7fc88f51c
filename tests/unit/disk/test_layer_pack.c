/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "check.h"
#include "disk/layer/layer.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/limits.h"

#define OPAQUE_XATTR "user.test.opaque"

struct fixture {
    char *path;
    int fd;
};

static struct fixture *fixture_new(void)
{
    struct fixture *f = g_new(struct fixture, 1);

    f->path = check_scratch_new();
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return f;
}

static void fixture_free(struct fixture *f)
{
    close(f->fd);
    check_scratch_free(f->path);
    g_free(f);
}
COB_AUTOPTR(fixture, fixture_free)

static void put(struct fixture *f, const char *name, const char *text, mode_t mode, time_t mtime)
{
    struct timespec times[2] = {{.tv_sec = mtime}, {.tv_sec = mtime, .tv_nsec = 999}};

    CHECK_OK(cob_fs_replace_file(f->fd, name, mode, text, strlen(text)));
    g_assert_cmpint(utimensat(f->fd, name, times, 0), ==, 0);
}

static void touch(struct fixture *f, const char *name, time_t mtime)
{
    struct timespec times[2] = {{.tv_sec = mtime}, {.tv_sec = mtime}};

    g_assert_cmpint(utimensat(f->fd, name, times, AT_SYMLINK_NOFOLLOW), ==, 0);
}

static struct cob_error *collect(void *arg, const void *data, size_t len)
{
    g_byte_array_append(arg, data, (guint)len);
    return NULL;
}

static GByteArray *pack(int fd)
{
    const struct cob_layer_pack_request request = {.dir_fd = fd, .opaque_xattr = OPAQUE_XATTR};
    GByteArray *out = g_byte_array_new();
    struct cob_layer_pack_result result;

    CHECK_OK(cob_layer_pack(&request, collect, out, &result));
    g_autofree char *digest = cob_digest_of(out->data, out->len);
    g_assert_cmpstr(result.diff_id, ==, digest);
    g_assert_cmpuint(result.tar_bytes, ==, out->len);
    cob_layer_pack_result_done(&result);
    return out;
}

static struct cob_error *unpack(int fd, const GByteArray *tar)
{
    const struct cob_layer_unpack_request request = {.dir_fd = fd, .opaque_xattr = OPAQUE_XATTR};
    g_autoptr(cob_layer_unpack) unpack = cob_layer_unpack_new(&request);

    COB_TRY(cob_layer_unpack_write(unpack, tar->data, tar->len));
    return cob_layer_unpack_finish(unpack, NULL);
}

/* One of everything that a layer can hold; what needs root only as root. */
static void make_tree(struct fixture *f, bool with_all)
{
    g_autofree char *long_name = g_strnfill(200, 'n');
    g_autofree char *long_target = g_strnfill(300, 't');
    g_autofree char *deep = g_strconcat("d/", long_name, NULL);

    put(f, "b", "content", 04755, 1000);
    put(f, "a-empty", "", 0600, 1);
    g_assert_cmpint(mkdirat(f->fd, "d", 0700), ==, 0);
    put(f, "d/umlaut-\xc3\xbc", "utf-8", 0644, 5000000000);
    put(f, "d/latin-\xfc", "not utf-8", 0644, 0);
    put(f, deep, "long", 0644, -5);
    g_assert_cmpint(linkat(f->fd, "b", f->fd, "d/again", 0), ==, 0);
    g_assert_cmpint(symlinkat(long_target, f->fd, "d/link"), ==, 0);
    touch(f, "d/link", 7);
    g_assert_cmpint(mkfifoat(f->fd, "pipe", 0640), ==, 0);
    g_assert_cmpint(fchmodat(f->fd, "pipe", 0640, 0), ==, 0);
    touch(f, "pipe", 8);
    g_autofree char *b = g_build_filename(f->path, "b", NULL);
    g_autofree char *d = g_build_filename(f->path, "d", NULL);
    g_assert_cmpint(setxattr(b, "user.key", "v\0v", 3, 0), ==, 0);
    g_assert_cmpint(setxattr(b, "user.overlay.origin", "x", 1, 0), ==, 0);
    g_assert_cmpint(setxattr(d, OPAQUE_XATTR, "y", 1, 0), ==, 0);
    if (with_all) {
        g_assert_cmpint(mknodat(f->fd, "null", S_IFCHR | 0666, makedev(1, 3)), ==, 0);
        g_assert_cmpint(fchmodat(f->fd, "null", 0666, 0), ==, 0);
        touch(f, "null", 9);
        g_assert_cmpint(mknodat(f->fd, "d/gone", S_IFCHR, 0), ==, 0);
        g_assert_cmpint(fchownat(f->fd, "a-empty", 3000000, 70000, 0), ==, 0);
    }
    touch(f, "d", 10);
}

static void test_round_trip(void)
{
    g_autoptr(fixture) from = fixture_new();
    g_autoptr(fixture) to = fixture_new();

    make_tree(from, geteuid() == 0);
    g_autoptr(GByteArray) first = pack(from->fd);
    CHECK_OK(unpack(to->fd, first));
    g_autoptr(GByteArray) second = pack(to->fd);
    g_assert_cmpmem(first->data, first->len, second->data, second->len);
    struct stat st;
    g_assert_cmpint(fstatat(to->fd, "d", &st, 0), ==, 0);
    g_assert_cmpint(st.st_mtim.tv_sec, ==, 10);
    g_assert_cmpint(fstatat(to->fd, "d/again", &st, 0), ==, 0);
    g_assert_cmpint(st.st_nlink, ==, 2);
    g_assert_cmpint(st.st_mode & 07777, ==, 04755);
    g_assert_cmpint(st.st_mtim.tv_nsec, ==, 0);
}

/* The bytes are a promise: images that were built must not change. */
static void test_golden(void)
{
    g_autoptr(fixture) f = fixture_new();

    if (geteuid() != 0)
        return check_skip("only root can make all kinds of files");
    make_tree(f, true);
    g_autoptr(GByteArray) tar = pack(f->fd);
    g_autofree char *digest = cob_digest_of(tar->data, tar->len);
    g_assert_cmpstr(
        digest, ==, "sha256:2ab2972412e619a3ebd185b9712baaf79a01097e5413fd0e5c1fdb7c26418df3");
}

static char *run_on(const GByteArray *tar, const char *const *argv)
{
    g_autofree char *path = check_scratch_new();
    g_autofree char *file = g_build_filename(path, "t.tar", NULL);
    char *out = NULL;
    int status = -1;

    g_assert_true(g_file_set_contents(file, (const char *)tar->data, (gssize)tar->len, NULL));
    g_assert_true(g_spawn_sync(path, (char **)(uintptr_t)argv, NULL,
        G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    check_scratch_free(g_steal_pointer(&path));
    return out;
}

/* GNU tar and Python see the same names in the same order. */
static void test_judges(void)
{
    static const char *const gnu[] = {"tar", "--quoting-style=literal", "-tf", "t.tar", NULL};
    static const char *const python[] = {"python3", "-c",
        "import sys, tarfile\n"
        "for m in tarfile.open('t.tar', errors='surrogateescape'):\n"
        "  n = m.name + ('/' if m.isdir() else '') + '\\n'\n"
        "  sys.stdout.buffer.write(n.encode('utf-8', 'surrogateescape'))",
        NULL};
    g_autofree char *long_name = g_strnfill(200, 'n');
    g_autofree char *want = g_strconcat("a-empty\nb\nd/\nd/.wh..wh..opq\nd/again\n",
        geteuid() == 0 ? "d/.wh.gone\n" : "", "d/latin-\xfc\nd/link\nd/", long_name,
        "\nd/umlaut-\xc3\xbc\n", geteuid() == 0 ? "null\n" : "", "pipe\n", NULL);
    g_autoptr(fixture) f = fixture_new();

    make_tree(f, geteuid() == 0);
    g_autoptr(GByteArray) tar = pack(f->fd);
    g_autofree char *by_gnu = run_on(tar, gnu);
    g_assert_cmpstr(by_gnu, ==, want);
    g_autofree char *by_python = run_on(tar, python);
    g_assert_cmpstr(by_python, ==, want);
}

static void test_refusals(void)
{
    g_autoptr(fixture) f = fixture_new();
    struct cob_layer_pack_request request = {.dir_fd = f->fd, .opaque_xattr = OPAQUE_XATTR};
    struct cob_layer_pack_result result;
    g_autoptr(cob_cancel) cancel = NULL;

    g_assert_cmpint(mkdirat(f->fd, "d", 0755), ==, 0);
    put(f, "d/.wh.x", "", 0644, 0);
    CHECK_ERROR(cob_layer_measure(&request, &result), COB_INVALID,
        "pack layer: d/.wh.x: a name that begins with .wh. means a removed file*");
    request.opaque_xattr = NULL; /* a plain tree */
    CHECK_OK(cob_layer_measure(&request, &result));
    g_assert_cmpuint(result.n_entries, ==, 2);
    cob_layer_pack_result_done(&result);
    CHECK_OK(cob_cancel_new(&cancel));
    cob_cancel_trigger(cancel);
    request.cancel = cancel;
    CHECK_ERROR(cob_layer_measure(&request, &result), COB_CANCELLED, "*");
}

static void test_max_mtime(void)
{
    g_autoptr(fixture) f = fixture_new();
    struct cob_layer_pack_request request = {
        .dir_fd = f->fd, .opaque_xattr = OPAQUE_XATTR, .has_max_mtime = true, .max_mtime = 50};
    struct cob_layer_pack_result early, late;

    put(f, "x", "x", 0644, 100);
    CHECK_OK(cob_layer_measure(&request, &early));
    touch(f, "x", 200);
    CHECK_OK(cob_layer_measure(&request, &late));
    g_assert_cmpstr(early.diff_id, ==, late.diff_id);
    cob_layer_pack_result_done(&early);
    cob_layer_pack_result_done(&late);
}

/* A directory as deep as a name can tell costs no descriptor a level. */
static void test_deep(void)
{
    g_autoptr(fixture) from = fixture_new();
    g_autoptr(fixture) to = fixture_new();
    g_autoptr(GString) path = g_string_new(NULL);

    for (unsigned i = 0; i < COB_LIMIT_TREE_DEPTH; i++) {
        g_string_append(path, i ? "/d" : "d");
        g_assert_cmpint(mkdirat(from->fd, path->str, 0755), ==, 0);
        if (i % 100 == 0) {
            g_autofree char *file = g_strconcat(path->str, "/z", NULL);

            put(from, file, "z", 0644, 0);
        }
    }
    g_autoptr(GByteArray) first = pack(from->fd);
    CHECK_OK(unpack(to->fd, first));
    g_autoptr(GByteArray) second = pack(to->fd);
    g_assert_cmpmem(first->data, first->len, second->data, second->len);

    /* what could not be unpacked is not packed */
    const struct cob_layer_pack_request request = {.dir_fd = from->fd};
    g_string_append(path, "/d");
    g_assert_cmpint(mkdirat(from->fd, path->str, 0755), ==, 0);
    CHECK_ERROR(cob_layer_measure(&request, NULL), COB_INVALID,
        "pack layer: d/d/*/d: more than the limit of 1024 directories deep; no layer holds it");
}

/* A version 3 capability names a user namespace of one machine; layers have version 2. */
static void test_capabilities(void)
{
    struct vfs_ns_cap_data v3 = {
        .magic_etc = GUINT32_TO_LE(VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE),
        .data = {{.permitted = GUINT32_TO_LE(1u << 10)}},
        .rootid = GUINT32_TO_LE(100000)};
    g_autoptr(fixture) from = fixture_new();
    g_autoptr(fixture) to = fixture_new();
    uint8_t value[64];

    put(from, "x", "x", 0755, 0);
    g_autofree char *x = g_build_filename(from->path, "x", NULL);
    if (setxattr(x, "security.capability", &v3, sizeof(v3), 0) < 0)
        return check_skip("this user cannot set file capabilities");
    g_autoptr(GByteArray) tar = pack(from->fd);
    CHECK_OK(unpack(to->fd, tar));
    g_autofree char *y = g_build_filename(to->path, "x", NULL);
    g_assert_cmpint(getxattr(y, "security.capability", value, sizeof(value)), ==, 20);
    g_assert_cmpint(value[3], ==, VFS_CAP_REVISION_2 >> 24);
    g_assert_cmpint(value[0], ==, 1);
    g_assert_cmpint(value[5], ==, 4);
}

/* --- compression --- */

static GByteArray *compress(
    enum cob_layer_compression compression, const GByteArray *data, size_t piece)
{
    GByteArray *out = g_byte_array_new();
    g_autoptr(cob_layer_compressor) compressor =
        cob_layer_compressor_new(compression, collect, out);
    struct cob_layer_compressed result;

    for (size_t at = 0; at < data->len; at += piece)
        CHECK_OK(
            cob_layer_compressor_write(compressor, data->data + at, MIN(piece, data->len - at)));
    CHECK_OK(cob_layer_compressor_finish(compressor, &result));
    g_autofree char *digest = cob_digest_of(out->data, out->len);
    g_assert_cmpstr(result.digest, ==, digest);
    g_assert_cmpuint(result.size_bytes, ==, out->len);
    g_free(result.digest);
    return out;
}

static GByteArray *run_filter(const char *command, const GByteArray *in)
{
    g_autofree char *path = check_scratch_new();
    g_autofree char *file = g_build_filename(path, "in", NULL);
    g_autofree char *out_file = g_build_filename(path, "out", NULL);
    g_autofree char *script = g_strdup_printf("%s < in > out", command);
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    g_autofree char *out = NULL;
    gsize len = 0;
    int status = -1;

    g_assert_true(g_file_set_contents(file, (const char *)in->data, (gssize)in->len, NULL));
    g_assert_true(g_spawn_sync(path, (char **)(uintptr_t)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL,
        NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    g_assert_true(g_file_get_contents(out_file, &out, &len, NULL));
    check_scratch_free(g_steal_pointer(&path));
    GByteArray *result = g_byte_array_new();
    return g_byte_array_append(result, (const guint8 *)out, (guint)len);
}

/* Three megabytes that compress somewhat, in a tar. */
static GByteArray *make_large(struct fixture *f)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (uint32_t i = 0, x = 1; i < 300000; i++, x = x * 1664525 + 1013904223)
        g_string_append_printf(text, "%u ", x >> 8);
    put(f, "large", text->str, 0644, 0);
    put(f, "small", "small", 0644, 0);
    return pack(f->fd);
}

static void test_compress(void)
{
    static const struct {
        enum cob_layer_compression compression;
        const char *decompress;
    } rows[] = {{COB_LAYER_GZIP, "gzip -dc"}, {COB_LAYER_ZSTD, "zstd -dc"}};
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(GByteArray) tar = make_large(f);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(fixture) to = fixture_new();
        g_autoptr(GByteArray) first = compress(rows[i].compression, tar, tar->len);
        g_autoptr(GByteArray) second = compress(rows[i].compression, tar, 12345);

        g_assert_cmpmem(first->data, first->len, second->data, second->len);
        check_row(first->len < tar->len / 3 * 2, i, rows[i].decompress);
        CHECK_OK(unpack(to->fd, first));
        g_autoptr(GByteArray) back = pack(to->fd);
        g_assert_cmpmem(back->data, back->len, tar->data, tar->len);
        if (rows[i].compression != COB_LAYER_GZIP)
            continue;
        g_autoptr(GByteArray) judged = run_filter(rows[i].decompress, first);
        g_assert_cmpmem(judged->data, judged->len, tar->data, tar->len);
    }
    g_autoptr(GByteArray) nothing = g_byte_array_new();
    g_autoptr(GByteArray) empty = compress(COB_LAYER_GZIP, nothing, 1);
    g_autoptr(GByteArray) judged = run_filter("gzip -dc", empty);
    g_assert_cmpuint(judged->len, ==, 0);
}

/* What other programs compress is read, also in several streams; damage and cuts are errors. */
static void test_decompress(void)
{
    static const char *const commands[] = {"cat", "gzip -c", "gzip -1 -c", "xz -c", "bzip2 -c",
        "zstd -q -c", "sh -c 'head -c 100000 in | gzip -c; tail -c +100001 in | gzip -c'"};
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(GByteArray) tar = make_large(f);

    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autoptr(fixture) to = fixture_new();
        g_auto(GStrv) words = g_strsplit(commands[i], " ", 2);
        g_autofree char *program = g_find_program_in_path(words[0]);

        if (!program)
            continue;
        g_autoptr(GByteArray) packed = run_filter(commands[i], tar);
        check_ok(__FILE__, __LINE__, commands[i], unpack(to->fd, packed));
        g_autoptr(GByteArray) back = pack(to->fd);
        check_row(
            back->len == tar->len && memcmp(back->data, tar->data, tar->len) == 0, i, commands[i]);
        if (i == 0)
            continue;
        packed->len -= 10;
        struct cob_error *err = unpack(to->fd, packed);
        check_row(err && cob_error_code(err) == COB_INVALID, i, "cut short");
        cob_error_free(err);
        packed->data[packed->len / 2] ^= 0x55;
        packed->data[packed->len / 2 + 1] ^= 0x55;
        packed->len += 10;
        err = unpack(to->fd, packed);
        check_row(err && cob_error_code(err) == COB_INVALID, i, "damaged");
        cob_error_free(err);
    }
}

static void test_bombs(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(GByteArray) zeros = g_byte_array_new();
    const struct cob_layer_unpack_request request = {
        .dir_fd = f->fd, .opaque_xattr = OPAQUE_XATTR, .max_bytes = 1000000};

    g_byte_array_set_size(zeros, 8000000);
    memset(zeros->data, 0, zeros->len);
    g_autoptr(GByteArray) bomb = compress(COB_LAYER_GZIP, zeros, zeros->len);
    g_autoptr(cob_layer_unpack) unpacker = cob_layer_unpack_new(&request);
    struct cob_error *err = cob_layer_unpack_write(unpacker, bomb->data, bomb->len);
    if (!err)
        err = cob_layer_unpack_finish(unpacker, NULL);
    CHECK_ERROR(err, COB_EXHAUSTED, "*more than the limit of 1000000 bytes, uncompressed*");
}

/* Streams that ask for more memory than they may have; the first is the control of its kind. */
static void test_memory_bombs(void)
{
    static const char dict[] =
        "python3 -c 'import lzma, sys, zlib\n"
        "d = bytearray(lzma.compress(sys.stdin.buffer.read()))\n"
        "n = 4 * d[12] + 4; d[16] = %d; d[12 + n - 4:12 + n] = "
        "zlib.crc32(d[12:12 + n - 4]).to_bytes(4, \"little\"); sys.stdout.buffer.write(d)'";
    g_autofree char *small_dict = g_strdup_printf(dict, 22); /* 8 MiB */
    g_autofree char *large_dict = g_strdup_printf(dict, 40); /* 4 GiB */
    const struct {
        const char *command, *want;
    } rows[] = {
        {"zstd -q --long=27 -c", NULL},
        {"zstd -q --long=28 -c", "*zstd: its window is larger than the limit of 128 MiB"},
        {"zstd -q --long=31 -c", "*zstd: its window is larger than the limit of 128 MiB"},
        {small_dict, NULL},
        {large_dict, "*xz: it needs more memory than the limit of 134217728"},
    };
    g_autoptr(fixture) f = fixture_new();

    put(f, "f", "content", 0644, 0);
    g_autoptr(GByteArray) tar = pack(f->fd);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(fixture) to = fixture_new();
        g_autoptr(GByteArray) packed = run_filter(rows[i].command, tar);

        if (rows[i].want)
            CHECK_ERROR(unpack(to->fd, packed), COB_EXHAUSTED, rows[i].want);
        else
            CHECK_OK(unpack(to->fd, packed));
    }
}

static void test_is_archive(void)
{
    static const struct {
        const char *command;
        bool want;
    } rows[] = {{"cat", true}, {"gzip -c", true}, {"xz -c", true}, {"bzip2 -c", true},
        {"sh -c 'echo text | gzip -c'", false}, {"sh -c 'echo text'", false},
        {"head -c 100", false}, {"head -c 2000 /dev/zero", false}, {"true", false}};
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(GByteArray) tar = make_large(f);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GByteArray) bytes = run_filter(rows[i].command, tar);
        bool is_archive = !rows[i].want;
        g_autofree char *path = g_build_filename(f->path, "probe", NULL);

        g_assert_true(
            g_file_set_contents(path, (const char *)bytes->data, (gssize)bytes->len, NULL));
        cob_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
        CHECK_OK(cob_layer_is_archive(fd, &is_archive));
        check_row(is_archive == rows[i].want, i, rows[i].command);
        g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, 0);
    }
    bool is_archive = true;
    CHECK_OK(cob_layer_is_archive(f->fd, &is_archive));
    g_assert_false(is_archive);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/layer/pack/round-trip", test_round_trip);
    g_test_add_func("/layer/pack/golden", test_golden);
    g_test_add_func("/layer/pack/gnu-tar-and-python-agree", test_judges);
    g_test_add_func("/layer/pack/refusals", test_refusals);
    g_test_add_func("/layer/pack/max-mtime", test_max_mtime);
    g_test_add_func("/layer/pack/deep", test_deep);
    g_test_add_func("/layer/pack/capabilities-become-portable", test_capabilities);
    g_test_add_func("/layer/compress/repeats-and-is-read", test_compress);
    g_test_add_func("/layer/decompress/what-others-made", test_decompress);
    g_test_add_func("/layer/decompress/bombs", test_bombs);
    g_test_add_func("/layer/decompress/memory-bombs", test_memory_bombs);
    g_test_add_func("/layer/is-archive", test_is_archive);
    return g_test_run();
}
