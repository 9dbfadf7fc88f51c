/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     mode   = clause { "," clause }
 *     clause = { "u" | "g" | "o" | "a" } action { action }
 *     action = ( "+" | "-" | "=" ) { "r" | "w" | "x" | "X" | "s" | "t" | "u" | "g" | "o" }
 *
 * The letters of an action count one after the other, as in BSD's setmode(3), which BuildKit has:
 * u=rg is u=g, and u=gr is u=r.
 */
#include <string.h>
#include <sys/stat.h>

#include "build/ops/ops_private.h"

#define ALL_BITS (S_ISUID | S_ISGID | 0777)

/* A mode that is being changed. */
struct change {
    mode_t old, mode;
    bool is_dir;
    char op;
    mode_t who; /* bits that the action may touch; 0: no users were named */
};

static mode_t read_who(const char **at)
{
    mode_t who = 0;

    for (;; (*at)++) {
        if (**at == 'u')
            who |= S_IRWXU | S_ISUID;
        else if (**at == 'g')
            who |= S_IRWXG | S_ISGID;
        else if (**at == 'o')
            who |= S_IRWXO;
        else if (**at == 'a')
            who |= ALL_BITS;
        else
            return who;
    }
}

static mode_t of_users(const struct change *change, mode_t bits)
{
    return change->who ? change->who & bits : bits;
}

static void set_bits(struct change *change, mode_t bits)
{
    if (change->op == '=')
        change->mode &= ~(change->who ? change->who : ALL_BITS);
    if (change->op == '-')
        change->mode &= ~of_users(change, bits);
    else
        change->mode |= of_users(change, bits);
}

/* What one kind of users may do, for others. */
static void copy_bits(struct change *change, char from)
{
    mode_t bits = (change->mode >> (from == 'u' ? 6 : from == 'g' ? 3 : 0) & 7) * 0111;

    if (change->op == '=')
        change->mode &= ~of_users(change, 0777);
    if (change->op == '-')
        change->mode &= ~of_users(change, bits);
    else
        change->mode |= of_users(change, bits);
}

/* The bits of a letter. Setuid, setgid and sticky are nothing that others alone could have. */
static mode_t bits_of(struct change *change, char letter)
{
    bool is_others_alone = change->who && !(change->who & ~(mode_t)S_IRWXO);

    switch (letter) {
    case 'r':
        return 0444;
    case 'w':
        return 0222;
    case 'x':
        return 0111;
    case 's':
        return is_others_alone ? 0 : S_ISUID | S_ISGID;
    default:
        if (!is_others_alone)
            change->who |= S_ISVTX;
        return is_others_alone ? 0 : S_ISVTX;
    }
}

static void apply_executable(struct change *change, bool *is_asked)
{
    if (*is_asked && (change->is_dir || (change->old & 0111)))
        change->mode |= of_users(change, 0111);
    *is_asked = false;
}

static void apply_action(struct change *change, const char **at)
{
    mode_t bits = 0;
    bool is_executable = false, is_done = change->op != '=';

    for (; **at && strchr("rwxXstugo", **at); (*at)++) {
        if (**at == 'X' && change->op != '-') {
            is_executable = true;
        } else if (strchr("ugo", **at)) {
            if (bits)
                set_bits(change, bits);
            bits = 0;
            is_done = true;
            apply_executable(change, &is_executable);
            copy_bits(change, **at);
        } else {
            bits |= bits_of(change, **at == 'X' ? 'x' : **at);
        }
    }
    if (bits || !is_done)
        set_bits(change, bits);
    apply_executable(change, &is_executable);
}

static bool is_operator(char c)
{
    return c == '+' || c == '-' || c == '=';
}

struct cob_error *cob_ops_mode_apply(const char *text, mode_t mode, bool is_dir, mode_t *ret_mode)
{
    struct change change = {.old = mode, .mode = mode, .is_dir = is_dir};
    const char *at = text;

    for (;;) {
        change.who = read_who(&at);
        if (!is_operator(*at))
            break;
        while (is_operator(*at)) {
            change.op = *at++;
            change.who &= ~(mode_t)S_ISVTX;
            apply_action(&change, &at);
        }
        if (*at == '\0') {
            *ret_mode = change.mode & 07777;
            return NULL;
        }
        if (*at++ != ',')
            break;
    }
    return cob_fail(COB_INVALID, "invalid --chmod=%s: at \"%s\"", text, at);
}
