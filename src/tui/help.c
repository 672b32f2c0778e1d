/* Help of a screen: what it shows, its keys as they are now, commands, and what glyphs and colours mean. */
#include "help.h"

#include <stdlib.h>
#include <string.h>

#include "tui_private.h"
#include "wgdeck/text.h"

enum { HELP_ROWS_MOST = 100000, HELP_WIDTH_MOST = 100 };

struct view_help {
    struct view_base base;
    const struct tui *tui;            /* whose keys; NULL until help_about */
    const struct view_ops *about;
    int top, height;                  /* first line shown; rows of the last draw */
};

/* Where lines go: counted even when they are not seen. */
struct page { const struct area *area; int row, top; };

static int seen(const struct page *page)
{
    int row = page->row - page->top;
    return row >= 0 && row < page->area->rows ? row : -1;
}

static void add_title(struct page *page, const char *title)
{
    if (page->row)
        page->row++;
    if (seen(page) >= 0)
        area_bold(page->area, seen(page), 1, STYLE_TITLE, title);
    page->row++;
}

/* A text broken at spaces from COLUMN on; at least one row. */
static void add_text(struct page *page, int column, enum style style, const char *text)
{
    int width = page->area->columns - column - 1;
    width = width < 10 ? 10 : width > HELP_WIDTH_MOST ? HELP_WIDTH_MOST : width;
    char line[512];
    do {
        /* As much as fits, to the last space in it. */
        size_t taken = 0, space = 0, columns = 0;
        while (taken < sizeof line - 8 && text[taken]) {
            uint32_t character;
            size_t bytes = text_decode(text + taken, strlen(text + taken), &character);
            bytes = bytes ? bytes : 1;
            columns += text_character_width(character);
            if (columns > (size_t)width)
                break;
            if (text[taken] == ' ')
                space = taken;
            taken += bytes;
        }
        size_t length = text[taken] && text[taken] != ' ' && space ? space : taken ? taken : 1;
        snprintf(line, sizeof line, "%.*s", (int)length, text);
        if (seen(page) >= 0)
            area_text(page->area, seen(page), column, style, line);
        page->row++;
        text += length;
        text += strspn(text, " ");
    } while (*text);
}

static void add_pair(struct page *page, int column, enum style style, const char *left, const char *right)
{
    if (seen(page) >= 0)
        area_field(page->area, seen(page), 2, column - 3, false, style, left);
    if ((int)text_width(left) > column - 3) /* too long to stand beside */
        page->row++;
    add_text(page, column, STYLE_TEXT, right);
}

static bool works_in(const char *where, const struct view_ops *ops)
{
    if (!strcmp(where, "everywhere"))
        return true;
    if (!ops)
        return false;
    if (!strcmp(where, "lists"))
        return ops->menu != NULL;
    const char *at = strstr(where, ops->name);
    size_t length = strlen(ops->name);
    return at && (at == where || at[-1] == ' ') && (!at[length] || at[length] == ' ');
}

static void add_key(struct page *page, const struct tui *tui, enum action action)
{
    struct buf keys = BUF_EMPTY;
    keymap_text(&tui->keymap, action, &keys);
    add_pair(page, 20, STYLE_KEY, keys.length ? buf_text(&keys) : "(no key)", action_rows[action].help);
    buf_free(&keys);
}

static void add_keys_here(struct page *page, const struct view_help *view, bool shown[static ACTION_COUNT])
{
    add_title(page, "Keys here");
    for (const enum action *action = view->about ? view->about->footer : NULL; action && *action != ACTION_NONE; action++)
        if (!shown[*action]) {
            shown[*action] = true;
            add_key(page, view->tui, *action);
        }
    for (int action = ACTION_NONE + 1; action < ACTION_COUNT; action++)
        if (!shown[action] && strcmp(action_rows[action].where, "everywhere") && works_in(action_rows[action].where, view->about)) {
            shown[action] = true;
            add_key(page, view->tui, (enum action)action);
        }
}

static void add_keys_everywhere(struct page *page, const struct view_help *view, const bool shown[static ACTION_COUNT])
{
    add_title(page, "Keys everywhere");
    for (int action = ACTION_NONE + 1; action < ACTION_COUNT; action++)
        if (!shown[action] && !strcmp(action_rows[action].where, "everywhere"))
            add_key(page, view->tui, (enum action)action);
}

static void add_look(struct page *page, struct look_of look, const char *name, const char *meaning)
{
    if (seen(page) >= 0) {
        area_glyph(page->area, seen(page), 2, look.style, look.glyph);
        area_field(page->area, seen(page), 4, 14, false, look.style, name);
    }
    add_text(page, 20, STYLE_TEXT, meaning);
}

static void add_legend(struct page *page)
{
    static const char *const links[] = {
        [LINK_LIVE] = "a fresh handshake; packets go both ways",
        [LINK_LATE] = "the handshake is older than it should be while packets are sent",
        [LINK_IDLE] = "nothing is sent, and nothing says that it should work no more",
        [LINK_DEAD] = "it worked, and carries nothing any more",
        [LINK_NEVER] = "there never was a handshake",
        [LINK_HALF] = "one end only holds a row, or one direction only carries",
        [LINK_UNKNOWN] = "cannot be judged: the ends are not seen",
    };
    static const char *const nodes[] = {
        [NODE_UP] = "reached, and its WireGuard works",
        [NODE_DEGRADED] = "reached; something is wrong there",
        [NODE_DOWN] = "reached; its WireGuard interface is gone or stopped",
        [NODE_UNREACHABLE] = "SSH does not reach it: it may well be in the mesh",
    };
    static const char *const severities[] = {
        [SEVERITY_INFO] = "worth knowing",
        [SEVERITY_WARNING] = "works, and will not for long, or not for all",
        [SEVERITY_ERROR] = "does not work",
    };
    add_title(page, "Links");
    for (int state = LINK_LIVE; state <= LINK_UNKNOWN; state++)
        add_look(page, look_of_link((enum link_state)state), link_state_text((enum link_state)state), links[state]);
    add_title(page, "Nodes");
    for (int state = NODE_UP; state <= NODE_UNREACHABLE; state++)
        add_look(page, look_of_node((enum node_state)state), node_state_text((enum node_state)state), nodes[state]);
    add_title(page, "Faults");
    for (int severity = SEVERITY_ERROR; severity >= SEVERITY_INFO; severity--)
        add_look(page, look_of_severity((enum severity)severity), severity_text((enum severity)severity), severities[severity]);
}

static void add_commands(struct page *page)
{
    struct tui_named rows[64];
    size_t count = tui_command_rows(rows, 64);
    add_title(page, "Commands, after :");
    for (size_t i = 0; i < count && i < 64; i++)
        add_pair(page, 24, STYLE_KEY, rows[i].name, rows[i].help);
}

static void add_warnings(struct page *page, const struct tui *tui)
{
    char line[512];
    if (!tui->warnings.length)
        return;
    add_title(page, "Wrong in the configuration (the defaults hold there)");
    for (const char *at = buf_text(&tui->warnings); *at;) {
        size_t length = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, at);
        add_text(page, 2, STYLE_WARNING, line);
        at += length + (at[length] == '\n');
    }
}

static void add_themes(struct page *page, const struct tui *tui)
{
    struct buf text = BUF_EMPTY;
    char **names = theme_names();
    buf_add_format(&text, "Theme %s. There are:", *tui->theme.name ? tui->theme.name : "default");
    for (size_t i = 0; names[i]; i++) {
        buf_add_format(&text, "%s %s", i ? "," : "", names[i]);
        free(names[i]);
    }
    free(names);
    add_title(page, "Themes");
    add_text(page, 2, STYLE_TEXT, buf_text(&text));
    add_text(page, 2, STYLE_DIM, "Keys, columns, themes and more are set in deck.conf: see wgdeck-deck.conf(5) and wgdeck-theme(5).");
    buf_free(&text);
}

void help_about(struct view *raw, const struct tui *tui, const struct view_ops *about)
{
    struct view_help *view = (struct view_help *)raw;
    view->tui = tui;
    view->about = about;
    view->top = 0;
}

static void add_all(struct page *page, const struct view_help *view)
{
    bool shown[ACTION_COUNT] = {false};
    add_warnings(page, view->tui);
    if (view->about) {
        add_title(page, view->about->title);
        add_text(page, 2, STYLE_TEXT, view->about->help);
    }
    add_keys_here(page, view, shown);
    add_legend(page);
    add_keys_everywhere(page, view, shown);
    add_commands(page);
    add_themes(page, view->tui);
}

static void draw(struct view *raw, const struct scene *scene, const struct area *area)
{
    struct view_help *view = (struct view_help *)raw;
    (void)scene;
    if (!view->tui)
        return;
    struct page page = {.area = area, .top = HELP_ROWS_MOST}; /* only counted: nothing is seen from there */
    add_all(&page, view);
    int last = page.row > area->rows ? page.row - area->rows : 0;
    view->height = area->rows;
    view->top = view->top > last ? last : view->top < 0 ? 0 : view->top;
    page = (struct page){.area = area, .top = view->top};
    add_all(&page, view);
    /* More above or below: said at the edge. */
    if (view->top)
        area_glyph(area, 0, area->columns - 2, STYLE_ACCENT, GLYPH_MORE_UP);
    if (view->top < last)
        area_glyph(area, area->rows - 1, area->columns - 2, STYLE_ACCENT, GLYPH_MORE_DOWN);
}

/* How far it goes is known when it is drawn. */
static void scroll(struct view_help *view, int rows)
{
    view->top += rows;
    view->top = view->top > HELP_ROWS_MOST ? HELP_ROWS_MOST : view->top < 0 ? 0 : view->top;
}

static bool act(struct view *raw, const struct scene *scene, enum action action, struct wish *wish)
{
    struct view_help *view = (struct view_help *)raw;
    int page = view->height > 1 ? view->height - 1 : 1;
    (void)scene;
    (void)wish;
    switch (action) {
    case ACTION_UP:
        scroll(view, -1);
        return true;
    case ACTION_DOWN:
    case ACTION_ENTER:
        scroll(view, 1);
        return true;
    case ACTION_PAGE_UP:
        scroll(view, -page);
        return true;
    case ACTION_PAGE_DOWN:
    case ACTION_MARK: /* Space, as in a pager */
        scroll(view, page);
        return true;
    case ACTION_FIRST:
        scroll(view, -HELP_ROWS_MOST);
        return true;
    case ACTION_LAST:
        scroll(view, HELP_ROWS_MOST);
        return true;
    default:
        return false;
    }
}

static bool mouse(struct view *raw, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    (void)scene;
    (void)row;
    (void)column;
    (void)double_click;
    (void)wish;
    if (wheel)
        scroll((struct view_help *)raw, 3 * wheel);
    return wheel != 0;
}

static const enum action footer[] = {ACTION_DOWN, ACTION_PAGE_DOWN, ACTION_NONE};

const struct view_ops view_help = {
    .name = "help",
    .title = "Help",
    .help = "What the screen before this one shows, its keys as they are set now, and what glyphs and colours mean.",
    .action = ACTION_HELP,
    .size = sizeof(struct view_help),
    .footer = footer,
    .draw = draw,
    .act = act,
    .mouse = mouse,
};
