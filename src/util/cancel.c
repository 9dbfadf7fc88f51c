/* SPDX-License-Identifier: Apache-2.0 */
#include "util/cancel.h"

#include <sys/eventfd.h>

struct cob_cancel {
    int refs;   /* atomic */
    int is_set; /* atomic */
    int fd;     /* an eventfd, never read: once readable, readable for ever */
};

struct cob_error *cob_cancel_new(struct cob_cancel **ret_cancel)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return cob_fail_errno(errno, "make an eventfd");
    *ret_cancel = g_new(struct cob_cancel, 1);
    **ret_cancel = (struct cob_cancel){.refs = 1, .fd = fd};
    return NULL;
}

struct cob_cancel *cob_cancel_ref(struct cob_cancel *cancel)
{
    g_atomic_int_inc(&cancel->refs);
    return cancel;
}

void cob_cancel_unref(struct cob_cancel *cancel)
{
    if (!cancel || !g_atomic_int_dec_and_test(&cancel->refs))
        return;
    close(cancel->fd);
    g_free(cancel);
}

void cob_cancel_trigger(struct cob_cancel *cancel)
{
    int saved = errno;
    const uint64_t one = 1;

    g_atomic_int_set(&cancel->is_set, 1);
    while (write(cancel->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    errno = saved;
}

bool cob_cancel_is_set(const struct cob_cancel *cancel)
{
    return cancel && g_atomic_int_get(&cancel->is_set);
}

int cob_cancel_fd(const struct cob_cancel *cancel)
{
    return cancel ? cancel->fd : -1;
}

struct cob_error *cob_cancel_check(const struct cob_cancel *cancel)
{
    return cob_cancel_is_set(cancel) ? cob_fail(COB_CANCELLED, "cancelled") : NULL;
}
