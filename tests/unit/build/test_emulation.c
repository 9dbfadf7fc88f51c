/* SPDX-License-Identifier: Apache-2.0 */
#include "build/emulation/emulation.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "build/emulation/emulation_parts.h"
#include "check.h"
#include "util/process.h"

/* Each machine's program ends with 0 where its emulator runs it, so its instructions are right. */
static void test_probes_run(void)
{
    char *scratch = check_scratch_new();
    g_autofree char *path = g_build_filename(scratch, "probe", NULL);
    unsigned n_tried = 0;

    for (const struct emulation_machine *machine = emulation_machines; machine->arch; machine++) {
        g_autofree char *emulator = g_find_program_in_path(machine->emulator);
        g_autoptr(GBytes) program = emulation_probe(machine);
        const char *const argv[] = {machine->emulator, path, NULL};
        const struct cob_process_request request = {.argv = argv};
        struct cob_process_output output = {.status = -1};

        if (!emulator)
            continue;
        n_tried++;
        g_assert_true(g_file_set_contents(
            path, g_bytes_get_data(program, NULL), (gssize)g_bytes_get_size(program), NULL));
        g_assert_cmpint(g_chmod(path, 0755), ==, 0);
        CHECK_OK(cob_process_run(&request, NULL, 65536, NULL, &output));
        check_row(output.status == 0, n_tried, machine->arch);
        g_clear_pointer(&output.out, g_bytes_unref);
        g_clear_pointer(&output.err, g_bytes_unref);
    }
    check_scratch_free(scratch);
    if (n_tried == 0)
        check_skip("qemu-user-static is not installed");
}

static void test_rules(void)
{
    static const struct {
        const char *arch, *want;
    } rows[] = {
        {"arm64", ":cob-arm64:M::\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00"
                  "\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00"
                  "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:/e:POF"},
        {"s390x", ":cob-s390x:M::\\x7f\\x45\\x4c\\x46\\x02\\x02\\x01\\x00\\x00\\x00\\x00\\x00\\x00"
                  "\\x00\\x00\\x00\\x00\\x02\\x00\\x16:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00"
                  "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff:/e:POF"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (const struct emulation_machine *m = emulation_machines; m->arch; m++) {
            g_autofree char *rule = emulation_rule(m, "/e");

            if (strcmp(m->arch, rows[i].arch) == 0)
                g_assert_cmpstr(rule, ==, rows[i].want);
        }
    }
}

static void test_platforms(void)
{
    static const struct {
        const char *platform, *want; /* NULL: they run anywhere */
    } rows[] = {
        {NULL, NULL},
        {"local", NULL},
        {"windows/amd64",
            "this machine cannot run programs of windows/amd64, and no emulator does"},
        {"linux/wasm", "this machine cannot run programs of linux/wasm, and no emulator does"},
        {"nonsense", "*unknown operating system or architecture*"},
    };
    char *scratch = check_scratch_new();
    g_autoptr(cob_emulation) emulation = cob_emulation_new(scratch);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int userns_fd = 0;
        g_autoptr(cob_error) err =
            cob_emulation_prepare(emulation, rows[i].platform, NULL, &userns_fd);
        g_autofree char *got = err ? cob_error_message(err) : NULL;

        if (rows[i].want)
            check_row(got && g_pattern_match_simple(rows[i].want, got), i, rows[i].platform);
        else
            check_row(!err && userns_fd == -1, i, rows[i].platform);
    }
    check_scratch_free(scratch);
}

/* Without an emulator on PATH the error says what to install, every time. */
static void test_no_emulator(void)
{
    struct utsname names;
    char *scratch = check_scratch_new();
    g_autofree char *path = g_strdup(g_getenv("PATH"));
    g_autoptr(cob_emulation) emulation = cob_emulation_new(scratch);
    int userns_fd = -1;

    uname(&names);
    const char *foreign = strcmp(names.machine, "riscv64") == 0 ? "linux/loong64" : "linux/riscv64";
    if (geteuid() != 0) {
        check_scratch_free(scratch);
        return check_skip("it takes root to try a program in a root of its own");
    }
    g_setenv("PATH", scratch, TRUE);
    struct cob_error *err = cob_emulation_prepare(emulation, foreign, NULL, &userns_fd);
    if (!err) {
        check_skip("the kernel of this machine emulates riscv64");
    } else {
        CHECK_ERROR(err, COB_PRECONDITION,
            "this machine cannot run programs of linux/*: install an emulator (Debian: apt install "
            "qemu-user-static binfmt-support)");
        CHECK_ERROR(cob_emulation_prepare(emulation, foreign, NULL, &userns_fd), COB_PRECONDITION,
            "*qemu-user-static*");
    }
    g_setenv("PATH", path, TRUE);
    g_autofree char *left = g_build_filename(scratch, "probe-riscv64", NULL);
    g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
    check_scratch_free(scratch);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/emulation/probes-run", test_probes_run);
    g_test_add_func("/emulation/rules", test_rules);
    g_test_add_func("/emulation/platforms", test_platforms);
    g_test_add_func("/emulation/no-emulator", test_no_emulator);
    return g_test_run();
}
