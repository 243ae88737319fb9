/* Parsers for values: sizes, durations, numbers of workers, lists, users.
 *
 * Pure except for the user and group lookups. → 0 with *ret set, or a negative errno with it unchanged: -EINVAL wrong
 * syntax, -ERANGE too large to represent, -ESRCH no such user or group, -E2BIG too many words, -ENOMEM, or the error of
 * a lookup. The caller checks the bounds of its key. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/config/config.h"

#define CONFIG_WORDS_MAX 1024

/* "-5". Decimal, with nothing around it. */
int config_parse_number(const char *text, int64_t *ret);
/* "64M": bytes, or K, M, G, T in powers of 1024, upper or lower case, with or without "iB". */
int config_parse_size(const char *text, int64_t *ret);
/* "1m30s": sums of ms, s, m (min), h, d; a bare number is in seconds. In ms. */
int config_parse_duration(const char *text, int64_t *ret_ms);
/* "4", "auto", "2..16", "1..auto", "auto..32". auto is `cpus`, clamped to the other bound: a range that contains auto
 * is never empty. -ERANGE: a bound outside of 1..limit, or min above max. */
int config_parse_workers(const char *text, unsigned cpus, uint32_t limit, uint32_t *ret_min, uint32_t *ret_max);
/* "0660": octal, at most 0777. */
int config_parse_mode(const char *text, mode_t *ret);

/* Splits at blanks, and at commas too if `commas`. "Double quotes" keep blanks; \" and \\ within them. Appends nothing:
 * *ret is overwritten and owned by the caller. -EINVAL: a quote is not closed. */
int config_parse_words(const char *text, bool commas, struct config_strings *ret);
void config_strings_reset(struct config_strings *strings);

/* By name or number. *ret_gid: the user's primary group, (gid_t)-1 for a number without an entry; ret_gid may be NULL.
 */
int config_parse_user(const char *text, uid_t *ret_uid, gid_t *ret_gid);
int config_parse_group(const char *text, gid_t *ret_gid);
