/* Invitations on their hub, in a folder that stands for the system: what sshd says, which file, its rights and what is undone; records and what time does to them; and the dialogue with a
 * newcomer over a helper that follows a script (this program, run again). With a real sshd and real interfaces: tests/lab/invite_test.py. */
#include "unit.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/helper_pipe.h"
#include "node/invite_parts.h"
#include "node/join_hub.h"
#include "node/login.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/node.h"
#include "wgdeck/plan.h"

#define NAME "wgt0"
#define ID "0123456789abcdef"
#define PUBLIC "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILL0wPtnYZNL7yJxMihTn0iLWmF0q4+xRuUp2gZYmWDv"

static char root[] = "/tmp/wgdeck-invite-test-XXXXXX";
static struct account me;

/* --- the folder */

static char *at(const char *path)
{
    return mem_format("%s%s", root, path);
}

static void put(const char *path, const char *text, mode_t mode)
{
    struct err err;
    char *whole = at(path), *slash = strrchr(whole, '/');
    *slash = '\0';
    assert_int_equal(file_make_folders(whole, 0755, &err), 0);
    *slash = '/';
    assert_int_equal(file_write(whole, mode, text, strlen(text), &err), 0);
    free(whole);
}

static bool holds(const char *path, const char *text)
{
    struct buf buf = BUF_EMPTY;
    char *whole = at(path);
    bool same = !file_read(whole, 1 << 20, &buf, NULL) && (text ? !strcmp(buf_text(&buf), text) : true);
    buf_free(&buf);
    free(whole);
    return same;
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    char *whole = at(path);
    mode_t mode = stat(whole, &status) ? 0 : status.st_mode & 07777;
    free(whole);
    return mode;
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *place)
{
    (void)about;
    (void)type;
    return place->level ? remove(path) : 0;
}

static void fresh(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    char *passwd = mem_format("daemon:x:1:1::/:/usr/sbin/nologin\nme:x:%u:%u:Me:%s/home/me:/bin/sh\nroot:x:0:0::%s/root:/bin/sh\nbroken\n", geteuid(), getegid(), root, root);
    char *group = mem_format("wheel:x:4711:daemon,me\nmine:x:%u:\nothers:x:4712:you\n", getegid());
    put("/etc/passwd", passwd, 0644);
    put("/etc/group", group, 0644);
    put("/home/me/file", "", 0600);
    put("/run/x", "", 0600);
    free(passwd);
    free(group);
    account_free(&me);
    assert_int_equal(account_find("me", &me), 0);
}

static int make_root(void **state)
{
    (void)state;
    change_root = mkdtemp(root);
    return !change_root;
}

static int remove_root(void **state)
{
    (void)state;
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    account_free(&me);
    return rmdir(root);
}

/* --- accounts, and the sshd above */

static void test_accounts(void **state)
{
    struct account account;
    gid_t ids[ACCOUNT_GROUPS];
    size_t count;
    (void)state;
    fresh();
    assert_int_equal(me.uid, geteuid());
    assert_string_equal(me.shell, "/bin/sh");
    static const char *const none[] = {"", "nobody-here", "broken", "me:x", "a name that is longer than any login can be"};
    for (size_t i = 0; i < COUNT_OF(none); i++)
        CASE_ASSERT(i, account_find(none[i], &account) == 1);
    char **names = account_groups(&me, ids, &count);
    assert_string_equal(names[0], "wheel");
    assert_string_equal(names[1], "mine");
    assert_null(names[2]);
    assert_int_equal(count, 2);
    assert_true(ids[0] == getegid() && ids[1] == 4711);
    login_words_free(names);
}

static void test_sshd_words(void **state)
{
    static const struct { const char *line; size_t length; const char *words; } cases[] = {
#define LINE(text) text, sizeof text - 1
        {LINE("sshd: /usr/sbin/sshd -D -f /etc/other -oPort=23 [listener] 0 of 10-100 startups"), "P -f /etc/other -oPort=23"},
        {LINE("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"), "P"},
        {LINE("sshd: root@notty -f /evil"), "P"},
        {LINE("/usr/sbin/sshd\0-E\0/var/log/x\0-f\0/etc/a b\0"), "P -f /etc/a b"},
        {LINE("/usr/sbin/sshd\0-f"), "P -f"},
        {LINE(""), "P"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char **words = login_words("P", cases[i].line, cases[i].length), joined[256] = "";
        for (char **word = words; *word; word++)
            snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s", word == words ? "" : " ", *word);
        CASE_ASSERT(i, !strcmp(joined, cases[i].words));
        login_words_free(words);
    }
}

/* --- what sshd says */

static void test_accepts(void **state)
{
    static const struct { const char *says; uid_t uid; const char *refused, *warned; } cases[] = {
        {"permitrootlogin without-password\npubkeyauthentication yes\nauthenticationmethods any\nforcecommand none\nchrootdirectory none\nusepam yes\n", 0, NULL, NULL},
        {"", 0, NULL, NULL},
        {"PermitRootLogin forced-commands-only\n", 0, NULL, NULL},
        {"permitrootlogin no\n", 0, "PermitRootLogin", NULL},
        {"permitrootlogin no\n", 1000, NULL, NULL},
        {"pubkeyauthentication no\n", 0, "PubkeyAuthentication", NULL},
        {"authenticationmethods publickey,password\n", 0, "AuthenticationMethods", NULL},
        {"authenticationmethods publickey,password publickey\n", 0, NULL, NULL},
        {"pubkeyacceptedalgorithms rsa-sha2-512,ssh-ed25519-cert-v01@openssh.com\n", 0, "Ed25519", NULL},
        {"pubkeyacceptedkeytypes rsa-sha2-512,ssh-ed25519\n", 0, NULL, NULL},
        {"forcecommand internal-sftp\n", 0, "ForceCommand", NULL},
        {"chrootdirectory /srv\n", 0, "ChrootDirectory", NULL},
        {"allowusers bob\nallowusers m?\n", 0, NULL, NULL},
        {"allowusers bob\nallowusers alice\n", 0, "AllowUsers", NULL},
        {"allowusers me@10.0.0.*\n", 0, NULL, "some hosts"},
        {"allowusers me@10.0.0.* me\n", 0, NULL, NULL},
        {"denyusers m*\n", 0, "DenyUsers", NULL},
        {"denyusers me@10.0.0.*\n", 0, NULL, "some hosts"},
        {"allowgroups wheel\n", 0, NULL, NULL},
        {"allowgroups staff\n", 0, "AllowGroups", NULL},
        {"denygroups wheel\n", 0, "DenyGroups", NULL},
    };
    static const char *const groups[] = {"wheel", "mine", NULL};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct account account = {.name = "me", .uid = cases[i].uid, .home = root, .shell = (char[]){"/bin/sh"}};
        struct buf warnings = BUF_EMPTY;
        struct sshd_says says;
        struct err err = {""};
        sshd_parse(cases[i].says, &says);
        int result = sshd_accepts(&says, &account, groups, &warnings, &err);
        CASE_ASSERT(i, cases[i].refused ? result && strstr(err.text, cases[i].refused) : !result);
        CASE_ASSERT(i, cases[i].warned ? strstr(buf_text(&warnings), cases[i].warned) != NULL : !warnings.length);
        sshd_free(&says);
        buf_free(&warnings);
    }
    struct account none = {.name = "me", .uid = 5, .home = root, .shell = (char[]){"/usr/sbin/nologin"}};
    struct sshd_says says = {0};
    struct err err;
    assert_int_equal(sshd_accepts(&says, &none, groups, NULL, &err), -1);
}

static void test_choose_file(void **state)
{
    static const struct { const char *says, *file; } cases[] = {
        {"authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2\n", "/h/me/.ssh/authorized_keys2"},
        {"port 22\n", "/h/me/.ssh/authorized_keys2"},
        {"authorizedkeysfile .ssh/authorized_keys\n", NULL},
        {"authorizedkeysfile %h/.ssh/authorized_keys\n", NULL},
        {"authorizedkeysfile none\n", NULL},
        {"authorizedkeysfile /etc/ssh/keys/%u\n", "/etc/ssh/keys/me"},
        {"authorizedkeysfile /etc/ssh/keys/%U.%%x\n", "/etc/ssh/keys/1000.%x"},
        {"authorizedkeysfile .ssh/authorized_keys /etc/ssh/everybody %h/k\n", "/h/me/k"}, /* a file for all accounts would let them all in */
        {"authorizedkeysfile /etc/ssh/%k/%u .ssh/keys\n", "/h/me/.ssh/keys"},
        {"authorizedkeysfile ../../etc/x%u\n", NULL},
        {"authorizedkeysfile keys%\n", NULL},
    };
    struct account account = {.name = "me", .uid = 1000, .home = (char[]){"/h/me"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sshd_says says;
        struct err err = {""};
        sshd_parse(cases[i].says, &says);
        char *file = sshd_choose_file(&says, &account, &err);
        CASE_ASSERT(i, cases[i].file ? file && !strcmp(file, cases[i].file) : !file && strstr(err.text, "authorized_keys2"));
        free(file);
        sshd_free(&says);
    }
}

static void test_host_keys(void **state)
{
    char *keys[INVITATION_HOST_KEYS];
    struct sshd_says says;
    struct err err;
    (void)state;
    fresh();
    put("/etc/ssh/rsa.pub", "ssh-rsa AAAArsa root@x\n", 0644);
    put("/etc/ssh/ec.pub", "ecdsa-sha2-nistp256 AAAAec\n", 0644);
    put("/etc/ssh/ed.pub", PUBLIC " root@x\n", 0644);
    put("/etc/ssh/odd.pub", "ssh-ed25519\x1b[31m AAAA\n", 0644);
    put("/etc/ssh/dss.pub", "ssh-dss AAAAdss\n", 0644);
    sshd_parse("hostkey /etc/ssh/dss\nhostkey /etc/ssh/rsa\nhostkey /etc/ssh/odd\nhostkey /etc/ssh/ec\nhostkey /etc/ssh/none\nhostkey /etc/ssh/ed\n", &says);
    assert_int_equal(sshd_host_keys(&says, keys, &err), 3);
    assert_string_equal(keys[0], PUBLIC);
    assert_string_equal(keys[1], "ecdsa-sha2-nistp256 AAAAec");
    assert_string_equal(keys[2], "ssh-rsa AAAArsa");
    for (size_t i = 0; i < 3; i++)
        free(keys[i]);
    sshd_free(&says);
    sshd_parse("hostkey /etc/ssh/none\n", &says);
    assert_int_equal(sshd_host_keys(&says, keys, &err), 0);
    sshd_free(&says);
}

/* --- the line */

#define LINE_OF(id) "restrict " PUBLIC " wgdeck-invitation-" id " mail"

static void test_line(void **state)
{
    static const char other[] = "# by hand\nssh-ed25519 AAAAother\n";
    struct err err;
    bool made = false;
    (void)state;
    fresh();
    char *file = at("/home/me/.ssh/authorized_keys2");
    assert_int_equal(invite_line_set(&me, file, ID, NULL, &made, &err), 0); /* nothing there, nothing to do */
    assert_int_equal(mode_of("/home/me/.ssh"), 0);
    assert_int_equal(invite_line_set(&me, file, ID, LINE_OF(ID), &made, &err), 0);
    assert_true(made);
    assert_int_equal(mode_of("/home/me/.ssh"), 0700);
    assert_int_equal(mode_of("/home/me/.ssh/authorized_keys2"), 0600);
    assert_true(holds("/home/me/.ssh/authorized_keys2", LINE_OF(ID) "\n"));
    assert_int_equal(invite_line_set(&me, file, ID, NULL, &made, &err), 0);
    assert_false(made);
    assert_false(holds("/home/me/.ssh/authorized_keys2", NULL)); /* an empty one does not stay */
    put("/home/me/.ssh/authorized_keys2", other, 0640);
    assert_int_equal(invite_line_set(&me, file, ID, LINE_OF(ID), &made, &err), 0);
    assert_true(holds("/home/me/.ssh/authorized_keys2", "# by hand\nssh-ed25519 AAAAother\n" LINE_OF(ID) "\n"));
    assert_int_equal(mode_of("/home/me/.ssh/authorized_keys2"), 0640);
    assert_int_equal(invite_line_set(&me, file, "fedcba9876543210", NULL, &made, &err), 0);
    assert_int_equal(invite_line_set(&me, file, ID, NULL, &made, &err), 0);
    assert_true(holds("/home/me/.ssh/authorized_keys2", other));
    free(file);
}

/* What sshd would not take is not written, and what was made for it goes again. */
static void test_line_refused(void **state)
{
    struct err err;
    bool made;
    (void)state;
    fresh();
    char *file = at("/home/me/.ssh/authorized_keys2"), *home = at("/home/me"), *outside = at("/etc/keys/me"), *folder = at("/home/me/.ssh");
    assert_int_equal(chmod(home, 0777), 0);
    assert_int_equal(invite_line_set(&me, file, ID, LINE_OF(ID), &made, &err), -1);
    assert_non_null(strstr(err.text, "others can write"));
    assert_int_equal(mode_of("/home/me/.ssh"), 0);
    assert_int_equal(chmod(home, 0755), 0);
    assert_int_equal(invite_line_set(&me, outside, ID, LINE_OF(ID), &made, &err), -1); /* outside of the home no folder is made */
    assert_int_equal(mode_of("/etc/keys"), 0);
    put("/home/me/.ssh/authorized_keys2/x", "", 0600);
    assert_int_equal(invite_line_set(&me, file, ID, LINE_OF(ID), &made, &err), -1);
    assert_non_null(strstr(err.text, "is no file"));
    put("/home/me/.ssh/keys", "x\n", 0666);
    free(file);
    file = at("/home/me/.ssh/keys");
    assert_int_equal(invite_line_set(&me, file, ID, LINE_OF(ID), &made, &err), -1);
    assert_true(holds("/home/me/.ssh/keys", "x\n"));
    free(file);
    free(home);
    free(outside);
    free(folder);
}

/* Root writes in somebody's home: never where a link of theirs leads that they could not go themselves. */
static void test_line_of_others(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    fresh();
    struct account other = {.name = "other", .uid = 4242, .gid = 4242, .home = at("/home/other"), .shell = (char[]){"/bin/sh"}};
    char *file = at("/home/other/.ssh/authorized_keys2"), *ssh = at("/home/other/.ssh"), *secret = at("/root/.ssh"), *kept = at("/root/.ssh/authorized_keys2");
    struct err err;
    struct stat status;
    bool made;
    assert_int_equal(chmod(root, 0755), 0);
    put("/home/other/x", "", 0600);
    put("/root/.ssh/x", "", 0600);
    assert_int_equal(chown(other.home, other.uid, other.gid), 0);
    assert_int_equal(chmod(secret, 0700), 0);
    assert_int_equal(invite_line_set(&other, file, ID, LINE_OF(ID), &made, &err), 0);
    assert_true(made);
    assert_true(!stat(file, &status) && status.st_uid == other.uid && status.st_gid == other.gid && (status.st_mode & 0777) == 0600);
    assert_true(!stat(ssh, &status) && status.st_uid == other.uid && (status.st_mode & 0777) == 0700);
    assert_int_equal(invite_line_set(&other, file, ID, NULL, &made, &err), 0);
    invite_line_remove_folder(&other, file);
    assert_int_not_equal(access(ssh, F_OK), 0);
    assert_int_equal(symlink(secret, ssh), 0);
    assert_int_equal(invite_line_set(&other, file, ID, LINE_OF(ID), &made, &err), -1);
    assert_int_not_equal(access(kept, F_OK), 0);
    put("/root/.ssh/authorized_keys2", "root's\n", 0600);
    assert_int_equal(unlink(ssh), 0);
    assert_int_equal(mkdir(ssh, 0755), 0);
    assert_int_equal(chown(ssh, other.uid, other.gid), 0);
    assert_int_equal(symlink(kept, file), 0);
    assert_int_equal(invite_line_set(&other, file, ID, LINE_OF(ID), &made, &err), -1);
    assert_true(holds("/root/.ssh/authorized_keys2", "root's\n"));
    free(other.home);
    free(file);
    free(ssh);
    free(secret);
    free(kept);
}

/* A folder of theirs outside of the home is no more to be trusted than the home. */
static void test_line_in_folder_of_others(void **state)
{
    (void)state;
    static const char both[] = "root's\n" LINE_OF(ID) "\n";
    char place[] = "/run/wgdeck-test-XXXXXX"; /* where nobody else can write, as sshd wants it */
    if (geteuid() != 0 || !mkdtemp(place))
        skip();
    fresh();
    struct account other = {.name = "other", .uid = 4242, .gid = 4242, .home = at("/home/other"), .shell = (char[]){"/bin/sh"}};
    char *folder = at("/srv/keys"), *file = at("/srv/keys/other"), *secret = mem_format("%s/authorized_keys2", place);
    struct err err;
    struct buf text = BUF_EMPTY;
    put("/srv/keys/x", "", 0600);
    assert_int_equal(chown(folder, other.uid, other.gid), 0);
    assert_int_equal(file_write(secret, 0600, both, strlen(both), &err), 0);
    assert_int_equal(symlink(secret, file), 0);
    (void)invite_line_set(&other, file, ID, NULL, NULL, &err);
    int result = file_read(secret, 1 << 16, &text, &err);
    unlink(secret);
    rmdir(place);
    assert_int_equal(result, 0);
    assert_string_equal(buf_text(&text), both);
    buf_free(&text);
    free(other.home);
    free(folder);
    free(file);
    free(secret);
}

/* --- records and time */

static struct key key_of(char letter)
{
    struct key key;
    memset(key.bytes, letter, sizeof key.bytes);
    return key;
}

/* The interface as the tests want it: its own key 'h', and rows of these letters; "" none, NULL: it cannot be read. */
static const char *rows = "";

static int fake_device(const char *interface, struct device *device, struct err *err)
{
    if (!rows)
        return err_set(err, "%s: it cannot be read", interface);
    *device = (struct device){.public_key = key_of('h'), .has_private = true, .peer_count = strlen(rows)};
    device->peers = mem_alloc(device->peer_count + 1, sizeof *device->peers);
    for (size_t i = 0; i < device->peer_count; i++)
        device->peers[i].public_key = key_of(rows[i]);
    device_sort(device);
    return 0;
}

static void make_entry(struct invite_entry *entry, const char *preshared)
{
    char place[KEY_TEXT_SIZE], hub[KEY_TEXT_SIZE];
    struct key place_key = key_of('p'), hub_key = key_of('h');
    struct err err = {""};
    key_text(&place_key, place);
    key_text(&hub_key, hub);
    char *text = mem_format("{\"id\":\"" ID "\",\"interface\":\"" NAME "\",\"mesh\":\"prod\",\"name\":\"mail\",\"relay\":true,\"made\":1,\"expires\":%lld,\"by\":\"alice\",\"public\":\"" PUBLIC "\","
                            "\"place\":\"%s\",\"hub\":[{\"do\":\"row\",\"running\":true,\"saved\":true,\"key\":\"%s\",\"name\":\"mail\",\"new\":true,\"allowed\":[\"10.44.0.193/32\"],\"preshared\":\"%s\"}],"
                            "\"node\":[{\"do\":\"row\",\"running\":true,\"saved\":true,\"key\":\"%s\",\"name\":\"hub\",\"new\":true,\"allowed\":[\"10.44.0.0/24\"],\"endpoint\":\"192.0.2.1:51820\"}],"
                            "\"addresses\":[\"10.44.0.193/32\"],\"state\":\"open\"}",
                            (long long)(clock_wall() / CLOCK_SECOND + 600), place, place, preshared, hub);
    cJSON *object = json_parse(text, strlen(text), &err);
    assert_non_null(object);
    *entry = (struct invite_entry){0};
    if (invitation_record_read(object, &entry->record, &err))
        fail_msg("%s", err.text);
    entry->file = at("/home/me/.ssh/authorized_keys2");
    entry->user = mem_text("me");
    cJSON_Delete(object);
    free(text);
}

static void read_entry(struct invite_entry *entry)
{
    struct err err;
    invite_entry_free(entry);
    assert_int_equal(invite_read(NAME, ID, entry, &err), 0);
}

static bool has_line(void)
{
    return holds("/home/me/.ssh/authorized_keys2", NULL);
}

static void test_store(void **state)
{
    struct invite_entry entry, again = {0};
    struct err err;
    (void)state;
    fresh();
    make_entry(&entry, "keep");
    assert_int_equal(invite_read(NAME, ID, &again, &err), 1);
    assert_null(invite_interface_of(ID));
    assert_int_equal(invite_write(&entry, &err), 0);
    assert_int_equal(mode_of("/var/lib/wgdeck/" NAME "/invitations/" ID), 0600);
    assert_int_equal(mode_of("/var/lib/wgdeck/" NAME "/invitations"), 0700);
    char *interface = invite_interface_of(ID);
    assert_string_equal(interface, NAME);
    free(interface);
    assert_null(invite_interface_of("../../x"));
    read_entry(&again);
    assert_string_equal(again.file, entry.file);
    assert_string_equal(again.user, "me");
    assert_string_equal(again.record.hub, entry.record.hub);
    assert_false(again.burnt);
    /* Others that lie there are no records, and one that cannot be read is said. */
    struct invite_list list;
    struct buf warnings = BUF_EMPTY;
    put("/var/lib/wgdeck/" NAME "/invitations/.wgdeck-abc", "x", 0600);
    put("/var/lib/wgdeck/" NAME "/invitations/notes", "x", 0600);
    put("/var/lib/wgdeck/" NAME "/invitations/ffffffffffffffff", "{}", 0600);
    invite_list_read(NAME, &list, &warnings);
    assert_int_equal(list.count, 1);
    assert_non_null(strstr(buf_text(&warnings), "ffffffffffffffff"));
    assert_false(holds("/var/lib/wgdeck/" NAME "/invitations/.wgdeck-abc", NULL));
    invite_list_free(&list);
    buf_free(&warnings);
    assert_int_equal(invite_remove(&entry, &err), 0);
    assert_null(invite_interface_of(ID));
    invite_entry_free(&entry);
    invite_entry_free(&again);
}

static void test_time(void **state)
{
    static const struct { enum invitation_state state; int64_t expires, at; const char *rows; enum invitation_state after; bool line, record; } cases[] = {
        {INVITATION_OPEN, 600, 0, "", INVITATION_OPEN, true, true},
        {INVITATION_OPEN, -1, 0, "", INVITATION_EXPIRED, false, true},
        {INVITATION_REVOKED, 600, 0, "", INVITATION_REVOKED, false, true},
        {INVITATION_EXPIRED, -8 * 86400, 0, "", INVITATION_EXPIRED, false, false},
        {INVITATION_JOINING, 600, 0, "", INVITATION_OPEN, true, true},           /* its join was put back */
        {INVITATION_JOINING, -1, 0, "", INVITATION_EXPIRED, false, true},
        {INVITATION_JOINING, 600, -1, "m", INVITATION_USED, true, true},         /* it was kept, and then somebody was killed */
        {INVITATION_JOINING, 600, 0, NULL, INVITATION_JOINING, true, true},      /* nobody can tell */
        {INVITATION_USED, 600, -5, "m", INVITATION_USED, true, true},
        {INVITATION_USED, 600, -700, "m", INVITATION_USED, false, true},
        {INVITATION_USED, -1, -5, "m", INVITATION_USED, false, true},
        {INVITATION_USED, -90 * 86400, -90 * 86400, "m", INVITATION_USED, false, true}, /* what has joined stays known */
        {INVITATION_USED, -90 * 86400, -90 * 86400, "x", INVITATION_USED, false, false},
        {INVITATION_USED, -90 * 86400, -90 * 86400, NULL, INVITATION_USED, false, true},
    };
    int64_t now = clock_wall() / CLOCK_SECOND;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct invite_entry entry;
        struct device device = {0};
        struct err err;
        fresh();
        make_entry(&entry, "keep");
        entry.record.state = cases[i].state;
        entry.record.expires = now + cases[i].expires;
        entry.record.at = cases[i].at ? now + cases[i].at : 0;
        entry.record.has_key = cases[i].state == INVITATION_JOINING || cases[i].state == INVITATION_USED;
        entry.record.key = key_of('m');
        CASE_ASSERT(i, !invite_write(&entry, &err) && !invite_line_set(&me, entry.file, ID, LINE_OF(ID), NULL, &err));
        rows = cases[i].rows;
        bool known = !fake_device(NAME, &device, &err);
        for (int round = 0; round < 2; round++)
            invite_sweep(NAME, known ? &device : NULL, NULL);
        invite_entry_free(&entry);
        CASE_ASSERT(i, (invite_read(NAME, ID, &entry, &err) == 0) == cases[i].record);
        CASE_ASSERT(i, !cases[i].record || entry.record.state == cases[i].after);
        CASE_ASSERT(i, !cases[i].record || cases[i].after == INVITATION_USED || cases[i].after == INVITATION_JOINING || !entry.record.has_key);
        CASE_ASSERT(i, has_line() == cases[i].line);
        invite_entry_free(&entry);
        device_free(&device);
    }
}

/* --- the dialogue. The helper is this program as "node": it writes down what it is asked, and refuses what WGDECK_TEST_REFUSE says ("stage:failed") */

static int be_helper(void)
{
    const char *path = getenv("WGDECK_TEST_LOG"), *no = getenv("WGDECK_TEST_REFUSE");
    struct buf line = BUF_EMPTY;
    for (int letter; (letter = getchar()) != EOF;) {
        if (letter != '\n') {
            buf_add_char(&line, (char)letter);
            continue;
        }
        cJSON *request = json_parse(buf_text(&line), line.length, NULL);
        const char *op = json_get_text(request, "op", "");
        unsigned long long id = json_get_unsigned(request, "id", 0);
        FILE *log = fopen(path, "a");
        fprintf(log, "%s ", op);
        fclose(log);
        size_t size = strlen(op);
        if (no && !strncmp(no, op, size) && no[size] == ':')
            printf("{\"id\":%llu,\"ok\":false,\"error\":\"%s cannot be\",\"code\":\"%s\"}\n", id, op, no + size + 1);
        else if (!strcmp(op, "verify"))
            printf("{\"id\":%llu,\"event\":\"link\",\"key\":\"x\",\"rtt\":1234}\n{\"id\":%llu,\"ok\":true,\"failed\":[]}\n", id, id);
        else
            printf("{\"id\":%llu,\"ok\":true,\"box\":\"BOX\",\"sealed\":[{\"key\":\"x\",\"sealed\":\"SEALED\"}]}\n", id);
        fflush(stdout);
        cJSON_Delete(request);
        buf_clear(&line);
    }
    buf_free(&line);
    return 0;
}

static char said[1 << 16]; /* all that the hub has answered */

/* LINES to a hub of the invitation; KEY of the newcomer stands in them as %K. */
static void dialogue(const char *lines, char newcomer)
{
    struct join_hub hub = {.id = ID, .lock = -1, .interface = invite_interface_of(ID), .from = mem_text("198.51.100.7")};
    struct key key = key_of(newcomer);
    char text[KEY_TEXT_SIZE], *log = at("/log");
    struct buf in = BUF_EMPTY;
    int input[2], output[2];
    key_text(&key, text);
    for (const char *letter = lines; *letter; letter++)
        if (letter[0] == '%' && letter[1] == 'K')
            buf_add_text(&in, text), letter++;
        else
            buf_add_char(&in, *letter);
    unlink(log);
    setenv("WGDECK_TEST_LOG", log, 1);
    assert_int_equal(pipe2(input, O_CLOEXEC) || pipe2(output, O_CLOEXEC), 0);
    fcntl(input[1], F_SETPIPE_SZ, 1 << 20);
    assert_int_equal(file_write_all(input[1], buf_text(&in), in.length), 0);
    close(input[1]);
    join_hub_talk(&hub, input[0], output[1]);
    (void)join_hub_put_back(&hub, NULL);
    join_hub_free(&hub);
    close(input[0]);
    close(output[1]);
    ssize_t length = read(output[0], said, sizeof said - 1);
    said[length > 0 ? length : 0] = '\0';
    close(output[0]);
    buf_free(&in);
    free(log);
}

#define JOIN "{\"id\":1,\"op\":\"join\",\"public_key\":\"%K\",\"box\":\"%K\",\"hostname\":\"mail-1\",\"candidates\":[]}\n"
#define CHECK "{\"id\":2,\"op\":\"check\"}\n"
#define KEEP "{\"id\":3,\"op\":\"keep\"}\n"
#define BYE "{\"id\":4,\"op\":\"bye\"}\n"
#define GIVE_UP "{\"id\":5,\"op\":\"give-up\",\"why\":\"\\u001b[31m\"}\n"

static void test_dialogues(void **state)
{
    static const struct {
        const char *what, *lines, *refuse, *rows;
        enum invitation_state before, after;
        const char *log, *says; /* the helper's; words of the hub's answers */
        bool line;
    } cases[] = {
        {"all of it", JOIN CHECK KEEP BYE, NULL, "b", INVITATION_OPEN, INVITATION_USED, "begin stage finish verify confirm ", "\"rtt\":1234", false},
        {"no bye", JOIN CHECK KEEP, NULL, "b", INVITATION_OPEN, INVITATION_USED, "begin stage finish verify confirm ", "{\"id\":3,\"ok\":true}", true},
        {"keep twice", JOIN KEEP KEEP BYE BYE, NULL, "b", INVITATION_OPEN, INVITATION_USED, "begin stage finish confirm ", "\"ok\":true", false},
        {"given up", JOIN CHECK GIVE_UP JOIN, NULL, "b", INVITATION_OPEN, INVITATION_OPEN, "begin stage finish verify revert ", "{\"id\":5,\"ok\":true}", true},
        {"cut off", JOIN CHECK, NULL, "b", INVITATION_OPEN, INVITATION_OPEN, "begin stage finish verify revert ", "\"ok\":true", true},
        {"no order", KEEP CHECK BYE, NULL, "b", INVITATION_OPEN, INVITATION_OPEN, NULL, "nothing was asked for yet", true},
        {"joined twice at once", JOIN JOIN, NULL, "b", INVITATION_OPEN, INVITATION_OPEN, "begin stage finish revert ", "asked for already", true},
        {"give-up after keep", JOIN KEEP GIVE_UP BYE, NULL, "b", INVITATION_OPEN, INVITATION_USED, "begin stage finish confirm ", "it is kept already", false},
        {"locked", JOIN JOIN, "begin:locked", "b", INVITATION_OPEN, INVITATION_OPEN, "begin release begin release ", "\"code\":\"locked\"", true},
        {"stage fails", JOIN CHECK, "stage:failed", "b", INVITATION_OPEN, INVITATION_OPEN, "begin stage release ", "stage cannot be", true},
        {"finish fails", JOIN, "finish:failed", "b", INVITATION_OPEN, INVITATION_OPEN, "begin stage finish revert ", "finish cannot be", true},
        {"verify fails", JOIN CHECK KEEP BYE, "verify:failed", "b", INVITATION_OPEN, INVITATION_USED, "begin stage finish verify confirm ", "verify cannot be", false},
        {"confirm fails", JOIN KEEP BYE, "confirm:failed", "b", INVITATION_OPEN, INVITATION_OPEN, "begin stage finish confirm revert ", "confirm cannot be", true},
        {"broke off as it was confirmed, and the row stays", JOIN KEEP, "confirm:guarded", "bm", INVITATION_JOINING, INVITATION_USED, NULL, "used already", true},
        {"a key of another", JOIN, NULL, "m", INVITATION_OPEN, INVITATION_OPEN, "begin release ", "\"code\":\"taken\"", true},
        {"revoked", JOIN, NULL, "", INVITATION_REVOKED, INVITATION_REVOKED, NULL, "\"code\":\"revoked\"", false},
        {"expired", JOIN, NULL, "", INVITATION_EXPIRED, INVITATION_EXPIRED, NULL, "\"code\":\"expired\"", false},
        {"used by another", JOIN, NULL, "u", INVITATION_USED, INVITATION_USED, NULL, "used already, from 203.0.113.5", true},
        {"broke off, and was kept by another", JOIN, NULL, "u", INVITATION_JOINING, INVITATION_USED, "begin release ", "\"code\":\"used\"", true},
        {"broke off, and was put back", JOIN KEEP BYE, NULL, "b", INVITATION_JOINING, INVITATION_USED, "begin stage finish confirm ", "\"ok\":true", false},
        {"nonsense", "{\"id\":7,\"op\":\"observe\"}\n[]\n" JOIN, NULL, "", INVITATION_OPEN, INVITATION_OPEN, NULL, "nothing else", true},
        {"no key", "{\"id\":1,\"op\":\"join\",\"public_key\":\"AAAA\",\"box\":7}\n", NULL, "", INVITATION_OPEN, INVITATION_OPEN, NULL, "is no key", true},
        {"the interface cannot be read", JOIN, NULL, NULL, INVITATION_OPEN, INVITATION_OPEN, "begin release ", "cannot be read", true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct invite_entry entry;
        struct err err;
        fresh();
        make_entry(&entry, "keep");
        entry.record.state = cases[i].before;
        entry.record.has_key = cases[i].before == INVITATION_USED || cases[i].before == INVITATION_JOINING;
        entry.record.key = key_of('u');
        entry.record.at = entry.record.has_key ? clock_wall() / CLOCK_SECOND : 0;
        entry.record.from = entry.record.has_key ? mem_text("203.0.113.5") : NULL;
        if (strstr(cases[i].what, "the row stays"))
            entry.record.key = key_of('b');
        CASE_ASSERT(i, !invite_write(&entry, &err) && !invite_line_set(&me, entry.file, ID, LINE_OF(ID), NULL, &err));
        rows = cases[i].rows;
        unsetenv("WGDECK_TEST_REFUSE");
        if (cases[i].refuse)
            setenv("WGDECK_TEST_REFUSE", cases[i].refuse, 1);
        dialogue(cases[i].lines, 'm');
        read_entry(&entry);
        if (!strstr(said, cases[i].says))
            fail_msg("%s: %s", cases[i].what, said);
        CASE_ASSERT(i, entry.record.state == cases[i].after);
        CASE_ASSERT(i, !cases[i].log || holds("/log", cases[i].log));
        CASE_ASSERT(i, cases[i].log || strstr(cases[i].what, "stays") || !holds("/log", NULL));
        CASE_ASSERT(i, has_line() == cases[i].line);
        CASE_ASSERT(i, !invite_is_joining(ID));
        if (cases[i].after == INVITATION_USED && cases[i].before == INVITATION_OPEN) {
            struct key key = key_of('m');
            CASE_ASSERT(i, entry.record.has_key && key_equal(&entry.record.key, &key) && !strcmp(entry.record.from, "198.51.100.7") && !strcmp(entry.record.hostname, "mail-1"));
        }
        invite_entry_free(&entry);
    }
}

/* The newcomer whose last answer was lost asks again; a preshared key is made anew for it. */
static void test_again(void **state)
{
    struct invite_entry entry;
    struct err err;
    (void)state;
    fresh();
    unsetenv("WGDECK_TEST_REFUSE");
    make_entry(&entry, "make");
    assert_int_equal(invite_write(&entry, &err), 0);
    assert_int_equal(invite_line_set(&me, entry.file, ID, LINE_OF(ID), NULL, &err), 0);
    rows = "b";
    dialogue(JOIN KEEP, 'm');
    assert_non_null(strstr(said, "\"sealed\":\"SEALED\""));
    assert_true(holds("/log", "begin preshared stage finish confirm "));
    rows = "bm";
    dialogue(JOIN KEEP BYE, 'm');
    assert_non_null(strstr(said, "{\"id\":4,\"ok\":true}"));
    assert_true(holds("/log", "begin preshared stage finish confirm "));
    assert_false(has_line());
    dialogue(JOIN GIVE_UP, 'm'); /* given up the second time: what was kept stays kept */
    read_entry(&entry);
    assert_int_equal(entry.record.state, INVITATION_USED);
    rows = "b"; /* taken out of the mesh since */
    dialogue(JOIN, 'm');
    assert_non_null(strstr(said, "taken out of the mesh again"));
    invite_entry_free(&entry);
}

static void test_limits(void **state)
{
    struct invite_entry entry;
    struct err err;
    struct buf lines = BUF_EMPTY;
    (void)state;
    fresh();
    make_entry(&entry, "keep");
    assert_int_equal(invite_write(&entry, &err), 0);
    for (int i = 0; i < (JOIN_HUB_LINE_MAX) + 5000; i++)
        buf_add_char(&lines, 'x');
    dialogue(buf_text(&lines), 'm');
    assert_non_null(strstr(said, "64 KiB"));
    buf_clear(&lines);
    for (int i = 0; i < 400; i++)
        buf_add_text(&lines, "{\"id\":1}\n");
    dialogue(buf_text(&lines), 'm');
    size_t answers = 0;
    for (const char *letter = said; *letter; letter++)
        answers += *letter == '\n';
    assert_int_equal(answers, 300);
    /* Another one joins: its lock is held as long as that process lives. */
    int lock = invite_join_lock(ID, 0, NULL);
    assert_true(lock >= 0);
    dialogue(JOIN, 'm');
    assert_non_null(strstr(said, "\"code\":\"busy\""));
    change_turn_end(lock);
    /* And one of which nothing is known. */
    assert_int_equal(invite_remove(&entry, &err), 0);
    dialogue(JOIN, 'm');
    assert_non_null(strstr(said, "\"code\":\"revoked\""));
    buf_free(&lines);
    invite_entry_free(&entry);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "node"))
        return be_helper();
    signal(SIGPIPE, SIG_IGN);
    invite_device = fake_device;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounts),     cmocka_unit_test(test_sshd_words),     cmocka_unit_test(test_accepts), cmocka_unit_test(test_choose_file),
        cmocka_unit_test(test_host_keys),    cmocka_unit_test(test_line),           cmocka_unit_test(test_line_refused), cmocka_unit_test(test_line_of_others), cmocka_unit_test(test_line_in_folder_of_others),
        cmocka_unit_test(test_store),        cmocka_unit_test(test_time),           cmocka_unit_test(test_dialogues), cmocka_unit_test(test_again),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
