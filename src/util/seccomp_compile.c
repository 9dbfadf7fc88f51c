/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs while cob is built: compiles the table that it is linked with into a filter program and
 * prints it as a C string in base64, so that nothing has to wait for that (10 to 20 ms with
 * libseccomp 2.5). Usage: seccomp_compile HEADER VARIABLE
 */
#include <errno.h>
#include <glib.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/seccomp.h"

#define FILTER_MAX_BYTES (64 * 1024)

/* Of the runtime-spec's names, those that libseccomp does not know by name itself. */
static uint32_t action_of(const struct cob_seccomp_rule *rule)
{
    return strcmp(rule->action, "SCMP_ACT_ALLOW") == 0 ? SCMP_ACT_ALLOW
                                                       : SCMP_ACT_ERRNO(rule->errno_value);
}

static struct scmp_arg_cmp comparison_of(const struct cob_seccomp_rule *rule)
{
    static const struct {
        const char *name;
        enum scmp_compare op;
    } ops[] = {{"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_LT", SCMP_CMP_LT},
        {"SCMP_CMP_GT", SCMP_CMP_GT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
    struct scmp_arg_cmp comparison = {.arg = rule->index};

    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        if (strcmp(ops[i].name, rule->op) == 0)
            comparison.op = ops[i].op;
    }
    comparison.datum_a = rule->value;
    comparison.datum_b = rule->masked;
    return comparison;
}

/* 0, or a negative errno. What this libseccomp does not know stays forbidden. */
static int add_rules(scmp_filter_ctx filter)
{
    for (const char *const *arch = cob_seccomp_table.arches; *arch; arch++) {
        g_autofree char *name = g_ascii_strdown(*arch + strlen("SCMP_ARCH_"), -1);
        int code = seccomp_arch_add(filter, seccomp_arch_resolve_name(name));

        if (code < 0 && code != -EEXIST)
            return code;
    }
    for (const char *const *name = cob_seccomp_table.allowed; *name; name++) {
        int number = seccomp_syscall_resolve_name(*name);
        int code =
            number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        if (code < 0)
            return code;
    }
    for (const struct cob_seccomp_rule *rule = cob_seccomp_table.rules; rule->name; rule++) {
        struct scmp_arg_cmp comparison = rule->op ? comparison_of(rule) : (struct scmp_arg_cmp){0};
        int code = seccomp_rule_add_array(filter, action_of(rule),
            seccomp_syscall_resolve_name(rule->name), rule->op ? 1 : 0, &comparison);
        if (code < 0)
            return code;
    }
    return 0;
}

/* Calls of another architecture than the table's are treated as those that are not in it. */
static scmp_filter_ctx new_filter(void)
{
    uint32_t otherwise = cob_seccomp_table.kills ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM);
    scmp_filter_ctx filter = seccomp_init(otherwise);

    if (filter && cob_seccomp_table.kills)
        seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, otherwise);
    return filter;
}

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = new_filter();
    g_autofree guchar *program = g_malloc(FILTER_MAX_BYTES);
    FILE *file = tmpfile();

    if (argc != 3 || !filter || !file || add_rules(filter) < 0 ||
        seccomp_export_bpf(filter, fileno(file)) < 0)
        return 1;
    ssize_t len = pread(fileno(file), program, FILTER_MAX_BYTES, 0);
    if (len <= 0 || len == FILTER_MAX_BYTES)
        return 1;
    g_autofree char *text = g_base64_encode(program, (gsize)len);
    printf("/* Made by seccomp_compile.c. */\n#include \"%s\"\n\n"
           "const char %s[] =\n",
        argv[1], argv[2]);
    for (const char *at = text; *at; at += MIN(strlen(at), 80))
        printf("    \"%.80s\"\n", at);
    printf("    ;\n");
    seccomp_release(filter);
    fclose(file);
    return 0;
}
