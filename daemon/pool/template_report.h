/* What a template says of its modules and functions: read, and not believed.
 *
 * Modules are code in that process, and may write there what they like. So the whole report is checked before anything
 * of it is used: names are what names may be, and there are no more of them than anybody has. What the texts say is the
 * business of those who show them.
 */
#pragma once

#include <stdint.h>

struct template;

/* Takes in the report that lies in a memfd (borrowed): the template's modules, and its functions in its pool.
 * → 0; -EPROTO: it is no report; -ENOMEM or another -errno. */
int template_report_take(struct template *t, int fd, uint64_t size);
