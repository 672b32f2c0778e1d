/* status --json, schema 1 (DESIGN section 5): keys and words are a contract. */
#include <math.h>
#include <stdio.h>

#include "wgdeck/clock.h"
#include "wgdeck/diagnosis.h"
#include "wgdeck/mem.h"

static void add_time(struct json *json, const char *key, int64_t at)
{
    char text[CLOCK_TEXT_SIZE];
    clock_text(at, text);
    json_text(json, key, at > 0 ? text : NULL);
}

static void add_seconds(struct json *json, const char *key, int64_t nanoseconds, int decimals)
{
    json_decimal(json, key, nanoseconds < 0 ? (double)NAN : (double)nanoseconds / (double)CLOCK_SECOND, decimals);
}

static void add_endpoint(struct json *json, const char *key, const struct device_peer *row)
{
    char text[ENDPOINT_TEXT_SIZE] = "";
    if (row)
        endpoint_text(&row->endpoint, text);
    json_text(json, key, *text ? text : NULL);
}

static void add_counter(struct json *json, const char *key, const struct device_peer *row, bool sent)
{
    if (row)
        json_unsigned(json, key, sent ? row->tx_bytes : row->rx_bytes);
    else
        json_null(json, key);
}

static void add_addresses(struct json *json, const struct observed_link *interface)
{
    json_list(json, "addresses");
    for (size_t i = 0; interface && i < interface->address_count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&interface->addresses[i], text);
        json_text(json, NULL, text);
    }
    json_list_end(json);
}

/* What a node that could not be read would have said is null. */
static void add_node(struct json *json, const struct mesh_node *node, const struct observation *seen, const struct node_summary *summary)
{
    const struct device *device = summary->device;
    const struct observed_link *interface = device && seen ? observation_link(seen, device->name) : NULL;
    char key[KEY_TEXT_SIZE];
    json_object(json, NULL);
    json_text(json, "name", node->name);
    json_text(json, "ssh", node->ssh);
    json_text(json, "state", node_state_text(summary->state));
    json_text(json, "error", seen ? seen->error : NULL);
    json_text(json, "interface", device ? device->name : node->interface);
    json_text(json, "engine", device && device->engine != ENGINE_UNKNOWN ? engine_kind_text(device->engine) : NULL);
    if (device && !key_is_zero(&device->public_key)) {
        key_text(&device->public_key, key);
        json_text(json, "public_key", key);
    } else {
        json_null(json, "public_key");
    }
    if (device)
        json_unsigned(json, "listen_port", device->listen_port);
    else
        json_null(json, "listen_port");
    add_addresses(json, interface);
    if (interface && interface->mtu)
        json_unsigned(json, "mtu", interface->mtu);
    else
        json_null(json, "mtu");
    json_unsigned(json, "peers", summary->rows);
    json_unsigned(json, "live", summary->live);
    json_unsigned(json, "rx_bytes", summary->rx_bytes);
    json_unsigned(json, "tx_bytes", summary->tx_bytes);
    json_text(json, "generation", seen ? seen->generation : NULL);
    json_text(json, "version", seen ? seen->version : NULL);
    json_object_end(json);
}

static void add_link(struct json *json, const struct mesh *mesh, const struct link *link)
{
    json_object(json, NULL);
    json_text(json, "a", mesh->nodes[link->a].name);
    json_text(json, "b", mesh->nodes[link->b].name);
    json_text(json, "state", link_state_text(link->state));
    json_text(json, "path", link_path_text(link->path));
    if (link->path_reason)
        json_text(json, "path_reason", link->path_reason);
    json_text(json, "a_to_b", direction_state_text(link->a_to_b));
    json_text(json, "b_to_a", direction_state_text(link->b_to_a));
    add_seconds(json, "a_handshake_age", link->a_age, 1);
    add_seconds(json, "b_handshake_age", link->b_age, 1);
    add_endpoint(json, "a_endpoint_of_b", link->a_row);
    add_endpoint(json, "b_endpoint_of_a", link->b_row);
    add_counter(json, "a_rx", link->a_row, false);
    add_counter(json, "a_tx", link->a_row, true);
    add_counter(json, "b_rx", link->b_row, false);
    add_counter(json, "b_tx", link->b_row, true);
    json_decimal(json, "rtt_ms", link->rtt < 0 ? (double)NAN : (double)link->rtt / (double)CLOCK_MILLISECOND, 3);
    json_object_end(json);
}

static void add_texts(struct json *json, const char *key, char *const *texts, size_t count)
{
    json_list(json, key);
    for (size_t i = 0; i < count; i++)
        json_text(json, NULL, texts[i]);
    json_list_end(json);
}

static void add_direction(struct json *json, const struct mesh *mesh, const struct fault *fault)
{
    struct buf text = BUF_EMPTY;
    bool known = fault->directed && fault->from < mesh->node_count && fault->to < mesh->node_count;
    if (known)
        buf_add_format(&text, "%s\xe2\x86\x92%s", mesh->nodes[fault->from].name, mesh->nodes[fault->to].name);
    json_text(json, "direction", known ? buf_text(&text) : NULL);
    buf_free(&text);
}

static void add_fault(struct json *json, const struct mesh *mesh, const struct fault *fault)
{
    json_object(json, NULL);
    json_text(json, "id", fault->kind->id);
    json_text(json, "severity", severity_text(fault->severity));
    json_list(json, "nodes");
    for (size_t i = 0; i < COUNT_OF(fault->nodes); i++)
        if (fault->nodes[i] < mesh->node_count)
            json_text(json, NULL, mesh->nodes[fault->nodes[i]].name);
    json_list_end(json);
    add_direction(json, mesh, fault);
    json_text(json, "summary", fault->summary);
    add_texts(json, "evidence", fault->evidence, fault->evidence_count);
    json_text(json, "remedy", fault->remedy);
    json_bool(json, "fix", fault->kind->fixable);
    add_time(json, "since", fault->since);
    add_texts(json, "consequences", fault->consequences, fault->consequence_count);
    json_object_end(json);
}

void diagnosis_to_json(const struct mesh *mesh, const struct observed *observed, const struct diagnosis *diagnosis, struct json *json)
{
    json_object(json, NULL);
    json_number(json, "schema", 1);
    json_text(json, "mesh", mesh->name);
    add_time(json, "at", diagnosis->at);
    json_text(json, "verdict", verdict_text(diagnosis->verdict));
    json_list(json, "nodes");
    for (size_t i = 0; i < diagnosis->node_count; i++)
        add_node(json, &mesh->nodes[i], observed && i < observed->node_count ? &observed->nodes[i] : NULL, &diagnosis->nodes[i]);
    json_list_end(json);
    json_list(json, "links");
    for (size_t i = 0; i < diagnosis->link_count; i++)
        add_link(json, mesh, &diagnosis->links[i]);
    json_list_end(json);
    json_list(json, "faults");
    for (size_t i = 0; i < diagnosis->fault_count; i++)
        add_fault(json, mesh, &diagnosis->faults[i]);
    json_list_end(json);
    json_object_end(json);
}
