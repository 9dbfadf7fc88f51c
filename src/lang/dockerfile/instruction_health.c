/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_go.h"
#include "lang/dockerfile/dockerfile_instructions.h"

static struct cob_error *read_interval(
    const struct dockerfile_instruction *instruction, const char *name, int64_t *ret_ns)
{
    const char *text = dockerfile_flag_text(instruction, name);
    int64_t ns = 0;

    if (text && *text)
        COB_TRY(dockerfile_go_duration(text, &ns));
    if (ns != 0 && ns < 1000000)
        return cob_fail(COB_INVALID, "Interval \"%s\" cannot be less than 1ms", name);
    *ret_ns = ns;
    return NULL;
}

static struct cob_error *read_retries(
    const struct dockerfile_instruction *instruction, int *ret_retries)
{
    const char *text = dockerfile_flag_text(instruction, "retries");
    const char *digits;
    gint64 retries = 0;

    if (!text || !*text)
        return NULL;
    digits = text + (*text == '+' || *text == '-');
    if (!*digits || strspn(digits, "0123456789") != strlen(digits))
        return cob_fail(COB_INVALID, "strconv.ParseInt: parsing \"%s\": invalid syntax", text);
    if (!g_ascii_string_to_signed(
            text + (*text == '+'), 10, G_MININT32, G_MAXINT32, &retries, NULL))
        return cob_fail(COB_INVALID, "strconv.ParseInt: parsing \"%s\": value out of range", text);
    if (retries < 0)
        return cob_fail(COB_INVALID, "--retries cannot be negative (%d)", (int)retries);
    *ret_retries = (int)retries;
    return NULL;
}

struct cob_error *dockerfile_fill_health(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    struct dockerfile_health *health = &instruction->health;
    GPtrArray *test = instruction->command.words;

    (void)dockerfile;
    if (instruction->words->len == 0)
        return cob_fail(COB_INVALID, "HEALTHCHECK requires at least one argument");
    const char *type = g_ptr_array_index(instruction->words, 0);
    if (strcmp(type, "NONE") == 0) {
        if (test->len > 0)
            return cob_fail(COB_INVALID, "HEALTHCHECK NONE takes no arguments");
        health->is_none = true;
        return NULL;
    }
    if (strcmp(type, "CMD") != 0)
        return cob_fail(COB_INVALID, "Unknown type \"%s\" in HEALTHCHECK (try CMD)", type);
    if (test->len == 0)
        return cob_fail(COB_INVALID, "Missing command after HEALTHCHECK CMD");
    COB_TRY(read_interval(instruction, "interval", &health->interval_ns));
    COB_TRY(read_interval(instruction, "timeout", &health->timeout_ns));
    COB_TRY(read_interval(instruction, "start-period", &health->start_period_ns));
    COB_TRY(read_interval(instruction, "start-interval", &health->start_interval_ns));
    return read_retries(instruction, &health->retries);
}
