/* What both sides of the talk through the tunnel share (control.h). Private to src/node/control*.c. */
#ifndef WGDECK_NODE_CONTROL_WIRE_H
#define WGDECK_NODE_CONTROL_WIRE_H

#include <sys/socket.h>

#include "control.h"
#include "wgdeck/json.h"
#include "wgdeck/key.h"
#include "wgdeck/prefix.h"

socklen_t control_place(const struct address *address, uint16_t port, struct sockaddr_storage *place);
struct address control_address(const struct sockaddr_storage *place);
/* A socket for datagrams of FAMILY that only sees what comes and goes through INTERFACE; -1 with err. */
int control_socket(const char *interface, int family, struct err *err);
int control_bind_reserved(int descriptor, int family, struct err *err); /* to a free port below 1024 */
uint16_t control_port_of(const struct sockaddr_storage *place);
/* One datagram that is a JSON object, from FROM; NULL: there is none (*MORE false), or it is none (*MORE true). */
cJSON *control_receive(int descriptor, struct sockaddr_storage *from, bool *more);

/* What a hello says, checked. */
enum { CONTROL_ROWS = 16, CONTROL_CANDIDATES = 12, CONTROL_NAME = 64 };
struct control_row {
    struct key key;
    struct endpoint endpoint;  /* family 0: none */
    int64_t age;               /* ms; -1: never */
    uint64_t rx;
    unsigned way;              /* of enum observed_way + 1; 0: none is noted */
};
struct control_hello {
    char name[CONTROL_NAME];   /* safe */
    struct control_row rows[CONTROL_ROWS];
    size_t row_count;
    struct endpoint candidates[CONTROL_CANDIDATES];
    size_t candidate_count;
};
void control_read_hello(const cJSON *object, struct control_hello *hello);

#endif
