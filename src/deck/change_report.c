/* What came of a change, for people and as JSON: what was done where, what is pending, what failed and in which state each node is. */
#include <stdlib.h>
#include <string.h>

#include "change_private.h"

static const char *const result_words[] = {
    [CHANGE_RUNNING] = "running", [CHANGE_NOTHING] = "nothing", [CHANGE_CONFIRMED] = "confirmed", [CHANGE_PUT_BACK] = "put-back",
    [CHANGE_GUARDED] = "guarded", [CHANGE_REFUSED] = "refused", [CHANGE_PARTLY] = "partly",
};
static const char *const end_words[] = {[END_NONE] = "untouched", [END_OLD] = "old", [END_NEW] = "new", [END_GUARDED] = "guarded", [END_UNKNOWN] = "unknown"};

static size_t count_ends(const struct change *change, enum change_end end)
{
    size_t count = 0;
    for (size_t i = 0; i < change->mesh->node_count; i++)
        count += change->actors[i].end == end;
    return count;
}

static void add_names(const struct change *change, enum change_end end, struct buf *buf)
{
    bool first = true;
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        if (change->actors[i].end != end)
            continue;
        buf_add_format(buf, "%s%s", first ? "" : ", ", change->mesh->nodes[i].name);
        first = false;
    }
}

static size_t verified_links(const struct change *change)
{
    size_t count = 0;
    for (size_t i = 0; i < change->link_count; i++)
        count += change->links[i].ok[0] && change->links[i].ok[1];
    return count;
}

static void add_pending(const struct change *change, struct buf *buf)
{
    for (size_t i = 0; i < change->mesh->node_count; i++)
        if (change->nodes[i].pending && change->options.plan.leaving && change->options.plan.leaving[i])
            buf_add_format(buf, "%s was not reached (%s): %s still runs there. When it can be reached again, on it: wgdeck down %s (or wg-quick down %s), and take /etc/wireguard/%s.conf away.\n",
                           change->mesh->nodes[i].name, change->nodes[i].text ? change->nodes[i].text : "no answer", change->mesh->nodes[i].interface, change->mesh->nodes[i].interface,
                           change->mesh->nodes[i].interface, change->mesh->nodes[i].interface);
        else if (change->nodes[i].pending)
            buf_add_format(buf, "%s is pending (%s): the next apply brings it up to date.\n", change->mesh->nodes[i].name, change->nodes[i].text ? change->nodes[i].text : "not reached");
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void add_guarded(const struct change *change, struct buf *buf)
{
    if (count_ends(change, END_GUARDED)) {
        add_names(change, END_GUARDED, buf);
        buf_add_format(buf, " could not be told: the guard there puts the old state back within %.0f s of when it was applied. Then look: wgdeck status\n", change->options.within);
    }
    if (count_ends(change, END_UNKNOWN)) {
        add_names(change, END_UNKNOWN, buf);
        buf_add_format(buf, " did not answer to the confirmation: it has the new state, or puts the old one back within %.0f s. Then: wgdeck apply\n", change->options.within);
    }
}

static void add_result(const struct change *change, struct buf *buf)
{
    size_t confirmed = count_ends(change, END_NEW), links = verified_links(change);
    switch (change->result) {
    case CHANGE_NOTHING:
        buf_add_text(buf, "Nothing to do: what was reached is as the mesh file asks. Nothing was touched.\n");
        break;
    case CHANGE_CONFIRMED:
        if (change->options.rotate)
            buf_add_format(buf, "Done: %zu node%s with new keys, all links verified from both ends.\n", change->rotated, plural(change->rotated));
        else
            buf_add_format(buf, "Done: confirmed on %zu node%s; %zu link%s verified from both ends.\n", confirmed, plural(confirmed), links, plural(links));
        break;
    case CHANGE_PUT_BACK:
        buf_add_text(buf, "Failed, and put back: every node that was touched is in its old state again.\n");
        break;
    case CHANGE_GUARDED:
        buf_add_text(buf, "Failed, and put back where nodes could be told.\n");
        break;
    case CHANGE_REFUSED:
        buf_add_text(buf, change->stopped ? "Stopped. Nothing was touched.\n" : "Nothing was touched.\n");
        break;
    case CHANGE_PARTLY:
        buf_add_text(buf, "Confirmed on some nodes only (");
        add_names(change, END_NEW, buf);
        buf_add_text(buf, "). The next apply completes it: wgdeck apply\n");
        break;
    case CHANGE_RUNNING:
        break;
    }
    if (change->rotated && change->result != CHANGE_CONFIRMED)
        buf_add_format(buf, "%zu node%s had got new keys before, and keep them; to go on with the others: wgdeck rotate\n", change->rotated, plural(change->rotated));
}

void change_report(const struct change *change, struct buf *buf)
{
    buf_add(buf, buf_text(&change->story), change->story.length);
    add_result(change, buf);
    add_guarded(change, buf);
    add_pending(change, buf);
}

void change_report_json(const struct change *change, struct json *json)
{
    json_object(json, NULL);
    json_number(json, "schema", 1);
    json_text(json, "mesh", change->mesh->name);
    json_text(json, "result", result_words[change->result]);
    json_text(json, "generation", change->plan ? change->plan->generation : NULL);
    json_list(json, "nodes");
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        json_object(json, NULL);
        json_text(json, "name", change->mesh->nodes[i].name);
        json_text(json, "state", end_words[change->actors[i].end]);
        json_bool(json, "pending", change->nodes[i].pending);
        json_bool(json, "failed", change->nodes[i].failed);
        json_text(json, "text", change->nodes[i].text);
        json_object_end(json);
    }
    json_list_end(json);
    json_list(json, "links");
    for (size_t i = 0; i < change->link_count; i++) {
        const struct change_link *link = &change->links[i];
        json_object(json, NULL);
        json_text(json, "a", change->mesh->nodes[link->a].name);
        json_text(json, "b", change->mesh->nodes[link->b].name);
        json_bool(json, "a_hears_b", link->ok[0]);
        json_bool(json, "b_hears_a", link->ok[1]);
        json_object_end(json);
    }
    json_list_end(json);
    json_list(json, "story");
    for (const char *line = buf_text(&change->story); *line;) {
        size_t length = strcspn(line, "\n");
        json_text_part(json, NULL, line, length);
        line += length + (line[length] == '\n');
    }
    json_list_end(json);
    json_object_end(json);
}
