/* What a wg-quick file means, step by step, as wg-quick does it. Pure: the same list is done, undone, tested and shown by --dry-run. */
#include <stdlib.h>
#include <string.h>

#include "up.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static struct up_step *add(struct up_plan *plan, enum up_step_kind kind)
{
    MEM_GROW(plan->steps, plan->count, plan->capacity);
    struct up_step *step = &plan->steps[plan->count++];
    *step = (struct up_step){.kind = kind};
    return step;
}

static void add_for(struct up_plan *plan, enum up_step_kind kind, int family, uint32_t table)
{
    struct up_step *step = add(plan, kind);
    step->family = family;
    step->table = table;
}

static void add_hooks(const struct up_file *file, enum up_hook kind, struct up_plan *plan)
{
    for (size_t i = 0; file && i < file->hooks[kind].count; i++) {
        struct up_step *step = add(plan, STEP_HOOK);
        step->hook = kind;
        step->text = file->hooks[kind].commands[i];
    }
}

/* --- routes */

/* The longest first, as wg-quick adds them. */
static int compare_lengths(const void *a, const void *b)
{
    const struct prefix *first = a, *second = b;
    if (first->length != second->length)
        return first->length > second->length ? -1 : 1;
    return prefix_compare(first, second);
}

static size_t allowed_of(const struct device *device, struct prefix **prefixes)
{
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < device->peer_count; i++)
        count += device->peers[i].allowed_count;
    *prefixes = mem_alloc(count + 1, sizeof **prefixes);
    count = 0;
    for (size_t i = 0; i < device->peer_count; i++)
        for (size_t k = 0; k < device->peers[i].allowed_count; k++)
            (*prefixes)[count++] = prefix_network(&device->peers[i].allowed[k]);
    if (count > 1)
        qsort(*prefixes, count, sizeof **prefixes, compare_lengths);
    for (size_t i = 0; i < count; i++)
        if (!kept || prefix_compare(&(*prefixes)[kept - 1], &(*prefixes)[i]))
            (*prefixes)[kept++] = (*prefixes)[i];
    return kept;
}

/* The kernel routes the network of each address into the interface. */
static bool is_routed_by_address(const struct wgquick *wanted, const struct prefix *prefix)
{
    for (size_t i = 0; i < wanted->address_count; i++) {
        struct prefix network = prefix_network(&wanted->addresses[i]);
        if (network.length < address_bits(&network.address) && prefix_covers(&network, prefix))
            return true;
    }
    return false;
}

static void add_route(struct up_plan *plan, const struct prefix *prefix, uint32_t table)
{
    struct up_step *step = add(plan, STEP_ROUTE);
    step->family = prefix->address.family;
    step->prefix = *prefix;
    step->table = table;
}

/* All traffic, but for the engine's own, which its mark leads around (wg-quick(8), "Table"). The route comes last: nothing goes astray before. */
static void add_default(struct up_plan *plan, const struct prefix *prefix, uint32_t table)
{
    int family = prefix->address.family;
    add_for(plan, STEP_FIREWALL, family, table);
    if (family == AF_INET)
        add(plan, STEP_VALID_MARK);
    add_for(plan, STEP_RULE_MARK, family, table);
    add_for(plan, STEP_RULE_MAIN, family, table);
    add_route(plan, prefix, table);
}

static void add_routes(const struct up_file *file, uint32_t free_table, struct up_plan *plan)
{
    const struct device *device = &file->wanted.device;
    struct prefix *prefixes;
    if (!file->table_auto && !file->table)
        return;
    size_t count = allowed_of(device, &prefixes);
    uint32_t mark = device->fwmark;
    for (size_t i = 0; i < count; i++) {
        const struct prefix *prefix = &prefixes[i];
        if (!file->table_auto) {
            add_route(plan, prefix, file->table);
        } else if (prefix->length) {
            if (!is_routed_by_address(&file->wanted, prefix))
                add_route(plan, prefix, TABLE_MAIN);
        } else {
            if (!mark) {
                mark = free_table;
                add(plan, STEP_MARK)->table = mark;
            }
            add_default(plan, prefix, mark);
        }
    }
    free(prefixes);
}

/* --- the plans */

void up_plan_up(const struct up_file *file, uint32_t free_table, struct up_plan *plan)
{
    const struct wgquick *wanted = &file->wanted;
    *plan = (struct up_plan){0};
    add_hooks(file, HOOK_PRE_UP, plan);
    add(plan, STEP_LINK);
    add(plan, STEP_CONFIGURE);
    for (size_t i = 0; i < wanted->address_count; i++)
        add(plan, STEP_ADDRESS)->prefix = wanted->addresses[i];
    add(plan, STEP_START)->mtu = wanted->mtu;
    if (file->dns)
        add(plan, STEP_DNS)->text = file->dns;
    add_routes(file, free_table, plan);
    add_hooks(file, HOOK_POST_UP, plan);
}

static bool leads_all(const struct device *device, int family)
{
    for (size_t i = 0; i < device->peer_count; i++)
        for (size_t k = 0; k < device->peers[i].allowed_count; k++)
            if (!device->peers[i].allowed[k].length && device->peers[i].allowed[k].address.family == family)
                return true;
    return false;
}

void up_plan_down(const struct up_file *file, const struct device *running, struct up_plan *plan)
{
    static const int families[] = {AF_INET, AF_INET6};
    *plan = (struct up_plan){0};
    add_hooks(file, HOOK_PRE_DOWN, plan);
    if (file && file->wanted.save_config)
        add(plan, STEP_SAVE);
    for (size_t i = 0; i < COUNT_OF(families); i++)
        if (running->fwmark && (!file || file->table_auto) && leads_all(running, families[i]))
            add_for(plan, STEP_UNRULE, families[i], running->fwmark);
    add(plan, STEP_UNLINK);
    add(plan, STEP_UNFIREWALL);
    add_hooks(file, HOOK_POST_DOWN, plan);
}

void up_plan_free(struct up_plan *plan)
{
    free(plan->steps);
    *plan = (struct up_plan){0};
}

/* --- in words */

static int version(const struct up_step *step)
{
    return step->family == AF_INET6 ? 6 : 4;
}

void up_step_text(const struct up_step *step, const char *name, struct buf *text)
{
    char prefix[PREFIX_TEXT_SIZE];
    prefix_text(&step->prefix, prefix);
    switch (step->kind) {
    case STEP_HOOK:
        buf_add_format(text, "%s: ", up_hook_names[step->hook]);
        text_add_safe(text, step->text, strlen(step->text));
        break;
    case STEP_LINK:
        buf_add_format(text, "link: make %s", name);
        break;
    case STEP_CONFIGURE:
        buf_add_format(text, "engine: keys, port and rows of %s", name);
        break;
    case STEP_ADDRESS:
        buf_add_format(text, "address: %s dev %s", prefix, name);
        break;
    case STEP_START:
        if (step->mtu)
            buf_add_format(text, "link: %s mtu %u up", name, step->mtu);
        else
            buf_add_format(text, "link: %s mtu (of the way to its endpoints, less 80) up", name);
        break;
    case STEP_DNS:
        buf_add_text(text, "DNS: left alone: ");
        text_add_safe(text, step->text, strlen(step->text));
        break;
    case STEP_MARK:
        buf_add_format(text, "engine: fwmark %u", step->table);
        break;
    case STEP_RULE_MARK:
        buf_add_format(text, "rule: IPv%d not fwmark %u table %u", version(step), step->table, step->table);
        break;
    case STEP_RULE_MAIN:
        buf_add_format(text, "rule: IPv%d table main suppress_prefixlength 0", version(step));
        break;
    case STEP_ROUTE:
        buf_add_format(text, "route: %s dev %s", prefix, name);
        if (step->table != TABLE_MAIN)
            buf_add_format(text, " table %u", step->table);
        break;
    case STEP_FIREWALL:
        buf_add_format(text, "nft: IPv%d table wg-quick-%s", version(step), name);
        break;
    case STEP_VALID_MARK:
        buf_add_text(text, "sysctl: net.ipv4.conf.all.src_valid_mark = 1");
        break;
    case STEP_SAVE:
        buf_add_text(text, "save: rows, endpoints, port and addresses into the file");
        break;
    case STEP_UNRULE:
        buf_add_format(text, "rule: remove those of IPv%d and table %u", version(step), step->table);
        break;
    case STEP_UNLINK:
        buf_add_format(text, "link: delete %s", name);
        break;
    case STEP_UNFIREWALL:
        buf_add_format(text, "nft: delete the tables wg-quick-%s, if there are any", name);
        break;
    }
}
