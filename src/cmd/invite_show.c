/* What wgdeck invite writes: the token alone on standard output, so that it can be piped; how to use it on standard error; lists as a table or as JSON. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "columns.h"
#include "invite_command.h"
#include "qr.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/tui.h"

static void notice_lines(const char *mark, const char *lines)
{
    while (*lines) {
        size_t length = strcspn(lines, "\n");
        log_notice("invite: %s%.*s", mark, (int)length, lines);
        lines += length + (lines[length] == '\n');
    }
}

static void write_out(struct inviting *inviting, const struct buf *text)
{
    if (!file_write_all(STDOUT_FILENO, buf_text(text), text->length))
        return;
    log_error("invite: standard output: %s", strerror(errno));
    inviting->failed_to_write = true;
}

/* "10.44.0.193, fd44::c1" */
static void add_addresses(struct buf *text, const struct prefix *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char one[ADDRESS_TEXT_SIZE];
        address_text(&addresses[i].address, one);
        buf_add_format(text, "%s%s", i ? ", " : "", one);
    }
}

static void list_addresses(struct json *json, const struct prefix *addresses, size_t count)
{
    json_list(json, "addresses");
    for (size_t i = 0; i < count; i++) {
        char one[ADDRESS_TEXT_SIZE];
        address_text(&addresses[i].address, one);
        json_text(json, NULL, one);
    }
    json_list_end(json);
}

static void list_lines(struct json *json, const char *member, const char *lines)
{
    json_list(json, member);
    while (*lines) {
        size_t length = strcspn(lines, "\n");
        json_text_part(json, NULL, lines, length);
        lines += length + (lines[length] == '\n');
    }
    json_list_end(json);
}

/* The day too, when it is not today. */
static void time_text(int64_t seconds, char *text, size_t size)
{
    time_t at = (time_t)seconds, now = time(NULL);
    struct tm then, today;
    localtime_r(&at, &then);
    localtime_r(&now, &today);
    strftime(text, size, then.tm_year == today.tm_year && then.tm_yday == today.tm_yday ? "%H:%M:%S" : "%Y-%m-%d %H:%M", &then);
}

static void explain(const struct inviting *inviting)
{
    const struct invite *invite = inviting->invite;
    const struct invitation *invitation = invite_invitation(invite);
    int64_t seconds = inviting->wanted.seconds ? inviting->wanted.seconds : INVITE_SECONDS_DEFAULT;
    struct buf addresses = BUF_EMPTY, places = BUF_EMPTY;
    char until[64], age[CLOCK_TEXT_SIZE];
    size_t count;
    const struct prefix *list = invite_addresses(invite, &count);
    add_addresses(&addresses, list, count);
    for (size_t i = 0; i < invitation->place_count; i++)
        buf_add_format(&places, strchr(invitation->places[i].host, ':') ? "%s[%s]:%u" : "%s%s:%u", i ? ", " : "", invitation->places[i].host, invitation->places[i].port);
    time_text(clock_wall() / CLOCK_SECOND + seconds, until, sizeof until);
    clock_age_text(seconds * CLOCK_SECOND, age);
    notice_lines("warning: ", invite_warnings(invite));
    log_notice("invite: %s may join %s through %s once, until %s (%s), and will be %s", invitation->name, invitation->mesh, invitation->hub, until, age, buf_text(&addresses));
    log_notice("invite: the new machine must reach the sshd of %s: %s", invitation->hub, buf_text(&places));
    log_notice("invite: there, as root, type \"wgdeck join -\", paste the token, and press return");
    log_notice("invite: whoever has the token can join in its place; \"wgdeck invite revoke %s\" takes it back", invitation->name);
    if (!invitation->relay && !inviting->wanted.wait)
        log_notice("invite: when it has joined, \"wgdeck apply\" makes it known to the other nodes");
    buf_free(&addresses);
    buf_free(&places);
}

static void show_qr(const struct inviting *inviting)
{
    struct terminal terminal = terminal_of(STDERR_FILENO, &inviting->options.globals);
    struct buf picture = BUF_EMPTY;
    struct err err;
    if (qr_add(invite_token(inviting->invite), &terminal, &picture, &err))
        log_error("invite: no QR code: %s", err.text);
    else
        file_write_all(STDERR_FILENO, picture.data, picture.length);
    buf_wipe(&picture);
}

static void copy_token(const struct inviting *inviting)
{
    const char *token = invite_token(inviting->invite);
    struct buf sequence = BUF_EMPTY;
    int tty = open("/dev/tty", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    tui_clipboard_sequence(token, strlen(token), &sequence);
    if (tty < 0 || file_write_all(tty, sequence.data, sequence.length))
        log_error("invite: the token was not copied: there is no terminal to ask for it");
    else
        log_notice("invite: the token was given to this terminal's clipboard (not every terminal takes it)");
    if (tty >= 0)
        close(tty);
    buf_wipe(&sequence);
}

static void token_json(const struct inviting *inviting, struct buf *text)
{
    const struct invite *invite = inviting->invite;
    const struct invitation *invitation = invite_invitation(invite);
    struct json json = json_begin(text);
    size_t count;
    const struct prefix *list = invite_addresses(invite, &count);
    json_object(&json, NULL);
    json_number(&json, "schema", 1);
    json_text(&json, "id", invitation->id);
    json_text(&json, "mesh", invitation->mesh);
    json_text(&json, "name", invitation->name);
    json_text(&json, "hub", invitation->hub);
    json_bool(&json, "relay", invitation->relay);
    json_number(&json, "expires", invitation->expires);
    list_addresses(&json, list, count);
    json_list(&json, "places");
    for (size_t i = 0; i < invitation->place_count; i++) {
        json_object(&json, NULL);
        json_text(&json, "host", invitation->places[i].host);
        json_unsigned(&json, "port", invitation->places[i].port);
        json_object_end(&json);
    }
    json_list_end(&json);
    list_lines(&json, "warnings", invite_warnings(invite));
    json_text(&json, "token", invite_token(invite));
    json_object_end(&json);
}

void invite_show_made(struct inviting *inviting)
{
    const struct invite *invite = inviting->invite;
    struct buf text = BUF_EMPTY;
    inviting->made = true;
    buf_reserve(&text, 8192); /* a secret: it is not moved */
    explain(inviting);
    if (options_given(&inviting->options, "qr"))
        show_qr(inviting);
    if (options_given(&inviting->options, "copy"))
        copy_token(inviting);
    if (options_given(&inviting->options, "json"))
        token_json(inviting, &text);
    else
        buf_add_text(&text, invite_token(invite));
    buf_add_char(&text, '\n');
    write_out(inviting, &text);
    if (inviting->failed_to_write)
        log_error("invite: nobody has the token now: \"wgdeck invite revoke %s\", and invite it again", inviting->wanted.name);
    buf_wipe(&text);
}

/* --- the list */

static bool is_open(const struct invite_row *row)
{
    return row->state == INVITATION_OPEN || row->state == INVITATION_JOINING;
}

static enum mark mark_of(const struct invite_row *row)
{
    return row->state == INVITATION_USED ? MARK_GOOD : is_open(row) ? MARK_NONE : MARK_UNKNOWN;
}

static void when_text(const struct invite_row *row, int64_t now, char text[static 64])
{
    char age[CLOCK_TEXT_SIZE];
    int64_t at = row->state == INVITATION_EXPIRED ? row->expires : row->at;
    *text = '\0';
    if (is_open(row)) {
        clock_age_text((row->expires - now) * CLOCK_SECOND, age);
        snprintf(text, 64, "%s left", age);
    } else if (at) { /* of a revoked one nobody says when */
        clock_ago_text((now - at) * CLOCK_SECOND, age);
        snprintf(text, 64, "%s", age);
    }
}

static void list_text(const struct inviting *inviting, struct buf *text)
{
    struct terminal terminal = terminal_of(STDOUT_FILENO, &inviting->options.globals);
    struct columns columns = {.count = 7, .titles = {"NODE", "STATE", "WHEN", "ADDRESS", "HUB", "BY", "FROM"}};
    int64_t now = clock_wall() / CLOCK_SECOND;
    size_t count;
    const struct invite_row *rows = invite_rows(inviting->invite, &count);
    for (size_t i = 0; i < count; i++) {
        const struct invite_row *row = &rows[i];
        struct buf addresses = BUF_EMPTY, from = BUF_EMPTY;
        char when[64];
        when_text(row, now, when);
        add_addresses(&addresses, row->addresses, row->address_count);
        if (row->from)
            buf_add_format(&from, row->hostname ? "%s (%s)" : "%s", row->from, row->hostname);
        const char *const cells[] = {row->name, invitation_states[row->state], when, buf_text(&addresses), invite_mesh(inviting->invite)->nodes[row->hub].name,
                                     row->by, buf_text(&from)};
        columns_row(&columns, mark_of(row), cells);
        buf_free(&addresses);
        buf_free(&from);
    }
    if (count)
        columns_write(&columns, &terminal, text);
    else
        buf_add_text(text, "no invitations (wgdeck invite NAME makes one)\n");
}

static void row_json(const struct inviting *inviting, const struct invite_row *row, struct json *json)
{
    char key[KEY_TEXT_SIZE];
    key_text(&row->key, key);
    json_object(json, NULL);
    json_text(json, "id", row->id);
    json_text(json, "name", row->name);
    json_text(json, "hub", invite_mesh(inviting->invite)->nodes[row->hub].name);
    json_text(json, "state", invitation_states[row->state]);
    json_bool(json, "relay", row->relay);
    json_text(json, "by", row->by);
    json_number(json, "made", row->made);
    json_number(json, "expires", row->expires);
    list_addresses(json, row->addresses, row->address_count);
    json_text(json, "key", row->has_key ? key : NULL);
    json_text(json, "from", row->from);
    json_text(json, "hostname", row->hostname);
    if (row->at)
        json_number(json, "at", row->at);
    else
        json_null(json, "at");
    json_object_end(json);
}

static void list_json(const struct inviting *inviting, struct buf *text)
{
    struct json json = json_begin(text);
    size_t count;
    const struct invite_row *rows = invite_rows(inviting->invite, &count);
    json_object(&json, NULL);
    json_number(&json, "schema", 1);
    json_list(&json, "invitations");
    for (size_t i = 0; i < count; i++)
        row_json(inviting, &rows[i], &json);
    json_list_end(&json);
    list_lines(&json, "warnings", invite_warnings(inviting->invite));
    json_object_end(&json);
    buf_add_char(text, '\n');
}

static void said_json(const struct inviting *inviting, struct buf *text)
{
    struct json json = json_begin(text);
    bool good = invite_result(inviting->invite) == INVITE_DONE;
    json_object(&json, NULL);
    json_number(&json, "schema", 1);
    json_text(&json, "name", inviting->wanted.task == INVITE_LIST ? NULL : inviting->wanted.name);
    json_bool(&json, "ok", good);
    list_lines(&json, "said", invite_said(inviting->invite));
    list_lines(&json, "warnings", inviting->made ? "" : invite_warnings(inviting->invite));
    json_text(&json, "error", good ? NULL : invite_error(inviting->invite));
    json_object_end(&json);
    buf_add_char(text, '\n');
}

void invite_show_end(struct inviting *inviting)
{
    struct buf text = BUF_EMPTY;
    bool json = options_given(&inviting->options, "json"), good = invite_result(inviting->invite) == INVITE_DONE;
    bool list = inviting->wanted.task == INVITE_LIST && good, making = inviting->wanted.task == INVITE_MAKE;
    if (!json && !inviting->made)
        notice_lines("warning: ", invite_warnings(inviting->invite));
    if (list)
        (json ? list_json : list_text)(inviting, &text);
    else if (json && (!making || !inviting->made || inviting->wanted.wait))
        said_json(inviting, &text);
    else
        notice_lines("", invite_said(inviting->invite));
    if (!good && !json)
        log_error("invite: %s", invite_error(inviting->invite));
    write_out(inviting, &text);
    buf_free(&text);
}
