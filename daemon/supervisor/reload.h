/* SIGHUP: the configuration is read again. New workers get the new one; a bad one changes nothing and is reported. */
#pragma once

struct supervisor;

void reload(struct supervisor *s);
