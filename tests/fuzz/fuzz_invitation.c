/* A token is pasted by a person, a record comes from a file or the wire. "{...": a record; "w...": a token as text; else: the inside of a token, to which the checksums are made here, since
 * no fuzzer finds them. What is taken is written and read back the same, and is safe to show. */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/invitation.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void must_be_safe(const char *text)
{
    must(text_is_safe(text, strlen(text)));
}

static void token(const char *text, size_t length)
{
    struct invitation invitation, again;
    struct buf first = BUF_EMPTY, second = BUF_EMPTY, line = BUF_EMPTY;
    struct err err;
    if (invitation_decode(text, length, &invitation, &err)) {
        must_be_safe(err.text);
        return;
    }
    must(text_is_name(invitation.mesh) && text_is_name(invitation.name) && text_is_name(invitation.hub) && invitation.place_count && invitation.host_key_count);
    for (size_t i = 0; i < invitation.place_count; i++)
        must_be_safe(invitation.places[i].host);
    for (size_t i = 0; i < invitation.host_key_count; i++)
        must_be_safe(invitation.host_keys[i]);
    invitation_encode(&invitation, &first);
    must(!invitation_decode(first.data, first.length, &again, &err));
    invitation_encode(&again, &second);
    must(first.length == second.length && !memcmp(first.data, second.data, first.length));
    invitation_public(&invitation, &line);
    must_be_safe(buf_text(&line));
    buf_wipe(&first);
    buf_wipe(&second);
    buf_free(&line);
}

static void check_of(const unsigned char *bytes, size_t length, unsigned char check[static 8])
{
    unsigned char hash[crypto_generichash_BYTES];
    crypto_generichash(hash, sizeof hash, bytes, length, NULL, 0);
    memcpy(check, hash, 8);
}

static void inside(const uint8_t *data, size_t size)
{
    unsigned char bytes[1600], check[8];
    char text[2200] = "wgdeck1.";
    if (size > 1500)
        return;
    size_t length = 3 + size + 8;
    bytes[0] = (unsigned char)(length >> 8);
    bytes[1] = (unsigned char)length;
    check_of(bytes, 2, check);
    bytes[2] = check[0];
    memcpy(bytes + 3, data, size);
    check_of(bytes, 3 + size, bytes + 3 + size);
    sodium_bin2base64(text + 8, sizeof text - 8, bytes, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    token(text, strlen(text));
}

static void write_record(const struct invitation_record *record, struct buf *buf)
{
    struct json json = json_begin(buf);
    json_object(&json, NULL);
    invitation_record_write(record, &json);
    json_object_end(&json);
}

static void check_record(const struct invitation_record *record)
{
    struct invitation_record again;
    struct buf first = BUF_EMPTY, second = BUF_EMPTY, list = BUF_EMPTY, shown = BUF_EMPTY;
    struct json json = json_begin(&shown);
    struct key key;
    memset(&key, 7, sizeof key);
    write_record(record, &first);
    cJSON *object = json_parse(first.data, first.length, NULL);
    must(object && !invitation_record_read(object, &again, NULL));
    write_record(&again, &second);
    must(first.length == second.length && !memcmp(first.data, second.data, first.length));
    must(!invitation_operations(record->hub, &record->place, &key, &list, NULL) && !invitation_operations(record->node, &record->place, &key, &list, NULL));
    invitation_record_show(record, 1795410000, &json);
    must_be_safe(record->name);
    must_be_safe(record->by);
    cJSON_Delete(object);
    invitation_record_free(&again);
    buf_free(&first);
    buf_free(&second);
    buf_free(&list);
    buf_free(&shown);
}

static void record(const uint8_t *data, size_t size)
{
    struct invitation_record read;
    struct err err;
    cJSON *object = json_parse((const char *)data, size, &err);
    if (object && !invitation_record_read(object, &read, &err)) {
        check_record(&read);
        invitation_record_free(&read);
    }
    cJSON_Delete(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] == '{')
        record(data, size);
    else if (size && data[0] == 'w')
        token((const char *)data, size);
    else
        inside(data, size);
    return 0;
}
