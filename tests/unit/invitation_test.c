/* Invitations: the token (whole, cut, altered, folded, made up), the keys as OpenSSH takes them, the line in authorized_keys, and the hub's record. */
#include "unit.h"

#include <sodium.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wgdeck/file.h"
#include "wgdeck/invitation.h"
#include "wgdeck/plan.h"
#include "wgdeck/text.h"

#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
#define ID "00ff12ab34cd56ef"
#define PLACE "JTA7RlFcZ3J9iJOeqbS/ytXg6/YBDBciLThDTllkAAA="
#define HUB_KEY "SlVga3aBjJeirbjDztnk7/oFEBsmMTxHUl1oc36JAAE="

static struct invitation sample(void)
{
    struct invitation invitation = {
        .id = ID, .mesh = "prod", .name = "mail", .hub = "hub-1.fra", .user = "root", .relay = true, .expires = 1795410000,
        .places = {{"203.0.113.10", 22}, {"2001:db8::10", 2222}, {"vpn.example.org", 65535}}, .place_count = 3, .host_keys = {ED25519}, .host_key_count = 1,
    };
    for (size_t i = 0; i < sizeof invitation.seed; i++)
        invitation.seed[i] = (uint8_t)(255 - i * 7);
    return invitation;
}

static char *token_of(const struct invitation *invitation)
{
    struct buf token = BUF_EMPTY;
    invitation_encode(invitation, &token);
    return buf_take(&token);
}

static void assert_same(const struct invitation *a, const struct invitation *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->mesh, b->mesh);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->hub, b->hub);
    assert_string_equal(a->user, b->user);
    assert_int_equal(a->relay, b->relay);
    assert_true(a->expires == b->expires);
    assert_memory_equal(a->seed, b->seed, sizeof a->seed);
    assert_int_equal(a->place_count, b->place_count);
    for (size_t i = 0; i < a->place_count; i++) {
        assert_string_equal(a->places[i].host, b->places[i].host);
        assert_int_equal(a->places[i].port, b->places[i].port);
    }
    assert_int_equal(a->host_key_count, b->host_key_count);
    for (size_t i = 0; i < a->host_key_count; i++)
        assert_string_equal(a->host_keys[i], b->host_keys[i]);
}

static bool is_empty(const struct invitation *invitation)
{
    static const struct invitation empty;
    return !memcmp(invitation, &empty, sizeof empty);
}

static void test_round_trip(void **state)
{
    struct invitation invitation = sample(), again;
    struct err err;
    (void)state;
    char *token = token_of(&invitation);
    assert_int_equal(strncmp(token, "wgdeck1.", 8), 0);
    assert_int_equal(strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."), strlen(token));
    assert_null(strchr(token + 8, '.'));
    assert_true(strlen(token) < 300); /* a QR code that fits on a screen */
    if (invitation_decode(token, strlen(token), &again, &err))
        fail_msg("%s", err.text);
    assert_same(&invitation, &again);
    free(token);
    invitation.relay = false;
    token = token_of(&invitation);
    assert_int_equal(invitation_decode(token, strlen(token), &again, &err), 0);
    assert_false(again.relay);
    free(token);
}

static void test_cut(void **state)
{
    struct invitation invitation = sample(), again;
    struct err err;
    (void)state;
    char *token = token_of(&invitation);
    size_t length = strlen(token);
    for (size_t cut = 0; cut < length; cut++) {
        CASE_ASSERT(cut, invitation_decode(token, cut, &again, &err) == -1);
        CASE_ASSERT(cut, is_empty(&again));
        if (cut > 0)
            CASE_ASSERT(cut, strstr(err.text, "the token is cut"));
        if (cut >= 12) {
            char expected[64];
            snprintf(expected, sizeof expected, "%zu of %zu characters", cut, length);
            CASE_ASSERT(cut, strstr(err.text, expected));
        }
    }
    assert_int_equal(invitation_decode(token + 1, length - 1, &again, &err), -1); /* at its beginning */
    char *longer = mem_format("%sAB", token);
    assert_int_equal(invitation_decode(longer, length + 2, &again, &err), -1);
    assert_non_null(strstr(err.text, "2 characters too many"));
    free(longer);
    char *twice = mem_format("%s\n%s\n", token, token);
    assert_int_equal(invitation_decode(twice, strlen(twice), &again, &err), -1);
    free(twice);
    free(token);
}

/* Each character as each other byte there is. */
static void test_altered(void **state)
{
    struct invitation invitation = sample(), again;
    struct err err;
    (void)state;
    char *token = token_of(&invitation);
    size_t length = strlen(token);
    for (size_t at = 0; at < length; at++) {
        char was = token[at];
        for (int byte = 0; byte < 256; byte++) {
            if ((char)byte == was)
                continue;
            token[at] = (char)byte;
            CASE_ASSERT(at, invitation_decode(token, length, &again, &err) == -1);
            CASE_ASSERT(at, is_empty(&again));
            CASE_ASSERT(at, text_is_safe(err.text, strlen(err.text)));
        }
        token[at] = was;
    }
    for (size_t at = 8; at + 1 < length; at++) { /* two neighbours changed over */
        if (token[at] == token[at + 1])
            continue;
        char was = token[at];
        token[at] = token[at + 1];
        token[at + 1] = was;
        CASE_ASSERT(at, invitation_decode(token, length, &again, &err) == -1);
        token[at + 1] = token[at];
        token[at] = was;
    }
    free(token);
}

static void test_folded(void **state)
{
    static const char *const between[] = {" ", "\n", "\r\n", "\t", "\n\n   ", "\v\f"};
    struct invitation invitation = sample(), again;
    struct err err;
    (void)state;
    char *token = token_of(&invitation);
    for (size_t i = 0; i < COUNT_OF(between); i++)
        for (size_t every = 1; every < 80; every += 13) {
            struct buf folded = BUF_EMPTY;
            buf_add_text(&folded, between[i]);
            for (size_t at = 0; token[at]; at++) {
                buf_add_char(&folded, token[at]);
                if (at % every == 0)
                    buf_add_text(&folded, between[i]);
            }
            buf_add_text(&folded, between[i]);
            CASE_ASSERT(i, invitation_decode(folded.data, folded.length, &again, &err) == 0);
            assert_same(&invitation, &again);
            buf_free(&folded);
        }
    free(token);
}

static void test_no_token(void **state)
{
    static const struct { const char *text, *says; } cases[] = {
        {"", "there is no token"},
        {" \r\n", "there is no token"},
        {"w", "is cut"},
        {"wgdeck1", "is cut"},
        {"wgdeck1.", "is cut"},
        {"wgdeck1.AAA", "is cut"},
        {"wgdeck2.AAAAAAAAAAAA", "another version"},
        {"wgdeck10.AAAAAAAAAAAA", "another version"},
        {"wgdeck0.AAAA", "another version"},
        {"wgdeck99999999.AAAA", "no token"},
        {"wgdeck.AAAA", "no token"},
        {"WGDECK1.AAAA", "no token"},
        {"wgdeck1:AAAAAAAAAA", "no token"},
        {"hello", "no token"},
        {"-----BEGIN OPENSSH PRIVATE KEY-----", "no token"},
        {"wgdeck1.AAAAAAAAAAAAAAAAAAAAAAAA", "altered"},
        {"wgdeck1.AAAA\x1b[2JAAAA", "character 13"},
        {"wgdeck1.AAAA\xc3\xa4" "AAAA", "character 13"},
        {"wgdeck1.AA=A", "character 11"},
        {"wgdeck1.AA+A", "character 11"},
    };
    struct invitation again;
    struct err err;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CASE_ASSERT(i, invitation_decode(cases[i].text, strlen(cases[i].text), &again, &err) == -1);
        if (!strstr(err.text, cases[i].says))
            fail_msg("case %zu: %s", i, err.text);
        CASE_ASSERT(i, text_is_safe(err.text, strlen(err.text)));
    }
    char *endless = malloc(1 << 20);
    memset(endless, 'A', 1 << 20);
    assert_int_equal(invitation_decode(endless, 1 << 20, &again, &err), -1);
    memcpy(endless, "wgdeck1.", 8);
    assert_int_equal(invitation_decode(endless, 1 << 20, &again, &err), -1);
    free(endless);
}

/* A token with the right checksums, made by someone who means ill. */
static void test_hostile(void **state)
{
    static const char *const names[] = {"", "a b", "../x", "-x", ".x", "a\nb", "a\x1b[2J", "a/b", "a;b", "a'b", "\xff", "a\"b"};
    static const char *const hosts[] = {"", "-oProxyCommand=x", "a b", "a;b", "a$(b)", "a\nb", "a\x1b]0;x\a", "fe80::1%eth0", ".x", "a/b", "1.2.3.4:22", "[::1]"};
    static const char *const keys[] = {"", "ssh-ed25519", "ssh-ed25519 ", "ssh-ed25519 AAAA", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", ED25519 " x"};
    struct invitation again;
    struct err err;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names) * 4 + COUNT_OF(hosts) + COUNT_OF(keys) + 6; i++) {
        struct invitation invitation = sample();
        size_t at = i;
        if (at < COUNT_OF(names) * 4) {
            char *const members[] = {invitation.mesh, invitation.name, invitation.hub, invitation.user};
            strcpy(members[at % 4], names[at / 4]);
        } else if ((at -= COUNT_OF(names) * 4) < COUNT_OF(hosts)) {
            strcpy(invitation.places[1].host, hosts[at]);
        } else if ((at -= COUNT_OF(hosts)) < COUNT_OF(keys)) {
            strcpy(invitation.host_keys[0], keys[at]);
        } else {
            switch (at - COUNT_OF(keys)) {
            case 0: invitation.place_count = 0; break;
            case 1: invitation.host_key_count = 0; break;
            case 2: invitation.places[0].port = 0; break;
            case 3: invitation.expires = 0; break;
            case 4: invitation.expires = -1; break;
            case 5: invitation.expires = INT64_MAX; break;
            }
        }
        char *token = token_of(&invitation);
        CASE_ASSERT(i, invitation_decode(token, strlen(token), &again, &err) == -1);
        if (!strstr(err.text, "was not made by 'wgdeck invite'"))
            fail_msg("case %zu: %s", i, err.text);
        CASE_ASSERT(i, is_empty(&again));
        free(token);
    }
}

/* The largest that there can be: the first place and key stay, the rest as there is room. */
static void test_largest(void **state)
{
    struct invitation invitation = sample(), again;
    struct err err;
    (void)state;
    memset(invitation.mesh, 'm', 63);
    memset(invitation.name, 'n', 63);
    memset(invitation.hub, 'h', 63);
    memset(invitation.user, 'u', 32);
    for (size_t i = 0; i < INVITATION_PLACES; i++)
        memset(invitation.places[i].host, 'a', 253), invitation.places[i].host[253] = '\0', invitation.places[i].port = 22;
    invitation.place_count = INVITATION_PLACES;
    unsigned char blob[750] = {0, 0, 0, 7, 's', 's', 'h', '-', 'r', 's', 'a'};
    for (size_t i = 0; i < INVITATION_HOST_KEYS; i++) {
        memcpy(invitation.host_keys[i], "ssh-rsa ", 8);
        sodium_bin2base64(invitation.host_keys[i] + 8, sizeof invitation.host_keys[i] - 8, blob, sizeof blob, sodium_base64_VARIANT_ORIGINAL);
    }
    invitation.host_key_count = INVITATION_HOST_KEYS;
    char *token = token_of(&invitation);
    assert_true(strlen(token) <= INVITATION_TOKEN_MAX);
    if (invitation_decode(token, strlen(token), &again, &err))
        fail_msg("%s", err.text);
    assert_in_range(again.place_count, 1, INVITATION_PLACES - 1);
    assert_int_equal(again.host_key_count, 1);
    assert_string_equal(again.host_keys[0], invitation.host_keys[0]);
    free(token);
}

/* --- keys and the line, as OpenSSH takes them */

static int output_of(const char *command, char *output, size_t capacity)
{
    FILE *pipe = popen(command, "r");
    size_t length = fread(output, 1, capacity - 1, pipe);
    output[length] = '\0';
    return pclose(pipe);
}

static void test_openssh(void **state)
{
    struct invitation invitation = sample();
    struct buf public_line = BUF_EMPTY, private_text = BUF_EMPTY, line = BUF_EMPTY;
    char folder[] = "/tmp/invitation-test-XXXXXX", output[2048], command[256];
    struct err err;
    (void)state;
    if (system("command -v ssh-keygen >/dev/null 2>&1"))
        skip();
    assert_non_null(mkdtemp(folder));
    for (int round = 0; round < 8; round++) {
        invitation.seed[3] = (uint8_t)(round * 31);
        buf_clear(&public_line), buf_clear(&private_text), buf_clear(&line);
        invitation_public(&invitation, &public_line);
        invitation_private(&invitation, &private_text);
        snprintf(command, sizeof command, "%s/key", folder);
        assert_int_equal(file_write(command, 0600, private_text.data, private_text.length, &err), 0);
        snprintf(command, sizeof command, "ssh-keygen -y -P '' -f %s/key 2>&1", folder);
        if (output_of(command, output, sizeof output))
            fail_msg("%s", output);
        assert_int_equal(strncmp(output, public_line.data, public_line.length), 0);
        if (invitation_line(ID, "mail", public_line.data, "20261123053000", "/var/lib/wgdeck/wgdeck node --join " ID, &line, &err))
            fail_msg("%s", err.text);
        buf_add_char(&line, '\n');
        snprintf(command, sizeof command, "%s/line", folder);
        assert_int_equal(file_write(command, 0600, line.data, line.length, &err), 0);
        snprintf(command, sizeof command, "ssh-keygen -l -f %s/line 2>&1", folder);
        if (output_of(command, output, sizeof output) || !strstr(output, "ED25519"))
            fail_msg("%s", output);
    }
    buf_free(&public_line), buf_wipe(&private_text), buf_free(&line);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void test_line(void **state)
{
    static const struct { const char *id, *name, *public_line, *expires, *command; bool good; } cases[] = {
        {ID, "mail", ED25519, "20261123053000", "/usr/local/bin/wgdeck node --join " ID, true},
        {"xyz", "mail", ED25519, "20261123053000", "/bin/wgdeck", false},
        {"00FF12AB34CD56EF", "mail", ED25519, "20261123053000", "/bin/wgdeck", false},
        {ID, "a b", ED25519, "20261123053000", "/bin/wgdeck", false},
        {ID, "mail\nssh-rsa", ED25519, "20261123053000", "/bin/wgdeck", false},
        {ID, "mail", ED25519 "\nssh-rsa AAAA", "20261123053000", "/bin/wgdeck", false},
        {ID, "mail", "ssh-ed25519 AAAA", "20261123053000", "/bin/wgdeck", false},
        {ID, "mail", "command=\"x\" " ED25519, "20261123053000", "/bin/wgdeck", false},
        {ID, "mail", ED25519, "2026112305300", "/bin/wgdeck", false},
        {ID, "mail", ED25519, "20261123053000Z", "/bin/wgdeck", false},
        {ID, "mail", ED25519, "2026112305300\"", "/bin/wgdeck", false},
        {ID, "mail", ED25519, "20261123053000", "wgdeck", false},
        {ID, "mail", ED25519, "20261123053000", "/bin/wg\"deck", false},
        {ID, "mail", ED25519, "20261123053000", "/bin/wgdeck; x", false},
        {ID, "mail", ED25519, "20261123053000", "/bin/wgdeck\nx", false},
        {ID, "mail", ED25519, "20261123053000", "/bin/$x", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf line = BUF_EMPTY;
        struct err err;
        int result = invitation_line(cases[i].id, cases[i].name, cases[i].public_line, cases[i].expires, cases[i].command, &line, &err);
        CASE_ASSERT(i, result == (cases[i].good ? 0 : -1));
        CASE_ASSERT(i, !line.length == !cases[i].good);
        if (cases[i].good)
            assert_string_equal(line.data, "restrict,expiry-time=\"20261123053000\",command=\"/usr/local/bin/wgdeck node --join " ID "\" " ED25519 " wgdeck-invitation-" ID " mail");
        buf_free(&line);
    }
}

#define LINE "restrict ssh-ed25519 AAAA wgdeck-invitation-" ID " mail"
#define OTHER "restrict ssh-ed25519 AAAA wgdeck-invitation-0011223344556677 web"

static void test_file(void **state)
{
    static const struct { const char *file, *line, *expected; bool differs; } cases[] = {
        {"", LINE, LINE "\n", true},
        {"", NULL, "", false},
        {"ssh-rsa AAAA me\n", LINE, "ssh-rsa AAAA me\n" LINE "\n", true},
        {"ssh-rsa AAAA me", LINE, "ssh-rsa AAAA me\n" LINE "\n", true},                        /* no newline at the end */
        {"ssh-rsa AAAA me", NULL, "ssh-rsa AAAA me", false},
        {"# keys\r\nssh-rsa AAAA me\r\n", LINE, "# keys\r\nssh-rsa AAAA me\r\n" LINE "\n", true}, /* CRLF stays */
        {"# keys\r\nssh-rsa AAAA me\r\n" LINE "\r\n\r\n", NULL, "# keys\r\nssh-rsa AAAA me\r\n\r\n", true},
        {LINE "\n" OTHER "\n", NULL, OTHER "\n", true},
        {OTHER "\n" LINE, NULL, OTHER "\n", true},
        {"a\n\n" LINE "\n \nb", NULL, "a\n\n \nb", true},
        {LINE "\n", LINE, LINE "\n", false},                                                     /* there already */
        {"x\n" LINE "\ny\n", LINE, "x\ny\n" LINE "\n", true},
        {"# " LINE "\n", NULL, "# " LINE "\n", false},                                           /* a comment is not ours */
        {LINE "\n" LINE "\n", NULL, "", true},
        {"ssh-rsa AAAA xwgdeck-invitation-" ID "\n", NULL, "ssh-rsa AAAA xwgdeck-invitation-" ID "\n", false},
        {"ssh-rsa AAAA wgdeck-invitation-" ID "0\n", NULL, "ssh-rsa AAAA wgdeck-invitation-" ID "0\n", false},
        {"wgdeck-invitation-" ID "\n", NULL, "wgdeck-invitation-" ID "\n", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf result = BUF_EMPTY;
        bool differs = invitation_file_edit(cases[i].file, strlen(cases[i].file), ID, cases[i].line, &result);
        if (differs != cases[i].differs || strcmp(buf_text(&result), cases[i].expected) != 0)
            fail_msg("case %zu: %s", i, buf_text(&result));
        buf_free(&result);
    }
    static const char odd[] = "a\0b\xff\n" LINE "\n\0";
    struct buf result = BUF_EMPTY;
    assert_true(invitation_file_edit(odd, sizeof odd - 1, ID, NULL, &result));
    assert_int_equal(result.length, 6);
    assert_memory_equal(result.data, "a\0b\xff\n\0", 6);
    buf_free(&result);
}

/* --- the record */

#define HUB_OPERATIONS "[{\"do\":\"row\",\"running\":true,\"saved\":true,\"key\":\"" PLACE "\",\"name\":\"mail\",\"new\":true,\"allowed\":[\"10.44.0.193/32\"],\"preshared\":\"make\"}," \
    "{\"do\":\"forwarding\",\"running\":true,\"saved\":true,\"prefix\":\"0.0.0.0/0\"},{\"do\":\"file\",\"running\":false,\"saved\":true}]"
#define NODE_OPERATIONS "[{\"do\":\"interface\",\"running\":true,\"saved\":true,\"engine\":\"auto\"}," \
    "{\"do\":\"row\",\"running\":true,\"saved\":true,\"key\":\"" HUB_KEY "\",\"name\":\"hub\",\"new\":true,\"allowed\":[\"10.44.0.0/24\"],\"endpoint\":\"203.0.113.10:51820\",\"keepalive\":25,\"preshared\":\"take\"}," \
    "{\"do\":\"service\",\"running\":false,\"saved\":true}]"
#define REQUEST_WITH(id, name, by, hub, node, addresses, more) "{\"id\":\"" id "\",\"interface\":\"wg0\",\"mesh\":\"prod\",\"name\":\"" name "\",\"relay\":true,\"expires\":1795410000,\"by\":\"" by \
    "\",\"public\":\"" ED25519 "\",\"place\":\"" PLACE "\",\"hub\":" hub ",\"node\":" node ",\"addresses\":" addresses more "}"
#define REQUEST REQUEST_WITH(ID, "mail", "alice@laptop", HUB_OPERATIONS, NODE_OPERATIONS, "[\"10.44.0.193/32\",\"fd44::c1\"]", ",\"relay_port\":51821")

static int read_record(const char *text, struct invitation_record *record, struct err *err)
{
    cJSON *object = json_parse(text, strlen(text), err);
    if (!object)
        fail_msg("%s: %s", text, err->text);
    int result = invitation_record_read(object, record, err);
    cJSON_Delete(object);
    return result;
}

static char *written(const struct invitation_record *record)
{
    struct buf buf = BUF_EMPTY;
    struct json json = json_begin(&buf);
    json_object(&json, NULL);
    invitation_record_write(record, &json);
    json_object_end(&json);
    return buf_take(&buf);
}

static void test_record(void **state)
{
    struct invitation_record record, again;
    struct err err;
    (void)state;
    if (read_record(REQUEST, &record, &err))
        fail_msg("%s", err.text);
    assert_string_equal(record.name, "mail");
    assert_string_equal(record.by, "alice@laptop");
    assert_true(record.relay);
    assert_int_equal(record.relay_port, 51821);
    assert_int_equal(record.address_count, 2);
    assert_int_equal(record.state, INVITATION_OPEN);
    assert_false(record.has_key);
    assert_string_equal(record.hub, HUB_OPERATIONS);
    assert_string_equal(record.node, NODE_OPERATIONS);
    record.state = INVITATION_USED;
    record.made = 1795408200;
    record.at = 1795408300;
    record.has_key = true;
    key_parse(HUB_KEY, &record.key);
    record.from = mem_text("198.51.100.7");
    record.hostname = mem_text("mail.example.org");
    record.generation = mem_text("8-3fa94c12");
    record.host_key = mem_text(ED25519);
    char *first = written(&record);
    if (read_record(first, &again, &err))
        fail_msg("%s", err.text);
    char *second = written(&again);
    assert_string_equal(first, second);
    assert_int_equal(again.state, INVITATION_USED);
    assert_true(again.at == record.at && again.made == record.made && again.has_key);
    assert_string_equal(again.from, "198.51.100.7");
    assert_string_equal(again.host_key, ED25519);
    free(first);
    free(second);
    invitation_record_free(&record);
    invitation_record_free(&again);
}

static void test_record_show(void **state)
{
    static const struct { enum invitation_state written; int64_t after; const char *shown; } cases[] = {
        {INVITATION_OPEN, -1, "open"}, {INVITATION_OPEN, 0, "expired"}, {INVITATION_JOINING, -1, "joining"}, {INVITATION_JOINING, 5, "joining"},
        {INVITATION_JOINING, 600, "expired"}, {INVITATION_USED, 600, "used"}, {INVITATION_REVOKED, 600, "revoked"},
    };
    struct invitation_record record;
    struct err err;
    (void)state;
    assert_int_equal(read_record(REQUEST, &record, &err), 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf buf = BUF_EMPTY;
        struct json json = json_begin(&buf);
        record.state = cases[i].written;
        invitation_record_show(&record, record.expires + cases[i].after, &json);
        cJSON *object = json_parse(buf.data, buf.length, &err);
        CASE_ASSERT(i, object && !strcmp(json_get_text(object, "state", ""), cases[i].shown));
        CASE_ASSERT(i, !strstr(buf.data, PLACE) && !strstr(buf.data, "ssh-ed25519"));
        cJSON_Delete(object);
        buf_free(&buf);
    }
    invitation_record_free(&record);
}

static void test_record_refused(void **state)
{
    static const struct { const char *text, *says; } cases[] = {
        {"{}", "id"},
        {REQUEST_WITH("../../etc/passwd", "mail", "a", "[]", "[]", "[\"10.0.0.1\"]", ""), "id"},
        {REQUEST_WITH("00ff12ab34cd56eg", "mail", "a", "[]", "[]", "[\"10.0.0.1\"]", ""), "id"},
        {REQUEST_WITH(ID, "../x", "a", "[]", "[]", "[\"10.0.0.1\"]", ""), "name"},
        {REQUEST_WITH(ID, "a b", "a", "[]", "[]", "[\"10.0.0.1\"]", ""), "name"},
        {REQUEST_WITH(ID, "a", "\\u001b[2J", "[]", "[]", "[\"10.0.0.1\"]", ""), "by"},
        {REQUEST_WITH(ID, "a", "a", "7", "[]", "[\"10.0.0.1\"]", ""), "hub"},
        {REQUEST_WITH(ID, "a", "a", "[]", "{}", "[\"10.0.0.1\"]", ""), "node"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[]", "[]", ""), "addresses"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[]", "[\"10.0.0.0/24\"]", ""), "addresses"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[]", "[7]", ""), "addresses"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[]", "[\"10.0.0.1\"]", ",\"relay_port\":65536"), "relay_port"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[]", "[\"10.0.0.1\"]", ",\"state\":\"lost\""), "state"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[]", "[\"10.0.0.1\"]", ",\"key\":\"short\""), "key"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[]", "[\"10.0.0.1\"]", ",\"from\":\"evil\""), "from"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[]", "[\"10.0.0.1\"]", ",\"at\":-1"), "at"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[]", "[\"10.0.0.1\"]", ",\"host_key\":\"ssh-ed25519 AAAA\""), "host_key"},
        {REQUEST_WITH(ID, "a", "a", "[{\"do\":\"row\",\"key\":\"" HUB_KEY "\"}]", "[]", "[\"10.0.0.1\"]", ""), "not the newcomer's"},
        {REQUEST_WITH(ID, "a", "a", "[{\"do\":\"interface-remove\"}]", "[]", "[\"10.0.0.1\"]", ""), "no join needs"},
        {REQUEST_WITH(ID, "a", "a", "[{\"do\":\"row-remove\",\"key\":\"" PLACE "\"}]", "[]", "[\"10.0.0.1\"]", ""), "no join needs"},
        {REQUEST_WITH(ID, "a", "a", "[{\"do\":\"private-key\"}]", "[]", "[\"10.0.0.1\"]", ""), "no join needs"},
        {REQUEST_WITH(ID, "a", "a", "[{\"do\":\"listen-port\",\"number\":22}]", "[]", "[\"10.0.0.1\"]", ""), "no join needs"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[{\"do\":\"private-key\"}]", "[\"10.0.0.1\"]", ""), "no join needs"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[{\"do\":\"row-remove\",\"key\":\"" HUB_KEY "\"}]", "[\"10.0.0.1\"]", ""), "no join needs"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[{\"do\":\"interface-remove\"}]", "[\"10.0.0.1\"]", ""), "no join needs"},
        {REQUEST_WITH(ID, "a", "a", "[]", "[{\"do\":\"row\",\"key\":\"" PLACE "\"}]", "[\"10.0.0.1\"]", ""), "newcomer itself"},
        {REQUEST_WITH(ID, "a", "a", "[{\"do\":\"row\",\"key\":\"" PLACE "\",\"other_key\":\"" HUB_KEY "\",\"preshared\":\"copy\"}]", "[]", "[\"10.0.0.1\"]", ""), "takes from another"},
        {REQUEST_WITH(ID, "a", "a", "[7]", "[]", "[\"10.0.0.1\"]", ""), "no object"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct invitation_record record;
        struct err err;
        CASE_ASSERT(i, read_record(cases[i].text, &record, &err) == -1);
        if (!strstr(err.text, cases[i].says))
            fail_msg("case %zu: %s", i, err.text);
    }
}

static void test_operations(void **state)
{
    struct key place, key;
    struct buf list = BUF_EMPTY;
    struct err err;
    (void)state;
    key_parse(PLACE, &place);
    memset(&key, 0x42, sizeof key);
    char text[KEY_TEXT_SIZE];
    key_text(&key, text);
    assert_int_equal(invitation_operations(HUB_OPERATIONS, &place, &key, &list, &err), 0);
    assert_null(strstr(list.data, PLACE));
    assert_non_null(strstr(list.data, text));
    buf_clear(&list);
    assert_int_equal(invitation_operations(NODE_OPERATIONS, &place, &key, &list, &err), 0);
    assert_string_equal(list.data, NODE_OPERATIONS);
    buf_clear(&list);
    assert_int_equal(invitation_operations("{}", &place, &key, &list, &err), -1);
    assert_int_equal(invitation_operations("[{\"do\":\"file\"},7]", &place, &key, &list, &err), -1);
    assert_int_equal(invitation_operations("not json", &place, &key, &list, &err), -1);
    assert_int_equal(list.length, 0);
    buf_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_cut), cmocka_unit_test(test_altered), cmocka_unit_test(test_folded), cmocka_unit_test(test_no_token),
        cmocka_unit_test(test_hostile), cmocka_unit_test(test_largest), cmocka_unit_test(test_openssh), cmocka_unit_test(test_line), cmocka_unit_test(test_file),
        cmocka_unit_test(test_record), cmocka_unit_test(test_record_show), cmocka_unit_test(test_record_refused), cmocka_unit_test(test_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
