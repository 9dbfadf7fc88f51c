/* SPDX-License-Identifier: Apache-2.0 */
#include "build/sshagent/sshagent_private.h"

/* What is left of a message. */
struct rest {
    const uint8_t *at;
    size_t len;
};

static bool take_number(struct rest *rest, uint32_t *ret_number)
{
    if (rest->len < 4)
        return false;
    *ret_number = (uint32_t)rest->at[0] << 24 | (uint32_t)rest->at[1] << 16 |
                  (uint32_t)rest->at[2] << 8 | rest->at[3];
    rest->at += 4;
    rest->len -= 4;
    return true;
}

/* A text with its length before it. */
static bool skip_text(struct rest *rest)
{
    uint32_t len;

    if (!take_number(rest, &len) || len > rest->len)
        return false;
    rest->at += len;
    rest->len -= len;
    return true;
}

/* A key, what is to be signed, flags. */
static bool is_sign(struct rest rest)
{
    uint32_t flags;

    return skip_text(&rest) && skip_text(&rest) && take_number(&rest, &flags) && rest.len == 0;
}

/* How many, then a key and a comment each. */
static bool is_list_answer(struct rest rest)
{
    uint32_t n_keys;

    if (!take_number(&rest, &n_keys))
        return false;
    for (; n_keys > 0; n_keys--) {
        if (!skip_text(&rest) || !skip_text(&rest))
            return false;
    }
    return rest.len == 0;
}

bool sshagent_may_ask(const uint8_t *data, size_t len)
{
    if (len == 0)
        return false;
    if (data[0] == SSHAGENT_LIST)
        return len == 1;
    return data[0] == SSHAGENT_SIGN && is_sign((struct rest){data + 1, len - 1});
}

bool sshagent_may_answer(uint8_t request_type, const uint8_t *data, size_t len)
{
    struct rest rest = {data + 1, len - 1};

    if (len == 0)
        return false;
    if (data[0] == SSHAGENT_FAILURE)
        return len == 1;
    if (request_type == SSHAGENT_LIST)
        return data[0] == SSHAGENT_LIST_ANSWER && is_list_answer(rest);
    return request_type == SSHAGENT_SIGN && data[0] == SSHAGENT_SIGN_ANSWER && skip_text(&rest) &&
           rest.len == 0;
}
