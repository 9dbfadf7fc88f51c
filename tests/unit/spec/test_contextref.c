/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "check.h"
#include "spec/contextref/contextref.h"

#define SHA "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_kind_table(void)
{
    static const struct {
        const char *text;
        enum cob_contextref_kind kind;
    } rows[] = {
        {".", COB_CONTEXTREF_PATH},
        {"/a b", COB_CONTEXTREF_PATH},
        {"", COB_CONTEXTREF_PATH},
        {"-", COB_CONTEXTREF_STDIN},
        {"--", COB_CONTEXTREF_PATH},
        {"foo://x", COB_CONTEXTREF_PATH},
        {"file:///etc", COB_CONTEXTREF_PATH},
        {"HTTP://h/x", COB_CONTEXTREF_PATH},
        {"http://h/x.tar", COB_CONTEXTREF_HTTP},
        {"https://h/x", COB_CONTEXTREF_HTTP},
        {"https://h/r.git", COB_CONTEXTREF_GIT},
        {"https://h/r.git#main:sub", COB_CONTEXTREF_GIT},
        {"https://h/r.git?branch=main", COB_CONTEXTREF_GIT},
        {"git@h:r", COB_CONTEXTREF_GIT},
        {"ssh://git@h/r", COB_CONTEXTREF_GIT},
        {"git://h/r", COB_CONTEXTREF_GIT},
        {"github.com/o/r", COB_CONTEXTREF_MAYBE_GIT},
        {"docker-image://alpine", COB_CONTEXTREF_IMAGE},
        {"docker-image:alpine", COB_CONTEXTREF_PATH},
        {"oci-layout://dir", COB_CONTEXTREF_LAYOUT},
        {"target:x", COB_CONTEXTREF_OTHER},
        {"input:x", COB_CONTEXTREF_OTHER},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        enum cob_contextref_kind kind = COB_CONTEXTREF_OTHER;

        CHECK_OK(cob_contextref_kind(rows[i].text, &kind));
        check_row(kind == rows[i].kind, i, rows[i].text);
    }
}

static void test_named_table(void)
{
    static const struct {
        const char *text, *key, *value, *error; /* key NULL: it is refused */
    } rows[] = {
        {"a=.", "a", ".", NULL},
        {"a=b=c", "a", "b=c", NULL},
        {"a=", "a", "", NULL},
        {"alpine:latest=x", "alpine", "x", NULL},
        {"alpine:3=x", "alpine:3", "x", NULL},
        {"docker.io/library/alpine=x", "alpine", "x", NULL},
        {"h.example:5000/a/b:latest=x", "h.example:5000/a/b", "x", NULL},
        {"alpine::linux/arm64=x", "alpine::linux/arm64", "x", NULL},
        {"alpine:3::linux/aarch64=x", "alpine:3::linux/arm64", "x", NULL},
        {"a", NULL, NULL, "invalid context value: a, expected key=value"},
        {"=x", NULL, NULL, "invalid context name *"},
        {"A=x", NULL, NULL, "invalid context name A: invalid reference format*"},
        {"a::=x", NULL, NULL, "invalid context name a::*"},
        {"a=https://h/r.git?no=such", NULL, NULL, "context a: *"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_contextref) ref = NULL;
        g_autoptr(cob_error) err = cob_contextref_parse(rows[i].text, &ref);

        check_row(g_strcmp0(ref ? ref->key : NULL, rows[i].key) == 0, i, rows[i].text);
        check_row(g_strcmp0(ref ? ref->value : NULL, rows[i].value) == 0, i, rows[i].text);
        g_autofree char *text = err ? cob_error_message(err) : g_strdup("");
        check_row(g_pattern_match_simple(rows[i].error ? rows[i].error : "", text), i, text);
    }
}

static void test_layout_table(void)
{
    static const struct {
        const char *text, *path, *tag, *digest; /* path NULL: it is refused */
    } rows[] = {
        {"dir", "dir", "latest", NULL},
        {"/a/b:v1", "/a/b", "v1", NULL},
        {"../a:b/c", "../a:b/c", "latest", NULL},
        {"dir@" SHA, "dir", NULL, SHA},
        {"dir:v1@" SHA, "dir", "v1", SHA},
        {"dir@sha256:12", "dir@sha256", "12", NULL}, /* as buildx reads it */
        {"a@b", "a@b", "latest", NULL},
        {"", NULL, NULL, NULL},
        {":v1", NULL, NULL, NULL},
        {"@" SHA, NULL, NULL, NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_layoutref ref = {0};
        g_autoptr(cob_error) err = cob_layoutref_parse(rows[i].text, &ref);

        check_row(!err == !!rows[i].path, i, rows[i].text);
        check_row(g_strcmp0(ref.path, rows[i].path) == 0, i, rows[i].text);
        check_row(g_strcmp0(ref.tag, rows[i].tag) == 0, i, rows[i].text);
        check_row(g_strcmp0(ref.digest, rows[i].digest) == 0, i, rows[i].text);
        cob_layoutref_done(&ref);
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/contextref/kind-table", test_kind_table);
    g_test_add_func("/contextref/named-table", test_named_table);
    g_test_add_func("/contextref/layout-table", test_layout_table);
    return g_test_run();
}
