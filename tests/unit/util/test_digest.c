/* SPDX-License-Identifier: Apache-2.0 */
#include "util/digest.h"

#include <string.h>

#include "check.h"

#define H16 "0123456789abcdef"
#define H64 H16 H16 H16 H16
#define H96 H64 H16 H16
#define H128 H64 H64

static void test_checksum_table(void)
{
    static const struct {
        const char *text;
        const char *fault; /* NULL: it is valid */
    } rows[] = {
        {"sha256:" H64, NULL},
        {"sha384:" H96, NULL},
        {"sha512:" H128, NULL},
        {"", "invalid checksum digest format"},
        {"sha512", "invalid checksum digest format"},
        {"sha512:", "invalid checksum digest format"},
        {":" H128, "invalid checksum digest format"},
        {"sha512:" H64, "invalid checksum digest length"},
        {"sha384:" H128, "invalid checksum digest length"},
        {"sha256:" H64 "0", "invalid checksum digest length"},
        {"sha384:" H64 H16 "0123456789ABCDEF", "invalid checksum digest format"},
        {"sha512:" H96 H16 "0123456789abcdeg", "invalid checksum digest format"},
        {"md5:" H16 H16, "unsupported digest algorithm"},
        {"sha51:" H128, "unsupported digest algorithm"},
        {"SHA512:" H128, "unsupported digest algorithm"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *got = NULL;
        bool is_valid = cob_checksum_is_valid(rows[i].text, &got);

        g_assert_cmpstr(got, ==, rows[i].fault);
        check_row(g_strcmp0(got, rows[i].fault) == 0 && is_valid == !got, i, rows[i].text);
        g_assert_true(cob_checksum_is_valid(rows[i].text, NULL) == is_valid);
    }
}

/* spec: FIPS 180-4; the values are those of sha256sum and its like. */
static void test_values_table(void)
{
    static const char *const rows[] = {
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
        "8086072ba1e7cc2358baeca134c825a7",
        "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_hasher) hasher = cob_hasher_new_for(rows[i]);

        for (unsigned again = 0; again < 2; again++) { /* it starts anew */
            cob_hasher_update(hasher, "ab", 2);
            cob_hasher_update(hasher, "c", 1);
            g_autofree char *got = cob_hasher_finish_checksum(hasher);

            g_assert_cmpstr(got, ==, rows[i]);
            check_row(strcmp(got, rows[i]) == 0, i, rows[i]);
        }
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/digest/checksum-table", test_checksum_table);
    g_test_add_func("/digest/values-table", test_values_table);
    return g_test_run();
}
