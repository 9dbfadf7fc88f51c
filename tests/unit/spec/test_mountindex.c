/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/mountindex/mountindex.h"

#include <string.h>

#include "check.h"
#include "util/limits.h"

/* --- bytes, written as the format has them --- */

static void put(GByteArray *out, const void *data, size_t len)
{
    g_byte_array_append(out, data, (guint)len);
}

static void put_text(GByteArray *out, const char *text)
{
    uint8_t len = (uint8_t)strlen(text);

    g_assert_cmpuint(strlen(text), <, 128);
    put(out, &len, 1);
    put(out, text, len);
}

/* Header, one pack of 10 bytes, one chunk of 5 in it, one content. */
static GByteArray *begin(void)
{
    static const uint8_t pack[] = {1}, sizes[] = {9, 10}, chunk[] = {0, 2, 5};
    static const uint8_t content[] = {1, 1, 0};
    const struct cob_sha256 sha = cob_sha256_of("pack", 4), chunk_sha = cob_sha256_of("hello", 5);
    GByteArray *out = g_byte_array_new();

    put(out, COB_MOUNTINDEX_MAGIC, COB_MOUNTINDEX_MAGIC_BYTES);
    put_text(out, "");
    put_text(out, "go");
    put(out, pack, sizeof(pack));
    put(out, sha.bytes, sizeof(sha.bytes));
    put(out, sizes, sizeof(sizes));
    put(out, pack, sizeof(pack));
    put(out, chunk_sha.bytes, sizeof(chunk_sha.bytes));
    put(out, chunk, sizeof(chunk));
    put(out, content, sizeof(content));
    return out;
}

struct row {
    unsigned shared;
    const char *rest;
    uint8_t kind;
    uint8_t content, group; /* of a file */
    const char *target;     /* of a symlink */
};

static void put_row(GByteArray *out, const struct row *row)
{
    static const uint8_t mode[] = {0xed, 0x03}, owner[] = {0, 0}, mtime[8] = {1};
    uint8_t shared = (uint8_t)row->shared;

    put(out, &shared, 1);
    put_text(out, row->rest);
    put(out, &row->kind, 1);
    put(out, mode, sizeof(mode));
    put(out, owner, sizeof(owner));
    put(out, mtime, sizeof(mtime));
    if (row->kind == COB_MOUNTINDEX_FILE) {
        put(out, &row->content, 1);
        put(out, &row->group, 1);
    }
    if (row->kind == COB_MOUNTINDEX_SYMLINK)
        put_text(out, row->target);
}

static GBytes *index_of(const struct row *rows, uint8_t n)
{
    GByteArray *out = begin();

    put(out, &n, 1);
    for (uint8_t i = 0; i < n; i++)
        put_row(out, &rows[i]);
    return g_byte_array_free_to_bytes(out);
}

/* clang-format off */
#define D(shared, rest) {shared, rest, COB_MOUNTINDEX_DIR, 0, 0, NULL}
#define F(shared, rest, content, group) {shared, rest, COB_MOUNTINDEX_FILE, content, group, NULL}
#define L(shared, rest, target) {shared, rest, COB_MOUNTINDEX_SYMLINK, 0, 0, target}
#define ROOT D(0, "")
/* clang-format on */

/* Trees that are read, and those that are refused, with the words. */
static void test_trees(void)
{
    static const struct {
        const char *name;
        struct row rows[4];
        uint8_t n;
        const char *error; /* NULL: it is read */
    } rows[] = {
        {"an empty mount", {ROOT}, 1, NULL},
        {"a file in a directory", {ROOT, D(0, "a"), F(1, "/b", 1, 0)}, 3, NULL},
        {"a symlink may say anything", {ROOT, L(0, "a", "../../etc")}, 2, NULL},
        {"'/' before '-'", {ROOT, D(0, "a"), F(1, "/b", 0, 0), F(1, "-b", 0, 0)}, 4, NULL},
        {"two names of a file", {ROOT, F(0, "a", 1, 1), F(0, "b", 1, 1)}, 3, NULL},
        {"no root", {D(0, "a")}, 1, "*the first entry is not the mount itself*"},
        {"root is a file", {F(0, "", 0, 0)}, 1, "*the mount itself is no directory*"},
        {"dot dot", {ROOT, D(0, "..")}, 2, "*\"..\"*"},
        {"dot dot behind a directory", {ROOT, D(0, "a"), D(1, "/..")}, 3, "*\"..\"*"},
        {"dot", {ROOT, D(0, ".")}, 2, "*\".\"*"},
        {"absolute", {ROOT, D(0, "/etc")}, 2, "*a part that is empty*"},
        {"ends with a slash", {ROOT, D(0, "a/")}, 2, "*a part that is empty*"},
        {"twice", {ROOT, F(0, "a", 0, 0), F(1, "", 0, 0)}, 3, "*one is there twice*"},
        {"out of order", {ROOT, F(0, "b", 0, 0), F(0, "a", 0, 0)}, 3, "*out of order*"},
        {"below a file", {ROOT, F(0, "a", 0, 0), F(1, "/b", 0, 0)}, 3, "*in what is no directory*"},
        {"below a symlink", {ROOT, L(0, "a", "/"), F(1, "/b", 0, 0)}, 3,
            "*in what is no directory*"},
        {"below nothing", {ROOT, F(0, "a/b", 0, 0)}, 2, "*in what is no directory*"},
        {"shares more than there is", {ROOT, F(7, "a", 0, 0)}, 2, "*a path is no path*"},
        {"another kind", {ROOT, {0, "a", 4, 0, 0, NULL}}, 2, "*of no kind that travels*"},
        {"no such content", {ROOT, F(0, "a", 2, 0)}, 2, "*no such content*"},
        {"names that differ", {ROOT, F(0, "a", 1, 1), F(0, "b", 0, 1)}, 3,
            "*say different things*"},
        {"groups in another order", {ROOT, F(0, "a", 1, 2)}, 2, "*in another order*"},
        {"a symlink to nothing", {ROOT, L(0, "a", "")}, 2, "*leads nowhere*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GBytes) bytes = index_of(rows[i].rows, rows[i].n);
        g_autoptr(cob_mountindex) index = NULL;
        struct cob_error *err = cob_mountindex_decode(bytes, &index);

        check_row((err == NULL) == (rows[i].error == NULL), i, rows[i].name);
        if (rows[i].error)
            CHECK_ERROR(err, COB_INVALID, rows[i].error);
        else
            CHECK_OK(err);
        g_autoptr(GBytes) again = index ? cob_mountindex_encode(index) : NULL;
        check_row(!again || g_bytes_equal(again, bytes), i, rows[i].name);
    }
}

/* Every prefix, and one byte more, is refused: nothing is read past the end. */
static void test_cut_short(void)
{
    static const struct row rows[] = {ROOT, D(0, "a"), F(1, "/b", 1, 0)};
    g_autoptr(GBytes) bytes = index_of(rows, 3);
    gsize len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);

    for (gsize n = 0; n <= len + 1; n++) {
        g_autofree uint8_t *copy = g_malloc0(n + 1);
        g_autoptr(cob_mountindex) index = NULL;

        memcpy(copy, data, MIN(n, len));
        g_autoptr(GBytes) part = g_bytes_new(copy, n);
        struct cob_error *err = cob_mountindex_decode(part, &index);
        check_row((err == NULL) == (n == len), n, "prefix");
        cob_error_free(err);
    }
}

/* Numbers that are larger than anything that could follow. */
static void test_large_numbers(void)
{
    static const struct {
        const char *name;
        uint8_t bytes[11];
        enum cob_code code;
        const char *error;
    } rows[] = {
        {"ten million packs", {0x80, 0xad, 0xe2, 0x04}, COB_EXHAUSTED, "*10000000 packs are more*"},
        {"2^63 packs", {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, COB_EXHAUSTED,
            "*packs are more than the limit*"},
        {"more than 64 bits", {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
            COB_INVALID, "*a number has no end*"},
        {"longer than it need be", {0x81, 0x00}, COB_INVALID, "*longer than it need be*"},
        {"packs that do not follow", {0x05}, COB_INVALID, "*it ends early*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        GByteArray *out = g_byte_array_new();
        g_autoptr(cob_mountindex) index = NULL;

        put(out, COB_MOUNTINDEX_MAGIC, COB_MOUNTINDEX_MAGIC_BYTES);
        put_text(out, "");
        put_text(out, "go");
        put(out, rows[i].bytes, sizeof(rows[i].bytes));
        g_autoptr(GBytes) bytes = g_byte_array_free_to_bytes(out);
        CHECK_ERROR(cob_mountindex_decode(bytes, &index), rows[i].code, rows[i].error);
        check_row(index == NULL, i, rows[i].name);
    }
}

/* docs/cache-mount-format.md has these bytes, by line: "    <hex>  <what it is>". */
static void test_worked_example(void)
{
    static const struct row rows[] = {ROOT, D(0, "a"), F(1, "/b", 1, 0), L(1, "-b", "a/b")};
    g_autoptr(GBytes) bytes = index_of(rows, 4);
    g_autofree char *path = g_build_filename(g_getenv("COB_DOCS"), "cache-mount-format.md", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GString) documented = g_string_new(NULL);
    g_autoptr(GString) made = g_string_new(NULL);
    gsize len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    const char *from = text ? strstr(text, "## A worked example") : NULL;
    g_assert_nonnull(from);
    g_auto(GStrv) lines = g_strsplit(from ? from : "", "\n", -1);
    for (size_t i = 0; lines[i]; i++) {
        if (g_str_has_prefix(lines[i], "    ") && g_ascii_isxdigit(lines[i][4]))
            g_string_append_len(
                documented, lines[i] + 4, (gssize)strspn(lines[i] + 4, "0123456789abcdef"));
    }
    for (gsize i = 0; i < len; i++)
        g_string_append_printf(made, "%02x", data[i]);
    g_assert_cmpstr(documented->str, ==, made->str);
}

static void test_document(void)
{
    g_autoptr(cob_mountdoc) doc = cob_mountdoc_new();
    g_autoptr(cob_mountdoc) again = NULL;
    struct cob_mountdoc_mount *mount = g_new(struct cob_mountdoc_mount, 1);
    const struct cob_mountindex_pack pack = {.sha = cob_sha256_of("x", 1), .stored_len = 7};

    *mount = (struct cob_mountdoc_mount){.namespace = g_strdup("ns"),
        .id = g_strdup("/go/pkg/mod"),
        .digest = cob_digest_of("y", 1),
        .len = 5,
        .plain_len = 9,
        .n_files = 3,
        .n_bytes = 4};
    g_ptr_array_add(doc->mounts, mount);
    g_array_append_val(doc->packs, pack);
    g_autoptr(GBytes) bytes = cob_mountdoc_encode(doc);
    CHECK_OK(cob_mountdoc_decode(bytes, &again));
    const struct cob_mountdoc_mount *got = cob_mountdoc_find(again, "ns", "/go/pkg/mod");
    g_assert_nonnull(got);
    g_assert_cmpuint(got ? got->plain_len : 0, ==, 9);
    g_assert_cmpuint(again->packs->len, ==, 1);
    g_autoptr(GBytes) bytes_again = cob_mountdoc_encode(again);
    g_assert_true(g_bytes_equal(bytes, bytes_again));
}

static void test_bad_documents(void)
{
    static const struct {
        const char *text, *error;
        enum cob_code code;
    } rows[] = {
        {"{", "*parse document of cache mounts*", COB_INVALID},
        {"{\"schemaVersion\":2,\"layers\":[]}", "*something else than cache mounts*",
            COB_PRECONDITION},
        {"{\"artifactType\":\"" COB_MOUNTINDEX_ARTIFACT_TYPE "\",\"layers\":[{}]}",
            "*no type or no digest*", COB_INVALID},
        {"{\"artifactType\":\"" COB_MOUNTINDEX_ARTIFACT_TYPE
         "\",\"layers\":[{\"mediaType\":\"" COB_MOUNTINDEX_PACK_TYPE "\",\"digest\":\"sha256:"
         "0123456789012345678901234567890123456789012345678901234567890123\","
         "\"size\":9223372036854775807}]}",
            "*a pack is larger than the limit*", COB_EXHAUSTED},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(rows[i].text, strlen(rows[i].text));
        g_autoptr(cob_mountdoc) doc = NULL;

        CHECK_ERROR(cob_mountdoc_decode(bytes, &doc), rows[i].code, rows[i].error);
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/mountindex/trees", test_trees);
    g_test_add_func("/mountindex/cut-short", test_cut_short);
    g_test_add_func("/mountindex/large-numbers", test_large_numbers);
    g_test_add_func("/mountindex/worked-example", test_worked_example);
    g_test_add_func("/mountindex/document", test_document);
    g_test_add_func("/mountindex/bad-documents", test_bad_documents);
    return g_test_run();
}
