/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     mode   = clause { "," clause }
 *     clause = { "u" | "g" | "o" | "a" } action { action }
 *     action = ( "+" | "-" | "=" ) { "r" | "w" | "x" | "X" | "s" | "t" | "u" | "g" | "o" }
 */
#include <string.h>
#include <sys/stat.h>

#include "build/ops/ops_private.h"

/* All bits that a clause may touch: of the users before its first operator. */
static mode_t read_who(const char **at)
{
    mode_t who = 0;

    for (;; (*at)++) {
        if (**at == 'u')
            who |= S_IRWXU | S_ISUID;
        else if (**at == 'g')
            who |= S_IRWXG | S_ISGID;
        else if (**at == 'o')
            who |= S_IRWXO | S_ISVTX;
        else if (**at == 'a')
            who |= 07777;
        else
            return who ? who : 07777;
    }
}

/* The bits of permission letters, for all users. X is x where something is executable already; u, g
 * and o are what these users may do. */
static mode_t read_permissions(const char **at, mode_t mode, bool is_dir)
{
    mode_t bits = 0;

    for (;; (*at)++) {
        if (**at == 'r')
            bits |= 0444;
        else if (**at == 'w')
            bits |= 0222;
        else if (**at == 'x')
            bits |= 0111;
        else if (**at == 'X')
            bits |= is_dir || (mode & 0111) ? 0111 : 0;
        else if (**at == 's')
            bits |= S_ISUID | S_ISGID;
        else if (**at == 't')
            bits |= S_ISVTX;
        else if (**at == 'u')
            bits |= (mode >> 6 & 7) * 0111;
        else if (**at == 'g')
            bits |= (mode >> 3 & 7) * 0111;
        else if (**at == 'o')
            bits |= (mode & 7) * 0111;
        else
            return bits;
    }
}

static bool is_operator(char c)
{
    return c == '+' || c == '-' || c == '=';
}

struct cob_error *cob_ops_mode_apply(const char *text, mode_t mode, bool is_dir, mode_t *ret_mode)
{
    const char *at = text;

    for (;;) {
        mode_t who = read_who(&at);

        if (!is_operator(*at))
            break;
        while (is_operator(*at)) {
            char what = *at++;
            mode_t bits = read_permissions(&at, mode, is_dir) & who;

            if (what == '=')
                mode &= ~(who & 06777);
            mode = what == '-' ? mode & ~bits : mode | bits;
        }
        if (*at == '\0') {
            *ret_mode = mode & 07777;
            return NULL;
        }
        if (*at++ != ',')
            break;
    }
    return cob_fail(COB_INVALID, "invalid --chmod=%s: at \"%s\"", text, at);
}
