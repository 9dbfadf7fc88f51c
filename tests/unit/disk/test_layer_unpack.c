/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "check.h"
#include "disk/layer/layer.h"
#include "disk/layer/tar.h"
#include "util/digest.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* rows: zero is the default */

#define OPAQUE_XATTR "user.test.opaque" /* settable by everyone */

/* One entry of an archive that a test builds; zero is the default of each. */
struct item {
    const char *name;
    char type; /* 0: '0' */
    const char *link;
    const char *data; /* also of extension headers */
    const char *size; /* the field as it is */
    const char *pax;  /* records before it: "key=value|key=value" */
    unsigned mode;    /* 0: 0644 */
    unsigned rdev[2];
    const char *prefix;
    bool has_bad_sum, is_gnu;
};

static void put_field(uint8_t *block, size_t at, const char *text)
{
    memcpy(block + at, text, strlen(text));
}

static void put_number(uint8_t *block, size_t at, unsigned digits, unsigned number)
{
    g_autofree char *text = g_strdup_printf("%0*o", (int)digits, number);

    put_field(block, at, text);
}

static void put_block(GByteArray *out, const struct item *item)
{
    uint8_t block[512] = {0};
    size_t len = item->data ? strlen(item->data) : 0;
    unsigned sum = 0;

    memcpy(block, item->name, MIN(strlen(item->name), (size_t)100));
    put_number(block, 100, 7, item->mode ? item->mode : 0644);
    put_number(block, 108, 7, getuid());
    put_number(block, 116, 7, getgid());
    put_number(block, 124, 11, (unsigned)len);
    if (item->size)
        put_field(block, 124, item->size);
    put_number(block, 136, 11, 1000000000);
    block[156] = (uint8_t)(item->type ? item->type : '0');
    if (item->link)
        memcpy(block + 157, item->link, MIN(strlen(item->link), (size_t)100));
    memcpy(block + 257, item->is_gnu ? "ustar  \0" : "ustar\00000", 8);
    if (item->prefix)
        put_field(block, 345, item->prefix);
    put_number(block, 329, 7, item->rdev[0]);
    put_number(block, 337, 7, item->rdev[1]);
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < sizeof(block); i++)
        sum += block[i];
    put_number(block, 148, 6, sum + item->has_bad_sum);
    block[154] = '\0';
    g_byte_array_append(out, block, sizeof(block));
    g_byte_array_append(out, (const uint8_t *)item->data, (guint)len);
    memset(block, 0, sizeof(block));
    g_byte_array_append(out, block, (guint)(-len & 511));
}

static void put_pax(GByteArray *out, const char *records)
{
    g_auto(GStrv) parts = g_strsplit(records, "|", -1);
    g_autoptr(GString) text = g_string_new(NULL);

    for (char **part = parts; *part; part++) {
        size_t rest = strlen(*part) + 2, n_digits = 1;

        while (strlen(*part) > 0 && (n_digits == 1      ? 9
                                        : n_digits == 2 ? 99
                                        : n_digits == 3 ? 999
                                                        : 9999) < rest + n_digits)
            n_digits++;
        g_string_append_printf(text, "%zu %s\n", rest + n_digits, *part);
    }
    put_block(out, &(struct item){.name = "PaxHeaders/x", .type = 'x', .data = text->str});
}

static void put_item(GByteArray *out, const struct item *item)
{
    if (item->pax)
        put_pax(out, item->pax);
    put_block(out, item);
}

static GByteArray *build(const struct item *items, size_t max)
{
    GByteArray *out = g_byte_array_new();
    static const uint8_t end[1024];

    for (size_t i = 0; i < max && items[i].name; i++)
        put_item(out, &items[i]);
    g_byte_array_append(out, end, sizeof(end));
    return out;
}

/* A directory to unpack into, and one outside that must stay as it is. */
struct fixture {
    char *path;
    char *inside;
    int fd;
    GString *warnings;
    struct cob_layer_unpack_result result;
};

static void keep_warning(void *arg, const char *text)
{
    g_string_append_printf(arg, "%s\n", text);
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = g_new0(struct fixture, 1);
    g_autofree char *canary = NULL;

    f->path = check_scratch_new();
    f->inside = g_build_filename(f->path, "inside", NULL);
    canary = g_build_filename(f->path, "canary", NULL);
    g_assert_true(g_file_set_contents(canary, "untouched", -1, NULL));
    g_assert_cmpint(mkdir(f->inside, 0755), ==, 0);
    f->fd = open(f->inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->warnings = g_string_new(NULL);
    return f;
}

static void fixture_free(struct fixture *f)
{
    close(f->fd);
    cob_layer_unpack_result_done(&f->result);
    g_string_free(f->warnings, TRUE);
    check_scratch_free(f->path);
    g_free(f->inside);
    g_free(f);
}
COB_AUTOPTR(fixture, fixture_free)

static struct cob_layer_unpack_request request_of(struct fixture *f)
{
    return (struct cob_layer_unpack_request){.dir_fd = f->fd,
        .opaque_xattr = OPAQUE_XATTR,
        .on_warning = keep_warning,
        .warning_arg = f->warnings};
}

static struct cob_error *feed(struct fixture *f, const struct cob_layer_unpack_request *request,
    const void *data, size_t len, size_t piece)
{
    g_autoptr(cob_layer_unpack) unpack = cob_layer_unpack_new(request);

    cob_layer_unpack_result_done(&f->result);
    for (size_t at = 0; at < len; at += piece)
        COB_TRY(cob_layer_unpack_write(unpack, (const uint8_t *)data + at, MIN(piece, len - at)));
    return cob_layer_unpack_finish(unpack, &f->result);
}

static struct cob_error *unpack(struct fixture *f, const struct item *items, size_t max, bool add)
{
    g_autoptr(GByteArray) tar = build(items, max);
    struct cob_layer_unpack_request request = request_of(f);

    request.is_archive = add;
    return feed(f, &request, tar->data, tar->len, 100000);
}

static void list_below(int dir_fd, const char *dir, GPtrArray *out)
{
    g_autofree char *proc = g_strdup_printf("/proc/self/fd/%d/%s", dir_fd, dir);
    g_autoptr(GDir) entries = g_dir_open(proc, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(entries))) {
        g_autofree char *path = dir[0] ? g_build_filename(dir, name, NULL) : g_strdup(name);
        g_autofree char *full = g_strdup_printf("/proc/self/fd/%d/%s", dir_fd, path);
        struct stat st;

        g_assert_cmpint(fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW), ==, 0);
        bool is_opaque = S_ISDIR(st.st_mode) && getxattr(full, OPAQUE_XATTR, NULL, 0) == 1;
        const char *mark = S_ISDIR(st.st_mode)    ? is_opaque ? "!/" : "/"
                           : S_ISLNK(st.st_mode)  ? "@"
                           : S_ISFIFO(st.st_mode) ? "|"
                           : S_ISCHR(st.st_mode)  ? st.st_rdev ? "%" : "-"
                           : st.st_nlink > 1      ? "="
                                                  : "";
        g_ptr_array_add(out, g_strconcat(path, mark, NULL));
        if (S_ISDIR(st.st_mode))
            list_below(dir_fd, path, out);
    }
}

static gint by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "a d/ d/b s@ gone-": all that is there, sorted. / directory, !/ opaque, @ symlink, - whiteout,
 * | FIFO, % device, = file with more names. */
static char *list_tree(int fd)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    list_below(fd, "", names);
    g_ptr_array_sort(names, by_text);
    g_ptr_array_add(names, NULL);
    return g_strjoinv(" ", (char **)names->pdata);
}

static void check_canary(struct fixture *f, size_t row, const char *name)
{
    g_autofree char *canary = g_build_filename(f->path, "canary", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GDir) dir = g_dir_open(f->path, 0, NULL);
    unsigned n = 0;

    check_row(g_file_get_contents(canary, &text, NULL, NULL) && g_strcmp0(text, "untouched") == 0,
        row, name);
    while (g_dir_read_name(dir))
        n++;
    check_row(n == 2, row, name);
}

#define MAX_ITEMS 8

/* want: the tree that comes out, or, after a '#', what the error says; warn: what is warned of. */
struct row {
    const char *name;
    const char *want;
    struct item items[MAX_ITEMS];
    const char *warn;
    bool add;
};

static const struct row names[] = {
    {"plain", "a d/ d/b", {{"a"}, {"d/", '5'}, {"d/b"}}},
    {"implied-parents", "d/ d/e/ d/e/f", {{"d/e/f"}}},
    {"dot-slash", "a", {{"./a"}}},
    {"root-entry-dir", "a", {{"./", '5'}, {"a"}}},
    {"root-entry-symlink", "#*entry .: it would replace the root directory*",
        {{".", '2', .link = "/etc"}}},
    {"root-entry-file", "#*it would replace the root directory*", {{"."}}},
    {"root-entry-hard-link", "#*it would replace*", {{"./.", '1', .link = "a"}}},
    {"absolute-name", "canary", {{"/canary", .data = "x"}}},
    {"dot-dot-confined", "canary", {{"../../../../../../../../canary", .data = "x"}}},
    {"dot-dot-inside", "x y/", {{"y/", '5'}, {"y/../x"}}},
    {"dot-dot-in-archive", "#*entry ../canary*its name leads out of the archive*", {{"../canary"}},
        .add = true},
    {"absolute-symlink-parent", "canary@ tmp/ tmp/x@ tmp/y/ tmp/y/f",
        {{"tmp/", '5'}, {"tmp/x", '2', .link = "/tmp/y"}, {"tmp/x/f"},
            {"canary", '2', .link = "../canary"}}},
    {"relative-symlink-parent", "canary s@", {{"s", '2', .link = "../../.."}, {"s/canary"}}},
    {"symlink-is-replaced", "s", {{"s", '2', .link = "../canary"}, {"s", .data = "x"}}},
    {"symlink-loop", "#*entry a/x: the directory a: *symbolic links*",
        {{"a", '2', .link = "b"}, {"b", '2', .link = "a"}, {"a/x"}}},
    {"file-as-parent", "#*entry a/b: the directory a: a is not a directory*", {{"a"}, {"a/b"}}},
    {"hard-link", "a= b=", {{"a", .data = "1"}, {"b", '1', .link = "a"}}},
    {"hard-link-through-symlink", "#*hard link to s/canary*",
        {{"s", '2', .link = ".."}, {"h", '1', .link = "s/canary"}}},
    {"hard-link-to-symlink-then-file", "h s@",
        {{"s", '2', .link = "../canary"}, {"h", '1', .link = "s"}, {"h", .data = "evil"}}},
    {"hard-link-out", "#*hard link to ../../canary*", {{"h", '1', .link = "../../canary"}}},
    {"hard-link-to-dir", "#*it is a directory*", {{"d/", '5'}, {"h", '1', .link = "d"}}},
    {"hard-link-with-data", "#*it is no file, but has 4 bytes*",
        {{"a"}, {"h", '1', .link = "a", .data = "evil"}}},
    {"chmod-by-hard-link", "h@ s@",
        {{"s", '2', .link = "../canary"}, {"h", '1', .link = "s", .mode = 0777}}},
    {"dir-becomes-symlink", "d@",
        {{"d/", '5', .mode = 0700}, {"d/x"}, {"d", '2', .link = "../canary"}}},
    {"file-becomes-dir", "d!/ d/x", {{"d"}, {"d/", '5'}, {"d/x"}}},
    {"backslash-is-a-letter", "..\\..\\x", {{"..\\..\\x"}}},
};

static const struct row whiteouts[] = {
    {"file", "gone-", {{".wh.gone"}}},
    {"in-implied-dir", "d/ d/gone-", {{"d/.wh.gone"}}},
    {"opaque", "d!/ d/x", {{"d/", '5'}, {"d/.wh..wh..opq"}, {"d/x"}}},
    {"opaque-after-files-keeps-them", "d!/ d/x", {{"d/", '5'}, {"d/x"}, {"d/.wh..wh..opq"}}},
    {"then-dir", "d!/ d/x", {{".wh.d"}, {"d/", '5'}, {"d/x"}}},
    {"then-implied-dir", "d!/ d/x", {{".wh.d"}, {"d/x"}}},
    {"after-dir", "d!/ d/x", {{"d/", '5'}, {"d/x"}, {".wh.d"}}},
    {"then-file", "f", {{".wh.f"}, {"f"}}},
    {"after-file", "f", {{"f"}, {".wh.f"}}},
    {"as-hard-link", "gone-", {{".wh.gone", '1', .link = ".wh..wh.aufs"}}},
    {"aufs-files", "a", {{".wh..wh.aufs"}, {".wh..wh.plnk/", '5'}, {".wh..wh.plnk/1.2"}, {"a"}}},
    {"of-dot-dot", "#*a whiteout of nothing*", {{".wh..."}}},
    {"of-dot", "#*a whiteout of nothing*", {{".wh.."}}},
    {"of-nothing", "#*a whiteout of nothing*", {{"d/.wh."}}},
    {"with-something-below", "#*something below a whiteout*", {{".wh.a/b"}}},
    {"as-dir", "#*a whiteout that is no file*", {{".wh.d/", '5'}}},
    {"opaque-as-symlink", "#*a whiteout that is no file*",
        {{"d/.wh..wh..opq", '2', .link = "/etc"}}},
    {"opaque-as-dir", "#*a whiteout that is no file*", {{"d/.wh..wh..opq/", '5'}}},
    {"through-symlink", "s@", {{"s", '2', .link = "../../.."}, {"s/.wh.s"}}},
    {"raw-device", "a", {{"gone", '3'}, {"a"}}, .warn = "gone: left out a 0:0 device*"},
    {"raw-device-over-file", "a", {{"a"}, {"a", '3'}}, .warn = "a: left out*"},
    {"hard-link-to-whiteout", "#*it is removed by this layer*",
        {{".wh.a"}, {"b", '1', .link = "a"}}},
    {"archive-has-no-whiteouts", ".wh..wh..opq .wh.x", {{".wh.x"}, {".wh..wh..opq"}}, .add = true,
        .warn = ".wh.x: no image can have a name that begins with .wh.*"},
};

static const struct row headers[] = {
    {"bad-checksum", "#*at byte 0*its checksum is wrong*", {{"a", .has_bad_sum = true}}},
    {"pax-path", "b", {{"a", .pax = "path=b"}}},
    {"pax-size-contradicts", "#*its size is 4 in the header and 3 in the pax record*",
        {{"a", .data = "1234", .pax = "size=3"}}},
    {"pax-size-agrees", "a", {{"a", .data = "1234", .pax = "size=4"}}},
    {"pax-size-hides-entries", "#*its size is 0 in the header and 512 in the pax record*",
        {{"a", .pax = "size=512"}, {"hidden"}}},
    {"pax-twice", "#*pax record path comes twice*", {{"a", .pax = "path=b|path=c"}}},
    {"pax-then-gnu", "#*extension headers of pax and GNU*",
        {{"L", 'L', .data = "longer", .pax = "path=b"}, {"a"}}},
    {"gnu-long-name", "longer", {{"L", 'L', .data = "longer", .is_gnu = true}, {"a"}}},
    {"gnu-long-name-twice", "#*two extension headers of one kind*",
        {{"L", 'L', .data = "b"}, {"L", 'L', .data = "c"}, {"a"}}},
    {"extension-at-the-end", "#*the archive ends between*", {{"a"}, {"L", 'L', .data = "b"}}},
    {"extension-too-large", "#*past the limit of 1048576*", {{"L", 'L', .size = "77777777777"}}},
    {"global-path", "#*global pax record path*", {{"g", 'g', .data = "10 path=b\n"}, {"a"}}},
    {"global-comment", "a", {{"g", 'g', .data = "13 comment=b\n"}, {"a"}}},
    {"pax-bad-length", "#*pax records:*", {{"x", 'x', .data = "99 path=b\n"}, {"a"}}},
    {"pax-no-newline", "#*pax records:*", {{"x", 'x', .data = "10 path=bb"}, {"a"}}},
    {"slash-and-file", "#*its name is a directory's, its type is a file's*", {{"a/"}}},
    {"unknown-type", "#*type 0x4d*", {{"a", 'M'}}},
    {"size-beyond-the-end", "#*cut short*", {{"a", .size = "77777777777"}}},
    {"negative-size", "#*its size is negative*",
        {{"a", .size = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}}},
    {"size-no-number", "#*its size is no number*", {{"a", .size = "0000000001x"}}},
    {"overlay-xattr-is-dropped", "d/",
        {{"d/", '5',
            .pax = "SCHILY.xattr.user.overlay.opaque=y|"
                   "SCHILY.xattr.trusted.overlay.redirect=/x"}}},
    {"sparse-0.1", "f",
        {{"f", .data = "abc",
            .pax = "GNU.sparse.size=9|GNU.sparse.numblocks=1|"
                   "GNU.sparse.map=4,3"}}},
    {"sparse-map-beyond", "#*its sparse map ends beyond the file*",
        {{"f", .data = "abc",
            .pax = "GNU.sparse.size=5|GNU.sparse.numblocks=1|GNU.sparse.map=4,3"}}},
    {"sparse-map-backwards", "#*its sparse map is not in order*",
        {{"f", .data = "abcd",
            .pax = "GNU.sparse.size=9|GNU.sparse.numblocks=2|GNU.sparse.map=4,2,1,2"}}},
    {"sparse-map-odd", "#*GNU.sparse.map: bad value*",
        {{"f", .data = "abcd", .pax = "GNU.sparse.size=9|GNU.sparse.map=4,2,1"}}},
    {"sparse-map-of-no-length", "#*its sparse map does not say how long it is*",
        {{"f", .data = "abc", .pax = "GNU.sparse.size=9|GNU.sparse.map=4,3"}}},
    {"sparse-pax-with-gnu-header", "#*sparse in pax's way, its header is of another kind*",
        {{"f", .data = "abc", .is_gnu = true,
            .pax = "GNU.sparse.size=9|GNU.sparse.numblocks=1|GNU.sparse.map=4,3"}}},
    {"sparse-1-without-minor", "#*sparse in a way that cob does not read*",
        {{"f", .data = "1\n0\n0\n", .pax = "GNU.sparse.major=1|GNU.sparse.realsize=9"}}},
    {"bad-atime", "#*pax record atime: bad value*", {{"a", .pax = "atime=y"}}},
    {"no-name", "#*an entry without a name*", {{"", .data = "x"}}},
    {"no-name-directory", "#*an entry without a name*", {{"", '5'}}},
    {"gnu-with-prefix", "#*it has a prefix, which readers take differently*",
        {{"a", .prefix = "p", .is_gnu = true}}},
    {"ustar-with-prefix", "p/ p/a", {{"a", .prefix = "p"}}},
    {"fifo", "p|", {{"p", '6'}}},
};

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct row *row = &rows[i];
        g_autoptr(fixture) f = fixture_new();

        struct cob_error *err = unpack(f, row->items, MAX_ITEMS, row->add);
        if (row->want[0] == '#') {
            check_row(err != NULL, i, row->name);
            if (err)
                check_error(__FILE__, __LINE__, err, cob_error_code(err), row->want + 1);
        } else {
            check_ok(__FILE__, __LINE__, row->name, err);
            g_autofree char *tree = list_tree(f->fd);
            g_assert_cmpstr(tree, ==, row->want);
            check_row(strcmp(tree, row->want) == 0, i, row->name);
        }
        check_row(g_pattern_match_simple(row->warn ? row->warn : "", g_strchomp(f->warnings->str)),
            i, row->name);
        check_canary(f, i, row->name);
    }
}

static void test_names(void)
{
    check_rows(names, G_N_ELEMENTS(names));
}

static bool can_make_whiteouts(void)
{
    g_autofree char *path = check_scratch_new();
    g_autofree char *node = g_build_filename(path, "x", NULL);
    bool can = mknod(node, S_IFCHR, 0) == 0;

    check_scratch_free(g_steal_pointer(&path));
    return can;
}

static void test_whiteouts(void)
{
    if (!can_make_whiteouts())
        return check_skip("this user cannot make 0:0 devices");
    check_rows(whiteouts, G_N_ELEMENTS(whiteouts));
}

static void test_headers(void)
{
    check_rows(headers, G_N_ELEMENTS(headers));
}

static void test_limits(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autofree char *component = g_strnfill(256, 'x');
    g_autofree char *long_pax = g_strconcat("path=", component, NULL);
    g_autoptr(GString) deep = g_string_new("path=");

    CHECK_ERROR(unpack(f, (struct item[]){{"a", .pax = long_pax}, {0}}, 2, false), COB_INVALID,
        "*a part of its name is longer than the limit of 255 bytes*");
    for (unsigned i = 0; i < 1100; i++)
        g_string_append(deep, "d/");
    g_string_append(deep, "x");
    CHECK_ERROR(unpack(f, (struct item[]){{"a", .pax = deep->str}, {0}}, 2, false), COB_INVALID,
        "*1024 directories deep*");
    struct cob_layer_unpack_request request = request_of(f);
    g_autoptr(GByteArray) tar = build((struct item[]){{"a", .data = "12345"}, {0}}, 2);
    request.max_bytes = 1000;
    CHECK_ERROR(feed(f, &request, tar->data, tar->len, 64), COB_EXHAUSTED, "*limit of 1000 bytes*");
}

/* Metadata arrives, whatever sizes the pieces have. */
static void test_metadata(void)
{
    static const struct item items[] = {{"d/", '5', .mode = 0750},
        {"d/f", .data = "content", .mode = 0644,
            .pax = "mtime=1234567890.5|SCHILY.xattr.user.a=b=c"},
        {"s", '2', .link = "d/f", .pax = "mtime=77"}, {"d/suid", .mode = 04755}, {0}};
    static const size_t pieces[] = {1, 7, 511, 512, 513, 100000};
    g_autoptr(GByteArray) tar = build(items, MAX_ITEMS);
    g_autofree char *digest = cob_digest_of(tar->data, tar->len);

    for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autoptr(fixture) f = fixture_new();
        struct cob_layer_unpack_request request = request_of(f);
        struct stat st;
        char value[8] = {0};

        CHECK_OK(feed(f, &request, tar->data, tar->len, pieces[i]));
        g_assert_cmpstr(f->result.diff_id, ==, digest);
        g_assert_cmpuint(f->result.tar_bytes, ==, tar->len);
        g_assert_cmpuint(f->result.n_entries, ==, 4);
        g_assert_cmpint(fstatat(f->fd, "d", &st, 0), ==, 0);
        g_assert_cmpint(st.st_mtim.tv_sec, ==, 1000000000);
        g_assert_cmpint(st.st_mode & 07777, ==, 0750);
        g_assert_cmpint(fstatat(f->fd, "d/f", &st, 0), ==, 0);
        g_assert_cmpint(st.st_mtim.tv_sec, ==, 1234567890);
        g_assert_cmpint(st.st_mtim.tv_nsec, ==, 500000000);
        g_assert_cmpint(st.st_size, ==, 7);
        g_autofree char *path = g_build_filename(f->inside, "d/f", NULL);
        g_assert_cmpint(getxattr(path, "user.a", value, sizeof(value)), ==, 3);
        g_assert_cmpstr(value, ==, "b=c");
        g_assert_cmpint(fstatat(f->fd, "s", &st, AT_SYMLINK_NOFOLLOW), ==, 0);
        g_assert_cmpint(st.st_mtim.tv_sec, ==, 77);
        g_assert_cmpint(fstatat(f->fd, "d/suid", &st, 0), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 04755);
    }
}

static void test_expected_digest(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(GByteArray) tar = build((struct item[]){{"a"}, {0}}, 2);
    struct cob_layer_unpack_request request = request_of(f);

    request.expect_diff_id =
        "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    CHECK_ERROR(feed(f, &request, tar->data, tar->len, 4096), COB_DATA_LOSS,
        "*the layer's content is sha256:*, but the image says sha256:0000*");
}

/* A stream that ends early, at any place, is an error; so is one of noise. */
static void test_cut_short(void)
{
    g_autoptr(GByteArray) tar =
        build((struct item[]){{"a", .data = "12345", .pax = "path=b"}, {0}}, 2);

    for (size_t len = 0; len < 4 * 512 + 100; len += 100) {
        g_autoptr(fixture) f = fixture_new();
        struct cob_layer_unpack_request request = request_of(f);
        struct cob_error *err = feed(f, &request, tar->data, len, 64);

        check_row(err && cob_error_code(err) == COB_INVALID, len, "cut");
        cob_error_free(err);
    }
    g_autoptr(fixture) f = fixture_new();
    struct cob_layer_unpack_request request = request_of(f);
    g_autofree char *noise = g_strnfill(100000, 'n');
    CHECK_ERROR(
        feed(f, &request, noise, 100000, 1000), COB_INVALID, "archive, at byte 0*checksum*");
}

static void test_implied_parents_adopt(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(fixture) lower = fixture_new();
    struct stat st;

    CHECK_OK(unpack(lower,
        (struct item[]){{"d/", '5', .mode = 0711}, {"d/e", '2', .link = "/"}, {0}}, 3, false));
    CHECK_OK(unpack(f, (struct item[]){{"d/e/f"}, {"x/", '5'}, {0}}, 3, false));
    g_assert_cmpuint(f->result.implied->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(f->result.implied, 0), ==, "d");
    g_assert_cmpstr(g_ptr_array_index(f->result.implied, 1), ==, "d/e");
    CHECK_OK(cob_layer_adopt_parents(f->fd, f->result.implied, lower->fd));
    g_assert_cmpint(fstatat(f->fd, "d", &st, 0), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0711);
    g_assert_cmpint(st.st_mtim.tv_sec, ==, 1000000000);
    g_assert_cmpint(fstatat(f->fd, "d/e", &st, 0), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0755);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/layer/unpack/names-stay-inside", test_names);
    g_test_add_func("/layer/unpack/whiteouts", test_whiteouts);
    g_test_add_func("/layer/unpack/headers-are-strict", test_headers);
    g_test_add_func("/layer/unpack/limits", test_limits);
    g_test_add_func("/layer/unpack/metadata-in-any-pieces", test_metadata);
    g_test_add_func("/layer/unpack/expected-digest", test_expected_digest);
    g_test_add_func("/layer/unpack/cut-short", test_cut_short);
    g_test_add_func("/layer/unpack/implied-parents-adopt", test_implied_parents_adopt);
    return g_test_run();
}
