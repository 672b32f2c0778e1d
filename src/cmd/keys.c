/* wgdeck genkey, pubkey, genpsk: as wg(8) has them, for machines without wireguard-tools. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "options.h"
#include "wgdeck/file.h"
#include "wgdeck/key.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

static const struct cmd_option none[] = {{0}};

/* A key's text must not stay in stdio's buffer: written straight to the descriptor. */
static int print_key(struct key *key)
{
    char text[KEY_TEXT_SIZE + 1];
    key_text(key, text);
    key_wipe(key);
    text[KEY_TEXT_SIZE - 1] = '\n';
    int result = file_write_all(STDOUT_FILENO, text, KEY_TEXT_SIZE);
    sodium_memzero(text, sizeof text);
    if (result < 0 && errno != EPIPE)
        log_error("standard output: %s", strerror(errno));
    return result < 0 ? CMD_FAILED : CMD_OK;
}

static void warn_of_open_file(void)
{
    struct stat status;
    if (!fstat(STDOUT_FILENO, &status) && S_ISREG(status.st_mode) && (status.st_mode & S_IRWXO))
        log_notice("the key goes to a file that others can read (use umask 077 first)");
}

static int run_make(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct key key;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count)
        return options_usage_error(cmd, "it takes no argument");
    if (sodium_init() < 0) {
        log_error("%s: no random numbers on this machine", cmd->name);
        return CMD_FAILED;
    }
    warn_of_open_file();
    if (cmd == &cmd_genkey)
        key_make_private(&key);
    else
        key_make_preshared(&key);
    return print_key(&key);
}

/* One line of standard input; spaces around it do not matter. False if it is not a key. */
static bool read_key(struct key *key)
{
    char text[128] = "";
    size_t length = 0;
    ssize_t got;
    while (length < sizeof text - 1 && (got = read(STDIN_FILENO, text + length, sizeof text - 1 - length)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        length += got > 0 ? (size_t)got : 0;
    }
    text[length] = '\0';
    size_t start = strspn(text, " \t\r\n");
    size_t end = start + strcspn(text + start, " \t\r\n");
    bool alone = strspn(text + end, " \t\r\n") == length - end;
    text[end] = '\0';
    bool good = alone && !key_parse(text + start, key);
    sodium_memzero(text, sizeof text);
    return good;
}

static int run_pubkey(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct key private_key, public_key;
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count)
        return options_usage_error(cmd, "it takes no argument: the private key is read from standard input");
    if (!read_key(&private_key)) {
        log_error("pubkey: standard input is not a private key (44 characters of base64, as wgdeck genkey prints them)");
        return CMD_FAILED;
    }
    key_public(&private_key, &public_key);
    key_wipe(&private_key);
    return print_key(&public_key);
}

static const char *const genkey_examples[] = {
    "umask 077; wgdeck genkey > private.key", "a new private key, in a file that only its owner can read", NULL};

const struct cmd cmd_genkey = {
    .name = "genkey",
    .arguments = "",
    .summary = "make a private key and print it",
    .description = "The same as wg genkey. The key is printed in base64 on standard output and kept nowhere else.",
    .options = none,
    .examples = genkey_examples,
    .run = run_make,
};

static const char *const pubkey_examples[] = {"wgdeck pubkey < private.key", "the public key that others put into their rows", NULL};

const struct cmd cmd_pubkey = {
    .name = "pubkey",
    .arguments = "",
    .summary = "read a private key from standard input and print its public key",
    .description = "The same as wg pubkey.",
    .options = none,
    .examples = pubkey_examples,
    .run = run_pubkey,
};

const struct cmd cmd_genpsk = {
    .name = "genpsk",
    .arguments = "",
    .summary = "make a preshared key and print it",
    .description = "The same as wg genpsk. A preshared key belongs to one pair of nodes; make a fresh one for each pair.",
    .options = none,
    .run = run_make,
};
