/* Refusing stand-ins for GSSAPI, in the static link only: Debian's libssh.a refers to it, and it has no static library.
 * Prototypes as RFC 2744 has them, in the little of it that libssh calls. Who asks for GSSAPI is told, and another way of login is tried. */
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/log.h"

typedef uint32_t OM_uint32;
typedef void *gss_handle;
struct gss_buffer {
    size_t length;
    void *value;
};

enum { GSS_S_UNAVAILABLE = 16 << 16 };

OM_uint32 gss_accept_sec_context(void);
OM_uint32 gss_acquire_cred(void);
OM_uint32 gss_add_oid_set_member(void);
OM_uint32 gss_create_empty_oid_set(void);
OM_uint32 gss_display_name(void);
OM_uint32 gss_display_status(OM_uint32 *minor, OM_uint32 status, int type, gss_handle mechanism, OM_uint32 *context, struct gss_buffer *text);
OM_uint32 gss_get_mic(void);
OM_uint32 gss_import_name(void);
OM_uint32 gss_indicate_mechs(OM_uint32 *minor, gss_handle *mechanisms);
OM_uint32 gss_init_sec_context(void);
OM_uint32 gss_inquire_cred(void);
OM_uint32 gss_inquire_cred_by_mech(void);
OM_uint32 gss_release_buffer(OM_uint32 *minor, struct gss_buffer *buffer);
OM_uint32 gss_release_cred(void);
OM_uint32 gss_release_name(void);
OM_uint32 gss_release_oid_set(void);
OM_uint32 gss_test_oid_set_member(void);
OM_uint32 gss_verify_mic(void);

gss_handle GSS_C_NT_HOSTBASED_SERVICE, GSS_C_NT_USER_NAME;

/* The first call of a login by GSSAPI. */
OM_uint32 gss_indicate_mechs(OM_uint32 *minor, gss_handle *mechanisms)
{
    log_notice("this static program has no GSSAPI (Kerberos) login: use the dynamic wgdeck, or another way of login");
    *minor = 0;
    *mechanisms = NULL;
    return GSS_S_UNAVAILABLE;
}

OM_uint32 gss_display_status(OM_uint32 *minor, OM_uint32 status, int type, gss_handle mechanism, OM_uint32 *context, struct gss_buffer *text)
{
    (void)status, (void)type, (void)mechanism;
    *minor = 0;
    *context = 0;
    *text = (struct gss_buffer){0};
    return GSS_S_UNAVAILABLE;
}

OM_uint32 gss_release_buffer(OM_uint32 *minor, struct gss_buffer *buffer)
{
    *minor = 0;
    *buffer = (struct gss_buffer){0}; /* nothing here ever allocates one */
    return 0;
}

#define REFUSE(name)              \
    OM_uint32 name(void)          \
    {                             \
        return GSS_S_UNAVAILABLE; \
    }

REFUSE(gss_accept_sec_context)
REFUSE(gss_acquire_cred)
REFUSE(gss_add_oid_set_member)
REFUSE(gss_create_empty_oid_set)
REFUSE(gss_display_name)
REFUSE(gss_get_mic)
REFUSE(gss_import_name)
REFUSE(gss_init_sec_context)
REFUSE(gss_inquire_cred)
REFUSE(gss_inquire_cred_by_mech)
REFUSE(gss_release_cred)
REFUSE(gss_release_name)
REFUSE(gss_release_oid_set)
REFUSE(gss_test_oid_set_member)
REFUSE(gss_verify_mic)
