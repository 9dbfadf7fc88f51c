/* SPDX-License-Identifier: Apache-2.0 */
#include "build/why/why.h"

#include <string.h>

#include "check.h"
#include "util/json.h"

static void test_place(void)
{
    const struct {
        const char *name, *stage;
        unsigned number;
    } rows[] = {
        {"[builder 2/6] RUN make", "builder", 2},
        {"[builder 12/60] RUN make", "builder", 12},
        {"[builder  2/12] RUN make", "builder", 2},
        {"[2/3] COPY a/b c", "", 2},
        {"[linux/arm64 builder 2/6] RUN x", "linux/arm64 builder", 2},
        {"[linux/arm64->amd64 2/6] RUN x", "linux/arm64->amd64", 2},
        {"[internal] load build context", "", 0},
        {"[auth] a/b:pull", "", 0},
        {"RUN make", "", 0},
        {"[builder", "", 0},
        {"[/]", "", 0},
        {"[/6] x", "", 0},
        {"", "", 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *stage = NULL;
        const unsigned number = cob_why_place(rows[i].name, &stage);

        g_assert_cmpuint(number, ==, rows[i].number);
        g_assert_cmpstr(stage, ==, rows[i].stage);
        check_row(number == rows[i].number && !strcmp(stage, rows[i].stage), i, rows[i].name);
    }
}

static void test_args(void)
{
    static const char text[] = "ARG A=1\n"
                               "FROM x\n"
                               "  arg\tB=\"two words\" C='3' # D=4\n"
                               "ARG E\n"
                               "ARG A\n"
                               "RUN echo ARG F=6\n"
                               "ARGUMENT=7\n"
                               "ARG G=";
    g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));
    g_autoptr(GBytes) nothing = g_bytes_new_static("", 0);
    g_autoptr(GHashTable) args = cob_why_args(bytes);
    g_autoptr(GHashTable) none = cob_why_args(nothing);

    g_assert_cmpuint(g_hash_table_size(args), ==, 5);
    g_assert_cmpstr(g_hash_table_lookup(args, "A"), ==, "1");
    g_assert_cmpstr(g_hash_table_lookup(args, "C"), ==, "3");
    g_assert_cmpstr(g_hash_table_lookup(args, "G"), ==, "");
    g_assert_true(g_hash_table_contains(args, "E"));
    g_assert_null(g_hash_table_lookup(args, "E"));
    g_assert_cmpuint(g_hash_table_size(none), ==, 0);
}

/* --- lists of files --- */

/* "path mode owner mark" each, with a comma between; all numbers. NULL for an empty list. */
static GBytes *list_of(const char *text)
{
    g_autoptr(cob_why_list) list = cob_why_list_new();
    g_auto(GStrv) files = g_strsplit(text, ",", -1);

    for (char **file = files; *file && **file; file++) {
        g_auto(GStrv) words = g_strsplit(*file, " ", -1);
        const guint owner = (guint)g_ascii_strtoull(words[2], NULL, 10);

        cob_why_list_add(list, &(struct cob_why_file){.path = words[0],
                                   .mode = (guint)g_ascii_strtoull(words[1], NULL, 8),
                                   .uid = owner,
                                   .gid = owner,
                                   .mark = (guint)g_ascii_strtoull(words[3], NULL, 10)});
    }
    return cob_why_list_finish(list);
}

static void test_files(void)
{
    const struct {
        const char *name, *before, *now, *want; /* want: lines with a comma between */
    } rows[] = {
        {"nothing", "a 100644 0 1", "a 100644 0 1", ""},
        {"content", "a 100644 0 1", "a 100644 0 2", "a changed"},
        {"type", "a 100644 0 1", "a 120777 0 1", "a changed"},
        {"mode", "run.sh 100644 0 1", "run.sh 100755 0 1", "mode of run.sh changed 0644 → 0755"},
        {"owner", "a 100644 0 1", "a 100644 5 1", "owner of a changed 0:0 → 5:5"},
        {"content before mode", "a 100644 0 1", "a 100600 0 2", "a changed"},
        {"added", "a 100644 0 1", "a 100644 0 1,b 100644 0 1", "b added"},
        {"removed", "a 100644 0 1,b 100644 0 1", "b 100644 0 1", "a removed"},
        {"the root's mode", " 40755 0 0", " 40700 0 0", "mode of . changed 0755 → 0700"},
        {"a folder is told by its file", " 40755 0 0",
            " 40755 0 0,d 40755 0 0,d/e 40755 0 0,d/e/f 100644 0 1", "d/e/f added"},
        {"an empty folder is told", " 40755 0 0", " 40755 0 0,d 40755 0 0", "d added"},
        {"a common folder", "s 40755 0 0", "s 40755 0 0,s/a 100644 0 1,s/b 100644 0 1",
            "2 files added under s/: a; b"},
        {"no common folder but half a name", "", "ab 100644 0 1,ac 100644 0 1",
            "2 files added: ab; ac"},
        {"nested common folder", "", "s/t/a 100644 0 1,s/t/u/b 100644 0 1",
            "2 files added under s/t/: a; u/b"},
        {"order of kinds", "a 100644 0 1,b 100644 0 1,c 100644 0 1,d 100644 0 1",
            "a 100644 0 2,c 100600 0 1,d 100644 7 1,e 100644 0 1",
            "a changed,e added,b removed,mode of c changed 0644 → 0600,owner of d changed 0:0 → "
            "7:7"},
        {"the same file twice", "a 100644 0 1,a 100644 0 1", "a 100644 0 1", ""},
        {"out of order", "b 100644 0 1,a 100644 0 1", "a 100644 0 1,b 100644 0 2", "b changed"},
        {"all", "", "a 100644 0 1", "a added"},
        {"more than a line holds", "", "a 1 0 1,b 1 0 1,c 1 0 1,d 1 0 1,e 1 0 1,f 1 0 1,g 1 0 1",
            "7 files added: a; b; c; d; e; and 2 more"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GBytes) before = list_of(rows[i].before);
        g_autoptr(GBytes) now = list_of(rows[i].now);
        g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);
        const bool is_different = cob_why_compare_files(before, now, reasons);

        for (guint k = 0; k < reasons->len; k++)
            g_strdelimit(g_ptr_array_index(reasons, k), ",", ';');
        g_ptr_array_add(reasons, NULL);
        g_autofree char *got = g_strjoinv(",", (char **)reasons->pdata);

        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(!strcmp(got, rows[i].want) && is_different == (*got != '\0'), i, rows[i].name);
    }
}

static void test_damaged_lists(void)
{
    g_autoptr(GBytes) whole = list_of("a 100644 0 1,a/b 100644 7 2,long/name 100644 7 3");
    g_autoptr(GBytes) other = list_of("x 100644 0 1");
    gsize len;
    const uint8_t *data = g_bytes_get_data(whole, &len);
    unsigned n_read = 0;

    for (gsize cut = 0; cut < len; cut++) {
        g_autoptr(GBytes) part = g_bytes_new(data, cut);
        g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);

        n_read += cob_why_compare_files(part, other, reasons);
    }
    g_assert_cmpuint(n_read, ==, 3); /* cut between its entries, a list is a shorter one */
    for (gsize at = 0; at < len; at++) {
        g_autofree uint8_t *copy = g_memdup2(data, len);
        g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);

        copy[at] = 0xff;
        g_autoptr(GBytes) bytes = g_bytes_new(copy, len);
        (void)cob_why_compare_files(bytes, other, reasons);
    }
    g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);
    g_assert_false(cob_why_compare_files(NULL, other, reasons));
    g_assert_cmpuint(reasons->len, ==, 0);
}

/* What the list of a large context costs. */
static void test_large_list(void)
{
    g_autoptr(cob_why_list) list = cob_why_list_new();
    g_autoptr(GBytes) bytes = NULL;

    for (unsigned i = 0; i < 50000; i++) {
        g_autofree char *path = g_strdup_printf("packages/dir%03u/file%05u.txt", i / 100, i);

        cob_why_list_add(
            list, &(struct cob_why_file){.path = path, .mode = 0100644, .mark = i * 7919});
    }
    bytes = cob_why_list_finish(list);
    g_assert_nonnull(bytes);
    g_assert_cmpuint(g_bytes_get_size(bytes), <, 1000000);
}

static void test_too_many_files(void)
{
    g_autoptr(cob_why_list) list = cob_why_list_new();

    for (unsigned i = 0; i < 200001; i++) {
        g_autofree char *path = g_strdup_printf("%06u", i);

        cob_why_list_add(list, &(struct cob_why_file){.path = path, .mode = 0100644});
    }
    g_assert_null(cob_why_list_finish(list));
}

/* --- facts --- */

#define EXEC(text, op, values, env, mounts, inputs)                                                \
    "{\"kind\":\"exec\",\"text\":\"" text "\",\"op\":\"" op "\",\"values\":{" values               \
    "},\"env\":{" env "},\"mounts\":[" mounts "],\"inputs\":[" inputs "]}"
#define FILE_OP(text, op, values, inputs)                                                          \
    "{\"kind\":\"file\",\"text\":\"" text "\",\"op\":\"" op "\",\"values\":{" values               \
    "},\"env\":{},\"mounts\":[],\"inputs\":[" inputs "]}"
#define SOURCE(op, source)                                                                         \
    "{\"kind\":\"source\",\"text\":\"FROM x\",\"op\":\"" op "\",\"values\":{\"source\":\"" source  \
    "\"},\"env\":{},\"mounts\":[],\"inputs\":[]}"
#define STEP(name, result) "{\"name\":\"" name "\",\"result\":\"" result "\"}"
#define IMAGE(source, result) "{\"source\":\"" source "\",\"result\":\"" result "\"}"
#define CONTENT(digest) "{\"name\":\"context\",\"content\":\"" digest "\"}"
#define SHA "@sha256:0123456789abcdef"
#define OTHER_SHA "@sha256:fedcba9876543210"

/* The first input has number 5 and ran, the second has number 6 and was found. */
static const struct {
    const char *name, *before, *now, *want; /* lines with a | between */
} facts_rows[] = {
    {"nothing", EXEC("RUN a", "1", "", "", "", STEP("s", "r")),
        EXEC("RUN a", "1", "", "", "", STEP("s", "r")), ""},
    {"text", EXEC("RUN a", "1", "\"command\":\"a\"", "", "", ""),
        EXEC("RUN b", "2", "\"command\":\"b\"", "", "", ""),
        "the instruction's text changed: RUN a → RUN b"},
    {"text, of which the end changed",
        FILE_OP("COPY a-very-long-word-0123456789-0123456789-0123456789-0123456789-0123456789-1 x",
            "1", "", ""),
        FILE_OP("COPY a-very-long-word-0123456789-0123456789-0123456789-0123456789-0123456789-2 x",
            "2", "", ""),
        "the instruction's text changed: …9-0123456789-0123456789-1 x → "
        "…9-0123456789-0123456789-2 x"},
    {"the command, with the same words", EXEC("RUN a", "1", "\"command\":\"sh a\"", "", "", ""),
        EXEC("RUN a", "2", "\"command\":\"bash a\"", "", "", ""),
        "the command changed: sh a → bash a"},
    {"argument", EXEC("RUN a", "1", "", "\"ARG VERSION\":\"1\"", "", ""),
        EXEC("RUN a", "2", "", "\"ARG VERSION\":\"2\"", "", ""), "ARG VERSION 1 → 2"},
    {"to nothing", EXEC("RUN a", "1", "", "\"ENV A\":\"1\"", "", ""),
        EXEC("RUN a", "2", "", "\"ENV A\":\"\"", "", ""), "ENV A 1 → \\\"\\\""},
    {"variables that come and go", EXEC("RUN a", "1", "", "\"ENV A\":\"1\"", "", ""),
        EXEC("RUN a", "2", "", "\"ENV B\":\"2\"", "", ""), "ENV A removed|ENV B added: 2"},
    {"secret", EXEC("RUN a", "1", "", "\"ARG T\":\"secret:1\"", "", ""),
        EXEC("RUN a", "2", "", "\"ARG T\":\"secret:2\"", "", ""), "ARG T changed"},
    {"a secret that comes", EXEC("RUN a", "1", "", "", "", ""),
        EXEC("RUN a", "2", "", "\"ARG T\":\"secret:2\"", "", ""), "ARG T added"},
    {"flags, which change the words, too",
        EXEC("RUN a", "1", "\"command\":\"a\",\"network\":\"default\"", "", "", ""),
        EXEC("RUN --network=host a", "2", "\"command\":\"a\",\"network\":\"host\"", "", "", ""),
        "network default → host"},
    {"security and platform",
        EXEC("RUN a", "1", "\"security\":\"sandbox\",\"platform\":\"linux/amd64\"", "", "", ""),
        EXEC("RUN a", "2", "\"security\":\"insecure\",\"platform\":\"linux/arm64\"", "", "", ""),
        "platform linux/amd64 → linux/arm64|security sandbox → insecure"},
    {"a mount", EXEC("RUN a", "1", "", "", "", ""),
        EXEC("RUN --mount=x a", "2", "", "", "\"type=cache,target=/c\"", ""),
        "mount type=cache,target=/c added"},
    {"a mount of another form", EXEC("RUN a", "1", "", "", "\"type=cache,target=/c\"", ""),
        EXEC("RUN a", "2", "", "", "\"type=tmpfs,target=/c\"", ""),
        "mount changed: type=cache,target=/c → type=tmpfs,target=/c"},
    {"a mount that goes", EXEC("RUN a", "1", "", "", "\"type=cache,target=/c\"", ""),
        EXEC("RUN a", "2", "", "", "", ""), "mount type=cache,target=/c removed"},
    {"a secret's mount is told by the words", EXEC("RUN a", "1", "\"command\":\"a\"", "", "", ""),
        EXEC("RUN --mount=type=secret,id=s a", "2", "\"command\":\"a\"", "", "", ""),
        "the instruction's text changed: RUN a → RUN --mount=type=secret,id=s a"},
    {"a file action with the same words", FILE_OP("COPY $A /", "1", "\"source\":\"/a\"", ""),
        FILE_OP("COPY $A /", "2", "\"source\":\"/b\"", ""), "source /a → /b"},
    {"nothing that is known", FILE_OP("COPY a /", "1", "", ""), FILE_OP("COPY a /", "2", "", ""),
        "the step's definition changed"},
    {"files without a list", FILE_OP("COPY a /", "1", "", CONTENT("x")),
        FILE_OP("COPY a /", "1", "", CONTENT("y")), "files of context changed"},
    {"base image", SOURCE("1", "docker-image://docker.io/library/golang:1.21" SHA),
        SOURCE("2", "docker-image://docker.io/library/golang:1.21" OTHER_SHA),
        "base image golang:1.21 moved 0123456789ab… → fedcba987654…"},
    {"another base image", SOURCE("1", "docker-image://docker.io/library/golang:1.21" SHA),
        SOURCE("2", "docker-image://localhost:5000/golang:1.22" SHA),
        "base image golang:1.21 → localhost:5000/golang:1.22"},
    {"a step on another base image",
        EXEC("RUN a", "1", "", "", "", IMAGE("docker-image://docker.io/me/x:1" SHA, "r")),
        EXEC("RUN a", "1", "", "", "", IMAGE("docker-image://docker.io/me/x:1" OTHER_SHA, "q")),
        "base image me/x:1 moved 0123456789ab… → fedcba987654…"},
    {"an earlier step", EXEC("RUN a", "1", "", "", "", STEP("s", "r")),
        EXEC("RUN a", "1", "", "", "", STEP("s", "q")), "an earlier step ran: #5"},
    {"an earlier step that was found",
        EXEC("RUN a", "1", "", "", "", STEP("s", "r") "," STEP("t", "r")),
        EXEC("RUN a", "1", "", "", "", STEP("s", "r") "," STEP("t", "q")),
        "an earlier step is another one now: #6"},
    {"the nearest first",
        EXEC("RUN a", "1", "", "\"ARG V\":\"1\"", "", STEP("s", "r") "," CONTENT("x")),
        EXEC("RUN a", "2", "", "\"ARG V\":\"2\"", "", STEP("s", "q") "," CONTENT("y")),
        "ARG V 1 → 2|files of context changed|an earlier step ran: #5"},
};

static json_t *parse(const char *text)
{
    json_t *json = NULL;

    CHECK_OK(cob_json_parse(text, strlen(text), "facts", &json));
    return json;
}

static void test_compare(void)
{
    const struct cob_why_input inputs[] = {
        {.number = 5, .has_run = true}, {.number = 6, .has_run = false}};

    for (size_t i = 0; i < G_N_ELEMENTS(facts_rows); i++) {
        json_auto_t *before = parse(facts_rows[i].before);
        json_auto_t *now = parse(facts_rows[i].now);
        g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *want = g_strcompress(facts_rows[i].want);

        cob_why_compare(before, now, inputs, reasons);
        g_ptr_array_add(reasons, NULL);
        g_autofree char *got = g_strjoinv("|", (char **)reasons->pdata);

        g_assert_cmpstr(got, ==, want);
        g_assert_true((cob_why_distance(before, now) == 0) == (*want == '\0'));
        check_row(!strcmp(got, want), i, facts_rows[i].name);
    }
}

/* Facts of another version, or none at all, are compared as far as they go. */
static void test_strange_facts(void)
{
    static const char *const texts[] = {"{}", "[]", "{\"op\":1,\"inputs\":{},\"mounts\":[5,null]}",
        "{\"op\":\"1\",\"values\":[],\"env\":\"\",\"inputs\":[5,{\"content\":\"x\"},{}]}"};
    const struct cob_why_input inputs[4] = {{0}};

    for (size_t i = 0; i < G_N_ELEMENTS(texts) * G_N_ELEMENTS(texts); i++) {
        json_auto_t *before = parse(texts[i / G_N_ELEMENTS(texts)]);
        json_auto_t *now = parse(texts[i % G_N_ELEMENTS(texts)]);
        g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);

        (void)cob_why_distance(before, now);
        cob_why_compare(before, now, inputs, reasons);
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/why/place", test_place);
    g_test_add_func("/why/args", test_args);
    g_test_add_func("/why/files", test_files);
    g_test_add_func("/why/damaged-lists", test_damaged_lists);
    g_test_add_func("/why/large-list", test_large_list);
    g_test_add_func("/why/too-many-files", test_too_many_files);
    g_test_add_func("/why/compare", test_compare);
    g_test_add_func("/why/strange-facts", test_strange_facts);
    return g_test_run();
}
