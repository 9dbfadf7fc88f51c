/* SPDX-License-Identifier: Apache-2.0 */
#include "net/git/git_run.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "util/limits.h"
#include "util/process.h"

#define MAX_WORD_BYTES 300

/* What git would else read from files, for every run. */
static const struct {
    const char *key, *value;
} settings[] = {
    {"advice.detachedHead", "false"},
    {"core.fsmonitor", "false"},
    {"core.hooksPath", "/dev/null"},
    {"core.packedGitLimit", "1g"},
    {"core.packedGitWindowSize", "64m"},
    {"core.protectHFS", "true"},
    {"core.protectNTFS", "true"},
    {"credential.helper", ""},
    {"fetch.recurseSubmodules", "false"},
    {"gc.auto", "0"},
    {"http.lowSpeedLimit", "1024"},
    {"http.lowSpeedTime", "30"},
    {"init.defaultBranch", "master"},
    {"maintenance.auto", "false"},
    {"protocol.ext.allow", "never"},
    {"submodule.recurse", "false"},
};

/* From cob's own environment: where programs, proxies and certificates are. */
static const char *const passed_on[] = {"PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy", "GIT_SSL_CAINFO",
    "SSL_CERT_FILE", "SSL_CERT_DIR"};

static void add(GPtrArray *env, const char *name, const char *value)
{
    g_ptr_array_add(env, g_strconcat(name, "=", value, NULL));
}

static void add_setting(GPtrArray *env, unsigned *n, const char *key, const char *value)
{
    g_ptr_array_add(env, g_strdup_printf("GIT_CONFIG_KEY_%u=%s", *n, key));
    g_ptr_array_add(env, g_strdup_printf("GIT_CONFIG_VALUE_%u=%s", *n, value));
    (*n)++;
}

/* The server of the URL alone gets the header; a redirect could lead it to another one. */
static void add_authorization(GPtrArray *env, unsigned *n, const struct cob_git_remote *remote)
{
    bool is_tls = remote->place->scheme == COB_GITREF_HTTPS;
    g_autofree char *key = g_strdup_printf(
        "http.%s://%s/.extraHeader", is_tls ? "https" : "http", remote->place->host);
    g_autofree char *line = g_strconcat("Authorization: ", remote->authorization, NULL);

    add_setting(env, n, key, line);
    add_setting(env, n, "http.followRedirects", "false");
}

/* ssh asks nobody, and reads no settings of the user; the first key of a host is believed. */
static char *ssh_command(const struct cob_git_remote *remote)
{
    g_autofree char *file = g_shell_quote(remote->known_hosts ? remote->known_hosts : "/dev/null");
    g_autofree char *quoted = g_strconcat("UserKnownHostsFile=", file, NULL);

    return g_strconcat("ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new"
                       " -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ",
        quoted, NULL);
}

static GPtrArray *environment(const struct cob_git_remote *remote, const struct git_call *call)
{
    GPtrArray *env = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *ssh = ssh_command(remote);
    unsigned n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(passed_on); i++) {
        const char *value = g_getenv(passed_on[i]);

        if (value)
            add(env, passed_on[i], value);
    }
    add(env, "HOME", "/dev/null");
    add(env, "XDG_CONFIG_HOME", "/dev/null");
    add(env, "GIT_CONFIG_NOSYSTEM", "1");
    add(env, "GIT_CONFIG_GLOBAL", "/dev/null");
    add(env, "GIT_ATTR_NOSYSTEM", "1");
    add(env, "GIT_TERMINAL_PROMPT", "0");
    add(env, "GIT_ASKPASS", "/bin/false");
    add(env, "GIT_ALLOW_PROTOCOL", call->is_local ? "file" : "https:http:ssh:git");
    add(env, "GIT_SSH_COMMAND", ssh);
    add(env, "LC_ALL", "C");
    if (remote->ssh_socket)
        add(env, "SSH_AUTH_SOCK", remote->ssh_socket);
    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++)
        add_setting(env, &n, settings[i].key, settings[i].value);
    add_setting(env, &n, "protocol.file.allow", call->is_local ? "always" : "never");
    if (remote->authorization && !call->is_local)
        add_authorization(env, &n, remote);
    g_ptr_array_add(env, g_strdup_printf("GIT_CONFIG_COUNT=%u", n));
    if (remote->mirror)
        g_ptr_array_add(env, g_strconcat("GIT_INDEX_FILE=", remote->mirror, "/cob-index", NULL));
    g_ptr_array_add(env, NULL);
    return env;
}

static GPtrArray *arguments(const struct cob_git_remote *remote, const struct git_call *call)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(argv, g_strdup("git"));
    if (call->is_in_work_tree)
        g_ptr_array_add(argv, g_strdup("--git-dir=.git"));
    else if (!call->is_without_repository)
        g_ptr_array_add(argv, g_strconcat("--git-dir=", remote->mirror, NULL));
    if (call->work_fd > 0)
        g_ptr_array_add(argv, g_strdup("--work-tree=."));
    for (const char *const *arg = call->args; *arg; arg++)
        g_ptr_array_add(argv, g_strdup(*arg));
    g_ptr_array_add(argv, NULL);
    return argv;
}

/* In the child: stand in the work tree, within limits. */
static int prepare(void *arg)
{
    const struct git_call *call = arg;
    const struct rlimit file = {COB_LIMIT_GIT_FILE_BYTES, COB_LIMIT_GIT_FILE_BYTES};
    const struct rlimit memory = {COB_LIMIT_GIT_MEMORY_BYTES, COB_LIMIT_GIT_MEMORY_BYTES};

    umask(022);
    if (fchdir(call->work_fd) < 0 || setrlimit(RLIMIT_FSIZE, &file) < 0 ||
        setrlimit(RLIMIT_AS, &memory) < 0)
        return errno;
    return 0;
}

/* Wipe out a secret that came back from a server. */
static void hide(char *text, const char *secret)
{
    const char *word = secret ? strrchr(secret, ' ') : NULL;

    word = word ? word + 1 : secret;
    if (!word || strlen(word) < 4)
        return;
    for (char *at = text; (at = strstr(at, word)); at += strlen(word))
        memset(at, '*', strlen(word));
}

/* The line in which git says what is wrong: the first "fatal: " or "error: ", else the last one.
 * The caller frees it. */
static char *last_word(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const char *found = NULL;
    const char *last = "it failed and said nothing";

    for (char **line = lines; *line; line++) {
        const char *plain = g_strstrip(*line);

        if (!found && g_str_has_prefix(plain, "fatal: "))
            found = plain + strlen("fatal: ");
        if (*plain && !g_str_has_prefix(plain, "hint: "))
            last = plain;
    }
    return g_strndup(found ? found : last, MAX_WORD_BYTES);
}

static enum cob_code code_of(const char *text)
{
    static const struct {
        const char *has;
        enum cob_code code;
    } rows[] = {
        {"could not read Username", COB_UNAUTHENTICATED},
        {"could not read Password", COB_UNAUTHENTICATED},
        {"Authentication failed", COB_UNAUTHENTICATED},
        {"Permission denied (publickey", COB_UNAUTHENTICATED},
        {"returned error: 403", COB_DENIED},
        {"not found", COB_NOT_FOUND},
        {"does not exist", COB_NOT_FOUND},
        {"No space left on device", COB_EXHAUSTED},
        {"out of memory", COB_EXHAUSTED},
        {"File size limit exceeded", COB_EXHAUSTED},
        {"unable to connect", COB_UNAVAILABLE},
        {"Could not resolve host", COB_UNAVAILABLE},
        {"Failed to connect", COB_UNAVAILABLE},
        {"Connection refused", COB_UNAVAILABLE},
        {"Connection timed out", COB_UNAVAILABLE},
        {"early EOF", COB_UNAVAILABLE},
        {"hung up unexpectedly", COB_UNAVAILABLE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (strstr(text, rows[i].has))
            return rows[i].code;
    }
    return COB_UNKNOWN;
}

/* What to do about it, or "". */
static const char *advice_for(enum cob_code code, const struct cob_git_remote *remote)
{
    if (code != COB_UNAUTHENTICATED)
        return "";
    if (remote->place->scheme == COB_GITREF_SSH)
        return remote->ssh_socket ? "" : "; --ssh default passes an agent on";
    return remote->authorization ? "; the server refused the secret that was sent"
                                 : "; --secret id=GIT_AUTH_TOKEN,... gives it a token";
}

static GString *bytes_text(GBytes *bytes)
{
    gsize len = 0;
    const char *data = g_bytes_get_data(bytes, &len);

    return g_string_new_len(data ? data : "", (gssize)len);
}

static struct cob_error *run(const struct cob_git_remote *remote, const struct git_call *call,
    struct cob_cancel *cancel, struct cob_process_output *ret_output)
{
    g_autoptr(GPtrArray) argv = arguments(remote, call);
    g_autoptr(GPtrArray) env = environment(remote, call);
    struct git_call inside = *call;
    /* a namespace of its own, so that nothing it started outlives it */
    const struct cob_process_request request = {.argv = (const char *const *)argv->pdata,
        .envp = (const char *const *)env->pdata,
        .clone_flags = geteuid() == 0 ? CLONE_NEWPID : 0,
        .in_child = prepare,
        .arg = &inside};
    cob_autoclose int root_fd = -1;

    if (inside.work_fd <= 0) {
        root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root_fd < 0)
            return cob_fail_errno(errno, "open /");
        inside.work_fd = root_fd;
    }
    struct cob_error *err =
        cob_process_run(&request, NULL, COB_LIMIT_GIT_OUTPUT_BYTES, cancel, ret_output);
    if (err && cob_error_code(err) == COB_NOT_FOUND)
        return cob_wrap(err, "install the package git");
    return err;
}

static void output_done(struct cob_process_output *output)
{
    g_clear_pointer(&output->out, g_bytes_unref);
    g_clear_pointer(&output->err, g_bytes_unref);
}

struct cob_error *git_run(const struct cob_git_remote *remote, const struct git_call *call,
    struct cob_cancel *cancel, GString **ret_out)
{
    struct cob_process_output output = {0};

    COB_TRY(run(remote, call, cancel, &output));
    g_autoptr(GString) said = bytes_text(output.err);
    hide(said->str, remote->authorization);
    if (remote->log && !call->is_quiet && said->len > 0)
        remote->log(remote->arg, said->str, said->len);
    if (output.status == 0 && ret_out)
        *ret_out = bytes_text(output.out);
    output_done(&output);
    if (output.status == 0)
        return NULL;
    g_autofree char *word = last_word(said->str);
    enum cob_code code = code_of(said->str);
    return cob_fail(code, "git %s: %s%s", call->args[0], word, advice_for(code, remote));
}

struct cob_error *git_succeeds(const struct cob_git_remote *remote, const struct git_call *call,
    struct cob_cancel *cancel, bool *ret_does)
{
    struct cob_process_output output = {0};

    COB_TRY(run(remote, call, cancel, &output));
    *ret_does = output.status == 0;
    output_done(&output);
    return NULL;
}

struct cob_error *git_make_mirror(
    const struct cob_git_remote *remote, const char *id, struct cob_cancel *cancel)
{
    g_autofree char *head = g_build_filename(remote->mirror, "HEAD", NULL);
    const struct git_call call = {
        .args = {"init", "--quiet", "--bare", "--template=",
            strlen(id) == 64 ? "--object-format=sha256" : "--object-format=sha1", NULL}};

    if (access(head, F_OK) == 0)
        return NULL;
    return git_run(remote, &call, cancel, NULL);
}

struct cob_error *git_fetch_all(const struct cob_git_remote *remote, struct cob_cancel *cancel)
{
    g_autofree char *shallow = g_build_filename(remote->mirror, "shallow", NULL);
    bool is_shallow = access(shallow, F_OK) == 0;
    const struct git_call call = {
        .args = {"fetch", "--no-tags", "--force", "--prune",
            is_shallow ? "--unshallow" : "--no-write-fetch-head", "--", remote->place->remote,
            "+refs/heads/*:refs/cob/heads/*", "+refs/tags/*:refs/cob/tags/*", NULL}};

    return git_run(remote, &call, cancel, NULL);
}
