/* Importing: files of wg-quick, and what export writes, become a mesh file; no secret stays in the bytes that were read, nor in what is written. */
#include "unit.h"

#include "wgdeck/import.h"
#include "wgdeck/key.h"
#include "wgdeck/mesh.h"

/* Private keys of three nodes, and their public ones. */
static const char *const private_keys[] = {"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=", "wK8z5Gyz5kHWHgVwaRPrDPdQXRpfd0FyUfyv2I3vNU8=",
                                           "MJmHSShb6xvLqQZ4tHjVb8GXCW1yDMaF8TmX9uEZ+ls="};
static const char preshared[] = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=";
static char public_keys[3][KEY_TEXT_SIZE];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(private_keys); i++) {
        struct key key;
        assert_int_equal(key_parse(private_keys[i], &key), 0);
        key_public(&key, &key);
        key_text(&key, public_keys[i]);
    }
    return 0;
}

/* $0..$2: a public key; %0..%2: a private one; %P: the preshared one. */
static char *fill(const char *text)
{
    struct buf out = BUF_EMPTY;
    for (; *text; text++) {
        if ((*text != '$' && *text != '%') || !text[1])
            buf_add_char(&out, *text);
        else if (text[1] == 'P')
            buf_add_text(&out, (text++, preshared));
        else if (text[1] >= '0' && text[1] <= '2') {
            buf_add_text(&out, *text == '$' ? public_keys[text[1] - '0'] : private_keys[text[1] - '0']);
            text++;
        } else {
            buf_add_char(&out, *text);
        }
    }
    return buf_take(&out);
}

static bool holds_secret(const char *bytes, size_t length)
{
    for (size_t i = 0; i < COUNT_OF(private_keys); i++)
        if (memmem(bytes, length, private_keys[i], 43))
            return true;
    return memmem(bytes, length, preshared, 43);
}

#define HEAD(key, address) "[Interface]\nPrivateKey = %" key "\nAddress = " address "\nListenPort = 51820\n"
#define PEER(key, allowed, more) "[Peer]\nPublicKey = $" key "\nAllowedIPs = " allowed "\n" more

static const struct {
    struct {
        const char *path, *text;
    } files[4];
    const char *has[10];   /* lines of the mesh file */
    const char *hasnt[4];
    const char *error;     /* part of it; NULL: none */
} cases[] = {
    /* names of files */
    {.files = {{"nodes/api.conf", HEAD("0", "10.44.0.1/24") PEER("1", "10.44.0.2/32", "Endpoint = 203.0.113.2:51820\nPresharedKey = %P\n")},
      {"nodes/db.conf", HEAD("1", "10.44.0.2/24") PEER("0", "10.44.0.1/32", "Endpoint = api.example.org:51820\nPresharedKey = %P\n")}},
     .has = {"[Node api]\n", "[Node db]\n", "Network = 10.44.0.0/24\n", "Interface = wg0\n", "Endpoint = 203.0.113.2:51820\n", "Endpoint = api.example.org:51820\n",
      "PresharedKeys = yes\n", "PublicKey = $0\n", "PublicKey = $1\n"},
     .hasnt = {"Ssh"}},
    /* names of folders, the interface of the files */
    {.files = {{"f/api/etc/wireguard/wg7.conf", HEAD("0", "10.44.0.1/24") PEER("1", "10.44.0.2/32", "")},
      {"f/db/etc/wireguard/wg7.conf", HEAD("1", "10.44.0.2/24") PEER("0", "10.44.0.1/32", "")}},
     .has = {"[Node api]\n", "[Node db]\n", "Interface = wg7\n"}},
    /* one file: its rows are nodes, named by comments in some of the ways that tools write them; MTU */
    {.files = {{"wg0.conf", "# Name = hub\n" HEAD("0", "10.44.0.1/24") "MTU = 1380\n\n### Client alice\n" PEER("1", "10.44.0.2/32", "PersistentKeepalive = 25\n")
                   "\n# BEGIN_PEER bob\n" PEER("2", "10.44.0.3/32, 192.168.7.0/24", "") "# END_PEER bob\n"}},
     .has = {"[Node hub]\n", "[Node alice]\n", "[Node bob]\n", "MTU = 1380\n", "Address = 10.44.0.3\n", "AllowedIPs = 192.168.7.0/24\n", "Topology = hub\n", "Role = hub\n"}},
    /* comments inside of a section, prose is no name */
    {.files = {{"wg0.conf", HEAD("0", "10.44.0.1/24") "[Peer]\n# friendly_name=db\nPublicKey = $1\n# the old one\nAllowedIPs = 10.44.0.2/32\n[Peer]\n# that one there\nPublicKey = $2\n"
                   "AllowedIPs = 10.44.0.3/32\n"}},
     .has = {"[Node db]\n", "[Node peer-"}, .hasnt = {"[Node that", "[Node old"}},
    /* what export writes: no private key in it, so keys come from the others' names */
    {.files = {{"a/wg0.conf", "# api of the mesh prod, from wgdeck export: /etc/wireguard/wg0.conf\n[Interface]\nPostUp = wg set %i private-key /etc/wireguard/%i.key\nAddress = 10.44.0.1/24\n"
                     "[Peer]\n# db\nPublicKey = $1\nAllowedIPs = 10.44.0.2/32\n"},
      {"b/wg0.conf", "# db of the mesh prod, from wgdeck export: /etc/wireguard/wg0.conf\n[Interface]\nAddress = 10.44.0.2/24\n[Peer]\n# api\nPublicKey = $0\nAllowedIPs = 10.44.0.1/32\n"}},
     .has = {"Name = prod\n", "[Node api]\n", "[Node db]\n", "PublicKey = $0\n", "PublicKey = $1\n"}},
    /* the JSON of export */
    {.files = {{"api.json", "{\"schema\":1,\"mesh\":\"prod\",\"node\":\"api\",\"ssh\":\"root@203.0.113.1\",\"interface\":\"wg3\",\"public_key\":\"$0\",\"listen_port\":51821,\"addresses\":[\"10.44.0.1/24\"],"
                   "\"peers\":[{\"name\":\"db\",\"public_key\":\"$1\",\"allowed_ips\":[\"10.44.0.2/32\"],\"endpoint\":\"db.example.org:51821\",\"keepalive\":25,\"preshared\":true}]}"},
      {"db.json", "{\"schema\":1,\"mesh\":\"prod\",\"node\":\"db\",\"interface\":\"wg3\",\"private_key\":\"%1\",\"listen_port\":51821,\"addresses\":[\"10.44.0.2/24\"],"
                  "\"peers\":[{\"name\":\"api\",\"public_key\":\"$0\",\"allowed_ips\":[\"10.44.0.1/32\"],\"endpoint\":null,\"keepalive\":25,\"preshared\":true}]}"}},
     .has = {"Name = prod\n", "Ssh = root@203.0.113.1\n", "Interface = wg3\n", "ListenPort = 51821\n", "PublicKey = $1\n", "Endpoint = db.example.org:51821\n", "PresharedKeys = yes\n"}},
    /* refused, without a key in the words */
    {.files = {{"bad.conf", "[Interface]\nPrivateKey %0\n"}}, .error = "bad.conf:2"},
    {.files = {{"bad.conf", "[Interface]\nPrivateKey = %0x\n"}}, .error = "bad.conf:2"},
    {.files = {{"bad.conf", "[Interface]\nListenPort = %0\n"}}, .error = "bad.conf:2"},
    {.files = {{"bad.conf", "[Unit]\nDescription = x\n"}}, .error = "no [Interface]"},
    {.files = {{"bad.json", "{\"schema\":1}"}}, .error = "no JSON of"},
    {.files = {{"bad.json", "{\"schema\":1,\"node\":\"a\",\"peers\":[{\"public_key\":\"x\"}]}"}}, .error = "public_key is no key"},
    {.files = {{"bad.json", "{\"schema\":1,\"node\":\"../a\"}"}}, .error = "no JSON of"},
    {.files = {{"lone.conf", "[Interface]\nPrivateKey = %0\n"}}, .error = "nothing to adopt"},
};

static int read_files(struct import *import, size_t row, struct err *err)
{
    int result = 0;
    for (size_t i = 0; i < COUNT_OF(cases[row].files) && cases[row].files[i].path && !result; i++) {
        char *text = fill(cases[row].files[i].text);
        size_t length = strlen(text);
        result = import_add(import, cases[row].files[i].path, text, length, NULL, err);
        CASE_ASSERT(row, !holds_secret(text, length) || (result && strstr(err->text, "bad.conf:2"))); /* a key where no key stands is not found */
        free(text);
    }
    return result;
}

static void check_document(size_t row, const struct conf *conf)
{
    struct err err;
    struct buf text = BUF_EMPTY;
    conf_write(conf, &text);
    CASE_ASSERT(row, !holds_secret(buf_text(&text), text.length));
    for (size_t i = 0; i < COUNT_OF(cases[row].has) && cases[row].has[i]; i++) {
        char *wanted = fill(cases[row].has[i]);
        if (!strstr(buf_text(&text), wanted))
            fail_msg("case %zu has no %s:\n%s", row, wanted, buf_text(&text));
        free(wanted);
    }
    for (size_t i = 0; i < COUNT_OF(cases[row].hasnt) && cases[row].hasnt[i]; i++)
        if (strstr(buf_text(&text), cases[row].hasnt[i]))
            fail_msg("case %zu has %s:\n%s", row, cases[row].hasnt[i], buf_text(&text));
    struct mesh *mesh = mesh_read(conf, NULL, &err);
    if (!mesh)
        fail_msg("case %zu: %s", row, err.text);
    mesh_free(mesh);
    buf_free(&text);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t row = 0; row < COUNT_OF(cases); row++) {
        struct err err = {{0}};
        struct import *import = import_new();
        struct conf *conf = conf_new("mesh.conf");
        struct buf notes = BUF_EMPTY;
        int result = read_files(import, row, &err);
        if (!result)
            result = import_mesh(import, conf, &notes, &err);
        if (!cases[row].error && result)
            fail_msg("case %zu: %s", row, err.text);
        if (cases[row].error && (!result || !strstr(err.text, cases[row].error)))
            fail_msg("case %zu: \"%s\", wanted \"%s\"", row, err.text, cases[row].error);
        CASE_ASSERT(row, !holds_secret(err.text, sizeof err.text) && !holds_secret(buf_text(&notes), notes.length));
        if (!result)
            check_document(row, conf);
        buf_free(&notes);
        conf_free(conf);
        import_free(import);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
