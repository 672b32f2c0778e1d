/* The progress of a change on standard error: on a terminal one line a node, rewritten; else a plain line when something is over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "carry_out.h"
#include "columns.h"
#include "wgdeck/clock.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define SHOWN_AFTER 0.5  /* seconds: a look that is shorter needs no progress */
enum { ROWS_DEFAULT = 24, ROWS_KEPT_FREE = 3, NAME_WIDTH_MOST = 24 };

struct carry_out_show {
    struct terminal terminal;
    char **names;
    size_t count, name_width;
    int64_t started;
    size_t drawn;                  /* lines on the screen that are to be rewritten */
    enum change_phase phase;       /* last told */
    enum change_phase *told;       /* per node, where lines are plain */
    bool *failed;
};

struct carry_out_show *carry_out_show_new(const struct mesh *mesh, const struct cmd_globals *globals)
{
    struct carry_out_show *show = mem_alloc(1, sizeof *show);
    *show = (struct carry_out_show){.terminal = terminal_of(STDERR_FILENO, globals), .count = mesh->node_count, .started = clock_steady(),
                                    .names = mem_alloc(mesh->node_count, sizeof *show->names),
                                    .told = mem_alloc(mesh->node_count, sizeof *show->told),
                                    .failed = mem_alloc(mesh->node_count, sizeof *show->failed)};
    for (size_t i = 0; i < show->count; i++) {
        show->names[i] = mem_text(mesh->nodes[i].name);
        if (strlen(show->names[i]) > show->name_width)
            show->name_width = strlen(show->names[i]);
    }
    if (show->name_width > NAME_WIDTH_MOST)
        show->name_width = NAME_WIDTH_MOST;
    return show;
}

void carry_out_show_clear(struct carry_out_show *show)
{
    if (show->drawn)
        fprintf(stderr, "\r\033[%zuA\033[J", show->drawn);
    fflush(stderr);
    show->drawn = 0;
}

void carry_out_show_free(struct carry_out_show *show)
{
    if (!show)
        return;
    carry_out_show_clear(show);
    for (size_t i = 0; i < show->count; i++)
        free(show->names[i]);
    free(show->names);
    free(show->told);
    free(show->failed);
    free(show);
}

static size_t screen_rows(void)
{
    struct winsize size;
    return !ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_row ? size.ws_row : ROWS_DEFAULT;
}

/* What is worth a line: what failed first, then what is not over. Nodes with nothing to do have none. */
static unsigned weight(const struct change_node *node, bool looking)
{
    if (node->failed)
        return 4;
    if (!looking && !node->operations && !node->links && !node->text)
        return 0;
    if (node->pending)
        return 1;
    return node->phase == CHANGE_DONE ? 2 : 3;
}

static enum mark mark_of(const struct change_node *node)
{
    if (node->failed)
        return MARK_BAD;
    if (node->pending)
        return MARK_WARNING;
    return node->phase == CHANGE_DONE || node->phase == CHANGE_PLANNED ? MARK_GOOD : MARK_NONE;
}

/* TEXT, cut to WIDTH columns, and a line end. */
static void add_line(struct buf *out, const char *text, size_t width)
{
    size_t columns = 0;
    while (*text) {
        uint32_t character;
        size_t length = text_decode(text, strlen(text), &character);
        if (!length || !text_character_is_safe(character))
            break;
        columns += text_character_width(character);
        if (columns > width)
            break;
        buf_add(out, text, length);
        text += length;
    }
    buf_add_text(out, "\033[K\n");
}

static void add_node(struct carry_out_show *show, struct buf *out, size_t index, const struct change_node *node)
{
    struct buf line = BUF_EMPTY;
    const char *name = show->names[index];
    add_marked(out, &show->terminal, mark_of(node), mark_glyph(&show->terminal, mark_of(node)));
    buf_add_format(&line, " %-*.*s", (int)show->name_width, NAME_WIDTH_MOST, name);
    if (node->operations)
        buf_add_format(&line, "  %zu/%zu done", node->done, node->operations);
    if (node->links)
        buf_add_format(&line, "  %zu/%zu links verified", node->verified, node->links);
    if (node->text)
        buf_add_format(&line, "  %s", node->text);
    else if (!node->operations)
        buf_add_format(&line, "  %s", change_phase_text(node->phase));
    add_line(out, buf_text(&line), show->terminal.width - 2);
    buf_free(&line);
}

static void draw_screen(struct carry_out_show *show, const struct change *change, bool stopping)
{
    const struct change_node *nodes = change_nodes(change);
    enum change_phase phase = change_phase(change);
    if (phase <= CHANGE_PLANNED && (double)(clock_steady() - show->started) < SHOWN_AFTER * (double)CLOCK_SECOND)
        return;
    if (phase > CHANGE_PLANNED && show->phase <= CHANGE_PLANNED)
        show->started = clock_steady(); /* while a person thought about the plan nothing was done */
    show->phase = phase;
    struct buf out = BUF_EMPTY, head = BUF_EMPTY;
    size_t rows = screen_rows(), room = rows > ROWS_KEPT_FREE + 2 ? rows - ROWS_KEPT_FREE - 2 : 1, lines = 1, left = 0;
    double seconds = (double)(clock_steady() - show->started) / (double)CLOCK_SECOND;
    if (show->drawn)
        buf_add_format(&out, "\r\033[%zuA", show->drawn);
    buf_add_format(&head, "%s, %.1f s%s", change_phase_text(phase), seconds,
                   stopping ? "  (^C: leave it to the guards)" : phase > CHANGE_PLANNED ? "  (^C: put everything back)" : "");
    add_line(&out, buf_text(&head), show->terminal.width - 1);
    for (unsigned wanted = 4; wanted > 0; wanted--)
        for (size_t i = 0; nodes && i < show->count; i++) {
            if (weight(&nodes[i], phase == CHANGE_LOOKING) != wanted)
                continue;
            if (lines <= room) {
                add_node(show, &out, i, &nodes[i]);
                lines++;
            } else {
                left++;
            }
        }
    if (left) {
        struct buf more = BUF_EMPTY;
        buf_add_format(&more, "  and %zu more", left);
        add_line(&out, buf_text(&more), show->terminal.width - 1);
        buf_free(&more);
        lines++;
    }
    buf_add_text(&out, "\033[J");
    fwrite(buf_text(&out), 1, out.length, stderr);
    fflush(stderr);
    show->drawn = lines;
    buf_free(&out);
    buf_free(&head);
}

static void tell_node(struct carry_out_show *show, size_t index, const struct change_node *node)
{
    if (node->failed && !show->failed[index])
        log_verbose("%s: %s", show->names[index], node->text ? node->text : "failed"); /* the report says it to all */
    else if (node->phase != show->told[index] && node->phase != CHANGE_LOOKING && node->operations)
        log_verbose("%s: %s (%zu of %zu operations, %zu of %zu links)", show->names[index], change_phase_text(node->phase), node->done,
                    node->operations, node->verified, node->links);
    show->failed[index] = node->failed;
    show->told[index] = node->phase;
}

static void tell_lines(struct carry_out_show *show, const struct change *change)
{
    const struct change_node *nodes = change_nodes(change);
    enum change_phase phase = change_phase(change);
    if (phase != show->phase && phase > CHANGE_PLANNED && phase < CHANGE_DONE)
        log_notice("%s", change_phase_text(phase));
    show->phase = phase;
    for (size_t i = 0; nodes && phase > CHANGE_PLANNED && i < show->count; i++)
        tell_node(show, i, &nodes[i]);
}

void carry_out_show_draw(struct carry_out_show *show, const struct change *change, bool stopping)
{
    if (show->terminal.interactive)
        draw_screen(show, change, stopping);
    else
        tell_lines(show, change);
}
