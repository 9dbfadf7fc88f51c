/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/curl_api.h"

#include <dlfcn.h>
#include <stddef.h>

#define SYMBOL(member)                                                                             \
    {                                                                                              \
        "curl_" #member, offsetof(struct curl_api, member)                                         \
    }

static const struct {
    const char *name;
    size_t offset;
} symbols[] = {
    SYMBOL(global_init),
    SYMBOL(easy_init),
    SYMBOL(easy_setopt),
    SYMBOL(easy_getinfo),
    SYMBOL(easy_cleanup),
    SYMBOL(easy_strerror),
    SYMBOL(multi_init),
    SYMBOL(multi_setopt),
    SYMBOL(multi_add_handle),
    SYMBOL(multi_remove_handle),
    SYMBOL(multi_perform),
    SYMBOL(multi_poll),
    SYMBOL(multi_info_read),
    SYMBOL(multi_cleanup),
    SYMBOL(slist_append),
    SYMBOL(slist_free_all),
    SYMBOL(url),
    SYMBOL(url_set),
    SYMBOL(url_get),
    SYMBOL(url_cleanup),
    SYMBOL(url_strerror),
    SYMBOL(free),
    SYMBOL(getdate),
};

G_STATIC_ASSERT(sizeof(struct curl_api) == G_N_ELEMENTS(symbols) * sizeof(void (*)(void)));

struct cob_error *http_curl_load(struct curl_api *ret_api)
{
    /* NODELETE: OpenSSL below it has handlers that run at exit */
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    struct curl_api api = {0};

    if (!library)
        return cob_fail(
            COB_UNIMPLEMENTED, "load libcurl: %s; install the package libcurl4", dlerror());
    for (size_t i = 0; i < G_N_ELEMENTS(symbols); i++) {
        void **slot = (void **)((char *)&api + symbols[i].offset);

        *slot = dlsym(library, symbols[i].name);
        if (!*slot)
            return cob_fail(
                COB_UNIMPLEMENTED, "libcurl is too old: it has no %s()", symbols[i].name);
    }
    if (api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) /* safe in any thread since 7.84 */
        return cob_fail(COB_INTERNAL, "libcurl does not start");
    *ret_api = api;
    return NULL;
}
