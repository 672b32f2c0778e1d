/* How each state is drawn, on every screen the same: a glyph and a style for each value of the diagnosis. */
#include "style.h"

#include "wgdeck/tui.h"

static const struct tui_named style_rows[] = {
#define X(name, text, help) {text, help},
    STYLES(X)
    GROUNDS(X)
#undef X
};

size_t tui_style_rows(struct tui_named *rows, size_t most)
{
    size_t count = sizeof style_rows / sizeof style_rows[0];
    for (size_t i = 0; i < count && i < most; i++)
        rows[i] = style_rows[i];
    return count;
}

struct look_of look_of_link(enum link_state state)
{
    static const struct look_of looks[] = {
        [LINK_LIVE] = {GLYPH_LIVE, STYLE_GOOD},   [LINK_LATE] = {GLYPH_LATE, STYLE_LATE},    [LINK_IDLE] = {GLYPH_IDLE, STYLE_IDLE},
        [LINK_DEAD] = {GLYPH_DEAD, STYLE_BAD},    [LINK_NEVER] = {GLYPH_NEVER, STYLE_NEVER}, [LINK_HALF] = {GLYPH_HALF, STYLE_WARNING},
        [LINK_UNKNOWN] = {GLYPH_UNKNOWN, STYLE_UNKNOWN},
    };
    return looks[state];
}

struct look_of look_of_direction(const struct link *link, bool a_to_b)
{
    if ((a_to_b ? link->a_to_b : link->b_to_a) == DIRECTION_BLOCKED)
        return look_of_link(LINK_DEAD);
    return look_of_link(link->state);
}

struct look_of look_of_node(enum node_state state)
{
    static const struct look_of looks[] = {
        [NODE_UP] = {GLYPH_NODE_UP, STYLE_GOOD},
        [NODE_DEGRADED] = {GLYPH_NODE_DEGRADED, STYLE_WARNING},
        [NODE_DOWN] = {GLYPH_NODE_DOWN, STYLE_BAD},
        [NODE_UNREACHABLE] = {GLYPH_NODE_UNREACHABLE, STYLE_UNKNOWN},
    };
    return looks[state];
}

struct look_of look_of_severity(enum severity severity)
{
    static const struct look_of looks[] = {
        [SEVERITY_INFO] = {GLYPH_NOTE, STYLE_INFO},
        [SEVERITY_WARNING] = {GLYPH_WARNING, STYLE_WARNING},
        [SEVERITY_ERROR] = {GLYPH_ERROR, STYLE_BAD},
    };
    return looks[severity];
}

struct look_of look_of_verdict(enum verdict verdict)
{
    static const struct look_of looks[] = {
        [VERDICT_OK] = {GLYPH_GOOD, STYLE_GOOD},
        [VERDICT_WARNING] = {GLYPH_WARNING, STYLE_WARNING},
        [VERDICT_FAULT] = {GLYPH_ERROR, STYLE_BAD},
        [VERDICT_UNKNOWN] = {GLYPH_UNKNOWN, STYLE_UNKNOWN},
    };
    return looks[verdict];
}
