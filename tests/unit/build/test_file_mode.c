/* SPDX-License-Identifier: Apache-2.0 */
/* --chmod in letters, as chmod(1) has it. */
#include <sys/stat.h>

#include "build/ops/ops_private.h"
#include "check.h"

static void test_modes(void)
{
    static const struct {
        const char *text;
        mode_t mode;
        bool is_dir;
        mode_t want;
    } rows[] = {
        {"u+x", 0644, false, 0744},
        {"+x", 0644, false, 0755},
        {"a=r", 0777, false, 0444},
        {"=", 0777, false, 0},
        {"go-rwx", 0755, false, 0700},
        {"u=rwX,go=rX", 0600, false, 0644},
        {"u=rwX,go=rX", 0600, true, 0755},
        {"u=rwX,go=rX", 0611, false, 0755},
        {"ug+s", 0755, false, 06755},
        {"u+s", 0755, false, 04755},
        {"g+s", 0755, true, 02755},
        {"o+s", 0755, false, 0755},
        {"+t", 0777, true, 01777},
        {"-t", 01777, true, 0777},
        {"u-s", 06755, false, 02755},
        {"u=rx", 04755, false, 0555},
        {"g=rx", 02755, false, 0755},
        {"u+r-w+x", 0200, false, 0500},
        {"u=", 0777, false, 0077},
        {"u=r,u+w,g=", 0070, false, 0600},
        {"g=u", 0741, false, 0771},
        {"o=g", 0750, false, 0755},
        {"go=u-w", 0700, false, 0755},
        {"ugo+r", 0, false, 0444},
        {"uu+x", 0, false, 0100},
        {"o+t", 0777, true, 0777},
        {"u+t", 0777, true, 01777},
        {"a+t", 0777, true, 01777},
        {"o-t", 01777, true, 01777},
        {"=", 01777, true, 01000},
        {"a=rx", 07777, true, 01555},
        {"=t", 0777, true, 01777},
        {"a=t", 0777, true, 01000},
        {"+rt", 0, true, 01000},
        {"o=s", 0777, false, 0770},
        {"u=rg", 0070, false, 0770},
        {"u=gr", 0070, false, 0470},
        {"u=go", 0075, false, 0575},
        {"u+go", 0024, false, 0624},
        {"u=g", 04070, false, 04770},
        {"a=r,a+X", 0100, false, 0555},
        {"a=r,a+X", 0600, false, 0444},
        {"a=,a+X", 0600, true, 0111},
        {"-X", 0755, true, 0644},
        {"u=Xg", 0170, false, 0770},
        {"g=u-w", 0600, false, 0640},
        {"u=rwX,go-w,o=", 0666, false, 0640},
        {"go-w", 0124, true, 0104},
        {"u+rw,g+r,o-x,o+w", 0124, true, 0766},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        mode_t got = 0;

        CHECK_OK(cob_ops_mode_apply(rows[i].text, rows[i].mode, rows[i].is_dir, &got));
        g_assert_cmphex(got, ==, rows[i].want);
        check_row(got == rows[i].want, i, rows[i].text);
    }
}

static void test_nonsense(void)
{
    static const char *const rows[] = {"", "u", "rwx", "u+q", "u+x,", ",u+x", "u+x g+x", "8"};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        mode_t got = 0;
        struct cob_error *err = cob_ops_mode_apply(rows[i], 0644, false, &got);

        check_row(err != NULL, i, rows[i]);
        CHECK_ERROR(err, COB_INVALID, "invalid --chmod=*: at \"*\"");
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/file-mode/modes", test_modes);
    g_test_add_func("/file-mode/nonsense", test_nonsense);
    return g_test_run();
}
