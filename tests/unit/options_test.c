/* Command lines through the tables: what is accepted, what is refused and with which words, and that help and pages know every row. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/options.h"
#include "cmd/terminal.h"
#include "wgdeck/diagnosis.h"
#include "wgdeck/err.h"
#include "wgdeck/key.h"
#include "wgdeck/mesh.h"

#define WITHOUT_MAIN
#include "../../man/generate.c"

/* What a call of the program writes on both streams, and its exit status. */
static int call(const char *line, struct buf *said)
{
    char *words[16] = {NULL}, *copy = mem_text(line), *rest = NULL;
    int count = 0, saved[2] = {dup(1), dup(2)};
    char path[] = "/tmp/wgdeck-options-test-XXXXXX";
    int file = mkstemp(path);
    unlink(path);
    fflush(NULL);
    dup2(file, 1);
    dup2(file, 2);
    for (char *word = strtok_r(copy, " ", &rest); word && count < 15; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    int status = cmd_main(count, words);
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], i + 1);
        close(saved[i]);
    }
    char piece[65536];
    ssize_t got = pread(file, piece, sizeof piece, 0);
    buf_clear(said);
    buf_add(said, piece, got > 0 ? (size_t)got : 0);
    close(file);
    free(copy);
    return status;
}

static const struct {
    const char *line;
    int status;
    const char *says; /* "": nothing at all */
} calls[] = {
    {"wgdeck", 2, "no mesh file here"},
    {"wgdeck tui", 2, "wgdeck replay"},
    {"wgdeck tui --interval 0 x", 2, "wants seconds"},
    {"wgdeck tui --bare --push x", 2, "exclude each other"},
    {"wgdeck stauts", 2, "did you mean status?"},
    {"wgdeck nonsense", 2, "unknown command \"nonsense\""},
    {"wgdeck fix", 2, "fix is not built yet"},
    {"wgdeck invite", 2, "wgdeck invite mail"},
    {"wgdeck invite a b", 2, "one name at a time"},
    {"wgdeck invite list x", 2, "takes no name"},
    {"wgdeck invite revoke", 2, "which one?"},
    {"wgdeck invite list --qr", 2, "goes with a new invitation"},
    {"wgdeck invite mail --expires 30", 2, "is no duration"},
    {"wgdeck invite mail --expires 8d", 2, "is no duration"},
    {"wgdeck invite mail --expires 1m", 1, "begins a new mesh"},
    {"wgdeck apply", 1, "\"wgdeck init\" begins a new mesh"},
    {"wgdeck -m /nonexistent/mesh.conf plan", 1, "/nonexistent/mesh.conf"},
    {"wgdeck plan n1", 2, "-n n1"},
    {"wgdeck apply --confirm-withn 3", 2, "did you mean --confirm-within?"},
    {"wgdeck init --port 99999", 2, "--port wants a number"},
    {"wgdeck init prod", 2, "--name prod"},
    {"wgdeck init -o /nonexistent/mesh.conf", 1, "/nonexistent/mesh.conf: No such file"},
    {"wgdeck init --network 10.0.0.0/33 -o /nonexistent/mesh.conf", 1, "10.0.0.0/33"},
    {"wgdeck init -o /dev/null", 1, "/dev/null exists and was left alone"},
    {"wgdeck add web", 2, "which node? Its name"},
    {"wgdeck add root@192.0.2.1 web", 2, "the name comes first"},
    {"wgdeck add a b c d --address 10.0.0.1", 2, "--address is of one node"},
    {"wgdeck remove", 2, "which node?"},
    {"wgdeck set web", 2, "KEY=VALUE"},
    {"wgdeck set web MTU", 2, "\"MTU\" is no KEY=VALUE"},
    {"wgdeck rotate --psk web", 2, "takes no names"},
    {"wgdeck export", 2, "which node?"},
    {"wgdeck export web --format ini", 2, "unknown format \"ini\""},
    {"wgdeck export web --qr", 2, "needs the private key"},
    {"wgdeck export web --qr --format json", 2, "what phones read"},
    {"wgdeck import", 2, "which files?"},
    {"wgdeck import /nonexistent/wg0.conf", 1, "/nonexistent/wg0.conf: No such file"},
    {"wgdeck import /dev/null", 1, "/dev/null is empty"},
    {"wgdeck --hlep", 2, "did you mean --help?"},
    {"wgdeck --version", 0, "wgdeck "},
    {"wgdeck version", 0, "wgdeck "},
    {"wgdeck version now", 2, "no argument"},
    {"wgdeck help status", 0, "usage: wgdeck status"},
    {"wgdeck help stats", 2, "did you mean"},
    {"wgdeck status --help", 0, "--patience SECONDS"},
    {"wgdeck -q --ascii status --help", 0, "Exit status:"},
    {"wgdeck status --jsn", 3, "did you mean --json?"},
    {"wgdeck status --p 3", 3, "can mean"},
    {"wgdeck status --json=3", 3, "--json takes no value"},
    {"wgdeck status -w", 3, "--watch needs a value"},
    {"wgdeck status -w 1e3", 3, "wants seconds"},
    {"wgdeck status -w -5", 3, "wants seconds"},
    {"wgdeck status -w 0", 3, "wants seconds"},
    {"wgdeck status -Z", 3, "unknown option -Z"},
    {"wgdeck status --json --prom x", 3, "exclude each other"},
    {"wgdeck status --bare --push x", 3, "exclude each other"},
    {"wgdeck -m /nonexistent/mesh.conf status", 3, "/nonexistent/mesh.conf"},
    {"wgdeck status -m /nonexistent/mesh.conf", 3, "/nonexistent/mesh.conf"},
    {"wgdeck exec -m /nonexistent/mesh.conf uptime -m x", 2, "/nonexistent/mesh.conf"},
    {"wgdeck exec", 2, "which command?"},
    {"wgdeck ssh", 2, "which node?"},
    {"wgdeck ssh -- -oProxyCommand=x", 2, "cannot be a host"},
    {"wgdeck adopt", 2, "which hosts?"},
    {"wgdeck record", 2, "which file?"},
    {"wgdeck replay x y", 3, "one FILE is wanted"},
    {"wgdeck replay /nonexistent/x", 3, "/nonexistent/x"},
    {"wgdeck replay --at yesterday /dev/null", 3, "empty"},
    {"wgdeck show a b", 2, "one interface at a time"},
    {"wgdeck show nosuchif0", 1, "nosuchif0"},
    {"wgdeck genkey x", 2, "no argument"},
};

static void test_calls(void **state)
{
    (void)state;
    struct buf said = BUF_EMPTY;
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        int status = call(calls[i].line, &said);
        if (status != calls[i].status || !strstr(buf_text(&said), calls[i].says))
            fail_msg("%s: status %d, wanted %d and \"%s\": %s", calls[i].line, status, calls[i].status, calls[i].says, buf_text(&said));
        /* Errors are one line. */
        if (status && strchr(buf_text(&said), '\n') != said.data + said.length - 1)
            fail_msg("%s: more than one line: %s", calls[i].line, buf_text(&said));
    }
    buf_free(&said);
}

static void test_keys(void **state)
{
    (void)state;
    struct buf private_key = BUF_EMPTY, other = BUF_EMPTY;
    struct key key;
    int ends[2], saved = dup(0);
    assert_int_equal(call("wgdeck -q genkey", &private_key), 0);
    assert_int_equal(private_key.length, 45);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], private_key.data, private_key.length), 45);
    close(ends[1]);
    dup2(ends[0], 0);
    assert_int_equal(call("wgdeck pubkey", &other), 0);
    dup2(saved, 0);
    close(ends[0]);
    close(saved);
    struct key public_key;
    char text[KEY_TEXT_SIZE];
    private_key.data[44] = '\0';
    assert_int_equal(key_parse(private_key.data, &key), 0);
    key_public(&key, &public_key);
    key_text(&public_key, text);
    assert_memory_equal(text, other.data, 44);
    buf_free(&private_key);
    buf_free(&other);
}

static bool unique_in(const struct cmd_option *options, const struct cmd_option *wanted)
{
    for (; options && options->name; options++)
        if (options != wanted && (!strcmp(options->name, wanted->name) || (options->letter && options->letter == wanted->letter)))
            return false;
    return true;
}

/* Each row is whole, and no option hides another one. */
static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; cmd_table[i]; i++) {
        const struct cmd *cmd = cmd_table[i];
        assert_true(cmd->name && cmd->arguments && cmd->summary && cmd->run);
        assert_ptr_equal(cmd_find(cmd->name), cmd);
        for (const struct cmd_option *option = cmd->options; option && option->name; option++) {
            assert_non_null(option->help);
            if (!unique_in(cmd->options, option) || !unique_in(cmd_global_options, option))
                fail_msg("%s: --%s or -%c is there twice", cmd->name, option->name, option->letter);
        }
        for (size_t k = 0; cmd_planned[k]; k++)
            assert_string_not_equal(cmd->name, cmd_planned[k]);
    }
}

static void assert_has(const struct buf *page, const char *what, const char *before, const char *name, const char *after)
{
    char *wanted = mem_format("%s%s%s", before, name, after);
    if (!strstr(buf_text(page), wanted))
        fail_msg("%s has no %s", what, wanted);
    free(wanted);
}

static void load_page(const char *frame, struct buf *page)
{
    struct err err;
    buf_clear(page);
    if (generate_page(frame, page, &err))
        fail_msg("%s", err.text);
    if (strstr(buf_text(page), "\n@"))
        fail_msg("%s: something was not filled in", frame);
}

/* Pages and completions know every command, option, key and fault. */
static void test_pages(void **state)
{
    (void)state;
    static const char *const frames[] = {"man/wgdeck.1.in", "completions/wgdeck.bash.in", "completions/wgdeck.fish.in", "completions/_wgdeck.in"};
    struct buf page = BUF_EMPTY;
    if (access(frames[0], R_OK))
        skip(); /* not run from the top of the checkout */
    for (size_t f = 0; f < COUNT_OF(frames); f++) {
        load_page(frames[f], &page);
        for (size_t i = 0; cmd_table[i]; i++) {
            if (cmd_table[i]->hidden)
                continue;
            assert_has(&page, frames[f], f ? "" : ".Ss ", cmd_table[i]->name, f ? "" : "\n");
            for (const struct cmd_option *option = cmd_table[i]->options; option && option->name; option++)
                assert_has(&page, frames[f], f == 2 ? "-l " : f ? "--" : "Fl -", option->name, "");
        }
    }
    load_page("man/wgdeck-mesh.5.in", &page);
    for (size_t i = 0; i < mesh_key_count; i++)
        assert_has(&page, "wgdeck-mesh(5)", ".It Cm ", mesh_keys[i].name, " ");
    load_page("man/wgdeck-faults.7.in", &page);
    for (size_t i = 0; i < fault_kind_count; i++)
        assert_has(&page, "wgdeck-faults(7)", ".Ss ", fault_kinds[i].id, "\n");
    buf_free(&page);
}

/* A full disk is told of although the flush that failed was an earlier one; a reader who has had enough is no error. */
static void test_output(void **state)
{
    (void)state;
    static const struct {
        bool full;
        int status;
    } cases[] = {{true, CMD_FAILED}, {false, CMD_OK}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int status, pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t process = fork();
        if (process == 0) {
            signal(SIGPIPE, SIG_IGN);
            close(pipes[0]);
            dup2(cases[i].full ? open("/dev/full", O_WRONLY) : pipes[1], STDOUT_FILENO);
            dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
            printf("shown\n");
            fflush(stdout);
            _exit(terminal_end(CMD_OK));
        }
        close(pipes[0]);
        close(pipes[1]);
        assert_int_equal(waitpid(process, &status, 0), process);
        CASE_ASSERT(i, WIFEXITED(status) && WEXITSTATUS(status) == cases[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_output),
    };
    unsetenv("WGDECK_MESH");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
