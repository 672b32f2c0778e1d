/* ProxyJump through one shared session. */
#include "session.h"

int bastion_attach(struct fanout_session *session, struct err *err)
{
    return err_set(err, "%s: ProxyJump is not built yet", session->name);
}

void bastion_connect(struct fanout_session *session)
{
    (void)session;
}

void bastion_changed(struct fanout_session *bastion)
{
    (void)bastion;
}

void bastion_detach(struct fanout_session *session)
{
    (void)session;
}
