/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to and from an ssh agent: nothing is read past their end, and what passes is of a type
 * that may. */
#include <glib.h>
#include <stdint.h>

#include "build/sshagent/sshagent_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t requests[] = {SSHAGENT_LIST, SSHAGENT_SIGN};
    g_autofree uint8_t *exact = g_memdup2(data, size); /* its end is where the sanitizer sees it */

    if (sshagent_may_ask(exact, size))
        g_assert(exact[0] == SSHAGENT_LIST || exact[0] == SSHAGENT_SIGN);
    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        if (sshagent_may_answer(requests[i], exact, size))
            g_assert(exact[0] == SSHAGENT_FAILURE || exact[0] == requests[i] + 1);
    }
    return 0;
}
