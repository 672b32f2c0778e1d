/* Saying what was found: sentences, evidence, commands. All text that a node chose passes text_safe before it is kept. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { NAMES_SHOWN = 8 };

__attribute__((format(printf, 1, 0))) static char *safe_format(const char *format, va_list arguments)
{
    struct buf buf = BUF_EMPTY;
    buf_add_vformat(&buf, format, arguments);
    if (text_is_safe(buf_text(&buf), buf.length))
        return buf_take(&buf);
    char *safe = text_safe(buf_text(&buf));
    buf_free(&buf);
    return safe;
}

struct fault *fault_new(struct context *context, const char *id, size_t first, size_t second)
{
    MEM_GROW(context->findings, context->finding_count, context->finding_capacity);
    struct finding *finding = &context->findings[context->finding_count++];
    const struct fault_kind *kind = fault_kind_find(id);
    *finding = (struct finding){.merged_into = NONE};
    finding->fault = (struct fault){.kind = kind, .severity = kind->severity, .nodes = {first, second}, .from = NONE, .to = NONE};
    return &finding->fault;
}

size_t fault_index(const struct context *context)
{
    return context->finding_count - 1;
}

void fault_direction(struct fault *fault, size_t from, size_t to)
{
    fault->directed = true;
    fault->from = from;
    fault->to = to;
}

void fault_summary(struct fault *fault, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = safe_format(format, arguments); /* the old one may be among the arguments */
    va_end(arguments);
    free(fault->summary);
    fault->summary = text;
}

void fault_remedy(struct fault *fault, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = safe_format(format, arguments); /* the old one may be among the arguments */
    va_end(arguments);
    free(fault->remedy);
    fault->remedy = text;
}

void fault_remedy_more(struct fault *fault, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *more = safe_format(format, arguments);
    va_end(arguments);
    char *whole = fault->remedy ? mem_format("%s; %s", fault->remedy, more) : mem_text(more);
    free(fault->remedy);
    free(more);
    fault->remedy = whole;
}

void fault_evidence(struct context *context, size_t fault, const char *format, ...)
{
    struct finding *finding = &context->findings[fault];
    va_list arguments;
    va_start(arguments, format);
    MEM_GROW(finding->fault.evidence, finding->fault.evidence_count, finding->evidence_capacity);
    finding->fault.evidence[finding->fault.evidence_count++] = safe_format(format, arguments);
    va_end(arguments);
}

void fault_explains(struct context *context, size_t fault, const char *format, ...)
{
    struct finding *finding = &context->findings[fault];
    va_list arguments;
    va_start(arguments, format);
    MEM_GROW(finding->fault.consequences, finding->fault.consequence_count, finding->consequence_capacity);
    finding->fault.consequences[finding->fault.consequence_count++] = safe_format(format, arguments);
    va_end(arguments);
}

void fault_folds(struct context *context, const char *what)
{
    context->findings[fault_index(context)].folds = what;
}

void pair_explained(struct context *context, struct pair *pair, size_t fault)
{
    (void)context;
    if (pair->cause == NONE)
        pair->cause = fault;
}

void words_add_shell(struct buf *buf, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/:=+-,@%[]";
    if (*text && text[strspn(text, plain)] == '\0' && *text != '[')
        buf_add_text(buf, text);
    else
        text_add_quoted(buf, text);
}

char *words_names(const struct context *context, const size_t *nodes, size_t count)
{
    struct buf buf = BUF_EMPTY;
    size_t shown = count > NAMES_SHOWN ? NAMES_SHOWN - 1 : count;
    for (size_t i = 0; i < shown; i++)
        buf_add_format(&buf, "%s%s", i ? ", " : "", context->views[nodes[i]].name);
    if (count > shown)
        buf_add_format(&buf, " and %zu more", count - shown);
    return buf_take(&buf);
}

char *words_prefixes(const struct prefix *prefixes, size_t count)
{
    struct buf buf = BUF_EMPTY;
    for (size_t i = 0; i < count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&prefixes[i], text);
        buf_add_format(&buf, "%s%s", i ? "," : "", text);
    }
    return buf_take(&buf);
}

char *words_set_peer(const struct node_view *view, const struct key *key)
{
    struct buf buf = BUF_EMPTY;
    char text[KEY_TEXT_SIZE];
    key_text(key, text);
    buf_add_text(&buf, "wg set ");
    words_add_shell(&buf, view->interface_name);
    buf_add_format(&buf, " peer %s", text);
    return buf_take(&buf);
}

static void add_handshake(struct buf *buf, const struct end *end)
{
    char age[CLOCK_TEXT_SIZE];
    clock_ago_text(end->age, age);
    if (end->age >= 0)
        buf_add_format(buf, "last handshake %s", age);
    else
        buf_add_text(buf, end->row->handshake > 0 ? "last handshake in the future of its clock" : "never a handshake");
}

char *words_row(const struct context *context, size_t holder, size_t other, const struct end *end)
{
    struct buf buf = BUF_EMPTY;
    char endpoint[ENDPOINT_TEXT_SIZE];
    buf_add_format(&buf, "%s's row for %s: ", context->views[holder].name, context->views[other].name);
    if (!end->row) {
        buf_add_text(&buf, context->views[holder].looked ? "none" : "could not be read");
        return buf_take(&buf);
    }
    add_handshake(&buf, end);
    if (end->counted)
        buf_add_format(&buf, ", between two readings it sent %u bytes and received %u", end->sent, end->heard);
    else
        buf_add_format(&buf, ", sent %llu bytes and received %llu in all", (unsigned long long)end->row->tx_bytes,
                       (unsigned long long)end->row->rx_bytes);
    endpoint_text(&end->row->endpoint, endpoint);
    buf_add_format(&buf, ", endpoint %s", *endpoint ? endpoint : "(none)");
    return buf_take(&buf);
}
