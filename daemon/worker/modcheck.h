/* `mpoold --module-check FILE` and `mpoold --module-new NAME`, which `mpool module check` and `mpool module new` exec.
 *
 * What does a module provide, or what is wrong with it? Loads it in a throwaway child, as a template and a worker
 * would, so that a module that crashes or hangs is reported and does no harm. Calls its hooks, but none of its
 * functions.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* name: a module's name or path, as in modules_load(). directories: the search path, NULL-terminated, or NULL. Writes
 * the result to `out`: text, or one JSON object {"ok": bool, "file", "error" or "name", "version", "abi", "functions":
 * [{"name", "idempotent", "cancellable", "timeout_s", "summary"}]}. → 0 the module is good; 1 it is not (the reason has
 * been written); -errno when it could not be checked. */
int modcheck_file(const char *name, const char *const *directories, bool json, FILE *out);

/* Writes the source of a module `name` that builds and loads. → 0, -EINVAL not a module's name, -EIO. */
int modcheck_template(const char *name, FILE *out);
