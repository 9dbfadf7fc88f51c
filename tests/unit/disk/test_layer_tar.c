/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tar reader beside others: whatever cob accepts, GNU tar, bsdtar, Go's archive/tar and
 * Python's tarfile see in the same way. tar_judges/mixes.py makes the archives; COB_TEST_LONG=1
 * takes ten times as many, COB_TEST_SEED others.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "check.h"
#include "disk/layer/tar.h"
#include "util/limits.h"

#define N_ARCHIVES 2000
#define N_LONG 20000
#define N_WORKERS 2 /* the judges are programs: two of each at a time */

/* --- cob --- */

static char type_letter(enum tar_type type)
{
    switch (type) {
    case TAR_FILE:
        return '-';
    case TAR_HARD_LINK:
        return 'h';
    case TAR_SYMLINK:
        return 'l';
    case TAR_CHAR_DEVICE:
        return 'c';
    case TAR_BLOCK_DEVICE:
        return 'b';
    case TAR_DIR:
        return 'd';
    case TAR_FIFO:
        return 'p';
    }
    g_assert_not_reached();
}

/* A name as a path: doubled slashes, and those at its end, say nothing. */
static void append_name(GString *out, const char *name, gsize len)
{
    while (len > 0 && name[len - 1] == '/')
        len--;
    for (gsize i = 0; i < len; i++) {
        if (name[i] != '/' || i == 0 || name[i - 1] != '/')
            g_string_append_c(out, name[i]);
    }
}

static struct cob_error *on_entry(void *arg, const struct tar_entry *entry)
{
    char letter = type_letter(entry->type);

    g_string_append_printf(arg, "%c ", letter);
    append_name(arg, entry->name->str, entry->name->len);
    g_string_append_printf(arg, " %" PRIu64, letter == '-' ? entry->size : 0);
    if (letter == 'h' || letter == 'l')
        g_string_append_printf(arg, " %s", entry->link->str);
    g_string_append_c(arg, '\n');
    return NULL;
}

static struct cob_error *on_data(void *arg, uint64_t offset, const void *data, size_t len)
{
    (void)arg;
    (void)offset;
    (void)data;
    (void)len;
    return NULL;
}

static struct cob_error *on_end(void *arg)
{
    (void)arg;
    return NULL;
}

static const struct tar_events events = {.entry = on_entry, .data = on_data, .end = on_end};

/* A line "type name size link" a member; NULL when it refuses. */
static char *list_by_cob(const char *tar, gsize len)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(tar_reader) reader = tar_reader_new(&events, out);
    struct cob_error *err = tar_reader_write(reader, (const uint8_t *)tar, len);

    if (!err)
        err = tar_reader_finish(reader);
    cob_error_free(err);
    return err ? NULL : g_strdup(out->str);
}

/* --- the judges --- */

/* Where a program's long listing has what: words before the size, words before the name. */
struct judge {
    const char *suffix;
    unsigned size_at, name_at; /* 0: it writes our form already */
};

static const struct judge judges[] = {{"gnu", 2, 5}, {"bsd", 4, 8}, {"go", 0, 0}, {"python", 0, 0}};

/* The begin of a word, from 0. */
static const char *word(const char *line, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        line += strcspn(line, " ");
        line += strspn(line, " ");
    }
    return line;
}

static void append_member(GString *out, const char *line, const struct judge *judge)
{
    static const char *const arrows[] = {" -> ", " link to "};
    char letter = line[0] == 'C' ? '-' : line[0]; /* a contiguous file is a file */
    const char *name = word(line, judge->name_at), *link = NULL;
    gsize len = strlen(name);

    if (letter == 'l' || letter == 'h') {
        const char *arrow = strstr(name, arrows[letter == 'h']);

        if (arrow) {
            link = arrow + strlen(arrows[letter == 'h']);
            len = (gsize)(arrow - name);
        }
    }
    g_string_append_printf(out, "%c ", letter);
    append_name(out, name, len);
    const char *size = word(line, judge->size_at);
    g_string_append_printf(
        out, " %.*s", letter == '-' ? (int)strcspn(size, " ") : 1, letter == '-' ? size : "0");
    g_string_append_printf(out, "%s%s\n", link ? " " : "", link ? link : "");
}

/* A judge's listing in the form of cob's. */
static char *normal(const char *text, const struct judge *judge)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    if (judge->name_at == 0)
        return g_strdup(text);
    for (char **line = lines; *line; line++) {
        if (strcmp(*line, "error") == 0)
            g_string_append(out, "error\n");
        else if (**line)
            append_member(out, *line, judge);
    }
    return g_strdup(out->str);
}

static void run(const char *dir, const char *const *argv)
{
    g_autofree char *complaints = NULL;
    int status = -1;

    g_assert_true(g_spawn_sync(dir, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
        NULL, &complaints, &status, NULL));
    if (status != 0) {
        g_test_message("%s: %s", argv[0], complaints);
        g_test_fail();
    }
}

/* Let the programs that see one archive a call look at those that cob accepted. */
static void run_programs(const char *dir, const GPtrArray *accepted)
{
    GPid pids[N_WORKERS];

    for (guint worker = 0; worker < N_WORKERS; worker++) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new();

        g_ptr_array_add(argv, (gpointer)(uintptr_t)TAR_JUDGES "/list.sh");
        for (guint i = worker; i < accepted->len; i += N_WORKERS)
            g_ptr_array_add(argv, g_ptr_array_index(accepted, i));
        g_ptr_array_add(argv, NULL);
        g_assert_true(g_spawn_async(dir, (char **)argv->pdata, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
            NULL, NULL, &pids[worker], NULL));
    }
    for (guint worker = 0; worker < N_WORKERS; worker++) {
        int status;

        g_assert_cmpint(waitpid(pids[worker], &status, 0), ==, pids[worker]);
        g_assert_cmpint(status, ==, 0);
    }
}

static void run_go(const char *dir, const char *count)
{
    const char *const build[] = {"env", "GO111MODULE=off", "CGO_ENABLED=0", "GOPROXY=off",
        "GOFLAGS=", "go", "build", "-o", "list-by-go", TAR_JUDGES "/list.go", NULL};
    const char *const list[] = {"./list-by-go", count, NULL};

    run(dir, build);
    run(dir, list);
}

/* --- */

static char *read_file(const char *dir, const char *n, const char *suffix, gsize *ret_len)
{
    g_autofree char *name = g_strdup_printf("%s/%s.%s", dir, n, suffix);
    char *text = NULL;

    g_assert_true(g_file_get_contents(name, &text, ret_len, NULL));
    return text;
}

/* n: the archive's number. */
static void compare(const char *dir, const char *n, const char *by_cob)
{
    for (size_t i = 0; i < G_N_ELEMENTS(judges); i++) {
        g_autofree char *text = read_file(dir, n, judges[i].suffix, NULL);
        g_autofree char *by_judge = normal(text, &judges[i]);

        if (strcmp(by_cob, by_judge) == 0)
            continue;
        g_test_message("archive %s: cob:\n%s%s:\n%s", n, by_cob, judges[i].suffix, by_judge);
        g_test_fail();
    }
}

static void check_all(const char *dir, unsigned count)
{
    g_autoptr(GPtrArray) accepted = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) listings = g_ptr_array_new_with_free_func(g_free);

    for (unsigned i = 0; i < count; i++) {
        g_autofree char *n = g_strdup_printf("%u", i);
        gsize len;
        g_autofree char *tar = read_file(dir, n, "tar", &len);
        g_autofree char *by_cob = list_by_cob(tar, len);

        if (!by_cob)
            continue;
        g_ptr_array_add(accepted, g_steal_pointer(&n));
        g_ptr_array_add(listings, g_steal_pointer(&by_cob));
    }
    run_programs(dir, accepted);
    for (guint i = 0; i < accepted->len; i++)
        compare(dir, g_ptr_array_index(accepted, i), g_ptr_array_index(listings, i));
    g_assert_cmpuint(accepted->len, >, count / 4); /* strict, but not deaf */
    g_test_message("%u of %u accepted", accepted->len, count);
}

static bool has_programs(void)
{
    static const char *const programs[] = {"python3", "tar", "bsdtar", "go"};

    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        g_autofree char *path = g_find_program_in_path(programs[i]);

        if (!path) {
            check_skip("one of python3, tar, bsdtar and go is not installed");
            return false;
        }
    }
    return true;
}

static void test_differential(void)
{
    unsigned count = g_getenv("COB_TEST_LONG") ? N_LONG : N_ARCHIVES;
    g_autofree char *number = g_strdup_printf("%u", count);
    const char *seed = g_getenv("COB_TEST_SEED");
    const char *const mix[] = {TAR_JUDGES "/mixes.py", number, seed ? seed : "7", NULL};

    if (!has_programs())
        return;
    char *dir = check_scratch_new();
    run(dir, mix);
    run_go(dir, number);
    if (!g_test_failed())
        check_all(dir, count);
    check_scratch_free(dir);
}

static struct cob_error *pass_entry(void *arg, const struct tar_entry *entry)
{
    (void)entry;
    ++*(unsigned *)arg;
    return NULL;
}

/* One header again and again. */
static void test_too_many_entries(void)
{
    static const struct tar_events counting = {.entry = pass_entry, .data = on_data, .end = on_end};
    const unsigned at_once = 1000;
    g_autoptr(GByteArray) headers = g_byte_array_new();
    unsigned n_entries = 0;
    g_autoptr(tar_reader) reader = tar_reader_new(&counting, &n_entries);
    struct tar_entry entry;
    struct cob_error *err = NULL;

    tar_entry_init(&entry);
    g_string_assign(entry.name, "f");
    for (unsigned i = 0; i < at_once; i++)
        tar_write_header(headers, &entry);
    tar_entry_done(&entry);
    while (!err && n_entries <= COB_LIMIT_LAYER_ENTRIES)
        err = tar_reader_write(reader, headers->data, headers->len);
    CHECK_ERROR(err, COB_EXHAUSTED, "archive, at byte *: more entries than the limit of 5000000");
    g_assert_cmpuint(n_entries, ==, COB_LIMIT_LAYER_ENTRIES);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/layer/tar/others-see-the-same", test_differential);
    g_test_add_func("/layer/tar/too-many-entries", test_too_many_entries);
    return g_test_run();
}
