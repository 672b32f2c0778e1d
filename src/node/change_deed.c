/* What ends a change: confirmed, put back, or found and ended later. The same for the helper that began it, another helper, and the guard; whoever acts has the turn, and
 * looks into the journal first. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "change.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { SMALL_FILE_MAX = 4096 };
static const double turn_patience = 8;  /* seconds: a guard that has the turn, and an engine that is slow */

const char *const change_codes[] = {
    [CHANGE_DONE] = NULL, [CHANGE_FAILED] = "failed", [CHANGE_IS_REFUSED] = "refused", [CHANGE_UNKNOWN] = "unknown-change", [CHANGE_BUSY] = "busy", [CHANGE_IS_GUARDED] = "guarded",
};

static bool is_of_this_boot(const struct change_journal *journal)
{
    char boot[96];
    change_boot_identity(boot);
    return !strcmp(boot, journal->boot);
}

/* --- small files: the last change that was confirmed, and the last that was put back */

static void write_small(const char *name, const char *file, const struct buf *text, struct err *err)
{
    char *path = change_path(name, file);
    if (err)
        err->text[0] = '\0';
    (void)file_write(path, 0600, buf_text(text), text->length, err);
    free(path);
}

/* Line LINE (from 0) of the file; "" when there is none. */
static void read_line(const char *name, const char *file, int line, char text[static 256])
{
    struct buf bytes = BUF_EMPTY;
    char *path = change_path(name, file);
    text[0] = '\0';
    if (!file_read(path, SMALL_FILE_MAX, &bytes, NULL)) {
        const char *at = buf_text(&bytes);
        for (; line && at; line--) {
            at = strchr(at, '\n');
            at = at ? at + 1 : NULL;
        }
        if (at)
            snprintf(text, 256, "%.*s", (int)strcspn(at, "\n"), at);
    }
    buf_free(&bytes);
    free(path);
}

static bool was_confirmed(const char *name, const char *id)
{
    char line[256];
    read_line(name, "generation", 1, line);
    return !strcmp(line, id);
}

static void remember_restored(const struct change_journal *journal, const char *why)
{
    struct buf text = BUF_EMPTY;
    char now[CLOCK_TEXT_SIZE];
    clock_text(clock_wall(), now);
    buf_add_format(&text, "%s\n%s\n%s\n", journal->id, now, why);
    write_small(journal->name, "restored", &text, NULL);
    buf_free(&text);
}

/* Why a change is not there any more. */
void change_say_unknown(const char *name, const char *id, struct err *err)
{
    char line[256], when[256], why[256];
    read_line(name, "restored", 0, line);
    read_line(name, "restored", 1, when);
    read_line(name, "restored", 2, why);
    if (!strcmp(line, id))
        err_set(err, "%s: the change was put back at %s: %s", name, when, why);
    else
        err_set(err, "%s: no change %s is under way here", name, id);
}

int change_read_state(const char *name, struct state *state, struct err *err)
{
    int result = state_read(name, state, err);
    if (result != -2)
        return result;
    /* A dead engine takes its interface along: then there is none. One that hangs has it still. */
    if (if_nametoindex(name))
        return err_set(err, "%s: its engine hangs: it does not answer, and the interface is still there (end that engine, then try again)", name);
    return 0;
}

/* --- putting back */

static int reach_old(const struct change_journal *journal, struct err *err)
{
    struct state now;
    int result = change_read_state(journal->name, &now, err);
    if (!result && !state_equal(&now, &journal->old))
        result = state_reach(&now, &journal->old, err);
    state_free(&now);
    return result ? -1 : 0;
}

int change_put_back(struct change_journal *journal, const char *why, struct err *err)
{
    if (is_of_this_boot(journal) && reach_old(journal, err))
        return -1;
    change_file_drop(journal);
    remember_restored(journal, why);
    return change_journal_remove(journal->name, err);
}

/* --- confirming */

static void warn(struct buf *warnings, const char *text)
{
    if (*text) {
        buf_add_text(warnings, text);
        buf_add_char(warnings, '\n');
    }
}

static void set_service(const struct change_journal *journal, struct buf *warnings)
{
    struct buf said = BUF_EMPTY;
    struct err err = {""};
    int result = 0;
    if (journal->takes_away)
        result = boot_disable(change_root, journal->name, &said, &err);
    else if (journal->service)
        result = boot_enable(change_root, journal->name, &said, &err);
    if (result)
        warn(warnings, result < 0 ? err.text : buf_text(&said));
    buf_free(&said);
}

static void write_generation(const struct change_journal *journal, struct buf *warnings)
{
    struct buf text = BUF_EMPTY;
    struct err err;
    buf_add_format(&text, "%s\n%s\n", journal->takes_away || !journal->generation ? "" : journal->generation, journal->id);
    write_small(journal->name, "generation", &text, &err);
    warn(warnings, err.text);
    buf_free(&text);
}

/* From the moment the journal says "confirmed". -1: the files do not have their names, and nothing else was done. */
static int complete(const struct change_journal *journal, struct buf *warnings, struct err *err)
{
    if (change_file_swap(journal, err))
        return -1;
    write_generation(journal, warnings);
    set_service(journal, warnings);
    if (!journal->takes_away)
        change_keys_saved(journal->name, journal->file);
    if (change_journal_remove(journal->name, err))
        warn(warnings, err->text);
    return 0;
}

/* It cannot be confirmed: ERR says why, and gets to say what became of it. */
static enum change_outcome confirm_not(struct change_journal *journal, struct err *err)
{
    struct err why = *err, back;
    if (change_put_back(journal, why.text, &back)) {
        err_set(err, "%s; and the old state cannot be put back yet: %s", why.text, back.text);
        return CHANGE_IS_GUARDED;
    }
    err_set(err, "%s; the old state is put back", why.text);
    return CHANGE_FAILED;
}

static enum change_outcome confirm_journal(struct change_journal *journal, struct buf *warnings, struct err *err)
{
    if (journal->step == CHANGE_CONFIRMED) /* it was interrupted */
        return complete(journal, warnings, err) ? confirm_not(journal, err) : CHANGE_DONE;
    if (!is_of_this_boot(journal)) {
        err_set(err, "%s: the node was started again since the change was made", journal->name);
        return confirm_not(journal, err);
    }
    if (journal->step == CHANGE_STAGED && journal->finish_needed) {
        err_set(err, "%s: the change is not finished: finish comes before confirm", journal->name);
        return CHANGE_IS_REFUSED;
    }
    if (!change_file_is_as_it_was(journal, err))
        return confirm_not(journal, err);
    enum change_step before = journal->step;
    journal->step = CHANGE_CONFIRMED;
    if (change_journal_write(journal, err)) {
        journal->step = before;
        return confirm_not(journal, err);
    }
    return complete(journal, warnings, err) ? confirm_not(journal, err) : CHANGE_DONE;
}

enum change_outcome change_confirm(const char *name, const char *id, struct buf *warnings, struct err *err)
{
    struct change_journal journal;
    enum change_outcome outcome;
    int turn = change_turn(name, turn_patience, NULL, err);
    if (turn < 0)
        return CHANGE_BUSY;
    int result = change_journal_read(name, &journal, err);
    if (result < 0) {
        outcome = CHANGE_FAILED;
    } else if (result == 1 || strcmp(journal.id, id) != 0) {
        outcome = was_confirmed(name, id) ? CHANGE_DONE : CHANGE_UNKNOWN;
        if (outcome == CHANGE_UNKNOWN)
            change_say_unknown(name, id, err);
    } else {
        outcome = confirm_journal(&journal, warnings, err);
    }
    if (!result)
        change_journal_free(&journal);
    change_turn_end(turn);
    return outcome;
}

/* --- reverting, recovering */

static enum change_outcome revert_journal(struct change_journal *journal, const char *why, struct err *err)
{
    struct buf warnings = BUF_EMPTY;
    if (journal->step != CHANGE_CONFIRMED)
        return change_put_back(journal, why, err) ? CHANGE_IS_GUARDED : CHANGE_DONE;
    int result = complete(journal, &warnings, err);
    buf_free(&warnings);
    if (result)
        return change_put_back(journal, why, err) ? CHANGE_IS_GUARDED : CHANGE_DONE;
    err_set(err, "%s: the change was being confirmed already, and is now", journal->name);
    return CHANGE_IS_REFUSED;
}

enum change_outcome change_revert(const char *name, const char *id, const char *why, struct err *err)
{
    struct change_journal journal;
    enum change_outcome outcome = CHANGE_DONE; /* what is not there is not to be put back */
    int turn = change_turn(name, turn_patience, NULL, err);
    if (turn < 0)
        return CHANGE_BUSY;
    int result = change_journal_read(name, &journal, err);
    if (result < 0) {
        outcome = CHANGE_FAILED;
    } else if (!result && !strcmp(journal.id, id)) {
        outcome = revert_journal(&journal, why, err);
    } else if (was_confirmed(name, id)) {
        err_set(err, "%s: the change is confirmed already: what it changed stays", name);
        outcome = CHANGE_IS_REFUSED;
    }
    if (!result)
        change_journal_free(&journal);
    change_turn_end(turn);
    return outcome;
}

static int recover_journal(struct change_journal *journal, struct buf *said, struct err *err)
{
    bool same_boot = is_of_this_boot(journal), swapped = change_file_is_swapped(journal);
    struct buf warnings = BUF_EMPTY;
    char when[CLOCK_TEXT_SIZE];
    clock_text(journal->began, when);
    /* Confirmed: what runs is the new state, unless the node has booted since into a file that had not got its name yet. */
    if (journal->step == CHANGE_CONFIRMED && (same_boot || swapped) && !complete(journal, &warnings, err)) {
        buf_add_format(said, "the change of %s (%s) was being confirmed when it was interrupted: it is completed", journal->owner, when);
        buf_free(&warnings);
        return 0;
    }
    buf_free(&warnings);
    if (change_put_back(journal, "it was left unfinished, and the next change found it", err))
        return err_prefix(err, "the change of %s (%s) was left unfinished and cannot be put back", journal->owner, when);
    buf_add_format(said, same_boot ? "the change of %s (%s) was left unfinished: the old state is put back" : "the change of %s (%s) was cut off by a restart of the node: its saved state holds",
                   journal->owner, when);
    return 0;
}

int change_recover(const char *name, struct buf *said, struct err *err)
{
    struct change_journal journal;
    int turn = change_turn(name, turn_patience, NULL, err);
    if (turn < 0)
        return -1;
    int result = change_journal_read(name, &journal, err);
    if (!result) {
        result = recover_journal(&journal, said, err);
        change_journal_free(&journal);
    } else if (result == 1) {
        change_file_forget(name);
        result = 0;
    }
    if (!result)
        change_sweep_folder(name);
    change_turn_end(turn);
    return result;
}
