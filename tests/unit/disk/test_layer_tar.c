/* SPDX-License-Identifier: Apache-2.0 */
/* The tar reader beside others: whatever cob accepts, GNU tar and Python see in the same way. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "disk/layer/tar.h"

#define N_ARCHIVES 400

/* Mixes of headers that are right, odd or wrong, and what tarfile and GNU tar make of each:
 * <n>.tar, <n>.python, <n>.gnu; the latter two one line "name size" an entry, or "error". */
static const char generator[] =
    "import random, subprocess, tarfile\n"
    "R = random.Random(7)\n"
    "def header(name, typ=b'0', size=0, link='', magic=b'ustar\\x0000', prefix='', field=None):\n"
    "    b = bytearray(512)\n"
    "    def put(at, v): b[at:at+len(v)] = v\n"
    "    put(0, name.encode()[:100]); put(100, b'0000644\\0'); put(108, b'0000000\\0')\n"
    "    put(116, b'0000000\\0'); put(124, field or b'%%011o\\0' %% size); put(136, b'%%011o\\0' "
    "%% 9)\n"
    "    put(156, typ); put(157, link.encode()); put(257, magic); put(345, prefix.encode())\n"
    "    put(148, b' ' * 8); put(148, b'%%06o\\0 ' %% sum(b)); return bytes(b)\n"
    "def data(d): return d + bytes(-len(d) %% 512)\n"
    "def pax(*records):\n"
    "    out = b''\n"
    "    for r in records:\n"
    "        r = r.encode(); n = len(r) + 3\n"
    "        while len(str(n)) + len(r) + 2 != n: n = len(str(n)) + len(r) + 2\n"
    "        out += b'%%d %%s\\n' %% (n, r)\n"
    "    return header('PaxHeaders/x', b'x', len(out)) + data(out)\n"
    "def gnu(typ, text):\n"
    "    t = text.encode() + b'\\0'\n"
    "    return header('././@LongLink', typ, len(t), magic=b'ustar  \\0') + data(t)\n"
    "def one(i):\n"
    "    n = 'f%%d' %% i; d = b'x' * R.choice([0, 1, 511, 512, 513, 1500]); s = len(d)\n"
    "    ext = R.choice(['', '', '', 'path', 'long', 'size', 'badsize', 'hide', 'both', 'twice',\n"
    "                    'sizeL', 'link', 'mtime', 'prefix', 'global'])\n"
    "    out = b''; kw = {}\n"
    "    if ext == 'path': out = pax('path=p/' + n)\n"
    "    if ext == 'long': out = gnu(b'L', 'l/' + n * 60)\n"
    "    if ext == 'size': out = pax('size=%%d' %% s)\n"
    "    if ext == 'badsize': out = pax('size=%%d' %% (s + 1))\n"
    "    if ext == 'hide': out = pax('size=1024')\n"
    "    if ext == 'both': out = pax('path=p/' + n) + gnu(b'L', 'l/' + n)\n"
    "    if ext == 'twice': out = pax('path=p/' + n) + pax('path=q/' + n)\n"
    "    if ext == 'sizeL': out = pax('size=1024') + gnu(b'L', 'l/' + n)\n"
    "    if ext == 'mtime': out = pax('mtime=12.5', 'atime=1', 'comment=x')\n"
    "    if ext == 'global': out = header('g', b'g', 13) + data(b'13 comment=b\\n')\n"
    "    if ext == 'prefix': kw['prefix'] = 'some/prefix'\n"
    "    t = R.choice([b'0', b'0', b'0', b'\\0', b'5', b'1', b'2', b'7', b'6'])\n"
    "    if t in b'12': kw['link'] = 'target'\n"
    "    name = n + R.choice(['', '', '', '/'])\n"
    "    if t not in b'0\\x007': d = R.choice([b'', b'', b'', d])\n"
    "    form = R.choice([b'%%011o\\0', b'%%011o ', b'%%10o \\0', b' %%10o\\0', None, None])\n"
    "    field = form %% len(d) if form else bytes([128]) + len(d).to_bytes(11, 'big')\n"
    "    return out + header(name, t, len(d), field=field, **kw) + data(d)\n"
    "for i in range(%d):\n"
    "    blob = b''.join(one(j) for j in range(R.randint(1, 4)))\n"
    "    if R.random() < .1: blob += bytes(512) + one(9)\n"
    "    blob += bytes(R.choice([0, 512, 1024, 10240]))\n"
    "    open('%%d.tar' %% i, 'wb').write(blob)\n"
    "    with open('%%d.python' %% i, 'w') as f:\n"
    "        try:\n"
    "            for m in tarfile.open('%%d.tar' %% i):\n"
    "                f.write('%%s %%d\\n' %% (m.name.rstrip('/'), m.size))\n"
    "        except Exception: f.write('error\\n')\n"
    "    r = subprocess.run(['tar', '-tvf', '%%d.tar' %% i], capture_output=True, text=True)\n"
    "    with open('%%d.gnu' %% i, 'w') as f:\n"
    "        for line in r.stdout.splitlines():\n"
    "            w = line.split()\n"
    "            f.write('%%s %%s\\n' %% (w[5].rstrip('/'), w[2]))\n"
    "        if r.returncode: f.write('error\\n')\n";

static struct cob_error *on_entry(void *arg, const struct tar_entry *entry)
{
    gsize len = entry->name->len;

    while (len > 0 && entry->name->str[len - 1] == '/')
        len--;
    g_string_append_printf(arg, "%.*s %" PRIu64 "\n", (int)len, entry->name->str, entry->size);
    return NULL;
}

static struct cob_error *on_data(void *arg, uint64_t offset, const void *data, size_t len)
{
    (void)arg;
    (void)offset;
    (void)data;
    (void)len;
    return NULL;
}

static struct cob_error *on_end(void *arg)
{
    (void)arg;
    return NULL;
}

static const struct tar_events events = {.entry = on_entry, .data = on_data, .end = on_end};

/* The same listing by cob; NULL when it refuses. */
static char *list(const char *tar, gsize len)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(tar_reader) reader = tar_reader_new(&events, out);
    struct cob_error *err = tar_reader_write(reader, (const uint8_t *)tar, len);

    if (!err)
        err = tar_reader_finish(reader);
    cob_error_free(err);
    return err ? NULL : g_strdup(out->str);
}

static char *read_file(const char *path, unsigned n, const char *suffix, gsize *ret_len)
{
    g_autofree char *name = g_strdup_printf("%s/%u.%s", path, n, suffix);
    char *text = NULL;

    g_assert_true(g_file_get_contents(name, &text, ret_len, NULL));
    return text;
}

static void test_differential(void)
{
    g_autofree char *script = g_strdup_printf(generator, N_ARCHIVES);
    const char *argv[] = {"python3", "-c", script, NULL};
    char *path = check_scratch_new();
    unsigned n_accepted = 0;
    int status = -1;

    g_assert_true(g_spawn_sync(path, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
        NULL, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    for (unsigned i = 0; i < N_ARCHIVES && status == 0; i++) {
        gsize len;
        g_autofree char *tar = read_file(path, i, "tar", &len);
        g_autofree char *by_gnu = read_file(path, i, "gnu", NULL);
        g_autofree char *by_python = read_file(path, i, "python", NULL);
        g_autofree char *by_cob = list(tar, len);

        if (!by_cob)
            continue;
        n_accepted++;
        g_assert_cmpstr(by_cob, ==, by_gnu);
        g_assert_cmpstr(by_cob, ==, by_python);
        check_row(strcmp(by_cob, by_gnu) == 0 && strcmp(by_cob, by_python) == 0, i, "archive");
    }
    g_assert_cmpuint(n_accepted, >, N_ARCHIVES / 8); /* strict, but not deaf */
    g_test_message("%u of %u accepted", n_accepted, N_ARCHIVES);
    check_scratch_free(path);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/layer/tar/others-see-the-same", test_differential);
    return g_test_run();
}
