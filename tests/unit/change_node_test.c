/* Changing under a guard, in a folder that stands for the system, with an interface that there is none of: the lock, the journal, the saved file, keys, confirming, putting back,
 * recovering, and the guard as a process. What runs is the business of tests/lab/guard_test.py. */
#include "unit.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/change.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/node.h"

#define NAME "wgt0"
#define ID "0123456789abcdef"
#define OTHER_ID "fedcba9876543210"
#define CONF "/etc/wireguard/" NAME ".conf"
#define OLD "[Interface]\nListenPort = 5\n"
#define NEW "[Interface]\nListenPort = 6\n"

static char root[] = "/tmp/wgdeck-change-test-XXXXXX";

static char *at(const char *path)
{
    return mem_format("%s%s", root, path);
}

static void put(const char *path, const char *text)
{
    struct err err;
    char *whole = at(path), *slash = strrchr(whole, '/');
    *slash = '\0';
    assert_int_equal(file_make_folders(whole, 0700, &err), 0);
    *slash = '/';
    assert_int_equal(file_write(whole, 0600, text, strlen(text), &err), 0);
    free(whole);
}

static bool is_there(const char *path)
{
    char *whole = at(path);
    bool there = access(whole, F_OK) == 0;
    free(whole);
    return there;
}

static bool holds(const char *path, const char *text)
{
    struct buf buf = BUF_EMPTY;
    char *whole = at(path);
    bool same = !file_read(whole, 1 << 20, &buf, NULL) && !strcmp(buf_text(&buf), text);
    buf_free(&buf);
    free(whole);
    return same;
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *place)
{
    (void)about;
    (void)type;
    return place->level ? remove(path) : 0;
}

static void clear(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    char *run = at("/run");
    assert_int_equal(mkdir(run, 0755), 0);
    free(run);
}

static int make_root(void **state)
{
    (void)state;
    change_root = mkdtemp(root);
    return change_root ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char *command = mem_format("rm -rf '%s'", root);
    int result = system(command);
    free(command);
    return result;
}

/* A change as stage leaves it: its file prepared, its journal written. */
static void make_journal(struct change_journal *journal, const char *old, const char *new, double within)
{
    struct err err = {""};
    struct buf bytes = BUF_EMPTY, text = BUF_EMPTY;
    clear();
    if (old)
        put(CONF, old);
    *journal = (struct change_journal){.id = ID, .name = NAME, .owner = mem_text("alice@laptop"), .generation = mem_text("8-3fa94c12"), .began = clock_wall(),
                                       .deadline = clock_steady() + (int64_t)(within * 1e9), .old = {.name = NAME, .forwarding4 = -1, .forwarding6 = -1}};
    change_boot_identity(journal->boot);
    assert_int_equal(change_make_folder(NAME, &err), 0);
    assert_int_equal(change_file_look(NAME, journal, &bytes, &err), 0);
    assert_int_equal(journal->file_exists, old != NULL);
    if (new) {
        buf_add_text(&text, new);
        if (change_file_prepare(journal, &text, &err))
            fail_msg("%s", err.text);
    }
    if (change_journal_write(journal, &err))
        fail_msg("%s", err.text);
    buf_free(&bytes);
    buf_free(&text);
}

/* --- the journal */

static void test_journal(void **state)
{
    (void)state;
    struct change_journal journal, back;
    struct err err = {""};
    make_journal(&journal, OLD, NEW, 60);
    assert_int_equal(change_journal_read(NAME, &back, &err), 0);
    assert_string_equal(back.id, ID);
    assert_string_equal(back.owner, "alice@laptop");
    assert_string_equal(back.generation, "8-3fa94c12");
    assert_string_equal(back.boot, journal.boot);
    assert_true(back.began == journal.began && back.deadline == journal.deadline && back.step == CHANGE_STAGED && back.file_exists);
    assert_string_equal(back.file, journal.file);
    assert_string_equal(back.prepared, journal.prepared);
    assert_memory_equal(back.file_hash, journal.file_hash, CHANGE_HASH_SIZE);
    assert_true(change_journal_is_there(NAME, ID) && !change_journal_is_there(NAME, OTHER_ID));
    change_journal_free(&back);

    /* Every beginning of it is refused, and so is one whose first line is of something else. */
    struct buf text = BUF_EMPTY;
    change_journal_text(&journal, &text);
    for (size_t length = 0; length + 1 < text.length; length += 7)
        if (!change_journal_parse(text.data, length, &back, &err)) {
            CASE_ASSERT(length, length > strcspn(text.data, "\n")); /* a state that lacks nothing but its end */
            change_journal_free(&back);
        }
    put("/var/lib/wgdeck/" NAME "/change", "{\"journal\":1}\n");
    assert_int_equal(change_journal_read(NAME, &back, &err), -1);
    assert_non_null(strstr(err.text, "/change"));
    assert_int_equal(change_journal_remove(NAME, &err), 0);
    assert_int_equal(change_journal_read(NAME, &back, &err), 1);
    assert_false(change_journal_is_there(NAME, ID));
    buf_free(&text);
    change_journal_free(&journal);
}

/* --- lock and turn */

static void test_lock(void **state)
{
    (void)state;
    int first, second;
    struct buf holder = BUF_EMPTY;
    struct err err = {""};
    clear();
    assert_int_equal(change_make_folder(NAME, &err), 0);
    assert_true(change_lock_is_free(NAME));
    assert_int_equal(change_lock(NAME, ID, "alice@laptop", 0, &first, &holder, &err), 0);
    assert_false(change_lock_is_free(NAME));
    assert_int_equal(change_lock(NAME, OTHER_ID, "bob@desk", 0.05, &second, &holder, &err), 1);
    assert_non_null(strstr(buf_text(&holder), "alice@laptop changes " NAME " since "));
    assert_true(change_lock_again(first));

    /* Who has inherited it keeps it; and frees it for all. */
    int inherited = dup(first);
    close(first);
    assert_false(change_lock_is_free(NAME));
    first = dup(inherited);
    change_unlock(&inherited);
    assert_int_equal(inherited, -1);
    assert_true(change_lock_is_free(NAME));
    assert_int_equal(change_lock(NAME, OTHER_ID, "bob@desk", 0, &second, &holder, &err), 0);
    assert_false(change_lock_again(first));
    close(first);
    change_unlock(&second);

    pid_t process;
    int turn = change_turn(NAME, 0, NULL, &err);
    assert_true(turn >= 0);
    assert_int_equal(change_turn(NAME, 0.05, &process, &err), -1);
    assert_int_equal(process, getpid());
    change_turn_end(turn);
    turn = change_turn(NAME, 0, NULL, &err);
    assert_true(turn >= 0);
    change_turn_end(turn);
    buf_free(&holder);
}

/* --- keys */

static void test_keys(void **state)
{
    (void)state;
    struct state none = {.name = NAME};
    struct err err = {""};
    struct change_secrets *first = change_secrets_new(&err), *second = change_secrets_new(&err);
    struct stat about;
    clear();
    assert_int_equal(change_make_folder(NAME, &err), 0);
    assert_int_equal(change_keys_find(NAME, &none, false, false, first, &err), 0);
    assert_true(key_is_zero(&first->private_key) && key_is_zero(&first->next_key));
    assert_int_equal(change_keys_find(NAME, &none, true, true, first, &err), 0);
    assert_false(key_is_zero(&first->private_key));
    assert_false(key_equal(&first->private_key, &first->next_key));
    char *path = at("/var/lib/wgdeck/" NAME "/private-key");
    assert_true(!stat(path, &about) && (about.st_mode & 07777) == 0600);
    free(path);
    path = at("/var/lib/wgdeck/" NAME);
    assert_true(!stat(path, &about) && (about.st_mode & 07777) == 0700);
    free(path);

    /* Found again; in the saved file, no longer kept; and one in use is no next key. */
    assert_int_equal(change_keys_find(NAME, &none, true, true, second, &err), 0);
    assert_true(key_equal(&first->private_key, &second->private_key) && key_equal(&first->next_key, &second->next_key));
    char text[KEY_TEXT_SIZE], *conf = at(CONF);
    key_text(&first->next_key, text);
    char *config = mem_format("[Interface]\nPrivateKey = %s\n", text);
    put(CONF, config);
    free(config);
    assert_int_equal(change_keys_find(NAME, &none, true, true, second, &err), 0);
    assert_true(key_equal(&first->next_key, &second->private_key) && !key_equal(&first->next_key, &second->next_key));
    path = at("/var/lib/wgdeck/" NAME "/next-key");
    key_text(&first->next_key, text);
    put("/var/lib/wgdeck/" NAME "/next-key", text);
    change_keys_saved(NAME, conf);
    assert_true(access(path, F_OK) != 0 && is_there("/var/lib/wgdeck/" NAME "/private-key"));
    free(path);
    free(conf);

    /* What is kept and is no key is no reason to make another. */
    clear();
    put("/var/lib/wgdeck/" NAME "/private-key", "x\n");
    assert_int_equal(change_keys_find(NAME, &none, true, false, second, &err), -1);
    assert_non_null(strstr(err.text, "private-key"));
    change_secrets_free(first);
    change_secrets_free(second);
}

static void test_preshared(void **state)
{
    (void)state;
    struct err err = {""};
    struct change_secrets *maker = change_secrets_new(&err), *taker = change_secrets_new(&err), *stranger = change_secrets_new(&err);
    struct key maker_row = {{1}}, taker_row = {{2}}, box;
    struct buf sealed = BUF_EMPTY, again = BUF_EMPTY;
    char text[KEY_TEXT_SIZE];
    memcpy(box.bytes, taker->box_public, KEY_SIZE);
    key_text(&box, text);
    assert_int_equal(change_preshared_make(maker, &taker_row, text, &sealed, &err), 0);
    assert_int_equal(change_preshared_make(maker, &taker_row, text, &again, &err), 0); /* asked twice: the same key */
    assert_int_equal(change_preshared_take(stranger, &maker_row, buf_text(&sealed), &err), -1);
    assert_int_equal(change_preshared_take(taker, &maker_row, buf_text(&sealed), &err), 0);
    const struct key *made = up_secrets_preshared(maker->preshared, &taker_row), *taken = up_secrets_preshared(taker->preshared, &maker_row);
    assert_true(made && taken && key_equal(made, taken) && !key_is_zero(made));
    assert_int_equal(change_preshared_take(taker, &maker_row, buf_text(&again), &err), 0);
    taken = up_secrets_preshared(taker->preshared, &maker_row);
    assert_true(key_equal(made, taken));
    static const char *const bad[] = {"", "AAAA", "no base64!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CASE_ASSERT(i, change_preshared_take(taker, &maker_row, bad[i], &err) == -1);
    buf_clear(&sealed);
    assert_int_equal(change_preshared_make(maker, &taker_row, "AAAA", &sealed, &err), -1);
    buf_free(&sealed);
    buf_free(&again);
    change_secrets_free(maker);
    change_secrets_free(taker);
    change_secrets_free(stranger);
}

/* --- confirming and putting back */

static void test_confirm(void **state)
{
    (void)state;
    static const struct {
        const char *old, *new, *meanwhile; /* written by somebody else between stage and confirm; "-": removed */
        bool takes_away, finish_needed;
        enum change_step step;
        const char *boot;
        enum change_outcome outcome;
        const char *file, *error; /* at the end; NULL: there is none */
    } cases[] = {
        {OLD, NEW, NULL, false, false, CHANGE_STAGED, NULL, CHANGE_DONE, NEW, NULL},
        {NULL, NEW, NULL, false, false, CHANGE_STAGED, NULL, CHANGE_DONE, NEW, NULL},
        {OLD, NULL, NULL, false, false, CHANGE_STAGED, NULL, CHANGE_DONE, OLD, NULL},
        {OLD, NULL, "mine\n", false, false, CHANGE_STAGED, NULL, CHANGE_DONE, "mine\n", NULL}, /* the file is no part of it */
        {OLD, NEW, NULL, false, true, CHANGE_FINISHED, NULL, CHANGE_DONE, NEW, NULL},
        {OLD, NEW, NULL, false, true, CHANGE_STAGED, NULL, CHANGE_IS_REFUSED, OLD, "finish"},
        {OLD, NEW, "mine\n", false, false, CHANGE_STAGED, NULL, CHANGE_FAILED, "mine\n", "somebody else"},
        {NULL, NEW, "mine\n", false, false, CHANGE_STAGED, NULL, CHANGE_FAILED, "mine\n", "somebody else"},
        {OLD, NEW, "-", false, false, CHANGE_STAGED, NULL, CHANGE_FAILED, NULL, "is gone"},
        {OLD, NEW, NULL, false, false, CHANGE_STAGED, "another/1", CHANGE_FAILED, OLD, "started again"},
        {OLD, NEW, NULL, false, false, CHANGE_CONFIRMED, NULL, CHANGE_DONE, NEW, NULL}, /* interrupted */
        {OLD, NULL, NULL, true, false, CHANGE_STAGED, NULL, CHANGE_DONE, NULL, NULL},
        {NULL, NULL, NULL, true, false, CHANGE_STAGED, NULL, CHANGE_DONE, NULL, NULL},
        {OLD, NULL, "mine\n", true, false, CHANGE_STAGED, NULL, CHANGE_FAILED, "mine\n", "somebody else"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct change_journal journal;
        struct buf warnings = BUF_EMPTY;
        struct err err = {""};
        make_journal(&journal, cases[i].old, cases[i].new, 60);
        journal.takes_away = cases[i].takes_away;
        journal.finish_needed = cases[i].finish_needed;
        journal.step = cases[i].step;
        if (cases[i].boot)
            snprintf(journal.boot, sizeof journal.boot, "%s", cases[i].boot);
        assert_int_equal(change_journal_write(&journal, &err), 0);
        if (cases[i].meanwhile && !strcmp(cases[i].meanwhile, "-")) {
            char *path = at(CONF);
            unlink(path);
            free(path);
        } else if (cases[i].meanwhile) {
            put(CONF, cases[i].meanwhile);
        }
        CASE_ASSERT(i, change_confirm(NAME, OTHER_ID, &warnings, &err) == CHANGE_UNKNOWN);
        enum change_outcome outcome = change_confirm(NAME, ID, &warnings, &err);
        if (outcome != cases[i].outcome)
            fail_msg("case %zu: %d %s", i, outcome, err.text);
        CASE_ASSERT(i, cases[i].file ? holds(CONF, cases[i].file) : !is_there(CONF));
        CASE_ASSERT(i, !cases[i].error || strstr(err.text, cases[i].error));
        CASE_ASSERT(i, is_there("/var/lib/wgdeck/" NAME "/change") == (cases[i].outcome == CHANGE_IS_REFUSED));
        CASE_ASSERT(i, is_there("/etc/wireguard/." NAME ".conf.wgdeck-new") == (cases[i].outcome == CHANGE_IS_REFUSED));
        CASE_ASSERT(i, is_there("/var/lib/wgdeck/" NAME "/restored") == (cases[i].outcome == CHANGE_FAILED));
        if (outcome == CHANGE_DONE) {
            struct stat about;
            char *path = at(CONF), *generation = change_generation(NAME);
            CASE_ASSERT(i, cases[i].takes_away ? !generation : generation && !strcmp(generation, "8-3fa94c12"));
            CASE_ASSERT(i, !cases[i].new || (!stat(path, &about) && (about.st_mode & 07777) == 0600));
            CASE_ASSERT(i, change_confirm(NAME, ID, &warnings, &err) == CHANGE_DONE); /* said twice */
            CASE_ASSERT(i, change_revert(NAME, ID, "asked", &err) == CHANGE_IS_REFUSED);
            free(generation);
            free(path);
        }
        if (outcome == CHANGE_FAILED)
            CASE_ASSERT(i, change_confirm(NAME, ID, &warnings, &err) == CHANGE_UNKNOWN && strstr(err.text, "was put back at"));
        CASE_ASSERT(i, warnings.length == 0);
        buf_free(&warnings);
        change_journal_free(&journal);
    }
}

/* Two that are removed on one day do not overwrite one another. */
static void test_set_aside(void **state)
{
    (void)state;
    struct change_journal journal;
    struct buf warnings = BUF_EMPTY;
    struct err err = {""};
    char date[16];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    make_journal(&journal, OLD, NULL, 60);
    char *first = mem_format(CONF ".removed-%s", date), *second = mem_format(CONF ".removed-%s-2", date);
    put(first, "the first\n");
    journal.takes_away = true;
    assert_int_equal(change_journal_write(&journal, &err), 0);
    assert_int_equal(change_confirm(NAME, ID, &warnings, &err), CHANGE_DONE);
    assert_true(holds(first, "the first\n") && holds(second, OLD));
    free(first);
    free(second);
    change_journal_free(&journal);
}

/* A file that is a symbolic link stays one; what it leads to is replaced. */
static void test_link(void **state)
{
    (void)state;
    struct change_journal journal;
    struct buf warnings = BUF_EMPTY, bytes = BUF_EMPTY, text = BUF_EMPTY;
    struct err err = {""};
    struct stat about;
    make_journal(&journal, NULL, NULL, 60);
    put("/srv/real.conf", OLD);
    char *target = at("/srv/real.conf"), *link = at(CONF), *folder = at("/etc/wireguard");
    assert_int_equal(file_make_folders(folder, 0700, &err), 0);
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(change_file_look(NAME, &journal, &bytes, &err), 0);
    assert_string_equal(journal.file, target);
    buf_add_text(&text, NEW);
    assert_int_equal(change_file_prepare(&journal, &text, &err), 0);
    assert_int_equal(change_journal_write(&journal, &err), 0);
    assert_int_equal(change_confirm(NAME, ID, &warnings, &err), CHANGE_DONE);
    assert_true(!lstat(link, &about) && S_ISLNK(about.st_mode) && holds("/srv/real.conf", NEW));
    buf_free(&bytes);
    buf_free(&text);
    free(target);
    free(link);
    free(folder);
    change_journal_free(&journal);
}

static void test_recover(void **state)
{
    (void)state;
    static const struct {
        enum change_step step;
        bool swapped, other_boot;
        const char *file, *said;
        bool confirmed;
    } cases[] = {
        {CHANGE_STAGED, false, false, OLD, "the old state is put back", false},
        {CHANGE_FINISHED, false, false, OLD, "the old state is put back", false},
        {CHANGE_STAGED, false, true, OLD, "restart of the node", false},
        {CHANGE_CONFIRMED, false, false, NEW, "completed", true},
        {CHANGE_CONFIRMED, true, false, NEW, "completed", true},
        {CHANGE_CONFIRMED, true, true, NEW, "completed", true},
        {CHANGE_CONFIRMED, false, true, OLD, "restart of the node", false}, /* it has booted into the old file */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct change_journal journal;
        struct buf said = BUF_EMPTY, warnings = BUF_EMPTY;
        struct err err = {""};
        make_journal(&journal, OLD, NEW, 60);
        journal.step = cases[i].step;
        if (cases[i].other_boot)
            strcpy(journal.boot, "another/1");
        assert_int_equal(change_journal_write(&journal, &err), 0);
        if (cases[i].swapped)
            assert_int_equal(change_file_swap(&journal, &err), 0);
        if (change_recover(NAME, &said, &err))
            fail_msg("case %zu: %s", i, err.text);
        CASE_ASSERT(i, holds(CONF, cases[i].file));
        CASE_ASSERT(i, strstr(buf_text(&said), cases[i].said) && strstr(buf_text(&said), "alice@laptop"));
        CASE_ASSERT(i, !is_there("/var/lib/wgdeck/" NAME "/change") && !is_there("/etc/wireguard/." NAME ".conf.wgdeck-new"));
        CASE_ASSERT(i, (change_confirm(NAME, ID, &warnings, &err) == CHANGE_DONE) == cases[i].confirmed);
        buf_clear(&said);
        CASE_ASSERT(i, change_recover(NAME, &said, &err) == 0 && said.length == 0);
        buf_free(&said);
        change_journal_free(&journal);
    }
}

static void test_revert(void **state)
{
    (void)state;
    struct change_journal journal;
    struct err err = {""};
    make_journal(&journal, OLD, NEW, 60);
    assert_int_equal(change_revert(NAME, OTHER_ID, "asked", &err), CHANGE_DONE); /* of which there is nothing here */
    assert_true(is_there("/var/lib/wgdeck/" NAME "/change"));
    assert_int_equal(change_revert(NAME, ID, "asked", &err), CHANGE_DONE);
    assert_true(holds(CONF, OLD) && !is_there("/var/lib/wgdeck/" NAME "/change") && !is_there("/etc/wireguard/." NAME ".conf.wgdeck-new"));
    assert_int_equal(change_revert(NAME, ID, "asked", &err), CHANGE_DONE);
    change_journal_free(&journal);
}

/* --- killed before each single system call */

/* Run DEED in a process that is killed before its call number LIMIT. 1: it was; 0: it came to its end; -1: no process can be watched here. */
static int run_until(void (*deed)(void), int limit)
{
    int status, calls = 0;
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            _exit(99);
        raise(SIGSTOP);
        deed();
        _exit(0);
    }
    while (waitpid(child, &status, 0) == child && !WIFEXITED(status) && !WIFSIGNALED(status)) {
        if (++calls > limit)
            kill(child, SIGKILL);
        else
            ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    }
    return WIFSIGNALED(status) ? 1 : WEXITSTATUS(status) == 99 ? -1 : 0;
}

static void deed_confirm(void)
{
    struct buf warnings = BUF_EMPTY;
    struct err err;
    (void)change_confirm(NAME, ID, &warnings, &err);
}

static void deed_revert(void)
{
    struct err err;
    (void)change_revert(NAME, ID, "asked", &err);
}

static void deed_recover(void)
{
    struct buf said = BUF_EMPTY;
    struct err err;
    (void)change_recover(NAME, &said, &err);
}

static void deed_stage(void) /* its files */
{
    struct change_journal journal = {.id = ID, .name = NAME, .owner = mem_text("alice@laptop"), .began = 1, .deadline = 1, .old = {.name = NAME, .forwarding4 = -1, .forwarding6 = -1}};
    struct buf bytes = BUF_EMPTY, text = BUF_EMPTY;
    struct err err;
    change_boot_identity(journal.boot);
    buf_add_text(&text, NEW);
    if (!change_make_folder(NAME, &err) && !change_file_look(NAME, &journal, &bytes, &err) && !change_file_prepare(&journal, &text, &err))
        (void)change_journal_write(&journal, &err);
}

static unsigned files;

static int count_one(const char *path, const struct stat *about, int type, struct FTW *place)
{
    (void)about;
    (void)place;
    files += type == FTW_F && strncmp(path + strlen(root), "/run/", 5) != 0;
    return 0;
}

static unsigned count_files(void)
{
    files = 0;
    nftw(root, count_one, 16, FTW_PHYS);
    return files;
}

/* Then the next one comes: the file is the old one or the new one, whole, it is known which, and nothing is left over. */
static void check_killed(const char *what, int limit)
{
    struct buf said = BUF_EMPTY, warnings = BUF_EMPTY;
    struct err err = {""};
    bool old = holds(CONF, OLD), new = holds(CONF, NEW);
    if (!old && !new)
        fail_msg("%s, call %d: the file is neither old nor new", what, limit);
    if (change_recover(NAME, &said, &err))
        fail_msg("%s, call %d: %s", what, limit, err.text);
    bool confirmed = change_confirm(NAME, ID, &warnings, &err) == CHANGE_DONE;
    if (confirmed ? !holds(CONF, NEW) : !holds(CONF, OLD))
        fail_msg("%s, call %d: the file is not as it is said to be", what, limit);
    if (new && !confirmed)
        fail_msg("%s, call %d: the new file has gone again", what, limit);
    bool more = is_there("/var/lib/wgdeck/" NAME "/restored");
    if (count_files() != 1u + confirmed + more)
        fail_msg("%s, call %d: %u files are left", what, limit, count_files());
    buf_free(&said);
    buf_free(&warnings);
}

static void test_killed_at_each_call(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*deed)(void);
        enum change_step step;
    } deeds[] = {{"confirm", deed_confirm, CHANGE_STAGED}, {"revert", deed_revert, CHANGE_STAGED}, {"recover", deed_recover, CHANGE_CONFIRMED}, {"stage", deed_stage, CHANGE_STAGED}};
    for (size_t i = 0; i < COUNT_OF(deeds); i++) {
        int killed = 1;
        for (int limit = 1; killed == 1; limit++) {
            struct change_journal journal;
            struct err err;
            make_journal(&journal, OLD, NEW, 60);
            journal.step = deeds[i].step;
            assert_int_equal(change_journal_write(&journal, &err), 0);
            if (deeds[i].deed == deed_stage) {
                change_file_drop(&journal);
                assert_int_equal(change_journal_remove(NAME, &err), 0);
            }
            killed = run_until(deeds[i].deed, limit);
            if (killed < 0)
                skip();
            check_killed(deeds[i].name, limit);
            change_journal_free(&journal);
            CASE_ASSERT(i, limit < 5000);
            CASE_ASSERT(i, killed == 1 || limit > 20); /* it was watched at all */
        }
    }
}

/* --- the guard, as a process of its own */

static int64_t wait_gone(const char *path, double seconds)
{
    int64_t began = clock_steady();
    while (is_there(path) && clock_steady() - began < (int64_t)(seconds * 1e9))
        usleep(5000);
    return is_there(path) ? -1 : clock_steady() - began;
}

static void begin_guard(struct change_journal *journal, double within, int *lock, int *guard)
{
    struct buf holder = BUF_EMPTY;
    struct err err = {""};
    make_journal(journal, OLD, NEW, within);
    assert_int_equal(change_lock(NAME, ID, "alice@laptop", 0, lock, &holder, &err), 0);
    *guard = guard_start(NAME, *lock, &err);
    if (*guard < 0)
        fail_msg("%s", err.text);
    close(*lock); /* the helper is gone: the guard has it still */
    assert_false(change_lock_is_free(NAME));
}

static void test_guard_time(void **state)
{
    (void)state;
    struct change_journal journal;
    int lock, guard;
    begin_guard(&journal, 0.7, &lock, &guard);
    char *pending = change_pending(NAME);
    assert_non_null(pending);
    assert_non_null(strstr(pending, "alice@laptop"));
    free(pending);
    usleep(400000);
    assert_true(is_there("/var/lib/wgdeck/" NAME "/change"));
    assert_int_equal(guard_wait_end(guard, 5), 0);
    assert_true(!is_there("/var/lib/wgdeck/" NAME "/change") && holds(CONF, OLD) && change_lock_is_free(NAME));
    assert_true(is_there("/var/lib/wgdeck/" NAME "/guard.log"));
    assert_null(change_pending(NAME));
    change_journal_free(&journal);
}

static void test_guard_confirm(void **state)
{
    (void)state;
    struct change_journal journal;
    struct buf warnings = BUF_EMPTY;
    struct err err = {""};
    int lock, guard;
    begin_guard(&journal, 30, &lock, &guard);
    int64_t began = clock_steady();
    assert_int_equal(change_confirm(NAME, ID, &warnings, &err), CHANGE_DONE);
    assert_int_equal(guard_wait_end(guard, 5), 0);
    assert_true(clock_steady() - began < 2 * CLOCK_SECOND);
    assert_true(holds(CONF, NEW) && change_lock_is_free(NAME) && !is_there("/var/lib/wgdeck/" NAME "/guard.log"));
    change_journal_free(&journal);
}

static pid_t guard_process(void)
{
    char text[32] = "";
    FILE *pipe = popen("pgrep -f -- '--guard " NAME " /tmp/wgdeck-change-test'", "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, sizeof text, pipe));
    pclose(pipe);
    return atoi(text);
}

static void test_guard_signals(void **state)
{
    (void)state;
    static const int ignored[] = {SIGHUP, SIGINT, SIGPIPE, SIGUSR1, SIGTSTP};
    struct change_journal journal;
    int lock, guard;
    begin_guard(&journal, 30, &lock, &guard);
    pid_t process = guard_process();
    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        kill(process, ignored[i]);
    usleep(200000);
    assert_true(is_there("/var/lib/wgdeck/" NAME "/change") && !change_lock_is_free(NAME));
    kill(process, SIGTERM); /* put back now */
    assert_int_equal(guard_wait_end(guard, 5), 0);
    assert_true(!is_there("/var/lib/wgdeck/" NAME "/change") && holds(CONF, OLD));
    change_journal_free(&journal);
}

/* Killed: the lock is free, and the next one puts back. */
static void test_guard_killed(void **state)
{
    (void)state;
    struct change_journal journal;
    struct buf said = BUF_EMPTY;
    struct err err = {""};
    int lock, guard;
    begin_guard(&journal, 30, &lock, &guard);
    kill(guard_process(), SIGKILL);
    assert_int_equal(guard_wait_end(guard, 5), 0);
    /* The kernel closes a dead process's descriptors one after the other: the lock goes a moment after the pipe. */
    for (int i = 0; i < 200 && !change_lock_is_free(NAME); i++)
        usleep(5000);
    assert_true(change_lock_is_free(NAME));
    char *pending = change_pending(NAME);
    assert_true(pending && strstr(pending, "left unfinished"));
    free(pending);
    assert_int_equal(change_recover(NAME, &said, &err), 0);
    assert_true(holds(CONF, OLD) && wait_gone("/var/lib/wgdeck/" NAME "/change", 0) >= 0);
    buf_free(&said);
    change_journal_free(&journal);
}

/* A confirm that is killed in the middle is completed by the guard. */
static void test_guard_completes(void **state)
{
    (void)state;
    struct change_journal journal;
    struct err err = {""};
    int lock, guard;
    begin_guard(&journal, 0.6, &lock, &guard);
    journal.step = CHANGE_CONFIRMED;
    assert_int_equal(change_journal_write(&journal, &err), 0);
    assert_int_equal(guard_wait_end(guard, 5), 0);
    assert_true(holds(CONF, NEW) && !is_there("/var/lib/wgdeck/" NAME "/change"));
    change_journal_free(&journal);
}

/* While somebody acts, the guard waits. */
static void test_guard_turn(void **state)
{
    (void)state;
    struct change_journal journal;
    struct err err = {""};
    int lock, guard, turn;
    begin_guard(&journal, 0.5, &lock, &guard);
    turn = change_turn(NAME, 0, NULL, &err);
    assert_true(turn >= 0);
    usleep(1200000);
    assert_true(is_there("/var/lib/wgdeck/" NAME "/change"));
    change_turn_end(turn);
    assert_int_equal(guard_wait_end(guard, 5), 0);
    assert_false(is_there("/var/lib/wgdeck/" NAME "/change"));
    change_journal_free(&journal);
}

static void test_no_guard(void **state)
{
    (void)state;
    struct err err = {""};
    clear();
    assert_int_equal(change_make_folder(NAME, &err), 0);
    assert_int_equal(guard_start(NAME, STDIN_FILENO, &err), -1); /* there is no journal */
    assert_non_null(strstr(err.text, "nothing is touched"));
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[2], "--guard")) { /* guard_start starts this program again */
        change_root = argv[4];
        return node_guard(argv[3]);
    }
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal),       cmocka_unit_test(test_lock),          cmocka_unit_test(test_keys),         cmocka_unit_test(test_preshared),
        cmocka_unit_test(test_confirm),       cmocka_unit_test(test_set_aside),     cmocka_unit_test(test_link),         cmocka_unit_test(test_recover),
        cmocka_unit_test(test_killed_at_each_call),
        cmocka_unit_test(test_revert),        cmocka_unit_test(test_guard_time),    cmocka_unit_test(test_guard_confirm), cmocka_unit_test(test_guard_signals),
        cmocka_unit_test(test_guard_killed),  cmocka_unit_test(test_guard_completes), cmocka_unit_test(test_guard_turn), cmocka_unit_test(test_no_guard),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
