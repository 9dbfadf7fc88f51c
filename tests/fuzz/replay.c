/* SPDX-License-Identifier: Apache-2.0 */
/* Instead of libFuzzer's main(): give a fuzz target each file of a folder once. */
#include <glib.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *data = NULL;
    gsize len = 0;

    if (!g_file_get_contents(path, &data, &len, NULL)) {
        fprintf(stderr, "cannot read %s\n", path);
        return 1;
    }
    printf("%s\n", path);
    fflush(stdout); /* so that a crash comes behind its name */
    LLVMFuzzerTestOneInput((const uint8_t *)data, len);
    return 0;
}

int main(int argc, char **argv)
{
    GDir *dir = argc > 1 ? g_dir_open(argv[1], 0, NULL) : NULL;
    const char *name;
    int n_failed = 0;

    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    if (!dir) /* no corpus yet */
        return 0;
    while ((name = g_dir_read_name(dir)))
        n_failed += replay(argv[1], name);
    g_dir_close(dir);
    return n_failed > 0;
}
