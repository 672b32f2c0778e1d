/* A wg-quick file that was read, as an observed configuration. */
#include <stdlib.h>

#include "wgdeck/observed.h"
#include "wgdeck/wgquick.h"

void observed_config_take(struct observed_config *config, struct wgquick *wgquick)
{
    bool has_hosts = false;
    for (size_t i = 0; i < wgquick->device.peer_count; i++)
        has_hosts = has_hosts || wgquick->endpoint_hosts[i];
    config->device = wgquick->device;
    config->addresses = wgquick->addresses;
    config->address_count = wgquick->address_count;
    config->mtu = wgquick->mtu;
    config->table_off = wgquick->table_off;
    config->listen_port_given = wgquick->listen_port_given;
    config->save_config = wgquick->save_config;
    if (has_hosts)
        config->endpoint_hosts = wgquick->endpoint_hosts;
    else
        free(wgquick->endpoint_hosts);
    *wgquick = (struct wgquick){0};
}
