/* SPDX-License-Identifier: Apache-2.0 */
#include "net/registry/challenge.h"

#include <string.h>

#include "check.h"

/* As text: "scheme(realm|service|scope)" of each, with - for what is not there. */
static char *show(const GPtrArray *challenges)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < challenges->len; i++) {
        const struct challenge *c = g_ptr_array_index(challenges, i);

        g_string_append_printf(text, "%s%s(%s|%s|%s)", i ? " " : "", c->scheme,
            c->realm ? c->realm : "-", c->service ? c->service : "-", c->scope ? c->scope : "-");
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void test_parse_table(void)
{
    static const struct {
        const char *header, *want;
    } rows[] = {
        {"Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull\"",
            "bearer(https://a/t|s|repository:x:pull)"},
        {"BEARER Realm = \"a\" , SERVICE=b", "bearer(a|b|-)"},
        {"Basic realm=\"r\"", "basic(r|-|-)"},
        {"Basic", "basic(-|-|-)"},
        {"Basic realm=\"x\", Bearer realm=\"y\"", "basic(x|-|-) bearer(y|-|-)"},
        {"Negotiate, Bearer realm=\"y\",error=\"e\"", "negotiate(-|-|-) bearer(y|-|-)"},
        {"Bearer realm=\"a \\\"b\\\" c\"", "bearer(a \"b\" c|-|-)"},
        {"Bearer realm=\"a\",realm=\"b\"", "bearer(a|-|-)"},
        {"Bearer realm=\"\"", "bearer(|-|-)"},
        {"Bearer realm=\"no end", "bearer(-|-|-)"},
        {"Bearer realm=\"a\tb\"", "bearer(-|-|-)"},
        {"Bearer realm=", "bearer(-|-|-)"},
        {"Bearer realm=\"a\\", "bearer(-|-|-)"},
        {"realm=\"a\"", ""},
        {"", ""},
        {",,, ,", ""},
        {"\"", ""},
        {"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s",
            "a(-|-|-) b(-|-|-) c(-|-|-) d(-|-|-) e(-|-|-) f(-|-|-) g(-|-|-) h(-|-|-) i(-|-|-) "
            "j(-|-|-) k(-|-|-) l(-|-|-) m(-|-|-) n(-|-|-) o(-|-|-) p(-|-|-)"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) challenges = registry_challenges_new();

        registry_challenge_parse(rows[i].header, challenges);
        g_autofree char *got = show(challenges);
        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(strcmp(got, rows[i].want) == 0, i, rows[i].header);
    }
}

static void test_find_takes_the_first(void)
{
    g_autoptr(GPtrArray) challenges = registry_challenges_new();

    registry_challenge_parse("Bearer realm=a, Bearer realm=b", challenges);
    g_assert_cmpstr(registry_challenge_find(challenges, "bearer")->realm, ==, "a");
    g_assert_null(registry_challenge_find(challenges, "basic"));
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/challenge/parse-table", test_parse_table);
    g_test_add_func("/challenge/find-takes-the-first", test_find_takes_the_first);
    return g_test_run();
}
