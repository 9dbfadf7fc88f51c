/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/cacheconfig/cacheconfig.h"

#include <string.h>

#include "check.h"
#include "util/limits.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define TIME "2024-05-06T07:08:09.123456789Z"

static GBytes *bytes_of(const char *text)
{
    return g_bytes_new(text, strlen(text));
}

/* What is read and written again: sorted, and the same from then on. */
static const struct {
    const char *name, *text, *want; /* want: NULL: as text */
} good_rows[] = {
    {"nothing", "{}", NULL},
    {"a root", "{\"records\":[{\"digest\":\"" A "\"}]}", NULL},
    {"a root that has a list of no inputs", "{\"records\":[{\"digest\":\"" A "\",\"inputs\":[]}]}",
        "{\"records\":[{\"digest\":\"" A "\"}]}"},
    {"layers: an absent parent is number 0",
        "{\"layers\":[{\"blob\":\"" A "\",\"parent\":-1},{\"blob\":\"" B "\"}]}", NULL},
    {"layers are sorted by blob, and who names them follows",
        "{\"layers\":[{\"blob\":\"" B "\",\"parent\":-1},{\"blob\":\"" A "\"}],"
        "\"records\":[{\"digest\":\"" C "\",\"layers\":[{\"layer\":1,\"createdAt\":\"" TIME
        "\"}]}]}",
        "{\"layers\":[{\"blob\":\"" A "\",\"parent\":1},{\"blob\":\"" B "\",\"parent\":-1}],"
        "\"records\":[{\"digest\":\"" C "\",\"layers\":[{\"createdAt\":\"" TIME
        "\",\"layer\":0}]}]}"},
    {"records are sorted by digest, and links follow",
        "{\"records\":[{\"digest\":\"" B "\",\"inputs\":[[{\"link\":1}]]},{\"digest\":\"" A "\"}]}",
        "{\"records\":[{\"digest\":\"" A "\"},{\"digest\":\"" B
        "\",\"inputs\":[[{\"link\":0}]]}]}"},
    {"alternatives, and a selector",
        "{\"records\":[{\"digest\":\"" A "\"},{\"digest\":\"" B "\"},{\"digest\":\"" C
        "\",\"inputs\":[[{\"link\":0,\"selector\":\"" A "\"},{\"link\":1}]]}]}",
        NULL},
    {"chains, and what is not known is dropped",
        "{\"layers\":[{\"blob\":\"" A "\",\"parent\":-1,\"more\":1}],\"records\":[{\"chains\":[{"
        "\"layers\":[0,0],\"createdAt\":\"" TIME "\"}],\"digest\":\"" B "\"}],\"x\":[]}",
        "{\"layers\":[{\"blob\":\"" A "\",\"parent\":-1}],\"records\":[{\"chains\":[{"
        "\"createdAt\":\"" TIME "\",\"layers\":[0,0]}],\"digest\":\"" B "\"}]}"},
    {"annotations, of S3",
        "{\"layers\":[{\"annotations\":{\"createdAt\":\"" TIME "\",\"diffID\":\"" B
        "\",\"mediaType\":\"m\",\"size\":7},\"blob\":\"" A "\",\"parent\":-1}]}",
        NULL},
};

static void test_good(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(good_rows); i++) {
        g_autoptr(GBytes) bytes = bytes_of(good_rows[i].text);
        g_autoptr(cob_cacheconfig) config = NULL;
        const char *want = good_rows[i].want ? good_rows[i].want : good_rows[i].text;

        CHECK_OK(cob_cacheconfig_parse(bytes, &config));
        cob_cacheconfig_sort(config);
        g_autoptr(GBytes) written = cob_cacheconfig_bytes(config);
        g_autofree char *got =
            g_strndup(g_bytes_get_data(written, NULL), g_bytes_get_size(written));
        g_assert_cmpstr(got, ==, want);
        check_row(strcmp(got, want) == 0, i, good_rows[i].name);
    }
}

static const struct {
    enum cob_code code;
    const char *text, *want;
} bad_rows[] = {
    {COB_INVALID, "[]", "*not an object"},
    {COB_INVALID, "", "*"},
    {COB_INVALID, "{\"layers\":{}}", "*layers*"},
    {COB_INVALID, "{\"layers\":[7]}", "*layers[0]: it is not an object"},
    {COB_INVALID, "{\"layers\":[{\"blob\":\"sha256:../../x\"}]}", "*is not a digest"},
    {COB_INVALID, "{\"layers\":[{\"parent\":-1}]}", "*blob (none) is not a digest"},
    {COB_INVALID, "{\"layers\":[{\"blob\":\"" A "\"}]}", "*below itself"},
    {COB_INVALID, "{\"layers\":[{\"blob\":\"" A "\",\"parent\":1},{\"blob\":\"" A "\"}]}",
        "*below itself"},
    {COB_INVALID, "{\"layers\":[{\"blob\":\"" A "\",\"parent\":5}]}", "*none of that number"},
    {COB_INVALID, "{\"layers\":[{\"blob\":\"" A "\",\"parent\":-2}]}", "*not a number*"},
    {COB_INVALID, "{\"layers\":[{\"blob\":\"" A "\",\"parent\":1.5}]}", "*not a number*"},
    {COB_INVALID, "{\"layers\":[{\"blob\":\"" A "\",\"parent\":4294967296}]}", "*not a number*"},
    {COB_INVALID, "{\"records\":[{\"digest\":\"x\"}]}", "*records[0]: digest x is not a digest"},
    {COB_INVALID, "{\"records\":[{\"digest\":\"" A "\",\"inputs\":[[]]}]}", "*inputs[0] is empty"},
    {COB_INVALID, "{\"records\":[{\"digest\":\"" A "\",\"inputs\":[7]}]}", "*inputs[0] is empty"},
    {COB_INVALID, "{\"records\":[{\"digest\":\"" A "\",\"inputs\":[[{\"link\":1}]]}]}",
        "*there is no record 1"},
    {COB_INVALID, "{\"records\":[{\"digest\":\"" A "\",\"inputs\":[[{\"link\":-1}]]}]}",
        "*there is no record -1"},
    {COB_INVALID, "{\"records\":[{\"digest\":\"" A "\",\"inputs\":[[{}]]}]}", "*in a circle"},
    {COB_INVALID,
        "{\"records\":[{\"digest\":\"" A "\",\"inputs\":[[{\"link\":1}]]},{\"digest\":\"" B
        "\",\"inputs\":[[{\"link\":0}]]},{\"digest\":\"" C "\"}]}",
        "*in a circle"},
    {COB_INVALID, "{\"records\":[{\"digest\":\"" A "\",\"layers\":[{\"layer\":0}]}]}",
        "*there is no layer 0"},
    {COB_INVALID, "{\"records\":[{\"digest\":\"" A "\",\"chains\":[{\"layers\":[-1]}]}]}",
        "*something else than layers"},
    {COB_INVALID,
        "{\"records\":[{\"digest\":\"" A "\",\"layers\":[{\"createdAt\":\"\\u001b[31m\"}]}]}",
        "*not a time"},
    {COB_INVALID, "{\"records\":[{\"digest\":\"" A "\"},{\"digest\":\"" A "\",\"inputs\":[[7]]}]}",
        "*a link is not an object"},
};

static void test_bad(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_rows); i++) {
        g_autoptr(GBytes) bytes = bytes_of(bad_rows[i].text);
        g_autoptr(cob_cacheconfig) config = NULL;

        CHECK_ERROR(cob_cacheconfig_parse(bytes, &config), bad_rows[i].code, bad_rows[i].want);
        check_row(config == NULL, i, bad_rows[i].text);
    }
}

/* Few bytes, much work: past the limits it is refused, below them it does not take long. */
static void test_limits(void)
{
    g_autoptr(GString) text = g_string_new("{\"records\":[{\"digest\":\"" A "\"}");
    g_autoptr(cob_cacheconfig) config = NULL;

    g_string_append(text, ",{\"digest\":\"" B "\",\"inputs\":[[{\"link\":0}");
    for (int i = 0; i < 500000; i++)
        g_string_append(text, ",{}");
    g_string_append(text, "]]},{\"digest\":\"" C "\",\"inputs\":[[{}");
    for (int i = 0; i < 500000; i++)
        g_string_append(text, ",{}");
    g_string_append(text, "]]}]}");
    g_autoptr(GBytes) many = g_bytes_new(text->str, text->len);
    CHECK_ERROR(cob_cacheconfig_parse(many, &config), COB_EXHAUSTED, "*more than 1000000 layers*");

    g_string_set_size(text, COB_LIMIT_CACHECONFIG_BYTES + 1);
    g_autoptr(GBytes) huge = g_bytes_new(text->str, text->len);
    CHECK_ERROR(cob_cacheconfig_parse(huge, &config), COB_EXHAUSTED, "*8388609 bytes*");
}

/* A chain of records as long as they come, each on the one behind it: no recursion. */
static void test_long_chain(void)
{
    g_autoptr(GString) text = g_string_new("{\"records\":[");
    g_autoptr(cob_cacheconfig) config = NULL;
    const int n = 50000;

    for (int i = 1; i < n; i++)
        g_string_append_printf(text, "{\"digest\":\"" A "\",\"inputs\":[[{\"link\":%d}]]},", i);
    g_string_append(text, "{\"digest\":\"" B "\"}]}");
    g_autoptr(GBytes) bytes = g_bytes_new(text->str, text->len);
    CHECK_OK(cob_cacheconfig_parse(bytes, &config));
    g_assert_cmpuint(config->records->len, ==, (guint)n);
    cob_cacheconfig_sort(config);
}

static void test_inline(void)
{
    static const char *const blobs[] = {A, B};
    g_autoptr(GBytes) bytes =
        bytes_of("[{\"digest\":\"" C "\",\"layers\":[{\"layer\":1,\"createdAt\":\"" TIME "\"}]}]");
    g_autoptr(GBytes) past = bytes_of("[{\"digest\":\"" C "\",\"layers\":[{\"layer\":2}]}]");
    g_autoptr(GBytes) object = bytes_of("{}");
    g_autoptr(cob_cacheconfig) config = NULL;
    g_autoptr(cob_cacheconfig) none = NULL;

    CHECK_OK(cob_cacheconfig_parse_inline(bytes, blobs, 2, &config));
    const struct cob_cacheconfig_layer *top = g_ptr_array_index(config->layers, 1);
    g_assert_cmpstr(top->blob, ==, B);
    g_assert_cmpint(top->parent, ==, 0);
    CHECK_ERROR(cob_cacheconfig_parse_inline(past, blobs, 2, &none), COB_INVALID,
        "inline cache: records[0]: there is no layer 2");
    CHECK_ERROR(cob_cacheconfig_parse_inline(object, blobs, 2, &none), COB_INVALID, "*not a list");
}

/* spec: BuildKit's digest of "<digest>@<output>". */
static void test_record_digest(void)
{
    g_autofree char *step = cob_cacheconfig_record_digest(A, 0);
    g_autofree char *files = cob_cacheconfig_record_digest(A, COB_CACHECONFIG_FILES);

    g_assert_cmpstr(
        step, ==, "sha256:3e22300149ec2c9efc2414c747a312ab5e95a3be34678b6394b4a8a847ea33e8");
    g_assert_cmpstr(
        files, ==, "sha256:0b43a811dd40a3b6ba62ee0de453a5b8b967fd29db4d207efd375a88234d0a76");
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/cacheconfig/good", test_good);
    g_test_add_func("/cacheconfig/bad", test_bad);
    g_test_add_func("/cacheconfig/limits", test_limits);
    g_test_add_func("/cacheconfig/long-chain", test_long_chain);
    g_test_add_func("/cacheconfig/inline", test_inline);
    g_test_add_func("/cacheconfig/record-digest", test_record_digest);
    return g_test_run();
}
