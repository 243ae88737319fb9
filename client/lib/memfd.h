/* How do megabytes travel as a descriptor, and when is a received one safe to map?
 *
 * Out: a memfd filled once and sealed. In: a descriptor from the daemon is mapped only if its seals permanently forbid
 * what could hurt a reader: shrinking (SIGBUS) and writing (bytes that change after they were checked). Knows nothing
 * of messages, except that a received payload must be one MessagePack value.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Arguments larger than this are sent as a memfd, if the daemon supports that. */
#define MEMFD_FROM_BYTES (512u << 10)
/* The largest payload that is mapped: above any sensible daemon configuration, but a bound on a false size. */
#define MEMFD_MAX_BYTES (UINT64_C(16) << 30)

/* A mapped, checked payload. Reference-counted with atomics: results that share one may be freed by other threads. */
struct payload;

/* bytes: borrowed, copied. → a descriptor, sealed SHRINK|GROW|WRITE|SEAL, to be closed by the caller;
 * -errno (-EFBIG: more than this process may write to a file). */
int memfd_from_bytes(const void *bytes, size_t length);

/* fd: borrowed. → 0 with *ret_payload, one reference; MPOOL_EPROTOCOL unless it is a memfd sealed like that, of exactly
 * this size, holding one well-formed value; -ENOMEM. */
int payload_map(int fd, uint64_t size, struct payload **ret_payload);
struct payload *payload_ref(struct payload *payload);
void payload_unref(struct payload *payload); /* NULL is allowed */
const uint8_t *payload_bytes(const struct payload *payload, size_t *ret_length);
