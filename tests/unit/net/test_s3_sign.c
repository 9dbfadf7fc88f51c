/* SPDX-License-Identifier: Apache-2.0 */
/* The examples of AWS's own documents, and what is read of XML and of profiles. */
#include <string.h>

#include "check.h"
#include "net/s3/aws_keys.h"
#include "net/s3/aws_xml.h"
#include "net/s3/sign.h"

#define ID "AKIAIOSFODNN7EXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define WELCOME "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

/* spec: S3 API Reference, "Signature Calculations for the Authorization Header", its examples. */
static void test_examples_table(void)
{
    static const struct {
        const char *name, *method, *path, *query, *payload;
        const char *headers[4];
        const char *signature;
    } rows[] = {
        {"get an object", "GET", "/test.txt", "", SIGN_EMPTY_HEX, {"range:bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"put an object", "PUT", "/test%24file.text", "", WELCOME,
            {"date:Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class:REDUCED_REDUNDANCY"},
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        {"get a lifecycle", "GET", "/", "lifecycle=", SIGN_EMPTY_HEX, {NULL},
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"list", "GET", "/", "prefix=J&max-keys=2", SIGN_EMPTY_HEX, {NULL},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) headers = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(headers, g_strdup("x-amz-date:20130524T000000Z"));
        g_ptr_array_add(headers, g_strdup("host:examplebucket.s3.amazonaws.com"));
        g_ptr_array_add(headers, g_strconcat("x-amz-content-sha256:", rows[i].payload, NULL));
        for (const char *const *header = rows[i].headers; *header; header++)
            g_ptr_array_add(headers, g_strdup(*header));
        const struct sign_request request = {.method = rows[i].method,
            .path = rows[i].path,
            .query = rows[i].query,
            .headers = headers,
            .payload = rows[i].payload,
            .region = "us-east-1",
            .service = "s3",
            .time = "20130524T000000Z",
            .access_key_id = ID,
            .secret_access_key = SECRET};
        g_autofree char *got = s3_sign(&request);
        const char *signature = strstr(got, "Signature=") + strlen("Signature=");
        g_assert_cmpstr(signature, ==, rows[i].signature);
        check_row(strcmp(signature, rows[i].signature) == 0, i, rows[i].name);
        g_assert_true(g_str_has_prefix(
            got, "AWS4-HMAC-SHA256 Credential=" ID "/20130524/us-east-1/s3/aws4_request,Signed"));
    }
}

/* spec: RFC 4231, test cases 2 and 6. */
static void test_hmac(void)
{
    uint8_t key[131];
    struct cob_sha256 two = s3_hmac("Jefe", 4, "what do ya want for nothing?");

    memset(key, 0xaa, sizeof(key));
    struct cob_sha256 six =
        s3_hmac(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First");
    g_autofree char *two_text = cob_sha256_text(&two);
    g_autofree char *six_text = cob_sha256_text(&six);
    g_assert_cmpstr(
        two_text, ==, "sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    g_assert_cmpstr(
        six_text, ==, "sha256:60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_encoding_table(void)
{
    static const struct {
        const char *text, *want;
        char keep;
    } rows[] = {
        {"a-Z_0.9~", "a-Z_0.9~", 0},
        {"a/b", "a%2Fb", 0},
        {"a/b", "a/b", '/'},
        {"sha256:x y+\xc3\xa4", "sha256%3Ax%20y%2B%C3%A4", '/'},
        {"", "", 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) out = g_string_new(NULL);

        s3_append_encoded(out, rows[i].text, rows[i].keep);
        g_assert_cmpstr(out->str, ==, rows[i].want);
        check_row(strcmp(out->str, rows[i].want) == 0, i, rows[i].text);
    }
}

static void test_xml_table(void)
{
    static const struct {
        const char *xml, *element, *want;
    } rows[] = {
        {"<Error><Code>A</Code><Message>b &lt;c&gt; &amp;amp; &#39;</Message></Error>", "Code",
            "A"},
        {"<Error><Code>A</Code><Message>b &lt;c&gt; &amp;amp; &#39;</Message></Error>", "Message",
            "b <c> &amp; '"},
        {"<Error><Code>A</Code></Error>", "Message", NULL},
        {"<Code>", "Code", NULL},
        {"<Code>A", "Code", NULL},
        {"<Code/>", "Code", NULL},
        {"<Code></Code>", "Code", ""},
        {"<Code>&bogus;&</Code>", "Code", "&bogus;&"},
        {"", "Code", NULL},
        {"{\"Code\": 1}", "Code", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = aws_xml_text(rows[i].xml, strlen(rows[i].xml), rows[i].element);

        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(g_strcmp0(got, rows[i].want) == 0, i, rows[i].xml);
    }
}

static void test_profile_table(void)
{
    static const struct {
        const char *text, *section, *want;
        bool is_found;
    } rows[] = {
        {"[default]\naws_access_key_id = A\naws_secret_access_key=S\n", "default", "A/S/-/-/-",
            true},
        {"[default]\r\nAWS_ACCESS_KEY_ID=A\r\naws_secret_access_key = S=/+\r\n"
         "aws_session_token=T\r\n",
            "default", "A/S=/+/T/-/-", true},
        {"# c\n; c\n[ profile  x ] # c\naws_access_key_id=A # c\naws_secret_access_key=S#;\n",
            "profile x", "A/S#;/-/-/-", true},
        {"[a]\naws_access_key_id=1\n[b]\naws_secret_access_key=2\n", "a", "-/-/-/-/-", true},
        {"[a]\nregion = eu-1\ns3 =\n  region = no\n", "a", "-/-/-/eu-1/-", true},
        {"[a]\nrole_arn=x\n", "a", "-/-/-/-/role_arn", true},
        {"[a]\ncredential_process=x\n", "a", "-/-/-/-/credential_process", true},
        {"aws_access_key_id=1\naws_secret_access_key=2\n", "default", "-/-/-/-/-", false},
        {"[default\naws_access_key_id=1", "default", "-/-/-/-/-", false},
        {"[", "default", "-/-/-/-/-", false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct aws_profile profile = {0};
        bool is_found = false;

        aws_profile_parse(rows[i].text, strlen(rows[i].text), rows[i].section, &profile, &is_found);
        const struct aws_keys none = {0}, *keys = profile.keys ? profile.keys : &none;
        g_autofree char *got = g_strdup_printf("%s/%s/%s/%s/%s",
            keys->access_key_id ? keys->access_key_id : "-",
            keys->secret_access_key ? keys->secret_access_key : "-",
            keys->session_token ? keys->session_token : "-", profile.region ? profile.region : "-",
            profile.unsupported ? profile.unsupported : "-");
        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(strcmp(got, rows[i].want) == 0 && is_found == rows[i].is_found, i, rows[i].text);
        aws_profile_done(&profile);
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/s3/sign/examples", test_examples_table);
    g_test_add_func("/s3/sign/hmac", test_hmac);
    g_test_add_func("/s3/sign/encoding", test_encoding_table);
    g_test_add_func("/s3/xml", test_xml_table);
    g_test_add_func("/s3/profile", test_profile_table);
    return g_test_run();
}
