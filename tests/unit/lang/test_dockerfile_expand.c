/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "check.h"
#include "lang/dockerfile/dockerfile_expand.h"

static const char *get(const void *arg, const char *name)
{
    static const char *const values[][2] = {{"A", "a"}, {"EMPTY", ""}, {"PATH", "/bin:/usr/bin"},
        {"F", "archive.tar.gz"}, {"SP", "x  y"}, {"U", "\xc3\xa4\xc3\xb6x"}, {"NL", "a\nb"},
        {"Q", "it's"}, {"SIGNS", "()[]{}^$.*?|\\x"}, {"ASTERISKS", "a***yy*"}, {"XY", "xxyy"},
        {"NEEDLE", "\\*/"}, {"GLOBS", "/foo*/*/*.txt"}, {"SLASHES", "/tmp/tmp/bar.txt"},
        {"TMP", "/tmp"}, {"URL", "http://example.com"}, {"SCHEME", "http://"}, {"STAR", "a*b*c"},
        {"\xc3\xa9t\xc3\xa9", "summer"}};

    (void)arg;
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        if (strcmp(values[i][0], name) == 0)
            return values[i][1];
    }
    return NULL;
}

static const struct dockerfile_env env = {.get = get};

/* A text, and what it becomes. */
struct form {
    const char *text, *want;
};

static void check_forms(const struct form *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct dockerfile_expander expander = {.env = env, .escape = '\\'};
        g_autofree char *got = NULL;

        CHECK_OK(dockerfile_expand(&expander, rows[i].text, &got));
        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(g_strcmp0(got, rows[i].want) == 0, i, rows[i].text);
    }
}

/* What each form gives. */
static void test_forms(void)
{
    static const struct form rows[] = {
        {"$A", "a"},
        {"${A}b", "ab"},
        {"$A$A", "aa"},
        {"$NONE.", "."},
        {"$", "$"},
        {"a$", "a$"},
        {"$.", "$."},
        {"$1x", "x"},
        {"\\$A", "$A"},
        {"'$A'", "$A"},
        {"\"$A\"", "a"},
        {"\"\\$A\"", "$A"},
        {"\"\\n\"", "\\n"},
        {"\\n", "n"},
        {"a\\", "a"},
        {"\"'$A'\"", "'a'"},
        {"'\"'", "\""},
        {"$Q", "it's"},
        {"${NONE:-w}", "w"},
        {"${NONE-w}", "w"},
        {"${EMPTY:-w}", "w"},
        {"${EMPTY-w}", ""},
        {"${A:-w}", "a"},
        {"${A:+w}", "w"},
        {"${EMPTY:+w}", ""},
        {"${EMPTY+w}", "w"},
        {"${NONE+w}", ""},
        {"${NONE:-$A}", "a"},
        {"${NONE:-${NONE:-$A}}", "a"},
        {"${NONE:-\"}\"}", "}"},
        {"${NONE:-a b}", "a b"},
        {"${A:?no}", "a"},
        {"${EMPTY?no}", ""},
        {"${F#*.}", "tar.gz"},
        {"${F##*.}", "gz"},
        {"${F%.*}", "archive.tar"},
        {"${F%%.*}", "archive"},
        {"${F#nope}", "archive.tar.gz"},
        {"${F#?}", "rchive.tar.gz"},
        {"${F%?}", "archive.tar.g"},
        {"${F#*}", "archive.tar.gz"},
        {"${F##*}", ""},
        {"${STAR#a\\*}", "b*c"},
        {"${STAR%\\**}", "a*b"},
        {"${U#?}", "\xc3\xb6x"},
        {"${U%?x}", "\xc3\xa4"},
        {"${NL##a*}", "\nb"},
        {"${PATH/:/ }", "/bin /usr/bin"},
        {"${PATH/bin/B}", "/B:/usr/bin"},
        {"${PATH//bin/B}", "/B:/usr/B"},
        {"${PATH//\\//_}", "_bin:_usr_bin"},
        {"${PATH/u*r/X}", "/bin:/X/bin"},
        {"${NONE/a/b}", ""},
        {"$\xc3\xa9t\xc3\xa9", "summer"},
        {"a<b", "a<b"},
        {"<< EOF", "<< EOF"},
    };

    check_forms(rows, G_N_ELEMENTS(rows));
}

/* Patterns: signs of other languages of patterns, nothing, and what comes from variables. */
static void test_patterns(void)
{
    static const struct form rows[] = {
        {"${SIGNS#()[]{\\}^$.\\*\\?|\\\\}", "x"},
        {"${ASTERISKS%%\\**\\*}", "a"},
        {"${XY#*x*y}", "y"},
        {"${XY##*x}", "yy"},
        {"${XY#}", "xxyy"},
        {"${XY##}", "xxyy"},
        {"${XY%}", "xxyy"},
        {"${XY%%$EMPTY}", "xxyy"},
        {"${XY#$EMPTY}", "xxyy"},
        {"${XY#$A}", "xxyy"},
        {"${NONE:-.}${XY%x}${NONE:-.}", ".xxyy."},
        {"${GLOBS/$NEEDLE/.} ${GLOBS//$NEEDLE/.}", "/foo.*/*.txt /foo..*.txt"},
        {"${SLASHES/$TMP/} ${SLASHES//$TMP/}", "/tmp/bar.txt /bar.txt"},
        {"${URL/$SCHEME/https:\\/\\/}", "https:\\/\\/example.com"},
        {"${SLASHES//\\//\\/}", "\\/tmp\\/tmp\\/bar.txt"},
        {"${XY/$EMPTY/ww}", "wwxxyy"},
        {"${XY///}", "xxyy"},
        {"${NONE///}", ""},
        {"${NONE:-${A:+${EMPTY:-${XY#x}}}}", "xyy"},
    };

    check_forms(rows, G_N_ELEMENTS(rows));
}

/* What the flags keep. */
static void test_flags(void)
{
    static const struct {
        const char *text, *want;
        unsigned flags;
        char escape;
    } rows[] = {
        {"'$A' \"$A\"", "'$A' \"a\"", DOCKERFILE_EXPAND_KEEP_QUOTES, '\\'},
        {"\\a \"\\\"\"", "\\a \\\"", DOCKERFILE_EXPAND_KEEP_ESCAPES, '\\'},
        {"$NONE ${NONE} ${NONE:-$A} $A", "$NONE ${NONE} ${NONE:-a} a", DOCKERFILE_EXPAND_KEEP_UNSET,
            '\\'},
        {"${NONE#p} ${NONE//a/b}", "${NONE#p} ${NONE/a/b}", DOCKERFILE_EXPAND_KEEP_UNSET, '\\'},
        {"'$A' \"", "'a' \"", DOCKERFILE_EXPAND_NO_QUOTES, '\\'},
        {"`$A \\n", "$A \\n", 0, '`'},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct dockerfile_expander expander = {
            .env = env, .escape = rows[i].escape, .flags = rows[i].flags};
        g_autofree char *got = NULL;

        CHECK_OK(dockerfile_expand(&expander, rows[i].text, &got));
        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(g_strcmp0(got, rows[i].want) == 0, i, rows[i].text);
    }
}

/* Where words end, once they are expanded. */
static void test_words(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"a b", "a|b"},
        {"  a\t b ", "a|b"},
        {"$SP", "x|y"},
        {"\"$SP\"", "x  y"},
        {"a'b c'd", "ab cd"},
        {"a\\ b", "a b"},
        {"8${NONE:-0}", "80"},
        {"'' a", "a"},
        {"", ""},
        {"3<< EOF x", "3<< EOF|x"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct dockerfile_expander expander = {.env = env, .escape = '\\'};
        g_autoptr(GPtrArray) words = NULL;

        CHECK_OK(dockerfile_expand_words(&expander, rows[i].text, &words));
        if (!words)
            continue;
        g_ptr_array_add(words, NULL);
        g_autofree char *got = g_strjoinv("|", (char **)words->pdata);
        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(g_strcmp0(got, rows[i].want) == 0, i, rows[i].text);
    }
}

static void test_errors(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"${A", "failed to process \"${A\": syntax error: missing '}'"},
        {"${", "failed to process \"${\": syntax error: missing '}'"},
        {"${}", "failed to process \"${}\": syntax error: bad substitution"},
        {"${{A}", "failed to process \"${{A}\": syntax error: bad substitution"},
        {"${:A}", "failed to process \"${:A}\": syntax error: bad substitution"},
        {"${A:", "failed to process \"${A:\": syntax error: missing '}'"},
        {"${A:-b", "failed to process \"${A:-b\": syntax error: missing '}'"},
        {"${A/b", "failed to process \"${A/b\": syntax error: missing '/' in ${}"},
        {"${A/b/c", "failed to process \"${A/b/c\": syntax error: missing '}'"},
        {"${XY//ww}", "failed to process \"*\": syntax error: missing '/' in ${}"},
        {"${XY//}", "failed to process \"*\": syntax error: missing '/' in ${}"},
        {"${A=b}", "failed to process \"${A=b}\": unsupported modifier (=) in substitution"},
        {"${A:%%b}", "failed to process \"${A:%%b}\": unsupported modifier (:%) in substitution"},
        {"${A:=b}", "failed to process \"${A:=b}\": unsupported modifier (:=) in substitution"},
        {"${A!b}", "failed to process \"${A!b}\": unsupported modifier (!) in substitution"},
        {"${A:#b}", "failed to process \"${A:#b}\": unsupported modifier (:#) in substitution"},
        {"${NONE:?}", "failed to process \"*\": NONE: is not allowed to be unset"},
        {"${NONE?say it}", "failed to process \"*\": NONE: say it"},
        {"${EMPTY:?}", "failed to process \"*\": EMPTY: is not allowed to be empty"},
        {"${EMPTY:?$A}", "failed to process \"*\": EMPTY: a"},
        {"'a", "*unexpected end of statement while looking for matching single-quote"},
        {"\"a", "*unexpected end of statement while looking for matching double-quote"},
        {"${A#\\a}", "*invalid pattern (\\a) in substitution: invalid escape '\\a'"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct dockerfile_expander expander = {.env = env, .escape = '\\'};
        char *got = NULL;

        CHECK_ERROR(dockerfile_expand(&expander, rows[i].text, &got), COB_INVALID, rows[i].want);
        check_row(got == NULL, i, rows[i].text);
        g_free(got);
    }
}

/* What is hostile ends in an error, soon. */
static void test_limits(void)
{
    struct dockerfile_expander expander = {.env = env, .escape = '\\', .max_bytes = 1000};
    g_autoptr(GString) deep = g_string_new(NULL);
    g_autofree char *stars = g_strnfill(20000, '*');
    g_autofree char *as = g_strnfill(200000, 'a');
    char *got = NULL;

    for (int i = 0; i < 1000; i++)
        g_string_append(deep, "${NONE:-");
    CHECK_ERROR(dockerfile_expand(&expander, deep->str, &got), COB_EXHAUSTED,
        "failed to process \"*: ${...} nested deeper than 64");
    CHECK_ERROR(dockerfile_expand(&expander, as, &got), COB_EXHAUSTED,
        "failed to process \"*: it grows past 1000 bytes");
    g_autofree char *pattern = g_strconcat(stars, "b", NULL);
    CHECK_ERROR(dockerfile_pattern_replace(true, pattern, as, "", 1000, &got), COB_EXHAUSTED,
        "the pattern takes too long to match");
    CHECK_ERROR(dockerfile_pattern_replace(true, "a", as, "bb", 1000, &got), COB_EXHAUSTED,
        "it grows past 1000 bytes");
    g_assert_null(got);
}

/* Everywhere, a match of nothing stands between letters, and not behind another match: as in Go. */
static void test_replace_nothing(void)
{
    static const struct {
        const char *pattern, *value, *want;
    } rows[] = {{"", "abc", "XaXbXcX"}, {"*", "abc", "X"}, {"a*", "bab", "bX"}, {"", "", "X"}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = NULL;

        CHECK_OK(dockerfile_pattern_replace(true, rows[i].pattern, rows[i].value, "X", 1000, &got));
        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(g_strcmp0(got, rows[i].want) == 0, i, rows[i].pattern);
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/dockerfile/expand/forms", test_forms);
    g_test_add_func("/dockerfile/expand/patterns", test_patterns);
    g_test_add_func("/dockerfile/expand/flags", test_flags);
    g_test_add_func("/dockerfile/expand/words", test_words);
    g_test_add_func("/dockerfile/expand/errors", test_errors);
    g_test_add_func("/dockerfile/expand/limits", test_limits);
    g_test_add_func("/dockerfile/expand/replace-nothing", test_replace_nothing);
    return g_test_run();
}
