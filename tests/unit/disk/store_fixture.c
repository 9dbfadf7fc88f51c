/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include "check.h"

void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.path = check_scratch_new()};
    CHECK_OK(cob_store_open(f->path, &f->store));
}

void fixture_done(struct fixture *f)
{
    cob_store_close(f->store);
    check_scratch_free(f->path);
}
