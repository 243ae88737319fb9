/* SIGHUP: reads the configuration again. New workers get the new one; an invalid one changes nothing and is reported.
 */
#pragma once

struct supervisor;

void reload(struct supervisor *s);
