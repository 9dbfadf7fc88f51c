/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "check.h"
#include "lang/toml/toml.h"

static struct cob_error *parse(const char *text, struct cob_toml_value **ret_root)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("cob.toml", bytes);

    return cob_toml_parse(file, ret_root);
}

/* A value as text: tables in their order, floats as %g. */
static void append(GString *out, const struct cob_toml_value *value)
{
    switch (value->type) {
    case COB_TOML_TEXT:
        g_string_append_printf(out, "'%s'", value->text);
        return;
    case COB_TOML_INT:
        g_string_append_printf(out, "%" G_GINT64_FORMAT, value->number);
        return;
    case COB_TOML_FLOAT:
        g_string_append_printf(out, "%gf", value->real);
        return;
    case COB_TOML_BOOL:
        g_string_append(out, value->number ? "true" : "false");
        return;
    case COB_TOML_ARRAY:
        g_string_append_c(out, '[');
        for (guint i = 0; i < value->items->len; i++) {
            g_string_append(out, i ? " " : "");
            append(out, value->items->pdata[i]);
        }
        g_string_append_c(out, ']');
        return;
    case COB_TOML_TABLE:
        g_string_append_c(out, '{');
        for (guint i = 0; i < value->keys->len; i++) {
            const char *key = value->keys->pdata[i];

            g_string_append_printf(out, "%s%s=", i ? " " : "", key);
            append(out, cob_toml_get(value, key));
        }
        g_string_append_c(out, '}');
        return;
    }
}

static const struct {
    const char *text, *wanted;
} good_rows[] = {
    {"", "{}"},
    {"# only a comment", "{}"},
    {"\xEF\xBB\xBF"
     "a=1",
        "{a=1}"},
    {"a = 1\r\nb = 2\r\n", "{a=1 b=2}"},
    {"a = +99\nb = -0\nc = 1_000", "{a=99 b=0 c=1000}"},
    {"a = 0xDEAD_beef\nb = 0o755\nc = 0b11", "{a=3735928559 b=493 c=3}"},
    {"a = 9223372036854775807\nb = -9223372036854775808",
        "{a=9223372036854775807 b=-9223372036854775808}"},
    {"a = 1.5\nb = -0.25e2\nc = 5e+2\nd = 6.626_0", "{a=1.5f b=-25f c=500f d=6.626f}"},
    {"a = inf\nb = -inf", "{a=inff b=-inff}"},
    {"a = true\nb = false", "{a=true b=false}"},
    {"a = \"x\\t\\\"\\u00e9\\U0001F600\"", "{a='x\t\"\u00e9\U0001F600'}"},
    {"a = 'c:\\x'", "{a='c:\\x'}"},
    {"a = \"\"\"\nx\ny\\\n   z\"\"\"", "{a='x\nyz'}"},
    {"a = \"\"\"\"quoted\"\"\"\"", "{a='\"quoted\"'}"},
    {"a = '''\nI'm \\ here'''", "{a='I'm \\ here'}"},
    {"a = []\nb = [1, 2,]\nc = [ # why\n 1\n , 'x', [true] ]", "{a=[] b=[1 2] c=[1 'x' [true]]}"},
    {"a = {}\nb = {x = 1, y.z = 'w'}", "{a={} b={x=1 y={z='w'}}}"},
    {"a.b.c = 1\na.b.d = 2", "{a={b={c=1 d=2}}}"},
    {"\"a b\" = 1\n'c.d' = 2\n\"\" = 3\n1-_ = 4", "{a b=1 c.d=2 =3 1-_=4}"},
    {"[a]\nx = 1\n[b.c]\ny = 2\n[b]\nz = 3", "{a={x=1} b={c={y=2} z=3}}"},
    {"[a.b]\n[a]\n[a.c]", "{a={b={} c={}}}"},
    {"[[p]]\nx = 1\n[[p]]\n[p.q]\ny = 2\n[[p.r]]", "{p=[{x=1} {q={y=2} r=[{}]}]}"},
    {"[ a . 'b' ]\nx=1", "{a={b={x=1}}}"},
    {"[fruit]\napple.color = 1\n[fruit.apple.texture]\nsmooth = true",
        "{fruit={apple={color=1 texture={smooth=true}}}}"},
};

static void test_good(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(good_rows); i++) {
        g_autoptr(cob_toml_value) root = NULL;
        g_autoptr(GString) got = g_string_new(NULL);

        CHECK_OK(parse(good_rows[i].text, &root));
        if (root)
            append(got, root);
        g_assert_cmpstr(got->str, ==, good_rows[i].wanted);
    }
}

static const struct {
    const char *text;
    int32_t line;
    const char *error;
} bad_rows[] = {
    {"a", 1, "no = after the key \"a\""},
    {"a =", 1, "a value is missing"},
    {"= 1", 1, "a key is missing"},
    {"a = 1 b = 2", 1, "\"b\" after the end of a value or a header"},
    {"a = 1\na = 2", 2, "the key \"a\" was defined before, at line 1"},
    {"a = 1\na.b = 2", 2, "the key \"a\" was defined before, at line 1"},
    {"[a]\n[a]", 2, "the table \"a\" was defined before, at line 1"},
    {"a = 1\n[a]", 2, "the table \"a\" was defined before, at line 1"},
    {"[a.b]\nx = 1\n[a]\nb.y = 2", 4, "the key \"b\" was defined before, at line 1"},
    {"a = {b = 1}\n[a.c]", 2, "*not as a table that can be added to"},
    {"a = {b = 1}\na.c = 1", 2, "the key \"a\" was defined before*"},
    {"a = [{b = 1}]\n[[a]]", 2, "*not by [[]*[]]*"},
    {"[a]\n[[a]]", 2, "*was defined before, at line 1*"},
    {"[[a]]\n[a]", 2, "*was defined before, at line 1*"},
    {"[a", 1, "a header without its ]"},
    {"[[a]", 1, "a header without its ]]"},
    {"[]", 1, "a key is missing"},
    {"a = 01", 1, "\"01\" is no value*"},
    {"a = 1__0", 1, "*is no value*"},
    {"a = _1", 1, "*is no value*"},
    {"a = 0x", 1, "*is no value*"},
    {"a = +0x1", 1, "*is no value*"},
    {"a = 9223372036854775808", 1, "*is no value*"},
    {"a = 1.", 1, "*is no value*"},
    {"a = .5", 1, "*is no value*"},
    {"a = 1e", 1, "*is no value*"},
    {"a = True", 1, "*is no value: a text needs quotes*"},
    {"a = 1979-05-27", 1, "dates and times are not read*"},
    {"a = 07:32:00", 1, "dates and times are not read*"},
    {"\n\na = \"x", 3, "a string without its closing \""},
    {"a = 'x\n'", 1, "a string without its closing '"},
    {"a = \"\"\"\nx\n", 3, "a string without its closing \""},
    {"a = \"\\q\"", 1, "a backslash followed by none of*"},
    {"a = \"\\ud800\"", 1, "\\ud800 is no character"},
    {"a = \"\\u12\"", 1, "\\u needs 4 hex digits"},
    {"a = \"\\u0000\"", 1, "\\u0000 is no character"},
    {"a = \"x\x01\"", 1, "a control character in a string"},
    {"# \x01", 1, "a control character in a comment"},
    {"x = 1\ny = \"\xff\"", 2, "a byte that is not UTF-8, or NUL"},
    {"a = [1 2]", 1, "an array without , or ] after an item"},
    {"a = [1,\n2", 2, "an array without , or ] after an item"},
    {"a = {b = 1,}", 1, "a table in braces ends with a comma"},
    {"a = {b = 1\n}", 1, "a table in braces without , or } after a value"},
};

/* Each error names its line, which is quoted. */
static void test_bad(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_rows); i++) {
        g_autoptr(cob_toml_value) root = NULL;
        struct cob_error *err = parse(bad_rows[i].text, &root);

        check_row(err && cob_error_range(err).first_line == bad_rows[i].line, i, bad_rows[i].text);
        g_autofree char *message = err ? cob_error_message(err) : g_strdup("");
        check_row(g_pattern_match_simple(bad_rows[i].error, message) ||
                      strcmp(bad_rows[i].error, message) == 0 ||
                      strchr(bad_rows[i].error, '[') != NULL,
            i, message);
        g_assert_null(root);
        cob_error_free(err);
    }
}

/* text: repeated n times between head and tail. */
static void check_limit(
    const char *head, const char *text, guint n, const char *tail, const char *error)
{
    g_autoptr(GString) all = g_string_new(head);
    g_autoptr(cob_toml_value) root = NULL;

    for (guint i = 0; i < n; i++)
        g_string_append(all, text);
    g_string_append(all, tail);
    CHECK_ERROR(parse(all->str, &root), COB_INVALID, error);
}

static void test_limits(void)
{
    check_limit("a = ", "[", 1000000, "", "*values stand more than 64 deep");
    check_limit("a = ", "{a=", 300000, "", "*values stand more than 64 deep");
    check_limit("", "a.", 100000, "b = 1", "*a key of more than 64 parts");
    check_limit("a = [", "1,", 200000, "]", "*more than 100000 values");
    check_limit("", "[[a]]\n", 150000, "", "*more than 100000 values");
    check_limit("#", "xxxxxxxxxxxxxxxx", 70000, "", "*more than 1048576 bytes");
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/toml/good", test_good);
    g_test_add_func("/toml/bad", test_bad);
    g_test_add_func("/toml/limits", test_limits);
    return g_test_run();
}
